/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_threads.c - many threads in few contexts, all kinds of calls mixed.
 *
 * Each thread works on memory of its own and knows what must be in it at the end; what they share
 * is the driver: contexts, streams made and destroyed, modules loaded and unloaded, the engine.
 */
#include "tests/unit/driver/driver.h"

#include <pthread.h>
#include <string.h>

static const char ptx[] =
    ".version 6.3\n.target sm_75\n.address_size 64\n"
    ".visible .entry add(.param .u64 to, .param .u32 value, .param .u32 count) {\n"
    "  .reg .b64 %rd<5>; .reg .b32 %r<7>; .reg .pred %p<2>;\n"
    "  ld.param.u64 %rd1, [to]; ld.param.u32 %r1, [value]; ld.param.u32 %r2, [count];\n"
    "  cvta.to.global.u64 %rd2, %rd1; mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x;\n"
    "  mov.u32 %r5, %tid.x; mad.lo.s32 %r3, %r3, %r4, %r5; setp.ge.u32 %p1, %r3, %r2;\n"
    "  @%p1 bra done; mul.wide.u32 %rd3, %r3, 4; add.s64 %rd4, %rd2, %rd3;\n"
    "  ld.global.u32 %r6, [%rd4]; add.u32 %r6, %r6, %r1; st.global.u32 [%rd4], %r6;\n"
    "done: ret; }\n";

enum { THREADS = 4, STEPS = 150, WORDS = 5000, BLOCK = 128, DEVICES = 2 };

struct worker {
    uint32_t seed, expected;
    int device;
    CUdeviceptr memory;
    CUstream stream;
    CUmodule module;
    CUfunction add;
    uint32_t host[WORDS];
};

static uint32_t random_next(struct worker *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return w->seed >> 8;
}

static void module_renew(struct worker *w)
{
    if (w->module)
        CHECK_EQ(soft_cuModuleUnload(w->module), CUDA_SUCCESS);
    CHECK_EQ(soft_cuModuleLoadData(&w->module, ptx), CUDA_SUCCESS);
    CHECK_EQ(soft_cuModuleGetFunction(&w->add, w->module, "add"), CUDA_SUCCESS);
}

/* A new stream goes on where the old one is. */
static void stream_renew(struct worker *w)
{
    CUstream next = NULL;
    CUevent event;

    CHECK_EQ(soft_cuStreamCreate(&next, random_next(w) % 2), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventRecord(event, w->stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamWaitEvent(next, event, 0), CUDA_SUCCESS);
    CHECK_EQ(soft_cuEventDestroy_v2(event), CUDA_SUCCESS);
    if (w->stream)
        CHECK_EQ(soft_cuStreamDestroy_v2(w->stream), CUDA_SUCCESS);
    w->stream = next;
}

static void add(struct worker *w, uint32_t value)
{
    uint32_t count = WORDS;
    void *params[] = {&w->memory, &value, &count};

    CHECK_EQ(soft_cuLaunchKernel(w->add, (WORDS + BLOCK - 1) / BLOCK, 1, 1, BLOCK, 1, 1, 0,
                                 w->stream, params, NULL),
             CUDA_SUCCESS);
    w->expected += value;
}

/* To other memory and back. */
static void copy_round(struct worker *w)
{
    CUdeviceptr other = 0;

    CHECK_EQ(soft_cuMemAlloc_v2(&other, sizeof(w->host)), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemcpyDtoDAsync_v2(other, w->memory, sizeof(w->host), w->stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemsetD8Async(w->memory, 0xee, sizeof(w->host), w->stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemcpyDtoDAsync_v2(w->memory, other, sizeof(w->host), w->stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(other), CUDA_SUCCESS);
}

static void host_round(struct worker *w)
{
    CHECK_EQ(soft_cuMemcpyDtoHAsync_v2(w->host, w->memory, sizeof(w->host), w->stream),
             CUDA_SUCCESS);
    for (size_t i = 0; i < WORDS; i++)
        w->host[i]++;
    CHECK_EQ(soft_cuMemcpyHtoDAsync_v2(w->memory, w->host, sizeof(w->host), w->stream),
             CUDA_SUCCESS);
    w->expected++;
}

static void step(struct worker *w)
{
    switch (random_next(w) % 8) {
    case 0:
        stream_renew(w);
        break;
    case 1:
        module_renew(w);
        break;
    case 2:
        copy_round(w);
        break;
    case 3:
        host_round(w);
        break;
    case 4:
        CHECK_EQ(soft_cuStreamSynchronize(w->stream), CUDA_SUCCESS);
        break;
    default:
        add(w, random_next(w) % 1000);
        break;
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    CUcontext context;
    size_t wrong = 0;

    CHECK_EQ(soft_cuDevicePrimaryCtxRetain(&context, w->device), CUDA_SUCCESS);
    CHECK_EQ(soft_cuCtxSetCurrent(context), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemAlloc_v2(&w->memory, sizeof(w->host)), CUDA_SUCCESS);
    stream_renew(w);
    module_renew(w);
    CHECK_EQ(soft_cuMemsetD32Async(w->memory, 0, WORDS, w->stream), CUDA_SUCCESS);
    for (int i = 0; i < STEPS; i++)
        step(w);
    CHECK_EQ(soft_cuMemcpyDtoHAsync_v2(w->host, w->memory, sizeof(w->host), w->stream),
             CUDA_SUCCESS);
    for (size_t i = 0; i < WORDS; i++)
        wrong += w->host[i] != w->expected;
    CHECK_EQ(wrong, 0);
    CHECK_EQ(soft_cuModuleUnload(w->module), CUDA_SUCCESS);
    CHECK_EQ(soft_cuStreamDestroy_v2(w->stream), CUDA_SUCCESS);
    CHECK_EQ(soft_cuMemFree_v2(w->memory), CUDA_SUCCESS);
    CHECK_EQ(soft_cuDevicePrimaryCtxRelease_v2(w->device), CUDA_SUCCESS);
    return NULL;
}

static void test_mixed_calls(void)
{
    struct worker *workers = calloc(THREADS, sizeof(*workers));
    pthread_t threads[THREADS];

    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].seed = i * 77 + 5;
        workers[i].device = (int)(i % DEVICES);
        if (!CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0))
            abort();
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    free(workers);
}

/* Every user of device 1 has released it: its context is closed and nothing is left. */
static void test_all_is_given_back(void)
{
    unsigned flags = 0;
    int active = 1;

    CHECK_EQ(soft_cuDevicePrimaryCtxGetState(1, &flags, &active), CUDA_SUCCESS);
    CHECK_EQ(active, 0);
    CHECK_EQ(soft_cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    CHECK_EQ(active, 1); /* this thread's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_mixed_calls),
                                       CHECK_TEST(test_all_is_given_back)};

    (void)driver_start(NULL, "2");
    return check_run(tests);
}
