/* SPDX-License-Identifier: Apache-2.0
 * Rails of a host and of nodes with two HCAs: which go together, which are chosen for GPUs, with
 * and without a fabric, with networks, and with a cable out.
 */
#include "fabricd/rails.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/unit/topology/make.h"

enum { NODES = 3, SAID_BYTES = 128, TARGETS_MAX = 2 };

static const char *const names[NODES] = {"host", "a", "b"};

/* The host has one HCA of two ports; nodes have two, of which the first port is used: GPUs 0 and 1
 * are beside the first, 2 and 3 beside the second. */
#define HOST_PORTS "mlx4_0:1 mlx4_0:2"
#define NODE_PORTS "mlx4_0:1 mlx4_1:1"
#define HOST_IP "ib0=mlx4_0:1@n0 ib1=mlx4_0:2@n1"
#define NODE_IP "ib0=mlx4_0:1@n0 ib2=mlx4_1:1@n1"

/* ---- the rack ---------------------------------------------------------------------------------
 */

/* "NODE HCA PORT SWITCH", all below 10. */
static void add_cables(struct topo_fabric *fabric, const char *cables)
{
    uint32_t hcas[NODES][2], leaves[2];
    unsigned used[2] = {0, 0};
    char text[80];

    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(text, sizeof(text), "leaf%u", i + 1);
        leaves[i] = make_node(fabric, TOPO_FABRIC_SWITCH, 0x900 + i, text, 36);
    }
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned k = 0; k < (i == 0 ? 1 : 2); k++) {
            (void)snprintf(text, sizeof(text), "%s mlx4_%u", names[i], k);
            hcas[i][k] = make_node(fabric, TOPO_FABRIC_HCA, 0x100 + i * 0x100 + k * 0x10, text, 2);
        }
    for (const char *at = cables; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        const unsigned leaf = (unsigned)(at[3] - '0');

        make_cable(fabric, hcas[at[0] - '0'][at[1] - '0'], (unsigned)(at[2] - '0'), leaves[leaf],
                   ++used[leaf]);
    }
}

/* NULL: no fabric was swept. */
static struct topo *make_rack(const char *cables)
{
    struct topo_machine *machines[NODES];
    struct topo_fabric fabric = {0};
    struct topo *topo = NULL;

    for (unsigned i = 0; i < NODES; i++) {
        machines[i] = make_machine(i == 0 ? "r730" : "G", names[i], 0x100 + i * 0x100);
        for (uint32_t k = 0; k < machines[i]->gpu_count; k++)
            (void)snprintf(machines[i]->gpus[k].uuid, sizeof(machines[i]->gpus[k].uuid), "%s%u",
                           names[i], k);
    }
    if (cables)
        add_cables(&fabric, cables);
    CHECK_EQ(topo_join((const struct topo_machine *const *)machines, NODES, cables ? &fabric : NULL,
                       &topo, NULL),
             FAB_OK);
    for (unsigned i = 0; i < NODES; i++)
        free(machines[i]);
    topo_fabric_clear(&fabric);
    return topo;
}

/* "DEVICE[=PORT][@NET] ..."; a device with a colon is its own port. */
static uint32_t make_rails(const char *text, struct rails_rail *rails)
{
    uint32_t count = 0;
    char copy[256], *rest = NULL;

    (void)snprintf(copy, sizeof(copy), "%s", text);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        struct rails_rail *rail = &rails[count++];
        char *net = strchr(word, '@'), *port;

        *rail = (struct rails_rail){.device = ""};
        if (net) {
            (void)snprintf(rail->net, sizeof(rail->net), "%s", net + 1);
            *net = '\0';
        }
        port = strchr(word, '=');
        if (port)
            *port++ = '\0';
        (void)snprintf(rail->device, sizeof(rail->device), "%s", word);
        if (port || strchr(word, ':'))
            (void)snprintf(rail->port, sizeof(rail->port), "%s", port ? port : word);
    }
    return count;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

#define ONE "0010 0020 1010 1110 2010 2110"     /* all on one switch */
#define TWO "0010 0021 1010 1111 2010 2111"     /* a switch a rail */
#define CROSSED "0010 0021 1011 1110 2010 2111" /* node a is cabled the other way */
#define ONE_OUT "0020 1010 1110 2010 2110"      /* the host's first port is out */
#define A_AND_B_APART "0010 0021 1010 2111"     /* a has its first rail only, b its second */
#define B_HALF "0010 0021 1010 1111 2111"       /* b has its second rail only */

