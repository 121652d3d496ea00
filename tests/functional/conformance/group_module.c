/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_module.c - modules: loading, functions, variables, refusals.
 */
#include <pthread.h>

#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;

/* The beginning of an ELF file: machine code without PTX. */
static const unsigned char elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

static void refusals(void)
{
    char log[512] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof(log)};
    CUjit_option unknown[] = {(CUjit_option)999};
    CUmodule module = KEPT;

    ROW("nothing", cu.cuModuleLoadData(&module, NULL), CUDA_ERROR_INVALID_VALUE, module == KEPT);
    ROW("to nowhere", cu.cuModuleLoadData(NULL, kernels_ptx), CUDA_ERROR_INVALID_VALUE, true);
    ROW("no code at all", cu.cuModuleLoadData(&module, "hello, world"), CUDA_ERROR_INVALID_IMAGE,
        module == KEPT);
    ROW("machine code only", cu.cuModuleLoadData(&module, elf),
        conformance_nvidia ? CUDA_ERROR_INVALID_IMAGE : CUDA_ERROR_NO_BINARY_FOR_GPU,
        module == KEPT);
    ROW("PTX that does not parse",
        cu.cuModuleLoadDataEx(&module,
                              ".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry k( {",
                              2, options, values),
        CUDA_ERROR_INVALID_PTX, module == KEPT && log[0] != '\0');
    ROW("PTX of the future",
        cu.cuModuleLoadData(&module, ".version 99.0\n.target sm_75\n.address_size 64\n"),
        CUDA_ERROR_UNSUPPORTED_PTX_VERSION, module == KEPT);
    ROW("an unknown option", cu.cuModuleLoadDataEx(&module, kernels_ptx, 1, unknown, values),
        CUDA_ERROR_INVALID_VALUE, module == KEPT);
    ROW("no such file", cu.cuModuleLoad(&module, "/nonexistent/file.cubin"),
        CUDA_ERROR_FILE_NOT_FOUND, module == KEPT);
    ROW_CHECKED("no module", cu.cuModuleUnload((CUmodule)(uintptr_t)0x4440),
                CUDA_ERROR_INVALID_HANDLE, true);
}

static void functions(void)
{
    CUfunction function = KEPT, all[64] = {NULL};
    CUmodule module = NULL;
    CUmoduleLoadingMode mode;
    const char *name = NULL;
    size_t offset = 99, size = 99;
    unsigned count = 0;

    ROW("a kernel", cu.cuModuleGetFunction(&function, world.module, "store"), CUDA_SUCCESS,
        function != NULL && function != KEPT);
    ROW("its name", cu.cuFuncGetName(&name, function), CUDA_SUCCESS, strcmp(name, "store") == 0);
    ROW("its module", cu.cuFuncGetModule(&module, function), CUDA_SUCCESS, module == world.module);
    ROW("its first parameter", cu.cuFuncGetParamInfo(function, 0, &offset, &size), CUDA_SUCCESS,
        offset == 0 && size == 8);
    ROW("its second parameter", cu.cuFuncGetParamInfo(function, 1, &offset, &size), CUDA_SUCCESS,
        offset == 8 && size == 4);
    ROW("no third", cu.cuFuncGetParamInfo(function, 2, &offset, &size), CUDA_ERROR_INVALID_VALUE,
        offset == 8 && size == 4);
    function = KEPT;
    ROW("no such kernel", cu.cuModuleGetFunction(&function, world.module, "nothing"),
        CUDA_ERROR_NOT_FOUND, IS_KEPT(function == KEPT));
    ROW("a variable is no kernel", cu.cuModuleGetFunction(&function, world.module, "counter"),
        CUDA_ERROR_NOT_FOUND, IS_KEPT(function == KEPT));
    ROW("how many", cu.cuModuleGetFunctionCount(&count, world.module), CUDA_SUCCESS, count == 13);
    ROW("all of them", cu.cuModuleEnumerateFunctions(all, 64, world.module), CUDA_SUCCESS,
        all[count - 1] != NULL && all[count] == NULL);
    ROW("loading mode", cu.cuModuleGetLoadingMode(&mode), CUDA_SUCCESS,
        mode == CU_MODULE_LAZY_LOADING || mode == CU_MODULE_EAGER_LOADING);
}

