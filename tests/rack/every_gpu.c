/* SPDX-License-Identifier: Apache-2.0
 * tests/rack/every_gpu.c - a CUDA program that has every GPU compute, and says whether all were
 * right.
 *
 *     every_gpu [KIB] [ROUNDS]
 *
 * Each round: words go to each GPU, a kernel changes them, the next GPU gets a copy from GPU to
 * GPU, and they come back from there. Prints "N GPUs computed right"; exit status 1 with what was
 * wrong, 3 when CUDA refused something. Needs no toolkit to be built: the kernel is PTX in a
 * string.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda.h>

#include "perf/cuda-table.h"

enum { GPUS_MAX = 64, THREADS = 256, KIB = 1024 };

/* clang-format off */
#define FUNCTIONS(X) \
    X(cuInit) X(cuDeviceGetCount) X(cuDevicePrimaryCtxRetain) X(cuCtxSetCurrent) X(cuModuleLoadData) \
    X(cuModuleGetFunction) X(cuLaunchKernel) X(cuMemAlloc) X(cuMemcpyHtoD) X(cuMemcpyDtoH) \
    X(cuMemcpyPeer) X(cuCtxSynchronize) X(cuGetErrorName)
/* clang-format on */

CUDA_TABLE(FUNCTIONS)

/* words[i] = words[i] * 3 + plus */
static const char code[] =
    ".version 6.3\n.target sm_75\n.address_size 64\n"
    ".visible .entry change(.param .u64 words, .param .u32 plus) {\n"
    "  .reg .b64 %rd<4>; .reg .b32 %r<8>;\n"
    "  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"
    "  mad.lo.u32 %r4, %r1, %r2, %r3; ld.param.u64 %rd1, [words]; ld.param.u32 %r5, [plus];\n"
    "  mul.wide.u32 %rd2, %r4, 4; add.u64 %rd3, %rd1, %rd2; ld.global.u32 %r6, [%rd3];\n"
    "  mad.lo.u32 %r7, %r6, 3, %r5; st.global.u32 [%rd3], %r7; ret; }\n";

struct gpu {
    CUcontext context;
    CUfunction change;
    CUdeviceptr words, guests; /* its own, and the neighbour's */
};

static void check(CUresult result, const char *what, int gpu)
{
    const char *name = "?";

    if (result == CUDA_SUCCESS)
        return;
    if (cu.cuGetErrorName)
        (void)cu.cuGetErrorName(result, &name);
    printf("GPU %d: %s: %s\n", gpu, what, name);
    exit(3);
}

static void open_gpu(struct gpu *gpu, int number, size_t bytes)
{
    CUmodule module;

    check(cu.cuDevicePrimaryCtxRetain(&gpu->context, number), "context", number);
    check(cu.cuCtxSetCurrent(gpu->context), "context", number);
    check(cu.cuModuleLoadData(&module, code), "module", number);
    check(cu.cuModuleGetFunction(&gpu->change, module, "change"), "function", number);
    check(cu.cuMemAlloc(&gpu->words, bytes), "memory", number);
    check(cu.cuMemAlloc(&gpu->guests, bytes), "memory", number);
}

static uint32_t word_of(int gpu, uint32_t round, size_t i)
{
    return (uint32_t)i * 2654435761u + (uint32_t)gpu * 40503u + round;
}

static void fill(struct gpu *gpu, int number, uint32_t round, uint32_t *words, size_t count)
{
    uint32_t plus = (uint32_t)number + round;
    void *parameters[] = {&gpu->words, &plus};

    for (size_t i = 0; i < count; i++)
        words[i] = word_of(number, round, i);
    check(cu.cuCtxSetCurrent(gpu->context), "context", number);
    check(cu.cuMemcpyHtoD(gpu->words, words, count * sizeof(*words)), "copy to", number);
    check(cu.cuLaunchKernel(gpu->change, (unsigned)(count / THREADS), 1, 1, THREADS, 1, 1, 0, NULL,
                            parameters, NULL),
          "launch", number);
}

/* What GPU `number` made, as its neighbour has it. */
static int wrong_words(const struct gpu *gpus, int count, int number, uint32_t round,
                       uint32_t *words, size_t word_count)
{
    int next = (number + 1) % count;

    check(cu.cuCtxSetCurrent(gpus[number].context), "context", number);
    check(cu.cuCtxSynchronize(), "synchronize", number);
    check(cu.cuMemcpyPeer(gpus[next].guests, gpus[next].context, gpus[number].words,
                          gpus[number].context, word_count * sizeof(*words)),
          "copy to the next", number);
    check(cu.cuCtxSetCurrent(gpus[next].context), "context", next);
    memset(words, 0, word_count * sizeof(*words));
    check(cu.cuMemcpyDtoH(words, gpus[next].guests, word_count * sizeof(*words)), "copy back",
          number);
    for (size_t i = 0; i < word_count; i++)
        if (words[i] != word_of(number, round, i) * 3 + (uint32_t)number + round) {
            printf("GPU %d, round %u, word %zu: %u\n", number, round, i, words[i]);
            return 1;
        }
    return 0;
}

int main(int argc, char **argv)
{
    size_t words_count = (size_t)(argc > 1 ? atoi(argv[1]) : 256) * KIB / sizeof(uint32_t);
    uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
    uint32_t *words = malloc(words_count * sizeof(*words));
    struct gpu gpus[GPUS_MAX];
    int count = 0, wrong = 0;

    if (!words || words_count % THREADS != 0)
        return 2;
    load_driver("libcuda.so.1");
    check(cu.cuInit(0), "cuInit", -1);
    check(cu.cuDeviceGetCount(&count), "count", -1);
    if (count > GPUS_MAX)
        return 2;
    for (int i = 0; i < count; i++)
        open_gpu(&gpus[i], i, words_count * sizeof(*words));
    for (uint32_t round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++)
            fill(&gpus[i], i, round, words, words_count);
        for (int i = 0; i < count; i++)
            wrong += wrong_words(gpus, count, i, round, words, words_count);
    }
    free(words);
    if (wrong)
        return 1;
    printf("%d GPUs computed right\n", count);
    return 0;
}
