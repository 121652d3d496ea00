/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/clear.c - between two tenants: takes all memory of a device and sets it to zero.
 *
 * CUDA promises nothing of what new memory holds, nor of local memory and stacks, so it is not left
 * to drivers: everything that can be taken is held at once and set, then given back.
 */
#include "cuda-server/clear.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/vec.h"
#include "cuda-server/driver.h"

/* From large to small, until not even the smallest can be taken: the granularity of every device
 * that we know. */
static const size_t largest_bytes = (size_t)256 << 20, smallest_bytes = (size_t)2 << 20;

struct piece {
    CUmemGenericAllocationHandle memory;
    CUdeviceptr address;
    size_t bytes;
    bool is_reserved, is_mapped;
};

struct clear {
    const struct cudas_driver *cu;
    CUdevice device;
    bool has_context;
    struct fab_vec pieces; /* of struct piece */
};

static enum fab_status failed(CUresult result, const char *what, struct fab_err *err)
{
    return fab_err_foreign(err, FAB_ERR_DEVICE, "cuda", (int)result, "%s failed: code %d", what,
                           (int)result);
}

static CUresult enter(struct clear *clear)
{
    CUcontext context;
    CUresult result = clear->cu->cuDevicePrimaryCtxRetain(&context, clear->device);

    clear->has_context = result == CUDA_SUCCESS;
    return result == CUDA_SUCCESS ? clear->cu->cuCtxSetCurrent(context) : result;
}

static CUresult map_and_set(const struct clear *clear, struct piece *piece,
                            const CUmemAccessDesc *access)
{
    const struct cudas_driver *cu = clear->cu;
    CUresult result = cu->cuMemAddressReserve(&piece->address, piece->bytes, 0, 0, 0);

    piece->is_reserved = result == CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        result = cu->cuMemMap(piece->address, piece->bytes, 0, piece->memory, 0);
    piece->is_mapped = result == CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        result = cu->cuMemSetAccess(piece->address, piece->bytes, access, 1);
    return result == CUDA_SUCCESS ? cu->cuMemsetD8Async(piece->address, 0, piece->bytes, NULL)
                                  : result;
}

/* CUDA_ERROR_OUT_OF_MEMORY: no piece of that size is left. */
static CUresult take(struct clear *clear, size_t bytes)
{
    const CUmemAllocationProp properties = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = clear->device}};
    const CUmemAccessDesc access = {.location = properties.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    struct piece piece = {.bytes = bytes}, *kept;
    CUresult result = clear->cu->cuMemCreate(&piece.memory, bytes, &properties, 0);

    if (result != CUDA_SUCCESS)
        return result;
    kept = fab_vec_add(&clear->pieces);
    if (!kept) {
        (void)clear->cu->cuMemRelease(piece.memory);
        return CUDA_ERROR_UNKNOWN; /* no host memory: not the device's end */
    }
    *kept = piece;
    return map_and_set(clear, kept, &access);
}

static enum fab_status take_all(struct clear *clear, struct fab_err *err)
{
    size_t bytes = largest_bytes, free_bytes = 0, total_bytes = 0;
    CUresult result;

    while (bytes >= smallest_bytes) {
        result = take(clear, bytes);
        if (result == CUDA_ERROR_OUT_OF_MEMORY)
            bytes /= 2;
        else if (result != CUDA_SUCCESS)
            return failed(result, "taking and setting memory", err);
    }
    result = clear->cu->cuMemGetInfo_v2(&free_bytes, &total_bytes);
    if (result != CUDA_SUCCESS)
        return failed(result, "asking for what is left", err);
    if (clear->pieces.count == 0 && free_bytes >= smallest_bytes)
        return fab_err_set(err, FAB_ERR_DEVICE,
                           "no memory could be taken, although %zu MiB are free", free_bytes >> 20);
    return FAB_OK;
}

/* Results are of no interest: a device that is broken was told of before. */
static void leave(struct clear *clear)
{
    const struct cudas_driver *cu = clear->cu;

    if (clear->has_context)
        (void)cu->cuCtxSynchronize(); /* after a failure: nothing may be written still */
    for (size_t i = 0; i < clear->pieces.count; i++) {
        const struct piece *piece = fab_vec_at(&clear->pieces, struct piece, i);

        if (piece->is_mapped)
            (void)cu->cuMemUnmap(piece->address, piece->bytes);
        if (piece->is_reserved)
            (void)cu->cuMemAddressFree(piece->address, piece->bytes);
        (void)cu->cuMemRelease(piece->memory);
    }
    fab_vec_fini(&clear->pieces);
    if (clear->has_context)
        (void)cu->cuDevicePrimaryCtxRelease_v2(clear->device);
}

enum fab_status cudas_clear_device(const struct cudas_driver *driver, int device,
                                   struct fab_err *err)
{
    struct clear clear = {.cu = driver};
    enum fab_status status = FAB_OK;
    CUresult result = driver->cuInit(0);

    fab_vec_init(&clear.pieces, sizeof(struct piece));
    if (result != CUDA_SUCCESS)
        status = failed(result, "starting the driver", err);
    if (status == FAB_OK && (result = driver->cuDeviceGet(&clear.device, device)) != CUDA_SUCCESS)
        status = failed(result, "finding the device", err);
    if (status == FAB_OK && (result = enter(&clear)) != CUDA_SUCCESS)
        status = failed(result, "making a context", err);
    if (status == FAB_OK)
        status = take_all(&clear, err);
    if (status == FAB_OK && (result = driver->cuStreamSynchronize(NULL)) != CUDA_SUCCESS)
        status = failed(result, "setting memory", err);
    leave(&clear);
    return status;
}
