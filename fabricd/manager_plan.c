/* SPDX-License-Identifier: Apache-2.0
 * fabricd/manager_plan.c - what a create comes to: its hosts, its GPUs, their rails.
 *
 * With --rails N only GPUs count whose node has N rails to every host that is named; which of them,
 * rails.c chooses when the GPUs are known. Nothing is changed here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fabricd/manager_int.h"
#include "fabricd/shortage.h"

static topo_id topo_gpu(const struct manager *manager, const char *uuid)
{
    void *value = fab_map_find_text(&manager->topo_gpus, uuid);

    return value ? (topo_id)((uintptr_t)value - 1) : TOPO_NO_ID;
}

static enum fab_status plan_hosts(const struct manager *manager,
                                  const struct manager_request *request, struct manager_plan *plan,
                                  struct fab_err *err)
{
    const uint32_t hosts = request->host_count;
    const uint32_t share = hosts ? request->gpu_count / hosts : 0;

    if (hosts == 0 || hosts > LEDGER_SYSTEM_HOST_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "a system has 1 to %d hosts, not %u",
                           LEDGER_SYSTEM_HOST_MAX, hosts);
    if (request->gpu_count == 0 || request->gpu_count > LEDGER_SYSTEM_GPU_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "a system has 1 to %d GPUs, not %u",
                           LEDGER_SYSTEM_GPU_MAX, request->gpu_count);
    if (share * hosts != request->gpu_count)
        return fab_err_set(
            err, FAB_ERR_INVALID, "%u GPUs do not split evenly among %u hosts: ask for %u or %u",
            request->gpu_count, hosts, share ? share * hosts : hosts, (share + 1) * hosts);
    for (uint32_t i = 0; i < hosts; i++) {
        if (strlen(request->hosts[i]) >= LEDGER_NAME_BYTES ||
            !ledger_find_node(manager->ledger, request->hosts[i]))
            return fab_err_set(err, FAB_ERR_NOT_FOUND,
                               "there is no host %.64s: see `compose node list`",
                               request->hosts[i]);
        (void)snprintf(plan->hosts[i].node, LEDGER_NAME_BYTES, "%s", request->hosts[i]);
        plan->hosts[i].first_gpu = i * share;
        plan->hosts[i].gpu_count = share;
    }
    plan->gpu_count = request->gpu_count;
    return FAB_OK;
}

static void plan_name(struct manager *manager, const struct manager_request *request,
                      struct manager_plan *plan)
{
    if (request->name) {
        (void)snprintf(plan->name, sizeof(plan->name), "%s", request->name);
        return;
    }
    do
        (void)snprintf(plan->name, sizeof(plan->name), "system-%" PRIu64, manager->next_name++);
    while (ledger_find_system(manager->ledger, plan->name));
}

/* ---- rails ------------------------------------------------------------------------------------
 */

static struct rails_end end_of(const struct manager *manager, const char *node)
{
    struct rails_end end = {.node = node};

    if (manager->ops->rails)
        end.count = manager->ops->rails(manager->user, node, &end.rails);
    return end;
}

/* How many of the wanted rails a node has to a host; its own GPUs need none. */
static uint32_t rails_to(const struct manager *manager, const struct manager_request *request,
                         const char *node, const char *host)
{
    const struct rails_end from = end_of(manager, host);
    const struct rails_target target = {.end = end_of(manager, node)};
    struct rails_choice choice;

    if (request->rails == 0 || strcmp(node, host) == 0)
        return request->rails;
    return rails_choose(manager->topo, &from, &target, 1, request->rails, &choice);
}

/* NULL, or the first host to which the node has too few. */
static const char *short_of_rails(const struct manager *manager,
                                  const struct manager_request *request, const char *node)
{
    for (uint32_t i = 0; i < request->host_count; i++)
        if (rails_to(manager, request, node, request->hosts[i]) < request->rails)
            return request->hosts[i];
    return NULL;
}

/* The nodes that serve one host, and which of them each GPU is of. */
struct served {
    struct rails_target targets[LEDGER_SYSTEM_GPU_MAX];
    struct rails_choice choices[LEDGER_SYSTEM_GPU_MAX];
    uint32_t count;
    topo_id gpus[LEDGER_SYSTEM_GPU_MAX]; /* target by target */
};

