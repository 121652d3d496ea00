/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_gpus.c - GPUs as resources: blocks of the composition service, processors of systems.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/api_int.h"

#define BLOCKS "CompositionService/ResourceBlocks"
#define ZONE_ID "rack"

/* ---- one GPU ----------------------------------------------------------------------------------
 */

/* What only the model knows. */
static void put_place(struct api_call *call, json_t *json, const struct ledger_gpu *gpu)
{
    const struct topo *topo = rack_topo(call->api->parts.rack);
    const topo_id id = rack_gpu(call->api->parts.rack, gpu->uuid);
    const struct topo_thing *thing = id == TOPO_NO_ID ? NULL : topo_thing(topo, id);
    const struct topo_machine *machine =
        thing ? topo_thing(topo, thing->machine)->machine_record : NULL;
    const int32_t numa = thing && machine && thing->gpu->pci != TOPO_NONE
                             ? machine->pci[thing->gpu->pci].numa
                             : TOPO_NONE;

    api_put(call, json, "MemoryBytes",
            json_integer(thing ? (json_int_t)thing->gpu->memory_bytes : 0));
    api_put(call, json, "Numa",
            numa == TOPO_NONE ? json_null() : json_integer(machine->numa[numa].os_index));
}

const struct topo_gpu_gauge *api_gpu_gauge(const struct api_call *call,
                                           const struct ledger_gpu *gpu)
{
    return gpu->node->is_lost ? NULL
                              : rack_gpu_gauge(call->api->parts.rack, gpu->node->name, gpu->uuid);
}

json_t *api_gpu_json(struct api_call *call, const struct ledger_gpu *gpu)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);
    json_t *json = json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:I,s:I}", "Uuid", gpu->uuid, "Node",
                             gpu->node->name, "Index", (json_int_t)gpu->index, "Model", gpu->name,
                             "State", ledger_state_name(ledger_gpu_state(gpu)), "Reason",
                             api_text(ledger_gpu_reason(gpu)), "SinceMs", (json_int_t)gpu->since_ms,
                             "Fence", (json_int_t)gpu->fence);

    api_put(call, json, "Load",
            gauge && gauge->load != UINT32_MAX ? json_integer(gauge->load) : json_null());
    api_put(call, json, "UsedBytes",
            gauge && gauge->used_bytes <= INT64_MAX ? json_integer((json_int_t)gauge->used_bytes)
                                                    : json_null());
    api_put(call, json, "System", gpu->system ? json_string(gpu->system->name) : json_null());
    put_place(call, json, gpu);
    return json;
}

/* ---- blocks -----------------------------------------------------------------------------------
 */

enum { RAILS_SHOWN = 8 };

static json_t *rails_json(struct api_call *call, const struct ledger_gpu *gpu)
{
    const struct topo *topo = rack_topo(call->api->parts.rack);
    const topo_id id = rack_gpu(call->api->parts.rack, gpu->uuid);
    struct topo_rail rails[RAILS_SHOWN];
    size_t count = id == TOPO_NO_ID ? 0 : topo_rails(topo, id, rails, RAILS_SHOWN);
    json_t *json = json_array();

    if (count > RAILS_SHOWN)
        count = RAILS_SHOWN;
    for (size_t i = 0; i < count; i++)
        api_add(call, json,
                json_pack("{s:s,s:s,s:I,s:b}", "Port", topo_thing(topo, rails[i].port)->name,
                          "Class", topo_class_name(rails[i].path.class), "Mbps",
                          (json_int_t)rails[i].path.mbps, "Direct", (int)rails[i].is_direct));
    return json;
}

static json_t *block_json(struct api_call *call, const struct ledger_gpu *gpu)
{
    const enum ledger_state state = ledger_gpu_state(gpu);
    char uri[API_URI_BYTES], name[API_URI_BYTES];
    json_t *json, *oem = api_gpu_json(call, gpu), *systems = json_array();

    (void)snprintf(uri, sizeof(uri), BLOCKS "/%s", gpu->uuid);
    (void)snprintf(name, sizeof(name), "%s gpu%u: %s", gpu->node->name, gpu->index, gpu->name);
    json = api_resource(uri, "ResourceBlock.v1_4_3.ResourceBlock", gpu->uuid, name);
    api_put(call, oem, "Rails", rails_json(call, gpu));
    if (gpu->system)
        api_add(call, systems, api_link("Systems/%s", gpu->system->name));
    api_put(call, json, "ResourceBlockType", json_pack("[s]", "Processor"));
    api_put(call, json, "Status", api_status_json(state));
    api_put(call, json, "CompositionStatus",
            json_pack("{s:s,s:b,s:b,s:i,s:i}", "CompositionState", api_composition_state(state),
                      "Reserved", state == LEDGER_RESERVED, "SharingCapable", 0, "MaxCompositions",
                      1, "NumberOfCompositions", gpu->system ? 1 : 0));
    api_put(call, json, "Processors",
            json_pack("[o]", api_link("Systems/%s/Processors/%s", gpu->node->name, gpu->uuid)));
    api_put(call, json, "Links",
            json_pack("{s:o,s:[o],s:[o]}", "ComputerSystems", systems, "Chassis",
                      api_link("Chassis/%s", gpu->node->name), "Zones",
                      api_link("CompositionService/ResourceZones/" ZONE_ID)));
    api_put_oem(call, json, oem);
    return json;
}

