/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_meter.c - load and memory of this node's GPUs, and its ports' counters, each
 * second.
 *
 * A child keeps NVML loaded and prints a line a second: nothing of a driver runs in the daemon. One
 * that hangs is killed and another takes its place, later each time. Counters of ports are kept for
 * a minute or two, so that health can tell what goes wrong now from what once did.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "fabricd/agent_int.h"
#include "topology/codec.h"
#include "topology/machine.h"

#define AGAIN_FIRST_NS UINT64_C(1000000000)
#define AGAIN_MOST_NS UINT64_C(600000000000)
#define BASE_AGE_NS UINT64_C(60000000000)
#define HEALTH_EVERY_NS UINT64_C(60000000000)
enum { PERIOD_S = 1, NS_PER_S = 1000000000 };

/* ---- the child --------------------------------------------------------------------------------
 */

static enum fab_status print_gauges(const struct topo_meter *meter, struct topo_gauges *gauges,
                                    struct fab_err *err)
{
    const uint64_t from_ns = fab_clock_now_ns(fab_clock_real());
    json_t *json = NULL;
    enum fab_status status = topo_meter_read(meter, gauges, err);

    if (status == FAB_OK)
        status = topo_gauges_to_json(gauges, &json, err);
    if (status == FAB_OK)
        json = json_pack("{sI so}", "from_ns", (json_int_t)from_ns, "gauges", json);
    if (status == FAB_OK && (!json || json_dumpf(json, stdout, JSON_COMPACT) != 0 ||
                             putchar('\n') == EOF || fflush(stdout) != 0))
        status = fab_err_set(err, FAB_ERR_PEER_LOST, "nobody reads");
    json_decref(json);
    return status;
}

/* Ends with an error only, which it prints; the daemon's end is the end of its reader. */
static int measure(const struct agent *agent, uint32_t argument)
{
    static struct topo_gauges gauges;
    const struct topo_machine_source source = agent_machine_source(agent->settings);
    struct topo_meter *meter = NULL;
    struct fab_err err = {0};
    enum fab_status status = topo_meter_open(source.nvml, source.sysroot, &meter, &err);

    (void)argument;
    while (status == FAB_OK) {
        status = print_gauges(meter, &gauges, &err);
        if (status == FAB_OK)
            (void)sleep(PERIOD_S);
    }
    printf("%s", err.text);
    (void)fflush(stdout);
    topo_meter_close(meter);
    return EXIT_FAILURE;
}

/* ---- what it says -----------------------------------------------------------------------------
 */

static void keep_base(struct agent_meter *meter, uint64_t now_ns)
{
    struct agent_port_base *bases = meter->bases;

    if (bases[1].at_ns != 0 && now_ns - bases[1].at_ns < BASE_AGE_NS)
        return;
    bases[0] = bases[1];
    bases[1].at_ns = now_ns;
    bases[1].count = meter->gauges.port_count;
    memcpy(bases[1].ports, meter->gauges.ports, sizeof(bases[1].ports));
    if (bases[0].at_ns == 0)
        bases[0] = bases[1];
}

/* What was measured before a GPU was cleared, or meanwhile, shows memory that is free. */
static void forget_cleared(struct agent *agent)
{
    struct agent_meter *meter = &agent->meter;

    for (uint32_t i = 0; i < meter->gauges.gpu_count; i++) {
        const struct agent_gpu *gpu = agent_gpu_find(agent, meter->gauges.gpus[i].uuid);

        if (gpu && gpu->cleared_ns > meter->from_ns)
            meter->gauges.gpus[i].used_bytes = UINT64_MAX;
    }
}

static void tell(struct agent *agent)
{
    const struct message message = {.kind = MESSAGE_GAUGES, .gauges = &agent->meter.gauges};

    if (agent->is_offered)
        (void)agent_tell(agent, &message); /* the next second says it again */
}

/* A report is due when a check's grade has changed; its value alone may be a minute old. */
static void look_at_health(struct agent *agent, uint64_t now_ns)
{
    struct message_health rows[MESSAGE_HEALTH_MAX];
    const uint32_t count = agent_health_fill(agent, rows, MESSAGE_HEALTH_MAX);
    const struct agent_health *told = &agent->health;
    bool is_other = count != told->count;

    for (uint32_t i = 0; i < count && !is_other; i++)
        is_other = rows[i].grade != told->rows[i].grade ||
                   strcmp(rows[i].name, told->rows[i].name) != 0 ||
                   (now_ns - told->at_ns >= HEALTH_EVERY_NS &&
                    strcmp(rows[i].value, told->rows[i].value) != 0);
    agent->is_changed = agent->is_changed || is_other;
}

