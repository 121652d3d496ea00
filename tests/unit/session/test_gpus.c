/* SPDX-License-Identifier: Apache-2.0
 * What FABRIC_GPUS may say, and what of it a system has.
 */
#include "session/ses_broker.h"
#include "session/ses_int.h"
#include "tests/support/check.h"

#define KEPT UINT64_C(0xabad1dea) /* an output that must not change on failure */

static void test_read(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        uint64_t gpus;
    } rows[] = {
        {"not set", NULL, FAB_OK, 0},
        {"empty", "", FAB_OK, 0},
        {"the first", "0", FAB_OK, 1},
        {"two", "0,3", FAB_OK, 9},
        {"in any order", "5,2", FAB_OK, 0x24},
        {"the last", "63", FAB_OK, UINT64_C(1) << 63},
        {"beyond the last", "64", FAB_ERR_INVALID, KEPT},
        {"far beyond", "18446744073709551616", FAB_ERR_INVALID, KEPT},
        {"one twice", "1,1", FAB_ERR_INVALID, KEPT},
        {"a sign", "-1", FAB_ERR_INVALID, KEPT},
        {"a plus", "1,+2", FAB_ERR_INVALID, KEPT},
        {"a space", "0, 1", FAB_ERR_INVALID, KEPT},
        {"ends with a comma", "0,", FAB_ERR_INVALID, KEPT},
        {"begins with one", ",0", FAB_ERR_INVALID, KEPT},
        {"a range", "0-3", FAB_ERR_INVALID, KEPT},
        {"a UUID", "GPU-1234", FAB_ERR_INVALID, KEPT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        uint64_t gpus = KEPT;
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(ses_gpus_read(rows[i].text, &gpus, &err), rows[i].status);
        CHECK_EQ(gpus, rows[i].gpus);
        if (rows[i].status != FAB_OK)
            CHECK_HAS(err.text, "FABRIC_GPUS=");
    }
}

static void test_of_a_system(void)
{
    static const struct {
        const char *label;
        uint64_t wanted;
        uint32_t count;
        enum fab_status status;
        uint64_t gpus;
    } rows[] = {
        {"all", 0, 4, FAB_OK, 0xf},
        {"all of 64", 0, 64, FAB_OK, UINT64_MAX},
        {"some", 0xa, 4, FAB_OK, 0xa},
        {"the last of 64", UINT64_C(1) << 63, 64, FAB_OK, UINT64_C(1) << 63},
        {"one too far", 0x12, 4, FAB_ERR_NOT_FOUND, KEPT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        const struct ses_peer peer = {.gpus = rows[i].wanted};
        uint64_t gpus = KEPT;
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(ses_peer_gpus(&peer, rows[i].count, &gpus, &err), rows[i].status);
        CHECK_EQ(gpus, rows[i].gpus);
        if (rows[i].status != FAB_OK)
            CHECK_HAS(err.text, "names GPU 4: the system has 4");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_read), CHECK_TEST(test_of_a_system)};

    return check_run(tests);
}
