/* SPDX-License-Identifier: Apache-2.0
 * tests/ibsim/fabric_probe.c - what topology/fabric.h discovers, as text for scripts.
 *
 *   fabric_probe [--counters] [--hca NAME] [--port N] [--timeout MS]
 *
 * Prints a line a node and a line a port (tests/ibsim/fabric.py reads them). Exit status 0, or 1
 * and the error's name and text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "topology/fabric.h"

static void print_node(const struct topo_fabric_node *node)
{
    printf("node %016" PRIx64 " kind %d system %016" PRIx64
           " vendor %x device %u lid %u ports %u description %s\n",
           node->guid, (int)node->kind, node->system_guid, node->vendor, node->device, node->lid,
           node->port_count, node->description);
}

static void print_port(const struct topo_fabric *fabric, const struct topo_fabric_port *port)
{
    printf("port %016" PRIx64 " number %u guid %016" PRIx64
           " lid %u lmc %u state %d polling %d width %u lane %u enabled %u",
           fabric->nodes[port->node].guid, port->number, port->guid, port->lid, port->lmc,
           (int)port->state, port->is_polling, port->width, port->lane_mbps, port->enabled_mbps);
    if (port->has_counters)
        printf(" symbol %" PRIu64 " downed %" PRIu64 " recoveries %" PRIu64 " receive %" PRIu64
               " discards %" PRIu64 " wait %" PRIu64 " sent %" PRIu64 " received %" PRIu64,
               port->symbol_errors, port->link_downed, port->link_recoveries, port->receive_errors,
               port->transmit_discards, port->transmit_wait, port->transmit_bytes,
               port->receive_bytes);
    if (port->peer != TOPO_NONE) {
        const struct topo_fabric_port *peer = &fabric->ports[port->peer];

        printf(" peer %016" PRIx64 ":%u", fabric->nodes[peer->node].guid, peer->number);
    }
    printf("\n");
}

/* Takes a pair of arguments, or one switch; false: misused. */
static bool take_argument(struct topo_fabric_source *source, char **arguments, int left, int *used)
{
    *used = 2;
    if (strcmp(arguments[0], "--counters") == 0) {
        source->counters = true;
        *used = 1;
        return true;
    }
    if (left < 2)
        return false;
    if (strcmp(arguments[0], "--hca") == 0)
        source->hca = arguments[1];
    else if (strcmp(arguments[0], "--port") == 0)
        source->port = (uint8_t)strtoul(arguments[1], NULL, 10);
    else if (strcmp(arguments[0], "--timeout") == 0)
        source->timeout_ms = (uint32_t)strtoul(arguments[1], NULL, 10);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct topo_fabric_source source = {0};
    struct topo_fabric fabric;
    struct fab_err err;
    enum fab_status status;

    for (int i = 1, used; i < argc; i += used)
        if (!take_argument(&source, argv + i, argc - i, &used))
            return 2;
    status = topo_fabric_discover(&source, &fabric, &err);
    if (status != FAB_OK) {
        printf("error %s: %s\n", fab_status_name(status), err.text);
        return 1;
    }
    for (uint32_t i = 0; i < fabric.node_count; i++)
        print_node(&fabric.nodes[i]);
    for (uint32_t i = 0; i < fabric.port_count; i++)
        print_port(&fabric, &fabric.ports[i]);
    topo_fabric_clear(&fabric);
    return 0;
}
