/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_discover.c - what this node is made of, found by a child; the report to the
 * manager.
 *
 * A GPU is reported only after it was checked once, and cleared if an agent before this one left
 * something on it. A discovery that fails changes nothing: the node is still what it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"
#include "topology/codec.h"
#include "topology/machine.h"

#define DISCOVER_LIMIT_NS UINT64_C(30000000000)
#define ALONE_EVERY_NS UINT64_C(50000000)
#define CLEAR_AGAIN_NS UINT64_C(10000000000)

static const char loader_nvml[] = "libnvidia-ml.so.1";

/* ---- the child --------------------------------------------------------------------------------
 */

static const char *or_null(const char *text)
{
    return text && text[0] ? text : NULL;
}

struct topo_machine_source agent_machine_source(const struct fabricd_settings *settings)
{
    return (struct topo_machine_source){.name = settings->node,
                                        .hwloc_xml = or_null(settings->hwloc_xml),
                                        .nvml =
                                            or_null(settings->nvml) ? settings->nvml : loader_nvml,
                                        .sysroot = or_null(settings->sysroot)};
}

enum fab_status agent_print_machine(const struct fabricd_settings *settings, struct fab_err *err)
{
    const struct topo_machine_source source = agent_machine_source(settings);
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));
    enum fab_status status = machine ? topo_machine_discover(&source, machine, err)
                                     : fab_err_set(err, FAB_ERR_NOMEM, "a machine");
    json_t *json = NULL;

    if (status == FAB_OK)
        status = topo_machine_to_json(machine, &json, err);
    if (status == FAB_OK &&
        (json_dumpf(json, stdout, JSON_COMPACT) != 0 || puts("") == EOF || fflush(stdout) != 0))
        status = fab_err_errno(err, errno, "writing the machine");
    json_decref(json);
    free(machine);
    return status;
}

static int discover(const struct agent *agent, uint32_t argument)
{
    struct fab_err err = {0};
    const enum fab_status status = agent_print_machine(agent->settings, &err);

    (void)argument;
    if (status != FAB_OK)
        printf("%s", err.text);
    (void)fflush(stdout);
    return status == FAB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- taking it over ---------------------------------------------------------------------------
 */

struct agent_gpu *agent_gpu_find(struct agent *agent, const char *uuid)
{
    for (uint32_t i = 0; i < agent->gpu_count; i++)
        if (strcmp(agent->gpus[i]->uuid, uuid) == 0)
            return agent->gpus[i];
    return NULL;
}

static void add_gpu(struct agent *agent, const struct topo_gpu *found)
{
    struct agent_gpu *gpu = agent_gpu_find(agent, found->uuid);

    if (!gpu) {
        gpu = agent->gpu_count < LEDGER_NODE_GPU_MAX ? fab_alloc_zeroed(1, sizeof(*gpu)) : NULL;
        if (!gpu)
            return; /* the next discovery tries again */
        gpu->agent = agent;
        agent_copy_text(gpu->uuid, sizeof(gpu->uuid), found->uuid);
        agent->gpus[agent->gpu_count++] = gpu;
    }
    gpu->is_present = true;
    gpu->index = found->index;
    agent_copy_text(gpu->name, sizeof(gpu->name), found->name);
    if (gpu->reason[0] && !gpu->lease)
        gpu->checked_ns = 0; /* perhaps it is well again */
}

static void take_gpus(struct agent *agent)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < agent->gpu_count; i++)
        agent->gpus[i]->is_present = false;
    for (uint32_t i = 0; i < agent->machine->gpu_count; i++)
        if (agent->machine->gpus[i].uuid[0])
            add_gpu(agent, &agent->machine->gpus[i]);
    for (uint32_t i = 0; i < agent->gpu_count; i++) {
        struct agent_gpu *gpu = agent->gpus[i];

        if (gpu->is_present || gpu->lease) {
            agent->gpus[kept++] = gpu;
            continue;
        }
        agent_child_drop(gpu->child);
        free(gpu);
    }
    agent->gpu_count = kept;
}

static enum fab_status read_machine(const struct agent_child_end *end, struct topo_machine *machine,
                                    struct fab_err *err)
{
    static const struct fab_json_limits limits = {.size_bytes = AGENT_OUTPUT_BYTES};
    json_t *json = NULL;
    enum fab_status status;

    if (end->is_overdue)
        return fab_err_set(err, FAB_ERR_TIMEOUT, "it did not end in time");
    if (end->status != 0)
        return fab_err_set(err, FAB_ERR_IO, "%.200s",
                           end->output[0] ? end->output : "its process died");
    status = fab_json_load(end->output, end->output_bytes, "the machine", &limits, &json, err);
    if (status == FAB_OK)
        status = topo_machine_from_json(json, machine, err);
    json_decref(json);
    return status;
}

static void on_discovered(void *user, const struct agent_child_end *end)
{
    struct agent *agent = user;
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));
    struct fab_err err = {0};

    agent->discovery = NULL;
    if (!machine || read_machine(end, machine, &err) != FAB_OK) {
        fab_log_error(&agent->log, "the discovery of this node failed", "why %s", err.text);
        free(machine);
        return;
    }
    if (!agent->machine || memcmp(agent->machine, machine, sizeof(*machine)) != 0) {
        agent->is_changed = true;
        agent_meter_renew(agent);
    }
    free(agent->machine);
    agent->machine = machine;
    take_gpus(agent);
}

