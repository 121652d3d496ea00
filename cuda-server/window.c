/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/window.c - see window.h.
 *
 * A window here is a second mapping of the transport's, so that it stays when the client's memory
 * goes while the driver still copies.
 */
#include "cuda-server/window.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "cuda-server/memory.h"

enum { PAGE_BYTES = 4096, LOOK_EVERY = 64 };

/* Memory that is registered with the driver, or is to be. */
struct window {
    struct fab_list link;
    uint64_t mem_id; /* 0: a place of host_map */
    void *bytes;
    uint64_t size_bytes;
    bool is_writable;
    const struct cudas_context *owner; /* whose registration it is; NULL: not registered */
};

struct cudas_windows {
    struct cudas_worker *worker;
    struct fab_mutex lock; /* guards what follows */
    struct fab_list windows;
    _Atomic bool has_new;   /* since the last look for stale ones */
    _Atomic uint32_t looks; /* asked for since */
};

enum fab_status cudas_windows_create(struct cudas_worker *worker,
                                     struct cudas_windows **windows_out, struct fab_err *err)
{
    struct cudas_windows *windows = fab_alloc_zeroed(1, sizeof(*windows));

    if (!windows)
        return fab_err_set(err, FAB_ERR_NOMEM, "windows");
    windows->worker = worker;
    fab_mutex_init(&windows->lock);
    fab_list_init(&windows->windows);
    *windows_out = windows;
    return FAB_OK;
}

void cudas_windows_destroy(struct cudas_windows *windows)
{
    struct fab_list *node;

    if (!windows)
        return;
    while ((node = fab_list_take(&windows->windows)) != NULL) {
        struct window *window = fab_list_object(node, struct window, link);

        (void)munmap(window->bytes, window->size_bytes);
        free(window);
    }
    fab_mutex_fini(&windows->lock);
    free(windows);
}

static CUresult register_locked(struct cudas_worker *worker, struct window *window,
                                const struct cudas_context *context)
{
    const unsigned flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
                           (window->is_writable ? 0 : CU_MEMHOSTREGISTER_READ_ONLY);
    CUresult result = worker->cu.cuMemHostRegister_v2(window->bytes, window->size_bytes, flags);

    if (result == CUDA_SUCCESS)
        window->owner = context;
    return result;
}

/* ---- windows for copies ---------------------------------------------------------------------- */

/* How large the client's memory is; the transport only says whether a range is in it. */
static uint64_t window_bytes(struct xp_conn *conn, uint64_t mem_id)
{
    uint64_t in = 1, out;

    if (!xp_mem_view(conn, mem_id, 0, in, /* write */ false))
        return 0;
    while (xp_mem_view(conn, mem_id, 0, in * 2, false))
        in *= 2;
    for (out = in * 2; out - in > 1;) {
        const uint64_t middle = in + (out - in) / 2;

        if (xp_mem_view(conn, mem_id, 0, middle, false))
            in = middle;
        else
            out = middle;
    }
    return in;
}

static struct window *window_find_locked(struct cudas_windows *windows, uint64_t mem_id)
{
    FAB_LIST_EACH(node, after, &windows->windows)
    {
        struct window *window = fab_list_object(node, struct window, link);

        if (window->mem_id == mem_id)
            return window;
    }
    return NULL;
}

static struct window *window_make_locked(struct cudas_windows *windows, uint64_t mem_id)
{
    struct xp_conn *conn = atomic_load(&windows->worker->conn);
    const uint64_t bytes = window_bytes(conn, mem_id);
    struct window *window = bytes > 0 ? fab_alloc_zeroed(1, sizeof(*window)) : NULL;
    void *view;

    if (!window)
        return NULL;
    view = xp_mem_view(conn, mem_id, 0, bytes, /* write */ false);
    /* A second mapping of the same shared pages. Source: mremap(2), old_size 0. */
    window->bytes = view ? mremap(view, 0, bytes, MREMAP_MAYMOVE) : MAP_FAILED;
    if (window->bytes == MAP_FAILED) {
        free(window);
        return NULL;
    }
    window->mem_id = mem_id;
    window->size_bytes = bytes;
    window->is_writable = xp_mem_view(conn, mem_id, 0, bytes, /* write */ true) != NULL;
    fab_list_insert(&windows->windows, &window->link);
    atomic_store(&windows->has_new, true);
    return window;
}

