/* SPDX-License-Identifier: Apache-2.0
 * fabricd/manager.c - from requests and reports to states and commands.
 *
 * One step does it all: after anything has changed, settle() compares each system's state with the
 * one its agents were told, tells them, answers who waits for it, and serves the next create in
 * line. So a change that comes from a time limit, a lost node or a restart goes the same way as one
 * that was asked for.
 */
#include "fabricd/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fabricd/manager_int.h"

enum { STORE_AGAIN_MS = 1000 }; /* it has refused, and is asked again */

/* A system whose agents were told something. */
struct told {
    char name[LEDGER_NAME_BYTES];
    enum ledger_state state;          /* that they were told */
    uint64_t create_id, delete_id;    /* who waits; 0: nobody */
    char reason[LEDGER_REASON_BYTES]; /* why it is going */
    uint32_t waiting_count;           /* nodes that have not yet prepared it */
    char waiting[LEDGER_SYSTEM_GPU_MAX + LEDGER_SYSTEM_HOST_MAX][LEDGER_NAME_BYTES];
};

/* A create in line. */
struct waiting {
    uint64_t request_id;
    uint64_t until_ms;
    struct manager_request request; /* its texts are in `texts` */
    char *texts;
    const char *hosts[LEDGER_SYSTEM_HOST_MAX];
    const char *uuids[LEDGER_SYSTEM_GPU_MAX];
};

const char *manager_verb_name(enum manager_verb verb)
{
    switch (verb) {
    case MANAGER_PREPARE:
        return "prepare";
    case MANAGER_PRESENT:
        return "present";
    case MANAGER_RELEASE:
        return "release";
    case MANAGER_WITHDRAW:
        return "withdraw";
    }
    return "?";
}

enum fab_status manager_create(struct ledger *ledger, const struct manager_ops *ops, void *user,
                               struct manager **manager_out, struct fab_err *err)
{
    struct manager *manager = fab_alloc_zeroed(1, sizeof(*manager));

    if (!manager)
        return fab_err_set(err, FAB_ERR_NOMEM, "a manager");
    *manager = (struct manager){.ledger = ledger,
                                .ops = ops,
                                .user = user,
                                .next_name = 1,
                                .next_ms = UINT64_MAX,
                                .grace_ms = UINT64_MAX,
                                .orphan_ms = UINT64_MAX};
    fab_map_init(&manager->topo_gpus);
    fab_vec_init(&manager->told, sizeof(struct told *));
    fab_vec_init(&manager->line, sizeof(struct waiting *));
    *manager_out = manager;
    return FAB_OK;
}

static void free_waiting(struct waiting *waiting)
{
    free(waiting->texts);
    free(waiting);
}

void manager_destroy(struct manager *manager)
{
    struct told *told;
    struct waiting *waiting;

    if (!manager)
        return;
    while (fab_vec_pop(&manager->told, &told))
        free(told);
    while (fab_vec_pop(&manager->line, &waiting))
        free_waiting(waiting);
    fab_vec_fini(&manager->told);
    fab_vec_fini(&manager->line);
    fab_map_fini(&manager->topo_gpus);
    free(manager);
}

/* The map holds ids as pointers; an id of 0 must not be NULL. */
static void *id_to_value(topo_id id)
{
    return (void *)((uintptr_t)id + 1);
}

enum fab_status manager_set_topo(struct manager *manager, const struct topo *topo,
                                 struct fab_err *err)
{
    struct fab_map gpus;
    topo_id id = TOPO_NO_ID;

    fab_map_init(&gpus);
    while (topo && (id = topo_next(topo, TOPO_GPU, TOPO_NO_ID, id)) != TOPO_NO_ID) {
        if (fab_map_put_text(&gpus, topo_thing(topo, id)->gpu->uuid, id_to_value(id)) != FAB_OK) {
            fab_map_fini(&gpus);
            return fab_err_set(err, FAB_ERR_NOMEM, "the GPUs of the model");
        }
    }
    fab_map_fini(&manager->topo_gpus);
    manager->topo_gpus = gpus;
    manager->topo = topo;
    return FAB_OK;
}