static const char *node_of(const struct manager *manager, const char *uuid)
{
    const struct ledger_gpu *gpu = ledger_find_gpu(manager->ledger, uuid);

    return gpu ? gpu->node->name : NULL; /* the ledger will refuse it */
}

static uint32_t find_served(const struct served *served, const char *node)
{
    uint32_t i = 0;

    while (i < served->count && strcmp(served->targets[i].end.node, node) != 0)
        i++;
    return i;
}

static void find_targets(const struct manager *manager, const struct ledger_host *host,
                         const char *const *uuids, struct served *served)
{
    topo_id *gpus = served->gpus;

    for (uint32_t i = 0; i < host->gpu_count; i++) {
        const char *node = node_of(manager, uuids[i]);

        if (node && strcmp(node, host->node) != 0 && find_served(served, node) == served->count)
            served->targets[served->count++].end = end_of(manager, node);
    }
    for (uint32_t t = 0; t < served->count; t++) {
        served->targets[t].gpus = gpus;
        for (uint32_t i = 0; i < host->gpu_count; i++) {
            const char *node = node_of(manager, uuids[i]);
            const topo_id id = topo_gpu(manager, uuids[i]);

            if (node && strcmp(node, served->targets[t].end.node) == 0 && id != TOPO_NO_ID)
                *gpus++ = id;
        }
        served->targets[t].gpu_count = (uint32_t)(gpus - served->targets[t].gpus);
    }
}

static enum fab_status plan_host_rails(const struct manager *manager,
                                       const struct manager_request *request,
                                       const struct ledger_host *host, struct manager_plan *plan,
                                       struct fab_err *err)
{
    const char *const *uuids = &plan->uuids[host->first_gpu];
    const struct rails_end end = end_of(manager, host->node);
    struct served *served = fab_alloc_zeroed(1, sizeof(*served));
    uint32_t count;
    bool is_short;

    if (!served)
        return fab_err_set(err, FAB_ERR_NOMEM, "choosing rails");
    find_targets(manager, host, uuids, served);
    count = rails_choose(manager->topo, &end, served->targets, served->count, request->rails,
                         served->choices);
    for (uint32_t i = 0; i < host->gpu_count; i++) {
        const char *node = node_of(manager, uuids[i]);
        const uint32_t at = node ? find_served(served, node) : served->count;

        if (at < served->count)
            plan->rails[host->first_gpu + i] = served->choices[at];
    }
    is_short = served->count > 0 && count < request->rails;
    free(served);
    return is_short ? fab_err_set(err, FAB_ERR_LIMIT,
                                  "%u rails were asked for, and %u of %s lead to every node of its "
                                  "GPUs now: see `compose topo`",
                                  request->rails, count, host->node)
                    : FAB_OK;
}

/* ---- GPUs -------------------------------------------------------------------------------------
 */

/* "c4130-3 has 1 of 2 rails to r730-1, " for each node that has too few. */
static size_t list_short(const struct manager *manager, const struct manager_request *request,
                         char *text, size_t text_bytes)
{
    size_t used = 0;

    for (size_t i = 0; i < ledger_node_count(manager->ledger); i++) {
        const struct ledger_node *node = ledger_node(manager->ledger, i);
        const char *host = short_of_rails(manager, request, node->name);
        char reason[3 * LEDGER_NAME_BYTES];
        const int length =
            !host ? 0
                  : snprintf(reason, sizeof(reason), "%s has %u of %u rails to %s, ", node->name,
                             rails_to(manager, request, node->name, host), request->rails, host);

        if (node->gpu_count > 0 && length > 0 && used + (size_t)length < text_bytes)
            used += (size_t)snprintf(text + used, text_bytes - used, "%s", reason);
    }
    return used;
}

