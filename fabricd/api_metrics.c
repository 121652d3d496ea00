/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_metrics.c - /metrics: Prometheus text, version 0.0.4.
 *
 * Made at each question from ledger and rack, so nothing is counted twice. Where NVIDIA's DCGM
 * exporter has a metric, its name and labels are used, so that its dashboards work.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/api_int.h"

enum { STATES = LEDGER_DRAINED + 1, MW_PER_W = 1000 };
#define MIB (UINT64_C(1) << 20)

/* What is not known is left out: no value is not 0. */
typedef bool (*gpu_value)(const struct api_call *call, const struct ledger_gpu *gpu,
                          uint64_t *value_out);

struct family {
    const char *name, *type, *help;
    void (*write)(struct api_call *call, const struct family *family, FILE *out);
    gpu_value value_of; /* of each GPU, for write_gpus */
};

/* A value between quotes: backslash, quote and line feed are escaped. */
static void write_label(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            (void)fputc('\\', out);
        if (*value == '\n')
            (void)fputs("\\n", out);
        else
            (void)fputc(*value, out);
    }
    (void)fputc('"', out);
}

/* ---- GPUs -------------------------------------------------------------------------------------
 */

static void write_gpu(const struct family *family, const struct ledger_gpu *gpu, uint64_t value,
                      FILE *out)
{
    (void)fprintf(out, "%s{gpu=\"%u\",", family->name, gpu->index);
    write_label(out, "UUID", gpu->uuid);
    (void)fprintf(out, ",device=\"nvidia%u\",", gpu->index);
    write_label(out, "model", gpu->name);
    (void)fputc(',', out);
    write_label(out, "Hostname", gpu->node->name);
    (void)fprintf(out, "} %" PRIu64 "\n", value);
}

static void write_gpus(struct api_call *call, const struct family *family, FILE *out)
{
    const struct ledger *ledger = call->api->parts.ledger;

    for (size_t i = 0; i < ledger_node_count(ledger); i++) {
        const struct ledger_node *node = ledger_node(ledger, i);
        uint64_t value;

        for (uint32_t k = 0; k < node->gpu_count; k++)
            if (family->value_of(call, node->gpus[k], &value))
                write_gpu(family, node->gpus[k], value, out);
    }
}

static bool load_of(const struct api_call *call, const struct ledger_gpu *gpu, uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);

    *value_out = gauge ? gauge->load : 0;
    return gauge && gauge->load != UINT32_MAX;
}

static bool used_of(const struct api_call *call, const struct ledger_gpu *gpu, uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);

    *value_out = gauge ? gauge->used_bytes / MIB : 0;
    return gauge && gauge->used_bytes != UINT64_MAX;
}

static bool free_of(const struct api_call *call, const struct ledger_gpu *gpu, uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);
    const topo_id id = rack_gpu(call->api->parts.rack, gpu->uuid);
    const uint64_t memory_bytes =
        id == TOPO_NO_ID ? 0 : topo_thing(rack_topo(call->api->parts.rack), id)->gpu->memory_bytes;

    if (!gauge || memory_bytes < gauge->used_bytes)
        return false;
    *value_out = (memory_bytes - gauge->used_bytes) / MIB;
    return true;
}

static bool clock_of(const struct api_call *call, const struct ledger_gpu *gpu, uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);

    *value_out = gauge ? gauge->sm_mhz : 0;
    return gauge && gauge->sm_mhz != UINT32_MAX;
}

static bool celsius_of(const struct api_call *call, const struct ledger_gpu *gpu,
                       uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);

    *value_out = gauge ? gauge->celsius : 0;
    return gauge && gauge->celsius != UINT32_MAX;
}

static bool power_of(const struct api_call *call, const struct ledger_gpu *gpu, uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);

    *value_out = gauge ? gauge->power_mw / MW_PER_W : 0;
    return gauge && gauge->power_mw != UINT32_MAX;
}

static bool energy_of(const struct api_call *call, const struct ledger_gpu *gpu,
                      uint64_t *value_out)
{
    const struct topo_gpu_gauge *gauge = api_gpu_gauge(call, gpu);

    *value_out = gauge ? gauge->energy_mj : 0;
    return gauge && gauge->energy_mj != UINT64_MAX;
}

/* ---- counts -----------------------------------------------------------------------------------
 */

