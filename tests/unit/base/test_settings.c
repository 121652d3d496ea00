/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_settings.c - rows, defaults, environment, command line, reload.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/settings.h"
#include "tests/support/faults.h"
#include "tests/unit/base/demo_settings.h"

static void test_schema_check(void)
{
    static const char *const colours[] = {"red", NULL};
    static const struct {
        const char *label;
        struct fab_setting row;
        const char *says; /* NULL: the row is right */
    } cases[] = {
        {"right", {.name = "a.b_2", .type = FAB_SETTING_INT, .help = "x"}, NULL},
        {"no help", {.name = "a", .type = FAB_SETTING_INT}, "help"},
        {"upper case", {.name = "A", .type = FAB_SETTING_INT, .help = "x"}, "name"},
        {"empty part", {.name = "a..b", .type = FAB_SETTING_INT, .help = "x"}, "name"},
        {"dot at the end", {.name = "a.", .type = FAB_SETTING_INT, .help = "x"}, "name"},
        {"range upside down",
         {.name = "a", .type = FAB_SETTING_INT, .min = 2, .max = 1, .help = "x"},
         "range"},
        {"a size below zero",
         {.name = "a", .type = FAB_SETTING_SIZE, .min = -1, .max = 1, .help = "x"},
         "range"},
        {"default out of range",
         {.name = "a", .type = FAB_SETTING_INT, .min = 1, .max = 2, .fallback = "3", .help = "x"},
         "default"},
        {"the implied 0 out of range",
         {.name = "a", .type = FAB_SETTING_INT, .min = 1, .max = 2, .help = "x"},
         "default"},
        {"no choices", {.name = "a", .type = FAB_SETTING_ENUM, .help = "x"}, "choices"},
        {"right choices",
         {.name = "a", .type = FAB_SETTING_ENUM, .choices = colours, .help = "x"},
         NULL},
        {"no item", {.name = "a", .type = FAB_SETTING_LIST, .help = "x"}, "item"},
        {"required at the top",
         {.name = "a", .type = FAB_SETTING_INT, .flags = FAB_SETTING_REQUIRED, .help = "x"},
         "required"},
        {"field behind the target",
         {.name = "a", .type = FAB_SETTING_INT, .offset = 8, .help = "x"},
         "offset"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_schema schema = {
            .name = "t", .rows = &cases[i].row, .row_count = 1, .target_bytes = 8};
        struct fab_err err = {.status = FAB_OK};
        enum fab_status status = fab_schema_check(&schema, &err);

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(status, cases[i].says ? FAB_ERR_INVALID : FAB_OK);
        if (cases[i].says)
            CHECK_HAS(err.text, cases[i].says);
    }
    CHECK_CASE("the demo table");
    CHECK_EQ(fab_schema_check(&demo_schema, NULL), FAB_OK);
}

static void test_names_are_unique(void)
{
    static const struct fab_setting twice[] = {
        {.name = "a", .type = FAB_SETTING_INT, .help = "x"},
        {.name = "a", .type = FAB_SETTING_INT, .help = "x"},
    };
    static const struct fab_setting group_and_value[] = {
        {.name = "a.b", .type = FAB_SETTING_INT, .help = "x"},
        {.name = "a", .type = FAB_SETTING_INT, .help = "x"},
    };
    static const struct fab_setting same_option[] = {
        {.name = "a.b", .type = FAB_SETTING_INT, .help = "x"},
        {.name = "a_b", .type = FAB_SETTING_INT, .help = "x"},
    };
    static const struct fab_setting same_env[] = {
        {.name = "a", .type = FAB_SETTING_INT, .env = "E", .help = "x"},
        {.name = "b", .type = FAB_SETTING_INT, .env = "E", .help = "x"},
    };
    const struct fab_setting *const tables[] = {twice, group_and_value, same_option, same_env};

    for (size_t i = 0; i < FAB_ARRAY_LEN(tables); i++) {
        struct fab_schema schema = {
            .name = "t", .rows = tables[i], .row_count = 2, .target_bytes = 8};

        CHECK_CASE("table %zu", i);
        CHECK_EQ(fab_schema_check(&schema, NULL), FAB_ERR_INVALID);
    }
}

static void test_defaults(void)
{
    struct demo_conf conf;

    CHECK_CASE("defaults");
    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    CHECK_EQ(conf.memory_bytes, UINT64_C(8) << 30);
    CHECK_EQ(conf.ttl_ns, UINT64_C(30000000000));
    CHECK_EQ(conf.policy, DEMO_SPREAD);
    CHECK_EQ(conf.checked, false);
    CHECK_EQ(conf.offset, -3);
    CHECK_STR(conf.name, "rack");
    CHECK(conf.note == NULL);
    CHECK_EQ(conf.gpus.count, 0);
    fab_settings_clear(&demo_schema, &conf);
    CHECK(conf.name == NULL);
    fab_settings_clear(&demo_schema, &conf); /* a cleared target may be cleared again */
}

static void test_set(void)
{
    static const struct {
        const char *name, *text;
        enum fab_status status;
        const char *says;
    } cases[] = {
        {"device.memory", "16GiB", FAB_OK, NULL},
        {"device.memory", "16GB", FAB_ERR_INVALID,
         "device.memory: \"16GB\" is not a size such as \"64MiB\""},
        {"device.memory", "1023KiB", FAB_ERR_RANGE,
         "device.memory: \"1023KiB\" is out of range (allowed: 1MiB .. 1TiB)"},
        {"device.memory", "99999999999999999999", FAB_ERR_RANGE, "(allowed: 1MiB .. 1TiB)"},
        {"device.ttl", "1d1h", FAB_ERR_RANGE, "(allowed: 1s .. 1d)"},
        {"policy", "pack", FAB_OK, NULL},
        {"policy", "Pack", FAB_ERR_INVALID, "is not one of the choices (allowed: pack, spread)"},
        {"checked", "on", FAB_OK, NULL},
        {"checked", "TRUE", FAB_ERR_INVALID, "is not true or false"},
        {"offset", "-10", FAB_OK, NULL},
        {"offset", "-11", FAB_ERR_RANGE, "(allowed: -10 .. 10 MHz)"},
        {"offset", "7", FAB_ERR_INVALID, "7 brings bad luck"}, /* the row's own check */
        {"name", "", FAB_ERR_RANGE, "(allowed: 1 .. 8 characters)"},
        {"name", "ninechars", FAB_ERR_RANGE, "(allowed: 1 .. 8 characters)"},
        {"gpus", "1", FAB_ERR_UNSUPPORTED, "file only"},
        {"device", "1", FAB_ERR_NOT_FOUND, "device: no such setting"},
    };
    struct demo_conf conf;

    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct demo_conf before = conf;

        CHECK_CASE("%s = %s", cases[i].name, cases[i].text);
        CHECK_EQ(fab_settings_set(&demo_schema, &conf, cases[i].name, cases[i].text, &err),
                 cases[i].status);
        if (!cases[i].says)
            continue;
        CHECK_HAS(err.text, cases[i].says);
        CHECK_MEM(&conf, &before, sizeof(conf));
    }
    CHECK_EQ(conf.memory_bytes, UINT64_C(16) << 30);
    CHECK_EQ(conf.policy, DEMO_PACK);
    CHECK_EQ(conf.checked, true);
    CHECK_EQ(conf.offset, -10);
    fab_settings_clear(&demo_schema, &conf);
}

