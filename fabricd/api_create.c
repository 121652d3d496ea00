/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_create.c - POST to Systems: what is asked for, read from the body.
 */
#include "fabricd/api_create.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"

#define BLOCKS API_ROOT "/CompositionService/ResourceBlocks/"

#define WAIT_MAX_MS INT64_C(86400000)

static enum fab_status take_number(const json_t *object, const char *name, int64_t min, int64_t max,
                                   uint64_t *value_out, struct fab_err *err)
{
    int64_t value;
    enum fab_status status;

    if (!json_object_get(object, name))
        return FAB_OK;
    status = fab_json_get_int(object, name, min, max, &value, err);
    if (status == FAB_OK)
        *value_out = (uint64_t)value;
    return status;
}

static enum fab_status take_name(const json_t *body, struct manager_request *request,
                                 struct fab_err *err)
{
    enum fab_status status;

    if (!json_object_get(body, "Name"))
        return FAB_OK;
    status = fab_json_get_string(body, "Name", &request->name, err);
    if (status == FAB_OK && strlen(request->name) >= LEDGER_NAME_BYTES)
        return fab_err_set(err, FAB_ERR_RANGE, "Name: a system's name has at most %d characters",
                           LEDGER_NAME_BYTES - 1);
    return status;
}

static enum fab_status take_blocks(const json_t *body, struct api_create *create,
                                   struct fab_err *err)
{
    static const char *const known[] = {"ResourceBlocks", NULL};
    const json_t *links = json_object_get(body, "Links");
    const json_t *blocks = json_object_get(links, "ResourceBlocks");
    enum fab_status status = api_check_members(links, "Links", known, err);

    if (!links || status != FAB_OK)
        return status;
    if (!json_is_array(blocks) || json_array_size(blocks) == 0 ||
        json_array_size(blocks) > LEDGER_SYSTEM_GPU_MAX)
        return fab_err_set(err, FAB_ERR_RANGE,
                           "Links.ResourceBlocks: expected an array of 1 to %d blocks",
                           LEDGER_SYSTEM_GPU_MAX);
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const char *uri =
            json_string_value(json_object_get(json_array_get(blocks, i), "@odata.id"));

        if (!uri || strncmp(uri, BLOCKS, strlen(BLOCKS)) != 0)
            return fab_err_set(
                err, FAB_ERR_INVALID,
                "Links.ResourceBlocks[%zu]: expected {\"@odata.id\": \"" BLOCKS "ID\"}", i);
        create->uuids[i] = uri + strlen(BLOCKS);
    }
    create->request.uuids = create->uuids;
    create->request.gpu_count = (uint32_t)json_array_size(blocks);
    return FAB_OK;
}

static enum fab_status take_hosts(const json_t *fabric, const char *node, struct api_create *create,
                                  struct fab_err *err)
{
    const json_t *hosts = json_object_get(fabric, "Hosts");

    if (!hosts && node[0]) {
        create->hosts[0] = node;
        create->request.host_count = 1;
        return FAB_OK;
    }
    if (!json_is_array(hosts) || json_array_size(hosts) == 0 ||
        json_array_size(hosts) > LEDGER_SYSTEM_HOST_MAX)
        return fab_err_set(err, FAB_ERR_RANGE,
                           "Oem.Fabric.Hosts: expected an array of 1 to %d names of hosts",
                           LEDGER_SYSTEM_HOST_MAX);
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        create->hosts[i] = json_string_value(json_array_get(hosts, i));
        if (!create->hosts[i])
            return fab_err_set(err, FAB_ERR_INVALID, "Oem.Fabric.Hosts[%zu]: expected a name", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(create->hosts[k], create->hosts[i]) == 0)
                return fab_err_set(err, FAB_ERR_INVALID, "host %.64s stands twice",
                                   create->hosts[i]);
    }
    create->request.host_count = (uint32_t)json_array_size(hosts);
    return FAB_OK;
}

static enum fab_status take_strategy(const json_t *fabric, struct manager_request *request,
                                     struct fab_err *err)
{
    static const char *const names[] = {
        [PLACEMENT_BEST] = "default", [PLACEMENT_PACK] = "pack", [PLACEMENT_SPREAD] = "spread"};
    const char *name;
    enum fab_status status;

    if (!json_object_get(fabric, "Strategy"))
        return FAB_OK;
    status = fab_json_get_string(fabric, "Strategy", &name, err);
    for (size_t i = 0; status == FAB_OK && i < FAB_ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) {
            request->strategy = (enum placement_strategy)i;
            return FAB_OK;
        }
    return status != FAB_OK ? status
                            : fab_err_set(err, FAB_ERR_INVALID,
                                          "Oem.Fabric.Strategy: '%.40s' is none of default, pack, "
                                          "spread",
                                          name);
}

static enum fab_status take_gpus(const json_t *fabric, struct manager_request *request,
                                 struct fab_err *err)
{
    uint64_t gpus = request->gpu_count;
    const enum fab_status status =
        take_number(fabric, "Gpus", 1, LEDGER_SYSTEM_GPU_MAX, &gpus, err);

