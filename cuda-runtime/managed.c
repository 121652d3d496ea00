/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/managed.c - advice, prefetch and range attributes of managed memory.
 *
 * Locations and attribute numbers are the driver's (abi_check.c).
 */
#include "generated/cuda-runtime/crt_impl.h"

static CUmemLocation driver_location(struct cudaMemLocation location)
{
    return (CUmemLocation){.type = (CUmemLocationType)location.type, .id = location.id};
}

cudaError_t crt_cudaMemAdvise(const void *devPtr, size_t count, enum cudaMemoryAdvise advice,
                              struct cudaMemLocation location)
{
    return CRT_DRV(MemAdvise, crt_dptr(devPtr), count, (CUmem_advise)advice,
                   driver_location(location));
}

cudaError_t crt_cudaMemPrefetchAsync(const void *devPtr, size_t count,
                                     struct cudaMemLocation location, unsigned int flags,
                                     cudaStream_t stream)
{
    return CRT_DRV(MemPrefetchAsync, crt_dptr(devPtr), count, driver_location(location), flags,
                   stream);
}

cudaError_t crt_cudaMemPrefetchBatchAsync(void **dptrs, size_t *sizes, size_t count,
                                          struct cudaMemLocation *prefetchLocs,
                                          size_t *prefetchLocIdxs, size_t numPrefetchLocs,
                                          unsigned long long flags, cudaStream_t stream)
{
    return CRT_DRV(MemPrefetchBatchAsync, (CUdeviceptr *)dptrs, sizes, count,
                   (CUmemLocation *)prefetchLocs, prefetchLocIdxs, numPrefetchLocs, flags, stream);
}

cudaError_t crt_cudaMemDiscardBatchAsync(void **dptrs, size_t *sizes, size_t count,
                                         unsigned long long flags, cudaStream_t stream)
{
    return CRT_DRV(MemDiscardBatchAsync, (CUdeviceptr *)dptrs, sizes, count, flags, stream);
}

cudaError_t crt_cudaMemDiscardAndPrefetchBatchAsync(void **dptrs, size_t *sizes, size_t count,
                                                    struct cudaMemLocation *prefetchLocs,
                                                    size_t *prefetchLocIdxs, size_t numPrefetchLocs,
                                                    unsigned long long flags, cudaStream_t stream)
{
    return CRT_DRV(MemDiscardAndPrefetchBatchAsync, (CUdeviceptr *)dptrs, sizes, count,
                   (CUmemLocation *)prefetchLocs, prefetchLocIdxs, numPrefetchLocs, flags, stream);
}

cudaError_t crt_cudaMemRangeGetAttribute(void *data, size_t dataSize,
                                         enum cudaMemRangeAttribute attribute, const void *devPtr,
                                         size_t count)
{
    return CRT_DRV(MemRangeGetAttribute, data, dataSize, (CUmem_range_attribute)attribute,
                   crt_dptr(devPtr), count);
}

cudaError_t crt_cudaMemRangeGetAttributes(void **data, size_t *dataSizes,
                                          enum cudaMemRangeAttribute *attributes,
                                          size_t numAttributes, const void *devPtr, size_t count)
{
    return CRT_DRV(MemRangeGetAttributes, data, dataSizes, (CUmem_range_attribute *)attributes,
                   numAttributes, crt_dptr(devPtr), count);
}
