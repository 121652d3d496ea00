/* SPDX-License-Identifier: Apache-2.0
 * topology/ibnet.c - discovery of the fabric (fabric.h): one sweep of libibnetdisc, copied into a
 * record, and the performance counters of its ports by libibmad.
 *
 * Nodes stand in the order of their GUIDs, so that two sweeps of one fabric give the same record.
 * The libraries write a line to stderr when a MAD is lost; that is theirs. Fields and their
 * meaning: InfiniBand Architecture Specification 1, 14.2.5 (PortInfo) and 16.1 (PerfMgt).
 * One sweep at a time in a process: libibnetdisc has settings of its own that are shared.
 */
#include "topology/fabric.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <infiniband/ibnetdisc.h>
#include <infiniband/mad.h>
#include <infiniband/umad.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/err.h"
#include "topology/ibnet_int.h"

enum {
    TIMEOUT_DEFAULT_MS = 1000,
    RETRIES = 2,
    SMPS_IN_FLIGHT = 8, /* of a sweep; measured: half the time of the library's 2 */
    PORTS_MAX = 1 << 20,
    /* What a PerfMgt class says of itself: 16.1.3.1, CapabilityMask. */
    PMA_CAPABILITIES_OFFSET = 2,
    PMA_EXTENDED_WIDTH = 1 << 9,
    PMA_EXTENDED_WIDTH_NO_IETF = 1 << 10,
    PMA_XMIT_WAIT = 1 << 12,
    PMA_WORD_BYTES = 4, /* data counters count words */
    PHYSICAL_POLLING = 2,
    EXTENDED_SPEEDS = 1 << 14, /* of PortInfo's CapabilityMask */
    EXTENDED_DISABLED = 30     /* in LinkSpeedExtEnabled: not a mask then */
};

/* ---- where to look from ---- */

struct vantage {
    char hca[UMAD_CA_NAME_LEN];
    int port;
};

static bool port_is_usable(const umad_port_t *port, enum topo_port_state state)
{
    /* "InfiniBand", and "IB" of libibumad where the kernel does not say it. */
    return strcmp(port->link_layer, "Ethernet") != 0 && port->state == (unsigned)state;
}

/* Whether the HCA has the wanted port (0: any) in the wanted state. */
static bool hca_has_port(const char hca[UMAD_CA_NAME_LEN], uint8_t wanted,
                         enum topo_port_state state, struct vantage *vantage_out)
{
    umad_ca_t ca;
    bool found = false;

    if (umad_get_ca(hca, &ca) != 0)
        return false;
    for (int number = 1; number < UMAD_CA_MAX_PORTS && !found; number++) {
        const umad_port_t *port = ca.ports[number];

        if (!port || (wanted != 0 && wanted != number) || !port_is_usable(port, state))
            continue;
        memcpy(vantage_out->hca, hca, sizeof(vantage_out->hca));
        vantage_out->port = number;
        found = true;
    }
    (void)umad_release_ca(&ca); /* frees; its result says only that there was nothing */
    return found;
}

/* An active port; where no subnet manager has been yet, one whose cable is in. */
static enum fab_status choose_vantage(const struct topo_fabric_source *source,
                                      struct vantage *vantage_out, struct fab_err *err)
{
    static const enum topo_port_state states[] = {TOPO_PORT_ACTIVE, TOPO_PORT_ARMED,
                                                  TOPO_PORT_INIT};
    static_assert(TOPO_PORT_DOWN == 1 && TOPO_PORT_ACTIVE == 4, "umad's numbers");
    char names[UMAD_MAX_DEVICES][UMAD_CA_NAME_LEN];
    int count;

