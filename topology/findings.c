/* SPDX-License-Identifier: Apache-2.0
 * topology/findings.c - what discovery shows that should not be. README.md has the table of codes.
 *
 * This file looks at machines, findings_fabric.c at the fabric.
 */
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "topology/findings_int.h"

enum { FINDING_BYTES = 512, COMMON_BYTES = 160, CUDA_MAJOR = 1000, CUDA_MINOR = 10 };

enum {
    BAR1_LEAST_BYTES = 256 << 20,  /* what the smallest of data centre GPUs have */
    MEMLOCK_LEAST_BYTES = 64 << 20 /* rings and staging of one worker */
};

void judge_add(struct judge *judge, enum topo_severity severity, const char *code, topo_id thing,
               const char *format, ...)
{
    struct topo_finding finding = {.severity = severity, .code = code, .thing = thing};
    char text[FINDING_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    finding.text = fab_arena_text(&judge->topo->arena, text, strlen(text));
    if (!finding.text || fab_vec_push(&judge->topo->findings, &finding) != FAB_OK)
        judge->is_out_of_memory = true;
}

const char *judge_name(const struct judge *judge, topo_id thing)
{
    return thing == TOPO_NO_ID ? "something unknown" : topo_things(judge->topo)[thing].name;
}

/* ---- GPUs -------------------------------------------------------------------------------------
 */

static void judge_gpu(struct judge *judge, topo_id id)
{
    const struct topo_gpu *gpu = topo_things(judge->topo)[id].gpu;
    const char *name = judge_name(judge, id);
    char bytes[FAB_NUMBER_TEXT_BYTES];

    if (gpu->pci == TOPO_NONE) {
        judge_add(judge, TOPO_CRITICAL, "gpu-not-in-pci", id,
                  "NVML has %s (%s), the PCI tree does not: it has no path; compare lspci with "
                  "nvidia-smi",
                  name, gpu->name);
        return;
    }
    if (gpu->uuid[0] == '\0')
        judge_add(
            judge, TOPO_WARNING, "gpu-without-driver", id,
            "%s is in the PCI tree and NVML does not know it: no driver is loaded, or the GPU "
            "is lost (dmesg)",
            name);
    else if (gpu->bar1_bytes > 0 && gpu->bar1_bytes < BAR1_LEAST_BYTES)
        judge_add(
            judge, TOPO_NOTICE, "small-bar1", id,
            "BAR1 of %s has %s: GPUDirect can use only that much at a time; enable \"above 4G "
            "decoding\" in the firmware if the GPU can do more",
            name, fab_format_size(gpu->bar1_bytes, bytes));
}

static bool has_gpudirect_driver(const struct topo_machine *record)
{
    bool gpu = false, hca = false;

    for (uint32_t i = 0; i < record->gpu_count; i++)
        gpu |= record->gpus[i].has_dma_buf;
    for (uint32_t i = 0; i < record->hca_count; i++)
        hca |= record->hcas[i].has_dma_buf;
    return record->gpudirect.has_nvidia_peermem || record->gpudirect.has_nv_peer_mem ||
           (gpu && hca);
}

/* The bridges between GPUs and HCAs that send peers' traffic up to the root. */
static void judge_acs(struct judge *judge, topo_id machine)
{
    const struct topo_machine *record = topo_things(judge->topo)[machine].machine_record;
    char bdf[TOPO_BDF_BYTES];

    for (uint32_t i = 0; i < record->pci_count; i++) {
        if (record->pci[i].acs && record->pci[i].is_switch)
            judge_add(judge, TOPO_WARNING, "acs-on", machine,
                      "%s: access control services of the PCIe switch port %s send the traffic of "
                      "neighbours through the CPU; switch them off (setpci, or the firmware)",
                      record->name, topo_bdf_format(&record->pci[i].bdf, bdf));
    }
}

static void judge_gpudirect(struct judge *judge, topo_id machine)
{
    const struct topo_machine *record = topo_things(judge->topo)[machine].machine_record;

    if (record->gpu_count == 0 || record->hca_count == 0)
        return;
    if (!has_gpudirect_driver(record))
        judge_add(judge, TOPO_NOTICE, "no-gpudirect", machine,
                  "%s: no driver joins GPUs and HCAs, so copies go through host memory; load "
                  "nvidia_peermem, or use the open kernel modules (dma-buf) with mlx5",
                  record->name);
    if (record->gpudirect.iommu_translates)
        judge_add(judge, TOPO_WARNING, "iommu-translates", machine,
                  "%s: the IOMMU translates addresses of GPUs or HCAs, so copies go through host "
                  "memory; boot with iommu=pt, or switch it off",
                  record->name);
    judge_acs(judge, machine);
}

/* A GPU whose nearest port is on another socket. */
static void judge_distance(struct judge *judge, topo_id gpu)
{
    struct topo_rail nearest;

    if (topo_rails(judge->topo, gpu, &nearest, 1) > 0 && nearest.path.class == TOPO_SYS)
        judge_add(judge, TOPO_NOTICE, "far-gpu", gpu,
                  "%s has no active HCA port on its socket; the nearest is %s: its copies cross "
                  "sockets",
                  judge_name(judge, gpu), judge_name(judge, nearest.port));
}

static void judge_machine(struct judge *judge, topo_id machine)
{
    const struct topo_machine *record = topo_things(judge->topo)[machine].machine_record;
    uint64_t memlock = record->gpudirect.memlock_bytes;
    char bytes[FAB_NUMBER_TEXT_BYTES];
    topo_id id = TOPO_NO_ID;

    if (record->hca_count == 0)
        judge_add(judge, TOPO_WARNING, "no-hca", machine,
                  "%s has no HCA with a driver, so it cannot use the fabric; see ibstat and lspci",
                  record->name);
    if (memlock > 0 && memlock < MEMLOCK_LEAST_BYTES)
        judge_add(
            judge, TOPO_WARNING, "low-memlock", machine,
            "%s: a process may lock %s of memory, workers want %d MiB; set LimitMEMLOCK (unit) "
            "or memlock (limits.conf)",
            record->name, fab_format_size(memlock, bytes), MEMLOCK_LEAST_BYTES >> 20);
    judge_gpudirect(judge, machine);
    while ((id = topo_next(judge->topo, TOPO_GPU, machine, id)) != TOPO_NO_ID) {
        judge_gpu(judge, id);
        judge_distance(judge, id);
    }
}

/* ---- what machines should have in common ------------------------------------------------------
 */

/* What is compared of a machine; "": it does not count. */
typedef void (*common_text)(const struct topo_machine *record, char *text, size_t text_bytes);

static void driver_of(const struct topo_machine *record, char *text, size_t text_bytes)
{
    const struct topo_software *software = &record->software;

    if (record->gpu_count > 0 && software->driver[0])
        (void)snprintf(text, text_bytes, "driver %s (CUDA %u.%u)", software->driver,
                       software->cuda / CUDA_MAJOR, software->cuda % CUDA_MAJOR / CUDA_MINOR);
}

static void ofed_of(const struct topo_machine *record, char *text, size_t text_bytes)
{
    if (record->hca_count > 0)
        (void)snprintf(text, text_bytes, "%s%s",
                       record->software.ofed[0] ? "OFED " : "the kernel's own HCA drivers",
                       record->software.ofed);
}

/* Of the IP interfaces on active ports: the smallest counts. */
static void mtu_of(const struct topo_machine *record, char *text, size_t text_bytes)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < record->hca_count; i++) {
        for (uint32_t k = 0; k < record->hcas[i].port_count; k++) {
            const struct topo_hca_port *port = &record->hcas[i].ports[k];

            if (port->state == TOPO_PORT_ACTIVE && port->mtu > 0 && port->mtu < least)
                least = port->mtu;
        }
    }
    if (least != UINT32_MAX)
        (void)snprintf(text, text_bytes, "MTU %u", least);
}

