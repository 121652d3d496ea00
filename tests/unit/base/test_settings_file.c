/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_settings_file.c - files good and bad, and the texts made from a table.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/settings_file.h"
#include "base/settings_text.h"
#include "tests/support/faults.h"
#include "tests/unit/base/demo_settings.h"

static const char whole_file[] = "// everything at once\n"
                                 "device = { memory = \"64MiB\"; ttl = \"2m30s\" };\n"
                                 "policy = \"pack\"; checked = true; offset = -10;\n"
                                 "name = \"a\" \"b\";\n"
                                 "note = \"3000000000 # not a comment\";\n"
                                 "rails = [\"mlx5_0\", \"mlx5_1\"];\n"
                                 "gpus = ( { name = \"A\"; memory = 3000000000; },\n"
                                 "         { name = \"B\";\n"
                                 "           links = ( { peer = 0x1; port = { lanes = 4; }; }, { "
                                 "peer = 63; port = { lanes = 16; };\n"
                                 "                       bandwidth = \"25GiB\"; } ); } );\n";

static enum fab_status read_text(struct demo_conf *conf, const char *text, struct fab_err *err)
{
    return fab_settings_read_text(&demo_schema, conf, text, strlen(text), "t.conf", err);
}

static void test_whole_file(void)
{
    struct fab_err err = {.status = FAB_OK};
    const struct demo_link *link;
    struct demo_conf conf;

    CHECK_CASE("whole");
    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    if (!CHECK_EQ(read_text(&conf, whole_file, &err), FAB_OK))
        (void)fprintf(stderr, "%s\n", err.text);
    CHECK_EQ(conf.memory_bytes, 64 << 20);
    CHECK_EQ(conf.ttl_ns, INT64_C(150000000000));
    CHECK_EQ(conf.policy, DEMO_PACK);
    CHECK_EQ(conf.checked, true);
    CHECK_EQ(conf.offset, -10);
    CHECK_STR(conf.name, "ab");
    CHECK_STR(conf.note, "3000000000 # not a comment");
    if (CHECK_EQ(conf.rails.count, 2))
        CHECK_STR(fab_setting_item(&conf.rails, struct demo_rail, 1)->name, "mlx5_1");
    if (CHECK_EQ(conf.gpus.count, 2)) {
        const struct demo_gpu *gpu = fab_setting_item(&conf.gpus, struct demo_gpu, 0);

        CHECK_STR(gpu[0].name, "A");
        CHECK_EQ(gpu[0].memory_bytes, INT64_C(3000000000));
        CHECK_EQ(gpu[0].links.count, 0);
        CHECK_EQ(gpu[1].memory_bytes, INT64_C(16) << 30);
        if (CHECK_EQ(gpu[1].links.count, 2)) {
            link = fab_setting_item(&gpu[1].links, struct demo_link, 0);
            CHECK_EQ(link[0].peer, 1);
            CHECK_EQ(link[0].bandwidth_bytes_per_s, INT64_C(50) << 30);
            CHECK_EQ(link[1].peer, 63);
            CHECK_EQ(link[1].lanes, 16);
        }
    }

    CHECK_CASE("a later file replaces what it names");
    CHECK_EQ(read_text(&conf, "gpus = ( { name = \"C\"; } );", &err), FAB_OK);
    CHECK_EQ(conf.gpus.count, 1);
    CHECK_STR(conf.name, "ab");
    fab_settings_clear(&demo_schema, &conf);
}