    if (umad_init() < 0)
        return fab_err_foreign(err, FAB_ERR_IO, "errno", errno, "umad_init failed");
    count = umad_get_cas_names(names, UMAD_MAX_DEVICES);
    for (size_t s = 0; s < FAB_ARRAY_LEN(states); s++)
        for (int i = 0; i < count; i++)
            if ((!source->hca || strcmp(source->hca, names[i]) == 0) &&
                hca_has_port(names[i], source->port, states[s], vantage_out))
                return FAB_OK;
    if (source->port != 0)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s has no InfiniBand port %u with a link",
                           source->hca ? source->hca : "this machine", source->port);
    return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s has no InfiniBand port with a link",
                       source->hca ? source->hca : "this machine");
}

static enum fab_status open_mad(struct vantage *vantage, unsigned timeout_ms, int *classes,
                                int class_count, struct ibmad_port **mad_out, struct fab_err *err)
{
    struct ibmad_port *mad;

    errno = 0;
    mad = mad_rpc_open_port(vantage->hca, vantage->port, classes, class_count);
    if (!mad)
        return fab_err_foreign(err, FAB_ERR_IO, "errno", errno,
                               "opening %s:%d for management packets", vantage->hca, vantage->port);
    mad_rpc_set_retries(mad, RETRIES);
    mad_rpc_set_timeout(mad, (int)timeout_ms);
    *mad_out = mad;
    return FAB_OK;
}

/* ---- one port's facts ---- */

static uint32_t field(const uint8_t *info, enum MAD_FIELDS which)
{
    uint8_t copy[IB_SMP_DATA_SIZE]; /* the library wants it writable */

    memcpy(copy, info, sizeof(copy));
    return mad_get_field(copy, 0, which);
}

/* Lanes by bit of LinkWidthActive and LinkWidthEnabled. */
static const uint8_t width_lanes[] = {1, 4, 8, 12, 2};
/* Payload of a lane in MB/s by bit: LinkSpeed (8b/10b) and LinkSpeedExt (64b/66b from FDR to EDR;
 * HDR and NDR are said with their error correction taken off). */
static const uint32_t speed_mbps[] = {250, 500, 1000};
static const uint32_t extended_mbps[] = {1704, 3125, 6250, 12500};
enum { FDR10_MBPS = 1250 };

uint8_t ibnet_widest(uint32_t bits)
{
    uint8_t lanes = 0;

    for (size_t bit = 0; bit < FAB_ARRAY_LEN(width_lanes); bit++)
        if ((bits & 1u << bit) && width_lanes[bit] > lanes)
            lanes = width_lanes[bit];
    return lanes;
}

static uint32_t fastest_of(uint32_t bits, const uint32_t *rates, size_t count)
{
    for (size_t bit = count; bit > 0; bit--)
        if (bits & 1u << (bit - 1))
            return rates[bit - 1];
    return 0;
}

uint32_t ibnet_fastest(uint32_t speed_bits, uint32_t extended_bits, bool is_fdr10)
{
    uint32_t extended = fastest_of(extended_bits, extended_mbps, FAB_ARRAY_LEN(extended_mbps));

    if (extended)
        return extended;
    return is_fdr10 ? FDR10_MBPS : fastest_of(speed_bits, speed_mbps, FAB_ARRAY_LEN(speed_mbps));
}

void ibnet_port_from_info(const uint8_t *info, const uint8_t *mellanox_info, uint32_t capabilities,
                          struct topo_fabric_port *port_out)
{
    bool has_extended = (capabilities & EXTENDED_SPEEDS) != 0;
    uint32_t state = field(info, IB_PORT_STATE_F);
    uint32_t extended = 0, extended_enabled = 0;

