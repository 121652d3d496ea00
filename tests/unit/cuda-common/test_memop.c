/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-common/test_memop.c - which memory operations are allowed, and what waits mean.
 */
#include "tests/support/check.h"

#include "cuda-common/memop.h"

#define W32 CU_STREAM_MEM_OP_WAIT_VALUE_32
#define W64 CU_STREAM_MEM_OP_WAIT_VALUE_64
#define P32 CU_STREAM_MEM_OP_WRITE_VALUE_32
#define P64 CU_STREAM_MEM_OP_WRITE_VALUE_64

static void test_check(void)
{
    static const struct {
        const char *label;
        struct cuc_memop op;
        CUresult wanted;
    } rows[] = {
        {"32 bits", {W32, CU_STREAM_WAIT_VALUE_EQ, 4, 0}, CUDA_SUCCESS},
        {"32 bits, odd", {W32, 0, 6, 0}, CUDA_ERROR_INVALID_VALUE},
        {"64 bits",
         {W64, CU_STREAM_WAIT_VALUE_NOR | CU_STREAM_WAIT_VALUE_FLUSH, 8, 0},
         CUDA_SUCCESS},
        {"64 bits at a 32-bit place", {P64, 0, 4, 0}, CUDA_ERROR_INVALID_VALUE},
        {"unknown flags of a wait", {W32, 8, 4, 0}, CUDA_ERROR_INVALID_VALUE},
        {"a write without barrier",
         {P32, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER, 4, 0},
         CUDA_SUCCESS},
        {"unknown flags of a write", {P32, 2, 4, 0}, CUDA_ERROR_INVALID_VALUE},
        {"a barrier",
         {CU_STREAM_MEM_OP_BARRIER, CU_STREAM_MEMORY_BARRIER_TYPE_GPU, 0, 0},
         CUDA_SUCCESS},
        {"a flush", {CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES, 0, 0, 0}, CUDA_SUCCESS},
        {"no operation", {77, 0, 0, 0}, CUDA_ERROR_INVALID_VALUE},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(cuc_memop_check(&rows[i].op), rows[i].wanted);
    }
}

static void test_waits(void)
{
    static const struct {
        const char *label;
        uint32_t kind, flags;
        uint64_t memory, value;
        bool is_satisfied;
    } rows[] = {
        {"equal", W32, CU_STREAM_WAIT_VALUE_EQ, 5, 5, true},
        {"not equal", W32, CU_STREAM_WAIT_VALUE_EQ, 5, 6, false},
        {"only the low word counts", W32, CU_STREAM_WAIT_VALUE_EQ, UINT64_C(1) << 32 | 5, 5, true},
        {"both words count", W64, CU_STREAM_WAIT_VALUE_EQ, UINT64_C(1) << 32 | 5, 5, false},
        {"greater", W32, CU_STREAM_WAIT_VALUE_GEQ, 6, 5, true},
        {"less", W32, CU_STREAM_WAIT_VALUE_GEQ, 4, 5, false},
        {"around the end", W32, CU_STREAM_WAIT_VALUE_GEQ, 3, 0xfffffff0, true},
        {"around the end, not yet", W32, CU_STREAM_WAIT_VALUE_GEQ, 0xfffffff0, 3, false},
        {"around the end, 64 bits", W64, CU_STREAM_WAIT_VALUE_GEQ, 3, UINT64_MAX - 4, true},
        {"a common bit", W32, CU_STREAM_WAIT_VALUE_AND, 6, 4, true},
        {"no common bit", W32, CU_STREAM_WAIT_VALUE_AND, 6, 8, false},
        {"a bit in neither", W32, CU_STREAM_WAIT_VALUE_NOR, 0xfffe0000, 0x0000ffff, true},
        {"no bit in neither", W32, CU_STREAM_WAIT_VALUE_NOR, 0xffff0000, 0x0000ffff, false},
        {"a high bit in neither", W64, CU_STREAM_WAIT_VALUE_NOR, 0xffff0000, 0x0000ffff, true},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        uint64_t memory = rows[i].memory;
        const struct cuc_memop op = {.kind = rows[i].kind,
                                     .flags = rows[i].flags,
                                     .address = (uintptr_t)&memory,
                                     .value = rows[i].value};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(cuc_memop_is_satisfied(&op), rows[i].is_satisfied);
    }
}

static void test_writes(void)
{
    uint64_t memory = UINT64_MAX;
    struct cuc_memop op = {.kind = P32, .address = (uintptr_t)&memory, .value = 7};

    cuc_memop_store(&op);
    CHECK_EQ(memory, UINT64_C(0xffffffff00000007));
    op.kind = P64;
    cuc_memop_store(&op);
    CHECK_EQ(memory, 7);
}

static void test_params(void)
{
    const CUstreamBatchMemOpParams wait = {
        .waitValue = {.operation = W64, .address = 16, .value64 = UINT64_C(1) << 40, .flags = 1}};
    const CUstreamBatchMemOpParams write = {
        .writeValue = {.operation = P32, .address = 32, .value = 9, .flags = 1}};
    struct cuc_memop op = cuc_memop_of_params(&wait);

    CHECK_EQ(op.kind, W64);
    CHECK_EQ(op.address, 16);
    CHECK_EQ(op.value, UINT64_C(1) << 40);
    CHECK_EQ(op.flags, 1);
    op = cuc_memop_of_params(&write);
    CHECK_EQ(op.kind, P32);
    CHECK_EQ(op.address, 32);
    CHECK_EQ(op.value, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_check), CHECK_TEST(test_waits),
                                       CHECK_TEST(test_writes), CHECK_TEST(test_params)};

    return check_run(tests);
}
