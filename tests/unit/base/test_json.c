/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_json.c - bounds of what is read, values by path.
 */
#include "tests/support/check.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"

static void test_load(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        const char *says;
    } cases[] = {
        {"object", "{\"a\": [1, 2]}", FAB_OK, NULL},
        {"a bare value", "3", FAB_OK, NULL},
        {"as deep as allowed", "[[[1]]]", FAB_OK, NULL},
        {"brackets in a string", "[\"[[[[[[\\\"[[\"]", FAB_OK, NULL},
        {"too deep", "[[[[1]]]]", FAB_ERR_LIMIT, "in: nested more than 3 deep"},
        {"too long", "\"0123456789012345678901234567890123456789\"", FAB_ERR_LIMIT,
         "in: larger than 40 bytes"},
        {"syntax", "{\n\"a\" 1}", FAB_ERR_FORMAT, "in:2:"},
        {"a name twice", "{\"a\": 1, \"a\": 2}", FAB_ERR_FORMAT, "duplicate"},
        {"text behind", "{} x", FAB_ERR_FORMAT, "in:1:"},
        {"more than 64 bits", "9223372036854775808", FAB_ERR_FORMAT, "too big integer"},
        {"empty", "", FAB_ERR_FORMAT, "in:"},
    };
    const struct fab_json_limits limits = {.size_bytes = 40, .depth = 3};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};
        json_t *json = NULL;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(fab_json_load(cases[i].text, strlen(cases[i].text), "in", &limits, &json, &err),
                 cases[i].status);
        CHECK_EQ(json != NULL, cases[i].status == FAB_OK);
        if (cases[i].says)
            CHECK_HAS(err.text, cases[i].says);
        json_decref(json);
    }
}

static void test_paths(void)
{
    static const char text[] = "{\"gpus\": [{\"name\": \"A\"}, {\"name\": \"B\", \"on\": true,"
                               " \"sm\": 80, \"m\": [[1, 2]]}]}";
    static const struct {
        const char *path;
        enum fab_status as_string, as_int, as_bool;
    } cases[] = {
        {"gpus[1].name", FAB_OK, FAB_ERR_INVALID, FAB_ERR_INVALID},
        {"gpus[1].sm", FAB_ERR_INVALID, FAB_OK, FAB_ERR_INVALID},
        {"gpus[1].m[0][1]", FAB_ERR_INVALID, FAB_OK, FAB_ERR_INVALID},
        {"gpus[1].on", FAB_ERR_INVALID, FAB_ERR_INVALID, FAB_OK},
        {"gpus", FAB_ERR_INVALID, FAB_ERR_INVALID, FAB_ERR_INVALID},
        {"", FAB_ERR_INVALID, FAB_ERR_INVALID, FAB_ERR_INVALID},
        {"gpus[2].name", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
        {"gpus[].name", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
        {"gpus[-1]", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
        {"gpus[99999999999999999999]", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
        {"gpus.name", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
        {"gpus[1]..name", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
        {"gpus[1", FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND, FAB_ERR_NOT_FOUND},
    };
    json_t *json = NULL;

    if (!CHECK_EQ(fab_json_load(text, strlen(text), "in", NULL, &json, NULL), FAB_OK))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const char *string = "kept";
        int64_t number = -7;
        bool truth = false;

        CHECK_CASE("%s", cases[i].path);
        CHECK_EQ(fab_json_get_string(json, cases[i].path, &string, NULL), cases[i].as_string);
        CHECK_STR(string, cases[i].as_string == FAB_OK ? "B" : "kept");
        CHECK_EQ(fab_json_get_int(json, cases[i].path, 2, 80, &number, NULL), cases[i].as_int);
        CHECK_EQ(number != -7, cases[i].as_int == FAB_OK);
        CHECK_EQ(fab_json_get_bool(json, cases[i].path, &truth, NULL), cases[i].as_bool);
        CHECK_EQ(truth, cases[i].as_bool == FAB_OK);
    }
    json_decref(json);
}

static void test_range(void)
{
    struct fab_err err = {.status = FAB_OK};
    json_t *json = json_pack("{s:i}", "n", 81);
    int64_t number = -7;

    CHECK_CASE("out of range");
    CHECK_EQ(fab_json_get_int(json, "n", 1, 80, &number, &err), FAB_ERR_RANGE);
    CHECK_STR(err.text, "n: 81 is out of range (allowed: 1 .. 80)");
    CHECK_EQ(number, -7);
    CHECK_CASE("missing file");
    CHECK_EQ(fab_json_load_file("/nonexistent.json", NULL, &json, &err), FAB_ERR_NOT_FOUND);
    CHECK_CASE("a folder");
    CHECK_EQ(fab_json_load_file("/tmp", NULL, &json, &err), FAB_ERR_IO);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_load),
        CHECK_TEST(test_paths),
        CHECK_TEST(test_range),
    };

    return check_run(tests);
}
