/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/copy_shape.c - the geometry of copies: what all forms of the calls come down to.
 */
#include "cuda-common/copy_shape.h"

#include <string.h>

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

/* ---- one side ------------------------------------------------------------------------------- */

static CUresult memory_type(CUmemorytype type, enum cuc_side *side_out)
{
    if (type == CU_MEMORYTYPE_HOST)
        *side_out = CUC_SIDE_HOST;
    else if (type == CU_MEMORYTYPE_DEVICE)
        *side_out = CUC_SIDE_DEVICE;
    else if (type == CU_MEMORYTYPE_UNIFIED)
        *side_out = CUC_SIDE_ANY;
    else
        return type == CU_MEMORYTYPE_ARRAY ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static CUresult side_place(const struct cuc_box_side *side, const struct cuc_box *box,
                           struct cuc_place *place_out)
{
    size_t row_end = side->x_bytes + box->width_bytes;
    bool needs_pitch = box->height > 1 || box->depth > 1 || side->y > 0 || side->z > 0;
    bool needs_height = box->depth > 1 || side->z > 0;
    CUresult result = memory_type(side->type, &place_out->side);

    if (result != CUDA_SUCCESS)
        return result;
    if (row_end < side->x_bytes || (needs_pitch && side->pitch_bytes < row_end))
        return CUDA_ERROR_INVALID_VALUE;
    if (needs_height && side->height < side->y + box->height)
        return CUDA_ERROR_INVALID_VALUE;
    place_out->pitch = side->pitch_bytes;
    if (__builtin_mul_overflow(side->pitch_bytes, side->height, &place_out->layer))
        return CUDA_ERROR_INVALID_VALUE;
    place_out->start = (side->type == CU_MEMORYTYPE_HOST ? address_of(side->host) : side->device) +
                       side->z * place_out->layer + side->y * side->pitch_bytes + side->x_bytes;
    place_out->span_bytes = (uint64_t)(box->depth - 1) * place_out->layer +
                            (uint64_t)(box->height - 1) * side->pitch_bytes + box->width_bytes;
    return CUDA_SUCCESS;
}

bool cuc_box_is_empty(const struct cuc_box *box)
{
    return box->width_bytes == 0 || box->height == 0 || box->depth == 0;
}

CUresult cuc_box_places(const struct cuc_box *box, struct cuc_place *dst_out,
                        struct cuc_place *src_out)
{
    CUresult result = side_place(&box->src, box, src_out);

    return result == CUDA_SUCCESS ? side_place(&box->dst, box, dst_out) : result;
}

/* ---- forms of the calls --------------------------------------------------------------------- */

struct cuc_box cuc_box_of_2d(const CUDA_MEMCPY2D *copy)
{
    return (struct cuc_box){
        .src = {.type = copy->srcMemoryType,
                .host = copy->srcHost,
                .device = copy->srcDevice,
                .x_bytes = copy->srcXInBytes,
                .y = copy->srcY,
                .pitch_bytes = copy->srcPitch},
        .dst = {.type = copy->dstMemoryType,
                .host = copy->dstHost,
                .device = copy->dstDevice,
                .x_bytes = copy->dstXInBytes,
                .y = copy->dstY,
                .pitch_bytes = copy->dstPitch},
        .width_bytes = copy->WidthInBytes,
        .height = copy->Height,
        .depth = 1,
    };
}

struct cuc_box cuc_box_of_3d(const CUDA_MEMCPY3D *copy)
{
    return (struct cuc_box){
        .src = {.type = copy->srcMemoryType,
                .host = copy->srcHost,
                .device = copy->srcDevice,
                .x_bytes = copy->srcXInBytes,
                .y = copy->srcY,
                .z = copy->srcZ,
                .pitch_bytes = copy->srcPitch,
                .height = copy->srcHeight},
        .dst = {.type = copy->dstMemoryType,
                .host = copy->dstHost,
                .device = copy->dstDevice,
                .x_bytes = copy->dstXInBytes,
                .y = copy->dstY,
                .z = copy->dstZ,
                .pitch_bytes = copy->dstPitch,
                .height = copy->dstHeight},
        .width_bytes = copy->WidthInBytes,
        .height = copy->Height,
        .depth = copy->Depth,
    };
}

struct cuc_box cuc_box_of_peer(const CUDA_MEMCPY3D_PEER *copy)
{
    const CUDA_MEMCPY3D plain = {.srcXInBytes = copy->srcXInBytes,
                                 .srcY = copy->srcY,
                                 .srcZ = copy->srcZ,
                                 .srcLOD = copy->srcLOD,
                                 .srcMemoryType = copy->srcMemoryType,
                                 .srcHost = copy->srcHost,
                                 .srcDevice = copy->srcDevice,
                                 .srcPitch = copy->srcPitch,
                                 .srcHeight = copy->srcHeight,
                                 .dstXInBytes = copy->dstXInBytes,
                                 .dstY = copy->dstY,
                                 .dstZ = copy->dstZ,
                                 .dstLOD = copy->dstLOD,
                                 .dstMemoryType = copy->dstMemoryType,
                                 .dstHost = copy->dstHost,
                                 .dstDevice = copy->dstDevice,
                                 .dstPitch = copy->dstPitch,
                                 .dstHeight = copy->dstHeight,
                                 .WidthInBytes = copy->WidthInBytes,
                                 .Height = copy->Height,
                                 .Depth = copy->Depth};

    return cuc_box_of_3d(&plain);
}

/* ---- batches -------------------------------------------------------------------------------- */

bool cuc_copy_order_is_valid(CUmemcpySrcAccessOrder order)
{
    return order == CU_MEMCPY_SRC_ACCESS_ORDER_STREAM ||
           order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL ||
           order == CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
}

CUresult cuc_batch_attributes_check(const CUmemcpyAttributes *attrs, const size_t *indices,
                                    size_t attr_count, size_t count)
{
    if (!attrs || !indices || attr_count == 0 || attr_count > count || indices[0] != 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < attr_count; i++) {
        if (!cuc_copy_order_is_valid(attrs[i].srcAccessOrder) ||
            attrs[i].flags & ~(unsigned)CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
            return CUDA_ERROR_INVALID_VALUE;
        if (indices[i] >= count || (i > 0 && indices[i] <= indices[i - 1]))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult operand_side(const CUmemcpy3DOperand *operand, const CUextent3D *extent,
                             struct cuc_box_side *side_out)
{
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (operand->type != CU_MEMCPY_OPERAND_TYPE_POINTER)
        return CUDA_ERROR_INVALID_VALUE;
    *side_out = (struct cuc_box_side){
        .type = CU_MEMORYTYPE_UNIFIED,
        .device = operand->op.ptr.ptr,
        .pitch_bytes = operand->op.ptr.rowLength ? operand->op.ptr.rowLength : extent->width,
        .height = operand->op.ptr.layerHeight ? operand->op.ptr.layerHeight : extent->height,
    };
    return CUDA_SUCCESS;
}

CUresult cuc_box_of_batch(const CUDA_MEMCPY3D_BATCH_OP *op, struct cuc_box *box_out)
{
    struct cuc_place dst, src;
    CUresult result;

    *box_out = (struct cuc_box){
        .width_bytes = op->extent.width, .height = op->extent.height, .depth = op->extent.depth};
    if (!cuc_copy_order_is_valid(op->srcAccessOrder) ||
        op->flags & ~(unsigned)CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
        return CUDA_ERROR_INVALID_VALUE;
    result = operand_side(&op->src, &op->extent, &box_out->src);
    if (result == CUDA_SUCCESS)
        result = operand_side(&op->dst, &op->extent, &box_out->dst);
    if (result != CUDA_SUCCESS || cuc_box_is_empty(box_out))
        return result;
    return cuc_box_places(box_out, &dst, &src);
}

/* ---- sets ----------------------------------------------------------------------------------- */

CUresult cuc_set_check(const struct cuc_set *set, size_t *width_bytes_out, uint64_t *span_out)
{
    size_t width;

    if (__builtin_mul_overflow(set->width, set->value_bytes, &width))
        return CUDA_ERROR_INVALID_VALUE;
    *width_bytes_out = set->height == 0 ? 0 : width;
    if (*width_bytes_out == 0)
        return CUDA_SUCCESS;
    if (set->dst % set->value_bytes != 0 ||
        (set->height > 1 && (set->pitch_bytes < width || set->pitch_bytes % set->value_bytes != 0)))
        return CUDA_ERROR_INVALID_VALUE;
    *span_out = (uint64_t)(set->height - 1) * set->pitch_bytes + width;
    return CUDA_SUCCESS;
}

void cuc_set_row(void *dst, size_t width, uint32_t value, uint8_t value_bytes)
{
    if (value_bytes == 1) {
        memset(dst, (int)value, width);
    } else if (value_bytes == sizeof(uint16_t)) {
        uint16_t *at = dst;

        for (size_t i = 0; i < width / sizeof(*at); i++)
            at[i] = (uint16_t)value;
    } else {
        uint32_t *at = dst;

        for (size_t i = 0; i < width / sizeof(*at); i++)
            at[i] = value;
    }
}
