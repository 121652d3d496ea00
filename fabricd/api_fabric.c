/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_fabric.c - what discovery found: machines as chassis, the fabric's switches and
 * ports, the whole topology in one answer, and the findings.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/api_int.h"

#define FABRIC_ID "IB"

enum { GUID_TEXT_BYTES = 24 };

/* ---- chassis ----------------------------------------------------------------------------------
 */

static json_t *chassis_json(struct api_call *call, const struct ledger_node *node)
{
    const struct rack_node *heard = rack_find(call->api->parts.rack, node->name);
    json_t *json, *hcas = json_array();
    char uri[API_URI_BYTES];

    (void)snprintf(uri, sizeof(uri), "Chassis/%s", node->name);
    json = api_resource(uri, "Chassis.v1_25_2.Chassis", node->name, node->name);
    for (uint32_t i = 0; heard && i < heard->machine->hca_count; i++) {
        const struct topo_hca *hca = &heard->machine->hcas[i];
        char guid[GUID_TEXT_BYTES];

        (void)snprintf(guid, sizeof(guid), "0x%016" PRIx64, hca->node_guid);
        api_add(call, hcas,
                json_pack("{s:s,s:s,s:i}", "Name", hca->name, "NodeGuid", guid, "Ports",
                          (int)hca->port_count));
    }
    api_put(call, json, "ChassisType", json_string("RackMount"));
    api_put(call, json, "Status", api_status_json(node->is_lost ? LEDGER_LOST : LEDGER_COMPOSED));
    api_put(call, json, "Links",
            json_pack("{s:[o]}", "ComputerSystems", api_link("Systems/%s", node->name)));
    api_put_oem(call, json,
                json_pack("{s:i,s:i,s:o}", "NumaNodes", heard ? (int)heard->machine->numa_count : 0,
                          "Gpus", (int)node->gpu_count, "Hcas", hcas));
    return json;
}

void api_get_all_chassis(struct api_call *call)
{
    const struct ledger *ledger = call->api->parts.ledger;
    const struct api_collection all = api_collection(call, "ChassisCollection", "Machines");

    for (size_t i = 0; i < ledger_node_count(ledger); i++)
        api_add(call, all.members,
                call->is_expanded ? chassis_json(call, ledger_node(ledger, i))
                                  : api_link("Chassis/%s", ledger_node(ledger, i)->name));
    api_reply_collection(call, &all);
}

void api_get_chassis(struct api_call *call)
{
    const struct ledger_node *node = ledger_find_node(call->api->parts.ledger, call->parts[0]);

    if (node)
        api_reply(call, 200, chassis_json(call, node));
    else
        api_fail(call, 404, "ResourceNotFound", "there is no machine %s: see `compose node list`",
                 call->parts[0]);
}

/* ---- the fabric -------------------------------------------------------------------------------
 */

static json_t *fabric_json(struct api_call *call)
{
    json_t *json =
        api_resource("Fabrics/" FABRIC_ID, "Fabric.v1_3_2.Fabric", FABRIC_ID, "InfiniBand fabric");

    api_put(call, json, "FabricType", json_string("InfiniBand"));
    api_put(call, json, "Status", api_status_json(LEDGER_COMPOSED));
    api_put(call, json, "Switches", api_link("Fabrics/" FABRIC_ID "/Switches"));
    return json;
}

void api_get_fabrics(struct api_call *call)
{
    const struct api_collection all = api_collection(call, "FabricCollection", "Fabrics");

    if (rack_fabric(call->api->parts.rack))
        api_add(call, all.members,
                call->is_expanded ? fabric_json(call) : api_link("Fabrics/" FABRIC_ID));
    api_reply_collection(call, &all);
}

/* NULL: the call has failed. */
static const struct topo_fabric *find_fabric(struct api_call *call)
{
    const struct topo_fabric *fabric = rack_fabric(call->api->parts.rack);

    if (fabric && strcmp(call->parts[0], FABRIC_ID) == 0)
        return fabric;
    api_fail(call, 404, "ResourceNotFound",
             fabric ? "there is no fabric %s: there is " FABRIC_ID
                    : "there is no fabric %s: no node with role.fabric has swept one yet",
             call->parts[0]);
    return NULL;
}

void api_get_fabric(struct api_call *call)
{
    if (find_fabric(call))
        api_reply(call, 200, fabric_json(call));
}

