/* SPDX-License-Identifier: Apache-2.0
 * fabricd/ledger_nodes.c - what agents report of nodes and GPUs, and what administrators say of
 * them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "fabricd/ledger_int.h"
#include "fabricd/name.h"

static void set_reason(char reason_out[LEDGER_REASON_BYTES], const char *reason)
{
    (void)snprintf(reason_out, LEDGER_REASON_BYTES, "%s", reason ? reason : "");
}

static enum fab_status no_such(const char *what, const char *name, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_NOT_FOUND, "there is no %s %s", what, name);
}

/* ---- a report ---------------------------------------------------------------------------------
 */

static enum fab_status check_report(const struct ledger *ledger, const char *name,
                                    const char *boot_id, const struct ledger_gpu_report *gpus,
                                    uint32_t gpu_count, struct fab_err *err)
{
    enum fab_status status = name_check("node", name, err);

    if (status != FAB_OK)
        return status;
    if (!boot_id[0] || strlen(boot_id) >= sizeof(((struct ledger_node *)0)->boot_id))
        return fab_err_set(err, FAB_ERR_INVALID, "node %s: '%.64s' is no boot id", name, boot_id);
    if (gpu_count > LEDGER_NODE_GPU_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "node %s has %u GPUs, at most %d are handled", name,
                           gpu_count, LEDGER_NODE_GPU_MAX);
    for (uint32_t i = 0; i < gpu_count; i++) {
        const struct ledger_gpu *known = ledger_find_gpu(ledger, gpus[i].uuid);

        if (!gpus[i].uuid[0] || strlen(gpus[i].uuid) >= LEDGER_UUID_BYTES ||
            strlen(gpus[i].name) >= LEDGER_NAME_BYTES)
            return fab_err_set(err, FAB_ERR_INVALID, "node %s: GPU %u has no usable name", name, i);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(gpus[i].uuid, gpus[k].uuid) == 0)
                return fab_err_set(err, FAB_ERR_EXISTS, "node %s has GPU %s twice", name,
                                   gpus[i].uuid);
        if (known && strcmp(known->node->name, name) != 0)
            return fab_err_set(
                err, FAB_ERR_EXISTS,
                "node %s: GPU %s is node %s's; if it was moved, let that node report "
                "without it, or forget it",
                name, gpus[i].uuid, known->node->name);
    }
    return FAB_OK;
}

static void report_new_gpu(struct ledger_change *change, struct ledger_node *node,
                           const struct ledger_gpu_report *report)
{
    struct ledger_gpu *gpu = fab_alloc_zeroed(1, sizeof(*gpu));

    if (gpu) {
        (void)snprintf(gpu->uuid, sizeof(gpu->uuid), "%s", report->uuid);
        (void)snprintf(gpu->name, sizeof(gpu->name), "%s", report->name);
        gpu->index = report->index;
        gpu->fence = report->fence;
        gpu->dirty_fence = report->fence;
    }
    ledger_create_gpu(change, node, gpu); /* takes NULL: no memory */
}

/* A GPU that was known. Its name and index may be new: a driver may count in another order. */
static void report_known_gpu(struct ledger_change *change, struct ledger_gpu *gpu,
                             const struct ledger_gpu_report *report)
{
    if ((gpu->index != report->index || strcmp(gpu->name, report->name) != 0) &&
        ledger_touch_gpu(change, gpu)) {
        (void)snprintf(gpu->name, sizeof(gpu->name), "%s", report->name);
        gpu->index = report->index;
    }
    /* Not a row's fact: what was on it before its system, or without one, is to be cleared. */
    gpu->dirty_fence = gpu->system && gpu->fence == report->fence ? 0 : report->fence;
    if (gpu->system && gpu->system->state == LEDGER_RELEASING && report->fence != gpu->fence)
        ledger_confirm(change, gpu);
}

static void report_missing_gpu(struct ledger_change *change, struct ledger_gpu *gpu)
{
    if (gpu->system && !gpu->has_failed) {
        if (!ledger_touch_gpu(change, gpu))
            return;
        gpu->has_failed = true;
        (void)snprintf(gpu->reason, sizeof(gpu->reason), "%s no longer has it", gpu->node->name);
        ledger_event(change, "gpu-failed", gpu->uuid, "%s", gpu->reason);
    } else if (!gpu->system) {
        ledger_remove_gpu(change, gpu);
        ledger_event(change, "gpu-gone", gpu->uuid, "%s no longer has it", gpu->node->name);
    }
}

/* Nothing that ran on the node runs now. */
static void everything_ended(struct ledger_change *change, struct ledger_node *node,
                             const char *reason)
{
    for (uint32_t i = 0; i < node->gpu_count; i++) {
        struct ledger_system *system = node->gpus[i]->system;

        if (!system)
            continue;
        if (system->state != LEDGER_RELEASING && system->state != LEDGER_FAILED)
            ledger_set_state(change, system, LEDGER_FAILED, UINT64_MAX, reason);
        ledger_confirm(change, node->gpus[i]);
    }
}

