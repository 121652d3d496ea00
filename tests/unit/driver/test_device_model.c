/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/devices/device_model.c and device.c: the device file, identities, visibility.
 */
#include "tests/support/check.h"

#include "base/err.h"
#include "base/settings.h"
#include "softcuda/devices/device_model.h"
#include "softcuda/driver/device.h"
#include "tests/unit/driver/support.h"

static struct device_models models; /* large: not on the stack */
static struct fab_err err;

static enum fab_status read_text(const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/model.cfg", support_dir);
    FILE *file = fopen(path, "w");

    if (!file || fputs(text, file) == EOF || fclose(file) != 0)
        abort();
    err = (struct fab_err){0};
    return device_models_read(path, &models, &err);
}

static void test_table(void)
{
    CHECK_EQ(fab_schema_check(device_model_schema(), &err), FAB_OK);
    CHECK_STR(err.text, "");
}

static void test_defaults(void)
{
    char uuid[DEVICE_UUID_TEXT_BYTES];

    CHECK_EQ(device_models_read(NULL, &models, &err), FAB_OK);
    CHECK_EQ(models.count, 1);
    CHECK_EQ(models.device[0].compute_major, 8);
    CHECK_EQ(models.device[0].compute_minor, 9);
    CHECK_EQ(models.device[0].memory_bytes, UINT64_C(8) << 30);
    CHECK_STR(models.device[0].pci_bus_id, "0000:01:00.0");
    CHECK_STR(models.state_dir, support_dir);
    CHECK_EQ(strlen(device_uuid_format(models.device[0].uuid, uuid)), 40);
}

static void test_device_file(void)
{
    if (!CHECK_EQ(
            read_text("devices = (\n"
                      "  { name = \"big\"; compute = \"8.0\"; memory = \"40GiB\"; sms = 108;\n"
                      "    pci_bus_id = \"0000:3b:00.0\"; numa_node = 1; time = \"modelled\";\n"
                      "    shared_per_block_optin = \"163KiB\"; shared_per_sm = \"164KiB\";\n"
                      "    uuid = \"GPU-00112233-4455-6677-8899-aabbccddeeff\"; },\n"
                      "  { count = 2; memory = \"3MiB\"; } );\n"),
            FAB_ERR_RANGE))
        return;
    CHECK_HAS(err.text, "16MiB");
    if (!CHECK_EQ(
            read_text("peers = \"links\";\n"
                      "links = ( { a = 0; b = 2; nvlinks = 4; } );\n"
                      "devices = (\n"
                      "  { name = \"big\"; compute = \"8.0\"; memory = \"40GiB\"; sms = 108;\n"
                      "    pci_bus_id = \"0000:3b:00.0\"; numa_node = 1; time = \"modelled\";\n"
                      "    shared_per_block_optin = \"163KiB\"; shared_per_sm = \"164KiB\";\n"
                      "    uuid = \"GPU-00112233-4455-6677-8899-aabbccddeeff\"; },\n"
                      "  { count = 2; memory = \"17MiB\"; } );\n"),
            FAB_OK))
        return;
    CHECK_EQ(models.count, 3);
    CHECK_STR(models.device[0].name, "big");
    CHECK_EQ(models.device[0].uuid[0], 0);
    CHECK_EQ(models.device[0].uuid[15], 0xff);
    CHECK_EQ(models.device[0].numa_node, 1);
    CHECK_EQ(models.device[0].time, DEVICE_TIME_MODELLED);
    CHECK_EQ(models.device[1].memory_bytes, UINT64_C(16) << 20);
    CHECK_STR(models.device[2].pci_bus_id, "0000:03:00.0");
    CHECK(memcmp(models.device[1].uuid, models.device[2].uuid, DEVICE_UUID_BYTES) != 0);
    CHECK_EQ(models.device[0].peer_mask, 4);
    CHECK_EQ(models.device[1].peer_mask, 0);
    CHECK_EQ(models.device[2].peer_mask, 1);
    CHECK_EQ(models.device[2].peer_links[0], 4);
}

/* As the example file shows them. */
static void test_empty(void)
{
    CHECK_EQ(
        read_text("state = \"\"; node = \"\"; devices = ( { uuid = \"\"; pci_bus_id = \"\"; } );"),
        FAB_OK);
    CHECK_STR(models.device[0].pci_bus_id, "0000:01:00.0");
    CHECK_STR(models.state_dir, support_dir); /* the environment is stronger */
}

