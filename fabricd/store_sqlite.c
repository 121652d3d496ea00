/* SPDX-License-Identifier: Apache-2.0
 * fabricd/store_sqlite.c - the store in one SQLite file: the default, for one manager.
 *
 * Write-ahead log with synchronous=FULL: what was acknowledged survives a crash of the process and
 * of the machine. The file is locked for as long as it is open (locking_mode=EXCLUSIVE), so a
 * second manager is refused instead of sharing. user_version numbers the schema. Source:
 * sqlite.org, "Write-Ahead Logging" and "PRAGMA statements".
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/vec.h"
#include "fabricd/store.h"

enum {
    SCHEMA_VERSION = 1,
    BUSY_WAIT_MS = 100, /* for a predecessor that is just ending */
    NS_PER_MS = 1000000
};

static const char schema_text[] =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA foreign_keys=ON;"
    "BEGIN IMMEDIATE;" /* takes the lock now, not at the first commit */
    "CREATE TABLE IF NOT EXISTS counter(name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS lease(id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS entry(key TEXT PRIMARY KEY, value TEXT NOT NULL,"
    " revision INTEGER NOT NULL, lease INTEGER REFERENCES lease(id)) STRICT, WITHOUT ROWID;"
    "INSERT OR IGNORE INTO counter VALUES ('revision', 0), ('lease', 0);"
    "PRAGMA user_version=1;"
    "COMMIT;";

enum query {
    QUERY_GET,
    QUERY_LIST,
    QUERY_PUT,
    QUERY_REMOVE,
    QUERY_COUNT_UP,
    QUERY_LEASE_ADD,
    QUERY_LEASE_KEYS,
    QUERY_LEASE_REMOVE,
    QUERY_LEASES,
    QUERY_COUNT
};

static const char *const query_texts[QUERY_COUNT] = {
    [QUERY_GET] = "SELECT key, value, revision FROM entry WHERE key = ?1",
    /* All keys from the prefix on; the reader stops at the first other one. */
    [QUERY_LIST] = "SELECT key, value, revision FROM entry WHERE key >= ?1 ORDER BY key",
    [QUERY_PUT] = "INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3, ?4)",
    [QUERY_REMOVE] = "DELETE FROM entry WHERE key = ?1",
    [QUERY_COUNT_UP] = "UPDATE counter SET number = number + 1 WHERE name = ?1 RETURNING number",
    [QUERY_LEASE_ADD] = "INSERT INTO lease VALUES (?1, ?2)",
    [QUERY_LEASE_KEYS] = "SELECT key, value, revision FROM entry WHERE lease = ?1 ORDER BY key",
    [QUERY_LEASE_REMOVE] = "DELETE FROM lease WHERE id = ?1",
    [QUERY_LEASES] = "SELECT id, ttl_ms FROM lease",
};

struct watch {
    char *prefix;
    store_seen seen;
    void *user;
};

struct lease {
    uint64_t id;
    uint64_t ttl_ns;
    uint64_t deadline_ns; /* 0: from before this opening, starts at the first store_expire() */
};

/* Thread: one, the owner's. */
struct store {
    char *path;
    sqlite3 *database;
    sqlite3_stmt *queries[QUERY_COUNT];
    struct fab_vec watches; /* struct watch */
    struct fab_vec leases;  /* struct lease */
};

/* ---- SQLite's results -------------------------------------------------------------------------
 */

static enum fab_status failed(struct store *store, int code, const char *what, struct fab_err *err)
{
    enum fab_status status = FAB_ERR_IO;
    const char *cure = "";

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        status = FAB_ERR_BUSY;
        cure = "; another process has it open: is a second fabricd running?";
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        status = FAB_ERR_FORMAT;
        cure = "; this is no store, or a damaged one: restore a copy, or move it away";
        break;
    case SQLITE_NOMEM:
        status = FAB_ERR_NOMEM;
        break;
    case SQLITE_FULL:
        cure = "; free some space on its disk and try again";
        break;
    default:
        break;
    }
    return fab_err_foreign(err, status, "sqlite", code, "%s: %s: %s%s", store->path, what,
                           store->database ? sqlite3_errmsg(store->database) : sqlite3_errstr(code),
                           cure);
}

