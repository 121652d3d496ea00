/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ring.c - see xp_ring.h.
 */
#include "ucx-transport/xp_ring.h"

#include <sched.h>
#include <string.h>

void xp_ring_init(struct xp_ring *ring, void *memory, uint64_t capacity)
{
    *ring = (struct xp_ring){
        .shared = memory, .data = (uint8_t *)memory + XP_RING_HEAD_BYTES, .capacity = capacity};
}

/* ---------------------------------------------------------------- writing */

static void see_reader(struct xp_ring *ring)
{
    uint64_t read = atomic_load_explicit(&ring->shared->read, memory_order_acquire);

    if (ring->position - read > ring->capacity || read < ring->other)
        ring->broken = true;
    else
        ring->other = read;
}

uint64_t xp_ring_room(struct xp_ring *ring)
{
    see_reader(ring);
    return ring->broken ? 0 : ring->capacity - (ring->position - ring->other);
}

void xp_ring_write(struct xp_ring *ring, const void *bytes, size_t size_bytes)
{
    uint64_t at = ring->position & (ring->capacity - 1);
    size_t first = size_bytes;

    if (size_bytes == 0)
        return;
    if (first > ring->capacity - at)
        first = ring->capacity - at;
    memcpy(ring->data + at, bytes, first);
    memcpy(ring->data, (const uint8_t *)bytes + first, size_bytes - first);
    ring->position += size_bytes;
}

uint8_t *xp_ring_pass(struct xp_ring *ring, size_t size_bytes)
{
    uint64_t at = ring->position & (ring->capacity - 1);

    if (size_bytes > ring->capacity - at)
        return NULL;
    ring->position += size_bytes;
    return ring->data + at;
}

/* 0: not known. The C library reads it from memory that the kernel keeps for each thread. */
static uint32_t own_core(void)
{
    int core = sched_getcpu();

    return core < 0 ? 0 : (uint32_t)core + 1;
}

void xp_ring_tell_core(struct xp_ring *ring)
{
    atomic_store_explicit(&ring->shared->writer_core, own_core(), memory_order_relaxed);
}

bool xp_ring_publish(struct xp_ring *ring)
{
    xp_ring_tell_core(ring);
    atomic_store_explicit(&ring->shared->written, ring->position, memory_order_release);
    /* Pairs with the fence in xp_ring_reader_sleeps(). */
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ring->shared->reader_waits, memory_order_relaxed) &&
           atomic_exchange(&ring->shared->reader_waits, 0);
}

bool xp_ring_writer_sleeps(struct xp_ring *ring, uint64_t wanted)
{
    atomic_store(&ring->shared->writer_waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (xp_ring_room(ring) < wanted)
        return true;
    atomic_store(&ring->shared->writer_waits, 0);
    return false;
}

bool xp_ring_is_read(struct xp_ring *ring, uint64_t position)
{
    see_reader(ring);
    return !ring->broken && ring->position - position >= ring->position - ring->other;
}

void xp_ring_close(struct xp_ring *ring)
{
    atomic_store(&ring->shared->closed, 1);
    /* Before whatever happens to the memory from now on; pairs with xp_ring_is_closed(). */
    atomic_thread_fence(memory_order_seq_cst);
}

/* ---------------------------------------------------------------- reading */

uint64_t xp_ring_available(struct xp_ring *ring)
{
    uint64_t written = atomic_load_explicit(&ring->shared->written, memory_order_acquire);

    if (written - ring->position > ring->capacity || written < ring->other)
        ring->broken = true;
    else
        ring->other = written;
    return ring->broken ? 0 : ring->other - ring->position;
}

bool xp_ring_has_news(const struct xp_ring *ring)
{
    return atomic_load_explicit(&ring->shared->written, memory_order_relaxed) != ring->position;
}

void xp_ring_read(struct xp_ring *ring, void *bytes, size_t size_bytes)
{
    uint64_t at = ring->position & (ring->capacity - 1);
    size_t first = size_bytes;

    if (first > ring->capacity - at)
        first = ring->capacity - at;
    if (bytes && size_bytes) {
        memcpy(bytes, ring->data + at, first);
        memcpy((uint8_t *)bytes + first, ring->data, size_bytes - first);
    }
    ring->position += size_bytes;
}

bool xp_ring_release(struct xp_ring *ring)
{
    ring->released = ring->position;
    atomic_store_explicit(&ring->shared->read, ring->position, memory_order_release);
    /* Pairs with the fence in xp_ring_writer_sleeps(). */
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ring->shared->writer_waits, memory_order_relaxed) &&
           atomic_exchange(&ring->shared->writer_waits, 0);
}

bool xp_ring_release_soon(struct xp_ring *ring)
{
    enum { SHARE = 8 };

    return ring->position - ring->released >= ring->capacity / SHARE && xp_ring_release(ring);
}

bool xp_ring_reader_sleeps(struct xp_ring *ring)
{
    atomic_store(&ring->shared->reader_waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (xp_ring_available(ring) == 0 && !ring->broken)
        return true;
    atomic_store(&ring->shared->reader_waits, 0);
    return false;
}

bool xp_ring_is_closed(struct xp_ring *ring)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ring->shared->closed, memory_order_relaxed) != 0;
}

bool xp_ring_shares_core(const struct xp_ring *ring)
{
    uint32_t theirs = atomic_load_explicit(&ring->shared->writer_core, memory_order_relaxed);

    return theirs != 0 && theirs == own_core();
}
