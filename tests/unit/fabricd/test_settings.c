/* SPDX-License-Identifier: Apache-2.0
 * The daemon's settings: the table, what belongs together, the examples in configs/fabricd, and
 * that man/fabricd.conf.5 and example.conf say what the table says. UPDATE_EXPECTED=1 writes them.
 */
#include "fabricd/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/settings_file.h"
#include "base/settings_text.h"
#include "tests/support/check.h"

enum { PAGE_BYTES = 1 << 16 };

static const char page[] = SOURCE_DIR "/man/fabricd.conf.5";
static const char example[] = SOURCE_DIR "/configs/fabricd/example.conf";
static const char begin_mark[] = ".\\\" test_fabricd_settings writes it.\n";
static const char end_mark[] = ".\\\" end of the settings table\n";
static const char example_head[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Every setting of fabricd with its default: fabricd.conf(5). Made from the settings table;\n"
    "# UPDATE_EXPECTED=1 test_fabricd_settings writes it.\n\n";

static void test_table(void)
{
    struct fab_err err = {0};

    CHECK_CASE("the table");
    CHECK_EQ(fab_schema_check(&fabricd_schema, &err), FAB_OK);
    CHECK_STR(err.text, "");
}

#define MANAGER "node = \"a\"; role : { manager = true; }; "
#define TLS "tls : { ca = \"x\"; certificate = \"x\"; key = \"x\"; };"

static void test_together(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        const char *says;
    } rows[] = {
        {"one node", "node = \"a\"; role : { manager = true; agent = true; };", FAB_OK, ""},
        {"no name", "role : { manager = true; };", FAB_ERR_INVALID, "node is not set"},
        {"an odd name", "node = \"-a\"; role : { manager = true; };", FAB_ERR_INVALID, "'-a'"},
        {"no role", "node = \"a\";", FAB_ERR_INVALID, "nothing to do"},
        {"no manager", "node = \"a\"; role : { agent = true; };", FAB_ERR_INVALID,
         "manager is not set"},
        {"no certificate",
         "node = \"a\"; role : { agent = true; }; manager = \"10.0.0.1:7100\"; tls : { ca = "
         "\"x\"; };",
         FAB_ERR_INVALID, "tls.certificate is not set"},
        {"a port only", "node = \"a\"; role : { manager = true; }; listen = \":7100\";",
         FAB_ERR_INVALID, "ADDRESS:PORT"},
        {"no port", "node = \"a\"; role : { manager = true; }; listen = \"10.0.0.1\";",
         FAB_ERR_INVALID, "ADDRESS:PORT"},
        {"a port too high", "node = \"a\"; role : { manager = true; }; listen = \"::1:70000\";",
         FAB_ERR_INVALID, "ADDRESS:PORT"},
        {"all addresses, and none told", MANAGER "listen = \"0.0.0.0:7100\";", FAB_ERR_INVALID,
         "set address to the ADDRESS:PORT"},
        {"all addresses of IPv6", MANAGER "listen = \"[::0]:7100\";", FAB_ERR_INVALID,
         "listen is [::0]:7100, which nobody can dial"},
        {"all addresses, in short", MANAGER "listen = \"0:7100\";", FAB_ERR_INVALID,
         "listen is 0:7100, which nobody can dial"},
        {"all addresses, in brackets", MANAGER "listen = \"[0.0.0.0]:7100\";", FAB_ERR_INVALID,
         "listen is [0.0.0.0]:7100, which nobody can dial"},
        {"all addresses of IPv4 in IPv6", MANAGER "listen = \"[::ffff:0.0.0.0]:7100\";",
         FAB_ERR_INVALID, "which nobody can dial"},
        {"all addresses, and one told",
         MANAGER "listen = \"0.0.0.0:7100\"; address = \"10.0.0.1:7100\"; " TLS, FAB_OK, ""},
        {"all addresses told", MANAGER "listen = \"10.0.0.1:1\"; address = \"[::]:1\"; " TLS,
         FAB_ERR_INVALID, "address is [::]:1, which nobody can dial"},
        {"one told, and not listened at", MANAGER "address = \"10.0.0.1:7100\";", FAB_ERR_INVALID,
         "listen is not"},
        {"a manager everywhere",
         "node = \"a\"; role : { agent = true; }; manager = \"0.0.0.0:7100\"; " TLS,
         FAB_ERR_INVALID, "manager is 0.0.0.0:7100"},
        {"https elsewhere",
         "node = \"a\"; role : { agent = true; }; manager = \"10.0.0.1:1\"; api : { listen = "
         "\"10.0.0.1:443\"; };",
         FAB_ERR_INVALID, "not the manager"},
        {"https without a key",
         "node = \"a\"; role : { manager = true; }; api : { listen = \"10.0.0.1:443\"; };",
         FAB_ERR_INVALID, "and api.listen is"},
        {"unknown", "node = \"a\"; role : { boss = true; };", FAB_ERR_NOT_FOUND, "boss"},
        {"a rail without a device", "node = \"a\"; role : { manager = true; }; rails = ({});",
         FAB_ERR_INVALID, "device"},
        {"rails", "node = \"a\"; role : { manager = true; }; rails = ({ device = \"ib0\"; });",
         FAB_OK, ""},
        {"a time too short", "node = \"a\"; discovery : { every = \"1ms\"; };", FAB_ERR_RANGE,
         "1s"},
    };
    char path[] = "/tmp/test-settings-XXXXXX";
    const int fd = mkstemp(path);

    if (!CHECK(fd >= 0))
        return;
    (void)close(fd);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fabricd_settings settings = {.node = NULL};
        struct fab_err err = {0};
        FILE *file = fopen(path, "w");

        CHECK_CASE("%s", rows[i].label);
        CHECK(file && fputs(rows[i].text, file) >= 0 && fclose(file) == 0);
        if (CHECK_EQ(fabricd_settings_load(path, NULL, NULL, &settings, &err), rows[i].status) &&
            rows[i].status == FAB_OK)
            fab_settings_clear(&fabricd_schema, &settings);
        CHECK_HAS(err.text, rows[i].says);
    }
    (void)unlink(path);
}

