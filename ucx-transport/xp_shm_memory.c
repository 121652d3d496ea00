/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_shm_memory.c - registered memory that a peer on this host maps (windows).
 *
 * The owner passes the memfd's descriptor, read-only unless the peer may write, to every peer that
 * has proved its key. The peer maps it at first use, and only a memfd that cannot shrink: pages
 * that vanish would be a SIGBUS. Thread: any, under the wire's lock.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ucx-transport/xp_shm_int.h"

/* ---------------------------------------------------------------- the owner */

/* A descriptor for peers. Opened anew, so that "read-only" holds for them. */
static int open_for_peers(int fd, bool writable)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
}

enum fab_status shm_mem_register(struct xp_wire *wire, const struct xp_mem_config *config,
                                 uint64_t mem_id, void **registration_out, struct fab_err *err)
{
    struct shm_memory *memory;

    if (wire->config.bulk || config->fd < 0 || config->memory != XP_MEMORY_HOST)
        return FAB_ERR_UNSUPPORTED; /* views go by the control wire */
    memory = fab_alloc_zeroed(1, sizeof(*memory));
    if (!memory)
        return fab_err_set(err, FAB_ERR_NOMEM, "memory record");
    memory->fd = open_for_peers(config->fd, config->peer_writable);
    if (memory->fd < 0) {
        free(memory);
        return fab_err_set(err, FAB_ERR_IO, "opening registered memory for peers");
    }
    memory->wire = wire;
    memory->word = (struct shm_memory_word){.id = mem_id,
                                            .offset = config->fd_offset,
                                            .size_bytes = config->size_bytes,
                                            .writable = config->peer_writable};
    fab_mutex_lock(&wire->lock);
    fab_list_append(&wire->memories, &memory->link);
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (ep->proved)
            (void)shm_say(ep->fd, SHM_WORD_MEMORY, &memory->word, memory->fd);
    }
    fab_mutex_unlock(&wire->lock);
    *registration_out = memory;
    return FAB_OK;
}

void shm_mem_unregister(struct xp_wire *wire, void *registration)
{
    struct shm_memory *memory = registration;

    fab_mutex_lock(&wire->lock);
    fab_list_remove(&memory->link);
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (ep->proved)
            (void)shm_say(ep->fd, SHM_WORD_FORGET, &memory->word, /* passed_fd */ -1);
    }
    fab_mutex_unlock(&wire->lock);
    (void)close(memory->fd);
    free(memory);
}

void shm_memory_tell_all_locked(struct xp_ep *ep)
{
    FAB_LIST_EACH(node, after, &ep->wire->memories)
    {
        struct shm_memory *memory = fab_list_object(node, struct shm_memory, link);

        (void)shm_say(ep->fd, SHM_WORD_MEMORY, &memory->word, memory->fd);
    }
}

/* ---------------------------------------------------------------- the peer */

static struct shm_view *find_locked(struct xp_ep *ep, uint64_t id)
{
    FAB_LIST_EACH(node, after, &ep->views)
    {
        struct shm_view *view = fab_list_object(node, struct shm_view, link);

        if (view->word.id == id)
            return view;
    }
    return NULL;
}

static void view_free(struct shm_view *view)
{
    fab_list_remove(&view->link);
    if (view->mapped)
        (void)munmap(view->mapped, view->word.size_bytes);
    (void)close(view->fd);
    free(view);
}

void shm_view_add(struct xp_ep *ep, const struct shm_memory_word *word, int fd)
{
    struct shm_view *view = fab_alloc_zeroed(1, sizeof(*view));

    fab_mutex_lock(&ep->wire->lock);
    if (!view || find_locked(ep, word->id)) {
        (void)close(fd);
        free(view);
    } else {
        view->word = *word;
        view->fd = fd;
        fab_list_append(&ep->views, &view->link);
    }
    fab_mutex_unlock(&ep->wire->lock);
}

void shm_view_forget(struct xp_ep *ep, uint64_t id)
{
    struct shm_view *view;

    fab_mutex_lock(&ep->wire->lock);
    view = find_locked(ep, id);
    if (view)
        view_free(view);
    fab_mutex_unlock(&ep->wire->lock);
}

void shm_views_free(struct xp_ep *ep)
{
    fab_mutex_lock(&ep->wire->lock);
    FAB_LIST_EACH(node, after, &ep->views)
    view_free(fab_list_object(node, struct shm_view, link));
    fab_mutex_unlock(&ep->wire->lock);
}

static void map(struct shm_view *view)
{
    int seals = fcntl(view->fd, F_GET_SEALS);
    struct stat info;
    void *mapped;

    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(view->fd, &info) != 0 ||
        view->word.offset > (uint64_t)info.st_size ||
        view->word.size_bytes > (uint64_t)info.st_size - view->word.offset)
        return;
    mapped = mmap(NULL, view->word.size_bytes, PROT_READ | (view->word.writable ? PROT_WRITE : 0),
                  MAP_SHARED, view->fd, (off_t)view->word.offset);
    view->mapped = mapped == MAP_FAILED ? NULL : mapped;
}

void *shm_view(struct xp_ep *ep, uint64_t mem_id, uint64_t offset, size_t size_bytes, bool write)
{
    struct shm_view *view;
    void *address = NULL;

    fab_mutex_lock(&ep->wire->lock);
    view = find_locked(ep, mem_id);
    if (view && !view->mapped)
        map(view);
    if (view && view->mapped && (!write || view->word.writable) &&
        offset <= view->word.size_bytes && size_bytes <= view->word.size_bytes - offset)
        address = (char *)view->mapped + offset;
    fab_mutex_unlock(&ep->wire->lock);
    return address;
}