static void test_refused(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        const char *part; /* of the message */
    } cases[] = {
        {"unknown name", "devices = ( { memori = \"8GiB\"; } );", FAB_ERR_NOT_FOUND, ":1:"},
        {"unknown capability", "devices = ( { compute = \"9.0\"; } );", FAB_ERR_INVALID, "8.9"},
        {"memory beyond the range", "devices = ( { memory = \"1TiB\"; } );", FAB_ERR_RANGE,
         "512GiB"},
        {"malformed uuid",
         "devices = ( { uuid = \"GPU-00112233-4455-6677-8899-aabbccddeefg\"; } );", FAB_ERR_INVALID,
         "uuid"},
        {"malformed bus id", "devices = ( { pci_bus_id = \"zz\"; } );", FAB_ERR_INVALID,
         "pci_bus_id"},
        {"two devices at one place",
         "devices = ( { pci_bus_id = \"0000:05:00.0\"; }, { pci_bus_id = \"5:0.0\"; } );",
         FAB_ERR_EXISTS, "0000:05:00.0"},
        {"identity for a group of two", "devices = ( { count = 2; pci_bus_id = \"5:0.0\"; } );",
         FAB_ERR_INVALID, "count"},
        {"link to nowhere", "links = ( { a = 0; b = 1; } );", FAB_ERR_RANGE, "link 0"},
        {"too many", "devices = ( { count = 60; }, { count = 5; } );", FAB_ERR_RANGE, "64"},
        {"shared memory out of order", "devices = ( { shared_per_block_optin = \"40KiB\"; } );",
         FAB_ERR_RANGE, "shared"},
        {"more idle than full power", "devices = ( { power_idle = 300; } );", FAB_ERR_RANGE,
         "power_idle"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        models.count = 77;
        CHECK_EQ(read_text(cases[i].text), cases[i].status);
        CHECK_HAS(err.text, cases[i].part);
        CHECK_EQ(models.count, 77); /* nothing changed */
    }
}

static void test_pci(void)
{
    static const struct {
        const char *text;
        enum fab_status status;
        uint32_t domain, bus, device;
    } cases[] = {
        {"0000:3b:00.0", FAB_OK, 0, 0x3b, 0},   {"3B:1f.0", FAB_OK, 0, 0x3b, 0x1f},
        {"0001:02:03", FAB_OK, 1, 2, 3},        {"00000000:02:00.0", FAB_OK, 0, 2, 0},
        {"", FAB_ERR_INVALID, 9, 9, 9},         {"3b", FAB_ERR_INVALID, 9, 9, 9},
        {"3b:00.1", FAB_ERR_INVALID, 9, 9, 9},  {"3b:20.0", FAB_ERR_INVALID, 9, 9, 9},
        {"1:2:3:4", FAB_ERR_INVALID, 9, 9, 9},  {"3b:00.", FAB_ERR_INVALID, 9, 9, 9},
        {"100:00.0", FAB_ERR_INVALID, 9, 9, 9},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint32_t domain = 9, bus = 9, device = 9;

        CHECK_CASE("%s", cases[i].text);
        CHECK_EQ(device_pci_parse(cases[i].text, &domain, &bus, &device), cases[i].status);
        CHECK_EQ(domain, cases[i].domain);
        CHECK_EQ(bus, cases[i].bus);
        CHECK_EQ(device, cases[i].device);
    }
}

/* Places of the visible devices as text: "2,0". */
static const char *selected(const char *visible, const char *order)
{
    static char text[256];
    uint32_t places[DEVICE_COUNT_MAX];
    uint32_t count = soft_devices_select(&models, visible, order, places);
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, i ? ",%u" : "%u", places[i]);
    return text;
}

static void test_visible(void)
{
    static const struct {
        const char *label, *visible, *order, *places;
    } cases[] = {
        {"not set: the fastest first", NULL, NULL, "2,0,1,3"},
        {"by bus", NULL, "PCI_BUS_ID", "1,0,2,3"},
        {"a word nobody knows is the default", NULL, "ALPHABET", "2,0,1,3"},
        {"empty: none", "", NULL, ""},
        {"ordinals of the ordered list", "1,0", NULL, "0,2"},
        {"ordinals by bus", "0,3", "PCI_BUS_ID", "1,3"},
        {"blanks", " 1 , 0", NULL, "0,2"},
        {"up to an invalid one", "1,9,0", NULL, "0"},
        {"minus one: none", "-1", NULL, ""},
        {"no devices", "NoDevFiles", NULL, ""},
        {"twice: none", "1,1", NULL, ""},
        {"uuid", "GPU-00112233-4455-6677-8899-aabbccddeeff", NULL, "1"},
        {"start of a uuid, in capitals", "GPU-00112233-44,0", NULL, "1,2"},
        {"start of two uuids", "GPU-0011", NULL, ""},
        {"the same by ordinal and uuid: none", "3,GPU-00119999", NULL, ""},
    };

    if (!CHECK_EQ(read_text("devices = ( { pci_bus_id = \"5:0.0\"; }, { pci_bus_id = \"4:0.0\";"
                            " uuid = \"GPU-00112233-4455-6677-8899-aabbccddeeff\"; },"
                            " { pci_bus_id = \"6:0.0\"; sms = 9; }, { pci_bus_id = \"7:0.0\";"
                            " uuid = \"GPU-00119999-4455-6677-8899-aabbccddeeff\"; } );"),
                  FAB_OK))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        CHECK_STR(selected(cases[i].visible, cases[i].order), cases[i].places);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_table),   CHECK_TEST(test_defaults), CHECK_TEST(test_device_file),
        CHECK_TEST(test_empty),   CHECK_TEST(test_refused),  CHECK_TEST(test_pci),
        CHECK_TEST(test_visible),
    };

    support_devices(NULL, NULL);
    return check_run(tests);
}
