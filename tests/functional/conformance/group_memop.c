/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_memop.c - waiting for and writing values in a stream.
 */
#include "tests/functional/conformance/conformance.h"

static struct conformance_world world;

static CUdeviceptr address_of(const volatile uint32_t *word)
{
    return (CUdeviceptr)(uintptr_t)word;
}

static void writes(void)
{
    uint32_t *words = world.pinned;

    ROW("32 bits", cu.cuStreamWriteValue32(NULL, address_of(words), 5, 0), CUDA_SUCCESS,
        cu.cuStreamSynchronize(NULL) == CUDA_SUCCESS && words[0] == 5);
    ROW("64 bits", cu.cuStreamWriteValue64(NULL, address_of(words + 2), UINT64_C(7) << 32, 0),
        CUDA_SUCCESS,
        cu.cuStreamSynchronize(NULL) == CUDA_SUCCESS && words[2] == 0 && words[3] == 7);
    ROW("device memory", cu.cuStreamWriteValue32(NULL, world.memory, 6, 0), CUDA_SUCCESS,
        conformance_read(world.memory) == 6);
    ROW("unknown flags", cu.cuStreamWriteValue32(NULL, address_of(words), 1, 0x10),
        CUDA_ERROR_INVALID_VALUE, words[0] == 5);
    ROW("an odd address", cu.cuStreamWriteValue32(NULL, world.memory + 2, 1, 0),
        CUDA_ERROR_INVALID_VALUE, true);
    ROW("no memory", cu.cuStreamWriteValue32(NULL, 64, 1, 0), CUDA_ERROR_INVALID_VALUE, true);
}

/* Each wait holds its stream until the host stores `then`. */
static void waits(void)
{
    static const struct {
        const char *label;
        uint32_t before, value, then;
        unsigned flags;
    } cases[] = {
        {"equal", 1, 2, 2, CU_STREAM_WAIT_VALUE_EQ},
        {"at least", 1, 5, 6, CU_STREAM_WAIT_VALUE_GEQ},
        {"at least, around the end", 0xfffffff0, 2, 3, CU_STREAM_WAIT_VALUE_GEQ},
        {"a common bit", 0x10, 0x6, 0x4, CU_STREAM_WAIT_VALUE_AND},
        {"a bit in neither", 0xffff0000, 0x0000ffff, 0xfffe0000, CU_STREAM_WAIT_VALUE_NOR},
    };
    uint32_t *flag = world.pinned + 8;
    CUstream stream;

    ROW("stream", cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        __atomic_store_n(flag, cases[i].before, __ATOMIC_RELEASE);
        ROW(cases[i].label,
            cu.cuStreamWaitValue32(stream, address_of(flag), cases[i].value, cases[i].flags),
            CUDA_SUCCESS, cu.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
        __atomic_store_n(flag, cases[i].then, __ATOMIC_RELEASE);
        ROW(cases[i].label, cu.cuStreamSynchronize(stream), CUDA_SUCCESS, true);
    }
    ROW("satisfied at once", cu.cuStreamWaitValue64(stream, address_of(flag), 0, 0), CUDA_SUCCESS,
        cu.cuStreamSynchronize(stream) == CUDA_SUCCESS);
    ROW("destroy", cu.cuStreamDestroy(stream), CUDA_SUCCESS, true);
}

/* One stream waits for what the other writes. */
static void between_streams(void)
{
    uint32_t *flag = world.pinned + 16;
    CUstream first, second;
    CUstreamBatchMemOpParams batch[] = {
        {.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
                       .address = address_of(flag),
                       .value = 1,
                       .flags = CU_STREAM_WAIT_VALUE_GEQ}},
        {.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
                        .address = address_of(flag + 1),
                        .value = 9}},
    };

    ROW("stream", cu.cuStreamCreate(&first, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("stream", cu.cuStreamCreate(&second, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS, true);
    ROW("wait, then write", cu.cuStreamBatchMemOp(first, 2, batch, 0), CUDA_SUCCESS,
        cu.cuStreamQuery(first) == CUDA_ERROR_NOT_READY && flag[1] == 0);
    ROW("write", cu.cuStreamWriteValue32(second, address_of(flag), 1, 0), CUDA_SUCCESS, true);
    ROW("goes on", cu.cuStreamSynchronize(first), CUDA_SUCCESS, flag[1] == 9);
    batch[1].writeValue.address = 64;
    flag[0] = 0;
    ROW("one bad operation", cu.cuStreamBatchMemOp(first, 2, batch, 0), CUDA_ERROR_INVALID_VALUE,
        cu.cuStreamQuery(first) == CUDA_SUCCESS);
    ROW("flags of a batch", cu.cuStreamBatchMemOp(first, 1, batch, 1), CUDA_ERROR_INVALID_VALUE,
        true);
    ROW("too many", cu.cuStreamBatchMemOp(first, 257, batch, 0), CUDA_ERROR_INVALID_VALUE, true);
    ROW("destroy", cu.cuStreamDestroy(first), CUDA_SUCCESS, true);
    ROW("destroy", cu.cuStreamDestroy(second), CUDA_SUCCESS, true);
}

void group_memop(void)
{
    conformance_world_open(&world);
    writes();
    waits();
    between_streams();
}