/* "r730-1 asked for 16 GPUs, 12 are free (c4130-3 is drained): ..." */
static enum fab_status too_few(const struct manager *manager, const struct manager_request *request,
                               uint32_t free_count, struct fab_err *err)
{
    char reasons[FAB_ERR_TEXT_BYTES / 2] = "", with[32] = "";
    size_t used = list_short(manager, request, reasons, sizeof(reasons) / 2);

    shortage_list(manager->ledger, reasons + used, sizeof(reasons) - used);
    if (used > 0 && !reasons[used])
        reasons[used - 2] = '\0'; /* no other reason */
    if (request->rails)
        (void)snprintf(with, sizeof(with), " with %u rails", request->rails);
    return fab_err_set(err, FAB_ERR_LIMIT,
                       "%.64s%s asked for %u GPUs%s, %u are free%s%s%s: wait with --wait, or "
                       "see `compose gpu list`",
                       request->hosts[0], request->host_count > 1 ? " and others" : "",
                       request->gpu_count, with, free_count, reasons[0] ? " (" : "", reasons,
                       reasons[0] ? ")" : "");
}

static enum fab_status plan_placement(struct manager *manager,
                                      const struct manager_request *request,
                                      struct manager_plan *plan, const topo_id *free_gpus,
                                      uint32_t free_count, struct fab_err *err)
{
    struct placement_host hosts[PLACEMENT_HOSTS_MAX];
    const struct placement_request placement_request = {.topo = manager->topo,
                                                        .hosts = hosts,
                                                        .host_count = request->host_count,
                                                        .free_gpus = free_gpus,
                                                        .free_count = free_count,
                                                        .strategy = request->strategy};
    struct placement placement;
    enum fab_status status;

    for (uint32_t i = 0; i < request->host_count; i++) {
        hosts[i] = (struct placement_host){topo_find(manager->topo, plan->hosts[i].node),
                                           plan->hosts[i].gpu_count};
        if (hosts[i].machine == TOPO_NO_ID)
            return fab_err_set(err, FAB_ERR_NOT_FOUND, "host %s is not in the topology yet",
                               plan->hosts[i].node);
    }
    status = placement_choose(&placement_request, &placement, err);
    for (uint32_t i = 0; status == FAB_OK && i < placement.gpu_count; i++)
        plan->uuids[i] = topo_thing(manager->topo, placement.gpus[i])->gpu->uuid;
    return status;
}

static enum fab_status plan_gpus(struct manager *manager, const struct manager_request *request,
                                 struct manager_plan *plan, struct fab_err *err)
{
    size_t room = 1;
    topo_id *free_gpus;
    uint32_t free_count = 0;
    enum fab_status status;

    if (request->uuids) {
        memcpy(plan->uuids, request->uuids, request->gpu_count * sizeof(plan->uuids[0]));
        return FAB_OK;
    }
    for (size_t i = 0; i < ledger_node_count(manager->ledger); i++)
        room += ledger_node(manager->ledger, i)->gpu_count;
    free_gpus = fab_alloc_zeroed(room, sizeof(*free_gpus));
    if (!free_gpus)
        return fab_err_set(err, FAB_ERR_NOMEM, "choosing GPUs");
    for (size_t i = 0; i < ledger_node_count(manager->ledger); i++) {
        const struct ledger_node *node = ledger_node(manager->ledger, i);
        const bool is_short = short_of_rails(manager, request, node->name) != NULL;

        for (uint32_t k = 0; !is_short && k < node->gpu_count; k++) {
            const topo_id id = topo_gpu(manager, node->gpus[k]->uuid);

            if (ledger_gpu_state(node->gpus[k]) == LEDGER_FREE && id != TOPO_NO_ID)
                free_gpus[free_count++] = id;
        }
    }
    status = free_count < request->gpu_count
                 ? too_few(manager, request, free_count, err)
                 : plan_placement(manager, request, plan, free_gpus, free_count, err);
    free(free_gpus);
    return status;
}

enum fab_status manager_plan(struct manager *manager, const struct manager_request *request,
                             struct manager_plan *plan, struct fab_err *err)
{
    enum fab_status status = plan_hosts(manager, request, plan, err);

    if (status == FAB_OK && request->name && ledger_find_system(manager->ledger, request->name))
        return fab_err_set(err, FAB_ERR_EXISTS,
                           "a system %s is there already: take another --name, or delete it",
                           request->name);
    if (status == FAB_OK)
        status = plan_gpus(manager, request, plan, err);
    for (uint32_t i = 0; status == FAB_OK && i < request->host_count; i++)
        status = plan_host_rails(manager, request, &plan->hosts[i], plan, err);
    if (status == FAB_OK)
        plan_name(manager, request, plan);
    return status;
}
