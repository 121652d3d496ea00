/* SPDX-License-Identifier: Apache-2.0
 * fabricd/store.h - what must outlive the manager: texts under keys, changed by transactions.
 *
 * The smallest interface that an embedded SQLite and an etcd cluster both serve: get, list, commit
 * with compares, watch, leases. Whoever holds a revision can say "only if nobody changed it since";
 * a commit is durable when it returns, and happens whole or not at all.
 *
 * Keys are paths ("gpu/c4130-1/GPU-..."), 1..STORE_KEY_BYTES-1 printable characters; values are
 * texts below STORE_VALUE_BYTES. Revisions count commits from 1 and are never used again. Thread:
 * one, the owner's. Calls block for the disk (about 2 ms a commit).
 */
#ifndef FABRICD_STORE_H
#define FABRICD_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fab_err;
struct store;

enum {
    STORE_KEY_BYTES = 256,
    STORE_VALUE_BYTES = 1 << 20,
    STORE_CHANGES_MAX = 1024 /* of one commit */
};

/* What a change expects of its key. */
#define STORE_ABSENT 0       /* there is no such key */
#define STORE_ANY UINT64_MAX /* whatever is there */

struct store_change {
    const char *key;   /* borrowed */
    const char *value; /* borrowed; NULL: the key goes */
    uint64_t expected; /* STORE_ABSENT, STORE_ANY, or the revision that the key must have */
    uint64_t lease_id; /* the key goes with this lease; 0: stays */
};

struct store_entry {
    const char *key, *value; /* borrowed, for the call that shows them */
    uint64_t revision;       /* of the commit that wrote it */
};

/* Opens "sqlite:PATH" (made if missing, in a folder that exists). FAB_ERR_INVALID: another form;
 * FAB_ERR_BUSY: another process has it open; FAB_ERR_FORMAT: not a store, or a newer version's. */
FAB_NODISCARD enum fab_status store_open(const char *where, struct store **store_out,
                                         struct fab_err *err);
void store_close(struct store *store); /* takes NULL */

/* The value is given to the caller (free). FAB_ERR_NOT_FOUND. revision_out may be NULL. */
FAB_NODISCARD enum fab_status store_get(struct store *store, const char *key, char **value_out,
                                        uint64_t *revision_out, struct fab_err *err);

/* Every key that begins with `prefix`, in the order of bytes, until `visit` returns something else
 * than FAB_OK, which is returned then. `visit` may not change the store. */
typedef enum fab_status (*store_visit)(void *user, const struct store_entry *entry,
                                       struct fab_err *err);
FAB_NODISCARD enum fab_status store_list(struct store *store, const char *prefix, store_visit visit,
                                         void *user, struct fab_err *err);

/* All changes or none. FAB_ERR_STALE: a key is not as expected (err names it; nothing changed);
 * FAB_ERR_NOT_FOUND: no such lease; FAB_ERR_IO: the disk refused (full, read only), the store stays
 * usable and as it was. Of two changes of one key the later counts. revision_out may be NULL. */
FAB_NODISCARD enum fab_status store_commit(struct store *store, const struct store_change *changes,
                                           size_t change_count, uint64_t *revision_out,
                                           struct fab_err *err);

/* Calls `seen` for every later change of a key that begins with `prefix` (value NULL: it went),
 * after it is durable, in the order of revisions, inside store_commit() or store_expire(); `seen`
 * may not change the store. Kept until the store closes. */
typedef void (*store_seen)(void *user, const struct store_entry *entry);
FAB_NODISCARD enum fab_status store_watch(struct store *store, const char *prefix, store_seen seen,
                                          void *user, struct fab_err *err);

/* A lease lives ttl_ms after its grant or last renewal; its keys go when it ends. After the store
 * was closed every lease starts again with its full time. FAB_ERR_NOT_FOUND: it has ended. */
FAB_NODISCARD enum fab_status store_lease_grant(struct store *store, uint32_t ttl_ms,
                                                uint64_t now_ns, uint64_t *lease_id_out,
                                                struct fab_err *err);
FAB_NODISCARD enum fab_status store_lease_renew(struct store *store, uint64_t lease_id,
                                                uint64_t now_ns, struct fab_err *err);
/* Ends a lease now. */
FAB_NODISCARD enum fab_status store_lease_end(struct store *store, uint64_t lease_id,
                                              struct fab_err *err);
/* Ends the leases whose time is over; *next_ns_out (may be NULL): when the next one is, or
 * UINT64_MAX. now_ns is of one clock that never goes back. */
FAB_NODISCARD enum fab_status store_expire(struct store *store, uint64_t now_ns,
                                           uint64_t *next_ns_out, struct fab_err *err);

#endif /* FABRICD_STORE_H */