static void report_gpus(struct ledger_change *change, struct ledger_node *node,
                        const struct ledger_gpu_report *gpus, uint32_t gpu_count)
{
    bool is_there[LEDGER_NODE_GPU_MAX] = {false};
    const uint32_t known_count = node->gpu_count;
    struct ledger_gpu *known[LEDGER_NODE_GPU_MAX];

    memcpy(known, node->gpus, sizeof(known)); /* the node's own list changes below */
    for (uint32_t i = 0; i < gpu_count; i++) {
        uint32_t at = 0;

        while (at < known_count && strcmp(known[at]->uuid, gpus[i].uuid) != 0)
            at++;
        if (at < known_count) {
            is_there[at] = true;
            report_known_gpu(change, known[at], &gpus[i]);
        }
    }
    for (uint32_t at = 0; at < known_count; at++)
        if (!is_there[at])
            report_missing_gpu(change, known[at]);
    for (uint32_t i = 0; i < gpu_count; i++)
        if (!ledger_find_gpu(change->ledger, gpus[i].uuid))
            report_new_gpu(change, node, &gpus[i]);
}

static struct ledger_node *report_node(struct ledger_change *change, const char *name,
                                       const char *boot_id)
{
    struct ledger_node *node = ledger_get_node(change->ledger, name);
    char reason[LEDGER_REASON_BYTES];

    if (!node) {
        node = fab_alloc_zeroed(1, sizeof(*node));
        if (node) {
            (void)snprintf(node->name, sizeof(node->name), "%s", name);
            (void)snprintf(node->boot_id, sizeof(node->boot_id), "%s", boot_id);
        }
        ledger_create_node(change, node);
        ledger_event(change, "node-up", name, "it is new");
        return change->status == FAB_OK ? node : NULL;
    }
    if (!node->is_lost && strcmp(node->boot_id, boot_id) == 0)
        return node;
    if (!ledger_touch_node(change, node))
        return NULL;
    if (strcmp(node->boot_id, boot_id) != 0) {
        (void)snprintf(node->boot_id, sizeof(node->boot_id), "%s", boot_id);
        (void)snprintf(reason, sizeof(reason), "node %s has restarted", name);
        ledger_event(change, "node-restarted", name, "its boot id is new");
        everything_ended(change, node, reason);
    }
    if (node->is_lost) {
        node->is_lost = false;
        if (!node->is_drained)
            node->reason[0] = '\0';
        ledger_event(change, "node-up", name, "its agent reports");
    }
    return node;
}

/* Numbers above ours: the store is an old copy. Ours must never be given again. */
static void raise_fence(struct ledger *ledger, const struct ledger_gpu_report *gpus,
                        uint32_t gpu_count)
{
    for (uint32_t i = 0; i < gpu_count; i++)
        if (gpus[i].fence > ledger->fence)
            ledger->fence = gpus[i].fence;
}

/* Indices may have changed. */
static void sort_gpus(struct ledger_node *node)
{
    for (uint32_t i = 1; i < node->gpu_count; i++) {
        struct ledger_gpu *gpu = node->gpus[i];
        uint32_t k = i;

        for (; k > 0 && node->gpus[k - 1]->index > gpu->index; k--)
            node->gpus[k] = node->gpus[k - 1];
        node->gpus[k] = gpu;
    }
}

enum fab_status ledger_node_report(struct ledger *ledger, const char *name, const char *boot_id,
                                   const struct ledger_gpu_report *gpus, uint32_t gpu_count,
                                   uint64_t now_ms, struct fab_err *err)
{
    enum fab_status status = check_report(ledger, name, boot_id, gpus, gpu_count, err);
    struct ledger_change change;
    struct ledger_node *node;

    if (status != FAB_OK)
        return status;
    raise_fence(ledger, gpus, gpu_count);
    ledger_begin(&change, ledger, now_ms);
    node = report_node(&change, name, boot_id);
    if (node)
        report_gpus(&change, node, gpus, gpu_count);
    status = ledger_commit(&change, err);
    if (status == FAB_OK)
        sort_gpus(node);
    return status;
}

enum fab_status ledger_node_lost(struct ledger *ledger, const char *name, const char *reason,
                                 uint64_t now_ms, struct fab_err *err)
{
    struct ledger_node *node = ledger_get_node(ledger, name);
    struct ledger_change change;

    if (!node)
        return no_such("node", name, err);
    if (node->is_lost)
        return FAB_OK;
    ledger_begin(&change, ledger, now_ms);
    if (ledger_touch_node(&change, node)) {
        node->is_lost = true;
        if (!node->is_drained) /* that reason is stored, and comes back with the node */
            set_reason(node->reason, reason);
    }
    ledger_event(&change, "node-lost", name, "%s", reason);
    return ledger_commit(&change, err);
}

