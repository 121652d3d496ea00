/* SPDX-License-Identifier: Apache-2.0
 * The ledger: stories of steps with what is shown after each, failures of every allocation, rows
 * that contradict each other, and random steps that must keep every rule.
 */
#include "fabricd/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabricd/store.h"
#include "tests/support/check.h"
#include "tests/support/faults.h"
#include "tests/unit/fabricd/story.h"

enum { RANDOM_STEPS = 1500, REOPEN_EVERY = 100 };

static struct store *store;
static struct ledger *ledger;
static uint64_t now_ms;

static void stop(void)
{
    ledger_close(ledger);
    store_close(store);
    ledger = NULL;
    store = NULL;
}

static void clean_up(void)
{
    stop();
    story_end();
}

static enum fab_status start(void)
{
    struct fab_err err = {0};
    enum fab_status status = store_open(story_store, &store, &err);

    if (status == FAB_OK)
        status = ledger_open(store, now_ms, &ledger, &err);
    return status;
}

static bool fresh(void)
{
    clean_up();
    now_ms = 1000;
    return CHECK(story_begin()) && CHECK_EQ(start(), FAB_OK);
}

/* ---- steps ------------------------------------------------------------------------------------
 * A step is a line of words. A GPU's uuid is a letter, which stands for its name too:
 *   report NODE BOOT [GPU | GPU=FENCE]...   lost NODE          check GPU [bad]
 *   reserve SYSTEM LIMIT HOST GPU...        compose SYSTEM     composed SYSTEM   release SYSTEM
 *   released GPU FENCE    drain NAME   undrain NAME   fence NODE   forget NODE   expire   at MS
 *   reopen
 */

static const struct rails_choice choices[STORY_WORDS_MAX] = {
    {.count = 2, .pairs = {{1, 0}, {0, 6}}}, {.count = 1, .pairs = {{5, 5}}}};

/* Also after the store was opened again. */
static void check_rails(void)
{
    for (size_t i = 0; i < ledger_system_count(ledger); i++) {
        const struct ledger_system *system = ledger_system(ledger, i);

        CHECK_EQ(system->rails, 2);
        for (uint32_t k = 0; k < system->gpu_count; k++)
            CHECK(memcmp(&system->rails_of[k], &choices[k], sizeof(choices[k])) == 0);
    }
}

static enum fab_status step_reserve(char **words, int count, struct fab_err *err)
{
    struct ledger_host host = {.gpu_count = (uint32_t)(count - 4)};
    const char *uuids[STORY_WORDS_MAX];
    const struct ledger_system *system;
    const struct ledger_request request = {.name = words[1],
                                           .owner_uid = 7,
                                           .host_count = 1,
                                           .hosts = &host,
                                           .uuids = uuids,
                                           .gpu_count = (uint32_t)(count - 4),
                                           .rails = 2,
                                           .choices = choices,
                                           .limit_ms = strtoull(words[2], NULL, 10)};

    (void)snprintf(host.node, sizeof(host.node), "%s", words[3]);
    for (int i = 4; i < count; i++)
        uuids[i - 4] = words[i];
    return ledger_reserve(ledger, &request, now_ms, &system, err);
}

static enum fab_status step(const char *line, struct fab_err *err)
{
    char text[STORY_LINE_BYTES], *words[STORY_WORDS_MAX] = {NULL};
    const int count = story_words(line, text, words);
    const char *verb = words[0];
    uint64_t next_ms;

    if (strcmp(verb, "report") == 0)
        return story_report(ledger, words, count, now_ms, err);
    if (strcmp(verb, "reserve") == 0)
        return step_reserve(words, count, err);
    if (strcmp(verb, "lost") == 0)
        return ledger_node_lost(ledger, words[1], "silent", now_ms, err);
    if (strcmp(verb, "check") == 0)
        return ledger_gpu_checked(ledger, words[1], words[2], now_ms, err);
    if (strcmp(verb, "compose") == 0)
        return ledger_advance(ledger, words[1], LEDGER_COMPOSING, now_ms, err);
    if (strcmp(verb, "composed") == 0)
        return ledger_advance(ledger, words[1], LEDGER_COMPOSED, now_ms, err);
    if (strcmp(verb, "release") == 0)
        return ledger_release(ledger, words[1], "asked", now_ms, err);
    if (strcmp(verb, "released") == 0)
        return ledger_gpu_released(ledger, words[1], strtoull(words[2], NULL, 10), now_ms, err);
    if (strcmp(verb, "drain") == 0)
        return ledger_drain(ledger, words[1], "fan", now_ms, err);
    if (strcmp(verb, "undrain") == 0)
        return ledger_drain(ledger, words[1], NULL, now_ms, err);
    if (strcmp(verb, "fence") == 0)
        return ledger_fence(ledger, words[1], "burnt", now_ms, err);
    if (strcmp(verb, "forget") == 0)
        return ledger_node_forget(ledger, words[1], now_ms, err);
    if (strcmp(verb, "expire") == 0)
        return ledger_expire(ledger, now_ms, &next_ms, err);
    if (strcmp(verb, "at") == 0) {
        now_ms = strtoull(words[1], NULL, 10);
        return FAB_OK;
    }
    stop();
    return start();
}