    if (has_extended) {
        extended = field(info, IB_PORT_LINK_SPEED_EXT_ACTIVE_F);
        extended_enabled = field(info, IB_PORT_LINK_SPEED_EXT_ENABLED_F);
        if (extended_enabled == EXTENDED_DISABLED)
            extended_enabled = 0;
    }
    port_out->state = state <= TOPO_PORT_ACTIVE ? (enum topo_port_state)state : TOPO_PORT_UNKNOWN;
    port_out->is_polling = field(info, IB_PORT_PHYS_STATE_F) == PHYSICAL_POLLING;
    if (port_out->state >= TOPO_PORT_INIT) {
        port_out->width = ibnet_widest(field(info, IB_PORT_LINK_WIDTH_ACTIVE_F));
        port_out->lane_mbps =
            ibnet_fastest(field(info, IB_PORT_LINK_SPEED_ACTIVE_F), extended,
                          field(mellanox_info, IB_MLNX_EXT_PORT_LINK_SPEED_ACTIVE_F) & 1);
    }
    port_out->enabled_mbps =
        ibnet_widest(field(info, IB_PORT_LINK_WIDTH_ENABLED_F)) *
        ibnet_fastest(field(info, IB_PORT_LINK_SPEED_ENABLED_F), extended_enabled,
                      field(mellanox_info, IB_MLNX_EXT_PORT_LINK_SPEED_ENABLED_F) & 1);
}

/* ---- the sweep into a record ---- */

static int by_guid(const void *left, const void *right)
{
    const ibnd_node_t *a = *(ibnd_node_t *const *)left, *b = *(ibnd_node_t *const *)right;

    return a->guid < b->guid ? -1 : a->guid > b->guid;
}

static int guid_order(const void *wanted, const void *node)
{
    uint64_t a = *(const uint64_t *)wanted, b = ((const struct topo_fabric_node *)node)->guid;

    return a < b ? -1 : a > b;
}

static const struct topo_fabric_node *find_node(const struct topo_fabric *fabric, uint64_t guid)
{
    return bsearch(&guid, fabric->nodes, fabric->node_count, sizeof(fabric->nodes[0]), guid_order);
}

static void copy_description(const char *from, char *to, size_t to_bytes)
{
    size_t length = strnlen(from, to_bytes - 1);

    while (length > 0 && isspace((unsigned char)from[length - 1]))
        length--;
    for (size_t i = 0; i < length; i++)
        to[i] = isprint((unsigned char)from[i]) && isascii(from[i]) ? from[i] : '?';
    to[length] = '\0';
}

static void copy_node(const ibnd_node_t *from, struct topo_fabric_node *to)
{
    to->kind = from->type == IB_NODE_SWITCH   ? TOPO_FABRIC_SWITCH
               : from->type == IB_NODE_ROUTER ? TOPO_FABRIC_ROUTER
                                              : TOPO_FABRIC_HCA;
    to->guid = from->guid;
    to->system_guid = mad_get_field64((void *)(uintptr_t)from->info, 0, IB_NODE_SYSTEM_GUID_F);
    to->vendor = field(from->info, IB_NODE_VENDORID_F);
    to->device = field(from->info, IB_NODE_DEVID_F);
    to->lid = from->type == IB_NODE_SWITCH ? from->smalid : 0;
    copy_description(from->nodedesc, to->description, sizeof(to->description));
}

/* Capabilities of a port: of a switch's ports its port 0 says them. */
static uint32_t capabilities_of(const ibnd_node_t *node, const ibnd_port_t *port)
{
    const ibnd_port_t *says = node->type == IB_NODE_SWITCH ? node->ports[0] : port;

    return says ? field(says->info, IB_PORT_CAPMASK_F) : 0;
}

static void copy_port(const ibnd_node_t *node, const ibnd_port_t *from, struct topo_fabric_port *to)
{
    if (!from)
        return;                         /* it did not answer: a port without a known state */
    if (node->type != IB_NODE_SWITCH) { /* those of a switch have neither */
        to->guid = from->guid;
        to->lid = from->base_lid;
        to->lmc = from->lmc;
    }
    ibnet_port_from_info(from->info, from->ext_info, capabilities_of(node, from), to);
}

