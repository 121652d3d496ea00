/* SPDX-License-Identifier: Apache-2.0
 * Several threads allocate, free, export, look up and query at once; made for the thread sanitizer.
 * Each thread checks that its own memory stays its own.
 */
#include "tests/unit/driver/driver.h"

#include <pthread.h>
#include <stdatomic.h>

#include "softcuda/driver/context.h"
#include "softcuda/driver/mem.h"
#include "softcuda/driver/va.h"
#include "softcuda/warp/warp_int.h"

enum { THREADS = 4, STEPS = 300, LIVE = 6 };

static const char config[] = "devices = ( { count = 2; memory = \"512MiB\"; } );";
static CUcontext context;
static struct soft_context *inner;
static atomic_uint wrong;

struct work {
    unsigned seed;
    CUstream stream;
    CUdeviceptr live[LIVE];
    uint64_t bytes[LIVE];
};

static void expect(bool holds)
{
    if (!holds)
        atomic_fetch_add(&wrong, 1);
}

static void take(struct work *work, size_t i)
{
    unsigned kind = (unsigned)rand_r(&work->seed) % 4;
    CUresult result;

    work->bytes[i] = 1 + (uint64_t)rand_r(&work->seed) % (kind == 0 ? 3 * DRIVER_MIB : 9000);
    if (kind == 3)
        result = soft_cuMemAllocManaged(&work->live[i], work->bytes[i], CU_MEM_ATTACH_GLOBAL);
    else if (kind == 2)
        result = soft_cuMemAllocAsync(&work->live[i], work->bytes[i], work->stream);
    else
        result = soft_cuMemAlloc_v2(&work->live[i], work->bytes[i]);
    expect(result == CUDA_SUCCESS);
    if (result != CUDA_SUCCESS) {
        work->live[i] = 0;
        return;
    }
    /* First and last byte carry the owner's mark. */
    *(uint8_t *)driver_pointer(work->live[i]) = (uint8_t)(i + 1);
    *(uint8_t *)driver_pointer(work->live[i] + work->bytes[i] - 1) = (uint8_t)(i + 1);
}

static void give(struct work *work, size_t i)
{
    struct mem_info info;

    expect(soft_mem_find(work->live[i] + work->bytes[i] - 1, &info));
    expect(info.base == work->live[i] && info.bytes == work->bytes[i]);
    expect(*(const uint8_t *)driver_pointer(work->live[i]) == i + 1);
    if (info.pool && rand_r(&work->seed) % 2)
        expect(soft_cuMemFreeAsync(work->live[i], work->stream) == CUDA_SUCCESS);
    else
        expect(soft_cuMemFree_v2(work->live[i]) == CUDA_SUCCESS);
    work->live[i] = 0;
}

static void look(struct work *work)
{
    struct warp_range range;
    unsigned type;
    size_t i = (size_t)rand_r(&work->seed) % LIVE;

    (void)soft_mem_find_range(
        inner, va_base(VA_SLICE, 0) + (uint64_t)rand_r(&work->seed) % (1 << 26), &range);
    if (!work->live[i])
        return;
    expect(soft_mem_find_range(inner, work->live[i], &range));
    expect(range.lo <= work->live[i] && range.hi >= work->live[i] + work->bytes[i]);
    expect(soft_mem_check(inner, work->live[i], work->bytes[i], true) == CUDA_SUCCESS);
    expect(soft_cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, work->live[i]) ==
           CUDA_SUCCESS);
}

static void *run(void *arg)
{
    struct work *work = arg;

    expect(soft_cuCtxSetCurrent(context) == CUDA_SUCCESS);
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rand_r(&work->seed) % LIVE;

        if (work->live[i])
            give(work, i);
        else
            take(work, i);
        look(work);
    }
    for (size_t i = 0; i < LIVE; i++) {
        if (work->live[i])
            give(work, i);
    }
    return NULL;
}

static void test_threads(void)
{
    static struct work work[THREADS];
    pthread_t thread[THREADS];
    uint64_t before = driver_free_bytes();

    for (unsigned i = 0; i < THREADS; i++) {
        work[i].seed = i + 1;
        CHECK_EQ(soft_cuStreamCreate(&work[i].stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
        CHECK_EQ(pthread_create(&thread[i], NULL, run, &work[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(thread[i], NULL), 0);
    CHECK_EQ(soft_cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_EQ(atomic_load(&wrong), 0);
    CHECK_EQ(driver_free_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_threads)};

    context = driver_start(config, NULL);
    if (soft_context_current(&inner) != CUDA_SUCCESS)
        return 1;
    return check_run(tests);
}
