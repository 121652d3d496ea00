/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_lease.c - which system may use this node's GPUs now: PREPARE and RELEASE.
 *
 * A lease goes from preparing (its GPUs are cleared of others' bytes and checked) to ready, and to
 * releasing (its workers end, its memory is cleared). What the manager repeats is answered again.
 * Before a command is answered, its fence number is on the disk.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"

enum { FTW_OPEN_MAX = 16 };
#define CLEAR_AGAIN_NS UINT64_C(10000000000)
#define LEASE_EVERY_NS UINT64_C(1000000000)

/* ---- what a lease has -------------------------------------------------------------------------
 */

static enum fab_status take_uid(struct agent *agent, uid_t *uid_out, struct fab_err *err)
{
    const struct fabricd_settings *settings = agent->settings;
    const int64_t count =
        settings->uid_count < UINT16_MAX ? settings->uid_count : (int64_t)UINT16_MAX;

    *uid_out = 0;
    if (!agent_has_uids(agent))
        return FAB_OK; /* health says what that means */
    for (int64_t i = 0; i < count; i++) {
        uint64_t *word = &agent->uids_used[i / 64];

        if (*word & UINT64_C(1) << i % 64)
            continue;
        *word |= UINT64_C(1) << i % 64;
        *uid_out = (uid_t)(settings->uid_first + i);
        return FAB_OK;
    }
    return fab_err_set(err, FAB_ERR_LIMIT,
                       "all %lld user numbers for leases are taken: raise uid_count",
                       (long long)settings->uid_count);
}

static void give_uid(struct agent *agent, uid_t uid)
{
    const uint64_t i = uid - (uint64_t)agent->settings->uid_first;

    if (uid)
        agent->uids_used[i / 64] &= ~(UINT64_C(1) << i % 64);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    (void)remove(path);
    return 0;
}

/* Device code that the tenant's programs sent, for its later programs; it goes with the lease. */
static enum fab_status make_image_folder(struct agent_lease *lease, struct fab_err *err)
{
    const char *folder = lease->agent->settings->image_dir;

    if (!folder || !folder[0])
        return FAB_OK;
    (void)mkdir(folder, 0711);
    (void)snprintf(lease->image_folder, sizeof(lease->image_folder), "%.3900s/%s-%llu", folder,
                   lease->system, (unsigned long long)lease->fence);
    (void)nftw(lease->image_folder, remove_one, FTW_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    if (mkdir(lease->image_folder, 0700) != 0 ||
        (lease->uid && chown(lease->image_folder, lease->uid, (gid_t)lease->uid) != 0))
        return fab_err_errno(err, errno, "making %s", lease->image_folder);
    return FAB_OK;
}

static void lease_free(struct agent_lease *lease)
{
    struct agent *agent = lease->agent;

    for (uint32_t i = 0; i < agent->gpu_count; i++)
        if (agent->gpus[i]->lease == lease)
            agent->gpus[i]->lease = NULL;
    if (lease->image_folder[0])
        (void)nftw(lease->image_folder, remove_one, FTW_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    give_uid(agent, lease->uid);
    ses_account_close(lease->account);
    fab_list_remove(&lease->node);
    free(lease);
    agent->is_changed = true;
}

struct agent_lease *agent_lease_find(struct agent *agent, const char *system, uint64_t fence)
{
    FAB_LIST_EACH(at, after, &agent->leases)
    {
        struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);

        if (lease->fence == fence && strcmp(lease->system, system) == 0)
            return lease;
    }
    return NULL;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void tell_prepared(struct agent *agent, const char *system, uint64_t fence,
                          const char *reason)
{
    struct message message = {.kind = MESSAGE_DONE,
                              .done = {.verb = MANAGER_PREPARE, .fence = fence}};

    agent_copy_text(message.done.system, sizeof(message.done.system), system);
    agent_copy_text(message.done.reason, sizeof(message.done.reason), reason);
    (void)agent_tell(agent, &message); /* the manager asks again when it is back */
}

static void tell_released(struct agent *agent, const char *uuid, uint64_t fence)
{
    struct message message = {.kind = MESSAGE_RELEASED, .released = {.fence = fence}};

    agent_copy_text(message.released.uuid, sizeof(message.released.uuid), uuid);
    (void)agent_tell(agent, &message); /* else the next report says that it is clean */
}

/* ---- PREPARE ----------------------------------------------------------------------------------
 */

static enum fab_status check_gpu(struct agent *agent, const struct message_gpu *wanted,
                                 struct fab_err *err)
{
    const struct agent_gpu *gpu = agent_gpu_find(agent, wanted->uuid);
    const struct agent_fence *fence = agent_fence_of(agent, wanted->uuid);

    if (!gpu || !gpu->is_present)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s is not in this node", wanted->uuid);
    if (!fence)
        return fab_err_set(err, FAB_ERR_NOMEM, "the fence number of %s", wanted->uuid);
    if (wanted->fence < fence->floor)
        return fab_err_set(err, FAB_ERR_STALE,
                           "%s was given away since: fence number %llu is below %llu", wanted->uuid,
                           (unsigned long long)wanted->fence, (unsigned long long)fence->floor);
    return FAB_OK;
}

static enum fab_status check_command(struct agent *agent, const struct message_command *command,
                                     struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    if (command->gpu_count == 0 || command->gpu_count > LEDGER_NODE_GPU_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "%u GPUs of one node", command->gpu_count);
    for (uint32_t i = 0; status == FAB_OK && i < command->gpu_count; i++)
        status = check_gpu(agent, &command->gpus[i], err);
    return status;
}

static enum fab_status lease_create(struct agent *agent, const struct message_command *command,
                                    struct agent_lease **lease_out, struct fab_err *err)
{
    struct agent_lease *lease = fab_alloc_zeroed(1, sizeof(*lease));
    enum fab_status status;

    if (!lease)
        return fab_err_set(err, FAB_ERR_NOMEM, "a lease");
    lease->agent = agent;
    lease->fence = command->fence;
    lease->since_ns = agent_now_ns(agent);
    lease->owner_uid = command->owner_uid;
    lease->gpu_count = command->gpu_count;
    memcpy(lease->gpus, command->gpus, command->gpu_count * sizeof(lease->gpus[0]));
    agent_copy_text(lease->system, sizeof(lease->system), command->system);
    fab_list_init(&lease->workers);
    fab_list_append(&agent->leases, &lease->node);
    status = take_uid(agent, &lease->uid, err);
    if (status == FAB_OK)
        status = ses_account_create(&lease->account, err);
    if (status == FAB_OK)
        status = make_image_folder(lease, err);
    if (status != FAB_OK) {
        lease_free(lease);
        return status;
    }
    *lease_out = lease;
    return FAB_OK;
}

/* What an earlier lease still has of these GPUs ends first. */
static void release_earlier(struct agent *agent, const struct message_command *command)
{
    for (uint32_t i = 0; i < command->gpu_count; i++) {
        const struct agent_gpu *gpu = agent_gpu_find(agent, command->gpus[i].uuid);

        if (gpu && gpu->lease && gpu->lease->fence < command->fence)
            agent_lease_drop(gpu->lease);
    }
}

void agent_lease_prepare(struct agent *agent, const struct message_command *command)
{
    struct agent_lease *lease = agent_lease_find(agent, command->system, command->fence);
    struct fab_err err = {0};

    if (lease) {
        if (lease->state == AGENT_LEASE_READY)
            tell_prepared(agent, lease->system, lease->fence, "");
        return; /* else it is answered when it is known */
    }
    if (check_command(agent, command, &err) != FAB_OK ||
        lease_create(agent, command, &lease, &err) != FAB_OK) {
        tell_prepared(agent, command->system, command->fence, err.text);
        return;
    }
    for (uint32_t i = 0; i < command->gpu_count; i++) /* on the disk before it is ready */
        agent_fence_of(agent, command->gpus[i].uuid)->floor = command->gpus[i].fence;
    release_earlier(agent, command);
}

/* True: it is well, or *why_out says why not; false: not known yet. */
static bool prepare_gpu(struct agent_lease *lease, const struct message_gpu *wanted,
                        uint64_t now_ns, const char **why_out)
{
    struct agent_gpu *gpu = agent_gpu_find(lease->agent, wanted->uuid);
    const struct agent_fence *fence = agent_fence_of(lease->agent, wanted->uuid);

    if (!gpu || !fence) {
        *why_out = "a GPU of it has vanished";
        return true;
    }
    if (gpu->child || (gpu->lease && gpu->lease != lease))
        return false;
    gpu->lease = lease;
    if (fence->dirty && fence->dirty != lease->fence) {
        if (agent_fences_are_alone(lease->agent) && now_ns >= gpu->again_ns) {
            gpu->again_ns = now_ns + CLEAR_AGAIN_NS;
            agent_clear_start(gpu);
        }
        return false;
    }
    if (!agent_check_is_fresh(gpu, lease->since_ns, now_ns)) {
        agent_check_start(gpu);
        return false;
    }
    if (gpu->reason[0])
        *why_out = gpu->reason;
    return true;
}

static enum fab_status lease_begin(struct agent_lease *lease, struct fab_err *err)
{
    for (uint32_t i = 0; i < lease->gpu_count; i++) {
        struct agent_fence *fence = agent_fence_of(lease->agent, lease->gpus[i].uuid);

        fence->dirty = lease->fence; /* from the first worker on, which is not told apart */
    }
    return agent_fences_save(lease->agent, err);
}

static void prepare_turn(struct agent_lease *lease, uint64_t now_ns)
{
    const char *why = NULL;
    bool is_known = true;
    struct fab_err err = {0};

    for (uint32_t i = 0; i < lease->gpu_count && !why; i++)
        is_known = prepare_gpu(lease, &lease->gpus[i], now_ns, &why) && is_known;
    if (!why && !is_known)
        return;
    if (!why && lease_begin(lease, &err) != FAB_OK)
        why = err.text;
    tell_prepared(lease->agent, lease->system, lease->fence, why ? why : "");
    if (why) {
        lease_free(lease); /* nothing of it ran */
        return;
    }
    lease->state = AGENT_LEASE_READY;
    lease->agent->is_changed = true;
}

/* ---- RELEASE ----------------------------------------------------------------------------------
 */

void agent_lease_drop(struct agent_lease *lease)
{
    if (lease->state == AGENT_LEASE_RELEASING)
        return;
    lease->was_ready = lease->state == AGENT_LEASE_READY;
    lease->state = AGENT_LEASE_RELEASING;
    agent_sessions_revoke(lease->agent, lease->system, lease->fence, "the system was deleted");
    agent_serve_lease_end(lease, "the system was deleted");
    FAB_LIST_EACH(at, after, &lease->workers)
    agent_worker_kill(fab_list_object(at, struct agent_worker, node));
}

/* What is not there is clean, and stays refused from now on. */
static void release_unknown(struct agent *agent, const struct message_command *command)
{
    bool is_raised = false;
    struct fab_err err = {0};

    for (uint32_t i = 0; i < command->gpu_count; i++) {
        struct agent_fence *fence = agent_fence_of(agent, command->gpus[i].uuid);

        if (fence && fence->floor <= command->fence) {
            fence->floor = command->fence + 1;
            is_raised = true;
        }
    }
    if (is_raised && agent_fences_save(agent, &err) != FAB_OK) {
        fab_log_error(&agent->log, "a release is not confirmed", "why %s", err.text);
        return;
    }
    for (uint32_t i = 0; i < command->gpu_count; i++) {
        const struct agent_fence *fence = agent_fence_of(agent, command->gpus[i].uuid);

        if (fence && (fence->dirty == 0 || fence->dirty > command->fence))
            tell_released(agent, command->gpus[i].uuid, command->fence);
    }
}

void agent_lease_release(struct agent *agent, const struct message_command *command)
{
    bool is_known = false;

    FAB_LIST_EACH(at, after, &agent->leases)
    {
        struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);

        for (uint32_t i = 0; i < command->gpu_count; i++) {
            const struct agent_gpu *gpu = agent_gpu_find(agent, command->gpus[i].uuid);

            if (lease->fence <= command->fence &&
                ((gpu && gpu->lease == lease) ||
                 (lease->fence == command->fence && strcmp(lease->system, command->system) == 0))) {
                agent_lease_drop(lease);
                is_known = true; /* confirmed when it is done */
            }
        }
    }
    if (!is_known)
        release_unknown(agent, command);
}

/* True: nothing of the lease is on it any more. */
static bool is_clean(const struct agent_lease *lease, const char *uuid, uint64_t now_ns)
{
    struct agent_gpu *gpu = agent_gpu_find(lease->agent, uuid);
    const struct agent_fence *fence = agent_fence_of(lease->agent, uuid);

    if (!gpu || !fence || gpu->lease != lease)
        return true;
    if (gpu->child)
        return false;
    if (fence->dirty == 0 || !lease->was_ready)
        return true;
    if (now_ns >= gpu->again_ns) {
        gpu->again_ns = now_ns + CLEAR_AGAIN_NS;
        agent_clear_start(gpu);
    }
    return false;
}

/* The GPU is anybody's again. */
static void detach(struct agent_lease *lease, uint32_t i)
{
    struct agent_gpu *gpu = agent_gpu_find(lease->agent, lease->gpus[i].uuid);

    if (gpu && gpu->lease == lease)
        gpu->lease = NULL;
    lease->is_released[i] = true;
    tell_released(lease->agent, lease->gpus[i].uuid, lease->fence);
}

/* Each GPU is given back when it is clean, whatever the others do. */
static void release_turn(struct agent_lease *lease, uint64_t now_ns)
{
    struct agent *agent = lease->agent;
    bool is_ready[LEDGER_NODE_GPU_MAX] = {false}, is_any = false, is_all = true;
    struct fab_err err = {0};

    if (!fab_list_is_empty(&lease->workers))
        return;
    for (uint32_t i = 0; i < lease->gpu_count; i++) {
        struct agent_fence *fence = agent_fence_of(agent, lease->gpus[i].uuid);

        is_ready[i] = !lease->is_released[i] && is_clean(lease, lease->gpus[i].uuid, now_ns);
        is_any = is_any || is_ready[i];
        is_all = is_all && (is_ready[i] || lease->is_released[i]);
        if (is_ready[i] && fence && fence->floor <= lease->fence)
            fence->floor = lease->fence + 1;
    }
    if (is_any && agent_fences_save(agent, &err) != FAB_OK) {
        fab_log_error(&agent->log, "a release is not confirmed", "why %s", err.text);
        return; /* the next turn tries again */
    }
    for (uint32_t i = 0; i < lease->gpu_count; i++)
        if (is_ready[i])
            detach(lease, i);
    if (is_all)
        lease_free(lease);
}

uint64_t agent_leases_turn(struct agent *agent, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(at, after, &agent->leases)
    {
        struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);

        if (lease->state == AGENT_LEASE_PREPARING)
            prepare_turn(lease, now_ns);
        else if (lease->state == AGENT_LEASE_RELEASING)
            release_turn(lease, now_ns);
    }
    FAB_LIST_EACH(at, after, &agent->leases)
    if (fab_list_object(at, struct agent_lease, node)->state != AGENT_LEASE_READY)
        next_ns = now_ns + LEASE_EVERY_NS; /* a time to try again may run */
    return next_ns;
}

void agent_leases_end(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->leases)
    {
        struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);

        while (!fab_list_is_empty(&lease->workers)) {
            struct agent_worker *worker =
                fab_list_object(lease->workers.next, struct agent_worker, node);

            agent_worker_kill(worker);
            agent_worker_end(worker);
        }
        lease_free(lease);
    }
}