static void test_refusals(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        const char *says;
    } cases[] = {
        {"unknown name", "\nmemory = 1;", FAB_ERR_NOT_FOUND, "t.conf:2: memory: no such setting"},
        {"unknown in a group", "device = {\n memry = 1; };", FAB_ERR_NOT_FOUND,
         "t.conf:2: device.memry: no such setting"},
        {"unknown in an item", "gpus = (\n{ name = \"A\";\n sm = 1; } );", FAB_ERR_NOT_FOUND,
         "t.conf:3: gpus: [0]: sm: no such setting"},
        {"string for a number", "offset = \"1\";", FAB_ERR_INVALID,
         "t.conf:1: offset: a string where a whole number is wanted (allowed: -10 .. 10 MHz)"},
        {"number for a string", "name = 1;", FAB_ERR_INVALID, "a number where a string is wanted"},
        {"number for a bool", "checked = 1;", FAB_ERR_INVALID, "where true or false is wanted"},
        {"fraction for a number", "offset = 1.5;", FAB_ERR_INVALID, "a number with a fraction"},
        {"fraction for a size", "device = { memory = 1e9; };", FAB_ERR_INVALID, "with a fraction"},
        {"number for a duration", "device = { ttl = 30; };", FAB_ERR_INVALID, "\"2m30s\""},
        {"group for a value", "offset = { };", FAB_ERR_INVALID, "a group where"},
        {"value for a group", "device = 1;", FAB_ERR_INVALID, "device: a number where a group"},
        {"value for a list", "gpus = 1;", FAB_ERR_INVALID, "a number where a list is wanted"},
        {"value for an item", "gpus = ( 1 );", FAB_ERR_INVALID,
         "gpus: [0]: a number where a group"},
        {"wrong bare item", "rails = [1];", FAB_ERR_INVALID, "rails: [0]: a number where a string"},
        {"missing in an item", "gpus = ( { name = \"A\"; },\n { memory = \"1GiB\"; } );",
         FAB_ERR_INVALID, "t.conf:2: gpus: [1]: name is missing"},
        {"missing in a group of an item",
         "gpus = ({ name = \"A\"; links = ({ peer = 1; port = { }; }); });", FAB_ERR_INVALID,
         "t.conf:1: gpus: [0]: links: [0]: port.lanes is missing"},
        {"its group is missing", "gpus = ({ name = \"A\"; links = ({ peer = 1; }); });",
         FAB_ERR_INVALID, "port.lanes is missing"},
        {"too many items", "rails = [\"a\", \"b\", \"c\"];", FAB_ERR_RANGE,
         "(allowed: 0 .. 2 items)"},
        {"libconfig would wrap", "\noffset = 4294967297;", FAB_ERR_RANGE,
         "t.conf:2: offset: 4294967297 is out of range (allowed: -10 .. 10 MHz)"},
        {"hexadecimal would wrap", "offset = 0x100000001;", FAB_ERR_RANGE, "4294967297 is out"},
        {"more than 64 bits", "\noffset = 99999999999999999999;", FAB_ERR_RANGE,
         "t.conf:2: 99999999999999999999 does not fit into 64 bits"},
        {"more than 64 bits, marked", "offset = 9223372036854775808L;", FAB_ERR_RANGE,
         "does not fit into 64 bits"},
        {"negative size", "device = { memory = -1; };", FAB_ERR_INVALID, "-1 is not a size"},
        {"out of range", "device = { memory = \"2TiB\"; };", FAB_ERR_RANGE,
         "t.conf:1: device.memory: \"2TiB\" is out of range (allowed: 1MiB .. 1TiB)"},
        {"the row's check", "offset = 7;", FAB_ERR_INVALID, "7 brings bad luck"},
        {"a size without quotes", "device = {\nmemory = 64MiB; };", FAB_ERR_FORMAT,
         "t.conf:2: 64MiB is not a number; values with units stand in quotes"},
        {"syntax", "a = ;\n", FAB_ERR_FORMAT, "t.conf:1: syntax error"},
        {"twice", "offset = 1;\noffset = 2;", FAB_ERR_FORMAT, "t.conf:2: duplicate setting name"},
        {"include", "\n@include \"/etc/passwd\"", FAB_ERR_UNSUPPORTED, "t.conf:2: @include"},
        {"string without end", "name = \"a", FAB_ERR_FORMAT, "a string has no end"},
        {"comment without end", "/* a", FAB_ERR_FORMAT, "a comment has no end"},
        {"NUL inside a string", "name = \"a\\x00b\";", FAB_ERR_FORMAT, "cannot hold \\x00"},
        {"too deep", "x = ((((((((((((((((((((((((((((((((( 1 )))))))))))))))))))))))))))))))));",
         FAB_ERR_LIMIT, "nested too deeply"},
    };
    struct demo_conf conf;

    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct demo_conf before = conf;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(read_text(&conf, cases[i].text, &err), cases[i].status);
        CHECK_HAS(err.text, cases[i].says);
        CHECK_EQ(read_text(&conf, cases[i].text, NULL), cases[i].status);
        CHECK_MEM(&conf, &before, sizeof(conf));
    }
    fab_settings_clear(&demo_schema, &conf);
}

static void test_comments_and_numbers(void)
{
    static const struct {
        const char *label, *text;
        int64_t offset;
    } cases[] = {
        {"hash", "# offset = 1;\noffset = 2;", 2},
        {"slashes", "// \"\noffset = 2;", 2},
        {"block", "/* \" @include \n 64MiB */ offset = 2;", 2},
        {"plus", "offset = +2;", 2},
        {"marked by the author", "offset = 2L;", 2},
        {"marked twice", "offset = 2LL;", 2},
        {"colon", "offset : 2", 2},
        {"escaped quote", "note = \"\\\"\"; offset = 2;", 2},
        {"nothing", "", -3},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct demo_conf conf;

        CHECK_CASE("%s", cases[i].label);
        if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
            return;
        if (!CHECK_EQ(read_text(&conf, cases[i].text, &err), FAB_OK))
            (void)fprintf(stderr, "%s\n", err.text);
        CHECK_EQ(conf.offset, cases[i].offset);
        fab_settings_clear(&demo_schema, &conf);
    }
}