static void write_states(const struct family *family, const unsigned counts[STATES], FILE *out)
{
    for (unsigned i = 0; i < STATES; i++)
        (void)fprintf(out, "%s{state=\"%s\"} %u\n", family->name,
                      ledger_state_name((enum ledger_state)i), counts[i]);
}

static void write_gpu_states(struct api_call *call, const struct family *family, FILE *out)
{
    const struct ledger *ledger = call->api->parts.ledger;
    unsigned counts[STATES] = {0};

    for (size_t i = 0; i < ledger_node_count(ledger); i++)
        for (uint32_t k = 0; k < ledger_node(ledger, i)->gpu_count; k++)
            counts[ledger_gpu_state(ledger_node(ledger, i)->gpus[k])]++;
    write_states(family, counts, out);
}

static void write_system_states(struct api_call *call, const struct family *family, FILE *out)
{
    const struct ledger *ledger = call->api->parts.ledger;
    unsigned counts[STATES] = {0};

    for (size_t i = 0; i < ledger_system_count(ledger); i++)
        counts[ledger_system(ledger, i)->state]++;
    write_states(family, counts, out);
}

static void write_nodes(struct api_call *call, const struct family *family, FILE *out)
{
    const struct ledger *ledger = call->api->parts.ledger;

    for (size_t i = 0; i < ledger_node_count(ledger); i++) {
        (void)fprintf(out, "%s{", family->name);
        write_label(out, "node", ledger_node(ledger, i)->name);
        (void)fprintf(out, "} %d\n", ledger_node(ledger, i)->is_lost ? 0 : 1);
    }
}

static void write_programs(struct api_call *call, const struct family *family, FILE *out)
{
    const struct rack *rack = call->api->parts.rack;

    for (size_t i = 0; i < rack_node_count(rack); i++) {
        (void)fprintf(out, "%s{", family->name);
        write_label(out, "node", rack_node(rack, i)->name);
        (void)fprintf(out, "} %u\n", rack_node(rack, i)->program_count);
    }
}

static void write_findings(struct api_call *call, const struct family *family, FILE *out)
{
    static const char *const names[] = {"notice", "warning", "critical"};
    const struct topo *topo = rack_topo(call->api->parts.rack);
    unsigned counts[FAB_ARRAY_LEN(names)] = {0};

    for (size_t i = 0; topo && i < topo_finding_count(topo); i++)
        counts[topo_finding(topo, i)->severity]++;
    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++)
        (void)fprintf(out, "%s{severity=\"%s\"} %u\n", family->name, names[i], counts[i]);
}

static void write_events(struct api_call *call, const struct family *family, FILE *out)
{
    (void)fprintf(out, "%s %" PRIu64 "\n", family->name,
                  ledger_last_event(call->api->parts.ledger));
}

static const struct family families[] = {
    {"DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", write_gpus, load_of},
    {"DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", write_gpus, used_of},
    {"DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", write_gpus, free_of},
    {"DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", write_gpus, clock_of},
    {"DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", write_gpus, celsius_of},
    {"DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", write_gpus, power_of},
    {"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "gauge", /* promtool: no counter without _total */
     "Total energy consumption since boot (in mJ).", write_gpus, energy_of},
    {"fabric_gpus", "gauge", "GPUs of the rack by state.", write_gpu_states, NULL},
    {"fabric_systems", "gauge", "Composed systems by state.", write_system_states, NULL},
    {"fabric_node_up", "gauge", "1 if the node's agent is connected.", write_nodes, NULL},
    {"fabric_programs", "gauge", "Programs that are attached, by host.", write_programs, NULL},
    {"fabric_findings", "gauge", "Findings of discovery by severity.", write_findings, NULL},
    {"fabric_events_total", "counter", "Changes of the rack's ledger.", write_events, NULL},
};

void api_get_metrics(struct api_call *call)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    bool is_written = out != NULL;

    for (size_t i = 0; out && i < FAB_ARRAY_LEN(families); i++) {
        (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].help,
                      families[i].name, families[i].type);
        families[i].write(call, &families[i], out);
    }
    if (out && fclose(out) != 0)
        is_written = false;
    if (is_written)
        api_reply_text(call, "text/plain; version=0.0.4; charset=utf-8", text, bytes);
    else
        api_fail_status(call, FAB_ERR_NOMEM, "");
    free(text);
}
