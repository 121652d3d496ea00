/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-common/test_visible.c - which devices a process sees, in which order.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <string.h>

#include "cuda-common/visible.h"

static const uint8_t uuids[4][16] = {{0xab, 1}, {0xab, 2}, {0xcd, 3}, {0xef, 4}};
static const struct cuc_device_key keys[4] = {
    {"0000:41:00.0", uuids[0], 10},
    {"0000:02:00.0", uuids[1], 30},
    {"0001:01:00.0", uuids[2], 20},
    {"0000:0a:00.0", uuids[3], 30},
};

static void test_select(void)
{
    static const struct {
        const char *visible, *order, *wanted;
    } rows[] = {
        {NULL, NULL, "1 3 2 0"}, /* fastest first; equal ones as they come */
        {NULL, "FASTEST_FIRST", "1 3 2 0"},
        {NULL, "PCI_BUS_ID", "1 3 0 2"},
        {"", NULL, ""},
        {"0", NULL, "1"},
        {"3,0", NULL, "0 1"},
        {" 2 , 1 ", NULL, "2 3"},
        {"0,4,1", NULL, "1"}, /* those before an invalid one */
        {"-1", NULL, ""},
        {"0,-1,1", NULL, "1"},
        {"0x1", NULL, ""},
        {"1,1", NULL, ""}, /* named twice: none */
        {"GPU-cd", NULL, "2"},
        {"GPU-CD03", NULL, "2"},
        {"GPU-cd030000-0000-0000-0000-000000000000", NULL, "2"},
        {"GPU-ab", NULL, ""}, /* two begin so */
        {"GPU-ab02,GPU-ef", NULL, "1 3"},
        {"GPU-", NULL, ""},
        {"GPU-cd030000-0000-0000-0000-0000000000000", NULL, ""}, /* longer than any */
        {"99999999999999999999", NULL, ""},
        {"1", "PCI_BUS_ID", "3"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        uint32_t order[CUC_DEVICES_MAX];
        uint32_t count = cuc_devices_select(keys, 4, rows[i].visible, rows[i].order, order);
        char got[64] = "";

        CHECK_CASE("visible %s order %s", rows[i].visible ? rows[i].visible : "(unset)",
                   rows[i].order ? rows[i].order : "(unset)");
        for (uint32_t k = 0; k < count; k++) {
            size_t used = strlen(got);

            (void)snprintf(got + used, sizeof(got) - used, "%s%u", k ? " " : "", order[k]);
        }
        CHECK_STR(got, rows[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_select)};

    return check_run(tests);
}
