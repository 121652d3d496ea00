/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/registry.c - the tables behind __cudaRegister*() and the look-ups of launches.
 *
 * The host address is the key. One address may be registered twice (a template kernel that the
 * loader merged over two objects): the newest wins, and when its image goes the older one serves
 * again. Addresses return after dlclose(), so an image takes its records with it.
 * Source: crt/host_runtime.h and crt/device_functions.h of the toolkit.
 */
#include "cuda-runtime/registry.h"

#include <stdlib.h>
#include <strings.h>

#include "cuda-runtime/registry_int.h"
#include "generated/cuda-runtime/crt_impl.h"

enum {
    FIRST_BUCKETS = 256, /* a power of two; the table doubles when it is full */
    CACHE_SLOTS = 16,    /* kernels that a thread finds again without the lock */
};

static struct {
    pthread_rwlock_t lock;
    struct crt_symbol **buckets;
    size_t bucket_count, symbol_count;
    struct crt_image *images;
    atomic_uint changes; /* counts removals: cached results hold for one value */
} registry = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static __thread struct {
    const void *key;
    CUkernel kernel;
    unsigned changes;
} cache[CACHE_SLOTS];

void crt_registry_lock(void)
{
    (void)pthread_rwlock_wrlock(&registry.lock);
}

void crt_registry_unlock(void)
{
    (void)pthread_rwlock_unlock(&registry.lock);
}

void crt_registry_renew_lock(void)
{
    (void)pthread_rwlock_init(&registry.lock, NULL);
}

