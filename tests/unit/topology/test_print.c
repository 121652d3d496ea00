/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/print: the text of each format, and a stream that refuses.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "tests/unit/topology/make.h"

static char *printed(const struct topo *topo, enum topo_format format)
{
    char *text = NULL;
    size_t size_bytes = 0;
    FILE *stream = open_memstream(&text, &size_bytes);

    assert_non_null(stream);
    CHECK_EQ(topo_print(topo, format, stream, NULL), FAB_OK);
    assert_int_equal(fclose(stream), 0);
    return text;
}

/* Two machines and a switch: small enough to read. The host's cable with its ends in these states;
 * `first`: which machine reports first. */
static struct topo *small_with(enum topo_port_state at_host, enum topo_port_state at_leaf,
                               unsigned first)
{
    struct topo_machine *machines[2] = {make_machine("D", "c4130-1", 0x100),
                                        make_machine("r730", "r730-1", 0x200)};
    const struct topo_machine *borrowed[2] = {machines[first], machines[1 - first]};
    struct topo_fabric fabric = {0};
    uint32_t leaf = make_node(&fabric, TOPO_FABRIC_SWITCH, 0x1000, "leaf1", 36);
    uint32_t gpus = make_node(&fabric, TOPO_FABRIC_HCA, 0x100, "c4130-1 mlx4_0", 2);
    uint32_t host = make_node(&fabric, TOPO_FABRIC_HCA, 0x200, "r730-1 mlx4_0", 2);
    struct topo *topo = NULL;

    make_cable(&fabric, gpus, 1, leaf, 1);
    make_cable(&fabric, gpus, 2, leaf, 2);
    make_cable(&fabric, host, 1, leaf, 3);
    make_port(&fabric, host, 1)->state = at_host;
    make_port(&fabric, leaf, 3)->state = at_leaf;
    (void)snprintf(machines[0]->gpus[0].name, sizeof(machines[0]->gpus[0].name), "<T4 & \"co\">");
    CHECK_EQ(topo_join(borrowed, 2, &fabric, &topo, NULL), FAB_OK);
    topo_fabric_clear(&fabric);
    free(machines[0]);
    free(machines[1]);
    return topo;
}

static struct topo *small(void)
{
    return small_with(TOPO_PORT_ACTIVE, TOPO_PORT_ACTIVE, 0);
}

static void test_tree(void)
{
    static const char wanted[] =
        "c4130-1\n"
        "  numa0  64GiB  cpus 0-23\n"
        "    pci0000:00\n"
        "      gpu0  <T4 & \"co\">  16GiB  compute 6.0  0000:05:00.0\n"
        "      mlx4_0  0x0000000000000100\n"
        "        mlx4_0:1  active  4x FDR  lid 37  -> leaf1[1]  ib0 mtu 2044\n"
        "        mlx4_0:2  active  4x FDR  lid 38  -> leaf1[2]  ib1 mtu 2044\n"
        "  numa1  64GiB  cpus 24-47\n"
        "    pci0000:80\n"
        "      gpu1  Tesla P100-PCIE-16GB  16GiB  compute 6.0  0000:08:00.0\n"
        "r730-1\n"
        "  numa0  64GiB  cpus 0-23\n"
        "    pci0000:00\n"
        "      mlx4_0  0x0000000000000200\n"
        "        mlx4_0:1  active  4x FDR  lid 39  -> leaf1[3]  ib0 mtu 2044\n"
        "        mlx4_0:2  down  ib1 mtu 2044\n"
        "  numa1  64GiB  cpus 24-47\n"
        "leaf1  switch  0x0000000000001000  lid 1000  36 ports\n"
        "  [1]  active  4x FDR  -> c4130-1/mlx4_0:1\n"
        "  [2]  active  4x FDR  -> c4130-1/mlx4_0:2\n"
        "  [3]  active  4x FDR  -> r730-1/mlx4_0:1\n"
        "notice  far-gpu  c4130-1/gpu1 has no active HCA port on its socket; the nearest is "
        "c4130-1/mlx4_0:1: its copies cross sockets\n"
        "warning  link-down  r730-1/mlx4_0:2 sees no other end: check its cable and the switch "
        "port\n";
    struct topo *topo = small();
    char *text = printed(topo, TOPO_FORMAT_TREE);

    CHECK_STR(text, wanted);
    free(text);
    topo_free(topo);
}

static void test_matrix(void)
{
    static const char wanted[] = "                     0    1    2    3     NUMA  CPUs\n"
                                 "   0  c4130-1/gpu0   X    SYS  PHB  IB1   0  0-23\n"
                                 "   1  c4130-1/gpu1   SYS  X    SYS  IB1   1  24-47\n"
                                 "   2  c4130-1/mlx4_0 PHB  SYS  X    IB1   0  0-23\n"
                                 "   3  r730-1/mlx4_0  IB1  IB1  IB1  X     0  0-23\n"
                                 "\n"
                                 "X    itself\n";
    struct topo *topo = small();
    char *text = printed(topo, TOPO_FORMAT_MATRIX);

    CHECK_HAS(text, wanted);
    free(text);
    topo_free(topo);
}

static void test_dot(void)
{
    struct topo *topo = small();
    char *text = printed(topo, TOPO_FORMAT_DOT);

    CHECK_HAS(text, "graph rack {\n");
    CHECK_HAS(text, "  subgraph cluster_0 {\n    label=\"c4130-1\";\n");
    CHECK_HAS(text, "    \"c4130-1/pci0000:00\" -- \"c4130-1/gpu0\";\n");
    CHECK_HAS(text, "  \"leaf1\" -- \"r730-1/mlx4_0:1\" [label=\"4x FDR\"];\n}\n");
    free(text);
    topo_free(topo);
}