static enum fab_status run_text(struct store *store, const char *text, const char *what,
                                struct fab_err *err)
{
    const int code = sqlite3_exec(store->database, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? FAB_OK : failed(store, code, what, err);
}

/* One statement that gives no rows. */
static enum fab_status run(struct store *store, enum query query, const char *what,
                           struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[query];
    const int code = sqlite3_step(statement);
    const enum fab_status status = code == SQLITE_DONE ? FAB_OK : failed(store, code, what, err);

    (void)sqlite3_reset(statement); /* says again what step said */
    (void)sqlite3_clear_bindings(statement);
    return status;
}

static void bind_text(struct store *store, enum query query, int place, const char *text)
{
    /* Fails only for a bad place or a text above 1 GB; the texts live until the statement ends. */
    (void)sqlite3_bind_text(store->queries[query], place, text, -1, SQLITE_STATIC);
}

static void bind_number(struct store *store, enum query query, int place, uint64_t number)
{
    (void)sqlite3_bind_int64(store->queries[query], place, (sqlite3_int64)number);
}

static struct store_entry row_entry(sqlite3_stmt *statement)
{
    return (struct store_entry){.key = (const char *)sqlite3_column_text(statement, 0),
                                .value = (const char *)sqlite3_column_text(statement, 1),
                                .revision = (uint64_t)sqlite3_column_int64(statement, 2)};
}

static enum fab_status count_up(struct store *store, const char *name, uint64_t *number_out,
                                struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[QUERY_COUNT_UP];
    int code;

    bind_text(store, QUERY_COUNT_UP, 1, name);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *number_out = (uint64_t)sqlite3_column_int64(statement, 0);
        code = sqlite3_step(statement); /* to the end, or the change is not made */
    }
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? FAB_OK : failed(store, code, "counting up", err);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static enum fab_status check_version(struct store *store, struct fab_err *err)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(store->database, "PRAGMA user_version", -1, &statement, NULL);
    int version = 0;

    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            version = sqlite3_column_int(statement, 0);
        (void)sqlite3_finalize(statement);
    }
    if (code != SQLITE_ROW)
        return failed(store, code, "reading its version", err);
    if (version > SCHEMA_VERSION)
        return fab_err_set(err, FAB_ERR_FORMAT,
                           "%s: written by a newer fabricd (schema %d, this one knows %d): "
                           "install that version",
                           store->path, version, SCHEMA_VERSION);
    return FAB_OK;
}

static enum fab_status load_leases(struct store *store, struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[QUERY_LEASES];
    enum fab_status status = FAB_OK;
    int code = SQLITE_DONE;

    while (status == FAB_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct lease lease = {.id = (uint64_t)sqlite3_column_int64(statement, 0),
                                    .ttl_ns =
                                        (uint64_t)sqlite3_column_int64(statement, 1) * NS_PER_MS};

        status = fab_vec_push(&store->leases, &lease);
    }
    if (status == FAB_OK && code != SQLITE_DONE)
        status = failed(store, code, "reading the leases", err);
    (void)sqlite3_reset(statement);
    return status;
}

static enum fab_status prepare(struct store *store, struct fab_err *err)
{
    for (size_t i = 0; i < QUERY_COUNT; i++) {
        const int code = sqlite3_prepare_v3(store->database, query_texts[i], -1,
                                            SQLITE_PREPARE_PERSISTENT, &store->queries[i], NULL);

        if (code != SQLITE_OK)
            return failed(store, code, "its tables", err);
    }
    return FAB_OK;
}

enum fab_status store_open(const char *where, struct store **store_out, struct fab_err *err)
{
    static const char kind[] = "sqlite:";
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    struct store *store;
    enum fab_status status;
    int code;

