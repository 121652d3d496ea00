/* SPDX-License-Identifier: Apache-2.0
 * fabricd/link.h - one connection between two daemons: whole messages and worker packets, in order.
 *
 * Over TCP it is TLS 1.3 with certificates of one CA on both ends (link_tls.c); inside one process
 * it is a plain socket pair. Frames: 4 bytes of length (big endian, of all that follows), 4 bytes
 * of channel, then the content: channel 0 is one JSON message (message.h), any other channel one
 * packet of a worker's socket (session/, at most LINK_PACKET_BYTES). A frame that breaks a bound
 * ends the link. Each end sends a ping when it has sent nothing for LINK_PING_NS, so silence means
 * something.
 *
 * Nothing blocks. What cannot be written is queued, at most LINK_QUEUE_BYTES, beyond which the link
 * ends: a peer that does not read is lost. Thread: the loop's.
 */
#ifndef FABRICD_LINK_H
#define FABRICD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct link;
struct link_tls;
struct link_listener;
struct loop;
struct message;

enum {
    LINK_MESSAGE_BYTES = 32 << 20, /* a fabric of 64 racks is 8 MB */
    LINK_PACKET_BYTES = 17 << 10,
    LINK_QUEUE_BYTES = 64 << 20
};
#define LINK_PING_NS UINT64_C(1000000000)
#define LINK_SILENCE_NS UINT64_C(5000000000) /* a peer that says nothing for so long is lost */

struct link_ops {
    /* Both ends have accepted each other; `peer` is the name in the peer's certificate (the link's
     * own name for a socket pair). Called once, before anything else but down(). */
    void (*up)(void *user, struct link *link, const char *peer);
    /* Borrowed for the call. */
    void (*message)(void *user, struct link *link, const struct message *message);
    void (*packet)(void *user, struct link *link, uint32_t channel, const void *bytes,
                   size_t count);
    /* The end, however it came, also of a link that was never up; the last call. The link is still
     * to be closed, in it or later. */
    void (*down)(void *user, struct link *link, const struct fab_err *why);
};

struct link_tls_files { /* PEM */
    const char *ca, *certificate, *key;
    const char *revoked; /* list of what the CA has revoked; NULL or "": none */
};

/* Reads all at once. FAB_ERR_IO, FAB_ERR_FORMAT, FAB_ERR_DENIED (a key that others may read) name
 * the file. */
FAB_NODISCARD enum fab_status link_tls_create(const struct link_tls_files *files,
                                              struct link_tls **tls_out, struct fab_err *err);
/* Reads them again, for links that begin from now on; those that are up stay. A failure, also a
 * certificate of another node (FAB_ERR_INVALID), leaves all as it was. */
FAB_NODISCARD enum fab_status
link_tls_reload(struct link_tls *tls, const struct link_tls_files *files, struct fab_err *err);
void link_tls_destroy(struct link_tls *tls); /* takes NULL */
/* The node's name in our certificate. */
const char *link_tls_name(const struct link_tls *tls);

/* Dials "ADDRESS:PORT" (numeric; IPv6 in brackets). Returns at once; up() or down() follows. The
 * peer's certificate must carry the name `peer` (NULL: any of the CA). */
FAB_NODISCARD enum fab_status link_dial(struct loop *loop, struct link_tls *tls,
                                        const char *address, const char *peer,
                                        const struct link_ops *ops, void *user,
                                        struct link **link_out, struct fab_err *err);
/* Over a connected stream socket, plain; the link owns `fd` also when this fails. `name` is what
 * up() says. */
FAB_NODISCARD enum fab_status link_adopt(struct loop *loop, int fd, const char *name,
                                         const struct link_ops *ops, void *user,
                                         struct link **link_out, struct fab_err *err);
/* The way to a peer in this process: one end of a new socket pair, whose other end that peer has.
 */
typedef enum fab_status (*link_pair)(void *user, int *fd_out, struct fab_err *err);

/* Listens; each new link gets `ops` and `user` until link_set_ops(). At most 10 s for a handshake.
 */
FAB_NODISCARD enum fab_status link_listen(struct loop *loop, struct link_tls *tls,
                                          const char *address, const struct link_ops *ops,
                                          void *user, struct link_listener **listener_out,
                                          struct fab_err *err);
/* Takes NULL. Links that were up stay, others are closed. */
void link_listener_close(struct link_listener *listener);
uint16_t link_listener_port(const struct link_listener *listener); /* of "ADDRESS:0" */

/* Hands the link on: later calls go to these. */
void link_set_ops(struct link *link, const struct link_ops *ops, void *user);
/* False: the link has ended (down() comes or has come); what was sent is lost then. A message that
 * message_check() refuses ends it. What is sent before up() waits for it. */
bool link_send(struct link *link, const struct message *message);
bool link_send_packet(struct link *link, uint32_t channel, const void *bytes, size_t count);
/* No more calls of ops. What is queued is still tried to be written, without waiting. Takes NULL.
 */
void link_close(struct link *link);
/* Tells the peer why, which its down() says, and closes. */
void link_refuse(struct link *link, const char *reason);

/* In every turn of the loop, for all links of it: pings and time limits. Returns when to come
 * again. */
uint64_t link_turn(struct loop *loop, uint64_t now_ns);

#endif /* FABRICD_LINK_H */