/* "A free B composed | train composed: A@1 B@1" */
static const char *shown(void)
{
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ledger_node_count(ledger); i++) {
        const struct ledger_node *node = ledger_node(ledger, i);

        for (uint32_t k = 0; k < node->gpu_count; k++)
            used +=
                (size_t)snprintf(text + used, sizeof(text) - used, "%s %s ", node->gpus[k]->uuid,
                                 ledger_state_name(ledger_gpu_state(node->gpus[k])));
    }
    for (size_t i = 0; i < ledger_system_count(ledger); i++) {
        const struct ledger_system *system = ledger_system(ledger, i);

        used += (size_t)snprintf(text + used, sizeof(text) - used, "| %s %s", system->name,
                                 ledger_state_name(system->state));
        for (uint32_t k = 0; k < system->gpu_count; k++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, " %s@%" PRIu64,
                                     system->gpus[k]->uuid, system->gpus[k]->fence);
        used += (size_t)snprintf(text + used, sizeof(text) - used, " ");
    }
    if (used > 0)
        text[used - 1] = '\0';
    return text;
}

struct row {
    const char *step;
    enum fab_status status;
    const char *error; /* a part of it */
    const char *shown; /* after it; NULL: as before */
};

static void tell(const char *label, const struct row *rows, size_t count)
{
    char before[1024] = "";
    struct fab_err err;

    if (!fresh())
        return;
    for (size_t i = 0; i < count; i++) {
        CHECK_CASE("%s, step %zu: %s", label, i + 1, rows[i].step);
        err = (struct fab_err){0};
        CHECK_EQ(step(rows[i].step, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].error ? rows[i].error : "");
        if (!ledger)
            return;
        CHECK_STR(shown(), rows[i].shown ? rows[i].shown : before);
        (void)snprintf(before, sizeof(before), "%s", shown());
        check_rails();
        if (!CHECK_EQ(ledger_verify(ledger, &err), FAB_OK))
            printf("%s\n", err.text);
    }
}
#define TELL(label, rows) tell(label, rows, FAB_ARRAY_LEN(rows))

static void test_life(void)
{
    static const struct row rows[] = {
        {"report n1 b1 A B", FAB_OK, NULL, "A free B free"},
        {"report r730 b1", FAB_OK, NULL, NULL},
        {"reserve train 5000 r730 B A", FAB_OK, NULL,
         "A reserved B reserved | train reserved B@1 A@1"},
        {"reserve more 5000 r730 A", FAB_ERR_BUSY, "GPU 0 of n1 is reserved for train", NULL},
        {"reserve train 5000 r730 A", FAB_ERR_EXISTS, "take another --name", NULL},
        {"composed train", FAB_ERR_STATE, "system train is reserved", NULL},
        {"compose train", FAB_OK, NULL, "A composing B composing | train composing B@1 A@1"},
        {"composed train", FAB_OK, NULL, "A composed B composed | train composed B@1 A@1"},
        {"at 9999", FAB_OK, NULL, NULL},
        {"expire", FAB_OK, NULL, NULL},
        {"released A 1", FAB_OK, NULL, NULL}, /* nobody asked for it */
        {"release train", FAB_OK, NULL, "A releasing B releasing | train releasing B@1 A@1"},
        {"release train", FAB_OK, NULL, NULL},
        {"released A 0", FAB_OK, NULL, NULL},
        {"released A 1", FAB_OK, NULL, NULL},
        {"reopen", FAB_OK, NULL, "A lost B lost | train releasing B@1 A@1"},
        {"report n1 b1 A B=1", FAB_OK, NULL, "A releasing B releasing | train releasing B@1 A@1"},
        {"reserve more 5000 r730 A", FAB_ERR_BUSY, "host r730 is lost", NULL},
        {"report r730 b1", FAB_OK, NULL, NULL},
        {"reserve more 99999 r730 A", FAB_ERR_BUSY, "GPU 0 of n1 is releasing for train: asked",
         NULL},
        {"released B 1", FAB_OK, NULL, "A free B free"},
        {"release train", FAB_ERR_NOT_FOUND, "compose list", NULL},
        {"reserve more 99999 r730 A", FAB_OK, NULL, "A reserved B free | more reserved A@2"},
        {"release more", FAB_OK, NULL, "A free B free"}, /* no agent knows of it */
    };

    TELL("a system's life", rows);
}

