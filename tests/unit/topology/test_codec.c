/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/records and topology/codec: round trips, and records and JSON that are wrong.
 */
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "tests/support/faults.h"
#include "tests/unit/topology/make.h"
#include "topology/codec.h"

static bool is_same_json(const json_t *json, const struct topo_machine *machine)
{
    json_t *again = NULL;
    const bool is_same =
        topo_machine_to_json(machine, &again, NULL) == FAB_OK && json_equal(json, again);

    json_decref(again);
    return is_same;
}

static void test_machine_round_trip(void)
{
    static const char *const profiles[] = {"A", "B", "C", "D", "G", "K", "k80", "r730"};

    for (size_t i = 0; i < FAB_ARRAY_LEN(profiles); i++) {
        struct topo_machine *made = make_machine(profiles[i], "c4130-1", 0xe41d2d0300b00000);
        struct topo_machine *again = calloc(1, sizeof(*again));
        json_t *json = NULL;

        CHECK_CASE("%s", profiles[i]);
        made->pci[1].acs = true;
        made->pci[1].numa = TOPO_NONE;
        CHECK_EQ(topo_machine_to_json(made, &json, NULL), FAB_OK);
        CHECK_EQ(topo_machine_from_json(json, again, NULL), FAB_OK);
        CHECK(is_same_json(json, again)); /* not by memory: padding is whatever it is */
        json_decref(json);
        free(made);
        free(again);
    }
}

static void test_fabric_round_trip(void)
{
    struct make_racks racks;
    struct topo_fabric again = {0};
    json_t *json = NULL;

    make_racks(&racks);
    racks.fabric.ports[3].has_counters = true;
    racks.fabric.ports[3].symbol_errors = 77;
    racks.fabric.ports[3].transmit_bytes = UINT64_MAX;
    racks.fabric.ports[3].receive_bytes = INT64_MAX;
    CHECK_EQ(topo_fabric_to_json(&racks.fabric, &json, NULL), FAB_OK);
    CHECK_EQ(topo_fabric_from_json(json, &again, NULL), FAB_OK);
    CHECK_EQ(again.node_count, racks.fabric.node_count);
    CHECK_EQ(again.port_count, racks.fabric.port_count);
    CHECK_MEM(again.nodes, racks.fabric.nodes, again.node_count * sizeof(again.nodes[0]));
    CHECK_MEM(again.ports, racks.fabric.ports, again.port_count * sizeof(again.ports[0]));
    json_decref(json);
    topo_fabric_clear(&again);
    CHECK_EQ(again.port_count, 0);
    CHECK_EQ((intptr_t)again.nodes, 0);
    make_racks_free(&racks);
}

static void test_empty_fabric(void)
{
    struct topo_fabric fabric = {0}, again = {0};
    json_t *json = NULL;

    CHECK_EQ(topo_fabric_to_json(&fabric, &json, NULL), FAB_OK);
    CHECK_EQ(topo_fabric_from_json(json, &again, NULL), FAB_OK);
    CHECK_EQ(again.node_count, 0);
    json_decref(json);
}

/* One change of a good record's JSON: the value at a path is replaced, or removed (NULL). */
struct change {
    const char *label, *holder, *member, *value;
    enum fab_status status;
    const char *part; /* of the error's text */
};

static json_t *changed(json_t *json, const struct change *change)
{
    const json_t *holder = NULL;
    json_t *target;

    assert_int_equal(fab_json_get(json, change->holder, &holder, NULL), FAB_OK);
    target = json_incref((json_t *)(uintptr_t)holder);
    if (change->value)
        assert_int_equal(json_object_set_new(target, change->member,
                                             json_loads(change->value, JSON_DECODE_ANY, NULL)),
                         0);
    else
        assert_int_equal(json_object_del(target, change->member), 0);
    json_decref(target);
    return json;
}

