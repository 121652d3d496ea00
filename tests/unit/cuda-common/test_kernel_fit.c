/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-common/test_kernel_fit.c - occupancy, launch checks and parameters.
 */
#include "tests/support/check.h"

#include "cuda-common/kernel_fit.h"

/* A device of compute capability 8.9 and one of 7.5, as their data sheets say. */
static const struct cuc_device_limits ada = {.sm_count = 2,
                                             .blocks_per_sm = 24,
                                             .threads_per_sm = 1536,
                                             .regs_per_sm = 65536,
                                             .shared_per_sm_bytes = 100 << 10,
                                             .shared_per_block_bytes = 48 << 10,
                                             .shared_reserved_bytes = 1024};
static const struct cuc_device_limits turing = {.blocks_per_sm = 16,
                                                .threads_per_sm = 1024,
                                                .regs_per_sm = 65536,
                                                .shared_per_sm_bytes = 64 << 10,
                                                .shared_per_block_bytes = 48 << 10};

static void test_blocks(void)
{
    static const struct {
        const char *label;
        const struct cuc_device_limits *device;
        uint32_t regs, static_shared, max_threads, threads;
        uint64_t dynamic_shared;
        uint32_t blocks;
    } cases[] = {
        {"block slots", &ada, 16, 0, 1024, 32, 0, 24},
        {"threads", &ada, 16, 0, 1024, 256, 0, 6},
        {"threads, not a whole warp", &ada, 16, 0, 1024, 250, 0, 6},
        {"threads of the largest block", &ada, 16, 0, 1024, 1024, 0, 1},
        {"registers", &ada, 64, 0, 1024, 256, 0, 4},
        {"registers in units of 256 a warp", &ada, 41, 0, 1024, 128, 0, 10},
        {"registers for less than one block", &ada, 255, 0, 1024, 1024, 0, 0},
        {"static shared memory", &ada, 16, 49 << 10, 1024, 64, 0, 2},
        {"dynamic shared memory", &ada, 16, 0, 1024, 64, 19 << 10, 5},
        {"both kinds", &ada, 16, 1024, 1024, 64, 18 << 10, 5},
        {"more than there is", &ada, 16, 0, 1024, 64, 100 << 10, 0},
        {"no system share before 8.0", &turing, 16, 0, 1024, 64, 16 << 10, 4},
        {"units of 128 bytes", &turing, 16, 0, 1024, 32, (4 << 10) + 1, 15},
        {"no threads", &ada, 16, 0, 1024, 0, 0, 0},
        {"more threads than the kernel allows", &ada, 16, 0, 128, 256, 0, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const struct cuc_kernel_limits kernel = {.regs_per_thread = cases[i].regs,
                                                 .static_shared_bytes = cases[i].static_shared,
                                                 .max_threads_per_block = cases[i].max_threads};

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cuc_occupancy_blocks(cases[i].device, &kernel, cases[i].threads,
                                      cases[i].dynamic_shared),
                 cases[i].blocks);
    }
}

