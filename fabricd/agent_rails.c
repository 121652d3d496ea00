/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_rails.c - this node's rails, and those that one session uses.
 *
 * Rails are numbered: as the setting lists them, else by the ports of all HCAs, active or not. The
 * manager says by number which rails of the host and of a node go together (rails.h); it has said
 * nothing where it knew nothing, and then rail i goes with rail i.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "fabricd/agent_int.h"

/* ---- what there is ----------------------------------------------------------------------------
 */

struct found_port {
    const struct topo_hca *hca;
    const struct topo_hca_port *port;
    char name[RAILS_PORT_BYTES]; /* "mlx5_0:1" */
};

/* The ports of all HCAs, one after another. False: there are no more. */
static bool port_at(const struct topo_machine *machine, uint32_t index, struct found_port *found)
{
    for (uint32_t i = 0; machine && i < machine->hca_count; i++) {
        const struct topo_hca *hca = &machine->hcas[i];

        if (index >= hca->port_count) {
            index -= hca->port_count;
            continue;
        }
        found->hca = hca;
        found->port = &hca->ports[index];
        (void)snprintf(found->name, sizeof(found->name), "%.63s:%u", hca->name,
                       hca->ports[index].number);
        return true;
    }
    return false;
}

static bool find_port(const struct topo_machine *machine, const char *name,
                      struct found_port *found)
{
    for (uint32_t i = 0; port_at(machine, i, found); i++)
        if (strcmp(found->name, name) == 0)
            return true;
    return false;
}

/* A setting names its port, or it is found by what UCX opens: the port, or its interface. */
static void place_rail(const struct topo_machine *machine, const struct fabricd_rail *setting,
                       struct rails_rail *rail)
{
    const char *name = setting->port ? setting->port : "";
    const char *device = setting->device && setting->device[0] ? setting->device : name;
    struct found_port found;

    agent_copy_text(rail->device, sizeof(rail->device), device);
    for (uint32_t i = 0; !rail->port[0] && port_at(machine, i, &found); i++)
        if (strcmp(found.name, name[0] ? name : device) == 0 ||
            (!name[0] && strcmp(found.port->netdev, device) == 0))
            agent_copy_text(rail->port, sizeof(rail->port), found.name);
}

