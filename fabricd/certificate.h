/* SPDX-License-Identifier: Apache-2.0
 * fabricd/certificate.h - the certificates of a site: its own CA, its nodes, its users.
 *
 * What `compose cert` does. Everything is in one folder: ca.pem and ca.key, NAME.pem and NAME.key
 * of each node and user; keys (ECDSA P-256) with mode 0600. No certificate is ever overwritten. A
 * node's certificate proves a daemon to others and its HTTPS to clients; a user's proves a client
 * to HTTPS and never passes for a node (link_tls.c).
 */
#ifndef FABRICD_CERTIFICATE_H
#define FABRICD_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;

enum {
    CERTIFICATE_CA_DAYS = 3650, /* without another wish */
    CERTIFICATE_DAYS = 825,
    CERTIFICATE_DAYS_MAX = 36500,
    CERTIFICATE_NAMES_MAX = 32
};

/* A CA named `name`, valid for `days` (0: CERTIFICATE_CA_DAYS). FAB_ERR_EXISTS: there is one;
 * FAB_ERR_INVALID, FAB_ERR_RANGE: the wish; others from the file system. */
FAB_NODISCARD enum fab_status certificate_make_ca(const char *folder, const char *name,
                                                  uint32_t days, struct fab_err *err);

struct certificate_wish {
    const char *name; /* of the node, or of the user */
    bool is_user;
    const char *const *names; /* a node's others, for clients: host names, numeric addresses */
    size_t name_count;        /* at most CERTIFICATE_NAMES_MAX; of users 0 */
    uint32_t days;            /* 0: CERTIFICATE_DAYS, or as long as the CA if that is shorter */
};

/* Signed by the CA of the folder. FAB_ERR_EXISTS: a file of that name is there; FAB_ERR_NOT_FOUND:
 * no CA; FAB_ERR_RANGE: the CA ends before; FAB_ERR_FORMAT, FAB_ERR_DENIED: its files. */
FAB_NODISCARD enum fab_status
certificate_make(const char *folder, const struct certificate_wish *wish, struct fab_err *err);

/* Puts FOLDER/NAME.pem into the CA's list of what is not accepted any more, FOLDER/revoked.pem,
 * which is the one file that is ever written again (whole, or not at all). The list is valid as
 * long as the CA. FAB_ERR_NOT_FOUND: there is no such certificate; FAB_ERR_EXISTS: it stands there
 * already; FAB_ERR_FORMAT: it is not of this CA, or the list is not. */
FAB_NODISCARD enum fab_status certificate_revoke(const char *folder, const char *name,
                                                 struct fab_err *err);

struct certificate_lists {
    struct gnutls_x509_crl_int **items;
    unsigned count;
};

/* All lists in this text, which was read from `path`: each must be signed by a CA of `ca` (PEM,
 * too), else FAB_ERR_FORMAT. Given to the caller (certificate_free_lists). */
FAB_NODISCARD enum fab_status certificate_read_lists(const char *path, const char *ca,
                                                     const char *text,
                                                     struct certificate_lists *lists_out,
                                                     struct fab_err *err);
void certificate_free_lists(struct certificate_lists *lists);

/* A key file, given to the caller (certificate_free_key). FAB_ERR_DENIED: others may read it. */
FAB_NODISCARD enum fab_status certificate_read_key(const char *path, char **text_out,
                                                   size_t *bytes_out, struct fab_err *err);
void certificate_free_key(char *text, size_t bytes); /* wiped; takes NULL */

#endif /* FABRICD_CERTIFICATE_H */