/* ---- what agents are told ---------------------------------------------------------------------
 */

static bool is_waiting_for(const struct told *told, const char *node)
{
    for (uint32_t i = 0; i < told->waiting_count; i++)
        if (strcmp(told->waiting[i], node) == 0)
            return true;
    return false;
}

static void command(const struct manager *manager, const struct ledger_system *system,
                    enum manager_verb verb, const char *node, const struct ledger_gpu *const *gpus,
                    const struct rails_choice *rails, uint32_t gpu_count)
{
    const struct manager_command command = {.verb = verb,
                                            .node = node,
                                            .system = system->name,
                                            .owner_uid = system->owner_uid,
                                            .fence = system->gpus[0]->fence,
                                            .gpus = gpus,
                                            .rails = rails,
                                            .gpu_count = gpu_count};

    manager->ops->command(manager->user, &command);
}

/* The GPUs of a system that one node has; 0 if it has none. */
static uint32_t gpus_on(const struct ledger_system *system, const char *node,
                        const struct ledger_gpu **gpus_out, struct rails_choice *rails_out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < system->gpu_count; i++)
        if (strcmp(system->gpus[i]->node->name, node) == 0) {
            rails_out[count] = system->rails_of[i];
            gpus_out[count++] = system->gpus[i];
        }
    return count;
}

/* Everything that one node must know of a system. `told` (if any) collects who has to confirm. */
static void tell_node(const struct manager *manager, const struct ledger_system *system,
                      const char *node, bool is_going)
{
    const struct ledger_gpu *gpus[LEDGER_SYSTEM_GPU_MAX];
    struct rails_choice rails[LEDGER_SYSTEM_GPU_MAX];
    const uint32_t own_count = gpus_on(system, node, gpus, rails);

    if (own_count > 0)
        command(manager, system, is_going ? MANAGER_RELEASE : MANAGER_PREPARE, node, gpus, rails,
                own_count);
    for (uint32_t i = 0; i < system->host_count; i++) {
        const struct ledger_host *host = &system->hosts[i];

        if (strcmp(host->node, node) != 0)
            continue;
        for (uint32_t k = 0; k < host->gpu_count; k++)
            gpus[k] = system->gpus[host->first_gpu + k];
        command(manager, system, is_going ? MANAGER_WITHDRAW : MANAGER_PRESENT, node, gpus,
                &system->rails_of[host->first_gpu], host->gpu_count);
    }
}

/* Each node that a system touches, once. */
static uint32_t nodes_of(const struct ledger_system *system, const char **nodes_out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < system->host_count + system->gpu_count; i++) {
        const char *node = i < system->host_count
                               ? system->hosts[i].node
                               : system->gpus[i - system->host_count]->node->name;
        uint32_t k = 0;

        while (k < count && strcmp(nodes_out[k], node) != 0)
            k++;
        if (k == count)
            nodes_out[count++] = node;
    }
    return count;
}

static bool is_going(enum ledger_state state)
{
    return state == LEDGER_RELEASING || state == LEDGER_FAILED;
}

/* RESERVED is nobody's business yet, and a failed system's rest stays usable until it is deleted.
 */
static bool is_told(enum ledger_state state)
{
    return state == LEDGER_COMPOSING || state == LEDGER_COMPOSED || state == LEDGER_RELEASING;
}

static void tell_all(const struct manager *manager, const struct ledger_system *system,
                     struct told *told)
{
    const char *nodes[LEDGER_SYSTEM_GPU_MAX + LEDGER_SYSTEM_HOST_MAX];
    const uint32_t count = nodes_of(system, nodes);

    told->waiting_count = 0;
    if (system->state == LEDGER_COMPOSING) /* whole, before an answer can come in the call */
        for (; told->waiting_count < count; told->waiting_count++)
            (void)snprintf(told->waiting[told->waiting_count], LEDGER_NAME_BYTES, "%s",
                           nodes[told->waiting_count]);
    for (uint32_t i = 0; is_told(system->state) && i < count; i++)
        tell_node(manager, system, nodes[i], is_going(system->state));
}