static json_t *switch_json(struct api_call *call, const struct topo_fabric_node *node)
{
    char uri[API_URI_BYTES], guid[GUID_TEXT_BYTES];
    json_t *json;

    (void)snprintf(guid, sizeof(guid), "0x%016" PRIx64, node->guid);
    (void)snprintf(uri, sizeof(uri), "Fabrics/" FABRIC_ID "/Switches/%s", guid);
    json = api_resource(uri, "Switch.v1_9_0.Switch", guid, node->description);
    api_put(call, json, "SwitchType", json_string("InfiniBand"));
    api_put(call, json, "Status", api_status_json(LEDGER_COMPOSED));
    api_put(call, json, "Ports", api_link("Fabrics/" FABRIC_ID "/Switches/%s/Ports", guid));
    api_put_oem(call, json,
                json_pack("{s:i,s:i}", "Lid", (int)node->lid, "Ports", (int)node->port_count));
    return json;
}

void api_get_switches(struct api_call *call)
{
    const struct topo_fabric *fabric = find_fabric(call);
    struct api_collection all;

    if (!fabric)
        return;
    all = api_collection(call, "SwitchCollection", "Switches");
    for (uint32_t i = 0; i < fabric->node_count; i++)
        if (fabric->nodes[i].kind == TOPO_FABRIC_SWITCH)
            api_add(call, all.members,
                    call->is_expanded ? switch_json(call, &fabric->nodes[i])
                                      : api_link("Fabrics/" FABRIC_ID "/Switches/0x%016" PRIx64,
                                                 fabric->nodes[i].guid));
    api_reply_collection(call, &all);
}

static const struct topo_fabric_node *find_switch(struct api_call *call,
                                                  const struct topo_fabric *fabric)
{
    const uint64_t guid = strtoull(call->parts[1], NULL, 16);

    for (uint32_t i = 0; i < fabric->node_count; i++)
        if (fabric->nodes[i].kind == TOPO_FABRIC_SWITCH && fabric->nodes[i].guid == guid)
            return &fabric->nodes[i];
    api_fail(call, 404, "ResourceNotFound", "there is no switch %s", call->parts[1]);
    return NULL;
}

void api_get_switch(struct api_call *call)
{
    const struct topo_fabric *fabric = find_fabric(call);
    const struct topo_fabric_node *node = fabric ? find_switch(call, fabric) : NULL;

    if (node)
        api_reply(call, 200, switch_json(call, node));
}

static json_t *port_json(struct api_call *call, const struct topo_fabric *fabric,
                         const struct topo_fabric_port *port)
{
    const struct topo_fabric_port *peer =
        port->peer == TOPO_NONE ? NULL : &fabric->ports[port->peer];
    const bool is_up = port->state == TOPO_PORT_ACTIVE;
    char uri[API_URI_BYTES], id[GUID_TEXT_BYTES];
    json_t *json;

    (void)snprintf(id, sizeof(id), "%u", port->number);
    (void)snprintf(uri, sizeof(uri), "Fabrics/" FABRIC_ID "/Switches/%s/Ports/%s", call->parts[1],
                   id);
    json = api_resource(uri, "Port.v1_15_0.Port", id, id);
    api_put(call, json, "PortProtocol", json_string("InfiniBand"));
    api_put(call, json, "LinkStatus",
            json_string(is_up                     ? "LinkUp"
                        : port->peer == TOPO_NONE ? "NoLink"
                                                  : "LinkDown"));
    api_put(call, json, "ActiveWidth", json_integer(port->width));
    api_put(call, json, "CurrentSpeedGbps",
            json_real((double)port->width * port->lane_mbps * 8 / 1000));
    api_put_oem(call, json,
                json_pack("{s:o,s:o,s:b,s:I,s:I,s:I}", "Peer",
                          peer ? api_text(fabric->nodes[peer->node].description) : json_null(),
                          "PeerPort", peer ? json_integer(peer->number) : json_null(),
                          "HasCounters", (int)port->has_counters, "SymbolErrors",
                          (json_int_t)port->symbol_errors, "LinkDowned",
                          (json_int_t)port->link_downed, "ReceiveErrors",
                          (json_int_t)port->receive_errors));
    return json;
}