static void variables(void)
{
    CUdeviceptr counter = 0, table = 0, pointer = 0, none = 7;
    CUfunction read_table = conformance_kernel(&world, "read_table");
    uint32_t words[4] = {0}, index = 2;
    uint64_t address = 0;
    size_t bytes = 0;
    void *params[] = {&world.memory, &index};

    ROW("a variable", cu.cuModuleGetGlobal(&counter, &bytes, world.module, "counter"), CUDA_SUCCESS,
        counter != 0 && bytes == 4);
    ROW("its first value", cu.cuMemcpyDtoH(words, counter, 4), CUDA_SUCCESS, words[0] == 41);
    ROW("an array of constants", cu.cuModuleGetGlobal(&table, &bytes, world.module, "table"),
        CUDA_SUCCESS, bytes == 16);
    ROW("its values", cu.cuMemcpyDtoH(words, table, 16), CUDA_SUCCESS,
        words[0] == 10 && words[3] == 40);
    ROW("the size alone", cu.cuModuleGetGlobal(NULL, &bytes, world.module, "counter"), CUDA_SUCCESS,
        bytes == 4);
    ROW("an address as first value", cu.cuModuleGetGlobal(&pointer, NULL, world.module, "pointer"),
        CUDA_SUCCESS, cu.cuMemcpyDtoH(&address, pointer, 8) == CUDA_SUCCESS && address == counter);
    words[2] = 33;
    ROW("write a constant", cu.cuMemcpyHtoD(table + 8, &words[2], 4), CUDA_SUCCESS, true);
    ROW("a kernel reads it", cu.cuLaunchKernel(read_table, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
        CUDA_SUCCESS, conformance_read(world.memory) == 33);
    ROW("no such variable", cu.cuModuleGetGlobal(&none, &bytes, world.module, "nothing"),
        CUDA_ERROR_NOT_FOUND, IS_KEPT(none == 7));
    ROW("a kernel is no variable", cu.cuModuleGetGlobal(&none, &bytes, world.module, "store"),
        conformance_nvidia ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_FOUND, IS_KEPT(none == 7));
}

/* Two loads of the same code share nothing; unloading ends the handles. */
static void instances(void)
{
    CUdeviceptr first = 0, second = 0;
    CUmodule module = NULL;
    CUfunction function = NULL;
    size_t free_before = 0, free_after = 0, total;

    ROW("free memory", cu.cuMemGetInfo(&free_before, &total), CUDA_SUCCESS, true);
    ROW("load again", cu.cuModuleLoadData(&module, kernels_ptx), CUDA_SUCCESS,
        module != world.module);
    ROW("its variable", cu.cuModuleGetGlobal(&second, NULL, module, "counter"), CUDA_SUCCESS,
        cu.cuModuleGetGlobal(&first, NULL, world.module, "counter") == CUDA_SUCCESS &&
            first != second);
    ROW("its kernel", cu.cuModuleGetFunction(&function, module, "empty"), CUDA_SUCCESS, true);
    ROW("unload", cu.cuModuleUnload(module), CUDA_SUCCESS, true);
    ROW_CHECKED("unload again", cu.cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE, true);
    ROW_CHECKED("its kernel is gone",
                cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
                CUDA_ERROR_INVALID_HANDLE, true);
    ROW("its memory came back", cu.cuMemGetInfo(&free_after, &total), CUDA_SUCCESS,
        conformance_nvidia || free_after == free_before); /* NVIDIA's keeps it for later */
}

/* A driver that compiles at load refuses the module; one that compiles late, the kernel. */
static void bad_kernel(void)
{
    CUmodule module = NULL;
    CUfunction good, bad;

    if (cu.cuModuleLoadData(&module, kernels_bad_ptx) != CUDA_SUCCESS)
        return;
    ROW("the good one", cu.cuModuleGetFunction(&good, module, "good"), CUDA_SUCCESS, true);
    ROW("the bad one", cu.cuModuleGetFunction(&bad, module, "bad"), CUDA_SUCCESS, true);
    ROW("launch the bad one", cu.cuLaunchKernel(bad, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
        CUDA_ERROR_INVALID_PTX, true);
    ROW("launch the good one", cu.cuLaunchKernel(good, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
        CUDA_SUCCESS, cu.cuCtxSynchronize() == CUDA_SUCCESS);
    ROW("unload", cu.cuModuleUnload(module), CUDA_SUCCESS, true);
}

/* Loads, asks for the variable and unloads. A module that goes leaves its place to the next one,
 * whichever thread loads that. */
static void *load_often(void *arg)
{
    CUresult *result = arg;

    *result = cu.cuCtxSetCurrent(world.context);
    for (int i = 0; i < 400 && *result == CUDA_SUCCESS; i++) {
        CUmodule module = NULL;
        CUdeviceptr address = 0;
        size_t bytes = 0;

        *result = cu.cuModuleLoadData(&module, kernels_ptx);
        if (*result == CUDA_SUCCESS)
            *result = cu.cuModuleGetGlobal(&address, &bytes, module, "counter");
        if (*result == CUDA_SUCCESS)
            *result = cu.cuModuleUnload(module);
    }
    return NULL;
}

static void several_threads(void)
{
    CUresult results[4];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, load_often, &results[i]) != 0)
            abort();
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        ROW("a thread that loads and unloads beside others", results[i], CUDA_SUCCESS, true);
    }
}

void group_module(void)
{
    conformance_world_open(&world);
    refusals();
    functions();
    variables();
    instances();
    several_threads();
    bad_kernel();
}
