/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/test_transfer.c - small transfers: order of what overlaps, waiting,
 * ending.
 */
#include "tests/support/check.h"

#include <string.h>

#include "cuda-client/remote_int.h"
#include "cuda-client/transfer_int.h"

enum { ROOM = 64 };

static struct cudac_worker one = {.index = 0}, other = {.index = 1};
static uint8_t memory[ROOM];

static struct cudac_rows line(size_t at, size_t bytes)
{
    return (struct cudac_rows){
        (uint64_t)(uintptr_t)(memory + at), bytes, bytes, .width = bytes, .height = 1, .depth = 1};
}

static uint64_t start(struct cudac_worker *worker, struct cudac_rows rows)
{
    const struct cudac_transfer_request request = {
        .kind = CUDAC_TRANSFER_SMALL, .worker = worker, .ctx = 1, .rows = rows};
    uint64_t id = 0;

    CHECK_EQ(cudac_transfer_start(&request, &id), CUDA_SUCCESS);
    return id;
}

/* The worker says: these are the bytes. */
static void arrive(struct cudac_worker *worker, uint64_t id, uint8_t value, size_t bytes)
{
    static _Alignas(8) uint8_t message_bytes[256];
    uint8_t data[ROOM];
    const struct wire_out_data message = {
        .transfer = id, .data = data, .data_count = (uint32_t)bytes};
    struct wire_parts parts;
    size_t size_bytes = 0;

    memset(data, value, sizeof(data));
    wire_put_out_data(&message, &parts);
    for (size_t i = 0; i < parts.count; i++) {
        memcpy(message_bytes + size_bytes, parts.part[i].iov_base, parts.part[i].iov_len);
        size_bytes += parts.part[i].iov_len;
    }
    cudac_on_out_data(worker, message_bytes, size_bytes);
}

static uint64_t address(size_t at)
{
    return (uint64_t)(uintptr_t)(memory + at);
}

/* Copies are posted in this order, and their bytes come in another. */
static void test_order(void)
{
    static const struct {
        const char *label;
        size_t at[3], bytes[3];
        int arrival[3];
        struct cudac_worker *of[3];
    } cases[] = {
        {"as posted", {0, 0, 0}, {8, 8, 8}, {0, 1, 2}, {&one, &one, &one}},
        {"backwards", {0, 0, 0}, {8, 8, 8}, {2, 1, 0}, {&one, &one, &one}},
        {"the middle first", {0, 0, 0}, {8, 8, 8}, {1, 2, 0}, {&one, &one, &one}},
        {"a part of it", {0, 4, 2}, {16, 4, 4}, {2, 1, 0}, {&one, &one, &one}},
        {"next to each other", {0, 8, 16}, {8, 8, 8}, {2, 0, 1}, {&one, &one, &one}},
        {"from two workers", {0, 0, 0}, {8, 8, 8}, {2, 1, 0}, {&one, &other, &one}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint8_t expect[ROOM] = {0};
        uint64_t ids[3];

        CHECK_CASE("%s", cases[i].label);
        memset(memory, 0, sizeof(memory));
        for (int k = 0; k < 3; k++) {
            ids[k] = start(cases[i].of[k], line(cases[i].at[k], cases[i].bytes[k]));
            memset(expect + cases[i].at[k], k + 1, cases[i].bytes[k]);
        }
        CHECK(cudac_transfers_pending_into(address(cases[i].at[0]), 1));
        for (int k = 0; k < 3; k++) {
            const int at = cases[i].arrival[k];

            arrive(cases[i].of[at], ids[at], (uint8_t)(at + 1), cases[i].bytes[at]);
        }
        CHECK_MEM(memory, expect, sizeof(memory));
        CHECK(!cudac_transfers_pending_into(address(0), ROOM));
        CHECK_EQ(cudac_transfers_wait(&one, ids, 3), CUDA_SUCCESS);
    }
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void test_when(void)
{
    int calls = 0;
    uint64_t ids[2] = {start(&one, line(0, 8)), start(&one, line(8, 8))};
    const uint64_t gone = 1;

    CHECK_EQ(cudac_transfers_when(&one, &gone, 1, count, &calls), CUDA_SUCCESS);
    CHECK_EQ(calls, 1); /* an unknown one has landed long ago */
    CHECK_EQ(cudac_transfers_when(&other, ids, 2, count, &calls), CUDA_SUCCESS);
    CHECK_EQ(calls, 2); /* ids are a worker's own */
    CHECK_EQ(cudac_transfers_when(&one, ids, 2, count, &calls), CUDA_SUCCESS);
    arrive(&one, ids[1], 1, 8);
    CHECK_EQ(calls, 2);
    arrive(&one, ids[0], 1, 8);
    CHECK_EQ(calls, 3);
}

/* What never comes ends what waits for it, and lets go of what comes behind. */
static void test_end(void)
{
    int calls = 0;
    uint64_t first = start(&one, line(0, 8)), second = start(&other, line(0, 8));

    memset(memory, 0, sizeof(memory));
    arrive(&other, second, 7, 8);
    CHECK_EQ(memory[0], 0);
    CHECK_EQ(cudac_transfers_when(&one, &first, 1, count, &calls), CUDA_SUCCESS);
    cudac_transfer_cancel(&one, first);
    CHECK_EQ(calls, 1);
    CHECK_EQ(memory[0], 7);
    CHECK(!cudac_transfers_pending_into(address(0), ROOM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_order), CHECK_TEST(test_when),
                                       CHECK_TEST(test_end)};

    return check_run(tests);
}