    if (status != FAB_OK)
        return status;
    if (gpus == 0)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "which GPUs? Set Oem.Fabric.Gpus, or Links.ResourceBlocks");
    if (request->uuids && gpus != request->gpu_count)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "Oem.Fabric.Gpus is %" PRIu64 ", and Links.ResourceBlocks has %u", gpus,
                           request->gpu_count);
    request->gpu_count = (uint32_t)gpus;
    return FAB_OK;
}

static enum fab_status take_fabric(const json_t *fabric, const char *node,
                                   struct api_create *create, struct fab_err *err)
{
    static const char *const known[] = {"Hosts",  "Gpus",    "Strategy", "Rails",
                                        "WaitMs", "LimitMs", "AdHoc",    NULL};
    struct manager_request *request = &create->request;
    uint64_t rails = 0;
    enum fab_status status = api_check_members(fabric, "Oem.Fabric", known, err);

    if (status == FAB_OK)
        status = take_hosts(fabric, node, create, err);
    if (status == FAB_OK)
        status = take_gpus(fabric, request, err);
    if (status == FAB_OK)
        status = take_strategy(fabric, request, err);
    if (status == FAB_OK)
        status = take_number(fabric, "WaitMs", 0, WAIT_MAX_MS, &request->wait_ms, err);
    if (status == FAB_OK)
        status = take_number(fabric, "LimitMs", 1, WAIT_MAX_MS, &request->limit_ms, err);
    if (status == FAB_OK)
        status = take_number(fabric, "Rails", 1, RAILS_MAX, &rails, err);
    if (status == FAB_OK && json_object_get(fabric, "AdHoc"))
        status = fab_json_get_bool(fabric, "AdHoc", &request->is_adhoc, err);
    request->rails = (uint32_t)rails;
    return status;
}

/* It ends with the program that asked, which only the agent of that program's host can see. */
static enum fab_status check_adhoc(const struct manager_request *request, const char *node,
                                   struct fab_err *err)
{
    if (!request->is_adhoc)
        return FAB_OK;
    if (!node[0])
        return fab_err_set(err, FAB_ERR_INVALID,
                           "Oem.Fabric.AdHoc: an ad hoc system ends with the program that asks, "
                           "which is not seen over the network: ask on the host itself, or leave "
                           "AdHoc out and delete the system");
    for (uint32_t i = 0; i < request->host_count; i++)
        if (strcmp(request->hosts[i], node) != 0)
            return fab_err_set(err, FAB_ERR_INVALID,
                               "Oem.Fabric.AdHoc: an ad hoc system ends with the program that "
                               "asks, which is on %s and not on %s: ask on %s, or leave AdHoc out "
                               "and delete the system",
                               node, request->hosts[i], request->hosts[i]);
    return FAB_OK;
}

enum fab_status api_create_read(const json_t *body, uint32_t uid, const char *node,
                                struct api_create *create_out, struct fab_err *err)
{
    static const char *const known[] = {"Name", "Links", "Oem", "SystemType", NULL};
    static const char *const oem[] = {"Fabric", NULL};
    enum fab_status status;

    *create_out = (struct api_create){.request = {.owner_uid = uid}};
    create_out->request.hosts = create_out->hosts;
    if (!body)
        return fab_err_set(err, FAB_ERR_INVALID, "the body is empty: say what to compose");
    status = api_check_members(body, "the body", known, err);
    if (status == FAB_OK)
        status = api_check_members(json_object_get(body, "Oem"), "Oem", oem, err);
    if (status == FAB_OK)
        status = take_name(body, &create_out->request, err);
    if (status == FAB_OK)
        status = take_blocks(body, create_out, err);
    if (status == FAB_OK)
        status = take_fabric(json_object_get(json_object_get(body, "Oem"), "Fabric"), node,
                             create_out, err);
    if (status == FAB_OK)
        status = check_adhoc(&create_out->request, node, err);
    return status;
}

bool api_is_same_system(const struct ledger_system *system, const json_t *body, uint32_t uid,
                        const char *node)
{
    struct api_create create;
    const struct manager_request *wanted = &create.request;

    if (api_create_read(body, uid, node, &create, NULL) != FAB_OK || system->owner_uid != uid ||
        system->is_adhoc || wanted->is_adhoc || system->host_count != wanted->host_count ||
        system->gpu_count != wanted->gpu_count || system->rails != wanted->rails ||
        system->state == LEDGER_RELEASING || system->state == LEDGER_FAILED)
        return false;
    for (uint32_t i = 0; i < system->host_count; i++)
        if (strcmp(system->hosts[i].node, wanted->hosts[i]) != 0)
            return false;
    for (uint32_t i = 0; wanted->uuids && i < system->gpu_count; i++)
        if (strcmp(system->gpus[i]->uuid, wanted->uuids[i]) != 0)
            return false;
    return true;
}