static void test_bad_machines(void)
{
    static const struct change cases[] = {
        {"member that is not known", "", "extra", "1", FAB_ERR_INVALID, "not known"},
        {"member that is missing", "", "hcas", NULL, FAB_ERR_INVALID, "hcas is missing"},
        {"name of the wrong type", "", "name", "7", FAB_ERR_INVALID, "name"},
        {"empty name", "", "name", "\"\"", FAB_ERR_INVALID, "name"},
        {"name with a slash", "", "name", "\"a/b\"", FAB_ERR_INVALID, "name"},
        {"name with a control character", "", "name", "\"a\\u0007\"", FAB_ERR_INVALID, "name"},
        {"name not in ASCII", "", "name", "\"\\u00e9\"", FAB_ERR_INVALID, "name"},
        {"name too long", "", "name",
         "\"0123456789012345678901234567890123456789012345678901234567890123\"", FAB_ERR_LIMIT,
         "name"},
        {"array that is none", "", "pci", "{}", FAB_ERR_INVALID, "pci"},
        {"array too long", "hcas[0]", "ports", "[0,0,0,0,0]", FAB_ERR_LIMIT, "ports"},
        {"item that is no object", "", "numa", "[3]", FAB_ERR_INVALID, "numa[0]"},
        {"two NUMA nodes of one number", "numa[1]", "os_index", "0", FAB_ERR_INVALID, "NUMA"},
        {"negative size", "numa[1]", "memory_bytes", "-1", FAB_ERR_RANGE, "memory_bytes"},
        {"size as text", "numa[1]", "memory_bytes", "\"12\"", FAB_ERR_INVALID, "memory_bytes"},
        {"small size as hexadecimal", "numa[1]", "memory_bytes", "\"0x0000000000000001\"",
         FAB_ERR_INVALID, "memory_bytes"},
        {"real number", "numa[1]", "memory_bytes", "1.5", FAB_ERR_INVALID, "memory_bytes"},
        {"PCI kind not known", "pci[0]", "kind", "\"isa\"", FAB_ERR_INVALID, "kind"},
        {"root with a parent", "pci[0]", "parent", "0", FAB_ERR_INVALID, "pci 0"},
        {"parent after the child", "pci[1]", "parent", "2", FAB_ERR_INVALID, "pci 1"},
        {"parent that is itself", "pci[1]", "parent", "1", FAB_ERR_INVALID, "pci 1"},
        {"parent below the smallest", "pci[1]", "parent", "-2", FAB_ERR_RANGE, "parent"},
        {"device as a parent", "pci[3]", "parent", "2", FAB_ERR_INVALID, "pci 3"},
        {"NUMA node that is not there", "pci[1]", "numa", "2", FAB_ERR_INVALID, "pci 1"},
        {"link too fast", "pci[1]", "link_mbps", "4294967296", FAB_ERR_RANGE, "link_mbps"},
        {"flag as a number", "pci[1]", "acs", "1", FAB_ERR_INVALID, "acs"},
        {"PCI address", "pci[1]", "bdf", "\"0:1\"", FAB_ERR_INVALID, "bdf"},
        {"PCI address in another form", "pci[1]", "bdf", "\"0:0:02.0\"", FAB_ERR_INVALID, "bdf"},
        {"PCI device above 31", "pci[1]", "bdf", "\"0000:00:20.0\"", FAB_ERR_INVALID, "bdf"},
        {"PCI address with more behind", "pci[1]", "bdf", "\"0000:00:02.0x\"", FAB_ERR_INVALID,
         "bdf"},
        {"GPU on a bridge", "gpus[0]", "pci", "1", FAB_ERR_INVALID, "GPU 0"},
        {"GPU on nothing", "gpus[0]", "pci", "200", FAB_ERR_INVALID, "GPU 0"},
        {"two GPUs of one number", "gpus[1]", "index", "0", FAB_ERR_INVALID, "GPU 0 and 1"},
        {"NVLink to nothing", "", "nvlinks", "[{\"a\":0,\"b\":4,\"links\":1,\"mbps\":0}]",
         FAB_ERR_INVALID, "NVLink 0"},
        {"NVLink from the higher", "", "nvlinks", "[{\"a\":1,\"b\":0,\"links\":1,\"mbps\":0}]",
         FAB_ERR_INVALID, "NVLink 0"},
        {"no NVLink", "", "nvlinks", "[{\"a\":0,\"b\":1,\"links\":0,\"mbps\":0}]", FAB_ERR_INVALID,
         "NVLink 0"},
        {"a pair twice", "", "nvlinks",
         "[{\"a\":0,\"b\":1,\"links\":1,\"mbps\":0},{\"a\":0,\"b\":1,\"links\":1,\"mbps\":0}]",
         FAB_ERR_INVALID, "NVLink 0 and 1"},
        {"HCA nowhere", "hcas[0]", "pci", "-1", FAB_ERR_INVALID, "HCA 0"},
        {"GUID without zeros", "hcas[0]", "node_guid", "\"0x1\"", FAB_ERR_INVALID, "node_guid"},
        {"GUID in capitals", "hcas[0]", "node_guid", "\"0x00000000000000AB\"", FAB_ERR_INVALID,
         "node_guid"},
        {"GUID as a number", "hcas[0]", "node_guid", "1", FAB_ERR_INVALID, "node_guid"},
        {"port with the wrong number", "hcas[0].ports[1]", "number", "1", FAB_ERR_INVALID,
         "port 2"},
        {"port number above a byte", "hcas[0].ports[1]", "number", "258", FAB_ERR_RANGE, "number"},
        {"structure that is none", "", "gpudirect", "[]", FAB_ERR_INVALID, "gpudirect"},
        {"member of a structure", "gpudirect", "extra", "1", FAB_ERR_INVALID, "gpudirect"},
    };
    static struct topo_machine kept, machine;
    struct topo_machine *made = make_machine("C", "c4130-1", 0x100);

    memset(&kept, 0x5a, sizeof(kept));
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {0};
        json_t *json = NULL;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(topo_machine_to_json(made, &json, NULL), FAB_OK);
        memcpy(&machine, &kept, sizeof(machine));
        CHECK_EQ(topo_machine_from_json(changed(json, &cases[i]), &machine, &err), cases[i].status);
        CHECK_HAS(err.text, cases[i].part);
        CHECK_MEM(&machine, &kept, sizeof(kept));
        json_decref(json);
    }
    free(made);
}