static void on_line(void *user, const char *line, size_t bytes)
{
    static const struct fab_json_limits limits = {.size_bytes = AGENT_OUTPUT_BYTES};
    struct agent *agent = user;
    struct agent_meter *meter = &agent->meter;
    const uint64_t now_ns = agent_now_ns(agent);
    json_t *json = NULL;
    int64_t from_ns = 0;
    struct fab_err err = {0};

    if (fab_json_load(line, bytes, "a meter's line", &limits, &json, &err) != FAB_OK ||
        fab_json_get_int(json, "from_ns", 0, INT64_MAX, &from_ns, &err) != FAB_OK ||
        topo_gauges_from_json(json_object_get(json, "gauges"), &meter->gauges, &err) != FAB_OK) {
        fab_log_error(&agent->log, "what the meter said is not understood", "why %s", err.text);
    } else {
        meter->is_known = true;
        meter->from_ns = (uint64_t)from_ns;
        meter->again_in_ns = 0;
        meter->reason[0] = '\0';
        keep_base(meter, now_ns);
        forget_cleared(agent);
        tell(agent);
        look_at_health(agent, now_ns);
    }
    json_decref(json);
}

/* ---- its life ---------------------------------------------------------------------------------
 */

static void again_later(struct agent *agent)
{
    struct agent_meter *meter = &agent->meter;

    meter->again_in_ns = meter->again_in_ns == 0 ? AGAIN_FIRST_NS : 2 * meter->again_in_ns;
    meter->again_in_ns = fab_earlier_ns(meter->again_in_ns, AGAIN_MOST_NS);
    meter->again_ns = agent_now_ns(agent) + meter->again_in_ns;
    fab_log_warn(&agent->log, "load and memory of the GPUs are not known", "why %s", meter->reason);
    if (meter->is_known) { /* what was known is old now */
        meter->is_known = false;
        meter->gauges = (struct topo_gauges){0};
        tell(agent);
    }
    look_at_health(agent, agent_now_ns(agent));
}

static void on_ended(void *user, const struct agent_child_end *end)
{
    struct agent *agent = user;
    struct agent_meter *meter = &agent->meter;

    meter->child = NULL;
    if (end->is_overdue)
        (void)snprintf(meter->reason, sizeof(meter->reason), "no answer within %" PRIu64 " s",
                       agent->settings->check_limit_ns / NS_PER_S);
    else if (end->output[0])
        (void)snprintf(meter->reason, sizeof(meter->reason), "%.150s", end->output);
    else
        (void)snprintf(meter->reason, sizeof(meter->reason), "its process was killed by signal %d",
                       WIFSIGNALED(end->status) ? WTERMSIG(end->status) : 0);
    again_later(agent);
}

static void start(struct agent *agent)
{
    struct agent_meter *meter = &agent->meter;
    struct fab_err err = {0};

    if (agent_child_start(agent, agent->settings->check_limit_ns, measure, 0, on_ended, agent,
                          &meter->child, &err) == FAB_OK) {
        agent_child_set_lines(meter->child, on_line);
        return;
    }
    (void)snprintf(meter->reason, sizeof(meter->reason), "it did not start: %.120s", err.text);
    again_later(agent);
}

void agent_meter_cleared(struct agent_gpu *gpu)
{
    gpu->cleared_ns = agent_now_ns(gpu->agent);
    forget_cleared(gpu->agent);
    if (gpu->agent->meter.is_known)
        tell(gpu->agent);
}

void agent_meter_renew(struct agent *agent)
{
    agent_child_drop(agent->meter.child);
    agent->meter.child = NULL;
    agent->meter.again_ns = 0;
}

uint64_t agent_meter_turn(struct agent *agent, uint64_t now_ns)
{
    struct agent_meter *meter = &agent->meter;
    const struct topo_machine *machine = agent->machine;

    if (meter->child || !machine || machine->gpu_count + machine->hca_count == 0)
        return UINT64_MAX;
    if (now_ns < meter->again_ns)
        return meter->again_ns;
    start(agent);
    return meter->child ? UINT64_MAX : meter->again_ns;
}