void *cudas_window_at(struct cudas_worker *worker, struct cudas_context *context,
                      const struct wire_window *wanted, uint64_t bytes, bool write)
{
    struct cudas_windows *windows = worker->windows;
    struct window *window;
    void *at = NULL;

    if (!atomic_load(&worker->same_host) || wanted->mem_id == 0)
        return NULL;
    fab_mutex_lock(&windows->lock);
    window = window_find_locked(windows, wanted->mem_id);
    if (!window)
        window = window_make_locked(windows, wanted->mem_id);
    if (window && !window->owner)
        (void)register_locked(worker, window, context); /* without it copies are only slower */
    if (window && (window->is_writable || !write) && wanted->offset <= window->size_bytes &&
        bytes <= window->size_bytes - wanted->offset)
        at = (char *)window->bytes + wanted->offset;
    fab_mutex_unlock(&windows->lock);
    return at;
}

void cudas_windows_reap(struct cudas_worker *worker)
{
    struct cudas_windows *windows = worker->windows;
    struct xp_conn *conn = atomic_load(&worker->conn);
    struct fab_list stale;
    struct fab_list *node;

    if (atomic_fetch_add(&windows->looks, 1) % LOOK_EVERY != 0 &&
        !atomic_exchange(&windows->has_new, false))
        return;
    fab_list_init(&stale);
    fab_mutex_lock(&windows->lock);
    FAB_LIST_EACH(at, after, &windows->windows)
    {
        struct window *window = fab_list_object(at, struct window, link);

        if (window->mem_id != 0 && !xp_mem_view(conn, window->mem_id, 0, 1, /* write */ false)) {
            fab_list_remove(at);
            fab_list_append(&stale, at);
        }
    }
    fab_mutex_unlock(&windows->lock);
    while ((node = fab_list_take(&stale)) != NULL) {
        struct window *window = fab_list_object(node, struct window, link);

        if (window->owner)
            (void)worker->cu.cuMemHostUnregister(window->bytes);
        (void)munmap(window->bytes, window->size_bytes);
        free(window);
    }
}

/* ---- contexts come and go -------------------------------------------------------------------- */

static void any_context(struct cudas_context *context, void *arg)
{
    struct cudas_context **found = arg;

    if (*found)
        return;
    cudas_object_ref(&context->object);
    *found = context;
}

/* An open context, entered, with a reference; NULL: there is none. */
static struct cudas_context *enter_any(struct cudas_worker *worker)
{
    struct cudas_context *found = NULL;

    cudas_context_each(worker, any_context, &found);
    if (found && cudas_enter(found) != CUDA_SUCCESS) {
        cudas_context_put(found);
        found = NULL;
    }
    return found;
}

void cudas_windows_adopt(struct cudas_worker *worker, struct cudas_context *context)
{
    fab_mutex_lock(&worker->windows->lock);
    FAB_LIST_EACH(node, after, &worker->windows->windows)
    {
        struct window *window = fab_list_object(node, struct window, link);

        if (!window->owner)
            (void)register_locked(worker, window, context);
    }
    fab_mutex_unlock(&worker->windows->lock);
}

void cudas_windows_forget(struct cudas_worker *worker, const struct cudas_context *context)
{
    struct cudas_context *heir;

    fab_mutex_lock(&worker->windows->lock);
    FAB_LIST_EACH(node, after, &worker->windows->windows)
    {
        struct window *window = fab_list_object(node, struct window, link);

        if (window->owner == context)
            window->owner = NULL;
    }
    fab_mutex_unlock(&worker->windows->lock);
    heir = enter_any(worker);
    if (heir)
        cudas_windows_adopt(worker, heir);
    cudas_context_put(heir);
}

/* ---- places for kernels ---------------------------------------------------------------------- */

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

/* Puts memory at its address: the client's own if it can be seen, else new. */
static bool place(struct cudas_worker *worker, const struct wire_host_map *m, bool *is_same_out)
{
    struct xp_conn *conn = atomic_load(&worker->conn);
    const bool is_held = cudas_memory_is_held(worker, m->address, m->bytes);
    void *view = NULL, *got;

    if (atomic_load(&worker->same_host) && m->window.mem_id != 0 &&
        m->window.offset % PAGE_BYTES == 0)
        view = xp_mem_view(conn, m->window.mem_id, m->window.offset, m->bytes, /* write */ true);
    got = mmap(pointer(m->address), m->bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                   (is_held ? MAP_FIXED : MAP_FIXED_NOREPLACE),
               -1, 0);
    if (got == MAP_FAILED)
        return false;
    if (got != pointer(m->address)) {
        (void)munmap(got, m->bytes);
        return false;
    }
    *is_same_out = view && mremap(view, 0, m->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, got) == got;
    return true;
}