static void test_bad_fabrics(void)
{
    static const struct change cases[] = {
        {"member that is not known", "", "extra", "1", FAB_ERR_INVALID, "nodes and ports"},
        {"no nodes", "", "nodes", NULL, FAB_ERR_INVALID, "nodes and ports"},
        {"nodes that are none", "", "nodes", "7", FAB_ERR_INVALID, "nodes"},
        {"fewer ports than nodes say", "", "ports", "[]", FAB_ERR_INVALID, "0 fabric ports"},
        {"ports of two nodes", "nodes[1]", "first_port", "0", FAB_ERR_INVALID, "fabric node 1"},
        {"too many ports", "nodes[0]", "port_count", "256", FAB_ERR_INVALID, "fabric node 0"},
        {"kind not known", "nodes[0]", "kind", "\"hub\"", FAB_ERR_INVALID, "kind"},
        {"LID above 16 bits", "nodes[0]", "lid", "65536", FAB_ERR_RANGE, "lid"},
        {"port of no node", "ports[0]", "node", "99", FAB_ERR_INVALID, "fabric port 0"},
        {"port of another node", "ports[0]", "node", "1", FAB_ERR_INVALID, "fabric port 0"},
        {"peer that is not there", "ports[0]", "peer", "100000", FAB_ERR_INVALID, "fabric port 0"},
        {"peer that is itself", "ports[0]", "peer", "0", FAB_ERR_INVALID, "one end"},
        {"peer that has another", "ports[0]", "peer", "1", FAB_ERR_INVALID, "one end"},
        {"LMC above 7", "ports[0]", "lmc", "8", FAB_ERR_INVALID, "fabric port 0"},
        {"state not known", "ports[0]", "state", "\"ACTIVE\"", FAB_ERR_INVALID, "state"},
        {"counter below 0", "ports[0]", "link_downed", "-1", FAB_ERR_RANGE, "link_downed"},
    };
    struct make_racks racks;

    make_racks(&racks);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo_fabric fabric = {.node_count = 4711};
        struct fab_err err = {0};
        json_t *json = NULL;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(topo_fabric_to_json(&racks.fabric, &json, NULL), FAB_OK);
        CHECK_EQ(topo_fabric_from_json(changed(json, &cases[i]), &fabric, &err), cases[i].status);
        CHECK_HAS(err.text, cases[i].part);
        CHECK_EQ(fabric.node_count, 4711);
        json_decref(json);
    }
    make_racks_free(&racks);
}

