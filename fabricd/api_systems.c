/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_systems.c - Systems: the machines of the rack, and those that were composed.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/api_create.h"
#include "fabricd/api_int.h"

#define SYSTEM_TYPE "ComputerSystem.v1_23_1.ComputerSystem"

enum { PORTS_MAX = TOPO_HCA_MAX * TOPO_HCA_PORT_MAX, RAIL_NAME_BYTES = 160 };

/* ---- composed systems -------------------------------------------------------------------------
 */

static json_t *path_json(struct api_call *call, topo_id machine, topo_id gpu)
{
    const struct topo *topo = rack_topo(call->api->parts.rack);
    struct topo_path path;

    if (machine == TOPO_NO_ID || gpu == TOPO_NO_ID ||
        topo_path(topo, machine, gpu, &path, NULL) != FAB_OK)
        return json_null();
    return json_pack("{s:s,s:i,s:I}", "Class", topo_class_name(path.class), "Hops",
                     (int)path.ib_hops, "Mbps", (json_int_t)path.mbps);
}

/* "c4130-1/mlx5_0:1": its place in the model, else what UCX opens. */
static void rail_name(const struct rack *rack, const char *node, uint32_t number, char *name)
{
    const struct rails_rail *rails;
    const uint32_t count = rack_rails(rack, node, &rails);

    if (number < count)
        (void)snprintf(name, RAIL_NAME_BYTES, "%s/%s", node,
                       rails[number].port[0] ? rails[number].port : rails[number].device);
    else /* its agent has not reported since this manager started */
        (void)snprintf(name, RAIL_NAME_BYTES, "%s/rail%u", node, number);
}

static bool is_direct(const struct topo *topo, topo_id gpu, const char *port)
{
    struct topo_rail rails[PORTS_MAX];
    const size_t count = gpu == TOPO_NO_ID ? 0 : topo_rails(topo, gpu, rails, PORTS_MAX);

    for (size_t i = 0; i < count; i++)
        if (strcmp(topo_thing(topo, rails[i].port)->name, port) == 0)
            return rails[i].is_direct;
    return false;
}

/* The pairs that were chosen when the system got its GPUs. */
static json_t *rails_json(struct api_call *call, const struct ledger_host *host,
                          const struct ledger_gpu *gpu, const struct rails_choice *choice)
{
    const struct rack *rack = call->api->parts.rack;
    json_t *json = json_array();

    for (uint32_t i = 0; i < choice->count; i++) {
        char local[RAIL_NAME_BYTES], remote[RAIL_NAME_BYTES];

        rail_name(rack, host->node, choice->pairs[i].local, local);
        rail_name(rack, gpu->node->name, choice->pairs[i].remote, remote);
        api_add(call, json,
                json_pack("{s:s,s:s,s:b}", "Local", local, "Remote", remote, "Direct",
                          (int)is_direct(rack_topo(rack), rack_gpu(rack, gpu->uuid), remote)));
    }
    return json;
}

static json_t *host_json(struct api_call *call, const struct ledger_system *system,
                         const struct ledger_host *host)
{
    const struct topo *topo = rack_topo(call->api->parts.rack);
    const topo_id machine = topo ? topo_find(topo, host->node) : TOPO_NO_ID;
    json_t *gpus = json_array();

    for (uint32_t i = 0; i < host->gpu_count; i++) {
        const struct ledger_gpu *gpu = system->gpus[host->first_gpu + i];
        const topo_id id = rack_gpu(call->api->parts.rack, gpu->uuid);
        json_t *json = api_gpu_json(call, gpu);

        api_put(call, json, "Path", path_json(call, machine, id));
        api_put(call, json, "Rails",
                rails_json(call, host, gpu, &system->rails_of[host->first_gpu + i]));
        api_add(call, gpus, json);
    }
    return json_pack("{s:s,s:o}", "Name", host->node, "Gpus", gpus);
}

static void add_programs(struct api_call *call, const struct ledger_system *system, json_t *json)
{
    const struct rack *rack = call->api->parts.rack;

    for (size_t i = 0; i < rack_node_count(rack); i++) {
        const struct rack_node *node = rack_node(rack, i);

        for (uint32_t k = 0; k < node->program_count; k++) {
            const struct message_program *program = &node->programs[k];
            json_t *object;

            if (strcmp(program->system, system->name) != 0)
                continue;
            object = json_pack("{s:s,s:I,s:I,s:I}", "Host", node->name, "Uid",
                               (json_int_t)program->uid, "Pid", (json_int_t)program->pid, "SinceMs",
                               (json_int_t)program->since_ms);
            if (call->role == API_ADMIN || call->uid == program->uid)
                api_put(call, object, "Command", api_text(program->command));
            api_add(call, json, object);
        }
    }
}