/* ---- GPUs -------------------------------------------------------------------------------------
 */

enum fab_status ledger_gpu_checked(struct ledger *ledger, const char *uuid, const char *reason,
                                   uint64_t now_ms, struct fab_err *err)
{
    struct ledger_gpu *gpu = fab_map_find_text(&ledger->gpus, uuid);
    struct ledger_change change;

    if (!gpu)
        return no_such("GPU", uuid, err);
    if (gpu->has_failed == (reason != NULL))
        return FAB_OK;
    ledger_begin(&change, ledger, now_ms);
    if (ledger_touch_gpu(&change, gpu)) {
        gpu->has_failed = reason != NULL;
        if (reason || !gpu->is_drained)
            set_reason(gpu->reason, reason);
    }
    ledger_event(&change, reason ? "gpu-failed" : "gpu-passed", uuid, "%s",
                 reason ? reason : "its check passed");
    return ledger_commit(&change, err);
}

enum fab_status ledger_gpu_released(struct ledger *ledger, const char *uuid, uint64_t fence,
                                    uint64_t now_ms, struct fab_err *err)
{
    struct ledger_gpu *gpu = fab_map_find_text(&ledger->gpus, uuid);
    struct ledger_change change;

    if (!gpu)
        return no_such("GPU", uuid, err);
    if (gpu->dirty_fence && fence >= gpu->dirty_fence)
        gpu->dirty_fence = 0;
    if (!gpu->system || gpu->system->state != LEDGER_RELEASING || gpu->fence != fence)
        return FAB_OK; /* of an earlier system, or said again */
    ledger_begin(&change, ledger, now_ms);
    ledger_confirm(&change, gpu);
    return ledger_commit(&change, err);
}

/* ---- administrators ---------------------------------------------------------------------------
 */

static void drain_node(struct ledger_change *change, struct ledger_node *node, const char *reason)
{
    if (!ledger_touch_node(change, node))
        return;
    node->is_drained = reason != NULL;
    set_reason(node->reason, reason);
}

static void drain_gpu(struct ledger_change *change, struct ledger_gpu *gpu, const char *reason)
{
    if (!ledger_touch_gpu(change, gpu))
        return;
    gpu->is_drained = reason != NULL;
    if (!gpu->has_failed)
        set_reason(gpu->reason, reason);
}

enum fab_status ledger_drain(struct ledger *ledger, const char *name, const char *reason,
                             uint64_t now_ms, struct fab_err *err)
{
    struct ledger_node *node = ledger_get_node(ledger, name);
    struct ledger_gpu *gpu = fab_map_find_text(&ledger->gpus, name);
    struct ledger_change change;

    if (!node && !gpu)
        return no_such("node or GPU", name, err);
    if (!reason && !(node ? node->is_drained : gpu->is_drained))
        return FAB_OK;
    ledger_begin(&change, ledger, now_ms);
    if (node)
        drain_node(&change, node, reason);
    else
        drain_gpu(&change, gpu, reason);
    ledger_event(&change, reason ? "drained" : "undrained", name, "%s", reason ? reason : "");
    return ledger_commit(&change, err);
}

enum fab_status ledger_fence(struct ledger *ledger, const char *name, const char *reason,
                             uint64_t now_ms, struct fab_err *err)
{
    struct ledger_node *node = ledger_get_node(ledger, name);
    struct ledger_change change;
    char text[LEDGER_REASON_BYTES];

    if (!node)
        return no_such("node", name, err);
    if (!node->is_lost)
        return fab_err_set(err, FAB_ERR_STATE,
                           "node %s is reachable: release its systems instead of fencing it", name);
    ledger_begin(&change, ledger, now_ms);
    (void)snprintf(text, sizeof(text), "node %s was fenced", name);
    ledger_event(&change, "fenced", name, "%s", reason);
    everything_ended(&change, node, text);
    return ledger_commit(&change, err);
}

enum fab_status ledger_node_forget(struct ledger *ledger, const char *name, uint64_t now_ms,
                                   struct fab_err *err)
{
    struct ledger_node *node = ledger_get_node(ledger, name);
    struct ledger_change change;

    if (!node)
        return no_such("node", name, err);
    if (!node->is_lost)
        return fab_err_set(err, FAB_ERR_STATE, "node %s is reachable: stop its fabricd first",
                           name);
    for (uint32_t i = 0; i < node->gpu_count; i++)
        if (node->gpus[i]->system)
            return fab_err_set(err, FAB_ERR_STATE,
                               "GPU %s of node %s is in system %s: delete that first",
                               node->gpus[i]->uuid, name, node->gpus[i]->system->name);
    ledger_begin(&change, ledger, now_ms);
    ledger_remove_node(&change, node);
    ledger_event(&change, "node-forgotten", name, "%s", "");
    return ledger_commit(&change, err);
}