void agent_discover_start(struct agent *agent)
{
    struct fab_err err = {0};

    agent->discover_ns = fab_deadline_ns(
        agent_now_ns(agent),
        agent->settings->discover_every_ns ? agent->settings->discover_every_ns : UINT64_MAX);
    if (agent->discovery)
        return;
    if (agent_child_start(agent, DISCOVER_LIMIT_NS, discover, 0, on_discovered, agent,
                          &agent->discovery, &err) != FAB_OK)
        fab_log_error(&agent->log, "the discovery of this node failed", "why %s", err.text);
}

/* ---- every turn -------------------------------------------------------------------------------
 */

/* What an idle GPU needs next. True: it may be offered, or its failure told. */
static bool settle_gpu(struct agent_gpu *gpu, uint64_t now_ns)
{
    const struct agent_fence *fence = agent_fence_of(gpu->agent, gpu->uuid);

    if (!gpu->is_present || gpu->lease)
        return true;
    if (gpu->child)
        return gpu->checked_ns != 0;
    if (!fence || (fence->dirty && (!agent_fences_are_alone(gpu->agent) || now_ns < gpu->again_ns)))
        return gpu->again_ns != 0;
    if (fence->dirty) {
        gpu->again_ns = now_ns + CLEAR_AGAIN_NS;
        agent_clear_start(gpu);
        return false;
    }
    if (gpu->checked_ns == 0) {
        agent_check_start(gpu);
        return gpu->checked_ns != 0;
    }
    return true;
}

uint64_t agent_discover_turn(struct agent *agent, uint64_t now_ns)
{
    bool is_settled = agent->machine != NULL;

    if (now_ns >= agent->discover_ns)
        agent_discover_start(agent);
    for (uint32_t i = 0; i < agent->gpu_count; i++)
        is_settled = settle_gpu(agent->gpus[i], now_ns) && is_settled;
    if (is_settled && !agent->is_offered)
        agent->is_offered = agent->is_changed = true;
    if (agent->is_changed && agent->is_offered && agent->is_manager_up)
        agent_report(agent);
    if (agent->gpu_count > 0 && !agent->is_alone)
        return fab_earlier_ns(agent->discover_ns,
                              agent_fences_are_alone(agent) ? now_ns : now_ns + ALONE_EVERY_NS);
    return agent->discover_ns;
}

/* ---- the report -------------------------------------------------------------------------------
 */

static uint32_t fill_gpus(struct agent *agent, struct message_gpu_report *rows)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < agent->gpu_count; i++) {
        const struct agent_gpu *gpu = agent->gpus[i];
        const struct agent_fence *fence = agent_fence_of(agent, gpu->uuid);
        struct message_gpu_report *row = &rows[count];

        if (!gpu->is_present)
            continue;
        *row = (struct message_gpu_report){.index = gpu->index, .fence = fence ? fence->dirty : 0};
        agent_copy_text(row->uuid, sizeof(row->uuid), gpu->uuid);
        agent_copy_text(row->name, sizeof(row->name), gpu->name);
        count++;
    }
    return count;
}

static uint32_t fill_programs(struct agent *agent, struct message_program *rows)
{
    uint32_t count = 0;

    FAB_LIST_EACH(at, after, &agent->sessions)
    {
        const struct agent_session *session = fab_list_object(at, struct agent_session, node);
        struct message_program *row = &rows[count];

        if (count++ == MESSAGE_PROGRAM_MAX)
            return MESSAGE_PROGRAM_MAX;
        *row = (struct message_program){
            .uid = session->uid, .pid = (uint32_t)session->pid, .since_ms = session->since_ms};
        agent_copy_text(row->system, sizeof(row->system), session->system);
        agent_copy_text(row->command, sizeof(row->command), session->command);
    }
    return count;
}

/* What checks said is told apart, after the report in which the GPUs stand; later ones when they
 * end. */
static void tell_checks(struct agent *agent)
{
    agent->is_checked_told = true;
    for (uint32_t i = 0; i < agent->gpu_count; i++)
        if (agent->gpus[i]->is_present)
            agent_check_tell(agent->gpus[i]);
}

void agent_report(struct agent *agent)
{
    struct report {
        struct message_gpu_report gpus[LEDGER_NODE_GPU_MAX];
        struct message_program programs[MESSAGE_PROGRAM_MAX];
        struct rails_rail rails[RAILS_MAX];
    } *rows = fab_alloc_zeroed(1, sizeof(*rows));
    struct agent_health *health = &agent->health;
    struct message message = {.kind = MESSAGE_REPORT};

    if (!rows)
        return; /* the next turn tries again */
    health->count = agent_health_fill(agent, health->rows, MESSAGE_HEALTH_MAX);
    health->at_ns = agent_now_ns(agent);
    message.report = (struct message_report){.machine = agent->machine,
                                             .gpus = rows->gpus,
                                             .gpu_count = fill_gpus(agent, rows->gpus),
                                             .programs = rows->programs,
                                             .program_count = fill_programs(agent, rows->programs),
                                             .health = health->rows,
                                             .health_count = health->count,
                                             .rails = rows->rails,
                                             .rail_count = agent_rails_list(agent, rows->rails)};
    if (agent_tell(agent, &message)) {
        agent->is_changed = false;
        if (!agent->is_checked_told)
            tell_checks(agent);
    }
    free(rows);
}
