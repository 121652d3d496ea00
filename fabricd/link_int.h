/* SPDX-License-Identifier: Apache-2.0
 * fabricd/link_int.h - what the files of a link know of each other: link.c (frames, queue, life),
 * link_dial.c (addresses, listener), link_tls.c (one TLS session).
 */
#ifndef FABRICD_LINK_INT_H
#define FABRICD_LINK_INT_H

#include "base/list.h"
#include "fabricd/link.h"

struct link_secure;
struct link_start;

enum { LINK_NAME_BYTES = 192 };

/* What has time limits: links and listeners, in loop_links(). */
struct link_timed {
    struct fab_list node;
    uint64_t due_ns;
    void (*turn)(struct link_timed *timed, uint64_t now_ns); /* sets due_ns; may call anybody */
};

/* How a link begins. */
struct link_start {
    struct loop *loop;
    struct link_tls *tls; /* NULL: plain */
    int fd;               /* connected, or on the way; the link's from now on, also on failure */
    bool is_listener;     /* it was accepted here */
    const char *name;     /* for messages, and the peer's name where it is plain */
    const char *peer;     /* the name that its certificate must carry; NULL: any */
    const struct link_ops *ops;
    void *user;
};
FAB_NODISCARD enum fab_status link_start(const struct link_start *start, struct link **link_out,
                                         struct fab_err *err);
/* Strangers were accepted here, and have never been up. */
size_t link_count_strangers(struct loop *loop);
void link_close_strangers(struct loop *loop, const void *user); /* with this user of their ops */

/* Over the connected, non-blocking `fd`, which stays the caller's. `peer` is what it must be
 * named; NULL: any node. */
FAB_NODISCARD enum fab_status link_secure_open(struct link_tls *tls, int fd, bool is_listener,
                                               const char *peer, struct link_secure **secure_out,
                                               struct fab_err *err);
/* Says goodbye if the socket takes it at once. Takes NULL. */
void link_secure_close(struct link_secure *secure);

/* FAB_ERR_AGAIN: when the socket is writable (*wants_write_out) or readable. FAB_ERR_AUTH: the peer
 * is not whom it should be, or we are not for it. */
FAB_NODISCARD enum fab_status link_secure_handshake(struct link_secure *secure,
                                                    bool *wants_write_out, struct fab_err *err);
/* Its certificate's, after the handshake. */
const char *link_secure_peer(const struct link_secure *secure);

/* FAB_OK: some bytes; FAB_ERR_AGAIN: none now; FAB_ERR_PEER_LOST: the end. */
FAB_NODISCARD enum fab_status link_secure_read(struct link_secure *secure, void *bytes,
                                               size_t count, size_t *count_out,
                                               struct fab_err *err);
/* After FAB_ERR_AGAIN the next call must have the same first `count` bytes. */
FAB_NODISCARD enum fab_status link_secure_write(struct link_secure *secure, const void *bytes,
                                                size_t count, size_t *count_out,
                                                struct fab_err *err);
/* Bytes that were taken from the socket and not read yet: the loop does not see them. */
bool link_secure_has_more(const struct link_secure *secure);

#endif /* FABRICD_LINK_INT_H */