static struct told *find_told(const struct manager *manager, const char *name)
{
    for (size_t i = 0; i < manager->told.count; i++)
        if (strcmp((*fab_vec_at(&manager->told, struct told *, i))->name, name) == 0)
            return *fab_vec_at(&manager->told, struct told *, i);
    return NULL;
}

static struct told *add_told(struct manager *manager, const struct ledger_system *system)
{
    struct told *told = fab_alloc_zeroed(1, sizeof(*told));

    if (told && fab_vec_push(&manager->told, &told) == FAB_OK) {
        (void)snprintf(told->name, sizeof(told->name), "%s", system->name);
        told->state = LEDGER_RESERVED;
        return told;
    }
    free(told);
    return NULL; /* the next settle tries again */
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void answer(const struct manager *manager, uint64_t *request_id, enum fab_status status,
                   const struct ledger_system *system, const struct fab_err *err)
{
    const uint64_t id = *request_id;

    *request_id = 0;
    if (id)
        manager->ops->answer(manager->user, id, status, system, err);
}

static void answer_failed(const struct manager *manager, uint64_t *request_id,
                          enum fab_status status, const char *name, const char *reason)
{
    struct fab_err err = {0};

    (void)fab_err_set(&err, status, "system %s was not composed: %s", name,
                      reason[0] ? reason : "it was deleted");
    answer(manager, request_id, status, NULL, &err);
}

/* A state that was not told yet. */
static void settle_system(struct manager *manager, const struct ledger_system *system,
                          struct told *told, uint64_t now_ms)
{
    const bool is_known = told->state == LEDGER_COMPOSING && system->state == LEDGER_COMPOSED;

    told->state = system->state;
    if (is_going(system->state))
        (void)snprintf(told->reason, sizeof(told->reason), "%s", system->reason);
    if (system->state == LEDGER_COMPOSED)
        answer(manager, &told->create_id, FAB_OK, system, NULL);
    if (!is_known)
        tell_all(manager, system, told);
    /* All or nothing. If the store refuses, the next turn finds a failed system without a creator,
     * which an administrator deletes. */
    if (system->state == LEDGER_FAILED && told->create_id)
        (void)!ledger_release(manager->ledger, told->name, told->reason, now_ms, NULL);
}

/* True: something was told, which may have changed other things. */
static bool settle_systems(struct manager *manager, uint64_t now_ms)
{
    for (size_t i = 0; i < ledger_system_count(manager->ledger); i++) {
        const struct ledger_system *system = ledger_system(manager->ledger, i);
        struct told *told = find_told(manager, system->name);

        if (!told)
            told = add_told(manager, system);
        if (told && told->state != system->state) {
            settle_system(manager, system, told, now_ms);
            return true;
        }
    }
    return false;
}

static bool settle_gone(struct manager *manager)
{
    for (size_t i = 0; i < manager->told.count; i++) {
        struct told *told = *fab_vec_at(&manager->told, struct told *, i);

        if (ledger_find_system(manager->ledger, told->name))
            continue;
        fab_vec_remove_swap(&manager->told, i);
        answer_failed(manager, &told->create_id, FAB_ERR_CANCELLED, told->name, told->reason);
        answer(manager, &told->delete_id, FAB_OK, NULL, NULL);
        free(told);
        return true;
    }
    return false;
}

/* ---- creating ---------------------------------------------------------------------------------
 */

/* FAB_ERR_LIMIT and FAB_ERR_BUSY: may work later. */
static enum fab_status start(struct manager *manager, uint64_t request_id,
                             const struct manager_request *request, uint64_t now_ms,
                             struct fab_err *err)
{
    const uint64_t limit_ms = request->limit_ms ? request->limit_ms : MANAGER_CREATE_LIMIT_MS;
    struct manager_plan plan = {.gpu_count = 0};
    const struct ledger_system *system;
    struct told *told;
    enum fab_status status;

