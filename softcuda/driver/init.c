/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/init.c - cuInit, the version, fork, and the engine that all devices share.
 *
 * Nothing happens before cuInit. In a child that forked after it our threads do not exist: every
 * call there answers CUDA_ERROR_NOT_INITIALIZED and touches no lock.
 */
#include "softcuda/driver/init.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/context.h"
#include "softcuda/driver/device.h"
#include "softcuda/driver/thread.h"
#include "softcuda/driver/trace.h"
#include "softcuda/warp/launch.h"

enum { WORKERS_MAX = 1024 };

static struct {
    pthread_mutex_t lock;
    _Atomic bool is_done, is_forked;
    bool has_fork_hook, launch_blocking;
    _Atomic(struct warp_pool *) engine;
} driver = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool soft_is_initialized(void)
{
    return atomic_load_explicit(&driver.is_done, memory_order_acquire);
}

bool soft_is_forked(void)
{
    return atomic_load_explicit(&driver.is_forked, memory_order_relaxed);
}

bool soft_launch_is_blocking(void)
{
    return driver.launch_blocking;
}

static void after_fork_in_child(void)
{
    if (soft_is_initialized())
        atomic_store_explicit(&driver.is_forked, true, memory_order_relaxed);
}

static CUresult result_of(enum fab_status status)
{
    if (status == FAB_OK)
        return CUDA_SUCCESS;
    return status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
}

static CUresult init_locked(void)
{
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status;

    soft_trace_init();
    driver.launch_blocking = blocking && strcmp(blocking, "1") == 0;
    if (!driver.has_fork_hook)
        driver.has_fork_hook = pthread_atfork(NULL, NULL, after_fork_in_child) == 0;
    status = soft_devices_load(&err);
    if (status != FAB_OK) {
        cuc_say(CU_LOG_LEVEL_ERROR, "softcuda: %s", err.text);
        return result_of(status);
    }
    if (soft_device_count() == 0)
        return CUDA_ERROR_NO_DEVICE;
    atomic_store_explicit(&driver.is_done, true, memory_order_release);
    return CUDA_SUCCESS;
}

CUresult soft_cuInit(unsigned int Flags)
{
    CUresult result = CUDA_SUCCESS;

    if (soft_is_forked())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (Flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&driver.lock);
    if (!soft_is_initialized())
        result = init_locked();
    pthread_mutex_unlock(&driver.lock);
    return result;
}

CUresult soft_cuDriverGetVersion(int *driverVersion)
{
    if (!driverVersion)
        return CUDA_ERROR_INVALID_VALUE;
    *driverVersion = SOFT_DRIVER_VERSION;
    return CUDA_SUCCESS;
}

/* Private tables are not part of this driver (design D2). */
CUresult soft_cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
    if (!ppExportTable || !pExportTableId)
        return CUDA_ERROR_INVALID_VALUE;
    *ppExportTable = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

/* The engine's policy from the environment; checked once, when the first context is made. */
static CUresult engine_create(struct warp_pool **pool_out)
{
    const char *workers = getenv("SOFTCUDA_WORKERS");
    struct warp_policy policy = {.isa = getenv("SOFTCUDA_ISA")};
    struct fab_err err = {.status = FAB_OK};
    enum fab_status status;
    int64_t count = 0;

    if (workers && (fab_parse_int(workers, &count) != FAB_OK || count < 1 || count > WORKERS_MAX)) {
        cuc_say(CU_LOG_LEVEL_ERROR, "softcuda: SOFTCUDA_WORKERS=%s: allowed are 1 .. %d", workers,
                WORKERS_MAX);
        return CUDA_ERROR_INVALID_VALUE;
    }
    policy.worker_count = (unsigned)count;
    status = warp_pool_create(&policy, pool_out, &err);
    if (status == FAB_OK)
        return CUDA_SUCCESS;
    cuc_say(CU_LOG_LEVEL_ERROR, "softcuda: the engine does not start: %s", err.text);
    return status == FAB_ERR_NOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_SYSTEM_NOT_READY;
}

CUresult soft_engine_open(void)
{
    CUresult result = CUDA_SUCCESS;
    struct warp_pool *pool;

    if (FAB_LIKELY(atomic_load_explicit(&driver.engine, memory_order_acquire) != NULL))
        return CUDA_SUCCESS;
    pthread_mutex_lock(&driver.lock);
    if (!atomic_load_explicit(&driver.engine, memory_order_acquire)) {
        result = engine_create(&pool);
        if (result == CUDA_SUCCESS)
            atomic_store_explicit(&driver.engine, pool, memory_order_release);
    }
    pthread_mutex_unlock(&driver.lock);
    return result;
}

struct warp_pool *soft_engine(void)
{
    return atomic_load_explicit(&driver.engine, memory_order_acquire);
}
