/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_module.c - what loading does to variables: places, first values, addresses
 * in them, managed ones, constants, contexts; logs; settings of kernels per device.
 */
#include "tests/unit/driver/driver.h"

#include <string.h>

static const char ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .func (.param .b32 out) helper(.param .b32 in) {\n"
    "  .reg .b32 %r<2>; ld.param.b32 %r1, [in]; st.param.b32 [out], %r1; ret; }\n"
    ".visible .global .align 1 .b8 bytes[5] = {1, 2, 3};\n"
    ".visible .global .align 128 .u32 aligned = 7;\n"
    ".visible .global .align 8 .u64 pointers[3] = {aligned, bytes+2, helper};\n"
    ".visible .global .align 4 .u32 zeroed[4];\n"
    ".visible .const .align 8 .f64 constant = 0d3FF8000000000000;\n"
    ".visible .global .attribute(.managed) .align 4 .u32 shared_word = 5;\n"
    ".extern .global .align 4 .u32 elsewhere;\n"
    ".visible .entry read(.param .u64 to) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<3>;\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1;\n"
    "  ld.global.u32 %r1, [shared_word]; add.u32 %r2, %r1, 1;\n"
    "  st.global.u32 [shared_word], %r2; st.global.u32 [%rd2], %r1; ret; }\n"
    ".visible .entry unresolved(.param .u64 to) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<3>;\n"
    "  ld.global.u32 %r1, [elsewhere]; ret; }\n";

static CUmodule module_load(void)
{
    CUmodule module = NULL;

    CHECK_EQ(soft_cuModuleLoadData(&module, ptx), CUDA_SUCCESS);
    return module;
}

static CUdeviceptr address_of(CUmodule module, const char *name, size_t bytes)
{
    CUdeviceptr address = 0;
    size_t got = 0;

    CHECK_CASE("%s", name);
    CHECK_EQ(soft_cuModuleGetGlobal_v2(&address, &got, module, name), CUDA_SUCCESS);
    CHECK_EQ(got, bytes);
    return address;
}

static void test_first_values(void)
{
    static const uint8_t three[5] = {1, 2, 3, 0, 0};
    CUmodule module = module_load();
    CUdeviceptr bytes = address_of(module, "bytes", 5);
    CUdeviceptr aligned = address_of(module, "aligned", 4);
    CUdeviceptr pointers = address_of(module, "pointers", 24);
    CUdeviceptr zeroed = address_of(module, "zeroed", 16);
    CUdeviceptr constant = address_of(module, "constant", 8);
    uint64_t got[3] = {0};
    uint32_t words[4] = {1, 1, 1, 1};
    uint8_t small[5];
    double value = 0;

    CHECK_EQ(soft_cuMemcpyDtoH_v2(small, bytes, sizeof(small)), CUDA_SUCCESS);
    CHECK_MEM(small, three, sizeof(small));
    CHECK_EQ(aligned % 128, 0);
    CHECK_EQ(soft_cuMemcpyDtoH_v2(got, pointers, sizeof(got)), CUDA_SUCCESS);
    CHECK_EQ(got[0], aligned);
    CHECK_EQ(got[1], bytes + 2);
    CHECK_CASE("a function's address is a number that no memory has");
    CHECK(got[2] != 0);
    CHECK_EQ(soft_cuMemcpyDtoH_v2(small, got[2], 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(soft_cuMemcpyDtoH_v2(words, zeroed, sizeof(words)), CUDA_SUCCESS);
    CHECK(words[0] == 0 && words[3] == 0);
    CHECK_EQ(soft_cuMemcpyDtoH_v2(&value, constant, sizeof(value)), CUDA_SUCCESS);
    CHECK(value == 1.5);
    CHECK_CASE("declared only");
    CHECK_EQ(soft_cuModuleGetGlobal_v2(&bytes, NULL, module, "elsewhere"), CUDA_ERROR_NOT_FOUND);
    CHECK_EQ(soft_cuModuleUnload(module), CUDA_SUCCESS);
}

/* The host and a kernel see one word, without a copy. */
static void test_managed(void)
{
    CUmodule module = module_load();
    volatile uint32_t *word = driver_pointer(address_of(module, "shared_word", 4));
    CUdeviceptr to = 0;
    CUfunction read = NULL;
    uint32_t got = 0;
    void *params[] = {&to};

    CHECK_EQ(*word, 5);
    *word = 40;
    CHECK_EQ(soft_cuMemAlloc_v2(&to, 4), CUDA_SUCCESS);
    CHECK_EQ(soft_cuModuleGetFunction(&read, module, "read"), CUDA_SUCCESS);
    CHECK_EQ(soft_cuLaunchKernel(read, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemcpyDtoH_v2(&got, to, 4), CUDA_SUCCESS);
    CHECK_EQ(got, 40);
    CHECK_EQ(*word, 41);
    CHECK_EQ(soft_cuMemFree_v2(to), CUDA_SUCCESS);
    CHECK_EQ(soft_cuModuleUnload(module), CUDA_SUCCESS);
}

static void test_unresolved(void)
{
    CUmodule module = module_load();
    CUfunction function = NULL;
    void *params[] = {&module};

    CHECK_EQ(soft_cuModuleGetFunction(&function, module, "unresolved"), CUDA_SUCCESS);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(soft_cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                 CUDA_ERROR_INVALID_PTX);
    CHECK_EQ(soft_cuModuleUnload(module), CUDA_SUCCESS);
}

/* The same calls give the same addresses and handles. */
static void test_deterministic(void)
{
    CUmodule first = module_load(), second;
    CUdeviceptr before = address_of(first, "aligned", 4);

    CHECK_EQ(soft_cuModuleUnload(first), CUDA_SUCCESS);
    second = module_load();
    CHECK_EQ(address_of(second, "aligned", 4), before);
    CHECK_EQ(soft_cuModuleUnload(second), CUDA_SUCCESS);
}

static void test_log(void)
{
    static const struct {
        const char *label;
        size_t bytes;
    } cases[] = {{"whole", 200}, {"cut", 12}, {"no room", 0}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        char log[200] = "untouched";
        CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
        void *values[] = {log, (void *)(uintptr_t)cases[i].bytes};
        CUmodule module = NULL;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(soft_cuModuleLoadDataEx(&module,
                                         ".version 7.0\n.target sm_75\n.address_size 64\n"
                                         ".visible .entry k(.param .u64 x) {\n",
                                         2, options, values),
                 CUDA_ERROR_INVALID_PTX);
        if (cases[i].bytes == 0) {
            CHECK_STR(log, "untouched");
            CHECK_EQ((uintptr_t)values[1], 0);
            continue;
        }
        CHECK_EQ(strlen(log) + 1, (uintptr_t)values[1]);
        CHECK(strlen(log) < cases[i].bytes);
        CHECK_HAS(log, "ptx error");
    }
}

/* A setting belongs to a kernel on one device, whether its code is in a context there or not yet.
 */
static void test_settings_per_device(void)
{
    const CUfunction_attribute dynamic = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    CUlibrary library = NULL;
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    CUcontext other = NULL;
    int value = 0;

    CHECK_EQ(soft_cuLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuLibraryGetKernel(&kernel, library, "read"), CUDA_SUCCESS);
    CHECK_EQ(soft_cuKernelSetAttribute(dynamic, 50 << 10, kernel, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuKernelGetAttribute(&value, dynamic, kernel, 0), CUDA_SUCCESS);
    CHECK_EQ(value, 48 << 10);
    CHECK_EQ(soft_cuCtxCreate_v2(&other, 0, 1), CUDA_SUCCESS);
    CHECK_EQ(soft_cuKernelGetFunction(&function, kernel), CUDA_SUCCESS);
    CHECK_EQ(soft_cuFuncGetAttribute(&value, dynamic, function), CUDA_SUCCESS);
    CHECK_EQ(value, 50 << 10);
    CHECK_EQ(soft_cuCtxDestroy_v2(other), CUDA_SUCCESS);
    CHECK_CASE("the function went with its context");
    CHECK_EQ(soft_cuFuncGetAttribute(&value, dynamic, function), CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(soft_cuLibraryUnload(library), CUDA_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_first_values), CHECK_TEST(test_managed),
        CHECK_TEST(test_unresolved),   CHECK_TEST(test_deterministic),
        CHECK_TEST(test_log),          CHECK_TEST(test_settings_per_device)};

    (void)driver_start(NULL, "2");
    return check_run(tests);
}