static void copy_ports(const ibnd_node_t *node, struct topo_fabric *fabric, uint32_t index)
{
    const struct topo_fabric_node *record = &fabric->nodes[index];

    for (uint32_t i = 0; i < record->port_count; i++) {
        const ibnd_port_t *port = node->ports ? node->ports[i + 1] : NULL;
        const ibnd_port_t *remote = port ? port->remoteport : NULL;
        const struct topo_fabric_node *peer = remote ? find_node(fabric, remote->node->guid) : NULL;
        struct topo_fabric_port *to = &fabric->ports[record->first_port + i];

        to->node = index;
        to->number = (uint8_t)(i + 1);
        to->peer = TOPO_NONE;
        copy_port(node, port, to);
        /* Two nodes of one GUID are one here, perhaps with fewer ports than the other has. */
        if (peer && remote->portnum >= 1 && (uint32_t)remote->portnum <= peer->port_count)
            to->peer = (int32_t)(peer->first_port + (uint32_t)remote->portnum - 1);
    }
}

static enum fab_status copy_sorted(ibnd_node_t **nodes, uint32_t count,
                                   struct topo_fabric *fabric_out, struct fab_err *err)
{
    struct topo_fabric fabric = {.node_count = count};

    fabric.nodes = fab_alloc_zeroed(count, sizeof(fabric.nodes[0]));
    if (!fabric.nodes)
        return fab_err_set(err, FAB_ERR_NOMEM, "%u fabric nodes", count);
    for (uint32_t i = 0; i < count; i++) {
        copy_node(nodes[i], &fabric.nodes[i]);
        fabric.nodes[i].first_port = fabric.port_count;
        fabric.nodes[i].port_count = nodes[i]->numports > 0 ? (uint8_t)nodes[i]->numports : 0;
        fabric.port_count += fabric.nodes[i].port_count;
    }
    if (fabric.port_count > PORTS_MAX) {
        topo_fabric_clear(&fabric);
        return fab_err_set(err, FAB_ERR_LIMIT, "more than %d ports in the fabric", PORTS_MAX);
    }
    fabric.ports = fab_alloc_zeroed(fabric.port_count + 1, sizeof(fabric.ports[0]));
    if (!fabric.ports) {
        topo_fabric_clear(&fabric);
        return fab_err_set(err, FAB_ERR_NOMEM, "fabric ports");
    }
    for (uint32_t i = 0; i < count; i++)
        copy_ports(nodes[i], &fabric, i);
    *fabric_out = fabric;
    return FAB_OK;
}

static enum fab_status copy_fabric(const ibnd_fabric_t *sweep, struct topo_fabric *fabric_out,
                                   struct fab_err *err)
{
    ibnd_node_t **nodes, *node;
    uint32_t count = 0;
    enum fab_status status;

    for (node = sweep->nodes; node; node = node->next)
        count++;
    nodes = fab_alloc_zeroed(count, sizeof(ibnd_node_t *));
    if (!nodes)
        return fab_err_set(err, FAB_ERR_NOMEM, "list of %u fabric nodes", count);
    count = 0;
    for (node = sweep->nodes; node; node = node->next)
        nodes[count++] = node;
    qsort(nodes, count, sizeof(ibnd_node_t *), by_guid);
    status = copy_sorted(nodes, count, fabric_out, err);
    free(nodes);
    return status;
}

/* ---- ports that the sweep did not come through ---- */

/* The sweep asks an HCA for the port it came in by. The others have no link that leads anywhere,
 * and say which. */
static void ask_other_ports(const ibnd_node_t *node, const struct ibmad_port *mad,
                            unsigned timeout_ms, const struct topo_fabric_node *record,
                            struct topo_fabric_port *ports)
{
    static const uint8_t no_mellanox_info[IB_SMP_DATA_SIZE];
    ib_portid_t path = node->path_portid;

