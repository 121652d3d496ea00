/* SPDX-License-Identifier: Apache-2.0
 * The store: compares, whole commits, watches, leases, and what a crash leaves.
 */
#include "fabricd/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/story.h"

enum { MS = 1000000, KILLS = 100 };

/* An empty store in a folder of its own. */
static struct store *fresh(void)
{
    struct store *store = NULL;
    struct fab_err err = {0};

    if (!CHECK(story_begin()))
        return NULL;
    if (!CHECK_EQ(store_open(story_store, &store, &err), FAB_OK))
        printf("%s\n", err.text);
    return store;
}

static enum fab_status put(struct store *store, const char *key, const char *value,
                           uint64_t expected, uint64_t *revision_out, struct fab_err *err)
{
    return store_commit(store,
                        &(struct store_change){.key = key, .value = value, .expected = expected}, 1,
                        revision_out, err);
}

static bool holds(struct store *store, const char *key, const char *value)
{
    char *got = NULL;
    const enum fab_status status = store_get(store, key, &got, NULL, NULL);
    const bool right =
        value ? status == FAB_OK && strcmp(got, value) == 0 : status == FAB_ERR_NOT_FOUND;

    free(got);
    return right;
}

/* One key after another, in the order of the rows. */
static void test_compare(void)
{
    static const struct {
        const char *label, *value;
        uint64_t expected;
        enum fab_status status;
        const char *text; /* of the error */
        const char *after;
    } rows[] = {
        {"a change of nothing", "a", 7, FAB_ERR_STALE, "k: it is gone", NULL},
        {"the first", "a", STORE_ABSENT, FAB_OK, "", "a"},
        {"there already", "b", STORE_ABSENT, FAB_ERR_STALE, "k: it is there already", "a"},
        {"an old revision", "b", 99, FAB_ERR_STALE, "k: somebody else", "a"},
        {"its revision", "b", 1, FAB_OK, "", "b"},
        {"that revision again", "c", 1, FAB_ERR_STALE, "k: somebody else", "b"},
        {"whatever it is", "d", STORE_ANY, FAB_OK, "", "d"},
        {"gone by a wrong revision", NULL, 1, FAB_ERR_STALE, "k: somebody else", "d"},
        {"gone", NULL, 3, FAB_OK, "", NULL},
        {"an empty text", "", STORE_ABSENT, FAB_OK, "", ""},
    };
    struct store *store = fresh();

    for (size_t i = 0; store && i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(put(store, "k", rows[i].value, rows[i].expected, NULL, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].text);
        CHECK(holds(store, "k", rows[i].after));
    }
    store_close(store);
}

static void test_bounds(void)
{
    static char long_key[STORE_KEY_BYTES + 1], long_value[STORE_VALUE_BYTES + 1];
    static const struct {
        const char *label, *key, *value;
        size_t count;
        uint64_t lease_id;
        enum fab_status status;
    } rows[] = {
        {"no key", "", "x", 1, 0, FAB_ERR_RANGE},
        {"the longest key", long_key + 1, "x", 1, 0, FAB_OK},
        {"a longer key", long_key, "x", 1, 0, FAB_ERR_RANGE},
        {"a space", "a b", "x", 1, 0, FAB_ERR_INVALID},
        {"a byte above ASCII", "a\xc3", "x", 1, 0, FAB_ERR_INVALID},
        {"the longest value", "v", long_value + 1, 1, 0, FAB_OK},
        {"a longer value", "w", long_value, 1, 0, FAB_ERR_LIMIT},
        {"no change", "v", "x", 0, 0, FAB_ERR_RANGE},
        {"a lease that is not", "v", "x", 1, 5, FAB_ERR_NOT_FOUND},
    };
    struct store *store = fresh();

    memset(long_key, 'k', STORE_KEY_BYTES);
    memset(long_value, 'v', STORE_VALUE_BYTES);
    for (size_t i = 0; store && i < FAB_ARRAY_LEN(rows); i++) {
        const struct store_change change = {.key = rows[i].key,
                                            .value = rows[i].value,
                                            .expected = STORE_ANY,
                                            .lease_id = rows[i].lease_id};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(store_commit(store, &change, rows[i].count, NULL, NULL), rows[i].status);
        if (rows[i].status != FAB_OK && rows[i].key[0])
            CHECK(!holds(store, rows[i].key, rows[i].value));
    }
    store_close(store);
}

