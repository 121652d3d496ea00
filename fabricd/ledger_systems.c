/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger_systems.c - the life of a system: reserved, composing, composed, releasing, gone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "fabricd/ledger_int.h"
#include "fabricd/name.h"

void ledger_set_state(struct ledger_change *change, struct ledger_system *system,
                      enum ledger_state state, uint64_t limit_ms, const char *reason)
{
    char kind[32];

    if (!ledger_touch_system(change, system))
        return;
    system->state = state;
    system->since_ms = change->now_ms;
    system->limit_ms = limit_ms;
    (void)snprintf(system->reason, sizeof(system->reason), "%s", reason);
    (void)snprintf(kind, sizeof(kind), "system-%s", ledger_state_name(state));
    ledger_event(change, kind, system->name, "%s", reason);
}

static bool is_all_confirmed(const struct ledger_system *system)
{
    for (uint32_t i = 0; i < system->gpu_count; i++)
        if (!system->is_confirmed[i])
            return false;
    return true;
}

static void end(struct ledger_change *change, struct ledger_system *system)
{
    ledger_event(change, "system-released", system->name, "%s", system->reason);
    ledger_remove_system(change, system);
}

void ledger_confirm(struct ledger_change *change, struct ledger_gpu *gpu)
{
    struct ledger_system *system = gpu->system;
    uint32_t at = 0;

    while (system->gpus[at] != gpu)
        at++;
    if (system->is_confirmed[at] || !ledger_touch_system(change, system))
        return;
    system->is_confirmed[at] = true;
    if (system->state == LEDGER_RELEASING && is_all_confirmed(system))
        end(change, system);
}

/* ---- reserving --------------------------------------------------------------------------------
 */

static enum fab_status check_gpu(const struct ledger *ledger, const struct ledger_request *request,
                                 uint32_t index, struct fab_err *err)
{
    const char *uuid = request->uuids[index];
    const struct ledger_gpu *gpu = ledger_find_gpu(ledger, uuid);
    const char *reason;

    if (!gpu)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "there is no GPU %s", uuid);
    for (uint32_t k = 0; k < index; k++)
        if (strcmp(request->uuids[k], uuid) == 0)
            return fab_err_set(err, FAB_ERR_INVALID, "GPU %s is asked for twice", uuid);
    if (ledger_gpu_state(gpu) == LEDGER_FREE)
        return FAB_OK;
    reason = ledger_gpu_reason(gpu);
    return fab_err_set(err, FAB_ERR_BUSY, "GPU %u of %s is %s%s%s%s%s", gpu->index, gpu->node->name,
                       ledger_state_name(ledger_gpu_state(gpu)), gpu->system ? " for " : "",
                       gpu->system ? gpu->system->name : "", reason[0] ? ": " : "", reason);
}

static enum fab_status check_host(const struct ledger *ledger, const struct ledger_request *request,
                                  uint32_t index, struct fab_err *err)
{
    const struct ledger_host *host = &request->hosts[index];
    const struct ledger_node *node = ledger_find_node(ledger, host->node);
    uint32_t first = 0;

    if (!node)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "there is no host %s: see `compose node list`",
                           host->node);
    for (uint32_t k = 0; k < index; k++) {
        first += request->hosts[k].gpu_count;
        if (strcmp(request->hosts[k].node, host->node) == 0)
            return fab_err_set(err, FAB_ERR_INVALID, "host %s is named twice", host->node);
    }
    if (host->gpu_count == 0 || host->first_gpu != first)
        return fab_err_set(err, FAB_ERR_INVALID, "host %s gets no GPU of its own", host->node);
    if (node->is_lost || node->is_drained)
        return fab_err_set(err, FAB_ERR_BUSY, "host %s is %s%s%s", host->node,
                           node->is_lost ? "lost" : "drained", node->reason[0] ? ": " : "",
                           node->reason);
    return FAB_OK;
}

static enum fab_status check_request(const struct ledger *ledger,
                                     const struct ledger_request *request, struct fab_err *err)
{
    enum fab_status status = name_check("system", request->name, err);
    uint32_t placed = 0;

    if (status != FAB_OK)
        return status;
    if (ledger_find_system(ledger, request->name))
        return fab_err_set(err, FAB_ERR_EXISTS,
                           "a system %s is there already: take another --name, or delete it",
                           request->name);
    if (request->gpu_count == 0 || request->gpu_count > LEDGER_SYSTEM_GPU_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "a system has 1 to %d GPUs, not %u",
                           LEDGER_SYSTEM_GPU_MAX, request->gpu_count);
    if (request->host_count == 0 || request->host_count > LEDGER_SYSTEM_HOST_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "a system has 1 to %d hosts, not %u",
                           LEDGER_SYSTEM_HOST_MAX, request->host_count);
    for (uint32_t i = 0; status == FAB_OK && i < request->host_count; i++) {
        status = check_host(ledger, request, i, err);
        placed += request->hosts[i].gpu_count;
    }
    if (status == FAB_OK && placed != request->gpu_count)
        return fab_err_set(err, FAB_ERR_INVALID, "%u of %u GPUs have a host", placed,
                           request->gpu_count);
    for (uint32_t i = 0; status == FAB_OK && i < request->gpu_count; i++)
        status = check_gpu(ledger, request, i, err);
    return status;
}