void api_get_ports(struct api_call *call)
{
    const struct topo_fabric *fabric = find_fabric(call);
    const struct topo_fabric_node *node = fabric ? find_switch(call, fabric) : NULL;
    struct api_collection all;

    if (!node)
        return;
    all = api_collection(call, "PortCollection", "Ports");
    for (uint32_t i = 0; i < node->port_count; i++) {
        const struct topo_fabric_port *port = &fabric->ports[node->first_port + i];

        api_add(call, all.members,
                call->is_expanded ? port_json(call, fabric, port)
                                  : api_link("Fabrics/" FABRIC_ID "/Switches/%s/Ports/%u",
                                             call->parts[1], port->number));
    }
    api_reply_collection(call, &all);
}

void api_get_port(struct api_call *call)
{
    const struct topo_fabric *fabric = find_fabric(call);
    const struct topo_fabric_node *node = fabric ? find_switch(call, fabric) : NULL;
    char id[GUID_TEXT_BYTES];

    for (uint32_t i = 0; node && i < node->port_count; i++) {
        const struct topo_fabric_port *port = &fabric->ports[node->first_port + i];

        (void)snprintf(id, sizeof(id), "%u", port->number);
        if (strcmp(id, call->parts[2]) == 0) {
            api_reply(call, 200, port_json(call, fabric, port));
            return;
        }
    }
    if (node)
        api_fail(call, 404, "ResourceNotFound", "switch %s has no port %s", call->parts[1],
                 call->parts[2]);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static const struct topo *find_topo(struct api_call *call)
{
    const struct topo *topo = rack_topo(call->api->parts.rack);

    if (!topo)
        api_fail(call, 503, "NotReady", "no node has reported yet: try again in a moment");
    return topo;
}

static void reply_topology(struct api_call *call, const struct topo *topo, enum topo_format format,
                           const char *type)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    enum fab_status status = stream ? topo_print(topo, format, stream, NULL) : FAB_ERR_NOMEM;

    if (stream && fclose(stream) != 0)
        status = FAB_ERR_NOMEM;
    if (status != FAB_OK)
        api_fail_status(call, FAB_ERR_NOMEM, "");
    else if (bytes > MESSAGE_BODY_BYTES)
        api_fail(call, 500, "TooLong", "the topology is longer than 16 MiB in this format");
    else
        api_reply_text(call, type, text, bytes);
    free(text);
}

void api_get_topology(struct api_call *call)
{
    static const struct {
        const char *name, *type;
        enum topo_format format;
    } formats[] = {{"tree", "text/plain;charset=utf-8", TOPO_FORMAT_TREE},
                   {"matrix", "text/plain;charset=utf-8", TOPO_FORMAT_MATRIX},
                   {"dot", "text/plain;charset=utf-8", TOPO_FORMAT_DOT},
                   {"svg", "image/svg+xml", TOPO_FORMAT_SVG},
                   {"json", "application/json;charset=utf-8", TOPO_FORMAT_JSON}};
    const struct topo *topo = find_topo(call);
    char text[API_QUERY_BYTES];
    const char *wanted = api_query(call, "format", text);

    if (!topo)
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(formats); i++)
        if (strcmp(wanted ? wanted : "json", formats[i].name) == 0) {
            reply_topology(call, topo, formats[i].format, formats[i].type);
            return;
        }
    api_fail(call, 400, "QueryParameterValueError",
             "format=%s: expected tree, matrix, dot, svg or json", wanted);
}

void api_get_findings(struct api_call *call)
{
    static const char *const severities[] = {
        [TOPO_NOTICE] = "notice", [TOPO_WARNING] = "warning", [TOPO_CRITICAL] = "critical"};
    const struct topo *topo = find_topo(call);
    json_t *members = json_array(), *json;

    for (size_t i = 0; topo && i < topo_finding_count(topo); i++) {
        const struct topo_finding *finding = topo_finding(topo, i);
        const struct topo_thing *thing =
            finding->thing == TOPO_NO_ID ? NULL : topo_thing(topo, finding->thing);

        api_add(call, members,
                json_pack("{s:s,s:s,s:o,s:o}", "Severity", severities[finding->severity], "Code",
                          finding->code, "Thing", api_text(thing ? thing->name : ""), "Text",
                          api_text(finding->text)));
    }
    if (!topo) {
        json_decref(members);
        return;
    }
    json = api_resource("Oem/Fabric/Findings", "FabricFindings.v1_0_0.FabricFindings", "Findings",
                        "What discovery shows that should not be");
    api_put(call, json, "Members", members);
    api_reply(call, 200, json);
}
