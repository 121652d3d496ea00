/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/heap.h - plain device memory: which block an allocation lies in, and when blocks go.
 *
 * Below 2 MiB: shared blocks of 2 MiB, in units of 512 bytes, first fit in the lowest block. From
 * there on a block of its own in steps of 2 MiB, which its maker may cut in pieces. The heap knows
 * addresses only; its owner makes blocks (charges, maps) and gives them back, so that a driver in
 * one process and one whose memory is elsewhere run out of memory at the same allocation. Thread:
 * the owner's lock, held over the call-backs too.
 */
#ifndef CUDA_COMMON_HEAP_H
#define CUDA_COMMON_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#define CUC_GRANULE (UINT64_C(2) << 20) /* of mappings and blocks */
#define CUC_PIECE (UINT64_C(32) << 20)  /* the largest mapping that a block is cut into */
#define CUC_UNIT UINT64_C(512)          /* small allocations within a block */

struct cuc_heap;
struct cuc_block;

struct cuc_heap_ops {
    /* Zeroed memory for a block: `bytes` is a multiple of CUC_GRANULE; `shared`: for small
     * allocations. CUDA_ERROR_OUT_OF_MEMORY, or what became of the memory's owner. */
    CUresult (*make)(struct cuc_heap *heap, uint64_t bytes, bool shared, uint64_t *address_out);
    void (*give)(struct cuc_heap *heap, uint64_t address, uint64_t bytes);
};

/* Zero but for `ops` and `keep_empty`: an empty heap. */
struct cuc_heap {
    const struct cuc_heap_ops *ops;
    bool keep_empty;          /* pools: empty blocks stay until cuc_heap_trim() */
    struct cuc_block *blocks; /* ascending addresses */
    uint64_t reserved_bytes;  /* in blocks */
    uint64_t reserved_high_bytes;
};

/* What an allocation got. */
struct cuc_heap_part {
    uint64_t base;
    uint64_t span_bytes; /* taken: bytes rounded up */
    struct cuc_block *block;
};

/* `align`: a power of two up to CUC_GRANULE. CUDA_ERROR_INVALID_VALUE, or what making says. */
CUresult cuc_heap_alloc(struct cuc_heap *heap, uint64_t bytes, uint64_t align,
                        struct cuc_heap_part *part_out);
void cuc_heap_free(const struct cuc_heap_part *part);
/* Gives empty blocks back until at most `keep_bytes` are reserved. Returns the bytes given back. */
uint64_t cuc_heap_trim(struct cuc_heap *heap, uint64_t keep_bytes);
/* Shows every block. */
void cuc_heap_each(const struct cuc_heap *heap, void (*see)(uint64_t lo, uint64_t bytes, void *arg),
                   void *arg);
/* Gives all blocks back, whatever lives in them. */
void cuc_heap_clear(struct cuc_heap *heap);

#endif /* CUDA_COMMON_HEAP_H */