static void test_limits(void)
{
    static const struct row rows[] = {
        {"report n1 b1 A B C", FAB_OK, NULL, "A free B free C free"},
        {"reserve one 2000 n1 A", FAB_OK, NULL, "A reserved B free C free | one reserved A@1"},
        {"reserve two 3000 n1 B", FAB_OK, NULL,
         "A reserved B reserved C free | one reserved A@1 | two reserved B@2"},
        {"compose two", FAB_OK, NULL,
         "A reserved B composing C free | one reserved A@1 | two composing B@2"},
        {"at 2000", FAB_OK, NULL, NULL},
        {"expire", FAB_OK, NULL, "A free B composing C free | two composing B@2"},
        {"at 3001", FAB_OK, NULL, NULL},
        {"expire", FAB_OK, NULL, "A free B releasing C free | two releasing B@2"},
        {"released B 2", FAB_OK, NULL, "A free B free C free"},
    };

    TELL("time limits", rows);
}

static void test_lost_nodes(void)
{
    static const struct row rows[] = {
        {"report n1 b1 A", FAB_OK, NULL, "A free"},
        {"report n2 b1 B", FAB_OK, NULL, "A free B free"},
        {"reserve s 9000 n1 A B", FAB_OK, NULL, "A reserved B reserved | s reserved A@1 B@1"},
        {"compose s", FAB_OK, NULL, "A composing B composing | s composing A@1 B@1"},
        {"composed s", FAB_OK, NULL, "A composed B composed | s composed A@1 B@1"},
        {"lost n2", FAB_OK, NULL, "A composed B lost | s composed A@1 B@1"},
        {"report n2 b1 B=1", FAB_OK, NULL, "A composed B composed | s composed A@1 B@1"},
        {"lost n2", FAB_OK, NULL, "A composed B lost | s composed A@1 B@1"},
        {"release s", FAB_OK, NULL, "A releasing B lost | s releasing A@1 B@1"},
        {"released A 1", FAB_OK, NULL, NULL},
        {"reserve t 9000 n1 B", FAB_ERR_BUSY, "GPU 0 of n2 is lost for s: silent", NULL},
        {"forget n2", FAB_ERR_STATE, "is in system s", NULL},
        {"report n2 b2 B", FAB_OK, NULL,
         "A free B free"}, /* it has restarted: nothing runs there */
        {"lost n2", FAB_OK, NULL, "A free B lost"},
        {"reserve t 9000 n1 A B", FAB_ERR_BUSY, "GPU 0 of n2 is lost: silent", NULL},
        {"forget n2", FAB_OK, NULL, "A free"},
        {"forget n2", FAB_ERR_NOT_FOUND, "there is no node n2", NULL},
        {"forget n1", FAB_ERR_STATE, "n1 is reachable", NULL},
    };
    static const struct row restarted[] = {
        {"report n1 b1 A", FAB_OK, NULL, "A free"},
        {"report n2 b1 B", FAB_OK, NULL, "A free B free"},
        {"reserve s 9000 n1 A B", FAB_OK, NULL, "A reserved B reserved | s reserved A@1 B@1"},
        {"compose s", FAB_OK, NULL, "A composing B composing | s composing A@1 B@1"},
        {"composed s", FAB_OK, NULL, "A composed B composed | s composed A@1 B@1"},
        {"report n2 b2 B", FAB_OK, NULL, "A failed B failed | s failed A@1 B@1"},
        {"reopen", FAB_OK, NULL, "A lost B lost | s failed A@1 B@1"},
        {"report n1 b1 A=1", FAB_OK, NULL, "A failed B lost | s failed A@1 B@1"},
        {"release s", FAB_OK, NULL, "A releasing B lost | s releasing A@1 B@1"},
        {"released A 1", FAB_OK, NULL, "A free B lost"}, /* B was confirmed by the restart */
    };
    static const struct row fenced[] = {
        {"report n1 b1 A", FAB_OK, NULL, "A free"},
        {"report n2 b1 B", FAB_OK, NULL, "A free B free"},
        {"reserve s 9000 n1 A B", FAB_OK, NULL, "A reserved B reserved | s reserved A@1 B@1"},
        {"compose s", FAB_OK, NULL, "A composing B composing | s composing A@1 B@1"},
        {"fence n2", FAB_ERR_STATE, "n2 is reachable", NULL},
        {"lost n2", FAB_OK, NULL, "A composing B lost | s composing A@1 B@1"},
        {"release s", FAB_OK, NULL, "A releasing B lost | s releasing A@1 B@1"},
        {"released A 1", FAB_OK, NULL, NULL},
        {"fence n2", FAB_OK, NULL, "A free B lost"},
        {"report n2 b1 B=1", FAB_OK, NULL, "A free B releasing"}, /* it was not gone after all */
        {"reserve t 9000 n1 B", FAB_ERR_BUSY, "left over from an earlier system", NULL},
        {"released B 1", FAB_OK, NULL, "A free B free"},
    };

    TELL("a lost node", rows);
    TELL("a restarted node", restarted);
    TELL("a fenced node", fenced);
}

