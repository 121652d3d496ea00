/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_shm_memory.c - registered memory that a peer on this host maps (windows).
 *
 * The owner passes the memfd's descriptor, read-only unless the peer may write, to every peer that
 * has proved its key. The peer maps it and keeps no descriptor; it takes only a memfd that cannot
 * shrink: pages that vanish would be a SIGBUS. A control wire's windows are for xp_mem_view(), a
 * bulk wire's for chunks, which a peer copies from there. Thread: any, under the wire's lock.
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

/* What could not be said is said when the socket has room. */
static void say_locked(struct xp_ep *ep, struct shm_memory *memory)
{
    if (!ep->behind && fab_map_put(&ep->told, memory->word.id, memory) == FAB_OK) {
        if (shm_say(ep->fd, SHM_WORD_MEMORY, &memory->word, memory->fd))
            return;
        (void)fab_map_remove(&ep->told, memory->word.id);
    }
    if (!ep->behind)
        shm_watch_room(ep, true);
    ep->behind = true;
}

static void forget_locked(struct xp_ep *ep, const struct shm_memory *memory)
{
    if (!fab_map_remove(&ep->told, memory->word.id))
        return;
    if (!ep->behind && shm_say(ep->fd, SHM_WORD_FORGET, &memory->word, /* passed_fd */ -1))
        return;
    /* Without memory for this the peer keeps its mapping until the endpoint's end: ids never come
     * again, so it is harmless. */
    (void)!fab_vec_push(&ep->forgets, &memory->word.id);
    if (!ep->behind)
        shm_watch_room(ep, true);
    ep->behind = true;
}

void shm_memory_tell_locked(struct xp_ep *ep)
{
    struct shm_memory_word word = {0};

    ep->behind = false;
    while (ep->forgets.count > 0) {
        word.id = *fab_vec_at(&ep->forgets, uint64_t, ep->forgets.count - 1);
        if (!shm_say(ep->fd, SHM_WORD_FORGET, &word, /* passed_fd */ -1)) {
            ep->behind = true;
            break;
        }
        (void)fab_vec_pop(&ep->forgets, NULL);
    }
    FAB_LIST_EACH(node, after, &ep->wire->memories)
    {
        struct shm_memory *memory = fab_list_object(node, struct shm_memory, link);

        if (!ep->behind && !fab_map_find(&ep->told, memory->word.id))
            say_locked(ep, memory);
    }
    shm_watch_room(ep, ep->behind);
}

enum fab_status shm_mem_register(struct xp_wire *wire, const struct xp_mem_config *config,
                                 uint64_t mem_id, void **registration_out, struct fab_err *err)
{
    struct shm_memory *memory;

    if (config->fd < 0 || config->memory != XP_MEMORY_HOST)
        return FAB_ERR_UNSUPPORTED;
    memory = fab_alloc_zeroed(1, sizeof(*memory));
    if (!memory)
        return fab_err_set(err, FAB_ERR_NOMEM, "memory record");
    memory->fd = open_for_peers(config->fd, config->peer_writable && !wire->config.bulk);
    if (memory->fd < 0) {
        free(memory);
        return fab_err_set(err, FAB_ERR_IO, "opening registered memory for peers");
    }
    memory->wire = wire;
    memory->address = config->address;
    memory->word =
        (struct shm_memory_word){.id = mem_id,
                                 .offset = config->fd_offset,
                                 .size_bytes = config->size_bytes,
                                 .writable = config->peer_writable && !wire->config.bulk};
    fab_mutex_lock(&wire->lock);
    fab_list_append(&wire->memories, &memory->link);
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (ep->proved)
            say_locked(ep, memory);
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
    forget_locked(fab_list_object(node, struct xp_ep, link), memory);
    fab_mutex_unlock(&wire->lock);
    (void)close(memory->fd);
    free(memory);
}