static size_t hash(const void *key)
{
    uint64_t value = (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci */

    return (size_t)(value >> 32);
}

static bool grow_locked(void)
{
    size_t count = registry.bucket_count ? 2 * registry.bucket_count : FIRST_BUCKETS;
    struct crt_symbol **buckets = calloc(count, sizeof(struct crt_symbol *));

    if (!buckets)
        return false;
    for (size_t i = 0; i < registry.bucket_count; i++) {
        /* Taken from the front and appended, so that records of one key keep their order. */
        while (registry.buckets[i]) {
            struct crt_symbol *symbol = registry.buckets[i];
            struct crt_symbol **end = &buckets[hash(symbol->key) & (count - 1)];

            registry.buckets[i] = symbol->chain;
            while (*end)
                end = &(*end)->chain;
            symbol->chain = NULL;
            *end = symbol;
        }
    }
    free(registry.buckets);
    registry.buckets = buckets;
    registry.bucket_count = count;
    return true;
}

struct crt_symbol *crt_symbol_add(struct crt_image *image, enum crt_symbol_kind kind,
                                  const void *key, const char *name, size_t bytes)
{
    struct crt_symbol *symbol = calloc(1, sizeof(*symbol));

    if (!symbol)
        return NULL;
    symbol->kind = kind;
    symbol->key = key;
    symbol->name = name;
    symbol->image = image;
    symbol->bytes = bytes;
    crt_registry_lock();
    if (registry.symbol_count >= registry.bucket_count && !grow_locked() &&
        registry.bucket_count == 0) {
        crt_registry_unlock();
        free(symbol);
        return NULL;
    }
    struct crt_symbol **bucket = &registry.buckets[hash(key) & (registry.bucket_count - 1)];

    symbol->chain = *bucket;
    *bucket = symbol;
    registry.symbol_count++;
    if (image) {
        symbol->next = image->symbols;
        image->symbols = symbol;
    }
    crt_registry_unlock();
    return symbol;
}

static void remove_locked(struct crt_symbol *symbol)
{
    struct crt_symbol **link = &registry.buckets[hash(symbol->key) & (registry.bucket_count - 1)];

    while (*link && *link != symbol)
        link = &(*link)->chain;
    if (*link) {
        *link = symbol->chain;
        registry.symbol_count--;
    }
    free(symbol);
}

/* The newest record of a key that is a function, or that is a variable. */
static struct crt_symbol *find(const void *key, bool function)
{
    struct crt_symbol *symbol = NULL;

    (void)pthread_rwlock_rdlock(&registry.lock);
    if (registry.bucket_count) {
        symbol = registry.buckets[hash(key) & (registry.bucket_count - 1)];
        while (symbol && (symbol->key != key ||
                          (symbol->kind == CRT_KERNEL || symbol->kind == CRT_HANDLE) != function))
            symbol = symbol->chain;
    }
    crt_registry_unlock();
    return symbol;
}

static cudaError_t resolve_kernel(struct crt_symbol *symbol, CUkernel *kernel_out)
{
    CUkernel kernel = atomic_load_explicit(&symbol->kernel, memory_order_acquire);
    cudaError_t status;

    if (!kernel) {
        status = crt_image_load(symbol->image);
        if (status != cudaSuccess)
            return status;
        status = CRT_DRV(LibraryGetKernel, &kernel, symbol->image->library, symbol->name);
        if (status == cudaErrorSymbolNotFound)
            return cudaErrorInvalidDeviceFunction;
        if (status != cudaSuccess)
            return status;
        atomic_store_explicit(&symbol->kernel, kernel, memory_order_release);
    }
    *kernel_out = kernel;
    return cudaSuccess;
}

cudaError_t crt_kernel_find(const void *function, CUkernel *kernel_out)
{
    size_t slot = hash(function) & (CACHE_SLOTS - 1);
    unsigned changes = atomic_load_explicit(&registry.changes, memory_order_acquire);
    struct crt_symbol *symbol;
    cudaError_t status;

    if (cache[slot].key == function && cache[slot].changes == changes && cache[slot].kernel) {
        *kernel_out = cache[slot].kernel;
        return cudaSuccess;
    }
    symbol = find(function, true);
    if (!symbol)
        return cudaErrorInvalidDeviceFunction;
    status = resolve_kernel(symbol, kernel_out);
    if (status == cudaSuccess) {
        cache[slot].key = function;
        cache[slot].kernel = *kernel_out;
        cache[slot].changes = changes;
    }
    return status;
}

cudaError_t crt_kernel_remember(CUkernel kernel)
{
    struct crt_symbol *symbol;

    if (find(kernel, true))
        return cudaSuccess;
    symbol = crt_symbol_add(NULL, CRT_HANDLE, kernel, NULL, 0);
    if (!symbol)
        return cudaErrorMemoryAllocation;
    atomic_store(&symbol->kernel, kernel);
    return cudaSuccess;
}

cudaError_t crt_variable_find(const void *symbol, CUdeviceptr *address_out, size_t *bytes_out)
{
    struct crt_symbol *record = find(symbol, false);
    cudaError_t status;

    if (!record)
        return cudaErrorInvalidSymbol;
    status = crt_image_load(record->image);
    if (status != cudaSuccess)
        return status;
    if (record->kind == CRT_MANAGED)
        status = CRT_DRV(LibraryGetManaged, address_out, bytes_out, record->image->library,
                         record->name);
    else
        status =
            CRT_DRV(LibraryGetGlobal, address_out, bytes_out, record->image->library, record->name);
    return status == cudaErrorSymbolNotFound ? cudaErrorInvalidSymbol : status;
}

static bool is_eager(void)
{
    const char *mode = getenv("CUDA_MODULE_LOADING");

    return mode && strcasecmp(mode, "EAGER") == 0;
}

static struct crt_image *next_untried(void)
{
    struct crt_image *image;

    crt_registry_lock();
    image = registry.images;
    while (image && (image->tried_eagerly || !image->is_complete))
        image = image->next;
    if (image)
        image->tried_eagerly = true;
    crt_registry_unlock();
    return image;
}

void crt_registry_context_ready(void)
{
    struct crt_image *image;

    if (!is_eager())
        return;
    while ((image = next_untried()))
        (void)crt_image_load(image); /* what cannot be loaded is refused at its use */
}

static struct crt_image *image_of(void **handle)
{
    return (struct crt_image *)(void *)handle;
}

void **crt___cudaRegisterFatBinary(void *fat_cubin)
{
    struct crt_image *image = calloc(1, sizeof(*image));

    if (!image) {
        (void)crt_end(cudaErrorMemoryAllocation);
        return NULL;
    }
    image->code = fat_cubin;
    (void)pthread_mutex_init(&image->lock, NULL);
    crt_registry_lock();
    image->next = registry.images;
    registry.images = image;
    crt_registry_unlock();
    return (void **)image;
}

void crt___cudaRegisterFatBinaryEnd(void **fat_cubin_handle)
{
    if (!fat_cubin_handle)
        return;
    crt_registry_lock();
    image_of(fat_cubin_handle)->is_complete = true;
    crt_registry_unlock();
    if (crt_self.bound) /* before the first use of the driver the images wait for it */
        crt_registry_context_ready();
}

void crt___cudaUnregisterFatBinary(void **fat_cubin_handle)
{
    struct crt_image *image = image_of(fat_cubin_handle);
    struct crt_image **link = &registry.images;

    if (!image)
        return;
    crt_registry_lock();
    while (*link && *link != image)
        link = &(*link)->next;
    if (*link)
        *link = image->next;
    while (image->symbols) {
        struct crt_symbol *symbol = image->symbols;

        image->symbols = symbol->next;
        remove_locked(symbol);
    }
    atomic_fetch_add_explicit(&registry.changes, 1, memory_order_release);
    crt_registry_unlock();
    crt_image_unload(image);
    (void)pthread_mutex_destroy(&image->lock);
    free(image);
}

/* Registration cannot report: a record that is missing shows at its use, as 98 or 13. */
static struct crt_symbol *add(void **handle, enum crt_symbol_kind kind, const void *key,
                              const char *name, size_t bytes)
{
    struct crt_symbol *symbol;

    if (!handle)
        return NULL;
    symbol = crt_symbol_add(image_of(handle), kind, key, name, bytes);
    if (!symbol)
        (void)crt_end(cudaErrorMemoryAllocation);
    return symbol;
}

void crt___cudaRegisterFunction(void **fat_cubin_handle, const char *host_fun, char *device_fun,
                                const char *device_name, int thread_limit, uint3 *tid, uint3 *bid,
                                dim3 *block_dim, dim3 *grid_dim, int *warp_size)
{
    (void)device_fun;
    (void)thread_limit; /* -1 always: the image holds the limit */
    (void)tid;
    (void)bid;
    (void)block_dim;
    (void)grid_dim;
    (void)warp_size;
    (void)add(fat_cubin_handle, CRT_KERNEL, host_fun, device_name, 0);
}

void crt___cudaRegisterVar(void **fat_cubin_handle, char *host_var, char *device_address,
                           const char *device_name, int ext, size_t size, int constant, int global)
{
    (void)device_address;
    (void)ext;
    (void)constant;
    (void)global;
    (void)add(fat_cubin_handle, CRT_VARIABLE, host_var, device_name, size);
}

void crt___cudaRegisterManagedVar(void **fat_cubin_handle, void **host_var_ptr_address,
                                  char *device_address, const char *device_name, int ext,
                                  size_t size, int constant, int global)
{
    struct crt_symbol *symbol;

    (void)device_address;
    (void)ext;
    (void)constant;
    (void)global;
    symbol = add(fat_cubin_handle, CRT_MANAGED, host_var_ptr_address, device_name, size);
    if (symbol)
        symbol->managed = host_var_ptr_address;
}

char crt___cudaInitModule(void **fat_cubin_handle)
{
    cudaError_t status = fat_cubin_handle ? crt_begin(CRT_NEEDS_CONTEXT) : cudaErrorUnknown;

    if (status == cudaSuccess)
        status = crt_image_load(image_of(fat_cubin_handle));
    return crt_end(status) == cudaSuccess ? 1 : 0; /* 0 makes compiled code ask again */
}

cudaError_t crt___cudaGetKernel(cudaKernel_t *kernel, const void *host_fun)
{
    /* Compiled code asks once and keeps the answer for ever, so nothing may fail here that could
     * work later: the answer is the host function itself. It goes nowhere but to
     * __cudaLaunchKernel(), which looks it up as cudaLaunchKernel() does. */
    *kernel = (cudaKernel_t)(uintptr_t)host_fun;
    return cudaSuccess;
}
