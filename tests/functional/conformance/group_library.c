/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_library.c - libraries: code without a context, kernels where
 * functions are accepted.
 */
#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;

static CUlibrary library_load(void)
{
    CUlibrary library = NULL;

    ROW("load", cu.cuLibraryLoadData(&library, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0),
        CUDA_SUCCESS, library != NULL);
    return library;
}

static void refusals(void)
{
    CUlibraryOption unknown[] = {(CUlibraryOption)99};
    void *values[] = {NULL};
    CUlibrary library = KEPT;

    ROW("nothing", cu.cuLibraryLoadData(&library, NULL, NULL, NULL, 0, NULL, NULL, 0),
        CUDA_ERROR_INVALID_VALUE, library == KEPT);
    ROW("no code", cu.cuLibraryLoadData(&library, "hello", NULL, NULL, 0, NULL, NULL, 0),
        conformance_nvidia ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE,
        conformance_nvidia || library == KEPT); /* NVIDIA's looks when it is used */
    library = KEPT;
    ROW("an unknown option",
        cu.cuLibraryLoadData(&library, kernels_ptx, NULL, NULL, 0, unknown, values, 1),
        CUDA_ERROR_INVALID_VALUE, library == KEPT);
    ROW_CHECKED("no library", cu.cuLibraryUnload((CUlibrary)(uintptr_t)0x3330),
                CUDA_ERROR_INVALID_HANDLE, true);
}

static void kernels(CUlibrary library)
{
    CUkernel kernel = KEPT, all[64] = {NULL};
    CUlibrary of = NULL;
    CUfunction function = NULL;
    const char *name = NULL;
    uint32_t value = 1234;
    void *params[] = {&world.memory, &value};
    size_t offset = 9, size = 9;
    unsigned count = 0;

    ROW("no such kernel", cu.cuLibraryGetKernel(&kernel, library, "nothing"), CUDA_ERROR_NOT_FOUND,
        kernel == KEPT);
    ROW("a kernel", cu.cuLibraryGetKernel(&kernel, library, "store"), CUDA_SUCCESS, kernel != KEPT);
    ROW("its name", cu.cuKernelGetName(&name, kernel), CUDA_SUCCESS, strcmp(name, "store") == 0);
    ROW("its library", cu.cuKernelGetLibrary(&of, kernel), CUDA_SUCCESS, of == library);
    ROW("its second parameter", cu.cuKernelGetParamInfo(kernel, 1, &offset, &size), CUDA_SUCCESS,
        offset == 8 && size == 4);
    ROW("no third", cu.cuKernelGetParamInfo(kernel, 2, &offset, &size), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("how many", cu.cuLibraryGetKernelCount(&count, library), CUDA_SUCCESS, count == 13);
    ROW("all of them", cu.cuLibraryEnumerateKernels(all, 64, library), CUDA_SUCCESS,
        all[count - 1] != NULL && all[count] == NULL);
    ROW("launch it as it is",
        cu.cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
        CUDA_SUCCESS, conformance_read(world.memory) == 1234);
    value = 4321;
    ROW("its function here", cu.cuKernelGetFunction(&function, kernel), CUDA_SUCCESS,
        function != NULL);
    ROW("launch that", cu.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
        CUDA_SUCCESS, conformance_read(world.memory) == 4321);
}

static void attributes(CUlibrary library)
{
    CUkernel kernel = NULL;
    CUfunction function = NULL;
    int value = -7;

    ROW("a kernel", cu.cuLibraryGetKernel(&kernel, library, "dynamic"), CUDA_SUCCESS, true);
    ROW("most threads",
        cu.cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel,
                                world.device),
        CUDA_SUCCESS, value == 1024);
    ROW("of no device", cu.cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, kernel, 999),
        CUDA_ERROR_INVALID_DEVICE, value == 1024);
    ROW("no such attribute",
        cu.cuKernelGetAttribute(&value, (CUfunction_attribute)99, kernel, world.device),
        CUDA_ERROR_INVALID_VALUE, value == 1024);
    ROW("more dynamic memory",
        cu.cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60 << 10, kernel,
                                world.device),
        CUDA_SUCCESS, true);
    ROW("is there",
        cu.cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, kernel,
                                world.device),
        CUDA_SUCCESS, value == 60 << 10);
    ROW("its function", cu.cuKernelGetFunction(&function, kernel), CUDA_SUCCESS, true);
    ROW("has it, too",
        cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function),
        CUDA_SUCCESS, value == 60 << 10);
}

/* Each context has its own variables. */
static void contexts(CUlibrary library)
{
    CUdeviceptr here = 0, there = 0;
    CUmodule module = NULL;
    CUcontext other = NULL;
    uint32_t word = 99;

    ROW("a variable here", cu.cuLibraryGetGlobal(&here, NULL, library, "counter"), CUDA_SUCCESS,
        cu.cuMemcpyHtoD(here, &word, 4) == CUDA_SUCCESS);
    ROW("the module here", cu.cuLibraryGetModule(&module, library), CUDA_SUCCESS, module != NULL);
    ROW("another context", cu.cuCtxCreate(&other, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW("the variable there", cu.cuLibraryGetGlobal(&there, NULL, library, "counter"), CUDA_SUCCESS,
        there != here);
    ROW("its first value", cu.cuMemcpyDtoH(&word, there, 4), CUDA_SUCCESS, word == 41);
    ROW("destroy it", cu.cuCtxDestroy(other), CUDA_SUCCESS, true);
    ROW("no such variable", cu.cuLibraryGetGlobal(&here, NULL, library, "nothing"),
        CUDA_ERROR_NOT_FOUND, true);
}

/* A kernel belongs to no context: it runs in the stream's. */
static void streams(CUlibrary library)
{
    CUkernel kernel = NULL;
    CUcontext other = NULL;
    CUdeviceptr memory = 0;
    CUstream stream = NULL;
    uint32_t value = 616, got = 0;
    void *params[] = {&memory, &value};

    ROW("a kernel", cu.cuLibraryGetKernel(&kernel, library, "store"), CUDA_SUCCESS, true);
    ROW("another context", cu.cuCtxCreate(&other, NULL, 0, world.device), CUDA_SUCCESS, true);
    ROW("its memory", cu.cuMemAlloc(&memory, 4), CUDA_SUCCESS, true);
    ROW("its stream", cu.cuStreamCreate(&stream, 0), CUDA_SUCCESS, true);
    ROW("back here", cu.cuCtxSetCurrent(world.context), CUDA_SUCCESS, true);
    ROW("launch there",
        cu.cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
        CUDA_SUCCESS, cu.cuStreamSynchronize(stream) == CUDA_SUCCESS);
    ROW("its result", cu.cuMemcpyDtoH(&got, memory, 4), CUDA_SUCCESS, got == 616);
    ROW("destroy", cu.cuCtxDestroy(other), CUDA_SUCCESS, true);
}

void group_library(void)
{
    CUlibrary library;
    CUkernel kernel = NULL;

    conformance_world_open(&world);
    refusals();
    library = library_load();
    kernels(library);
    attributes(library);
    contexts(library);
    streams(library);
    ROW("a kernel", cu.cuLibraryGetKernel(&kernel, library, "empty"), CUDA_SUCCESS, true);
    ROW("unload", cu.cuLibraryUnload(library), CUDA_SUCCESS, true);
    ROW_CHECKED("unload again", cu.cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE, true);
    ROW_CHECKED("its kernel is gone",
                cu.cuLaunchKernel((CUfunction)kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL),
                CUDA_ERROR_INVALID_HANDLE, true);
}
