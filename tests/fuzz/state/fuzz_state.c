/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes what daemons read of their own past: rows of the manager's store ("KEY VALUE" lines behind
 * a line "store"), and otherwise an agent's file of fence numbers. A store that is accepted is a
 * ledger without a contradiction, and stays one; numbers that are accepted are written as they are.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "fabricd/agent_int.h"
#include "fabricd/ledger.h"
#include "fabricd/store.h"
#include "tests/unit/fabricd/story.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum { INPUT_BYTES = 8192, ROWS_MAX = 64, KEYS_MAX = 512 };

static const char store_word[] = "store\n";

/* ---- the store --------------------------------------------------------------------------------
 */

static struct store *store;

static void close_store(void)
{
    store_close(store);
    story_end();
}

/* All rows in one commit; returns how many, 0 if the store refuses one. */
static size_t put_rows(char *text, struct store_change changes[ROWS_MAX])
{
    char *rest = NULL;
    size_t count = 0;

    for (char *line = strtok_r(text, "\n", &rest); line && count < ROWS_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        char *value = strchr(line, ' ');

        if (!value)
            continue;
        *value++ = '\0';
        changes[count++] =
            (struct store_change){.key = line, .value = value, .expected = STORE_ANY};
    }
    return store_commit(store, changes, count, NULL, NULL) == FAB_OK ? count : 0;
}

/* What is kept as it came is not written as we would write it: other orders, other members. */
static bool is_sound(struct ledger *ledger)
{
    struct fab_err err = {0};

    if (ledger_verify(ledger, &err) == FAB_OK || strstr(err.text, " is not stored as it is shown"))
        return true;
    (void)fprintf(stderr, "%s\n", err.text);
    return false;
}

static void use_ledger(struct ledger *ledger)
{
    uint64_t next_ms;

    fab_assert(is_sound(ledger));
    (void)!ledger_expire(ledger, UINT32_MAX, &next_ms, NULL);
    if (ledger_node_count(ledger) > 0)
        (void)!ledger_drain(ledger, ledger_node(ledger, 0)->name, "fuzz", 1, NULL);
    if (ledger_system_count(ledger) > 0)
        (void)!ledger_release(ledger, ledger_system(ledger, 0)->name, "fuzz", 1, NULL);
    fab_assert(is_sound(ledger));
}

struct keys {
    char *key[KEYS_MAX];
    size_t count;
};

static enum fab_status take_key(void *user, const struct store_entry *entry, struct fab_err *err)
{
    struct keys *keys = user;

    (void)err;
    if (keys->count == KEYS_MAX)
        return FAB_ERR_LIMIT;
    keys->key[keys->count] = strdup(entry->key);
    fab_assert(keys->key[keys->count++]);
    return FAB_OK;
}

static void empty_store(void)
{
    static struct store_change changes[KEYS_MAX];
    struct keys keys = {.count = 0};

    fab_assert(store_list(store, "", take_key, &keys, NULL) == FAB_OK);
    for (size_t i = 0; i < keys.count; i++)
        changes[i] = (struct store_change){.key = keys.key[i], .expected = STORE_ANY};
    fab_assert(store_commit(store, changes, keys.count, NULL, NULL) == FAB_OK);
    for (size_t i = 0; i < keys.count; i++)
        free(keys.key[i]);
}

static void read_store(char *text)
{
    struct store_change changes[ROWS_MAX];
    struct ledger *ledger = NULL;
    struct fab_err err = {0};

    if (put_rows(text, changes) == 0)
        return;
    if (ledger_open(store, 1, &ledger, &err) == FAB_OK)
        use_ledger(ledger);
    else
        fab_assert(err.text[0] != '\0');
    ledger_close(ledger);
    empty_store();
}

/* ---- fence numbers ----------------------------------------------------------------------------
 */

static void open_fences(struct agent *agent, const struct fabricd_settings *settings,
                        enum fab_status wanted)
{
    *agent = (struct agent){.settings = settings, .lock_fd = -1};
    fab_assert(agent_fences_open(agent, NULL) == wanted);
}

static void read_fences(const char *text)
{
    static struct agent agent, again;
    struct fabricd_settings settings = {.state_dir = story_folder};
    char path[sizeof(story_folder) + 8];
    struct fab_err err = {0};
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/fences", story_folder);
    file = fopen(path, "w");
    fab_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
    agent = (struct agent){.settings = &settings, .lock_fd = -1};
    if (agent_fences_open(&agent, &err) == FAB_OK) {
        fab_assert(agent_fences_save(&agent, NULL) == FAB_OK);
        open_fences(&again, &settings, FAB_OK);
        fab_assert(agent.fence_count == again.fence_count);
        for (uint32_t i = 0; i < agent.fence_count; i++)
            fab_assert(memcmp(&agent.fences[i], &again.fences[i], sizeof(*again.fences)) == 0);
        agent_fences_close(&again);
    } else {
        fab_assert(err.text[0] != '\0');
    }
    agent_fences_close(&agent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static char text[INPUT_BYTES];

    if (!store) {
        fab_assert(story_begin() && store_open(story_store, &store, NULL) == FAB_OK);
        fab_assert(atexit(close_store) == 0); /* its folder goes */
    }
    if (size_bytes >= sizeof(text))
        return 0;
    memcpy(text, data, size_bytes);
    text[size_bytes] = '\0';
    if (strncmp(text, store_word, sizeof(store_word) - 1) == 0)
        read_store(text + sizeof(store_word) - 1);
    else
        read_fences(text);
    return 0;
}
