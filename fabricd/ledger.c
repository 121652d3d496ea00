/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger.c - the ledger's tables, and looking at them.
 */
#include "fabricd/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "fabricd/ledger_int.h"
#include "fabricd/store.h"

const char *ledger_state_name(enum ledger_state state)
{
    switch (state) {
    case LEDGER_FREE:
        return "free";
    case LEDGER_RESERVED:
        return "reserved";
    case LEDGER_COMPOSING:
        return "composing";
    case LEDGER_COMPOSED:
        return "composed";
    case LEDGER_RELEASING:
        return "releasing";
    case LEDGER_FAILED:
        return "failed";
    case LEDGER_LOST:
        return "lost";
    case LEDGER_DRAINED:
        return "drained";
    }
    return "?";
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

enum fab_status ledger_open(struct store *store, uint64_t now_ms, struct ledger **ledger_out,
                            struct fab_err *err)
{
    struct ledger *ledger = fab_alloc_zeroed(1, sizeof(*ledger));
    enum fab_status status;

    if (!ledger)
        return fab_err_set(err, FAB_ERR_NOMEM, "the ledger");
    ledger->store = store;
    fab_vec_init(&ledger->nodes, sizeof(struct ledger_node *));
    fab_vec_init(&ledger->systems, sizeof(struct ledger_system *));
    fab_map_init(&ledger->gpus);
    status = ledger_load(ledger, err);
    if (status != FAB_OK) {
        ledger_close(ledger);
        return status;
    }
    for (size_t i = 0; i < ledger->nodes.count; i++) {
        struct ledger_node *node = *fab_vec_at(&ledger->nodes, struct ledger_node *, i);

        node->is_lost = true;
        node->since_ms = now_ms;
    }
    *ledger_out = ledger;
    return FAB_OK;
}

void ledger_close(struct ledger *ledger)
{
    size_t cursor = 0;
    const struct fab_map_entry *entry;
    void *object;

    if (!ledger)
        return;
    while ((entry = fab_map_next(&ledger->gpus, &cursor)) != NULL)
        free(entry->value);
    while (fab_vec_pop(&ledger->systems, &object))
        free(object);
    while (fab_vec_pop(&ledger->nodes, &object))
        free(object);
    fab_map_fini(&ledger->gpus);
    fab_vec_fini(&ledger->systems);
    fab_vec_fini(&ledger->nodes);
    free(ledger);
}

/* ---- tables -----------------------------------------------------------------------------------
 */

/* Pointers in a vector, by the place that they have in it. */
static enum fab_status insert(struct fab_vec *vec, size_t index, void *object)
{
    const enum fab_status status = fab_vec_push(vec, &object);
    void **items = fab_vec_items(vec, void *);

    if (status != FAB_OK)
        return status;
    memmove(&items[index + 1], &items[index], (vec->count - 1 - index) * sizeof(void *));
    items[index] = object;
    return FAB_OK;
}

static void take_out(struct fab_vec *vec, const void *object)
{
    for (size_t i = 0; i < vec->count; i++) {
        if (*fab_vec_at(vec, void *, i) == object) {
            fab_vec_remove(vec, i);
            return;
        }
    }
}

enum fab_status ledger_add_node(struct ledger *ledger, struct ledger_node *node)
{
    size_t i = 0;

    while (i < ledger->nodes.count &&
           strcmp((*fab_vec_at(&ledger->nodes, struct ledger_node *, i))->name, node->name) < 0)
        i++;
    return insert(&ledger->nodes, i, node);
}

enum fab_status ledger_add_system(struct ledger *ledger, struct ledger_system *system)
{
    size_t i = ledger->systems.count;

    while (i > 0 && (*fab_vec_at(&ledger->systems, struct ledger_system *, i - 1))->created_ms >
                        system->created_ms)
        i--;
    return insert(&ledger->systems, i, system);
}

enum fab_status ledger_add_gpu(struct ledger *ledger, struct ledger_node *node,
                               struct ledger_gpu *gpu)
{
    uint32_t i = node->gpu_count;
    enum fab_status status;

    if (node->gpu_count == LEDGER_NODE_GPU_MAX)
        return FAB_ERR_RANGE;
    status = fab_map_put_text(&ledger->gpus, gpu->uuid, gpu);
    if (status != FAB_OK)
        return status;
    for (; i > 0 && node->gpus[i - 1]->index > gpu->index; i--)
        node->gpus[i] = node->gpus[i - 1];
    node->gpus[i] = gpu;
    node->gpu_count++;
    gpu->node = node;
    return FAB_OK;
}

void ledger_drop_node(struct ledger *ledger, struct ledger_node *node)
{
    take_out(&ledger->nodes, node);
}

void ledger_drop_system(struct ledger *ledger, struct ledger_system *system)
{
    take_out(&ledger->systems, system);
    for (uint32_t i = 0; i < system->gpu_count; i++)
        if (system->gpus[i]->system == system)
            system->gpus[i]->system = NULL;
}

void ledger_drop_gpu(struct ledger *ledger, struct ledger_gpu *gpu)
{
    struct ledger_node *node = gpu->node;
    uint32_t left = 0;

    (void)fab_map_remove_text(&ledger->gpus, gpu->uuid);
    for (uint32_t i = 0; i < node->gpu_count; i++)
        if (node->gpus[i] != gpu)
            node->gpus[left++] = node->gpus[i];
    node->gpu_count = left;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

size_t ledger_node_count(const struct ledger *ledger)
{
    return ledger->nodes.count;
}

size_t ledger_system_count(const struct ledger *ledger)
{
    return ledger->systems.count;
}

const struct ledger_node *ledger_node(const struct ledger *ledger, size_t index)
{
    return index < ledger->nodes.count ? *fab_vec_at(&ledger->nodes, struct ledger_node *, index)
                                       : NULL;
}

const struct ledger_system *ledger_system(const struct ledger *ledger, size_t index)
{
    return index < ledger->systems.count
               ? *fab_vec_at(&ledger->systems, struct ledger_system *, index)
               : NULL;
}

struct ledger_node *ledger_get_node(const struct ledger *ledger, const char *name)
{
    for (size_t i = 0; i < ledger->nodes.count; i++) {
        struct ledger_node *node = *fab_vec_at(&ledger->nodes, struct ledger_node *, i);

        if (strcmp(node->name, name) == 0)
            return node;
    }
    return NULL;
}

struct ledger_system *ledger_get_system(const struct ledger *ledger, const char *name)
{
    for (size_t i = 0; i < ledger->systems.count; i++) {
        struct ledger_system *system = *fab_vec_at(&ledger->systems, struct ledger_system *, i);

        if (strcmp(system->name, name) == 0)
            return system;
    }
    return NULL;
}

const struct ledger_node *ledger_find_node(const struct ledger *ledger, const char *name)
{
    return ledger_get_node(ledger, name);
}

const struct ledger_system *ledger_find_system(const struct ledger *ledger, const char *name)
{
    return ledger_get_system(ledger, name);
}

const struct ledger_gpu *ledger_find_gpu(const struct ledger *ledger, const char *uuid)
{
    return fab_map_find_text(&ledger->gpus, uuid);
}

enum ledger_state ledger_gpu_state(const struct ledger_gpu *gpu)
{
    if (gpu->node->is_lost)
        return LEDGER_LOST;
    if (gpu->has_failed)
        return LEDGER_FAILED;
    if (gpu->system)
        return gpu->system->state;
    if (gpu->dirty_fence)
        return LEDGER_RELEASING;
    return gpu->is_drained || gpu->node->is_drained ? LEDGER_DRAINED : LEDGER_FREE;
}

const char *ledger_gpu_reason(const struct ledger_gpu *gpu)
{
    switch (ledger_gpu_state(gpu)) {
    case LEDGER_LOST:
        return gpu->node->reason;
    case LEDGER_FAILED:
        return gpu->has_failed ? gpu->reason : gpu->system->reason;
    case LEDGER_DRAINED:
        return gpu->is_drained ? gpu->reason : gpu->node->reason;
    case LEDGER_RESERVED:
    case LEDGER_COMPOSING:
    case LEDGER_COMPOSED:
    case LEDGER_RELEASING:
        return gpu->system ? gpu->system->reason : "left over from an earlier system";
    case LEDGER_FREE:
        break;
    }
    return "";
}

struct event_walk {
    ledger_event_visit visit;
    void *user;
    uint64_t after;
};

static enum fab_status walk_event(void *user, const struct store_entry *entry, struct fab_err *err)
{
    const struct event_walk *walk = user;
    const uint64_t number = strtoull(entry->key + strlen(LEDGER_EVENT_PREFIX), NULL, 10);

    return number > walk->after ? walk->visit(walk->user, number, entry->value, err) : FAB_OK;
}

enum fab_status ledger_events(struct ledger *ledger, uint64_t after, ledger_event_visit visit,
                              void *user, struct fab_err *err)
{
    struct event_walk walk = {.visit = visit, .user = user, .after = after};

    return store_list(ledger->store, LEDGER_EVENT_PREFIX, walk_event, &walk, err);
}

uint64_t ledger_last_event(const struct ledger *ledger)
{
    return ledger->event_number;
}

/* ---- verifying --------------------------------------------------------------------------------
 */

static enum fab_status verify_system(const struct ledger *ledger,
                                     const struct ledger_system *system, struct fab_err *err)
{
    uint32_t placed = 0;

    for (uint32_t i = 0; i < system->host_count; i++) {
        if (system->hosts[i].first_gpu != placed)
            return fab_err_set(err, FAB_ERR_FORMAT, "system %s: the GPUs of host %s overlap",
                               system->name, system->hosts[i].node);
        placed += system->hosts[i].gpu_count;
    }
    if (placed != system->gpu_count)
        return fab_err_set(err, FAB_ERR_FORMAT, "system %s: %u of its %u GPUs have a host",
                           system->name, placed, system->gpu_count);
    for (uint32_t i = 0; i < system->gpu_count; i++) {
        const struct ledger_gpu *gpu = system->gpus[i];

        if (gpu->system != system || ledger_find_gpu(ledger, gpu->uuid) != gpu)
            return fab_err_set(err, FAB_ERR_FORMAT, "GPU %s is not only in system %s", gpu->uuid,
                               system->name);
        if (gpu->fence == 0 || gpu->fence > ledger->fence)
            return fab_err_set(err, FAB_ERR_FORMAT, "GPU %s: fence %" PRIu64 " was never given",
                               gpu->uuid, gpu->fence);
    }
    return FAB_OK;
}

static enum fab_status verify_node(const struct ledger_node *node, struct fab_err *err)
{
    for (uint32_t i = 0; i < node->gpu_count; i++) {
        const struct ledger_gpu *gpu = node->gpus[i];
        bool is_listed = !gpu->system;

        for (uint32_t k = 0; !is_listed && k < gpu->system->gpu_count; k++)
            is_listed = gpu->system->gpus[k] == gpu;
        if (!is_listed || gpu->node != node)
            return fab_err_set(err, FAB_ERR_FORMAT, "GPU %s is not in the system it names",
                               gpu->uuid);
    }
    return FAB_OK;
}

/* Every object's row is in the store as it would be written now. */
static enum fab_status verify_row(struct ledger *ledger, const char *prefix, const char *name,
                                  char *row, struct fab_err *err)
{
    char key[STORE_KEY_BYTES];
    char *stored = NULL;
    enum fab_status status = FAB_ERR_NOMEM;

    (void)snprintf(key, sizeof(key), "%s%s", prefix, name);
    if (row)
        status = store_get(ledger->store, key, &stored, NULL, err);
    if (status == FAB_OK && strcmp(row, stored) != 0)
        status = fab_err_set(err, FAB_ERR_FORMAT, "%s is not stored as it is shown: %s, but %s",
                             key, stored, row);
    free(stored);
    free(row);
    return status;
}

static enum fab_status count_row(void *user, const struct store_entry *entry, struct fab_err *err)
{
    (void)entry;
    (void)err;
    ++*(size_t *)user;
    return FAB_OK;
}

static enum fab_status verify_count(struct ledger *ledger, const char *prefix, size_t count,
                                    struct fab_err *err)
{
    size_t stored = 0;
    const enum fab_status status = store_list(ledger->store, prefix, count_row, &stored, err);

    if (status != FAB_OK || stored == count)
        return status;
    return fab_err_set(err, FAB_ERR_FORMAT, "%s: %zu shown, %zu stored", prefix, count, stored);
}

enum fab_status ledger_verify(struct ledger *ledger, struct fab_err *err)
{
    enum fab_status status = verify_count(ledger, LEDGER_NODE_PREFIX, ledger->nodes.count, err);

    if (status == FAB_OK)
        status = verify_count(ledger, LEDGER_GPU_PREFIX, ledger->gpus.count, err);
    if (status == FAB_OK)
        status = verify_count(ledger, LEDGER_SYS_PREFIX, ledger->systems.count, err);
    for (size_t i = 0; status == FAB_OK && i < ledger->systems.count; i++) {
        const struct ledger_system *system = ledger_system(ledger, i);

        status = verify_system(ledger, system, err);
        if (status == FAB_OK)
            status =
                verify_row(ledger, LEDGER_SYS_PREFIX, system->name, ledger_system_row(system), err);
    }
    for (size_t i = 0; status == FAB_OK && i < ledger->nodes.count; i++) {
        const struct ledger_node *node = ledger_node(ledger, i);

        status = verify_node(node, err);
        if (status == FAB_OK)
            status = verify_row(ledger, LEDGER_NODE_PREFIX, node->name, ledger_node_row(node), err);
        for (uint32_t k = 0; status == FAB_OK && k < node->gpu_count; k++)
            status = verify_row(ledger, LEDGER_GPU_PREFIX, node->gpus[k]->uuid,
                                ledger_gpu_row(node->gpus[k]), err);
    }
    return status;
}
