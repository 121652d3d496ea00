/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/driver.c - finds the driver when a program first needs it.
 *
 * Nothing happens at load time: a program that never uses a GPU starts without libcuda.so.1.
 */
#include "cuda-runtime/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cuda-runtime/crt_int.h"
#include "cuda-runtime/registry.h"

struct crt_driver crt_drv;

static struct {
    pthread_mutex_t lock;
    atomic_bool tried;      /* `status` is final */
    atomic_bool left_alive; /* this process is a child of one that had initialised the driver */
    atomic_bool leaving;
    cudaError_t status;
} driver = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A pointer to data is how dlsym and cuGetProcAddress hand out functions; POSIX makes it fit. */
static void store_function(void *field, void *function)
{
    memcpy(field, &function, sizeof(function));
}

/* Where a function goes in crt_drv, and what it is asked by. */
static const struct {
    size_t offset;
    const char *name;
    int version;
    unsigned flags;
} functions[] = {
#define ROW(name, version) {offsetof(struct crt_driver, name), "cu" #name, version, 0},
    CRT_DRIVER_LIST(ROW) CRT_DRIVER_PLAIN_LIST(ROW)
#undef ROW
#define ROW(name, version)                                                                         \
    {offsetof(struct crt_driver, on_default[false].name), "cu" #name, version, 0},                 \
        {offsetof(struct crt_driver, on_default[true].name), "cu" #name, 7000,                     \
         CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM},
        CRT_DRIVER_PTDS_LIST(ROW)
#undef ROW
};

static void resolve_all(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(functions); i++) {
        CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
        void *function = NULL;

        if (crt_drv.GetProcAddress(functions[i].name, &function, functions[i].version,
                                   functions[i].flags, &found) != CUDA_SUCCESS ||
            found != CU_GET_PROC_ADDRESS_SUCCESS)
            function = NULL; /* only the calls that need it are lost, see CRT_DRV() */
        store_function((char *)&crt_drv + functions[i].offset, function);
    }
}

static void after_fork_in_child(void)
{
    /* The parent's connection, threads and contexts do not exist here. */
    atomic_store(&driver.left_alive, true);
    crt_registry_renew_lock();
}

static void at_exit(void)
{
    atomic_store(&driver.leaving, true);
}

bool crt_driver_is_leaving(void)
{
    return atomic_load(&driver.leaving);
}

static cudaError_t open_locked(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *lookup = library ? dlsym(library, "cuGetProcAddress_v2") : NULL;
    int count = 0;
    cudaError_t status;

    if (!lookup)
        return cudaErrorInsufficientDriver;
    store_function(&crt_drv.GetProcAddress, lookup);
    resolve_all();
    if (!crt_drv.Init || !crt_drv.DeviceGetCount || !crt_drv.CtxGetCurrent)
        return cudaErrorInsufficientDriver;
    status = CRT_DRV(Init, 0);
    if (status == cudaSuccess)
        status = CRT_DRV(DeviceGetCount, &count);
    if (status == cudaSuccess && count == 0)
        status = cudaErrorNoDevice;
    if (status != cudaSuccess)
        return status;
    /* Registered after the driver's own handlers and after those of the program's images, so it
     * runs before them. Both calls fail only without memory. */
    (void)atexit(at_exit);
    (void)pthread_atfork(crt_registry_lock, crt_registry_unlock, after_fork_in_child);
    return cudaSuccess;
}

cudaError_t crt_driver_open(void)
{
    if (atomic_load_explicit(&driver.left_alive, memory_order_relaxed))
        return cudaErrorInitializationError;
    if (!atomic_load_explicit(&driver.tried, memory_order_acquire)) {
        (void)pthread_mutex_lock(&driver.lock);
        if (!atomic_load(&driver.tried)) {
            driver.status = open_locked();
            atomic_store_explicit(&driver.tried, true, memory_order_release);
        }
        (void)pthread_mutex_unlock(&driver.lock);
    }
    return driver.status;
}