    if (strncmp(where, kind, sizeof(kind) - 1) != 0 || !where[sizeof(kind) - 1])
        return fab_err_set(err, FAB_ERR_INVALID, "store '%s': must be sqlite:PATH", where);
    store = fab_alloc_zeroed(1, sizeof(*store));
    if (!store)
        return fab_err_set(err, FAB_ERR_NOMEM, "a store");
    fab_vec_init(&store->watches, sizeof(struct watch));
    fab_vec_init(&store->leases, sizeof(struct lease));
    store->path = fab_alloc_text(where + sizeof(kind) - 1);
    status = store->path ? FAB_OK : fab_err_set(err, FAB_ERR_NOMEM, "a store");
    if (status == FAB_OK) {
        code = sqlite3_open_v2(store->path, &store->database, flags, NULL);
        status = code == SQLITE_OK ? FAB_OK : failed(store, code, "opening", err);
    }
    if (status == FAB_OK) {
        (void)sqlite3_busy_timeout(store->database, BUSY_WAIT_MS);
        status = check_version(store, err);
    }
    if (status == FAB_OK)
        status = run_text(store, schema_text, "opening", err);
    if (status == FAB_OK)
        status = prepare(store, err);
    if (status == FAB_OK)
        status = load_leases(store, err);
    if (status != FAB_OK) {
        store_close(store);
        return status;
    }
    *store_out = store;
    return FAB_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < QUERY_COUNT; i++)
        (void)sqlite3_finalize(store->queries[i]); /* takes NULL */
    (void)sqlite3_close(store->database);          /* no statement is left: cannot be busy */
    for (size_t i = 0; i < store->watches.count; i++)
        free(fab_vec_at(&store->watches, struct watch, i)->prefix);
    fab_vec_fini(&store->watches);
    fab_vec_fini(&store->leases);
    free(store->path);
    free(store);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static enum fab_status check_key(const char *key, struct fab_err *err)
{
    size_t length = 0;

    for (; key[length] && length < STORE_KEY_BYTES; length++)
        if (key[length] <= ' ' || key[length] > '~')
            return fab_err_set(err, FAB_ERR_INVALID, "a store's key holds character 0x%02x",
                               (unsigned char)key[length]);
    if (length == 0 || length == STORE_KEY_BYTES)
        return fab_err_set(err, FAB_ERR_RANGE, "a store's key has 1 to %d characters",
                           STORE_KEY_BYTES - 1);
    return FAB_OK;
}

enum fab_status store_get(struct store *store, const char *key, char **value_out,
                          uint64_t *revision_out, struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[QUERY_GET];
    enum fab_status status = FAB_OK;
    int code;

    bind_text(store, QUERY_GET, 1, key);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const struct store_entry entry = row_entry(statement);
        char *value = fab_alloc_text(entry.value);

        if (value) {
            *value_out = value;
            if (revision_out)
                *revision_out = entry.revision;
        } else {
            status = fab_err_set(err, FAB_ERR_NOMEM, "the value of %s", key);
        }
    } else if (code == SQLITE_DONE) {
        status = fab_err_set(err, FAB_ERR_NOT_FOUND, "%s is not in the store", key);
    } else {
        status = failed(store, code, key, err);
    }
    (void)sqlite3_reset(statement);
    return status;
}

enum fab_status store_list(struct store *store, const char *prefix, store_visit visit, void *user,
                           struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[QUERY_LIST];
    enum fab_status status = FAB_OK;
    int code;

    bind_text(store, QUERY_LIST, 1, prefix);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct store_entry entry = row_entry(statement);

        if (strncmp(entry.key, prefix, strlen(prefix)) != 0)
            break;
        status = visit(user, &entry, err);
        if (status != FAB_OK)
            break;
    }
    if (status == FAB_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        status = failed(store, code, prefix, err);
    (void)sqlite3_reset(statement);
    return status;
}

/* ---- changing ---------------------------------------------------------------------------------
 */

static enum fab_status check_expected(struct store *store, const struct store_change *change,
                                      struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[QUERY_GET];
    uint64_t revision = STORE_ABSENT;
    int code;

    if (change->expected == STORE_ANY)
        return FAB_OK;
    bind_text(store, QUERY_GET, 1, change->key);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        revision = row_entry(statement).revision;
    (void)sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return failed(store, code, change->key, err);
    if (revision == change->expected)
        return FAB_OK;
    return fab_err_set(err, FAB_ERR_STALE, "%s: %s", change->key,
                       revision == STORE_ABSENT           ? "it is gone"
                       : change->expected == STORE_ABSENT ? "it is there already"
                                                          : "somebody else changed it meanwhile");
}

static struct lease *find_lease(struct store *store, uint64_t lease_id)
{
    for (size_t i = 0; i < store->leases.count; i++)
        if (fab_vec_at(&store->leases, struct lease, i)->id == lease_id)
            return fab_vec_at(&store->leases, struct lease, i);
    return NULL;
}

static enum fab_status no_lease(uint64_t lease_id, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_NOT_FOUND, "lease %" PRIu64 " has ended", lease_id);
}

static enum fab_status check_change(struct store *store, const struct store_change *change,
                                    struct fab_err *err)
{
    const enum fab_status status = check_key(change->key, err);