static const struct row {
    const char *label, *cables, *host, *a, *b; /* b NULL: it serves nothing */
    char gpu;                                  /* of each node; ' ': none known */
    uint32_t wanted;
    const char *said; /* rails of the host, then the pairs of each node */
} rows[] = {
    {"by number, where nothing is known", NULL, "x y", "x y z", NULL, ' ', 0, "2: 0-0 1-1"},
    {"a node with fewer", NULL, "x y", "x", NULL, ' ', 0, "1: 0-0"},
    {"one of two, where nothing is known", NULL, "x y", "x y", NULL, ' ', 1, "1: 0-0"},
    {"more than there are", NULL, "x y", "x", NULL, ' ', 2, "1: 0-0"},
    {"by network", NULL, "x@n0 y@n1", "x@n1 y@n0", NULL, ' ', 0, "2: 0-1 1-0"},
    {"a network and none", NULL, "x@n0", "x", NULL, ' ', 0, "0:"},
    {"no rails here", NULL, "", "x", NULL, ' ', 0, "0:"},
    {"ports without a fabric", NULL, HOST_PORTS, NODE_PORTS, NULL, '0', 0, "2: 0-0 1-1"},
    {"one switch", ONE, HOST_PORTS, NODE_PORTS, NULL, '0', 0, "2: 0-0 1-1"},
    {"one switch, both asked for", ONE, HOST_PORTS, NODE_PORTS, NULL, '0', 2, "2: 0-0 1-1"},
    {"a switch a rail", TWO, HOST_PORTS, NODE_PORTS, NULL, '0', 0, "2: 0-0 1-1"},
    {"cabled the other way", CROSSED, HOST_PORTS, NODE_PORTS, NULL, '0', 0, "2: 0-1 1-0"},
    {"nearest to the first GPU", TWO, HOST_PORTS, NODE_PORTS, NULL, '0', 1, "1: 0-0"},
    {"nearest to the last GPU", TWO, HOST_PORTS, NODE_PORTS, NULL, '3', 1, "1: 1-1"},
    {"nearest, cabled the other way", CROSSED, HOST_PORTS, NODE_PORTS, NULL, '3', 1, "1: 0-1"},
    {"nearest, by network", ONE, HOST_IP, NODE_IP, NULL, '3', 1, "1: 1-1"},
    {"a cable is out: one is of use", ONE_OUT, HOST_PORTS, NODE_PORTS, NULL, '0', 2, "1: 1-0"},
    {"a cable is out, networks", ONE_OUT, HOST_IP, NODE_IP, NULL, '0', 2, "1: 1-1"},
    {"a cable is out for now", ONE_OUT, HOST_IP, NODE_IP, NULL, '0', 0, "2: 0-0 1-1"},
    {"two nodes", TWO, HOST_PORTS, NODE_PORTS, NODE_PORTS, '0', 2, "2: 0-0 1-1 0-0 1-1"},
    {"the same rail for both", B_HALF, HOST_PORTS, NODE_PORTS, NODE_PORTS, '0', 1, "1: 1-1 1-1"},
    {"no rail for both", A_AND_B_APART, HOST_PORTS, NODE_PORTS, NODE_PORTS, '0', 1, "0:"},
    {"all, as each can", B_HALF, HOST_IP, NODE_IP, "ib2=mlx4_1:1@n1", '0', 0, "2: 0-0 1-1 1-0"},
};

static void choose(const struct row *row, char *said)
{
    struct rails_rail host_rails[RAILS_MAX], node_rails[TARGETS_MAX][RAILS_MAX];
    const char *specs[TARGETS_MAX] = {row->a, row->b};
    struct rails_end host = {.node = "host", .rails = host_rails};
    struct rails_target targets[TARGETS_MAX];
    struct rails_choice choices[TARGETS_MAX];
    struct topo *topo = make_rack(row->cables);
    topo_id gpus[TARGETS_MAX];
    const uint32_t count = row->b ? 2 : 1;
    int used;

    host.count = make_rails(row->host, host_rails);
    for (uint32_t i = 0; i < count; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "%s/gpu%c", names[i + 1], row->gpu);
        gpus[i] = topo_find(topo, name);
        targets[i] = (struct rails_target){
            .end = {names[i + 1], node_rails[i], make_rails(specs[i], node_rails[i])},
            .gpus = &gpus[i],
            .gpu_count = row->gpu == ' ' ? 0 : 1};
    }
    used = snprintf(said, SAID_BYTES,
                    "%u:", rails_choose(topo, &host, targets, count, row->wanted, choices));
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < choices[i].count; k++)
            used += snprintf(said + used, SAID_BYTES - (size_t)used, " %u-%u",
                             choices[i].pairs[k].local, choices[i].pairs[k].remote);
    topo_free(topo);
}

static void test_rows(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        char said[SAID_BYTES];

        CHECK_CASE("%s", rows[i].label);
        choose(&rows[i], said);
        CHECK_STR(said, rows[i].said);
    }
}

static void test_no_model(void)
{
    struct rails_rail rails[RAILS_MAX];
    const struct rails_end host = {
        .node = "host", .rails = rails, .count = make_rails("x y", rails)};
    const struct rails_target target = {.end = host};
    struct rails_choice choice;

    CHECK_EQ(rails_choose(NULL, &host, &target, 1, 1, &choice), 1);
    CHECK_EQ(choice.pairs[0].remote, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_rows), CHECK_TEST(test_no_model)};

    return check_run(tests);
}
