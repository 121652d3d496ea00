/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_health.c - what of this node may keep programs from running well, one row a check.
 *
 * Facts come from the discovery's record, so a recorded machine tells its own; only what this
 * process itself may do is looked at here. A row that does not apply is left out.
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
enum { KIB = 1024, MIB = 1024 * 1024, MBPS_PER_GBPS = 125 };
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

/* ---- GPUs and rails ---------------------------------------------------------------------------
 */

static void add_uids(struct rows *rows, const struct agent *agent)
{
    static const char advice[] = "set uid_first and uid_count, and run fabricd as root: leases "
                                 "then have users of their own";
    const bool has_pool = agent->settings->uid_first > 0 && geteuid() == 0;

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

uint32_t agent_health_fill(const struct agent *agent, struct message_health *out, uint32_t most)
{
    struct rows rows = {.rows = out, .most = most};

    if (!agent->machine)
        return 0;
    add_memlock(&rows, agent->machine);
    add_gpudirect(&rows, agent->machine);
    add_faults(&rows);
    add_uids(&rows, agent);
    add_ports(&rows, agent->machine);
    add_bar1(&rows, agent->machine);
    for (uint32_t i = 0; i < agent->gpu_count; i++)
        if (agent->gpus[i]->is_present)
            add_gpu(&rows, agent->gpus[i]);
    return rows.count;
}