static void test_files(void)
{
    char path[] = "/tmp/test_settings_file.XXXXXX";
    struct fab_err err = {.status = FAB_OK};
    int fd = mkstemp(path);
    struct demo_conf conf;

    CHECK_CASE("a file on disk");
    if (!CHECK(fd >= 0) || !CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    CHECK_EQ(write(fd, "\noffset = 1000;\n", 16), 16);
    CHECK_EQ(fab_settings_read_file(&demo_schema, &conf, path, &err), FAB_ERR_RANGE);
    CHECK_HAS(err.text, path);
    CHECK_HAS(err.text, ":2: offset: 1000 is out of range");

    CHECK_CASE("larger than allowed");
    CHECK_EQ(ftruncate(fd, FAB_SETTINGS_FILE_MAX_BYTES + 1), 0);
    CHECK_EQ(fab_settings_read_file(&demo_schema, &conf, path, &err), FAB_ERR_LIMIT);
    (void)close(fd);
    (void)unlink(path);

    CHECK_CASE("missing");
    CHECK_EQ(fab_settings_read_file(&demo_schema, &conf, path, &err), FAB_ERR_NOT_FOUND);
    CHECK_HAS(err.text, path);
    CHECK_CASE("a folder");
    CHECK_EQ(fab_settings_read_file(&demo_schema, &conf, "/tmp", &err), FAB_ERR_IO);
    fab_settings_clear(&demo_schema, &conf);
}

static enum fab_status fault_scenario(void)
{
    struct demo_conf conf = {.name = NULL};
    enum fab_status status = fab_settings_init(&demo_schema, &conf, NULL);
    struct demo_conf before = conf;

    if (status != FAB_OK)
        return status;
    status = read_text(&conf, whole_file, NULL);
    if (status != FAB_OK)
        CHECK_MEM(&conf, &before, sizeof(conf));
    fab_settings_clear(&demo_schema, &conf);
    return status;
}

static void test_faults(void)
{
    /* Defaults 1, scanned copy 1, draft 2, two strings, three lists, four names in them. */
    CHECK_EQ(faults_run("a whole file", fault_scenario), 13);
}

/* Prints into memory; given to the caller. */
static char *printed(void (*print)(const struct fab_schema *schema, FILE *out))
{
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);

    if (!CHECK(out != NULL))
        exit(1);
    print(&demo_schema, out);
    (void)fclose(out);
    return text;
}

/* Takes the comment sign off, so that each default goes through the parser. */
static void uncomment(char *text)
{
    for (char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (line[0] == '#' && line[1] == ' ' && strncmp(line, "# Settings", 10) != 0 &&
            strncmp(line, "# Take", 6) != 0)
            line[0] = ' ';
    }
}

static void test_example_is_the_defaults(void)
{
    char *text = printed(fab_settings_print_example);
    struct fab_err err = {.status = FAB_OK};
    struct demo_conf conf;

    CHECK_CASE("as it is");
    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    CHECK_EQ(read_text(&conf, text, &err), FAB_OK);

    CHECK_CASE("with the comment signs taken off");
    uncomment(text);
    CHECK_EQ(read_text(&conf, text, &err), FAB_ERR_RANGE); /* rails.name is a placeholder */
    CHECK_HAS(err.text, "rails: [0]: name: the text is too short");
    CHECK_HAS(text, "memory = \"8GiB\";");
    CHECK_HAS(text, "offset = -3;");
    free(text);
    fab_settings_clear(&demo_schema, &conf);
}

static void test_help_and_man(void)
{
    char *help = printed(fab_settings_print_help), *man = printed(fab_settings_print_man);

    CHECK_CASE("help");
    CHECK_HAS(help, "  --device-memory=size\n"
                    "      Memory of each device.\n"
                    "      Allowed: 1MiB .. 1TiB. Default: 8GiB. Environment: DEMO_MEMORY.\n");
    CHECK_HAS(help, "  --[no-]checked\n");
    CHECK_HAS(help, "  --offset=MHz\n");
    CHECK(!strstr(help, "--gpus"));
    CHECK_CASE("man");
    CHECK_HAS(man, ".It Va gpus No = Ar list\nOne group for each GPU.\n");
    CHECK_HAS(man, ".It Va peer No = Ar number\n");
    free(help);
    free(man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_whole_file),
        CHECK_TEST(test_refusals),
        CHECK_TEST(test_comments_and_numbers),
        CHECK_TEST(test_files),
        CHECK_TEST(test_faults),
        CHECK_TEST(test_example_is_the_defaults),
        CHECK_TEST(test_help_and_man),
    };

    return check_run(tests);
}