static void test_gpus(void)
{
    static const struct row rows[] = {
        {"report n1 b1 A B C", FAB_OK, NULL, "A free B free C free"},
        {"check A bad", FAB_OK, NULL, "A failed B free C free"},
        {"reserve s 9000 n1 A", FAB_ERR_BUSY, "GPU 0 of n1 is failed: bad", NULL},
        {"check A bad", FAB_OK, NULL, NULL},
        {"check A", FAB_OK, NULL, "A free B free C free"},
        {"drain B", FAB_OK, NULL, "A free B drained C free"},
        {"reserve s 9000 n1 B", FAB_ERR_BUSY, "GPU 1 of n1 is drained: fan", NULL},
        {"reserve s 9000 n1 A", FAB_OK, NULL, "A reserved B drained C free | s reserved A@1"},
        {"drain A", FAB_OK, NULL, NULL},
        {"reopen", FAB_OK, NULL, "A lost B lost C lost | s reserved A@1"},
        {"report n1 b1 A B C", FAB_OK, NULL, "A reserved B drained C free | s reserved A@1"},
        {"release s", FAB_OK, NULL, "A drained B drained C free"},
        {"undrain A", FAB_OK, NULL, "A free B drained C free"},
        {"undrain A", FAB_OK, NULL, NULL},
        {"drain n1", FAB_OK, NULL, "A drained B drained C drained"},
        {"reserve s 9000 n1 A", FAB_ERR_BUSY, "host n1 is drained: fan", NULL},
        {"undrain n1", FAB_OK, NULL, "A free B drained C free"},
        {"drain x", FAB_ERR_NOT_FOUND, "there is no node or GPU x", NULL},
        {"reserve s 9000 n1 C", FAB_OK, NULL, "A free B drained C reserved | s reserved C@2"},
        {"report n1 b1 B A", FAB_OK, NULL, "B drained A free C failed | s reserved C@2"},
        {"release s", FAB_OK, NULL, "B drained A free C failed"},
        {"report n1 b1 B A", FAB_OK, NULL, "B drained A free"},
        {"report n2 b1 A", FAB_ERR_EXISTS, "GPU A is node n1's", NULL},
        {"report n1 b1 B", FAB_OK, NULL, "B drained"},
        {"report n2 b1 A", FAB_OK, NULL, "B drained A free"},
        {"report n2 b1 A A", FAB_ERR_EXISTS, "has GPU A twice", NULL},
        {"report .n b1", FAB_ERR_INVALID, "no name for a node", NULL},
    };

    TELL("GPUs", rows);
}

/* A store from a copy: agents know fence numbers that it never gave. */
static void test_old_copy(void)
{
    static const struct row rows[] = {
        {"report n1 b1 A=41 B", FAB_OK, NULL, "A releasing B free"},
        {"released A 41", FAB_OK, NULL, "A free B free"},
        {"reserve s 9000 n1 B", FAB_OK, NULL, "A free B reserved | s reserved B@42"},
        {"reopen", FAB_OK, NULL, "A lost B lost | s reserved B@42"},
        {"release s", FAB_OK, NULL, "A lost B lost"},
        {"report n1 b1 A B", FAB_OK, NULL, "A free B free"},
        {"reserve s 9000 n1 A", FAB_OK, NULL, "A reserved B free | s reserved A@43"},
    };

    TELL("an old copy", rows);
}