enum fab_status ledger_reserve(struct ledger *ledger, const struct ledger_request *request,
                               uint64_t now_ms, const struct ledger_system **system_out,
                               struct fab_err *err)
{
    enum fab_status status = check_request(ledger, request, err);
    struct ledger_change change;
    struct ledger_system *system;

    if (status != FAB_OK)
        return status;
    system = fab_alloc_zeroed(1, sizeof(*system));
    if (!system)
        return fab_err_set(err, FAB_ERR_NOMEM, "a system");
    (void)snprintf(system->name, sizeof(system->name), "%s", request->name);
    system->owner_uid = request->owner_uid;
    system->is_adhoc = request->is_adhoc;
    system->state = LEDGER_RESERVED;
    system->created_ms = now_ms;
    system->since_ms = now_ms;
    system->limit_ms = request->limit_ms;
    system->host_count = request->host_count;
    system->rails = request->rails;
    if (request->choices)
        memcpy(system->rails_of, request->choices,
               request->gpu_count * sizeof(system->rails_of[0]));
    memcpy(system->hosts, request->hosts, request->host_count * sizeof(system->hosts[0]));
    ledger_begin(&change, ledger, now_ms);
    change.gives_fence = true;
    for (uint32_t i = 0; i < request->gpu_count; i++) {
        struct ledger_gpu *gpu = fab_map_find_text(&ledger->gpus, request->uuids[i]);

        if (!ledger_touch_gpu(&change, gpu))
            break;
        gpu->fence = ledger->fence + 1;
        gpu->system = system;
        system->gpus[system->gpu_count++] = gpu;
    }
    ledger_event(&change, "system-reserved", request->name, "%u GPUs for uid %u",
                 request->gpu_count, request->owner_uid);
    ledger_create_system(&change, system);
    status = ledger_commit(&change, err);
    if (status == FAB_OK)
        *system_out = system;
    return status;
}

/* ---- from state to state ----------------------------------------------------------------------
 */

static enum fab_status no_system(const char *name, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_NOT_FOUND, "there is no system %s: see `compose list`", name);
}

enum fab_status ledger_advance(struct ledger *ledger, const char *name, enum ledger_state state,
                               uint64_t now_ms, struct fab_err *err)
{
    struct ledger_system *system = ledger_get_system(ledger, name);
    struct ledger_change change;
    const enum ledger_state from = state == LEDGER_COMPOSING ? LEDGER_RESERVED : LEDGER_COMPOSING;

    if (!system)
        return no_system(name, err);
    if ((state != LEDGER_COMPOSING && state != LEDGER_COMPOSED) || system->state != from)
        return fab_err_set(err, FAB_ERR_STATE, "system %s is %s: it cannot become %s", name,
                           ledger_state_name(system->state), ledger_state_name(state));
    ledger_begin(&change, ledger, now_ms);
    ledger_set_state(&change, system, state,
                     state == LEDGER_COMPOSED ? UINT64_MAX : system->limit_ms, "");
    return ledger_commit(&change, err);
}

enum fab_status ledger_release(struct ledger *ledger, const char *name, const char *reason,
                               uint64_t now_ms, struct fab_err *err)
{
    struct ledger_system *system = ledger_get_system(ledger, name);
    struct ledger_change change;
    bool is_unknown;

    if (!system)
        return no_system(name, err);
    if (system->state == LEDGER_RELEASING)
        return FAB_OK;
    is_unknown = system->state == LEDGER_RESERVED;
    ledger_begin(&change, ledger, now_ms);
    ledger_set_state(&change, system, LEDGER_RELEASING, UINT64_MAX, reason);
    if (is_unknown || is_all_confirmed(system))
        end(&change, system);
    return ledger_commit(&change, err);
}

enum fab_status ledger_expire(struct ledger *ledger, uint64_t now_ms, uint64_t *next_ms_out,
                              struct fab_err *err)
{
    uint64_t next_ms = UINT64_MAX;

    for (size_t i = ledger->systems.count; i > 0; i--) {
        const struct ledger_system *system = ledger_system(ledger, i - 1);
        char name[LEDGER_NAME_BYTES], reason[LEDGER_REASON_BYTES];
        enum fab_status status;

        if (system->limit_ms > now_ms) {
            next_ms = system->limit_ms < next_ms ? system->limit_ms : next_ms;
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s", system->name); /* the system may go */
        (void)snprintf(reason, sizeof(reason), "it was still %s at its time limit",
                       ledger_state_name(system->state));
        status = ledger_release(ledger, name, reason, now_ms, err);
        if (status != FAB_OK)
            return status;
    }
    *next_ms_out = next_ms;
    return FAB_OK;
}
