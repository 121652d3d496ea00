/* SPDX-License-Identifier: Apache-2.0
 * Results as files: what is written is read again, and what is no result is refused.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "tests/support/check.h"
#include "tests/unit/perf/sample.h"

static char path[] = "/tmp/test-fp-result-XXXXXX";

static void test_round_trip(void)
{
    struct fp_result made = sample_make("two rails", 3), read = {0};
    struct fab_err err = {0};

    CHECK_EQ(fp_result_write(&made, path, &err), FAB_OK);
    if (CHECK_EQ(fp_result_read(&read, path, &err), FAB_OK)) {
        CHECK_STR(read.label, "two rails");
        CHECK_STR(read.command, "fabric-perf -a");
        CHECK_STR(read.date, made.date);
        CHECK_EQ(read.device_count, 1);
        CHECK_STR(read.devices[0].pci, "0000:01:00.0");
        CHECK(read.devices[0].can_map && !read.devices[0].can_manage);
        CHECK_EQ(read.row_count, made.row_count);
        for (uint32_t i = 0; i < read.row_count; i++) {
            const struct fp_row *row = &made.rows[i], *got = &read.rows[i];

            CHECK_CASE("row %u", i);
            CHECK(fp_key_is_alike(&got->key, &row->key));
            CHECK_EQ(got->key.size, row->key.size);
            CHECK_EQ(got->repeats, row->repeats);
            CHECK_NEAR(got->us, row->us, row->us * 1e-4);
            CHECK_NEAR(got->us_high, row->us_high, row->us_high * 1e-4);
            CHECK_NEAR(got->mb_s, row->mb_s, row->mb_s * 1e-4);
            CHECK_EQ(got->is_verified, row->is_verified);
            CHECK_STR(got->reason, row->reason);
        }
    }
    fp_result_fini(&read);
    fp_result_fini(&made);
}

static void change(json_t *root, const char *at, const char *member, json_t *value)
{
    json_t *object = root;

    if (strcmp(at, "row") == 0)
        object = json_array_get(json_object_get(root, "rows"), 0);
    else if (strcmp(at, "key") == 0)
        object = json_object_get(json_array_get(json_object_get(root, "rows"), 0), "key");
    if (value)
        (void)json_object_set_new(object, member, value);
    else
        (void)json_object_del(object, member);
}

static void test_refused(void)
{
    const struct {
        const char *at, *member;
        json_t *value; /* NULL: taken away */
        enum fab_status status;
        const char *message;
    } rows[] = {
        {"", "format", json_string("fabric-perf 0"), FAB_ERR_VERSION, "reads 'fabric-perf 1'"},
        {"", "rows", NULL, FAB_ERR_INVALID, "rows is missing"},
        {"", "rows", json_object(), FAB_ERR_INVALID, "rows"},
        {"", "label", json_integer(1), FAB_ERR_INVALID, "label"},
        {"", "more", json_true(), FAB_ERR_INVALID, "member that is not known"},
        {"row", "us", json_real(-1), FAB_ERR_INVALID, "neither positive nor null"},
        {"row", "us", json_string("1"), FAB_ERR_INVALID, "neither positive nor null"},
        {"row", "us", json_real(1e9), FAB_ERR_INVALID, "outside its interval"},
        {"row", "reason", json_string("why"), FAB_ERR_INVALID, "a number and a reason for none"},
        {"key", "test", json_string("h2h"), FAB_ERR_INVALID, "test"},
        {"key", "gpu", json_integer(-2), FAB_ERR_RANGE, "gpu"},
        {"key", "gpu", json_integer(64), FAB_ERR_RANGE, "too large"},
        {"key", "peer", json_integer(INT32_MAX), FAB_ERR_RANGE, "too large"},
        {"key", "size", json_integer(FP_SIZE_MAX + 1), FAB_ERR_RANGE, "too large"},
        {"key", "size", json_real(8), FAB_ERR_INVALID, "size"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fp_result made = sample_make("x", 1), read = {.cores = 77};
        struct fab_err err = {0};
        json_t *root = NULL;

        CHECK_CASE("%s %s, row %zu", rows[i].at, rows[i].member, i);
        CHECK_EQ(fp_result_write(&made, path, NULL), FAB_OK);
        if (!CHECK_EQ(fab_json_load_file(path, NULL, &root, NULL), FAB_OK))
            return;
        change(root, rows[i].at, rows[i].member, rows[i].value);
        CHECK_EQ(json_dump_file(root, path, 0), 0);
        json_decref(root);
        CHECK_EQ(fp_result_read(&read, path, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].message);
        CHECK_EQ(read.cores, 77); /* as before */
        fp_result_fini(&made);
    }
    CHECK_EQ(fp_result_read(&(struct fp_result){0}, "/nowhere/at.json", NULL), FAB_ERR_NOT_FOUND);
}

static void test_full(void)
{
    struct fp_result result = {0};

    for (int i = 0; i < FP_ROWS_MAX; i++)
        if (!CHECK(fp_result_add(&result) != NULL))
            break;
    CHECK(fp_result_add(&result) == NULL);
    fp_result_fini(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_round_trip), CHECK_TEST(test_refused),
                                       CHECK_TEST(test_full)};
    int status;
    int file = mkstemp(path);

    if (file < 0)
        return 1;
    (void)close(file);
    status = check_run(tests);
    (void)unlink(path);
    return status;
}
