/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_init.c - before and at cuInit; names, texts, entry points.
 */
#include "tests/functional/conformance/conformance.h"

static const char *name_of(CUresult error)
{
    const char *name = NULL;

    (void)cu.cuGetErrorName(error, &name);
    return name ? name : "";
}

static void before_init(void)
{
    CUcontext context = KEPT;
    CUdevice device = -7;
    int count = -7;

    ROW("device count before cuInit", cu.cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED,
        count == -7);
    ROW("device before cuInit", cu.cuDeviceGet(&device, 0), CUDA_ERROR_NOT_INITIALIZED,
        device == -7);
    ROW("current context before cuInit", cu.cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED,
        context == KEPT);
    ROW("unknown flags of cuInit", cu.cuInit(1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("version needs no cuInit", cu.cuDriverGetVersion(&count), CUDA_SUCCESS, count >= 11000);
    ROW("version to nowhere", cu.cuDriverGetVersion(NULL), CUDA_ERROR_INVALID_VALUE, true);
}

static void errors(void)
{
    static const struct {
        CUresult error;
        const char *name;
    } names[] = {
        {CUDA_SUCCESS, "CUDA_SUCCESS"},
        {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
        {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
        {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
        {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
        {CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN"},
    };
    const char *text = KEPT;

    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++)
        ROW("name of an error", cu.cuGetErrorString(names[i].error, &text), CUDA_SUCCESS,
            strcmp(name_of(names[i].error), names[i].name) == 0 && text && *text);
    ROW("name of no error", cu.cuGetErrorName((CUresult)77777, &text), CUDA_ERROR_INVALID_VALUE,
        text == NULL);
    ROW("text of no error", cu.cuGetErrorString((CUresult)77777, &text), CUDA_ERROR_INVALID_VALUE,
        text == NULL);
    ROW_CHECKED("name to nowhere", cu.cuGetErrorName(CUDA_SUCCESS, NULL), CUDA_ERROR_INVALID_VALUE,
                true);
}

static void entry_points(void)
{
    CUdriverProcAddressQueryResult found = (CUdriverProcAddressQueryResult)-1;
    void *plain = NULL, *other = NULL;

    ROW("a function", cu.cuGetProcAddress("cuMemAlloc", &plain, 12000, 0, &found), CUDA_SUCCESS,
        plain != NULL && found == CU_GET_PROC_ADDRESS_SUCCESS);
    ROW("per-thread variant",
        cu.cuGetProcAddress("cuMemcpyHtoD", &other, 12000,
                            CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &found),
        CUDA_SUCCESS, other != NULL && other != plain);
    ROW("no such function", cu.cuGetProcAddress("cuNoSuchThing", &other, 12000, 0, &found),
        CUDA_SUCCESS, other == NULL && found == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    ROW("a later function", cu.cuGetProcAddress("cuLaunchKernelEx", &other, 10000, 0, &found),
        CUDA_SUCCESS, other == NULL && found == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    ROW("unknown flags", cu.cuGetProcAddress("cuMemAlloc", &other, 12000, 64, &found),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW_CHECKED("to nowhere", cu.cuGetProcAddress("cuMemAlloc", NULL, 12000, 0, &found),
                CUDA_ERROR_INVALID_VALUE, true);
}

void group_init(void)
{
    CUdevice device = -7;
    CUcontext context = KEPT;
    int count = 0;

    before_init();
    errors();
    ROW("cuInit", cu.cuInit(0), CUDA_SUCCESS, true);
    ROW("cuInit again", cu.cuInit(0), CUDA_SUCCESS, true);
    ROW("device count", cu.cuDeviceGetCount(&count), CUDA_SUCCESS, count >= 1);
    ROW("device beyond the last", cu.cuDeviceGet(&device, count), CUDA_ERROR_INVALID_DEVICE,
        device == -7);
    ROW("negative device", cu.cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE, device == -7);
    ROW("no context is current", cu.cuCtxGetCurrent(&context), CUDA_SUCCESS, context == NULL);
    ROW("the profiler needs a context", cu.cuProfilerStart(), CUDA_ERROR_INVALID_CONTEXT, true);
    entry_points();
}
