/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/check.c - the way of every byte once: allocate, copy, compute, read back.
 *
 * The kernel inverts and adds its place, so that memory which keeps what was written, or gives back
 * zeros, does not look right.
 */
#include "cuda-server/check.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "cuda-server/driver.h"

enum { CHECK_WORDS = 64 * 1024, CHECK_THREADS = 256 };

static const uint32_t pattern = 0x5a17c0deu;

static const char kernel_text[] = ".version 6.0\n"
                                  ".target sm_50\n"
                                  ".address_size 64\n"
                                  ".visible .entry gpu_worker_check(.param .u64 words)\n"
                                  "{\n"
                                  "    .reg .b32 %r<6>;\n"
                                  "    .reg .b64 %rd<5>;\n"
                                  "    ld.param.u64 %rd1, [words];\n"
                                  "    cvta.to.global.u64 %rd2, %rd1;\n"
                                  "    mov.u32 %r1, %ctaid.x;\n"
                                  "    mov.u32 %r2, %ntid.x;\n"
                                  "    mov.u32 %r3, %tid.x;\n"
                                  "    mad.lo.s32 %r4, %r1, %r2, %r3;\n"
                                  "    mul.wide.u32 %rd3, %r4, 4;\n"
                                  "    add.s64 %rd4, %rd2, %rd3;\n"
                                  "    ld.global.u32 %r5, [%rd4];\n"
                                  "    not.b32 %r5, %r5;\n"
                                  "    add.u32 %r5, %r5, %r4;\n"
                                  "    st.global.u32 [%rd4], %r5;\n"
                                  "    ret;\n"
                                  "}\n";

/* What is to be given back, in the order in which it was taken. */
struct check {
    const struct cudas_driver *cu;
    CUdevice device;
    bool has_context, has_memory, is_reserved, is_mapped;
    CUmemGenericAllocationHandle memory;
    CUdeviceptr address;
    size_t bytes;
    CUmodule module;
    uint32_t *words;
};

static enum fab_status failed(CUresult result, const char *what, struct fab_err *err)
{
    return fab_err_foreign(err, FAB_ERR_DEVICE, "cuda", (int)result, "%s failed: code %d", what,
                           (int)result);
}

static CUresult map_memory(struct check *check)
{
    const CUmemAllocationProp properties = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = check->device}};
    const CUmemAccessDesc access = {.location = properties.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUresult result;

    check->bytes = (size_t)2 << 20; /* the granularity of every device that we know */
    result = check->cu->cuMemCreate(&check->memory, check->bytes, &properties, 0);
    check->has_memory = result == CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        result = check->cu->cuMemAddressReserve(&check->address, check->bytes, 0, 0, 0);
    check->is_reserved = result == CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        result = check->cu->cuMemMap(check->address, check->bytes, 0, check->memory, 0);
    check->is_mapped = result == CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        result = check->cu->cuMemSetAccess(check->address, check->bytes, &access, 1);
    return result;
}

static CUresult run_kernel(struct check *check)
{
    void *parameters[] = {&check->address};
    CUfunction function;
    CUresult result = check->cu->cuModuleLoadDataEx(&check->module, kernel_text, 0, NULL, NULL);

    if (result == CUDA_SUCCESS)
        result = check->cu->cuModuleGetFunction(&function, check->module, "gpu_worker_check");
    if (result == CUDA_SUCCESS)
        result = check->cu->cuLaunchKernel(function, CHECK_WORDS / CHECK_THREADS, 1, 1,
                                           CHECK_THREADS, 1, 1, 0, NULL, parameters, NULL);
    if (result == CUDA_SUCCESS)
        result = check->cu->cuStreamSynchronize(NULL);
    return result;
}

static CUresult copy_in(struct check *check)
{
    CUresult result;

    for (uint32_t i = 0; i < CHECK_WORDS; i++)
        check->words[i] = pattern ^ i;
    result = check->cu->cuMemcpyHtoDAsync_v2(check->address, check->words,
                                             CHECK_WORDS * sizeof(uint32_t), NULL);
    return result == CUDA_SUCCESS ? check->cu->cuStreamSynchronize(NULL) : result;
}

static CUresult copy_out(struct check *check)
{
    CUresult result;

    for (uint32_t i = 0; i < CHECK_WORDS; i++)
        check->words[i] = 0;
    result = check->cu->cuMemcpyDtoHAsync_v2(check->words, check->address,
                                             CHECK_WORDS * sizeof(uint32_t), NULL);
    return result == CUDA_SUCCESS ? check->cu->cuStreamSynchronize(NULL) : result;
}

static CUresult enter(struct check *check)
{
    CUcontext context;
    CUresult result = check->cu->cuDevicePrimaryCtxRetain(&context, check->device);

    check->has_context = result == CUDA_SUCCESS;
    return result == CUDA_SUCCESS ? check->cu->cuCtxSetCurrent(context) : result;
}

static enum fab_status compare(const struct check *check, struct fab_err *err)
{
    for (uint32_t i = 0; i < CHECK_WORDS; i++) {
        const uint32_t wanted = ~(pattern ^ i) + i;

        if (check->words[i] != wanted)
            return fab_err_set(err, FAB_ERR_DEVICE, "word %u of %d came back as 0x%08x, not 0x%08x",
                               i, CHECK_WORDS, check->words[i], wanted);
    }
    return FAB_OK;
}

/* Results are of no interest: what matters was read before, and a device that is broken keeps it.
 */
static void leave(struct check *check)
{
    const struct cudas_driver *cu = check->cu;

    if (check->module)
        (void)cu->cuModuleUnload(check->module);
    if (check->is_mapped)
        (void)cu->cuMemUnmap(check->address, check->bytes);
    if (check->is_reserved)
        (void)cu->cuMemAddressFree(check->address, check->bytes);
    if (check->has_memory)
        (void)cu->cuMemRelease(check->memory);
    if (check->has_context)
        (void)cu->cuDevicePrimaryCtxRelease_v2(check->device);
    free(check->words);
}

enum fab_status cudas_check_device(const struct cudas_driver *driver, int device,
                                   struct fab_err *err)
{
    static const struct {
        const char *what;
        CUresult (*run)(struct check *check);
    } steps[] = {{"making a context", enter},
                 {"taking memory", map_memory},
                 {"copying to the device", copy_in},
                 {"running a kernel", run_kernel},
                 {"copying from the device", copy_out}};
    struct check check = {.cu = driver, .words = fab_alloc(CHECK_WORDS * sizeof(uint32_t))};
    enum fab_status status =
        check.words ? FAB_OK : fab_err_set(err, FAB_ERR_NOMEM, "checking a device");
    CUresult result = driver->cuInit(0);

    if (status == FAB_OK && result != CUDA_SUCCESS)
        status = failed(result, "starting the driver", err);
    if (status == FAB_OK && (result = driver->cuDeviceGet(&check.device, device)) != CUDA_SUCCESS)
        status = failed(result, "finding the device", err);
    for (size_t i = 0; status == FAB_OK && i < FAB_ARRAY_LEN(steps); i++) {
        result = steps[i].run(&check);
        if (result != CUDA_SUCCESS)
            status = failed(result, steps[i].what, err);
    }
    if (status == FAB_OK)
        status = compare(&check, err);
    leave(&check);
    return status;
}
