/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_loop.h - a network inside the process, driven by a seeded script; for tests.
 *
 * Wires are opened with `context` = the network and `device` = a name. Between two devices lies a
 * link, whose fate, rate and delay a test sets, at once or when the n-th item crosses it. The same
 * seed, clock and order of polls give the same run. Bytes of a chunk are read when it is offered
 * and written when it lands, which may be long after its sender has given it up: so a core that
 * lets go of memory too early shows. Thread: any, locked; with threads the order is not repeatable.
 */
#ifndef UCX_TRANSPORT_XP_LOOP_H
#define UCX_TRANSPORT_XP_LOOP_H

#include "ucx-transport/xp_backend.h"

struct xp_loop;

extern const struct xp_backend xp_backend_loop;

enum xp_loop_fate {
    XP_LOOP_UP,
    XP_LOOP_SILENT, /* items wait; nobody is told */
    XP_LOOP_BROKEN, /* endpoints fail at both ends, items are lost, new ones fail too */
};

struct xp_loop_script {
    uint64_t seed;
    uint64_t delay_min_ns, delay_max_ns; /* for each item */
    uint32_t drop_permille;              /* of frames; chunks are never lost alone */
    uint32_t duplicate_permille;         /* of frames */
    uint32_t reorder_permille;           /* of frames: may overtake */
    uint32_t device_memory_mask;         /* beside host: what wires say they take directly */
    uint32_t same_host_mask; /* bit n: devices with that digit say they are for one host */
};

FAB_NODISCARD enum fab_status xp_loop_create(const struct fab_clock *clock,
                                             const struct xp_loop_script *script,
                                             struct xp_loop **loop_out);
void xp_loop_destroy(struct xp_loop *loop); /* takes NULL; all wires are closed */

/* The link between two devices, both wires, both directions. "*" as second name: all links of the
 * first device. */
void xp_loop_set(struct xp_loop *loop, const char *one, const char *other, enum xp_loop_fate fate);
void xp_loop_set_rate(struct xp_loop *loop, const char *one, const char *other,
                      uint64_t bytes_per_s); /* each direction; 0: unlimited */
/* The fate comes when `count` more items were delivered over the link. */
void xp_loop_set_after(struct xp_loop *loop, const char *one, const char *other, uint64_t count,
                       enum xp_loop_fate fate);
uint64_t xp_loop_delivered(struct xp_loop *loop, const char *one, const char *other);

/* A stranger's frame (or chunk) to a device's wire. */
void xp_loop_inject(struct xp_loop *loop, const char *device, bool bulk_wire, bool chunk,
                    const void *header, size_t header_bytes, const void *body, size_t body_bytes);

/* What crosses, before it is delivered: a test may look and change bytes. NULL: nothing. */
typedef void xp_loop_tap(void *user, const char *to_device, bool bulk_wire, uint8_t *header,
                         size_t header_bytes, uint8_t *body, size_t body_bytes);
void xp_loop_set_tap(struct xp_loop *loop, xp_loop_tap *tap, void *user);

#endif /* UCX_TRANSPORT_XP_LOOP_H */