static void test_launch(void)
{
    enum { OK = CUDA_SUCCESS, INVALID = CUDA_ERROR_INVALID_VALUE };
    static void *list[] = {CU_LAUNCH_PARAM_END};
    static const struct {
        const char *label;
        struct cuc_launch launch;
        uint32_t max_threads, required_x;
        int opted, result;
    } cases[] = {
        {"one thread", {.grid = {1, 1, 1}, .block = {1, 1, 1}}, 1024, 0, -1, OK},
        {"no blocks", {.grid = {1, 0, 1}, .block = {1, 1, 1}}, 1024, 0, -1, INVALID},
        {"no threads", {.grid = {1, 1, 1}, .block = {1, 1, 0}}, 1024, 0, -1, INVALID},
        {"widest grid", {.grid = {INT32_MAX, 65535, 65535}, .block = {1, 1, 1}}, 1024, 0, -1, OK},
        {"grid too high", {.grid = {1, 65536, 1}, .block = {1, 1, 1}}, 1024, 0, -1, INVALID},
        {"block too deep", {.grid = {1, 1, 1}, .block = {1, 1, 65}}, 1024, 0, -1, INVALID},
        {"too many threads", {.grid = {1, 1, 1}, .block = {1024, 2, 1}}, 1024, 0, -1, INVALID},
        {"more than the kernel takes",
         {.grid = {1, 1, 1}, .block = {65, 1, 1}},
         64,
         0,
         -1,
         INVALID},
        {"the required size", {.grid = {1, 1, 1}, .block = {32, 1, 1}}, 32, 32, -1, OK},
        {"not the required size", {.grid = {1, 1, 1}, .block = {31, 1, 1}}, 32, 32, -1, INVALID},
        {"shared memory", {{1, 1, 1}, {1, 1, 1}, 48 << 10, false, NULL, NULL}, 1024, 0, -1, OK},
        {"a byte more",
         {{1, 1, 1}, {1, 1, 1}, (48 << 10) + 1, false, NULL, NULL},
         1024,
         0,
         -1,
         INVALID},
        {"opted in", {{1, 1, 1}, {1, 1, 1}, 64 << 10, false, NULL, NULL}, 1024, 0, 64 << 10, OK},
        {"a cooperative grid", {{48, 1, 1}, {32, 1, 1}, 0, true, NULL, NULL}, 1024, 0, -1, OK},
        {"too large for one",
         {{49, 1, 1}, {32, 1, 1}, 0, true, NULL, NULL},
         1024,
         0,
         -1,
         CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE},
        {"both forms of parameters",
         {{1, 1, 1}, {1, 1, 1}, 0, false, list, list},
         1024,
         0,
         -1,
         INVALID},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const struct cuc_kernel_limits kernel = {
            .regs_per_thread = 16,
            .max_threads_per_block = cases[i].max_threads,
            .max_dynamic_shared_bytes = cases[i].opted,
            .required_block = {cases[i].required_x, 1, 1},
        };

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cuc_launch_check(&cases[i].launch, &kernel, &ada), cases[i].result);
    }
}

static void test_pack(void)
{
    static const uint32_t offset[] = {0, 8, 12}, size[] = {8, 1, 4};
    const struct cuc_params params = {.count = 3, .bytes = 16, .offset = offset, .size = size};
    const struct cuc_params none = {0};
    uint64_t a = 0x1122334455667788;
    uint8_t b = 7, packed[16] = {0};
    uint32_t c = 0x99aabbcc;
    void *pointers[] = {&a, &b, &c}, *missing[] = {&a, NULL, &c};
    const uint8_t expect[16] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                                7,    0,    0,    0,    0xcc, 0xbb, 0xaa, 0x99};
    uint8_t buffer[20];
    size_t too_much = 20, just = 16, short_by_one = 15, huge = 32765;
    const struct {
        const char *label;
        void *list[5];
        CUresult result;
    } cases[] = {
        {"too much",
         {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &too_much},
         CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES},
        {"just enough",
         {CU_LAUNCH_PARAM_BUFFER_SIZE, &just, CU_LAUNCH_PARAM_BUFFER_POINTER, buffer},
         CUDA_SUCCESS},
        {"short",
         {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &short_by_one},
         CUDA_ERROR_INVALID_VALUE},
        {"beyond all bounds",
         {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &huge},
         CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES},
        {"no size", {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer}, CUDA_ERROR_INVALID_VALUE},
        {"empty", {CU_LAUNCH_PARAM_END}, CUDA_ERROR_INVALID_VALUE},
        {"unknown word", {buffer, buffer}, CUDA_ERROR_INVALID_VALUE},
    };

    CHECK_EQ(cuc_params_pack(&params, pointers, NULL, packed), CUDA_SUCCESS);
    CHECK_MEM(packed, expect, sizeof(expect));
    CHECK_EQ(cuc_params_pack(&params, missing, NULL, packed), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cuc_params_pack(&params, NULL, NULL, packed), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cuc_params_pack(&none, NULL, NULL, packed), CUDA_SUCCESS);
    memset(buffer, 0, sizeof(buffer));
    memcpy(buffer, expect, sizeof(expect));
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        void *list[5];

        CHECK_CASE("%s", cases[i].label);
        memset(packed, 0, sizeof(packed));
        memcpy(list, cases[i].list, sizeof(list));
        CHECK_EQ(cuc_params_pack(&params, NULL, list, packed), cases[i].result);
        if (cases[i].result == CUDA_SUCCESS)
            CHECK_MEM(packed, expect, sizeof(expect));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_blocks), CHECK_TEST(test_launch),
                                       CHECK_TEST(test_pack)};

    return check_run(tests);
}