static void test_requests(void)
{
    static const struct row rows[] = {
        {"report n1 b1 A B", FAB_OK, NULL, "A free B free"},
        {"reserve -x 9000 n1 A", FAB_ERR_INVALID, "no name for a system", NULL},
        {"reserve a/b 9000 n1 A", FAB_ERR_INVALID, "no name for a system", NULL},
        {"reserve s 9000 n9 A", FAB_ERR_NOT_FOUND, "there is no host n9", NULL},
        {"reserve s 9000 n1 Z", FAB_ERR_NOT_FOUND, "there is no GPU Z", NULL},
        {"reserve s 9000 n1 A A", FAB_ERR_INVALID, "GPU A is asked for twice", NULL},
        {"reserve s 9000 n1", FAB_ERR_RANGE, "1 to 64 GPUs, not 0", NULL},
        {"compose s", FAB_ERR_NOT_FOUND, "there is no system s", NULL},
        {"check Z", FAB_ERR_NOT_FOUND, "there is no GPU Z", NULL},
        {"lost n9", FAB_ERR_NOT_FOUND, "there is no node n9", NULL},
        {"reserve s 9000 n1 B", FAB_OK, NULL, "A free B reserved | s reserved B@1"},
    };

    TELL("requests", rows);
}

/* ---- failures ---------------------------------------------------------------------------------
 */

/* The whole life; what fails must leave all as it was, in memory and in the store. */
static enum fab_status scenario(void)
{
    static const char *const lines[] = {
        "report n1 b1 A B", "reserve s 9000 n1 A B",
        "compose s",        "composed s",
        "report n1 b2 A B", "check A bad",
        "release s",        "drain n1",
        "report n1 b2 A",   "lost n1",
        "fence n1",         "reopen",
    };
    enum fab_status status = FAB_OK;

    for (size_t i = 0; status == FAB_OK && i < FAB_ARRAY_LEN(lines); i++) {
        char before[1024];
        struct fab_err err = {0};

        (void)snprintf(before, sizeof(before), "%s", shown());
        status = step(lines[i], &err);
        if (status != FAB_OK && ledger) {
            CHECK_CASE("a failure of '%s'", lines[i]);
            CHECK_STR(shown(), before);
            CHECK_EQ(ledger_verify(ledger, NULL), FAB_OK);
        }
    }
    return status;
}

static enum fab_status scenario_of_its_own(void)
{
    enum fab_status status;

    clean_up();
    now_ms = 1000;
    status = story_begin() ? start() : FAB_ERR_IO;
    if (status == FAB_OK)
        status = scenario();
    clean_up();
    return status;
}

static void test_faults(void)
{
    CHECK(faults_run("the ledger", scenario_of_its_own) > 20);
}

#define RAILS(pair)                                                                                \
    "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,\"created\":1," \
    "\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"A\"]}],\"rails\":1,\"rails_of\":[[" pair  \
    "]],\"confirmed\":[]}"

