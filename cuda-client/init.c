/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/init.c - cuInit, the version, fork, and the end of the process.
 *
 * Nothing happens before cuInit. In a child that forked after it our threads and connections do not
 * exist: every call there answers CUDA_ERROR_NOT_INITIALIZED and touches no lock. A process that
 * only managed devices before the fork (face.h) had no state in CUDA: its child begins anew, as it
 * does on a machine with GPUs, unless UCX was in use, which a fork breaks. At the end of the
 * process a destructor, which runs behind the program's own atexit functions, says goodbye; what
 * calls us still later hears CUDA_ERROR_DEINITIALIZED. (Beside an MPI that uses UCX that is sooner:
 * behind the atexit functions that were registered after cuInit.)
 */
#include "cuda-client/init.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda-client/remote_int.h"
#include "cuda-client/stats.h"
#include "cuda-client/text.h"
#include "cuda-client/timeline.h"
#include "cuda-client/trace.h"
#include "generated/cuda-api/client_impl.h"

enum {
    DRIVER_VERSION = 13000, /* CUDA 13.0 */
    ATTACH_AT_EXIT_S = 10,
};

static struct {
    pthread_mutex_t lock;
    _Atomic bool is_done, is_forked, is_ending;
    _Atomic bool is_begun, is_attaching; /* cuInit was called; a thread is in attach_locked() */
    bool has_fork_hook, has_exit_hook, launch_blocking;
} client = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool cudac_is_initialized(void)
{
    return atomic_load_explicit(&client.is_done, memory_order_acquire);
}

bool cudac_is_forked(void)
{
    return atomic_load_explicit(&client.is_forked, memory_order_relaxed);
}

bool cudac_is_ending(void)
{
    return atomic_load_explicit(&client.is_ending, memory_order_relaxed);
}

bool cudac_launch_is_blocking(void)
{
    return client.launch_blocking;
}

/* Also while another thread is in cuInit: what that thread began does not exist here. */
static void after_fork_in_child(void)
{
    cudac_timeline_forget();
    if (atomic_load(&client.is_begun) || atomic_load(&client.is_attaching) ||
        !cudac_attach_forget())
        atomic_store_explicit(&client.is_forked, true, memory_order_relaxed);
}

/* Other threads may still be in calls: nothing they use is freed. */
__attribute__((destructor)) static void say_goodbye(void)
{
    if (cudac_is_forked() || !cudac_is_attached() || cudac_is_ending())
        return;
    cudac_text_flush();
    cudac_tell_losses();
    cudac_stats_write();
    cudac_timeline_close();
    atomic_store_explicit(&client.is_ending, true, memory_order_relaxed);
    cudac_detach();
}

/* exit() while another thread attaches: UCX, which that thread brings up, would be taken down under
 * it. Runs before any destructor. The limit is for a thread that ends the process from inside. If
 * somebody brought UCX before us, its destructors run before ours: the goodbye is now. */
static void end_attach(void)
{
    struct timespec limit;

    if (cudac_is_forked())
        return;
    (void)clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += ATTACH_AT_EXIT_S;
    if (pthread_mutex_timedlock(&client.lock, &limit) == 0)
        pthread_mutex_unlock(&client.lock);
    if (cudac_is_attached() && cudac_ucx_is_foreign())
        say_goodbye();
}

static CUresult attach_locked(void)
{
    CUresult result;

    if (cudac_is_attached())
        return CUDA_SUCCESS;
    atomic_store(&client.is_attaching, true);
    cudac_trace_init();
    if (!client.has_fork_hook)
        client.has_fork_hook = pthread_atfork(NULL, NULL, after_fork_in_child) == 0;
    if (!client.has_exit_hook)
        client.has_exit_hook = atexit(end_attach) == 0;
    result = cudac_attach();
    atomic_store(&client.is_attaching, false);
    return result;
}

CUresult cudac_init_attach(void)
{
    CUresult result;

    if (cudac_is_forked())
        return CUDA_ERROR_NOT_INITIALIZED;
    pthread_mutex_lock(&client.lock);
    result = attach_locked();
    pthread_mutex_unlock(&client.lock);
    return result;
}

static CUresult init_locked(void)
{
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    CUresult result;

    atomic_store(&client.is_begun, true);
    client.launch_blocking = blocking && strcmp(blocking, "1") == 0;
    result = attach_locked();
    if (result != CUDA_SUCCESS)
        return result;
    if (cudac_vgpu_count() == 0)
        return CUDA_ERROR_NO_DEVICE;
    atomic_store_explicit(&client.is_done, true, memory_order_release);
    return CUDA_SUCCESS;
}

CUresult cudac_cuInit(unsigned int Flags)
{
    CUresult result = CUDA_SUCCESS;

    if (cudac_is_forked())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (Flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&client.lock);
    if (!cudac_is_initialized())
        result = init_locked();
    pthread_mutex_unlock(&client.lock);
    return result;
}

CUresult cudac_cuDriverGetVersion(int *driverVersion)
{
    int worker_version = cudac_workers_version();

    if (!driverVersion)
        return CUDA_ERROR_INVALID_VALUE;
    *driverVersion =
        worker_version > 0 && worker_version < DRIVER_VERSION ? worker_version : DRIVER_VERSION;
    return CUDA_SUCCESS;
}

/* Private tables are not part of this driver (design D2). */
CUresult cudac_cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
    if (!ppExportTable || !pExportTableId)
        return CUDA_ERROR_INVALID_VALUE;
    *ppExportTable = NULL;
    return CUDA_ERROR_NOT_FOUND;
}