static const struct {
    const char *code;
    enum topo_severity severity;
    common_text text_of;
    const char *advice;
} commons[] = {
    {"driver-differs", TOPO_WARNING, driver_of, "programs see one version: install one on all"},
    {"ofed-differs", TOPO_NOTICE, ofed_of, "install one on all"},
    {"mtu-differs", TOPO_WARNING, mtu_of, "set one on all: ip link set DEVICE mtu N"},
};

/* What most machines have: the text that stands there most often, of equal ones the first. */
static const char *most_common(const struct topo *topo, common_text text_of, struct fab_map *counts,
                               char *best, size_t best_bytes)
{
    uintptr_t most = 0;
    topo_id id = TOPO_NO_ID;

    best[0] = '\0';
    while ((id = topo_next(topo, TOPO_MACHINE, TOPO_NO_ID, id)) != TOPO_NO_ID) {
        char text[COMMON_BYTES] = "";
        uintptr_t count;

        text_of(topo_things(topo)[id].machine_record, text, sizeof(text));
        if (!text[0])
            continue;
        count = (uintptr_t)fab_map_find_text(counts, text) + 1;
        if (fab_map_put_text(counts, text, (void *)count) != FAB_OK)
            return NULL;
        if (count > most) {
            most = count;
            (void)snprintf(best, best_bytes, "%s", text);
        }
    }
    return best;
}