void api_get_blocks(struct api_call *call)
{
    const struct ledger *ledger = call->api->parts.ledger;
    const struct api_collection all =
        api_collection(call, "ResourceBlockCollection", "Resource blocks");

    for (size_t i = 0; i < ledger_node_count(ledger); i++) {
        const struct ledger_node *node = ledger_node(ledger, i);

        for (uint32_t k = 0; k < node->gpu_count; k++)
            api_add(call, all.members,
                    call->is_expanded ? block_json(call, node->gpus[k])
                                      : api_link(BLOCKS "/%s", node->gpus[k]->uuid));
    }
    api_reply_collection(call, &all);
}

/* NULL: the call has failed. */
static const struct ledger_gpu *find_block(struct api_call *call)
{
    const struct ledger_gpu *gpu = ledger_find_gpu(call->api->parts.ledger, call->parts[0]);

    if (!gpu)
        api_fail(call, 404, "ResourceNotFound", "there is no GPU %s: see `compose gpu list`",
                 call->parts[0]);
    return gpu;
}

void api_get_block(struct api_call *call)
{
    const struct ledger_gpu *gpu = find_block(call);

    if (gpu)
        api_reply(call, 200, block_json(call, gpu));
}

enum fab_status api_drain(struct api_call *call, const char *name, const json_t *fabric,
                          struct fab_err *err)
{
    const char *reason = NULL;
    bool is_drained = false;
    enum fab_status status = fab_json_get_bool(fabric, "Drained", &is_drained, err);

    if (status == FAB_OK && is_drained)
        status = fab_json_get_string(fabric, "Reason", &reason, err);
    if (status == FAB_OK && reason && (!reason[0] || strlen(reason) >= LEDGER_REASON_BYTES))
        return fab_err_set(err, FAB_ERR_RANGE, "Reason: expected 1 to %d bytes",
                           LEDGER_REASON_BYTES - 1);
    if (status == FAB_OK)
        status = ledger_drain(call->api->parts.ledger, name, reason, call->now_ms, err);
    if (status == FAB_OK)
        manager_turn(call->api->manager, call->now_ms);
    return status;
}

const json_t *api_patch_body(const json_t *body, const char *const *known, struct fab_err *err)
{
    static const char *const body_known[] = {"Oem", NULL}, *const oem_known[] = {"Fabric", NULL};
    const json_t *oem = json_object_get(body, "Oem"), *fabric = json_object_get(oem, "Fabric");

    if (!fabric) {
        (void)fab_err_set(err, FAB_ERR_INVALID, "nothing to change: set members of Oem.Fabric");
        return NULL;
    }
    if (api_check_members(body, "the body", body_known, err) != FAB_OK ||
        api_check_members(oem, "Oem", oem_known, err) != FAB_OK ||
        api_check_members(fabric, "Oem.Fabric", known, err) != FAB_OK)
        return NULL;
    return fabric;
}

void api_patch_block(struct api_call *call)
{
    static const char *const known[] = {"Drained", "Reason", NULL};
    const struct ledger_gpu *gpu = find_block(call);
    struct fab_err err = {0};
    const json_t *fabric;
    enum fab_status status;

    if (!gpu)
        return;
    fabric = api_patch_body(call->body, known, &err);
    status = fabric ? api_drain(call, gpu->uuid, fabric, &err) : FAB_ERR_INVALID;
    if (status == FAB_ERR_NOT_FOUND)
        status = FAB_ERR_INVALID; /* a member */
    if (status != FAB_OK)
        api_fail_status(call, status, err.text);
    else
        api_get_block(call);
}

/* ---- the service and its one zone -------------------------------------------------------------
 */

void api_get_composition(struct api_call *call)
{
    json_t *json =
        api_resource("CompositionService", "CompositionService.v1_2_3.CompositionService",
                     "CompositionService", "Composition service");

    api_put(call, json, "ServiceEnabled", json_true());
    api_put(call, json, "AllowOverprovisioning", json_false());
    api_put(call, json, "Status", api_status_json(LEDGER_COMPOSED));
    api_put(call, json, "ResourceBlocks", api_link(BLOCKS));
    api_put(call, json, "ResourceZones", api_link("CompositionService/ResourceZones"));
    api_reply(call, 200, json);
}

static json_t *zone_json(struct api_call *call)
{
    const struct ledger *ledger = call->api->parts.ledger;
    json_t *blocks = json_array();
    json_t *json = api_resource("CompositionService/ResourceZones/" ZONE_ID, "Zone.v1_6_3.Zone",
                                ZONE_ID, "The whole rack");

    for (size_t i = 0; i < ledger_node_count(ledger); i++)
        for (uint32_t k = 0; k < ledger_node(ledger, i)->gpu_count; k++)
            api_add(call, blocks, api_link(BLOCKS "/%s", ledger_node(ledger, i)->gpus[k]->uuid));
    api_put(call, json, "ZoneType", json_string("ZoneOfResourceBlocks"));
    api_put(call, json, "Status", api_status_json(LEDGER_COMPOSED));
    api_put(call, json, "Links", json_pack("{s:o}", "ResourceBlocks", blocks));
    return json;
}

void api_get_zones(struct api_call *call)
{
    const struct api_collection all = api_collection(call, "ZoneCollection", "Resource zones");

    api_add(call, all.members,
            call->is_expanded ? zone_json(call)
                              : api_link("CompositionService/ResourceZones/" ZONE_ID));
    api_reply_collection(call, &all);
}

void api_get_zone(struct api_call *call)
{
    if (strcmp(call->parts[0], ZONE_ID) == 0)
        api_reply(call, 200, zone_json(call));
    else
        api_fail(call, 404, "ResourceNotFound", "there is no zone %s: there is " ZONE_ID,
                 call->parts[0]);
}
