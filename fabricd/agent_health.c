/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_health.c - what of this node may keep programs from running well, one row a check.
 *
 * Facts come from the discovery's record and the meter, so a recorded machine tells its own; only
 * what this process itself may do is looked at here. A row that does not apply is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fabricd/agent_int.h"

enum { PASS, MARGINAL, FAIL };
enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    MBPS_PER_GBPS = 125,
    NS_PER_S = 1000000000,
    CUDA_MAJOR = 1000,
    CUDA_MINOR = 10,
    CUDA_LEAST = 12000,    /* what this project runs on */
    BAD_A_MINUTE_MOST = 60 /* retransmissions and errors: a rail that loses so much is no use */
};
static const uint64_t memlock_least_bytes = UINT64_C(64) << 20;
static const uint64_t bar1_least_bytes = UINT64_C(256) << 20;

struct rows {
    struct message_health *rows;
    uint32_t count, most;
};

static void FAB_PRINTF(5, 6) add(struct rows *rows, const char *name, uint8_t grade,
                                 const char *advice, const char *format, ...)
{
    struct message_health *row = &rows->rows[rows->count];
    va_list values;

    if (rows->count == rows->most)
        return;
    *row = (struct message_health){.grade = grade};
    agent_copy_text(row->name, sizeof(row->name), name);
    agent_copy_text(row->advice, sizeof(row->advice), grade == PASS ? "" : advice);
    va_start(values, format);
    (void)vsnprintf(row->value, sizeof(row->value), format, values);
    va_end(values);
    rows->count++;
}

/* ---- the host ---------------------------------------------------------------------------------
 */

static void add_memlock(struct rows *rows, const struct topo_machine *machine)
{
    const uint64_t bytes = machine->gpudirect.memlock_bytes;
    static const char advice[] = "raise it for fabricd: LimitMEMLOCK=infinity in its unit";

    if (bytes == UINT64_MAX)
        add(rows, "memory-lock limit", PASS, "", "unlimited");
    else
        add(rows, "memory-lock limit", bytes >= memlock_least_bytes ? PASS : MARGINAL, advice,
            "%" PRIu64 " KiB", bytes / KIB);
}

static void add_gpudirect(struct rows *rows, const struct topo_machine *machine)
{
    const struct topo_gpudirect *direct = &machine->gpudirect;
    const bool has_module = direct->has_nvidia_peermem || direct->has_nv_peer_mem;
    uint32_t acs = 0;

    if (machine->gpu_count == 0 || machine->hca_count == 0)
        return;
    for (uint32_t i = 0; i < machine->pci_count; i++)
        acs += machine->pci[i].acs;
    add(rows, "IOMMU", direct->iommu_translates ? MARGINAL : PASS,
        "boot with iommu=pt, or GPUDirect copies are staged in host memory", "%s",
        direct->iommu_translates ? "translates" : "off or passed through");
    add(rows, "PCIe access control services", acs ? MARGINAL : PASS,
        "disable ACS on these bridges, or peer traffic goes through the root complex",
        "on %u bridges", acs);
    add(rows, "peer-memory module", has_module || machine->gpus[0].has_dma_buf ? PASS : MARGINAL,
        "load nvidia_peermem, or copies are staged in host memory", "%s",
        direct->has_nvidia_peermem     ? "nvidia_peermem"
        : direct->has_nv_peer_mem      ? "nv_peer_mem"
        : machine->gpus[0].has_dma_buf ? "not needed (dma-buf)"
                                       : "none");
}

static void add_faults(struct rows *rows)
{
    const int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        (void)close(fd);
    add(rows, "userfaultfd", fd >= 0 ? PASS : MARGINAL,
        "let fabricd open /dev/userfaultfd, or managed memory returns at each synchronisation",
        "%s", fd >= 0 ? "can be opened" : strerror(errno));
}

/* Whether nodes agree is seen where all are known: topology/findings.c. */
static void add_software(struct rows *rows, const struct topo_machine *machine)
{
    const struct topo_software *software = &machine->software;

    if (machine->gpu_count > 0)
        add(rows, "driver", software->driver[0] ? PASS : FAIL, "load the driver of the GPUs", "%s",
            software->driver[0] ? software->driver : "none");
    if (software->cuda > 0)
        add(rows, "CUDA", software->cuda >= CUDA_LEAST ? PASS : FAIL,
            "renew the driver: programs need one of CUDA 12 at least", "%u.%u",
            software->cuda / CUDA_MAJOR, software->cuda % CUDA_MAJOR / CUDA_MINOR);
    if (machine->hca_count > 0)
        add(rows, "OFED", PASS, "", "%s",
            software->ofed[0] ? software->ofed : "the kernel's own drivers");
}