/* One change that is not as expected keeps all others out, and the revision. */
static void test_whole(void)
{
    struct store *store = fresh();
    struct store_change changes[] = {{.key = "a", .value = "1", .expected = STORE_ABSENT},
                                     {.key = "b", .value = "1", .expected = STORE_ABSENT},
                                     {.key = "c", .value = "1", .expected = STORE_ABSENT}};
    uint64_t revision = 0;
    struct fab_err err = {0};

    if (!store)
        return;
    CHECK_CASE("whole");
    CHECK_EQ(put(store, "b", "0", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(store_commit(store, changes, 3, &revision, &err), FAB_ERR_STALE);
    CHECK_HAS(err.text, "b: it is there already");
    CHECK(holds(store, "a", NULL));
    CHECK(holds(store, "b", "0"));
    CHECK(holds(store, "c", NULL));
    changes[1].expected = 1;
    CHECK_EQ(store_commit(store, changes, 3, &revision, NULL), FAB_OK);
    CHECK_EQ(revision, 2);
    store_close(store);
}

struct seen {
    char text[512];
};

static void note(struct seen *seen, const struct store_entry *entry)
{
    const size_t used = strlen(seen->text);

    (void)snprintf(seen->text + used, sizeof(seen->text) - used, "%s=%s@%" PRIu64 " ", entry->key,
                   entry->value ? entry->value : "-", entry->revision);
}

static enum fab_status note_listed(void *user, const struct store_entry *entry, struct fab_err *err)
{
    (void)err;
    note(user, entry);
    return strcmp(entry->key, "gpu/stop") == 0 ? FAB_ERR_CANCELLED : FAB_OK;
}

static void note_changed(void *user, const struct store_entry *entry)
{
    note(user, entry);
}

static void test_list(void)
{
    static const struct {
        const char *prefix, *wanted;
        enum fab_status status;
    } rows[] = {
        {"gpu/c4130-1/", "gpu/c4130-1/0=a@1 gpu/c4130-1/1=b@2 ", FAB_OK},
        {"gpu/c4130-10", "gpu/c4130-10/0=c@3 ", FAB_OK},
        {"gpu/s", "gpu/stop=d@4 ", FAB_ERR_CANCELLED},
        {"nothing", "", FAB_OK},
        {"", "gpu/c4130-1/0=a@1 gpu/c4130-1/1=b@2 gpu/c4130-10/0=c@3 gpu/stop=d@4 ",
         FAB_ERR_CANCELLED},
    };
    struct store *store = fresh();

    if (!store)
        return;
    CHECK_EQ(put(store, "gpu/c4130-1/0", "a", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(put(store, "gpu/c4130-1/1", "b", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(put(store, "gpu/c4130-10/0", "c", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(put(store, "gpu/stop", "d", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(put(store, "system/x", "e", STORE_ABSENT, NULL, NULL), FAB_OK);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct seen seen = {""};

        CHECK_CASE("prefix '%s'", rows[i].prefix);
        CHECK_EQ(store_list(store, rows[i].prefix, note_listed, &seen, NULL), rows[i].status);
        CHECK_STR(seen.text, rows[i].wanted);
    }
    store_close(store);
}

static void test_watch(void)
{
    struct store *store = fresh();
    struct seen gpus = {""}, all = {""};

    if (!store)
        return;
    CHECK_CASE("watch");
    CHECK_EQ(store_watch(store, "gpu/", note_changed, &gpus, NULL), FAB_OK);
    CHECK_EQ(store_watch(store, "", note_changed, &all, NULL), FAB_OK);
    CHECK_EQ(put(store, "gpu/0", "a", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(put(store, "gpu/0", "b", STORE_ABSENT, NULL, NULL), FAB_ERR_STALE);
    CHECK_EQ(put(store, "node/x", "c", STORE_ABSENT, NULL, NULL), FAB_OK);
    CHECK_EQ(put(store, "gpu/0", NULL, 1, NULL, NULL), FAB_OK);
    CHECK_STR(gpus.text, "gpu/0=a@1 gpu/0=-@3 ");
    CHECK_STR(all.text, "gpu/0=a@1 node/x=c@2 gpu/0=-@3 ");
    store_close(store);
}

static void test_lease(void)
{
    struct store *store = fresh();
    struct seen seen = {""};
    uint64_t lease_id = 0, next_ns = 0;

    if (!store)
        return;
    CHECK_CASE("a lease and its keys");
    CHECK_EQ(store_lease_grant(store, 0, 0, &lease_id, NULL), FAB_ERR_RANGE);
    CHECK_EQ(store_lease_grant(store, 100, 1000 * MS, &lease_id, NULL), FAB_OK);
    CHECK_EQ(store_watch(store, "", note_changed, &seen, NULL), FAB_OK);
    CHECK_EQ(
        store_commit(store,
                     &(struct store_change){.key = "manager", .value = "x", .lease_id = lease_id},
                     1, NULL, NULL),
        FAB_OK);
    CHECK_EQ(store_expire(store, 1099 * (uint64_t)MS, &next_ns, NULL), FAB_OK);
    CHECK_EQ(next_ns, 1100 * (uint64_t)MS);
    CHECK_EQ(store_lease_renew(store, lease_id, 1099 * (uint64_t)MS, NULL), FAB_OK);
    CHECK_EQ(store_expire(store, 1198 * (uint64_t)MS, &next_ns, NULL), FAB_OK);
    CHECK(holds(store, "manager", "x"));
    CHECK_CASE("a new opening starts its time again");
    store_close(store);
    if (!CHECK_EQ(store_open(story_store, &store, NULL), FAB_OK))
        return;
    CHECK_EQ(store_watch(store, "", note_changed, &seen, NULL), FAB_OK);
    CHECK_EQ(store_expire(store, 5 * (uint64_t)MS, &next_ns, NULL), FAB_OK);
    CHECK_EQ(next_ns, 105 * (uint64_t)MS);
    CHECK(holds(store, "manager", "x"));
    CHECK_EQ(store_expire(store, 105 * (uint64_t)MS, &next_ns, NULL), FAB_OK);
    CHECK_EQ(next_ns, UINT64_MAX);
    CHECK(holds(store, "manager", NULL));
    CHECK_EQ(store_lease_renew(store, lease_id, 0, NULL), FAB_ERR_NOT_FOUND);
    CHECK_STR(seen.text, "manager=x@1 manager=-@2 ");
    store_close(store);
}

static void test_opening(void)
{
    struct store *store = fresh(), *second = NULL;
    struct fab_err err = {0};
    char path[80], where[96];
    FILE *file;

    CHECK_CASE("a second one");
    CHECK_EQ(store_open(story_store, &second, &err), FAB_ERR_BUSY);
    CHECK_HAS(err.text, "is a second fabricd running?");
    store_close(store);
    CHECK_CASE("no such form");
    CHECK_EQ(store_open("etcd:http://x", &second, &err), FAB_ERR_INVALID);
    CHECK_CASE("no such folder");
    CHECK_EQ(store_open("sqlite:/nonexistent/folder/x", &second, &err), FAB_ERR_IO);
    CHECK_CASE("not a store");
    (void)snprintf(path, sizeof(path), "%s/other", story_folder);
    (void)snprintf(where, sizeof(where), "sqlite:%s", path);
    file = fopen(path, "w");
    if (!CHECK(file))
        return;
    for (int i = 0; i < 1000; i++)
        (void)fputs("not a database\n", file);
    (void)fclose(file);
    CHECK_EQ(store_open(where, &second, &err), FAB_ERR_FORMAT);
    CHECK_HAS(err.text, "restore a copy");
    CHECK(second == NULL);
}

/* A limit on the size of files is what a full disk looks like from here. */
static void test_full_disk(void)
{
    static char big[STORE_VALUE_BYTES];
    struct store *store = fresh();
    struct rlimit old, small = {4 << 20, RLIM_INFINITY};
    struct fab_err err = {0};
    enum fab_status status = FAB_OK;
    char key[16];
    int kept = 0;

    if (!store)
        return;
    CHECK_CASE("a full disk");
    memset(big, 'b', sizeof(big) - 1);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    (void)setrlimit(RLIMIT_FSIZE, &small);
    for (; status == FAB_OK && kept < 64; kept += status == FAB_OK) {
        (void)snprintf(key, sizeof(key), "k%d", kept);
        status = put(store, key, big, STORE_ABSENT, NULL, &err);
    }
    CHECK_EQ(status, FAB_ERR_IO);
    CHECK_HAS(err.text, story_folder);
    CHECK(holds(store, key, NULL));
    (void)setrlimit(RLIMIT_FSIZE, &old);
    CHECK_CASE("room again");
    CHECK_EQ(put(store, key, big, STORE_ABSENT, NULL, NULL), FAB_OK);
    for (int i = 0; i < kept; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        CHECK(holds(store, key, big));
    }
    store_close(store);
}

/* Writes "n" = 1, 2, ... with a twin in the same commit, and says each that was acknowledged. */
static FAB_NORETURN void write_until_killed(int acknowledged_fd)
{
    struct store *store = NULL;
    char *value = NULL;
    uint64_t revision, number = 0;

    if (store_open(story_store, &store, NULL) != FAB_OK)
        _exit(1);
    if (store_get(store, "n", &value, &revision, NULL) == FAB_OK)
        number = strtoull(value, NULL, 10);
    free(value);
    for (;;) {
        char text[24];
        const struct store_change changes[] = {
            {.key = "n", .value = text, .expected = number ? revision : STORE_ABSENT},
            {.key = "twin", .value = text, .expected = number ? revision : STORE_ABSENT}};

        number++;
        (void)snprintf(text, sizeof(text), "%" PRIu64, number);
        if (store_commit(store, changes, 2, &revision, NULL) != FAB_OK ||
            write(acknowledged_fd, &number, sizeof(number)) != (ssize_t)sizeof(number))
            _exit(1);
    }
}

static void test_kills(void)
{
    struct store *store = fresh();
    uint64_t acknowledged = 0;

    store_close(store);
    for (int round = 0; round < KILLS; round++) {
        const int lives = 1 + round % 7; /* commits before the kill, about */
        uint64_t number;
        char wanted[24], *value = NULL, *twin = NULL;
        int fds[2], status;
        pid_t pid;

        CHECK_CASE("kill %d", round);
        if (!CHECK_EQ(pipe(fds), 0))
            return;
        pid = fork();
        if (pid == 0)
            write_until_killed(fds[1]);
        (void)close(fds[1]);
        for (int i = 0; i < lives && read(fds[0], &number, sizeof(number)) == sizeof(number); i++)
            acknowledged = number;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        CHECK(WIFSIGNALED(status)); /* it did not fail by itself */
        while (read(fds[0], &number, sizeof(number)) == sizeof(number))
            acknowledged = number;
        (void)close(fds[0]);
        if (!CHECK_EQ(store_open(story_store, &store, NULL), FAB_OK))
            return;
        CHECK_EQ(store_get(store, "n", &value, NULL, NULL), FAB_OK);
        CHECK_EQ(store_get(store, "twin", &twin, NULL, NULL), FAB_OK);
        store_close(store);
        (void)snprintf(wanted, sizeof(wanted), "%" PRIu64, acknowledged);
        if (value && strcmp(value, wanted) != 0) { /* one more may be there: its word was lost */
            (void)snprintf(wanted, sizeof(wanted), "%" PRIu64, acknowledged + 1);
            CHECK_STR(value, wanted);
        }
        if (value && twin)
            CHECK_STR(twin, value);
        free(value);
        free(twin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_compare), CHECK_TEST(test_bounds),    CHECK_TEST(test_whole),
        CHECK_TEST(test_list),    CHECK_TEST(test_watch),     CHECK_TEST(test_lease),
        CHECK_TEST(test_opening), CHECK_TEST(test_full_disk), CHECK_TEST(test_kills),
    };
    const int status = check_run(tests);

    story_end();
    return status;
}