    for (uint32_t i = 0; i < record->port_count; i++) {
        uint8_t info[IB_SMP_DATA_SIZE] = {0};
        struct topo_fabric_port *port = &ports[i];

        if (node->ports[i + 1])
            continue;
        if (!smp_query_via(info, &path, IB_ATTR_PORT_INFO, i + 1, timeout_ms, mad))
            return; /* it answered before and does not now: unknown */
        port->lid = (uint16_t)field(info, IB_PORT_LID_F);
        port->lmc = (uint8_t)field(info, IB_PORT_LMC_F);
        ibnet_port_from_info(info, no_mellanox_info, field(info, IB_PORT_CAPMASK_F), port);
    }
}

static enum fab_status complete_hcas(const ibnd_fabric_t *sweep, struct vantage *vantage,
                                     unsigned timeout_ms, struct topo_fabric *fabric,
                                     struct fab_err *err)
{
    int classes[] = {IB_SMI_CLASS, IB_SMI_DIRECT_CLASS};
    struct ibmad_port *mad;
    enum fab_status status =
        open_mad(vantage, timeout_ms, classes, FAB_ARRAY_LEN(classes), &mad, err);

    if (status != FAB_OK)
        return status;
    for (const ibnd_node_t *node = sweep->nodes; node; node = node->next) {
        const struct topo_fabric_node *record;

        if (node->type != IB_NODE_CA || !node->ports)
            continue;
        record = find_node(fabric, node->guid);
        if (record)
            ask_other_ports(node, mad, timeout_ms, record, &fabric->ports[record->first_port]);
    }
    mad_rpc_close_port(mad);
    return FAB_OK;
}

/* ---- counters ---- */

struct counter_reader {
    struct ibmad_port *mad;
    unsigned timeout_ms;
};

static bool ask(const struct counter_reader *reader, uint16_t lid, uint8_t port, unsigned attribute,
                uint8_t *answer)
{
    ib_portid_t where = {0};

    memset(answer, 0, IB_MAD_SIZE);
    ib_portid_set(&where, lid, 0, 0);
    return pma_query_via(answer, &where, port, reader->timeout_ms, attribute, reader->mad) != NULL;
}

void ibnet_counters_from_pma(const uint8_t *counters, const uint8_t *extended,
                             uint16_t capabilities, struct topo_fabric_port *port_out)
{
    port_out->symbol_errors = field(counters, IB_PC_ERR_SYM_F);
    port_out->link_downed = field(counters, IB_PC_LINK_DOWNED_F);
    port_out->link_recoveries = field(counters, IB_PC_LINK_RECOVERS_F);
    port_out->receive_errors = field(counters, IB_PC_ERR_RCV_F);
    port_out->transmit_discards = field(counters, IB_PC_XMT_DISCARDS_F);
    port_out->transmit_wait = capabilities & PMA_XMIT_WAIT ? field(counters, IB_PC_XMT_WAIT_F) : 0;
    port_out->transmit_bytes = (uint64_t)field(counters, IB_PC_XMT_BYTES_F) * PMA_WORD_BYTES;
    port_out->receive_bytes = (uint64_t)field(counters, IB_PC_RCV_BYTES_F) * PMA_WORD_BYTES;
    if (extended) {
        uint8_t copy[IB_MAD_SIZE];

        memcpy(copy, extended, sizeof(copy));
        port_out->transmit_bytes = mad_get_field64(copy, 0, IB_PC_EXT_XMT_BYTES_F) * PMA_WORD_BYTES;
        port_out->receive_bytes = mad_get_field64(copy, 0, IB_PC_EXT_RCV_BYTES_F) * PMA_WORD_BYTES;
    }
    port_out->has_counters = true;
}

/* One port; false if the node did not answer. */
static bool read_port(const struct counter_reader *reader, uint16_t lid, uint16_t capabilities,
                      struct topo_fabric_port *port)
{
    uint8_t counters[IB_MAD_SIZE], extended[IB_MAD_SIZE];
    bool has_extended = capabilities & (PMA_EXTENDED_WIDTH | PMA_EXTENDED_WIDTH_NO_IETF);

