/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_model.c - modelled launch durations, exact where nothing is computed.
 */
#include "tests/unit/driver/driver.h"

#include "softcuda/devices/device_model.h"
#include "softcuda/driver/model.h"
#include "softcuda/driver/module.h"

/* Device 0 only waits, device 1 computes and then waits for the rest, devices 2 and 3 only wait but
 * for the kernel that they name (3: another one). One launch takes 5 ms and, by
 * the roofline, next to nothing. */
static const char config[] =
    "devices = (\n"
    "    { time = \"only\"; launch_overhead = \"5ms\"; },\n"
    "    { time = \"modelled\"; launch_overhead = \"5ms\"; },\n"
    "    { time = \"only\"; launch_overhead = \"5ms\"; computes = \"store\"; },\n"
    "    { time = \"only\"; launch_overhead = \"5ms\"; computes = \"stor\"; }\n"
    ");\n";

static const char ptx[] =
    ".version 6.3\n.target sm_75\n.address_size 64\n"
    ".visible .entry store(.param .u64 to) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<2>; .reg .f32 %f<2>; .reg .pred %p<2>;\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1; mov.u32 %r1, 0;\n"
    "again: fma.rn.f32 %f1, %f1, %f1, %f1; add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 4;\n"
    "  @%p1 bra again; st.global.u32 [%rd2], %r1; ret; }\n";

enum { LAUNCHES = 3 };

static CUfunction store_get(int device)
{
    CUfunction function = NULL;
    CUcontext context = NULL;
    CUmodule module = NULL;

    CHECK_EQ(soft_cuDevicePrimaryCtxRetain(&context, device), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(context), CUDA_SUCCESS);
    CHECK_EQ(soft_cuModuleLoadData(&module, ptx), CUDA_SUCCESS);
    CHECK_EQ(soft_cuModuleGetFunction(&function, module, "store"), CUDA_SUCCESS);
    return function;
}

/* The time between two events around some launches, and the word that they store. */
static float run(int device, uint32_t *word_out)
{
    CUfunction function = store_get(device);
    CUdeviceptr memory = 0;
    CUevent start, end;
    float ms = 0.0f;
    void *params[] = {&memory};

    CHECK_EQ(soft_cuMemAlloc_v2(&memory, sizeof(*word_out)), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemsetD32_v2(memory, 0, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&start, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&end, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventRecord(start, NULL), CUDA_SUCCESS);
    for (int i = 0; i < LAUNCHES; i++)
        CHECK_EQ(soft_cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                 CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventRecord(end, NULL), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventSynchronize(end), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventElapsedTime_v2(&ms, start, end), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemcpyDtoH_v2(word_out, memory, sizeof(*word_out)), CUDA_SUCCESS);
    return ms;
}

static void test_only(void)
{
    static const struct {
        const char *label;
        int device;
        uint32_t word;
    } rows[] = {{"nothing is computed", 0, 0},
                {"but the kernel that is named", 2, 4},
                {"and no other", 3, 0}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        uint32_t word = 99;

        CHECK_CASE("%s", rows[i].label);
        CHECK(run(rows[i].device, &word) >= 5.0f * LAUNCHES);
        CHECK_EQ(word, rows[i].word);
    }
}

/* All is posted behind a gate, so that no launch comes late: what the device tells is what the
 * model says, to the nanosecond, whatever else this machine does; a float of milliseconds rounds
 * it. */
static void test_only_is_exact(void)
{
    enum { MANY = 40 };
    CUfunction function = store_get(0);
    CUdeviceptr gate = 0;
    CUevent start, end;
    CUstream stream;
    float ms = 0.0f;
    void *params[] = {&gate};

    CHECK_EQ(soft_cuMemAlloc_v2(&gate, 4), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemsetD32_v2(gate, 0, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&start, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&end, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamWaitValue32_v2(stream, gate, 1, CU_STREAM_WAIT_VALUE_EQ), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventRecord(start, stream), CUDA_SUCCESS);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(soft_cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
                 CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventRecord(end, stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamWriteValue32_v2(NULL, gate, 1, CU_STREAM_WRITE_VALUE_DEFAULT),
             CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventSynchronize(end), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventElapsedTime_v2(&ms, start, end), CUDA_SUCCESS);
    CHECK(ms > 5.0f * MANY - 0.01f && ms < 5.0f * MANY + 0.01f);
}

static void test_modelled(void)
{
    uint32_t word = 99;
    float ms = run(1, &word);

    CHECK(ms >= 5.0f * LAUNCHES);
    CHECK_EQ(word, 4);
}

static void test_roofline(void)
{
    const struct device_model model = {.peak_flops_f32 = 1000000000000,
                                       .peak_bytes_per_s = 100000000000,
                                       .launch_overhead_ns = 1000};
    static const struct {
        const char *label;
        uint64_t flops, bytes, threads, ns;
    } cases[] = {
        {"nothing to do", 0, 0, 1000, 1000},
        {"arithmetic", 1000, 0, 1000, 1000 + 1000},
        {"traffic", 0, 100, 1000, 1000 + 1000},
        {"both: the longer counts", 1000, 300, 1000, 1000 + 3000},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const struct soft_function function = {.model_flops = cases[i].flops,
                                               .model_bytes = cases[i].bytes};

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(soft_model_duration_ns(&model, &function, cases[i].threads), cases[i].ns);
    }
}

static void test_device_is_busy(void)
{
    enum { DEVICE = 40 };

    CHECK_EQ(soft_model_end_ns(DEVICE, 1000, 50), 1050);
    CHECK_CASE("the next one starts when the first is done");
    CHECK_EQ(soft_model_end_ns(DEVICE, 1010, 50), 1100);
    CHECK_CASE("or when it is ready");
    CHECK_EQ(soft_model_end_ns(DEVICE, 2000, 50), 2050);
}

static void test_estimate(void)
{
    struct soft_function *function;
    CUfunction handle = store_get(1);

    CHECK_EQ(soft_cuFuncLoad(handle), CUDA_SUCCESS);
    CHECK_EQ(soft_function_get(handle, /* context */ NULL, &function), CUDA_SUCCESS);
    CHECK_EQ(function->model_flops, 2 * 16); /* one fma in a loop */
    CHECK_EQ(function->model_bytes, 4);      /* one word behind it */
    soft_function_put(function);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_only),     CHECK_TEST(test_only_is_exact),  CHECK_TEST(test_modelled),
        CHECK_TEST(test_roofline), CHECK_TEST(test_device_is_busy), CHECK_TEST(test_estimate)};

    (void)driver_start(config, NULL);
    return check_run(tests);
}