/* ---- GPUs and rails ---------------------------------------------------------------------------
 */

static void add_uids(struct rows *rows, const struct agent *agent)
{
    static const char advice[] = "set uid_first and uid_count, and run fabricd as root: leases "
                                 "then have users of their own";
    const bool has_pool = agent_has_uids(agent);

    if (agent->machine->gpu_count == 0)
        return;
    if (has_pool)
        add(rows, "users of workers", PASS, "", "%lld from %lld on",
            (long long)agent->settings->uid_count, (long long)agent->settings->uid_first);
    else
        add(rows, "users of workers", MARGINAL, advice, "all run as user %u", (unsigned)geteuid());
}

static void add_gpu(struct rows *rows, const struct agent_gpu *gpu)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "GPU %u check", gpu->index);
    if (gpu->reason[0])
        add(rows, name, FAIL, "see the daemon's log; the GPU is checked again at each discovery",
            "%.90s", gpu->reason);
    else if (gpu->checked_ns)
        add(rows, name, PASS, "", "computes");
}

/* A GPU at rest is slow, too, and that is well. */
static void add_clock(struct rows *rows, const struct agent_gpu *gpu)
{
    static const struct {
        uint64_t why;
        uint8_t grade;
        const char *name, *advice;
    } reasons[] = {
        {TOPO_SLOWED_HARDWARE_THERMAL, FAIL, "too hot", "look at its cooling"},
        {TOPO_SLOWED_POWER_BRAKE, FAIL, "slowed by the power supply", "look at the power supplies"},
        {TOPO_SLOWED_HARDWARE, FAIL, "slowed by the hardware",
         "look at cooling and power supplies"},
        {TOPO_SLOWED_THERMAL, MARGINAL, "slowed for its temperature", "look at its cooling"},
        {TOPO_SLOWED_POWER_CAP, MARGINAL, "at its power limit", "raise its limit: nvidia-smi -pl"},
    };
    const struct topo_gauges *gauges = &gpu->agent->meter.gauges;
    const struct topo_gpu_gauge *gauge = NULL;
    char name[64];

    for (uint32_t i = 0; i < gauges->gpu_count; i++)
        if (strcmp(gauges->gpus[i].uuid, gpu->uuid) == 0)
            gauge = &gauges->gpus[i];
    if (!gauge || gauge->slowed_by == UINT64_MAX || gauge->sm_mhz == UINT32_MAX)
        return;
    (void)snprintf(name, sizeof(name), "GPU %u clock", gpu->index);
    for (size_t i = 0; i < FAB_ARRAY_LEN(reasons); i++) {
        if (gauge->slowed_by & reasons[i].why) {
            add(rows, name, reasons[i].grade, reasons[i].advice, "%u MHz, %s", gauge->sm_mhz,
                reasons[i].name);
            return;
        }
    }
    add(rows, name, PASS, "", "%u MHz", gauge->sm_mhz);
}

static void add_meter(struct rows *rows, const struct agent *agent)
{
    if (agent->machine->gpu_count > 0 && agent->meter.reason[0])
        add(rows, "NVML", FAIL, "see nvidia-smi and dmesg: load and memory are not known", "%.90s",
            agent->meter.reason);
    else if (agent->machine->gpu_count > 0 && agent->meter.is_known)
        add(rows, "NVML", PASS, "", "answers");
}

static void add_bar1(struct rows *rows, const struct topo_machine *machine)
{
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        const struct topo_gpu *gpu = &machine->gpus[i];
        char name[64];

        if (gpu->bar1_bytes == 0 || machine->hca_count == 0)
            continue;
        (void)snprintf(name, sizeof(name), "GPU %u BAR1", gpu->index);
        add(rows, name, gpu->bar1_bytes >= bar1_least_bytes ? PASS : MARGINAL,
            "enable above-4G decoding in the firmware", "%" PRIu64 " MiB", gpu->bar1_bytes / MIB);
    }
}

static const char *state_name(enum topo_port_state state)
{
    static const char *const names[] = {"unknown", "down", "initialising", "armed", "active"};

    return names[state];
}