    if (!ask(reader, lid, port->number, IB_GSI_PORT_COUNTERS, counters))
        return false;
    if (has_extended && !ask(reader, lid, port->number, IB_GSI_PORT_COUNTERS_EXT, extended))
        return false;
    ibnet_counters_from_pma(counters, has_extended ? extended : NULL, capabilities, port);
    return true;
}

/* The ports of one node that have a link. A node that does not answer once is not asked again: each
 * question would take the whole timeout. */
static void read_node(const struct counter_reader *reader, struct topo_fabric *fabric,
                      const struct topo_fabric_node *node)
{
    uint8_t class_info[IB_MAD_SIZE];
    bool knows_capabilities = false;
    uint16_t capabilities = 0;

    for (uint32_t i = 0; i < node->port_count; i++) {
        struct topo_fabric_port *port = &fabric->ports[node->first_port + i];
        uint16_t lid = node->kind == TOPO_FABRIC_SWITCH ? node->lid : port->lid;

        if (port->state < TOPO_PORT_INIT || lid == 0)
            continue; /* nothing to count, or no subnet manager has been there */
        if (!knows_capabilities) {
            if (!ask(reader, lid, port->number, CLASS_PORT_INFO, class_info))
                return;
            capabilities = (uint16_t)(class_info[PMA_CAPABILITIES_OFFSET] << 8 |
                                      class_info[PMA_CAPABILITIES_OFFSET + 1]);
            knows_capabilities = true;
        }
        if (!read_port(reader, lid, capabilities, port))
            return;
    }
}

static enum fab_status read_counters(struct vantage *vantage, unsigned timeout_ms,
                                     struct topo_fabric *fabric, struct fab_err *err)
{
    int classes[] = {IB_PERFORMANCE_CLASS};
    struct counter_reader reader = {.timeout_ms = timeout_ms};
    enum fab_status status =
        open_mad(vantage, timeout_ms, classes, FAB_ARRAY_LEN(classes), &reader.mad, err);

    if (status != FAB_OK)
        return status;
    for (uint32_t i = 0; i < fabric->node_count; i++)
        read_node(&reader, fabric, &fabric->nodes[i]);
    mad_rpc_close_port(reader.mad);
    return FAB_OK;
}

/* ---- all of it ---- */

enum fab_status topo_fabric_discover(const struct topo_fabric_source *source,
                                     struct topo_fabric *fabric_out, struct fab_err *err)
{
    unsigned timeout_ms = source->timeout_ms ? source->timeout_ms : TIMEOUT_DEFAULT_MS;
    struct ibnd_config config = {.max_smps = SMPS_IN_FLIGHT,
                                 .timeout_ms = timeout_ms,
                                 .retries = RETRIES,
                                 .flags = IBND_CONFIG_MLX_EPI};
    struct topo_fabric fabric = {0};
    struct vantage vantage;
    ibnd_fabric_t *sweep;
    enum fab_status status;

    status = choose_vantage(source, &vantage, err);
    if (status != FAB_OK)
        return status;
    errno = 0;
    sweep = ibnd_discover_fabric(vantage.hca, vantage.port, NULL, &config);
    if (!sweep)
        return fab_err_foreign(err, FAB_ERR_IO, "errno", errno, "the sweep from %s:%d failed",
                               vantage.hca, vantage.port);
    status = copy_fabric(sweep, &fabric, err);
    if (status == FAB_OK)
        status = complete_hcas(sweep, &vantage, timeout_ms, &fabric, err);
    ibnd_destroy_fabric(sweep);
    if (status == FAB_OK && source->counters)
        status = read_counters(&vantage, timeout_ms, &fabric, err);
    if (status != FAB_OK) {
        topo_fabric_clear(&fabric);
        return status;
    }
    *fabric_out = fabric;
    return FAB_OK;
}