static void test_strength(void)
{
    struct fabricd_settings settings = {.node = NULL};
    char program[] = "fabricd", node[] = "--node=c", role[] = "--role-agent", more[] = "--more";
    char *argv[] = {program, node, role, more, NULL};
    int argc = 4;

    CHECK_CASE("file, environment, arguments");
    (void)setenv("FABRICD_NODE", "b", 1);
    (void)setenv("FABRICD_RUN_DIR", "/run/b", 1);
    if (CHECK_EQ(fabricd_settings_load(SOURCE_DIR "/configs/fabricd/one-node.conf", &argc, argv,
                                       &settings, NULL),
                 FAB_OK)) {
        CHECK_STR(settings.node, "c");
        CHECK_STR(settings.run_dir, "/run/b");
        CHECK_STR(settings.state_dir, "/var/lib/fabricd");
        CHECK(settings.is_agent && settings.is_manager);
        CHECK_EQ(argc, 2); /* what is no setting stays */
        CHECK_STR(argv[1], "--more");
        fab_settings_clear(&fabricd_schema, &settings);
    }
    (void)unsetenv("FABRICD_NODE");
    (void)unsetenv("FABRICD_RUN_DIR");
}

static void test_examples(void)
{
    static const char *const names[] = {"one-node", "manager", "gpu-node", "host"};

    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++) {
        struct fabricd_settings settings;
        struct fab_err err = {0};
        char path[512];

        CHECK_CASE("%s.conf", names[i]);
        (void)snprintf(path, sizeof(path), SOURCE_DIR "/configs/fabricd/%s.conf", names[i]);
        if (CHECK_EQ(fabricd_settings_load(path, NULL, NULL, &settings, &err), FAB_OK))
            fab_settings_clear(&fabricd_schema, &settings);
        CHECK_STR(err.text, "");
    }
}

/* ---- texts made from the table ----------------------------------------------------------------
 */

/* Head, generated text, tail; the caller frees it. */
static char *compose(const char *head, void (*print)(const struct fab_schema *schema, FILE *out),
                     const char *tail)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    (void)fputs(head, out);
    print(&fabricd_schema, out);
    (void)fputs(tail, out);
    (void)fclose(out);
    return text;
}

static void compare(const char *path, const char *wanted)
{
    char *text = NULL;

    CHECK_CASE("%s (UPDATE_EXPECTED=1 writes it)", path);
    if (getenv("UPDATE_EXPECTED")) {
        FILE *file = fopen(path, "w");

        CHECK(file && fputs(wanted, file) >= 0 && fclose(file) == 0);
    } else if (CHECK_EQ(fab_file_read(path, PAGE_BYTES, &text, NULL, NULL), FAB_OK)) {
        CHECK(strcmp(text, wanted) == 0);
    }
    free(text);
}

static void test_texts(void)
{
    char *text = NULL, *wanted = compose(example_head, fab_settings_print_example, "");
    char *begin, *end;

    compare(example, wanted);
    free(wanted);
    CHECK_CASE("%s", page);
    if (!CHECK_EQ(fab_file_read(page, PAGE_BYTES, &text, NULL, NULL), FAB_OK))
        return;
    begin = strstr(text, begin_mark);
    end = strstr(text, end_mark);
    if (CHECK(begin && end && begin < end)) {
        char *tail = strdup(end);

        begin[sizeof(begin_mark) - 1] = '\0';
        wanted = compose(text, fab_settings_print_man, tail);
        compare(page, wanted);
        free(wanted);
        free(tail);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_table), CHECK_TEST(test_together),
                                       CHECK_TEST(test_strength), CHECK_TEST(test_examples),
                                       CHECK_TEST(test_texts)};

    return check_run(tests);
}