static void judge_common(struct judge *judge, size_t at)
{
    char best[COMMON_BYTES];
    struct fab_map counts;
    topo_id id = TOPO_NO_ID;

    fab_map_init(&counts);
    if (!most_common(judge->topo, commons[at].text_of, &counts, best, sizeof(best)))
        judge->is_out_of_memory = true;
    fab_map_fini(&counts);
    while ((id = topo_next(judge->topo, TOPO_MACHINE, TOPO_NO_ID, id)) != TOPO_NO_ID) {
        char text[COMMON_BYTES] = "";

        commons[at].text_of(topo_things(judge->topo)[id].machine_record, text, sizeof(text));
        if (text[0] && best[0] && strcmp(text, best) != 0)
            judge_add(judge, commons[at].severity, commons[at].code, id,
                      "%s has %s, most have %s: %s", judge_name(judge, id), text, best,
                      commons[at].advice);
    }
}

/* ---- GUIDs ------------------------------------------------------------------------------------
 */

static enum fab_status judge_guids(struct judge *judge)
{
    enum fab_status status = FAB_OK;

    for (topo_id id = 0; id < judge->topo->things.count && status == FAB_OK; id++) {
        const struct topo_thing *thing = &topo_things(judge->topo)[id];
        void *other;

        if (thing->kind != TOPO_HCA || thing->hca->node_guid == 0)
            continue;
        other = fab_map_find(&judge->hcas, thing->hca->node_guid);
        if (!other) {
            status = fab_map_put(&judge->hcas, thing->hca->node_guid, (void *)((uintptr_t)id + 1));
            continue;
        }
        judge_add(judge, TOPO_CRITICAL, "duplicate-guid", id,
                  "%s and %s have one NodeGUID, 0x%016llx: neither is joined to the fabric; give "
                  "one another GUID (mlxburn, or the virtual function's settings)",
                  judge_name(judge, (topo_id)((uintptr_t)other - 1)), thing->name,
                  (unsigned long long)thing->hca->node_guid);
    }
    return status;
}

enum fab_status topo_judge(struct topo *topo, struct fab_err *err)
{
    struct judge judge = {.topo = topo};
    enum fab_status status;
    topo_id id = TOPO_NO_ID;

    fab_map_init(&judge.hcas);
    fab_map_init(&judge.nodes);
    status = judge_guids(&judge);
    while (status == FAB_OK && (id = topo_next(topo, TOPO_MACHINE, TOPO_NO_ID, id)) != TOPO_NO_ID)
        judge_machine(&judge, id);
    for (size_t i = 0; i < FAB_ARRAY_LEN(commons) && status == FAB_OK; i++)
        judge_common(&judge, i);
    if (status == FAB_OK)
        status = judge_fabric(&judge);
    fab_map_fini(&judge.hcas);
    fab_map_fini(&judge.nodes);
    if (status != FAB_OK || judge.is_out_of_memory)
        return fab_err_set(err, FAB_ERR_NOMEM, "the findings of a rack");
    return FAB_OK;
}

size_t topo_finding_count(const struct topo *topo)
{
    return topo->findings.count;
}

const struct topo_finding *topo_finding(const struct topo *topo, size_t index)
{
    return index < topo->findings.count
               ? &fab_vec_items(&topo->findings, struct topo_finding)[index]
               : NULL;
}
