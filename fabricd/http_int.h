/* SPDX-License-Identifier: Apache-2.0
 * fabricd/http_int.h - what HTTPS adds to http.c: files, the listening socket, the client's name.
 */
#ifndef FABRICD_HTTP_INT_H
#define FABRICD_HTTP_INT_H

#include <stdbool.h>

#include "base/status.h"
#include "fabricd/certificate.h"
#include "fabricd/http.h"

enum { HTTP_NAME_BYTES = 192 };

/* What libmicrohttpd wants in memory, and keeps borrowed. */
struct http_files {
    char *ca, *certificate, *key;
    char *revoked_text;               /* NULL: there is no list */
    struct certificate_lists revoked; /* the same */
    char priorities[64];
};
FAB_NODISCARD enum fab_status http_files_read(const struct http_network *network,
                                              struct http_files **files_out, struct fab_err *err);
void http_files_free(struct http_files *files); /* takes NULL; the key is wiped */

FAB_NODISCARD enum fab_status http_listen_tcp(const char *address, int *fd_out,
                                              struct fab_err *err);

bool http_files_are_same(const struct http_files *a, const struct http_files *b);

/* The name in the client's certificate, "" if it showed none. False: it is not of our authority, or
 * revoked. `session` is a gnutls_session_t. */
bool http_peer_name(const struct http_files *files, void *session, char name[HTTP_NAME_BYTES]);

#endif /* FABRICD_HTTP_INT_H */