/* Every element is closed, and every thing that is drawn has its box. */
static void test_svg(void)
{
    struct make_racks racks;
    struct topo *topo;
    char *text;
    unsigned boxes = 0, texts = 0, ends = 0, lines = 0, keys = 0;

    make_racks(&racks);
    topo = make_join(&racks);
    text = printed(topo, TOPO_FORMAT_SVG);
    for (const char *at = text; (at = strchr(at, '<')); at++) {
        boxes += !strncmp(at, "<rect ", 6);
        keys += !strncmp(at, "<text class=\"key\"", 17);
        texts += !strncmp(at, "<text ", 6);
        ends += !strncmp(at, "</text>", 7);
        lines += !strncmp(at, "<path ", 6);
    }
    CHECK_HAS(text, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    CHECK_HAS(text, "</svg>\n");
    CHECK_EQ(texts, ends);
    CHECK_EQ(keys, 7);
    CHECK_EQ(lines, 16 + 2 * (4 * 4 + 2 * 2) + 2); /* two of the key */
    /* 12 machines, 6 switches; of a C4130 2 roots, 2 switches, 4 GPUs, 2 HCAs, 4 ports; of an R730
     * a root, an HCA, 2 ports. The page, and five of the key. */
    CHECK_EQ(boxes, 12 + 6 + 8 * 14 + 4 * 4 + 1 + 5);
    free(text);
    topo_free(topo);
    make_racks_free(&racks);
}

static void test_json(void)
{
    struct topo *topo = small();
    char *text = printed(topo, TOPO_FORMAT_JSON);
    const char *value = NULL;
    int64_t number = 0;
    json_t *json = NULL;

    CHECK_EQ(fab_json_load(text, strlen(text), "topology", NULL, &json, NULL), FAB_OK);
    CHECK_EQ(fab_json_get_string(json, "things[0].name", &value, NULL), FAB_OK);
    CHECK_STR(value, "c4130-1");
    CHECK_EQ(fab_json_get_string(json, "things[1].cpus", &value, NULL), FAB_OK);
    CHECK_STR(value, "0-23");
    CHECK_EQ(fab_json_get_string(json, "things[5].gpu.model", &value, NULL), FAB_OK);
    CHECK_STR(value, "<T4 & \"co\">");
    CHECK_EQ(fab_json_get_string(json, "things[5].rails[1].port", &value, NULL), FAB_OK);
    CHECK_STR(value, "c4130-1/mlx4_0:2");
    CHECK_EQ(fab_json_get_int(json, "cables[2].mbps", 0, INT64_MAX, &number, NULL), FAB_OK);
    CHECK_EQ(number, 6816);
    CHECK_EQ(fab_json_get_string(json, "cables[2].to.thing", &value, NULL), FAB_OK);
    CHECK_STR(value, "r730-1/mlx4_0:1");
    CHECK_EQ(fab_json_get_string(json, "findings[1].code", &value, NULL), FAB_OK);
    CHECK_STR(value, "link-down");
    json_decref(json);
    free(text);
    topo_free(topo);
}

/* A subnet manager makes one end active, then the other. */
static void test_json_cable(void)
{
    static const struct {
        const char *label;
        enum topo_port_state at_host, at_leaf;
        bool is_active;
    } cases[] = {
        {"both", TOPO_PORT_ACTIVE, TOPO_PORT_ACTIVE, true},
        {"the leaf's end", TOPO_PORT_INIT, TOPO_PORT_ACTIVE, false},
        {"the host's end", TOPO_PORT_ACTIVE, TOPO_PORT_INIT, false},
        {"none", TOPO_PORT_INIT, TOPO_PORT_INIT, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo *topo = small_with(cases[i].at_host, cases[i].at_leaf, 0);
        char *text = printed(topo, TOPO_FORMAT_JSON);
        json_t *json = NULL;
        bool value = !cases[i].is_active;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_json_load(text, strlen(text), "topology", NULL, &json, NULL), FAB_OK);
        CHECK_EQ(fab_json_get_bool(json, "cables[2].is_active", &value, NULL), FAB_OK);
        CHECK_EQ(value, cases[i].is_active);
        json_decref(json);
        free(text);
        topo_free(topo);
    }
}

/* One rack is printed alike, whoever reported first. */
static void test_order(void)
{
    struct topo *topo = small(), *turned = small_with(TOPO_PORT_ACTIVE, TOPO_PORT_ACTIVE, 1);

    for (enum topo_format format = TOPO_FORMAT_TREE; format <= TOPO_FORMAT_JSON; format++) {
        char *text = printed(topo, format), *again = printed(turned, format);

        CHECK_CASE("format %d", (int)format);
        CHECK_STR(again, text);
        free(text);
        free(again);
    }
    topo_free(topo);
    topo_free(turned);
}

static void test_full_disk(void)
{
    struct topo *topo = small();

    for (enum topo_format format = TOPO_FORMAT_TREE; format <= TOPO_FORMAT_JSON; format++) {
        FILE *full = fopen("/dev/full", "w");
        struct fab_err err = {0};

        CHECK_CASE("format %d", (int)format);
        assert_non_null(full);
        CHECK_EQ(topo_print(topo, format, full, &err), FAB_ERR_IO);
        CHECK_HAS(err.text, "could not be written");
        (void)fclose(full);
    }
    topo_free(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_tree),  CHECK_TEST(test_matrix),    CHECK_TEST(test_dot),
        CHECK_TEST(test_svg),   CHECK_TEST(test_json),      CHECK_TEST(test_json_cable),
        CHECK_TEST(test_order), CHECK_TEST(test_full_disk),
    };

    return check_run(tests);
}