static void test_environment(void)
{
    struct fab_err err = {.status = FAB_OK};
    struct demo_conf conf, before;

    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
        return;
    CHECK_CASE("two variables");
    (void)setenv("DEMO_MEMORY", "2GiB", 1);
    (void)setenv("DEMO_NAME", "env", 1);
    CHECK_EQ(fab_settings_read_env(&demo_schema, &conf, &err), FAB_OK);
    CHECK_EQ(conf.memory_bytes, UINT64_C(2) << 30);
    CHECK_STR(conf.name, "env");

    CHECK_CASE("all or nothing");
    (void)setenv("DEMO_MEMORY", "4GiB", 1);
    (void)setenv("DEMO_NAME", "", 1);
    before = conf;
    CHECK_EQ(fab_settings_read_env(&demo_schema, &conf, &err), FAB_ERR_RANGE);
    CHECK_HAS(err.text, "DEMO_NAME: ");
    CHECK_MEM(&conf, &before, sizeof(conf));
    (void)unsetenv("DEMO_MEMORY");
    (void)unsetenv("DEMO_NAME");
    fab_settings_clear(&demo_schema, &conf);
}

enum { ARGS_MAX = 8 };

static void test_arguments(void)
{
    static const struct {
        const char *label;
        const char *args[ARGS_MAX];
        enum fab_status status;
        const char *says;
        const char *left[ARGS_MAX];
    } cases[] = {
        {"with =", {"--device-memory=2GiB", "x"}, FAB_OK, NULL, {"x"}},
        {"next word", {"x", "--device-memory", "2GiB", "y"}, FAB_OK, NULL, {"x", "y"}},
        {"switches", {"--checked", "--no-checked", "--checked"}, FAB_OK, NULL, {NULL}},
        {"not ours",
         {"--verbose", "-x", "--no-name", "-"},
         FAB_OK,
         NULL,
         {"--verbose", "-x", "--no-name", "-"}},
        {"behind --", {"--offset=2", "--", "--offset=3"}, FAB_OK, NULL, {"--", "--offset=3"}},
        {"an empty value is a value", {"--name="}, FAB_ERR_RANGE, "--name: ", {"--name="}},
        {"no value", {"--name"}, FAB_ERR_INVALID, "--name wants a value", {"--name"}},
        {"bad value",
         {"--offset=1", "--offset=x"},
         FAB_ERR_INVALID,
         "--offset: \"x\" is not",
         {"--offset=1", "--offset=x"}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        char program[] = "demo", copies[ARGS_MAX][32];
        char *argv[ARGS_MAX + 2] = {program};
        struct fab_err err = {.status = FAB_OK};
        struct demo_conf conf;
        int argc = 1;

        CHECK_CASE("%s", cases[i].label);
        for (; argc <= ARGS_MAX && cases[i].args[argc - 1]; argc++) {
            (void)snprintf(copies[argc - 1], sizeof(copies[0]), "%s", cases[i].args[argc - 1]);
            argv[argc] = copies[argc - 1];
        }
        if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK))
            return;
        CHECK_EQ(fab_settings_read_args(&demo_schema, &conf, &argc, argv, &err), cases[i].status);
        if (cases[i].says)
            CHECK_HAS(err.text, cases[i].says);
        for (int n = 0; n < ARGS_MAX && cases[i].left[n]; n++)
            CHECK_STR(argv[n + 1], cases[i].left[n]);
        CHECK(argv[argc] == NULL);
        fab_settings_clear(&demo_schema, &conf);
    }
}