static void test_damaged_rows(void)
{
    static const struct {
        const char *label, *key, *value, *error;
    } rows[] = {
        {"no JSON", "node/n1", "{", "node/n1"},
        {"a member of another type", "node/n1", "{\"boot\":7}", "the store's row node/n1"},
        {"a long name",
         "system/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "{}",
         "the name is too long"},
        {"a GPU of no node", "gpu/Z",
         "{\"node\":\"n9\",\"index\":0,\"name\":\"K\",\"fence\":1,\"failed\":false,\"drained\":"
         "false,"
         "\"reason\":\"\",\"since\":1}",
         "there is no node n9"},
        {"a state that is none", "system/t",
         "{\"state\":\"free\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,\"created\":1,"
         "\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"B\"]}],\"confirmed\":[]}",
         "'free' is no state"},
        {"a GPU in two systems", "system/t",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":"
         "1,\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"A\"]}],\"confirmed\":[]}",
         "GPU A stands in two systems"},
        {"a GPU that is not", "system/t",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":"
         "1,\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"Z\"]}],\"confirmed\":[]}",
         "GPU Z does not exist"},
        {"no GPU", "system/t",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":"
         "1,\"limit\":0,\"hosts\":[],\"confirmed\":[]}",
         "it has no GPU"},
        {"a confirmed one outside", "system/s",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":"
         "1,\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"A\"]}],\"confirmed\":[1]}",
         "confirmed[0] is no GPU of it"},
        {"confirmed is not there", "system/s",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":1,\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"A\"]}]}",
         "confirmed is no array"},
        {"a host's GPUs are none", "system/s",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":1,\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"A\"]},{\"node\":\"n1\"}"
         "],"
         "\"confirmed\":[]}",
         "gpus is no array"},
        {"a rail beyond all", "system/s", RAILS("[0,4294967296]"),
         "rails_of[0][0] is no pair of rails"},
        {"a rail that is no number", "system/s", RAILS("[0,\"1\"]"),
         "rails_of[0][0] is no pair of rails"},
        {"a GPU that was never given", "system/t",
         "{\"state\":\"composed\",\"reason\":\"\",\"uid\":1,\"adhoc\":false,\"since\":1,"
         "\"created\":1,\"limit\":0,\"hosts\":[{\"node\":\"n1\",\"gpus\":[\"B\"]}],\"confirmed\":[]"
         "}",
         "GPU B was never given"},
        {"fences lost their number", "fence", "x", "'x' is no number"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};

        if (!fresh())
            return;
        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(step("report n1 b1 A B", &err), FAB_OK);
        CHECK_EQ(step("reserve s 9000 n1 A", &err), FAB_OK);
        ledger_close(ledger);
        ledger = NULL;
        CHECK_EQ(store_commit(store,
                              &(struct store_change){.key = rows[i].key,
                                                     .value = rows[i].value,
                                                     .expected = STORE_ANY},
                              1, NULL, &err),
                 FAB_OK);
        CHECK_EQ(ledger_open(store, now_ms, &ledger, &err), FAB_ERR_FORMAT);
        CHECK_HAS(err.text, rows[i].error);
    }
}

/* A store whose counter is behind its rows: made when agents of another one reported. */
static void test_fence_of_rows(void)
{
    struct fab_err err = {0};

    if (!fresh())
        return;
    CHECK_EQ(step("report n1 b1 A B", &err), FAB_OK);
    ledger_close(ledger);
    ledger = NULL;
    CHECK_EQ(store_commit(store,
                          &(struct store_change){
                              .key = "gpu/B",
                              .value = "{\"node\":\"n1\",\"index\":1,\"name\":\"K\",\"fence\":7,"
                                       "\"failed\":false,\"drained\":false,\"reason\":\"\","
                                       "\"since\":1}",
                              .expected = STORE_ANY},
                          1, NULL, &err),
             FAB_OK);
    CHECK_EQ(ledger_open(store, now_ms, &ledger, &err), FAB_OK);
    CHECK_EQ(step("report n1 b1 A B", &err), FAB_OK);
    CHECK_EQ(step("reserve s 9000 n1 B", &err), FAB_OK);
    CHECK_EQ(ledger_find_gpu(ledger, "B")->fence, 8);
    CHECK_EQ(ledger_verify(ledger, &err), FAB_OK);
}

static enum fab_status count_event(void *user, uint64_t number, const char *json,
                                   struct fab_err *err)
{
    char wanted[32];

    (void)err;
    (void)snprintf(wanted, sizeof(wanted), "\"number\":%" PRIu64, number);
    CHECK_HAS(json, wanted);
    ++*(size_t *)user;
    return FAB_OK;
}

static void test_events(void)
{
    size_t all = 0, later = 0;

    CHECK_CASE("events");
    if (!fresh())
        return;
    CHECK_EQ(step("report n1 b1 A", NULL), FAB_OK);
    CHECK_EQ(step("report n1 b1 A", NULL), FAB_OK); /* nothing new */
    CHECK_EQ(step("reserve s 9000 n1 A", NULL), FAB_OK);
    CHECK_EQ(step("release s", NULL), FAB_OK);
    CHECK_EQ(step("reserve s 9000 n9 A", NULL), FAB_ERR_NOT_FOUND);
    CHECK_EQ(ledger_events(ledger, 0, count_event, &all, NULL), FAB_OK);
    CHECK_EQ(all, 4); /* node-up, reserved, releasing, released */
    CHECK_EQ(ledger_events(ledger, 2, count_event, &later, NULL), FAB_OK);
    CHECK_EQ(later, 2);
}