void *cudas_window_place(struct cudas_worker *worker, uint64_t address, uint64_t bytes)
{
    void *found = NULL;

    if (cudas_vgpu_of_address(worker, address))
        return NULL;
    fab_mutex_lock(&worker->windows->lock);
    FAB_LIST_EACH(node, after, &worker->windows->windows)
    {
        const struct window *window = fab_list_object(node, struct window, link);
        const uint64_t base = (uintptr_t)window->bytes;

        if (window->mem_id == 0 && address >= base && bytes <= window->size_bytes &&
            address - base <= window->size_bytes - bytes)
            found = pointer(address);
    }
    fab_mutex_unlock(&worker->windows->lock);
    return found;
}

static void unplace(struct cudas_worker *worker, uint64_t address, uint64_t bytes)
{
    if (cudas_memory_is_held(worker, address, bytes))
        (void)mmap(pointer(address), bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    else
        (void)munmap(pointer(address), bytes);
}

static CUresult register_place(struct cudas_worker *worker, struct cudas_context *context,
                               uint64_t address, uint64_t bytes)
{
    struct window *window = fab_alloc_zeroed(1, sizeof(*window));
    CUdeviceptr device = 0;
    CUresult result;

    if (!window)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *window = (struct window){.bytes = pointer(address), .size_bytes = bytes, .is_writable = true};
    fab_mutex_lock(&worker->windows->lock);
    result = register_locked(worker, window, context);
    if (result == CUDA_SUCCESS) {
        result = worker->cu.cuMemHostGetDevicePointer_v2(&device, window->bytes, 0);
        if (result == CUDA_SUCCESS && device != address)
            result = CUDA_ERROR_NOT_SUPPORTED; /* kernels would need another address */
        if (result != CUDA_SUCCESS)
            (void)worker->cu.cuMemHostUnregister(window->bytes);
    }
    if (result == CUDA_SUCCESS)
        fab_list_insert(&worker->windows->windows, &window->link);
    else
        free(window);
    fab_mutex_unlock(&worker->windows->lock);
    return result;
}

static CUresult host_map(struct cudas_worker *worker, const struct wire_host_map *m,
                         bool *is_same_out)
{
    struct cudas_context *context;
    CUresult result;

    if (m->bytes == 0 || (m->address | m->bytes) % PAGE_BYTES != 0 ||
        m->address + m->bytes < m->address || m->kind > WIRE_HOST_MEMORY_MANAGED)
        return CUDA_ERROR_INVALID_VALUE;
    context = enter_any(worker);
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (place(worker, m, is_same_out)) {
        result = register_place(worker, context, m->address, m->bytes);
        if (result != CUDA_SUCCESS)
            unplace(worker, m->address, m->bytes);
    } else {
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    cudas_context_put(context);
    return result;
}

void cudas_on_host_map(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct wire_host_map_reply reply = {.same_memory = 0};
    struct wire_host_map m;
    struct wire_parts parts;
    bool is_same = false;
    CUresult result;

    if (!wire_get_host_map(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    result = host_map(worker, &m, &is_same);
    reply.same_memory = is_same;
    wire_put_host_map_reply(&reply, &parts);
    cudas_reply(worker, command, result, &parts);
}

void cudas_on_host_unmap(struct cudas_worker *worker, const struct cudas_command *command)
{
    struct cudas_context *context;
    struct window *found = NULL;
    struct wire_host_unmap m;

    if (!wire_get_host_unmap(command->bytes, command->size_bytes, &m)) {
        cudas_malformed(worker, command);
        return;
    }
    context = enter_any(worker);
    fab_mutex_lock(&worker->windows->lock);
    FAB_LIST_EACH(node, after, &worker->windows->windows)
    {
        struct window *window = fab_list_object(node, struct window, link);

        if (window->mem_id == 0 && window->bytes == pointer(m.address) &&
            window->size_bytes == m.bytes) {
            found = window;
            fab_list_remove(node);
        }
    }
    fab_mutex_unlock(&worker->windows->lock);
    if (found) {
        if (found->owner)
            (void)worker->cu.cuMemHostUnregister(found->bytes);
        unplace(worker, m.address, m.bytes);
        free(found);
    }
    cudas_reply(worker, command, found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE, NULL);
    cudas_context_put(context);
}
