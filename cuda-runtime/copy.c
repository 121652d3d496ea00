/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/copy.c - copies and sets, 1D to 3D, between devices, in batches.
 *
 * A kind says which side is where; the kinds "default" and "host to host" go by the address, which
 * the driver knows. Arrays are not here yet and are refused.
 */
#include "generated/cuda-runtime/crt_impl.h"

/* What every copy checks first. `*done_out` is set for a copy of nothing. */
static cudaError_t check(const void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind,
                         bool *done_out)
{
    *done_out = false;
    if ((unsigned)kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    if (bytes == 0) {
        *done_out = true;
        return cudaSuccess;
    }
    return dst && src ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t crt_copy(bool per_thread, void *dst, const void *src, size_t count,
                     enum cudaMemcpyKind kind)
{
    bool done;
    cudaError_t status = check(dst, src, count, kind, &done);

    if (status != cudaSuccess || done)
        return status;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return CRT_DRV_ON(per_thread, MemcpyHtoD, crt_dptr(dst), src, count);
    case cudaMemcpyDeviceToHost:
        return CRT_DRV_ON(per_thread, MemcpyDtoH, dst, crt_dptr(src), count);
    case cudaMemcpyDeviceToDevice:
        return CRT_DRV_ON(per_thread, MemcpyDtoD, crt_dptr(dst), crt_dptr(src), count);
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
        break;
    }
    return CRT_DRV_ON(per_thread, Memcpy, crt_dptr(dst), crt_dptr(src), count);
}

cudaError_t crt_copy_async(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
                           cudaStream_t stream)
{
    bool done;
    cudaError_t status = check(dst, src, count, kind, &done);

    if (status != cudaSuccess || done)
        return status;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return CRT_DRV(MemcpyHtoDAsync, crt_dptr(dst), src, count, stream);
    case cudaMemcpyDeviceToHost:
        return CRT_DRV(MemcpyDtoHAsync, dst, crt_dptr(src), count, stream);
    case cudaMemcpyDeviceToDevice:
        return CRT_DRV(MemcpyDtoDAsync, crt_dptr(dst), crt_dptr(src), count, stream);
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
        break;
    }
    return CRT_DRV(MemcpyAsync, crt_dptr(dst), crt_dptr(src), count, stream);
}

cudaError_t crt_cudaMemcpy(bool per_thread, void *dst, const void *src, size_t count,
                           enum cudaMemcpyKind kind)
{
    return crt_copy(per_thread, dst, src, count, kind);
}

cudaError_t crt_cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
                                cudaStream_t stream)
{
    return crt_copy_async(dst, src, count, kind, stream);
}

/* Where the source and the destination of a kind are. */
static CUmemorytype source_type(enum cudaMemcpyKind kind)
{
    if (kind == cudaMemcpyDefault)
        return CU_MEMORYTYPE_UNIFIED;
    return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ? CU_MEMORYTYPE_DEVICE
                                                                              : CU_MEMORYTYPE_HOST;
}

static CUmemorytype destination_type(enum cudaMemcpyKind kind)
{
    if (kind == cudaMemcpyDefault)
        return CU_MEMORYTYPE_UNIFIED;
    return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ? CU_MEMORYTYPE_DEVICE
                                                                              : CU_MEMORYTYPE_HOST;
}

/* Of the two fields for an address, the one that the memory type makes the driver read. */
static CUdeviceptr device_side(CUmemorytype type, const void *pointer)
{
    return type == CU_MEMORYTYPE_HOST ? 0 : crt_dptr(pointer);
}

static const void *host_side(CUmemorytype type, const void *pointer)
{
    return type == CU_MEMORYTYPE_HOST ? pointer : NULL;
}

static CUDA_MEMCPY2D describe_2d(void *dst, size_t dpitch, const void *src, size_t spitch,
                                 size_t width, size_t height, enum cudaMemcpyKind kind)
{
    CUmemorytype from = source_type(kind), to = destination_type(kind);

    return (CUDA_MEMCPY2D){
        .srcMemoryType = from,
        .srcHost = host_side(from, src),
        .srcDevice = device_side(from, src),
        .srcPitch = spitch,
        .dstMemoryType = to,
        .dstHost = to == CU_MEMORYTYPE_HOST ? dst : NULL,
        .dstDevice = device_side(to, dst),
        .dstPitch = dpitch,
        .WidthInBytes = width,
        .Height = height,
    };
}