static void add_ports(struct rows *rows, const struct topo_machine *machine)
{
    for (uint32_t i = 0; i < machine->hca_count; i++) {
        const struct topo_hca *hca = &machine->hcas[i];

        for (uint32_t k = 0; k < hca->port_count; k++) {
            const struct topo_hca_port *port = &hca->ports[k];
            const bool is_active = port->state == TOPO_PORT_ACTIVE;
            char name[64];

            (void)snprintf(name, sizeof(name), "rail %.40s:%u", hca->name, port->number);
            add(rows, name,
                is_active                       ? PASS
                : port->state == TOPO_PORT_DOWN ? MARGINAL
                                                : FAIL,
                is_active || port->state == TOPO_PORT_DOWN
                    ? "connect it, if it should be a rail"
                    : "a subnet manager must bring it up: look for opensm",
                "%s, %u Gb/s, MTU %u", state_name(port->state), port->rate_mbps / MBPS_PER_GBPS,
                port->mtu);
        }
    }
}

/* A port's subnet: who manages it. RoCE has none, and what was not found is left out. */
static void add_subnets(struct rows *rows, const struct topo_machine *machine)
{
    for (uint32_t i = 0; i < machine->hca_count; i++) {
        const struct topo_hca *hca = &machine->hcas[i];

        for (uint32_t k = 0; k < hca->port_count; k++) {
            const struct topo_hca_port *port = &hca->ports[k];
            char name[64];

            if (port->state != TOPO_PORT_ACTIVE || (port->lid == 0 && port->manager_lid == 0))
                continue;
            (void)snprintf(name, sizeof(name), "rail %.40s:%u subnet", hca->name, port->number);
            add(rows, name, port->manager_lid ? PASS : FAIL, "look for opensm",
                "%016" PRIx64 ", manager LID %u", port->subnet, port->manager_lid);
        }
    }
}

static const struct topo_port_gauge *base_of(const struct agent_port_base *base,
                                             const struct topo_port_gauge *gauge)
{
    for (uint32_t i = 0; i < base->count; i++)
        if (base->ports[i].number == gauge->number && strcmp(base->ports[i].hca, gauge->hca) == 0)
            return &base->ports[i];
    return NULL;
}

/* What a counter grew by; UINT64_MAX: not known. One that was reset counts from there. */
static uint64_t growth(uint64_t from, uint64_t to)
{
    if (from == UINT64_MAX || to == UINT64_MAX)
        return UINT64_MAX;
    return to >= from ? to - from : to;
}

static void add_rate(struct rows *rows, const struct topo_port_gauge *gauge, const char *what,
                     uint64_t count, uint64_t seconds, uint64_t most)
{
    char name[64];

    if (count == UINT64_MAX)
        return;
    (void)snprintf(name, sizeof(name), "rail %.30s:%u %s", gauge->hca, gauge->number, what);
    add(rows, name,
        count == 0      ? PASS
        : count <= most ? MARGINAL
                        : FAIL,
        "look at its cable, and at both ends (ibqueryerrors)", "%" PRIu64 " in %" PRIu64 " s",
        count, seconds);
}

static void add_rates(struct rows *rows, const struct agent *agent)
{
    const struct agent_meter *meter = &agent->meter;
    const struct agent_port_base *base = &meter->bases[0];
    const uint64_t seconds = (agent_now_ns(agent) - base->at_ns) / NS_PER_S;
    const uint64_t most = (seconds / 60 + 1) * BAD_A_MINUTE_MOST;

    for (uint32_t i = 0; meter->is_known && i < meter->gauges.port_count; i++) {
        const struct topo_port_gauge *gauge = &meter->gauges.ports[i], *from = base_of(base, gauge);

        if (!from)
            continue;
        add_rate(rows, gauge, "retransmissions",
                 growth(from->retransmissions, gauge->retransmissions), seconds, most);
        add_rate(rows, gauge, "errors", growth(from->errors, gauge->errors), seconds, most);
        add_rate(rows, gauge, "losses of link", growth(from->link_downed, gauge->link_downed),
                 seconds, 0);
    }
}

uint32_t agent_health_fill(const struct agent *agent, struct message_health *out, uint32_t most)
{
    struct rows rows = {.rows = out, .most = most};

    if (!agent->machine)
        return 0;
    add_software(&rows, agent->machine);
    add_memlock(&rows, agent->machine);
    add_gpudirect(&rows, agent->machine);
    add_faults(&rows);
    add_uids(&rows, agent);
    add_meter(&rows, agent);
    add_ports(&rows, agent->machine);
    add_subnets(&rows, agent->machine);
    add_rates(&rows, agent);
    add_bar1(&rows, agent->machine);
    for (uint32_t i = 0; i < agent->gpu_count; i++) {
        if (!agent->gpus[i]->is_present)
            continue;
        add_gpu(&rows, agent->gpus[i]);
        add_clock(&rows, agent->gpus[i]);
    }
    return rows.count;
}
