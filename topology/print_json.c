/* SPDX-License-Identifier: Apache-2.0
 * topology/print_json.c - the model as JSON, for programs and the dashboard: things with their
 * holders, cables, findings.
 */
#include "base/err.h"
#include "base/json.h"
#include "topology/topo_int.h"

static json_t *name_or_null(const struct topo *topo, topo_id id)
{
    return id == TOPO_NO_ID ? json_null() : json_string(topo_things(topo)[id].name);
}

static json_t *guid_json(uint64_t guid)
{
    return json_sprintf("0x%016llx", (unsigned long long)guid);
}

static json_t *gpu_json(const struct topo_thing *thing)
{
    const struct topo_gpu *gpu = thing->gpu;
    char bdf[TOPO_BDF_BYTES] = "";

    if (gpu->pci != TOPO_NONE)
        (void)topo_bdf_format(&thing->machine_record->pci[gpu->pci].bdf, bdf);
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "model", gpu->name, "uuid", gpu->uuid, "pci", bdf,
                     "memory_bytes", (json_int_t)gpu->memory_bytes, "bar1_bytes",
                     (json_int_t)gpu->bar1_bytes);
}

static json_t *rails_json(const struct topo *topo, topo_id gpu)
{
    struct topo_rail rails[TOPO_HCA_MAX * TOPO_HCA_PORT_MAX];
    size_t count = topo_rails(topo, gpu, rails, FAB_ARRAY_LEN(rails));
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *rail = json_pack(
            "{s:o, s:s, s:I, s:b, s:o}", "port", name_or_null(topo, rails[i].port), "class",
            topo_class_name(rails[i].path.class), "mbps", (json_int_t)rails[i].path.mbps,
            "is_direct", rails[i].is_direct, "numa", name_or_null(topo, rails[i].numa));

        if (json_array_append_new(array, rail) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *thing_json(const struct topo *topo, topo_id id)
{
    const struct topo_thing *thing = &topo_things(topo)[id];
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:o}", "name", thing->name, "kind", topo_kind_name(thing->kind), "parent",
        name_or_null(topo, thing->parent), "machine", name_or_null(topo, thing->machine));
    int failed = json == NULL;

    if (thing->kind == TOPO_GPU) {
        failed |= json_object_set_new(json, "gpu", gpu_json(thing));
        failed |= json_object_set_new(json, "rails", rails_json(topo, id));
    }
    if (thing->kind == TOPO_HCA)
        failed |= json_object_set_new(json, "guid", guid_json(thing->hca->node_guid));
    if (thing->kind == TOPO_SWITCH)
        failed |= json_object_set_new(json, "guid", guid_json(thing->fabric_node->guid));
    if (thing->kind == TOPO_NUMA)
        failed |= json_object_set_new(
            json, "cpus",
            json_string(thing->machine_record->numa[topo_spots(topo)[id].index].cpus));
    if (thing->kind == TOPO_PORT) {
        failed |=
            json_object_set_new(json, "is_usable", json_boolean(topo_port_is_usable(topo, id)));
        failed |= json_object_set_new(json, "netdev",
                                      thing->port->netdev[0] ? json_string(thing->port->netdev)
                                                             : json_null());
    }
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *end_json(const struct topo *topo, uint32_t port)
{
    topo_id id = topo->port_thing[port];

    if (id == TOPO_NO_ID)
        id = topo->node_thing[topo->fabric.ports[port].node];
    return json_pack("{s:o, s:i}", "thing", name_or_null(topo, id), "port",
                     (int)topo->fabric.ports[port].number);
}

static json_t *cable_json(const struct topo *topo, uint32_t port)
{
    const struct topo_fabric_port *end = &topo->fabric.ports[port];

    return json_pack("{s:o, s:o, s:I, s:b}", "from", end_json(topo, port), "to",
                     end_json(topo, (uint32_t)end->peer), "mbps",
                     (json_int_t)end->width * end->lane_mbps, "is_active",
                     topo_cable_is_up(topo, port));
}

static json_t *finding_json(const struct topo *topo, const struct topo_finding *finding)
{
    return json_pack("{s:s, s:s, s:o, s:s}", "severity", topo_severity_name(finding->severity),
                     "code", finding->code, "thing", name_or_null(topo, finding->thing), "text",
                     finding->text);
}

static json_t *model_json(const struct topo *topo)
{
    json_t *things = json_array(), *cables = json_array(), *findings = json_array();
    int failed = 0;

    for (topo_id id = 0; id < topo->things.count; id++)
        failed |= json_array_append_new(things, thing_json(topo, id));
    for (uint32_t port = 0; port < topo->fabric.port_count; port++) {
        if (topo->fabric.ports[port].peer > (int32_t)port)
            failed |= json_array_append_new(cables, cable_json(topo, port));
    }
    for (size_t i = 0; i < topo_finding_count(topo); i++)
        failed |= json_array_append_new(findings, finding_json(topo, topo_finding(topo, i)));
    if (failed) {
        json_decref(things);
        json_decref(cables);
        json_decref(findings);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:o}", "things", things, "cables", cables, "findings", findings);
}

enum fab_status topo_print_json(const struct topo *topo, FILE *stream, struct fab_err *err)
{
    json_t *json = model_json(topo);
    int result;

    if (!json)
        return fab_err_set(err, FAB_ERR_NOMEM, "the topology as JSON");
    result = json_dumpf(json, stream, JSON_INDENT(2));
    json_decref(json);
    if (result != 0 || fputc('\n', stream) == EOF)
        return fab_err_set(err, FAB_ERR_IO, "the topology could not be written");
    return FAB_OK;
}