static cudaError_t check_2d(const void *dst, size_t dpitch, const void *src, size_t spitch,
                            size_t width, size_t height, enum cudaMemcpyKind kind, bool *done_out)
{
    cudaError_t status = check(dst, src, width && height, kind, done_out);

    if (status == cudaSuccess && !*done_out && (width > dpitch || width > spitch))
        return cudaErrorInvalidPitchValue;
    return status;
}

cudaError_t crt_cudaMemcpy2D(bool per_thread, void *dst, size_t dpitch, const void *src,
                             size_t spitch, size_t width, size_t height, enum cudaMemcpyKind kind)
{
    bool done;
    CUDA_MEMCPY2D copy;
    cudaError_t status = check_2d(dst, dpitch, src, spitch, width, height, kind, &done);

    if (status != cudaSuccess || done)
        return status;
    copy = describe_2d(dst, dpitch, src, spitch, width, height, kind);
    return CRT_DRV_ON(per_thread, Memcpy2DUnaligned, &copy);
}

cudaError_t crt_cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch,
                                  size_t width, size_t height, enum cudaMemcpyKind kind,
                                  cudaStream_t stream)
{
    bool done;
    CUDA_MEMCPY2D copy;
    cudaError_t status = check_2d(dst, dpitch, src, spitch, width, height, kind, &done);

    if (status != cudaSuccess || done)
        return status;
    copy = describe_2d(dst, dpitch, src, spitch, width, height, kind);
    return CRT_DRV(Memcpy2DAsync, &copy, stream);
}

static cudaError_t describe_3d(const struct cudaMemcpy3DParms *p, CUDA_MEMCPY3D *copy_out,
                               bool *done_out)
{
    CUmemorytype from, to;
    cudaError_t status;

    if (!p)
        return cudaErrorInvalidValue;
    if (p->srcArray || p->dstArray)
        return cudaErrorNotSupported;
    status = check(p->dstPtr.ptr, p->srcPtr.ptr,
                   p->extent.width && p->extent.height && p->extent.depth, p->kind, done_out);
    if (status != cudaSuccess || *done_out)
        return status;
    if (p->extent.width > p->srcPtr.pitch || p->extent.width > p->dstPtr.pitch)
        return cudaErrorInvalidPitchValue;
    from = source_type(p->kind);
    to = destination_type(p->kind);
    *copy_out = (CUDA_MEMCPY3D){
        .srcXInBytes = p->srcPos.x,
        .srcY = p->srcPos.y,
        .srcZ = p->srcPos.z,
        .srcMemoryType = from,
        .srcHost = host_side(from, p->srcPtr.ptr),
        .srcDevice = device_side(from, p->srcPtr.ptr),
        .srcPitch = p->srcPtr.pitch,
        .srcHeight = p->srcPtr.ysize,
        .dstXInBytes = p->dstPos.x,
        .dstY = p->dstPos.y,
        .dstZ = p->dstPos.z,
        .dstMemoryType = to,
        .dstHost = to == CU_MEMORYTYPE_HOST ? p->dstPtr.ptr : NULL,
        .dstDevice = device_side(to, p->dstPtr.ptr),
        .dstPitch = p->dstPtr.pitch,
        .dstHeight = p->dstPtr.ysize,
        .WidthInBytes = p->extent.width,
        .Height = p->extent.height,
        .Depth = p->extent.depth,
    };
    return cudaSuccess;
}

cudaError_t crt_cudaMemcpy3D(bool per_thread, const struct cudaMemcpy3DParms *p)
{
    CUDA_MEMCPY3D copy;
    bool done = false;
    cudaError_t status = describe_3d(p, &copy, &done);

    return status != cudaSuccess || done ? status : CRT_DRV_ON(per_thread, Memcpy3D, &copy);
}

cudaError_t crt_cudaMemcpy3DAsync(const struct cudaMemcpy3DParms *p, cudaStream_t stream)
{
    CUDA_MEMCPY3D copy;
    bool done = false;
    cudaError_t status = describe_3d(p, &copy, &done);

    return status != cudaSuccess || done ? status : CRT_DRV(Memcpy3DAsync, &copy, stream);
}

/* The primary contexts of the two devices of a peer copy. */
static cudaError_t peer_contexts(int dst_device, CUcontext *dst_out, int src_device,
                                 CUcontext *src_out)
{
    cudaError_t status = crt_primary_get(dst_device, dst_out);

    return status == cudaSuccess ? crt_primary_get(src_device, src_out) : status;
}