json_t *api_system_json(struct api_call *call, const struct ledger_system *system)
{
    json_t *blocks = json_array(), *hosts = json_array(), *programs = json_array(), *json, *oem;
    char uri[API_URI_BYTES];

    (void)snprintf(uri, sizeof(uri), "Systems/%s", system->name);
    json = api_resource(uri, SYSTEM_TYPE, system->name, system->name);
    for (uint32_t i = 0; i < system->gpu_count; i++)
        api_add(call, blocks,
                api_link("CompositionService/ResourceBlocks/%s", system->gpus[i]->uuid));
    for (uint32_t i = 0; i < system->host_count; i++)
        api_add(call, hosts, host_json(call, system, &system->hosts[i]));
    add_programs(call, system, programs);
    oem = json_pack("{s:s,s:o,s:I,s:I,s:I,s:b,s:I,s:I,s:o,s:o}", "State",
                    ledger_state_name(system->state), "Reason", api_text(system->reason), "SinceMs",
                    (json_int_t)system->since_ms, "CreatedMs", (json_int_t)system->created_ms,
                    "OwnerUid", (json_int_t)system->owner_uid, "AdHoc", (int)system->is_adhoc,
                    "Fence", (json_int_t)(system->gpu_count ? system->gpus[0]->fence : 0), "Rails",
                    (json_int_t)system->rails, "Hosts", hosts, "Programs", programs);
    api_put(call, json, "SystemType", json_string("Composed"));
    api_put(call, json, "Status", api_status_json(system->state));
    api_put(call, json, "Processors", api_link("Systems/%s/Processors", system->name));
    api_put(call, json, "Links", json_pack("{s:o}", "ResourceBlocks", blocks));
    api_put_oem(call, json, oem);
    return json;
}

/* ---- machines ---------------------------------------------------------------------------------
 */

static const char *node_state(const struct ledger_node *node)
{
    return node->is_lost ? "lost" : node->is_drained ? "drained" : "up";
}

static json_t *health_json(struct api_call *call, const struct rack_node *heard)
{
    static const char *const grades[] = {"pass", "marginal", "fail"};
    json_t *json = json_array();

    for (uint32_t i = 0; heard && i < heard->health_count; i++) {
        const struct message_health *row = &heard->health[i];

        api_add(call, json,
                json_pack("{s:o,s:o,s:s,s:o}", "Name", api_text(row->name), "Value",
                          api_text(row->value), "Grade",
                          grades[row->grade < FAB_ARRAY_LEN(grades) ? row->grade : 2], "Advice",
                          api_text(row->advice)));
    }
    return json;
}