static void test_addresses(void)
{
    static const struct {
        const char *text;
        bool is_good;
        struct topo_bdf bdf;
    } cases[] = {
        {"0000:3b:00.0", true, {.bus = 0x3b}},
        {"00000000:3B:1f.7", true, {.bus = 0x3b, .device = 31, .function = 7}},
        {"10000:e1:00.0", true, {.domain = 0x10000, .bus = 0xe1}},
        {"0:1:2.3", true, {.bus = 1, .device = 2, .function = 3}},
        {"3b:00.0", false, {0}},
        {"0000:3b:00", false, {0}},
        {"0000:3b:00.8", false, {0}},
        {"000000000:3b:00.0", false, {0}},
        {"0000:13b:00.0", false, {0}},
        {" 0000:3b:00.0", false, {0}},
        {"", false, {0}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo_bdf bdf = {.bus = 99};
        char text[TOPO_BDF_BYTES];

        CHECK_CASE("\"%s\"", cases[i].text);
        CHECK_EQ(topo_bdf_parse(cases[i].text, &bdf), cases[i].is_good);
        if (!cases[i].is_good) {
            CHECK_EQ(bdf.bus, 99);
            continue;
        }
        CHECK(topo_bdf_is_equal(&bdf, &cases[i].bdf));
        CHECK(topo_bdf_parse(topo_bdf_format(&bdf, text), &bdf));
        CHECK(topo_bdf_is_equal(&bdf, &cases[i].bdf));
    }
}

/* Decodes a machine and a fabric; what failed has left nothing. */
static enum fab_status decode_both(void)
{
    static struct topo_machine again;
    struct topo_machine *made = make_machine("K", "c4130-1", 0x100);
    struct topo_fabric fabric = {0}, out = {0};
    json_t *json = NULL;
    enum fab_status status;

    (void)make_node(&fabric, TOPO_FABRIC_SWITCH, 0x42, "leaf1", 36);
    CHECK_EQ(topo_machine_to_json(made, &json, NULL), FAB_OK);
    status = topo_machine_from_json(json, &again, NULL);
    json_decref(json);
    CHECK_EQ(topo_fabric_to_json(&fabric, &json, NULL), FAB_OK);
    if (status == FAB_OK)
        status = topo_fabric_from_json(json, &out, NULL);
    CHECK_EQ(out.node_count, status == FAB_OK ? 1 : 0);
    json_decref(json);
    topo_fabric_clear(&fabric);
    topo_fabric_clear(&out);
    free(made);
    return status;
}

static void test_faults(void)
{
    CHECK(faults_run("decode", decode_both) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_machine_round_trip),
        CHECK_TEST(test_fabric_round_trip),
        CHECK_TEST(test_empty_fabric),
        CHECK_TEST(test_bad_machines),
        CHECK_TEST(test_bad_fabrics),
        CHECK_TEST(test_addresses),
        CHECK_TEST(test_faults),
    };

    return check_run(tests);
}
