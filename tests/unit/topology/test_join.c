/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/join: names, holders, what joins what, records that are refused, and that every
 * failed allocation is survived.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/faults.h"
#include "tests/unit/topology/make.h"

static void test_names(void)
{
    static const struct {
        const char *name;
        enum topo_kind kind;
        const char *parent;
    } cases[] = {
        {"rack1-c4130-1", TOPO_MACHINE, NULL},
        {"rack1-c4130-1/numa1", TOPO_NUMA, "rack1-c4130-1"},
        {"rack1-c4130-1/pci0000:80", TOPO_ROOT, "rack1-c4130-1/numa1"},
        {"rack1-c4130-1/switch-0000:03:00.0", TOPO_PCI_SWITCH, "rack1-c4130-1/pci0000:00"},
        {"rack1-c4130-1/gpu0", TOPO_GPU, "rack1-c4130-1/switch-0000:03:00.0"},
        {"rack1-c4130-1/mlx4_1", TOPO_HCA, "rack1-c4130-1/switch-0000:0c:00.0"},
        {"rack1-c4130-1/mlx4_1:2", TOPO_PORT, "rack1-c4130-1/mlx4_1"},
        {"rack2-r730-1/mlx4_0", TOPO_HCA, "rack2-r730-1/pci0000:00"},
        {"spine2", TOPO_SWITCH, NULL},
    };
    struct make_racks racks;
    struct topo *topo;

    make_racks(&racks);
    topo = make_join(&racks);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        topo_id id = topo_find(topo, cases[i].name);
        const struct topo_thing *thing = topo_thing(topo, id);

        CHECK_CASE("%s", cases[i].name);
        if (!CHECK(thing != NULL))
            continue;
        CHECK_EQ(thing->kind, cases[i].kind);
        CHECK_STR(thing->name, cases[i].name);
        if (cases[i].parent && CHECK(topo_thing(topo, thing->parent) != NULL))
            CHECK_STR(topo_thing(topo, thing->parent)->name, cases[i].parent);
        if (!cases[i].parent)
            CHECK_EQ(thing->parent, TOPO_NO_ID);
    }
    CHECK_EQ(topo_find(topo, "rack1-c4130-1/gpu9"), TOPO_NO_ID);
    CHECK_EQ((intptr_t)topo_thing(topo, TOPO_NO_ID), 0);
    topo_free(topo);
    topo_free(NULL);
    make_racks_free(&racks);
}

static unsigned count(const struct topo *topo, enum topo_kind kind, topo_id machine)
{
    unsigned found = 0;

    for (topo_id id = TOPO_NO_ID; (id = topo_next(topo, kind, machine, id)) != TOPO_NO_ID;)
        found++;
    return found;
}

static void test_counts(void)
{
    struct make_racks racks;
    struct topo *topo;
    topo_id machine;

    make_racks(&racks);
    topo = make_join(&racks);
    machine = topo_find(topo, "rack2-c4130-3");
    CHECK_EQ(count(topo, TOPO_MACHINE, TOPO_NO_ID), RACK_MACHINES_ALL);
    CHECK_EQ(count(topo, TOPO_GPU, TOPO_NO_ID), 32);
    CHECK_EQ(count(topo, TOPO_GPU, machine), 4);
    CHECK_EQ(count(topo, TOPO_PORT, machine), 4);
    CHECK_EQ(count(topo, TOPO_NUMA, machine), 2);
    CHECK_EQ(count(topo, TOPO_SWITCH, TOPO_NO_ID), 6);
    CHECK_EQ(count(topo, TOPO_SWITCH, machine), 0);
    CHECK_EQ(count(topo, TOPO_GPU, topo_find(topo, "spine1")), 0);
    topo_free(topo);
    make_racks_free(&racks);
}

/* Records are copied: what happens to them later does not matter. */
static void test_copies(void)
{
    struct make_racks racks;
    const struct topo_thing *port;
    struct topo *topo;

    make_racks(&racks);
    topo = make_join(&racks);
    make_racks_free(&racks);
    port = topo_thing(topo, topo_find(topo, "rack1-r730-2/mlx4_0:2"));
    CHECK_STR(port->machine_record->name, "rack1-r730-2");
    CHECK_STR(port->hca->name, "mlx4_0");
    CHECK_EQ(port->port->number, 2);
    CHECK_EQ(port->fabric_port->number, 2);
    CHECK_EQ(port->fabric_node->guid, port->hca->node_guid);
    topo_free(topo);
}

