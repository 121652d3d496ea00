/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/test_copy_plan.c - how the bytes of a copy go, and rows as packed bytes.
 */
#include "tests/support/check.h"

#include <string.h>

#include "cuda-client/copy.h"

enum { SMALL = 64 << 10, LARGE = SMALL + 1 };

static void test_plan(void)
{
    enum { IN = true, OUT = false };
    enum {
        INLINE = WIRE_COPY_INLINE,
        WINDOW = WIRE_COPY_WINDOW,
        BULK = WIRE_COPY_TRANSFER,
        PULL = WIRE_COPY_TRANSFER | WIRE_COPY_PULL,
    };
    static const struct {
        const char *label;
        struct cudac_copy_facts facts; /* to_device, has_window, may_change, bytes, wait */
        struct cudac_copy_plan plan;   /* flags, is_call, waits_source */
    } cases[] = {
        {"few pageable bytes", {IN, false, false, SMALL, CUDAC_WAIT_DONE}, {INLINE, true, false}},
        {"the same, asynchronous",
         {IN, false, false, SMALL, CUDAC_WAIT_SOURCE},
         {INLINE, false, false}},
        {"few pinned bytes", {IN, false, false, SMALL, CUDAC_WAIT_NEVER}, {INLINE, false, false}},
        {"that may change", {IN, false, true, SMALL, CUDAC_WAIT_NEVER}, {PULL, false, false}},
        {"that may change, waited for",
         {IN, false, true, SMALL, CUDAC_WAIT_DONE},
         {PULL, true, false}},
        {"that may change, read in the call",
         {IN, false, true, SMALL, CUDAC_WAIT_SOURCE},
         {INLINE, false, false}},
        {"many pageable bytes", {IN, false, false, LARGE, CUDAC_WAIT_DONE}, {BULK, true, false}},
        {"the same, asynchronous",
         {IN, false, false, LARGE, CUDAC_WAIT_SOURCE},
         {BULK, false, true}},
        {"many pinned bytes", {IN, false, false, LARGE, CUDAC_WAIT_NEVER}, {BULK, false, false}},
        {"that may change", {IN, false, true, LARGE, CUDAC_WAIT_NEVER}, {PULL, false, false}},
        {"that may change, read in the call",
         {IN, false, true, LARGE, CUDAC_WAIT_SOURCE},
         {PULL, false, true}},
        {"a window", {IN, true, false, SMALL, CUDAC_WAIT_NEVER}, {WINDOW, false, false}},
        {"whose bytes may change",
         {IN, true, true, LARGE, CUDAC_WAIT_NEVER},
         {WINDOW, false, false}},
        {"waited for", {IN, true, false, LARGE, CUDAC_WAIT_DONE}, {WINDOW, true, false}},
        {"read in the call, few",
         {IN, true, false, SMALL, CUDAC_WAIT_SOURCE},
         {INLINE, false, false}},
        {"read in the call, many",
         {IN, true, false, LARGE, CUDAC_WAIT_SOURCE},
         {WINDOW, true, false}},
        {"few bytes back", {OUT, false, false, SMALL, CUDAC_WAIT_DONE}, {INLINE, true, false}},
        {"few bytes back, behind others",
         {OUT, false, true, SMALL, CUDAC_WAIT_DONE},
         {BULK, true, false}},
        {"few bytes back later, behind others",
         {OUT, false, true, SMALL, CUDAC_WAIT_NEVER},
         {INLINE, false, false}},
        {"few bytes back later",
         {OUT, false, false, SMALL, CUDAC_WAIT_NEVER},
         {INLINE, false, false}},
        {"many bytes back", {OUT, false, false, LARGE, CUDAC_WAIT_DONE}, {BULK, true, false}},
        {"many bytes back later",
         {OUT, false, false, LARGE, CUDAC_WAIT_NEVER},
         {BULK, false, false}},
        {"back to a window", {OUT, true, false, LARGE, CUDAC_WAIT_NEVER}, {WINDOW, false, false}},
        {"back to a window, waited for",
         {OUT, true, false, 1, CUDAC_WAIT_DONE},
         {WINDOW, true, false}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cudac_copy_plan plan = cudac_copy_plan(&cases[i].facts);

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(plan.flags, cases[i].plan.flags);
        CHECK_EQ(plan.is_call, cases[i].plan.is_call);
        CHECK_EQ(plan.waits_source, cases[i].plan.waits_source);
    }
}

/* Every cut of the packed bytes, into rows that are far apart and back. */
static void test_rows(void)
{
    enum { ROOM = 4 * 40 };
    static const struct {
        const char *label;
        struct cudac_rows shape;
        bool dense;
    } cases[] = {
        {"one row", {0, 0, 0, 7, 1, 1}, true},
        {"rows end to end", {0, 5, 15, 5, 3, 1}, true},
        {"rows apart", {0, 9, 27, 5, 3, 1}, false},
        {"layers end to end", {0, 4, 8, 4, 2, 3}, true},
        {"layers apart", {0, 4, 40, 4, 2, 3}, false},
        {"rows and layers apart", {0, 6, 40, 5, 3, 3}, false},
        {"layers of one row", {0, 0, 30, 6, 1, 4}, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cudac_rows rows = cases[i].shape;
        const uint64_t bytes = cudac_rows_bytes(&rows);
        uint8_t from[ROOM], to[ROOM], packed[ROOM];

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cudac_rows_are_dense(&rows), cases[i].dense);
        for (size_t at = 0; at < ROOM; at++)
            from[at] = (uint8_t)(at + 1);
        for (uint64_t cut = 0; cut <= bytes; cut++) {
            memset(packed, 0, sizeof(packed));
            memset(to, 0, sizeof(to));
            rows.address = (uint64_t)(uintptr_t)from;
            cudac_rows_gather(&rows, 0, cut, packed);
            cudac_rows_gather(&rows, cut, bytes - cut, packed + cut);
            rows.address = (uint64_t)(uintptr_t)to;
            cudac_rows_scatter(&rows, cut, bytes - cut, packed + cut);
            cudac_rows_scatter(&rows, 0, cut, packed);
            for (uint64_t at = 0; at < bytes; at++) {
                const uint64_t row = at / rows.width;
                const uint64_t place = row / rows.height * rows.layer +
                                       row % rows.height * rows.pitch + at % rows.width;

                CHECK_EQ(packed[at], from[place]);
                CHECK_EQ(to[place], from[place]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_plan), CHECK_TEST(test_rows)};

    return check_run(tests);
}