    if (status != FAB_OK)
        return status;
    if (change->value && strnlen(change->value, STORE_VALUE_BYTES) == STORE_VALUE_BYTES)
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: the value has more than %d bytes", change->key,
                           STORE_VALUE_BYTES - 1);
    if (change->lease_id && !find_lease(store, change->lease_id))
        return no_lease(change->lease_id, err);
    return check_expected(store, change, err);
}

static enum fab_status apply(struct store *store, const struct store_change *change,
                             uint64_t revision, struct fab_err *err)
{
    const enum query query = change->value ? QUERY_PUT : QUERY_REMOVE;

    bind_text(store, query, 1, change->key);
    if (change->value) {
        bind_text(store, query, 2, change->value);
        bind_number(store, query, 3, revision);
        if (change->lease_id)
            bind_number(store, query, 4, change->lease_id);
    }
    return run(store, query, change->key, err);
}

/* Ends the transaction that is open: whole after FAB_OK, not at all otherwise. */
static enum fab_status finish(struct store *store, enum fab_status status, struct fab_err *err)
{
    if (status == FAB_OK)
        status = run_text(store, "COMMIT", "writing", err);
    if (status != FAB_OK && !sqlite3_get_autocommit(store->database))
        (void)sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL); /* nothing was kept */
    return status;
}

static void tell(const struct store *store, const struct store_entry *entry)
{
    for (size_t i = 0; i < store->watches.count; i++) {
        const struct watch *watch = fab_vec_at(&store->watches, struct watch, i);

        if (strncmp(entry->key, watch->prefix, strlen(watch->prefix)) == 0)
            watch->seen(watch->user, entry);
    }
}

enum fab_status store_commit(struct store *store, const struct store_change *changes,
                             size_t change_count, uint64_t *revision_out, struct fab_err *err)
{
    enum fab_status status;
    uint64_t revision = 0;

    if (change_count == 0 || change_count > STORE_CHANGES_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "a commit has 1 to %d changes, not %zu",
                           STORE_CHANGES_MAX, change_count);
    status = run_text(store, "BEGIN IMMEDIATE", "writing", err);
    if (status != FAB_OK)
        return status;
    for (size_t i = 0; status == FAB_OK && i < change_count; i++)
        status = check_change(store, &changes[i], err);
    if (status == FAB_OK)
        status = count_up(store, "revision", &revision, err);
    for (size_t i = 0; status == FAB_OK && i < change_count; i++)
        status = apply(store, &changes[i], revision, err);
    status = finish(store, status, err);
    if (status != FAB_OK)
        return status;
    if (revision_out)
        *revision_out = revision;
    for (size_t i = 0; i < change_count; i++)
        tell(store, &(struct store_entry){
                        .key = changes[i].key, .value = changes[i].value, .revision = revision});
    return FAB_OK;
}

enum fab_status store_watch(struct store *store, const char *prefix, store_seen seen, void *user,
                            struct fab_err *err)
{
    const struct watch watch = {.prefix = fab_alloc_text(prefix), .seen = seen, .user = user};

    if (watch.prefix && fab_vec_push(&store->watches, &watch) == FAB_OK)
        return FAB_OK;
    free(watch.prefix);
    return fab_err_set(err, FAB_ERR_NOMEM, "watching %s", prefix);
}

/* ---- leases -----------------------------------------------------------------------------------
 */

enum fab_status store_lease_grant(struct store *store, uint32_t ttl_ms, uint64_t now_ns,
                                  uint64_t *lease_id_out, struct fab_err *err)
{
    const uint64_t ttl_ns = (uint64_t)ttl_ms * NS_PER_MS;
    struct lease lease = {.ttl_ns = ttl_ns, .deadline_ns = fab_deadline_ns(now_ns, ttl_ns)};
    enum fab_status status;

    if (ttl_ms == 0)
        return fab_err_set(err, FAB_ERR_RANGE, "a lease of no time");
    if (fab_vec_reserve(&store->leases, store->leases.count + 1) != FAB_OK)
        return fab_err_set(err, FAB_ERR_NOMEM, "a lease");
    status = run_text(store, "BEGIN IMMEDIATE", "writing", err);
    if (status != FAB_OK)
        return status;
    status = count_up(store, "lease", &lease.id, err);
    if (status == FAB_OK) {
        bind_number(store, QUERY_LEASE_ADD, 1, lease.id);
        bind_number(store, QUERY_LEASE_ADD, 2, ttl_ms);
        status = run(store, QUERY_LEASE_ADD, "a lease", err);
    }
    status = finish(store, status, err);
    if (status == FAB_OK)
        status = fab_vec_push(&store->leases, &lease); /* there is room: cannot fail */
    if (status == FAB_OK)
        *lease_id_out = lease.id;
    return status;
}