cudaError_t crt_cudaMemcpyPeer(void *dst, int dstDevice, const void *src, int srcDevice,
                               size_t count)
{
    CUcontext to, from;
    cudaError_t status = peer_contexts(dstDevice, &to, srcDevice, &from);

    if (status != cudaSuccess || count == 0)
        return status;
    return CRT_DRV_ON(false, MemcpyPeer, crt_dptr(dst), to, crt_dptr(src), from, count);
}

cudaError_t crt_cudaMemcpyPeerAsync(void *dst, int dstDevice, const void *src, int srcDevice,
                                    size_t count, cudaStream_t stream)
{
    CUcontext to, from;
    cudaError_t status = peer_contexts(dstDevice, &to, srcDevice, &from);

    if (status != cudaSuccess || count == 0)
        return status;
    return CRT_DRV(MemcpyPeerAsync, crt_dptr(dst), to, crt_dptr(src), from, count, stream);
}

static cudaError_t describe_peer(const struct cudaMemcpy3DPeerParms *p,
                                 CUDA_MEMCPY3D_PEER *copy_out, bool *done_out)
{
    CUcontext to, from;
    cudaError_t status;

    if (!p)
        return cudaErrorInvalidValue;
    if (p->srcArray || p->dstArray)
        return cudaErrorNotSupported;
    status = peer_contexts(p->dstDevice, &to, p->srcDevice, &from);
    if (status != cudaSuccess)
        return status;
    *done_out = p->extent.width == 0 || p->extent.height == 0 || p->extent.depth == 0;
    *copy_out = (CUDA_MEMCPY3D_PEER){
        .srcXInBytes = p->srcPos.x,
        .srcY = p->srcPos.y,
        .srcZ = p->srcPos.z,
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = crt_dptr(p->srcPtr.ptr),
        .srcContext = from,
        .srcPitch = p->srcPtr.pitch,
        .srcHeight = p->srcPtr.ysize,
        .dstXInBytes = p->dstPos.x,
        .dstY = p->dstPos.y,
        .dstZ = p->dstPos.z,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = crt_dptr(p->dstPtr.ptr),
        .dstContext = to,
        .dstPitch = p->dstPtr.pitch,
        .dstHeight = p->dstPtr.ysize,
        .WidthInBytes = p->extent.width,
        .Height = p->extent.height,
        .Depth = p->extent.depth,
    };
    return cudaSuccess;
}

cudaError_t crt_cudaMemcpy3DPeer(bool per_thread, const struct cudaMemcpy3DPeerParms *p)
{
    CUDA_MEMCPY3D_PEER copy;
    bool done = false;
    cudaError_t status = describe_peer(p, &copy, &done);

    return status != cudaSuccess || done ? status : CRT_DRV_ON(per_thread, Memcpy3DPeer, &copy);
}

cudaError_t crt_cudaMemcpy3DPeerAsync(const struct cudaMemcpy3DPeerParms *p, cudaStream_t stream)
{
    CUDA_MEMCPY3D_PEER copy;
    bool done = false;
    cudaError_t status = describe_peer(p, &copy, &done);

    return status != cudaSuccess || done ? status : CRT_DRV(Memcpy3DPeerAsync, &copy, stream);
}

/* The driver takes the lists as they are (abi_check.c), without the const of the runtime's form;
 * it does not write to them. */
cudaError_t crt_cudaMemcpyBatchAsync(void *const *dsts, const void *const *srcs,
                                     const size_t *sizes, size_t count,
                                     struct cudaMemcpyAttributes *attrs, size_t *attrsIdxs,
                                     size_t numAttrs, cudaStream_t stream)
{
    return CRT_DRV(MemcpyBatchAsync, (CUdeviceptr *)(uintptr_t)dsts, (CUdeviceptr *)(uintptr_t)srcs,
                   (size_t *)(uintptr_t)sizes, count, (CUmemcpyAttributes *)attrs, attrsIdxs,
                   numAttrs, stream);
}

cudaError_t crt_cudaMemcpy3DBatchAsync(size_t numOps, struct cudaMemcpy3DBatchOp *opList,
                                       unsigned long long flags, cudaStream_t stream)
{
    return CRT_DRV(Memcpy3DBatchAsync, numOps, (CUDA_MEMCPY3D_BATCH_OP *)opList, flags, stream);
}