bool shm_memory_lends(struct xp_ep *ep, const struct xp_buffer *bytes, uint64_t *id_out,
                      uint64_t *offset_out)
{
    const struct shm_memory *memory = bytes->registration;
    const char *address = bytes->address;
    bool lends = false;

    if (!memory)
        return false;
    fab_mutex_lock(&ep->wire->lock);
    if (address >= memory->address &&
        (uint64_t)(address - memory->address) <= memory->word.size_bytes &&
        bytes->size_bytes <= memory->word.size_bytes - (uint64_t)(address - memory->address)) {
        lends = fab_map_find(&ep->told, memory->word.id) == memory;
        *id_out = memory->word.id;
        *offset_out = (uint64_t)(address - memory->address);
    }
    fab_mutex_unlock(&ep->wire->lock);
    return lends;
}

/* ---------------------------------------------------------------- the peer */

static void view_free(struct shm_view *view)
{
    (void)munmap(view->mapped, view->word.size_bytes);
    free(view);
}

static void *map(const struct shm_memory_word *word, int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat info;
    void *mapped;

    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &info) != 0 ||
        word->offset > (uint64_t)info.st_size ||
        word->size_bytes > (uint64_t)info.st_size - word->offset)
        return NULL;
    mapped = mmap(NULL, word->size_bytes, PROT_READ | (word->writable ? PROT_WRITE : 0), MAP_SHARED,
                  fd, (off_t)word->offset);
    return mapped == MAP_FAILED ? NULL : mapped;
}

void shm_view_add(struct xp_ep *ep, const struct shm_memory_word *word, int fd)
{
    struct shm_view *view = fab_alloc_zeroed(1, sizeof(*view));
    void *mapped = view ? map(word, fd) : NULL;

    if (!mapped) {
        free(view);
        return;
    }
    *view = (struct shm_view){.word = *word, .mapped = mapped};
    fab_mutex_lock(&ep->wire->lock);
    if (fab_map_find(&ep->views, word->id) || fab_map_put(&ep->views, word->id, view) != FAB_OK)
        view_free(view);
    fab_mutex_unlock(&ep->wire->lock);
}

void shm_view_forget(struct xp_ep *ep, uint64_t id)
{
    struct shm_view *view;

    fab_mutex_lock(&ep->wire->lock);
    view = fab_map_remove(&ep->views, id);
    if (view)
        view_free(view);
    fab_mutex_unlock(&ep->wire->lock);
}

void shm_views_free(struct xp_ep *ep)
{
    const struct fab_map_entry *entry;
    size_t cursor = 0;

    fab_mutex_lock(&ep->wire->lock);
    while ((entry = fab_map_next(&ep->views, &cursor)) != NULL)
        view_free(entry->value);
    fab_map_fini(&ep->views);
    fab_map_fini(&ep->told);
    fab_vec_fini(&ep->forgets);
    fab_mutex_unlock(&ep->wire->lock);
}

/* The owner told of its memory before it sent what names it, but by the socket: what came by the
 * ring may be ahead of that. */
static bool is_known(struct xp_ep *ep, uint64_t mem_id)
{
    bool known;

    fab_mutex_lock(&ep->wire->lock);
    known = fab_map_find(&ep->views, mem_id) != NULL;
    fab_mutex_unlock(&ep->wire->lock);
    return known;
}

void *shm_view(struct xp_ep *ep, uint64_t mem_id, uint64_t offset, size_t size_bytes, bool write)
{
    const struct shm_view *view;
    void *address = NULL;

    if (!is_known(ep, mem_id) && !shm_ep_take_words(ep))
        return NULL; /* the peer is gone; its own watch says so */
    fab_mutex_lock(&ep->wire->lock);
    view = fab_map_find(&ep->views, mem_id);
    if (view && (!write || view->word.writable) && offset <= view->word.size_bytes &&
        size_bytes <= view->word.size_bytes - offset)
        address = (char *)view->mapped + offset;
    fab_mutex_unlock(&ep->wire->lock);
    return address;
}