/* ---- random steps -----------------------------------------------------------------------------
 * Beside the ledger stands what agents would hold: the fence on each GPU. Whatever happens, a GPU
 * that the ledger calls free has nothing on it, unless an administrator vouched for that.
 */

static void random_line(char *line, size_t bytes, const uint64_t on_gpu[6])
{
    static const char *const nodes[] = {"n1", "n2", "n3"};
    const long node = random() % 3, gpu = random() % 6, system = random() % 3;

    switch ("RRRRRLVVVVVCDXXFFFFE"[random() % 20]) {
    case 'R':
        (void)snprintf(line, bytes, "report %s b1 %c=%" PRIu64 " %c=%" PRIu64, nodes[node],
                       (char)('A' + 2 * node), on_gpu[2 * node], (char)('B' + 2 * node),
                       on_gpu[2 * node + 1]);
        break;
    case 'L':
        (void)snprintf(line, bytes, "lost %s", nodes[node]);
        break;
    case 'V':
        (void)snprintf(line, bytes, "reserve s%ld %" PRIu64 " %s %c %c", system, now_ms + 40,
                       nodes[node], (char)('A' + gpu), (char)('A' + (gpu + 1) % 6));
        break;
    case 'C':
        (void)snprintf(line, bytes, "compose s%ld", system);
        break;
    case 'D':
        (void)snprintf(line, bytes, "composed s%ld", system);
        break;
    case 'X':
        (void)snprintf(line, bytes, "release s%ld", system);
        break;
    case 'F':
        (void)snprintf(line, bytes, "released %c %" PRIu64, (char)('A' + gpu), on_gpu[gpu]);
        break;
    default:
        (void)snprintf(line, bytes, "expire");
        break;
    }
}

/* What agents do after a step that succeeded: they take what composes, and clear what they say. */
static void follow(const char *line, uint64_t on_gpu[6])
{
    if (strncmp(line, "released ", 9) == 0)
        on_gpu[line[9] - 'A'] = 0;
    for (size_t i = 0; i < ledger_system_count(ledger); i++) {
        const struct ledger_system *system = ledger_system(ledger, i);

        for (uint32_t k = 0; system->state == LEDGER_COMPOSING && k < system->gpu_count; k++)
            on_gpu[system->gpus[k]->uuid[0] - 'A'] = system->gpus[k]->fence;
    }
}

static void test_random(void)
{
    uint64_t on_gpu[6] = {0};
    unsigned reserved = 0, freed = 0;
    char line[96];
    struct fab_err err = {0};

    if (!fresh())
        return;
    srandom(20261125);
    for (int i = 0; i < RANDOM_STEPS; i++) {
        enum fab_status status;

        now_ms += (uint64_t)random() % 10;
        (void)snprintf(line, sizeof(line), "reopen");
        if (i % REOPEN_EVERY != REOPEN_EVERY - 1)
            random_line(line, sizeof(line), on_gpu);
        CHECK_CASE("random step %d: %s", i, line);
        status = step(line, &err);
        if (!ledger)
            return;
        if (status == FAB_OK)
            follow(line, on_gpu);
        reserved += status == FAB_OK && strncmp(line, "reserve", 7) == 0;
        freed += status == FAB_OK && strncmp(line, "released", 8) == 0;
        if (!CHECK_EQ(ledger_verify(ledger, &err), FAB_OK)) {
            printf("%s\n", err.text);
            return;
        }
        for (int k = 0; k < 6; k++) {
            const struct ledger_gpu *gpu = ledger_find_gpu(ledger, (char[]){(char)('A' + k), '\0'});

            if (gpu && ledger_gpu_state(gpu) == LEDGER_FREE && !CHECK_EQ(on_gpu[k], 0))
                return;
        }
    }
    CHECK_CASE("random steps reach something");
    CHECK(reserved > 50);
    CHECK(freed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_life),          CHECK_TEST(test_limits),   CHECK_TEST(test_lost_nodes),
        CHECK_TEST(test_gpus),          CHECK_TEST(test_old_copy), CHECK_TEST(test_requests),
        CHECK_TEST(test_faults),        CHECK_TEST(test_events),   CHECK_TEST(test_damaged_rows),
        CHECK_TEST(test_fence_of_rows), CHECK_TEST(test_random),
    };
    const int status = check_run(tests);

    clean_up();
    return status;
}