    status = manager_plan(manager, request, &plan, err);
    if (status != FAB_OK)
        return status;
    status = ledger_reserve(manager->ledger,
                            &(struct ledger_request){.name = plan.name,
                                                     .owner_uid = request->owner_uid,
                                                     .is_adhoc = request->is_adhoc,
                                                     .host_count = request->host_count,
                                                     .hosts = plan.hosts,
                                                     .uuids = plan.uuids,
                                                     .gpu_count = plan.gpu_count,
                                                     .rails = request->rails,
                                                     .choices = plan.rails,
                                                     .limit_ms = now_ms + limit_ms},
                            now_ms, &system, err);
    if (status != FAB_OK)
        return status;
    told = add_told(manager, system);
    status = told ? ledger_advance(manager->ledger, plan.name, LEDGER_COMPOSING, now_ms, err)
                  : fab_err_set(err, FAB_ERR_NOMEM, "a system");
    if (status == FAB_OK)
        told->create_id = request_id;
    else /* it was never told to anybody: gone at once */
        (void)!ledger_release(manager->ledger, plan.name, "it could not be started", now_ms, NULL);
    return status;
}

static bool may_work_later(enum fab_status status)
{
    return status == FAB_ERR_LIMIT || status == FAB_ERR_BUSY;
}

/* The oldest in line: served, refused, or still waiting. True: it has left the line. */
static bool settle_line(struct manager *manager, uint64_t now_ms)
{
    struct waiting *waiting;
    struct fab_err err = {0};
    enum fab_status status;
    uint64_t id;

    if (manager->line.count == 0)
        return false;
    waiting = *fab_vec_at(&manager->line, struct waiting *, 0);
    id = waiting->request_id;
    status = start(manager, id, &waiting->request, now_ms, &err);
    if (may_work_later(status) && now_ms < waiting->until_ms)
        return false;
    fab_vec_remove(&manager->line, 0);
    free_waiting(waiting);
    if (status != FAB_OK)
        answer(manager, &id, status, NULL, &err);
    return true;
}

/* Those behind the first may be too late, too. */
static void expire_line(struct manager *manager, uint64_t now_ms)
{
    for (size_t i = manager->line.count; i > 1; i--) {
        struct waiting *waiting = *fab_vec_at(&manager->line, struct waiting *, i - 1);
        struct fab_err err = {0};
        uint64_t id = waiting->request_id;

        if (now_ms < waiting->until_ms)
            continue;
        fab_vec_remove(&manager->line, i - 1);
        free_waiting(waiting);
        (void)fab_err_set(&err, FAB_ERR_TIMEOUT,
                          "the time to wait is over, and others were in line before");
        answer(manager, &id, FAB_ERR_TIMEOUT, NULL, &err);
    }
}

void manager_set_grace(struct manager *manager, uint64_t grace_ms)
{
    manager->grace_ms = grace_ms;
}

static void release_orphans(struct manager *manager, uint64_t now_ms)
{
    manager->orphan_ms = UINT64_MAX;
    for (size_t i = 0; i < ledger_system_count(manager->ledger); i++) {
        const struct ledger_system *system = ledger_system(manager->ledger, i);
        const struct ledger_node *host = ledger_find_node(manager->ledger, system->hosts[0].node);
        const uint64_t end_ms = !host || manager->grace_ms > UINT64_MAX - host->since_ms
                                    ? UINT64_MAX
                                    : host->since_ms + manager->grace_ms;
        char reason[LEDGER_REASON_BYTES];

        if (!system->is_adhoc || system->state != LEDGER_COMPOSED || !host || !host->is_lost)
            continue;
        if (now_ms < end_ms) {
            manager->orphan_ms = end_ms < manager->orphan_ms ? end_ms : manager->orphan_ms;
            continue;
        }
        (void)snprintf(reason, sizeof(reason), "its host %.64s is lost, and its program with it",
                       host->name);
        if (ledger_release(manager->ledger, system->name, reason, now_ms, NULL) != FAB_OK)
            manager->orphan_ms = now_ms + STORE_AGAIN_MS;
    }
}

static void settle(struct manager *manager, uint64_t now_ms)
{
    while (settle_systems(manager, now_ms) || settle_gone(manager) ||
           settle_line(manager, now_ms)) {
    }
}

void manager_turn(struct manager *manager, uint64_t now_ms)
{
    /* A store that refuses now is asked again at the next turn; nothing is lost by waiting. */
    if (ledger_expire(manager->ledger, now_ms, &manager->next_ms, NULL) != FAB_OK)
        manager->next_ms = now_ms + STORE_AGAIN_MS;
    expire_line(manager, now_ms);
    release_orphans(manager, now_ms);
    settle(manager, now_ms);
    for (size_t i = 0; i < ledger_system_count(manager->ledger); i++)
        if (ledger_system(manager->ledger, i)->limit_ms < manager->next_ms)
            manager->next_ms = ledger_system(manager->ledger, i)->limit_ms;
}

uint64_t manager_next_ms(const struct manager *manager)
{
    uint64_t next_ms =
        manager->orphan_ms < manager->next_ms ? manager->orphan_ms : manager->next_ms;

    for (size_t i = 0; i < manager->line.count; i++) {
        const struct waiting *waiting = *fab_vec_at(&manager->line, struct waiting *, i);

        if (waiting->until_ms < next_ms)
            next_ms = waiting->until_ms;
    }
    return next_ms;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

/* A text behind the others; NULL stays NULL. */
static const char *keep_text(char **at, const char *text)
{
    char *kept = *at;

    if (!text)
        return NULL;
    memcpy(kept, text, strlen(text) + 1);
    *at += strlen(text) + 1;
    return kept;
}

static struct waiting *copy_request(const struct manager_request *request)
{
    struct waiting *waiting = fab_alloc_zeroed(1, sizeof(*waiting));
    size_t bytes = request->name ? strlen(request->name) + 1 : 1;
    char *at;

    for (uint32_t i = 0; i < request->host_count; i++)
        bytes += strlen(request->hosts[i]) + 1;
    for (uint32_t i = 0; request->uuids && i < request->gpu_count; i++)
        bytes += strlen(request->uuids[i]) + 1;
    if (waiting)
        at = waiting->texts = fab_alloc(bytes);
    if (!waiting || !waiting->texts) {
        free(waiting);
        return NULL;
    }
    waiting->request = *request;
    waiting->request.name = keep_text(&at, request->name);
    for (uint32_t i = 0; i < request->host_count; i++)
        waiting->hosts[i] = keep_text(&at, request->hosts[i]);
    for (uint32_t i = 0; request->uuids && i < request->gpu_count; i++)
        waiting->uuids[i] = keep_text(&at, request->uuids[i]);
    waiting->request.hosts = waiting->hosts;
    waiting->request.uuids = request->uuids ? waiting->uuids : NULL;
    return waiting;
}

static enum fab_status join_line(struct manager *manager, uint64_t request_id,
                                 const struct manager_request *request, uint64_t now_ms,
                                 struct fab_err *err)
{
    struct waiting *waiting;

    if (manager->line.count >= MANAGER_WAITING_MAX)
        return fab_err_set(err, FAB_ERR_LIMIT, "%d creates are waiting already: try again later",
                           MANAGER_WAITING_MAX);
    waiting = copy_request(request);
    if (!waiting || fab_vec_push(&manager->line, &waiting) != FAB_OK) {
        if (waiting)
            free_waiting(waiting);
        return fab_err_set(err, FAB_ERR_NOMEM, "a create");
    }
    waiting->request_id = request_id;
    waiting->until_ms = now_ms + request->wait_ms;
    return FAB_OK;
}

void manager_ask_create(struct manager *manager, uint64_t request_id,
                        const struct manager_request *request, uint64_t now_ms)
{
    struct fab_err err = {0};
    /* Who waits comes before who would not. */
    enum fab_status status = manager->line.count > 0
                                 ? fab_err_set(&err, FAB_ERR_BUSY,
                                               "%zu other creates are waiting for GPUs: wait, too, "
                                               "with --wait",
                                               manager->line.count)
                                 : start(manager, request_id, request, now_ms, &err);

    if (may_work_later(status) && request->wait_ms > 0 &&
        request->host_count <= LEDGER_SYSTEM_HOST_MAX &&
        request->gpu_count <= LEDGER_SYSTEM_GPU_MAX)
        status = join_line(manager, request_id, request, now_ms, &err);
    if (status != FAB_OK)
        answer(manager, &request_id, status, NULL, &err);
    manager_turn(manager, now_ms);
}

void manager_ask_delete(struct manager *manager, uint64_t request_id, const char *system,
                        const char *reason, uint64_t now_ms)
{
    struct fab_err err = {0};
    const enum fab_status status = ledger_release(manager->ledger, system, reason, now_ms, &err);
    struct told *told = find_told(manager, system);

    if (status != FAB_OK) {
        answer(manager, &request_id, status, NULL, &err);
    } else if (told && !told->delete_id) {
        told->delete_id = request_id;
    } else { /* an other one waits for the same: who asks twice hears at once what is known */
        answer(manager, &request_id, FAB_OK, ledger_find_system(manager->ledger, system), NULL);
    }
    manager_turn(manager, now_ms);
}

void manager_forget(struct manager *manager, uint64_t request_id, uint64_t now_ms)
{
    for (size_t i = 0; i < manager->line.count; i++) {
        struct waiting *waiting = *fab_vec_at(&manager->line, struct waiting *, i);

        if (waiting->request_id == request_id) {
            fab_vec_remove(&manager->line, i);
            free_waiting(waiting);
            break;
        }
    }
    for (size_t i = 0; i < manager->told.count; i++) {
        struct told *told = *fab_vec_at(&manager->told, struct told *, i);

        if (told->delete_id == request_id)
            told->delete_id = 0;
        if (told->create_id == request_id) {
            told->create_id = 0;
            /* Gone already is as good. */
            (void)!ledger_release(manager->ledger, told->name, "who asked for it has gone", now_ms,
                                  NULL);
        }
    }
    manager_turn(manager, now_ms);
}

/* ---- agents -----------------------------------------------------------------------------------
 */

void manager_node_up(struct manager *manager, const char *node, uint64_t now_ms)
{
    manager_turn(manager, now_ms); /* what is new first: it is not told twice */
    for (size_t i = 0; i < ledger_system_count(manager->ledger); i++) {
        const struct ledger_system *system = ledger_system(manager->ledger, i);
        const struct told *told = find_told(manager, system->name);

        if (told && told->state == system->state && is_told(system->state))
            tell_node(manager, system, node, is_going(system->state));
    }
}

void manager_prepared(struct manager *manager, const char *node, const char *name, uint64_t fence,
                      const char *reason, uint64_t now_ms)
{
    const struct ledger_system *system = ledger_find_system(manager->ledger, name);
    struct told *told = find_told(manager, name);
    uint32_t left = 0;

    if (!system || !told || system->state != LEDGER_COMPOSING || system->gpus[0]->fence != fence ||
        !is_waiting_for(told, node))
        return;
    for (uint32_t i = 0; !reason && i < told->waiting_count; i++)
        if (strcmp(told->waiting[i], node) != 0)
            memmove(told->waiting[left++], told->waiting[i], LEDGER_NAME_BYTES);
    if (reason) {
        char text[LEDGER_REASON_BYTES];

        (void)snprintf(text, sizeof(text), "%s: %.120s", node, reason);
        (void)!ledger_release(manager->ledger, name, text, now_ms, NULL); /* its limit is near */
    } else {
        told->waiting_count = left;
        if (left == 0) /* refused by the store: its time limit undoes it */
            (void)!ledger_advance(manager->ledger, name, LEDGER_COMPOSED, now_ms, NULL);
    }
    manager_turn(manager, now_ms);
}
