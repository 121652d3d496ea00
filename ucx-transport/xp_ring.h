/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ring.h - one direction of shared memory: bytes from one writer to one reader.
 *
 * The other process may write anything into the shared part at any time, so each end keeps its own
 * position privately, checks what it reads of the other's, and copies bytes out before looking at
 * them. Sleeping is announced in the ring; waking is the caller's (a socket). The writer's core
 * stands in it, too: a hint, and no more. Thread: one at each end.
 */
#ifndef UCX_TRANSPORT_XP_RING_H
#define UCX_TRANSPORT_XP_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XP_RING_LINE_BYTES = 64, XP_RING_HEAD_BYTES = 4096 }; /* the data begin on a page */

/* What lies in shared memory, on lines of their own. */
struct xp_ring_shared {
    _Alignas(XP_RING_LINE_BYTES) _Atomic uint64_t written; /* by the writer */
    _Atomic uint32_t writer_waits;                         /* wake me when there is room */
    _Atomic uint32_t closed; /* by the writer: what the ring speaks of is not its own any more */
    _Atomic uint32_t writer_core; /* where the writer last ran, + 1; 0: not known */
    _Alignas(XP_RING_LINE_BYTES) _Atomic uint64_t read; /* by the reader */
    _Atomic uint32_t reader_waits;                      /* wake me when there are bytes */
};

/* One end's own view. */
struct xp_ring {
    struct xp_ring_shared *shared;
    uint8_t *data;
    uint64_t capacity; /* a power of two */
    uint64_t position; /* ours: written or read */
    uint64_t other;    /* theirs, as last seen */
    uint64_t released; /* reader: up to here the room was given back */
    bool broken;       /* theirs cannot be: trust nothing any more */
};

/* `memory` is XP_RING_HEAD_BYTES + capacity bytes, zeroed before the first use. */
void xp_ring_init(struct xp_ring *ring, void *memory, uint64_t capacity);

/* Writer: room now, and what to write there. write() takes at most room; nothing is seen before
 * publish(), which says whether the reader must be woken. */
uint64_t xp_ring_room(struct xp_ring *ring);
void xp_ring_write(struct xp_ring *ring, const void *bytes, size_t size_bytes);
/* The next bytes in one piece, to be written or copied out, and counted as such; NULL: the ring's
 * end is among them. */
uint8_t *xp_ring_pass(struct xp_ring *ring, size_t size_bytes);
bool xp_ring_publish(struct xp_ring *ring);
bool xp_ring_writer_sleeps(struct xp_ring *ring, uint64_t wanted); /* false: there is room */
bool xp_ring_is_read(struct xp_ring *ring, uint64_t position);     /* all before it is released */
void xp_ring_close(struct xp_ring *ring);     /* a reader that is not told so read good memory */
void xp_ring_tell_core(struct xp_ring *ring); /* publish() does, too */

/* Reader: bytes there now. read() with NULL skips. release() gives the room back and says whether
 * the writer must be woken; release_soon() does it when that is an eighth of the ring: a fence for
 * each few bytes would be most of their cost. Who is going to sleep has released all. */
uint64_t xp_ring_available(struct xp_ring *ring);
bool xp_ring_has_news(const struct xp_ring *ring); /* a cheap look: worth to ask for more */
void xp_ring_read(struct xp_ring *ring, void *bytes, size_t size_bytes);
bool xp_ring_release(struct xp_ring *ring);
bool xp_ring_release_soon(struct xp_ring *ring);
bool xp_ring_reader_sleeps(struct xp_ring *ring);     /* false: there are bytes */
bool xp_ring_is_closed(struct xp_ring *ring);         /* what was read until now may be bad */
bool xp_ring_shares_core(const struct xp_ring *ring); /* the writer last ran where we do */

#endif /* UCX_TRANSPORT_XP_RING_H */