enum fab_status store_lease_renew(struct store *store, uint64_t lease_id, uint64_t now_ns,
                                  struct fab_err *err)
{
    struct lease *lease = find_lease(store, lease_id);

    if (!lease)
        return no_lease(lease_id, err);
    lease->deadline_ns = fab_deadline_ns(now_ns, lease->ttl_ns);
    return FAB_OK;
}

static void free_texts(struct fab_vec *texts)
{
    char *text;

    while (fab_vec_pop(texts, &text))
        free(text);
    fab_vec_fini(texts);
}

/* The keys of a lease, as texts of ours: they are removed while nobody reads. */
static enum fab_status lease_keys(struct store *store, uint64_t lease_id, struct fab_vec *keys,
                                  struct fab_err *err)
{
    sqlite3_stmt *statement = store->queries[QUERY_LEASE_KEYS];
    enum fab_status status = FAB_OK;
    int code = SQLITE_DONE;

    bind_number(store, QUERY_LEASE_KEYS, 1, lease_id);
    while (status == FAB_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        char *key = fab_alloc_text(row_entry(statement).key);

        status = key ? fab_vec_push(keys, &key) : FAB_ERR_NOMEM;
        if (status != FAB_OK)
            free(key);
    }
    (void)sqlite3_reset(statement);
    if (status != FAB_OK)
        return fab_err_set(err, status, "the keys of a lease");
    return code == SQLITE_DONE ? FAB_OK : failed(store, code, "the keys of a lease", err);
}

static enum fab_status remove_keys(struct store *store, uint64_t lease_id,
                                   const struct fab_vec *keys, uint64_t *revision_out,
                                   struct fab_err *err)
{
    enum fab_status status = run_text(store, "BEGIN IMMEDIATE", "writing", err);

    if (status != FAB_OK)
        return status;
    status = count_up(store, "revision", revision_out, err);
    for (size_t i = 0; status == FAB_OK && i < keys->count; i++)
        status = apply(store, &(struct store_change){.key = *fab_vec_at(keys, char *, i)},
                       *revision_out, err);
    if (status == FAB_OK) {
        bind_number(store, QUERY_LEASE_REMOVE, 1, lease_id);
        status = run(store, QUERY_LEASE_REMOVE, "a lease", err);
    }
    return finish(store, status, err);
}

enum fab_status store_lease_end(struct store *store, uint64_t lease_id, struct fab_err *err)
{
    struct fab_vec keys = FAB_VEC(char *);
    struct lease *lease = find_lease(store, lease_id);
    enum fab_status status;
    uint64_t revision = 0;

    if (!lease)
        return no_lease(lease_id, err);
    status = lease_keys(store, lease_id, &keys, err);
    if (status == FAB_OK)
        status = remove_keys(store, lease_id, &keys, &revision, err);
    if (status == FAB_OK) {
        fab_vec_remove_swap(&store->leases,
                            (size_t)(lease - fab_vec_items(&store->leases, struct lease)));
        for (size_t i = 0; i < keys.count; i++)
            tell(store,
                 &(struct store_entry){.key = *fab_vec_at(&keys, char *, i), .revision = revision});
    }
    free_texts(&keys);
    return status;
}

enum fab_status store_expire(struct store *store, uint64_t now_ns, uint64_t *next_ns_out,
                             struct fab_err *err)
{
    uint64_t next_ns = UINT64_MAX;

    for (size_t i = store->leases.count; i > 0; i--) {
        struct lease *lease = fab_vec_at(&store->leases, struct lease, i - 1);

        if (lease->deadline_ns == 0)
            lease->deadline_ns = fab_deadline_ns(now_ns, lease->ttl_ns);
        if (lease->deadline_ns <= now_ns) {
            const enum fab_status status = store_lease_end(store, lease->id, err);

            if (status != FAB_OK)
                return status;
        } else if (lease->deadline_ns < next_ns) {
            next_ns = lease->deadline_ns;
        }
    }
    if (next_ns_out)
        *next_ns_out = next_ns;
    return FAB_OK;
}