static void test_reload(void)
{
    struct fab_err err = {.status = FAB_OK};
    struct demo_conf conf, fresh;

    if (!CHECK_EQ(fab_settings_init(&demo_schema, &conf, NULL), FAB_OK) ||
        !CHECK_EQ(fab_settings_copy(&demo_schema, &conf, &fresh, NULL), FAB_OK))
        return;
    CHECK_CASE("a row that may change");
    CHECK_EQ(fab_settings_set(&demo_schema, &fresh, "name", "new", NULL), FAB_OK);
    CHECK_EQ(fab_settings_reload(&demo_schema, &conf, &fresh, &err), FAB_OK);
    CHECK_STR(conf.name, "new");
    CHECK_STR(fresh.name, "rack");

    CHECK_CASE("one that may not");
    CHECK_EQ(fab_settings_set(&demo_schema, &fresh, "device.memory", "1GiB", NULL), FAB_OK);
    CHECK_EQ(fab_settings_reload(&demo_schema, &conf, &fresh, &err), FAB_ERR_STATE);
    CHECK_STR(err.text, "device.memory can change at a restart only");
    CHECK_STR(conf.name, "new");
    fab_settings_clear(&demo_schema, &conf);
    fab_settings_clear(&demo_schema, &fresh);
}

static enum fab_status fault_scenario(void)
{
    struct demo_conf conf = {.name = NULL}, copy = {.name = NULL};
    enum fab_status status = fab_settings_init(&demo_schema, &conf, NULL);

    if (status == FAB_OK)
        status = fab_settings_copy(&demo_schema, &conf, &copy, NULL);
    if (status == FAB_OK)
        status = fab_settings_read_env(&demo_schema, &conf, NULL);
    fab_settings_clear(&demo_schema, &conf);
    fab_settings_clear(&demo_schema, &copy);
    return status;
}

static void test_faults(void)
{
    /* The name of the defaults, of the copy and of the draft, and the draft itself. */
    CHECK_EQ(faults_run("settings", fault_scenario), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_schema_check), CHECK_TEST(test_names_are_unique),
        CHECK_TEST(test_defaults),     CHECK_TEST(test_set),
        CHECK_TEST(test_environment),  CHECK_TEST(test_arguments),
        CHECK_TEST(test_reload),       CHECK_TEST(test_faults),
    };

    return check_run(tests);
}