static void test_switch_names(void)
{
    static const struct {
        const char *description, *name;
    } cases[] = {
        {"leaf1", "leaf1"},
        {"MF0;leaf1:SX6036/U1", "leaf1"},
        {"SwitchX -  Mellanox Technologies", "switch-0000000000000042"},
        {"", "switch-0000000000000042"},
        {"a", "switch-0000000000000042"}, /* a machine's name */
        {"MF0;", "switch-0000000000000042"},
    };
    struct topo_machine *machine = make_machine("r730", "a", 0x100);
    const struct topo_machine *borrowed = machine;

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo_fabric fabric = {0};
        struct topo *topo = NULL;

        CHECK_CASE("\"%s\"", cases[i].description);
        (void)make_node(&fabric, TOPO_FABRIC_SWITCH, 0x42, cases[i].description, 36);
        CHECK_EQ(topo_join(&borrowed, 1, &fabric, &topo, NULL), FAB_OK);
        CHECK_STR(topo_thing(topo, topo_next(topo, TOPO_SWITCH, TOPO_NO_ID, TOPO_NO_ID))->name,
                  cases[i].name);
        topo_free(topo);
        topo_fabric_clear(&fabric);
    }
    free(machine);
}

static void test_refused(void)
{
    struct topo_machine *a = make_machine("C", "a", 0x100), *b = make_machine("C", "a", 0x200);
    const struct topo_machine *both[2] = {a, b};
    struct topo_fabric fabric = {0};
    struct topo *topo = NULL;
    struct fab_err err = {0};

    CHECK_EQ(topo_join(both, 2, NULL, &topo, &err), FAB_ERR_EXISTS);
    CHECK_HAS(err.text, "two machines are named a");
    (void)snprintf(b->name, sizeof(b->name), "b");
    b->pci[1].parent = 5;
    CHECK_EQ(topo_join(both, 2, NULL, &topo, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "b: pci 1");
    b->pci[1].parent = 0;
    b->pci_count = TOPO_PCI_MAX + 1;
    CHECK_EQ(topo_join(both, 2, NULL, &topo, &err), FAB_ERR_LIMIT);
    (void)make_node(&fabric, TOPO_FABRIC_SWITCH, 0x42, "leaf1", 36);
    fabric.ports[0].peer = 7;
    CHECK_EQ(topo_join(both, 1, &fabric, &topo, &err), FAB_ERR_INVALID);
    CHECK_EQ((intptr_t)topo, 0);
    /* Two roots of one address. */
    a->pci[7].bdf.bus = 0;
    CHECK_EQ(topo_join(both, 1, NULL, &topo, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "one address");
    topo_fabric_clear(&fabric);
    free(a);
    free(b);
}

static void test_nothing(void)
{
    struct topo_fabric fabric = {0};
    struct topo *topo = NULL;

    CHECK_EQ(topo_join(NULL, 0, NULL, &topo, NULL), FAB_OK);
    CHECK_EQ(topo_count(topo), 0);
    CHECK_EQ(topo_finding_count(topo), 0);
    topo_free(topo);
    CHECK_EQ(topo_join(NULL, 0, &fabric, &topo, NULL), FAB_OK);
    CHECK_EQ(topo_count(topo), 0);
    topo_free(topo);
}

static enum fab_status join_and_ask(void)
{
    static const struct topo_flow flows[] = {{0, 20, TOPO_NO_ID, TOPO_NO_ID}};
    struct make_racks racks;
    const struct topo_machine *machines[RACK_MACHINES_ALL];
    struct topo *topo = NULL;
    double rate = 0;
    enum fab_status status;

    make_racks(&racks);
    make_uncable(&racks.fabric, racks.leaves[0][0], 1);
    for (unsigned i = 0; i < RACK_MACHINES_ALL; i++)
        machines[i] = racks.machines[i];
    status = topo_join(machines, RACK_MACHINES_ALL, &racks.fabric, &topo, NULL);
    if (status == FAB_OK)
        status = topo_fair_share(topo, flows, 1, &rate, NULL);
    topo_free(topo);
    make_racks_free(&racks);
    return status;
}

static void test_faults(void)
{
    CHECK(faults_run("join", join_and_ask) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_names),        CHECK_TEST(test_counts),  CHECK_TEST(test_copies),
        CHECK_TEST(test_switch_names), CHECK_TEST(test_refused), CHECK_TEST(test_nothing),
        CHECK_TEST(test_faults),
    };

    return check_run(tests);
}