static uint32_t bits_of(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

/* "10.77.0.0/24" for an address and its mask. */
static void write_net(const struct ifaddrs *entry, char *net, size_t net_bytes)
{
    struct sockaddr_in address, mask;
    char text[INET_ADDRSTRLEN] = "";

    memcpy(&address, entry->ifa_addr, sizeof(address));
    memcpy(&mask, entry->ifa_netmask, sizeof(mask));
    address.sin_addr.s_addr &= mask.sin_addr.s_addr;
    (void)inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    (void)snprintf(net, net_bytes, "%s/%u", text, bits_of(mask.sin_addr.s_addr));
}

/* The first IPv4 network of each rail that is an interface. */
static void find_nets(struct rails_rail *rails, uint32_t count)
{
    struct ifaddrs *entries = NULL;

    if (getifaddrs(&entries) != 0)
        return; /* the next report tries again */
    for (const struct ifaddrs *entry = entries; entry; entry = entry->ifa_next)
        for (uint32_t i = 0; i < count; i++)
            if (!rails[i].net[0] && entry->ifa_addr && entry->ifa_netmask &&
                entry->ifa_addr->sa_family == AF_INET &&
                strcmp(rails[i].device, entry->ifa_name) == 0)
                write_net(entry, rails[i].net, sizeof(rails[i].net));
    freeifaddrs(entries);
}

/* What is more than RAILS_MAX stands idle. */
static uint32_t list_rails(const struct agent *agent, struct rails_rail *rails)
{
    const struct fab_setting_list *settings = &agent->settings->rails;
    struct found_port found;
    uint32_t count = 0;

    memset(rails, 0, RAILS_MAX * sizeof(*rails));
    for (size_t i = 0; i < settings->count && count < RAILS_MAX; i++)
        place_rail(agent->machine, fab_setting_item(settings, struct fabricd_rail, i),
                   &rails[count++]);
    if (settings->count > 0)
        return count;
    for (; count < RAILS_MAX && port_at(agent->machine, count, &found); count++) {
        agent_copy_text(rails[count].device, sizeof(rails[count].device), found.name);
        agent_copy_text(rails[count].port, sizeof(rails[count].port), found.name);
    }
    return count;
}

uint32_t agent_rails_list(const struct agent *agent, struct rails_rail *rails_out)
{
    const uint32_t count = list_rails(agent, rails_out);

    find_nets(rails_out, count);
    return count;
}

uint64_t agent_rails_addresses(const struct agent *agent)
{
    struct rails_rail rails[RAILS_MAX];
    const uint32_t count = list_rails(agent, rails);
    uint64_t sum = FAB_HASH_START;
    struct ifaddrs *entries = NULL;

    if (getifaddrs(&entries) != 0)
        return 0; /* the next look tries again */
    for (const struct ifaddrs *entry = entries; entry; entry = entry->ifa_next)
        for (uint32_t i = 0; i < count; i++)
            if (entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET &&
                strcmp(rails[i].device, entry->ifa_name) == 0)
                sum = fab_hash_bytes(fab_hash_bytes(sum, &i, sizeof(i)), entry->ifa_addr,
                                     sizeof(struct sockaddr_in));
    freeifaddrs(entries);
    return sum;
}

/* Of an interface. What has another name, such as "mlx5_0:1", is not looked at here. */
static bool has_link(const char *device)
{
    struct ifreq request = {0};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_up = true;

    if (fd >= 0 && !strchr(device, ':') && strlen(device) < sizeof(request.ifr_name)) {
        agent_copy_text(request.ifr_name, sizeof(request.ifr_name), device);
        is_up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 ? request.ifr_flags & IFF_RUNNING
                                                       : errno != ENODEV;
    }
    if (fd >= 0)
        (void)close(fd);
    return is_up;
}

/* ---- what a process must know of this node ----------------------------------------------------
 */

static int32_t numa_of(const struct topo_machine *machine, const struct found_port *found)
{
    const int32_t pci = found->hca->pci;
    const int32_t numa = pci == TOPO_NONE ? TOPO_NONE : machine->pci[pci].numa;

    return numa == TOPO_NONE ? -1 : (int32_t)machine->numa[numa].os_index;
}

/* New programs go without it until its link is back; running ones have their own way. */
static void note_link(struct agent *agent, uint32_t number, const char *device, bool is_up)
{
    const uint32_t bit = 1u << number;

    if (is_up == !(agent->rails_down & bit))
        return;
    agent->rails_down ^= bit;
    if (is_up)
        fab_log_info(&agent->log, "a rail has its link again", "device %s", device);
    else
        fab_log_warn(&agent->log, "a rail has no link: programs that attach go without it",
                     "device %s", device);
}

static void add_rail(struct agent *agent, const struct rails_rail *rail, uint32_t number,
                     struct ses_node *node)
{
    const struct fab_setting_list *settings = &agent->settings->rails;
    struct ses_rail *to = &node->rails[node->rail_count];
    struct found_port found;
    const bool is_found = find_port(agent->machine, rail->port, &found);
    const bool is_up = has_link(rail->device);

    note_link(agent, number, rail->device, is_up);
    if (!is_up)
        return;
    if (settings->count == 0 && (!is_found || found.port->state != TOPO_PORT_ACTIVE))
        return; /* nobody has asked for this one */
    *to = (struct ses_rail){.wire = SES_WIRE_UCX,
                            .number = number,
                            .numa_node = is_found ? numa_of(agent->machine, &found) : -1};
    agent_copy_text(to->device, sizeof(to->device), rail->device);
    node->rail_count++;
}

void agent_node_fill(struct agent *agent, bool is_apart, struct ses_node *node_out)
{
    struct rails_rail rails[RAILS_MAX];
    const uint32_t count = is_apart ? list_rails(agent, rails) : 0;

    *node_out = (struct ses_node){.rail_count = 1};
    memcpy(node_out->id, agent->node_id, sizeof(node_out->id));
    agent_copy_text(node_out->name, sizeof(node_out->name), agent->settings->node);
    node_out->rails[0] = (struct ses_rail){.wire = SES_WIRE_SHM, .numa_node = -1};
    for (uint32_t i = 0; i < count; i++)
        add_rail(agent, &rails[i], i, node_out);
}

/* ---- one session ------------------------------------------------------------------------------
 */

const struct message_gpu *agent_rails_gpu(const struct agent_session *session, const char *node)
{
    uint32_t i = 0;

    while (strcmp(session->command_of.gpus[i].node, node) != 0)
        i++; /* the seat was made from one of them */
    return &session->command_of.gpus[i];
}

/* The index of a rail in a node's list; its rail_count: it is not there. */
static uint32_t find_rail(const struct ses_node *node, uint32_t number)
{
    uint32_t i = 0;

    while (i < node->rail_count &&
           (node->rails[i].wire != SES_WIRE_UCX || node->rails[i].number != number))
        i++;
    return i;
}

static void keep_rail(const struct ses_node *from, uint32_t number, struct ses_node *to)
{
    const uint32_t at = find_rail(from, number);

    if (at < from->rail_count && find_rail(to, number) == to->rail_count)
        to->rails[to->rail_count++] = from->rails[at];
}

/* The node with the rail of one host only. */
static struct ses_node without_rails(const struct ses_node *node)
{
    struct ses_node bare = *node;

    bare.rail_count = 0;
    for (uint32_t i = 0; i < node->rail_count; i++)
        if (node->rails[i].wire == SES_WIRE_SHM)
            bare.rails[bare.rail_count++] = node->rails[i];
    return bare;
}

void agent_rails_keep_here(const struct agent_session *session, struct ses_node *here)
{
    struct ses_node kept = without_rails(here);

    for (uint32_t i = 0; i < session->worker_count; i++) {
        const struct message_gpu *gpu = agent_rails_gpu(session, session->seats[i].node);

        if (strcmp(gpu->node, session->agent->settings->node) == 0)
            continue;
        if (gpu->rail_count == 0)
            return; /* nothing was decided */
        for (uint32_t k = 0; k < gpu->rail_count; k++)
            keep_rail(here, gpu->rails[k].local, &kept);
    }
    *here = kept;
}

void agent_rails_keep_there(const struct message_gpu *gpu, struct ses_node *there)
{
    struct ses_node kept = without_rails(there);

    if (gpu->rail_count == 0)
        return;
    for (uint32_t i = 0; i < gpu->rail_count; i++)
        keep_rail(there, gpu->rails[i].remote, &kept);
    *there = kept;
}

uint32_t agent_rails_pair(const struct agent_session *session, uint32_t index,
                          struct ses_pair *pairs_out)
{
    const struct ses_node *here = &session->here, *there = &session->seats[index].where;
    const struct message_gpu *gpu = agent_rails_gpu(session, session->seats[index].node);
    uint32_t count = 0;

    for (uint32_t i = 0; i < gpu->rail_count; i++) {
        const uint32_t local = find_rail(here, gpu->rails[i].local);
        const uint32_t remote = find_rail(there, gpu->rails[i].remote);

        if (local < here->rail_count && remote < there->rail_count)
            pairs_out[count++] =
                (struct ses_pair){.local = (uint8_t)local, .peer = (uint8_t)remote};
    }
    /* Of two kinds, only those that reach the other node. */
    for (uint32_t i = 0; gpu->rail_count == 0 && i < here->rail_count && i < there->rail_count; i++)
        if (here->rails[i].wire == SES_WIRE_UCX && there->rails[i].wire == SES_WIRE_UCX)
            pairs_out[count++] = (struct ses_pair){.local = (uint8_t)i, .peer = (uint8_t)i};
    return count;
}