static json_t *machine_json(struct api_call *call, const struct ledger_node *node)
{
    const struct rack_node *heard = rack_find(call->api->parts.rack, node->name);
    const enum ledger_state state = node->is_lost      ? LEDGER_LOST
                                    : node->is_drained ? LEDGER_DRAINED
                                                       : LEDGER_COMPOSED;
    char uri[API_URI_BYTES];
    json_t *json, *oem;

    (void)snprintf(uri, sizeof(uri), "Systems/%s", node->name);
    json = api_resource(uri, SYSTEM_TYPE, node->name, node->name);
    oem = json_pack("{s:s,s:o,s:I,s:s,s:I,s:o,s:b}", "State", node_state(node), "Reason",
                    api_text(node->reason), "SinceMs", (json_int_t)node->since_ms, "Address",
                    heard ? heard->address : "", "Gpus", (json_int_t)node->gpu_count, "Health",
                    health_json(call, heard), "Drained", (int)node->is_drained);
    api_put(call, json, "SystemType", json_string("Physical"));
    api_put(call, json, "HostName", json_string(node->name));
    api_put(call, json, "Status", api_status_json(state));
    api_put(call, json, "Processors", api_link("Systems/%s/Processors", node->name));
    api_put(call, json, "Links",
            json_pack("{s:[o]}", "Chassis", api_link("Chassis/%s", node->name)));
    api_put_oem(call, json, oem);
    return json;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

void api_get_systems(struct api_call *call)
{
    const struct ledger *ledger = call->api->parts.ledger;
    const struct api_collection all =
        api_collection(call, "ComputerSystemCollection", "Machines and composed systems");

    for (size_t i = 0; i < ledger_node_count(ledger); i++)
        api_add(call, all.members,
                call->is_expanded ? machine_json(call, ledger_node(ledger, i))
                                  : api_link("Systems/%s", ledger_node(ledger, i)->name));
    for (size_t i = 0; i < ledger_system_count(ledger); i++)
        api_add(call, all.members,
                call->is_expanded ? api_system_json(call, ledger_system(ledger, i))
                                  : api_link("Systems/%s", ledger_system(ledger, i)->name));
    api_reply_collection(call, &all);
}

/* One of the two, or the call has failed. */
static bool find_system(struct api_call *call, const struct ledger_system **system_out,
                        const struct ledger_node **node_out)
{
    *system_out = ledger_find_system(call->api->parts.ledger, call->parts[0]);
    *node_out = ledger_find_node(call->api->parts.ledger, call->parts[0]);
    if (*system_out || *node_out)
        return true;
    api_fail(call, 404, "ResourceNotFound",
             "there is no system or machine %s: see `compose list` and `compose node list`",
             call->parts[0]);
    return false;
}

void api_get_system(struct api_call *call)
{
    const struct ledger_system *system;
    const struct ledger_node *node;

    if (find_system(call, &system, &node))
        api_reply(call, 200, system ? api_system_json(call, system) : machine_json(call, node));
}

static json_t *processor_json(struct api_call *call, const struct ledger_gpu *gpu)
{
    char uri[API_URI_BYTES], name[API_URI_BYTES];
    json_t *json;

    (void)snprintf(uri, sizeof(uri), "Systems/%s/Processors/%s", call->parts[0], gpu->uuid);
    (void)snprintf(name, sizeof(name), "%s gpu%u", gpu->node->name, gpu->index);
    json = api_resource(uri, "Processor.v1_20_1.Processor", gpu->uuid, name);
    api_put(call, json, "ProcessorType", json_string("GPU"));
    api_put(call, json, "Model", json_string(gpu->name));
    api_put(call, json, "UUID",
            json_string(strncmp(gpu->uuid, "GPU-", 4) == 0 ? gpu->uuid + 4 : gpu->uuid));
    api_put(call, json, "Status", api_status_json(ledger_gpu_state(gpu)));
    api_put_oem(call, json, api_gpu_json(call, gpu));
    return json;
}

void api_get_processors(struct api_call *call)
{
    const struct ledger_system *system;
    const struct ledger_node *node;
    struct api_collection all;

    if (!find_system(call, &system, &node))
        return;
    all = api_collection(call, "ProcessorCollection", "GPUs");
    for (uint32_t i = 0; i < (system ? system->gpu_count : node->gpu_count); i++) {
        const struct ledger_gpu *gpu = system ? system->gpus[i] : node->gpus[i];

        api_add(call, all.members,
                call->is_expanded
                    ? processor_json(call, gpu)
                    : api_link("Systems/%s/Processors/%s", call->parts[0], gpu->uuid));
    }
    api_reply_collection(call, &all);
}

void api_get_processor(struct api_call *call)
{
    const struct ledger_gpu *gpu = ledger_find_gpu(call->api->parts.ledger, call->parts[1]);
    const struct ledger_system *system;
    const struct ledger_node *node;

    if (!find_system(call, &system, &node))
        return;
    if (gpu && (system ? gpu->system == system : gpu->node == node))
        api_reply(call, 200, processor_json(call, gpu));
    else
        api_fail(call, 404, "ResourceNotFound", "%s has no GPU %s", call->parts[0], call->parts[1]);
}

/* ---- changing ---------------------------------------------------------------------------------
 */

void api_post_system(struct api_call *call)
{
    struct api_create create;
    const struct ledger_system *there;
    struct fab_err err = {0};
    const struct ledger *ledger = call->api->parts.ledger;
    /* Where the request comes from is the host, if it is one. */
    const char *node = ledger_find_node(ledger, call->request->node) ? call->request->node : "";
    const enum fab_status status = api_create_read(call->body, call->uid, node, &create, &err);
    struct api_wait *wait;

    if (call->uid == API_NO_UID) {
        api_fail(call, 403, "InsufficientPrivilege",
                 "systems belong to users of the manager's node, and you are none of them");
        return;
    }
    if (status == FAB_ERR_UNSUPPORTED) {
        api_fail(call, 501, "NotSupported", "%s", err.text);
        return;
    }
    if (status != FAB_OK) { /* a missing member, too, is a mistake in the body */
        api_fail_status(call, FAB_ERR_INVALID, err.text);
        return;
    }
    if (create.request.name && ledger_find_node(ledger, create.request.name)) {
        api_fail_status(call, FAB_ERR_EXISTS, "a machine of the rack has this name: take another");
        return;
    }
    there = create.request.name ? ledger_find_system(ledger, create.request.name) : NULL;
    if (there && !api_is_same_system(there, call->body, call->uid, node)) {
        api_fail(call, 409, "ResourceAlreadyExists",
                 "a system %s is there already (%s): take another --name, or delete it",
                 there->name, ledger_state_name(there->state));
        return;
    }
    wait = api_wait_add(call, there ? API_WAIT_MADE : API_WAIT_CREATE,
                        create.request.name ? create.request.name : "");
    if (!wait)
        return;
    if (there) {
        wait->created_ms = there->created_ms;
        api_turn(call->api, call->now_ms);
    } else {
        manager_ask_create(call->api->manager, call->request->id, &create.request, call->now_ms);
    }
}

static void delete_machine(struct api_call *call, const struct ledger_node *node)
{
    struct fab_err err = {0};
    enum fab_status status = FAB_ERR_DENIED;

    if (call->role != API_ADMIN)
        (void)fab_err_set(&err, FAB_ERR_DENIED, "%s is a machine: only an administrator forgets it",
                          node->name);
    else
        status = ledger_node_forget(call->api->parts.ledger, node->name, call->now_ms, &err);
    if (status != FAB_OK)
        api_fail_status(call, status, err.text);
    else
        api_reply_nothing(call);
}

void api_delete_system(struct api_call *call)
{
    const struct ledger_system *system;
    const struct ledger_node *node;
    char reason[LEDGER_REASON_BYTES];

    if (!find_system(call, &system, &node))
        return;
    if (!system) {
        delete_machine(call, node);
        return;
    }
    if (call->role != API_ADMIN && system->owner_uid != call->uid) {
        api_fail(call, 403, "InsufficientPrivilege",
                 "system %s belongs to user %u: only they or an administrator may delete it",
                 system->name, system->owner_uid);
        return;
    }
    (void)snprintf(reason, sizeof(reason), "deleted by user %u", call->uid);
    if (api_wait_add(call, API_WAIT_DELETE, system->name))
        manager_ask_delete(call->api->manager, call->request->id, call->parts[0], reason,
                           call->now_ms);
}

static enum fab_status fence(struct api_call *call, const json_t *fabric, struct fab_err *err)
{
    bool is_fenced = false;
    const char *reason = NULL;
    enum fab_status status = fab_json_get_bool(fabric, "Fenced", &is_fenced, err);

    if (status == FAB_OK && !is_fenced)
        return fab_err_set(err, FAB_ERR_INVALID,
                           "Fenced: only true can be set; it ends when the node reports again");
    if (status == FAB_OK)
        status = fab_json_get_string(fabric, "Reason", &reason, err);
    if (status == FAB_OK)
        status = ledger_fence(call->api->parts.ledger, call->parts[0], reason, call->now_ms, err);
    if (status == FAB_OK)
        manager_turn(call->api->manager, call->now_ms);
    return status;
}

void api_patch_system(struct api_call *call)
{
    static const char *const known[] = {"Drained", "Fenced", "Reason", NULL};
    const struct ledger_system *system;
    const struct ledger_node *node;
    struct fab_err err = {0};
    const json_t *fabric;
    enum fab_status status = FAB_ERR_INVALID;

    if (!find_system(call, &system, &node))
        return;
    fabric = api_patch_body(call->body, known, &err);
    if (fabric && system)
        (void)fab_err_set(&err, status, "%s is a composed system: drain or fence its machines",
                          system->name);
    else if (fabric && json_object_get(fabric, "Fenced") && json_object_get(fabric, "Drained"))
        (void)fab_err_set(&err, status, "set Drained or Fenced, not both");
    else if (fabric && json_object_get(fabric, "Fenced"))
        status = fence(call, fabric, &err);
    else if (fabric)
        status = api_drain(call, node->name, fabric, &err);
    if (status == FAB_ERR_NOT_FOUND)
        status = FAB_ERR_INVALID; /* a member */
    if (status != FAB_OK)
        api_fail_status(call, status, err.text);
    else
        api_get_system(call);
}
