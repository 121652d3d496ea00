/* SPDX-License-Identifier: Apache-2.0
 * fabricd/http.h - HTTP on a unix socket, or HTTPS: requests come whole, answers may come later.
 *
 * libmicrohttpd inside the daemon's loop. A body is at most HTTP_BODY_BYTES; who asks is taken from
 * the unix socket (SO_PEERCRED), or from the client's certificate, which is verified here because
 * libmicrohttpd only asks for it. Thread: the loop's.
 */
#ifndef FABRICD_HTTP_H
#define FABRICD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

struct fab_err;
struct http;
struct loop;

enum { HTTP_BODY_BYTES = 64 * 1024, HTTP_CONNECTIONS_MAX = 512, HTTP_STREAM_BYTES = 4 << 20 };

struct http_request {
    uint64_t id; /* to answer it by; never 0, never used again */
    const char *method;
    const char *path; /* as it was sent: with its query, percent signs and all */
    const char *body; /* ends with a NUL that is not counted */
    size_t body_bytes;
    uid_t uid;
    pid_t pid; /* who connected; it may have gone since */
    /* HTTPS: uid and pid are nobody's then. */
    const char *token; /* the header X-Auth-Token; "": none */
    const char *name;  /* in the client's certificate of our authority; "": none */
};

/* All of a request has come. Borrowed for the call. */
typedef void (*http_handler)(void *user, const struct http_request *request);
/* Who asked has gone before the (whole) answer. */
typedef void (*http_gone)(void *user, uint64_t id);

/* Listens at the unix socket `path` (one that nobody listens at is replaced), made with `mode`.
 * FAB_ERR_BUSY: somebody listens there. */
FAB_NODISCARD enum fab_status http_create(struct loop *loop, const char *path, mode_t mode,
                                          http_handler handler, http_gone gone, void *user,
                                          struct http **http_out, struct fab_err *err);
/* HTTPS at "ADDRESS:PORT" (numeric; IPv6 in brackets) with PEM files. A client's certificate that
 * is not of `ca`, or in its list `revoked` (NULL or "": none), ends its connection; none at all is
 * let in without a name. */
struct http_network {
    const char *address, *ca, *certificate, *key, *revoked;
};
FAB_NODISCARD enum fab_status http_create_network(struct loop *loop,
                                                  const struct http_network *network,
                                                  http_handler handler, http_gone gone, void *user,
                                                  struct http **http_out, struct fab_err *err);
/* Reads the files again; where one has changed, open connections end, and new ones are of the new
 * files. A failure leaves the files as they were. */
FAB_NODISCARD enum fab_status
http_reload_network(struct http *http, const struct http_network *network, struct fab_err *err);
uint16_t http_port(const struct http *http); /* of "ADDRESS:0" */

/* Ends open connections and unlinks the socket. Takes NULL. */
void http_destroy(struct http *http);

/* `type` is the content's; `location` may be NULL. Copied. An id that is gone is ignored. */
void http_answer(struct http *http, uint64_t id, unsigned status, const char *type,
                 const char *location, const char *body, size_t body_bytes);

/* The same with all that can stand in front of a body; texts may be NULL. */
struct http_head {
    unsigned status;
    const char *type, *location;
    const char *allow; /* methods of the path */
    const char *token; /* X-Auth-Token of a new session */
};
void http_answer_head(struct http *http, uint64_t id, const struct http_head *head,
                      const char *body, size_t body_bytes);

/* A part of an answer that comes in parts; the first one decides status and type. Copied. Who reads
 * too slowly (HTTP_STREAM_BYTES wait) is cut off, and is gone. */
void http_stream(struct http *http, uint64_t id, unsigned status, const char *type,
                 const char *part, size_t part_bytes, bool is_last);

/* In every turn of the loop: libmicrohttpd's own time limits. Returns when to come again. */
uint64_t http_turn(struct http *http, uint64_t now_ns);

#endif /* FABRICD_HTTP_H */
