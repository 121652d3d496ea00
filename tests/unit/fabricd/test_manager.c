/* SPDX-License-Identifier: Apache-2.0
 * The manager's mind: stories of requests, reports and time, with the commands and answers of each
 * step; a restart in the middle.
 */
#include "fabricd/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "fabricd/store.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/story.h"

enum { LOG_BYTES = 2048, GRACE_MS = 30000 };

static struct store *store;
static struct ledger *ledger;
static struct manager *manager;
static uint64_t now_ms;
static char said[LOG_BYTES];
static uint32_t rails; /* that creates ask for; nodes have some then: n2 one, others two */

static void say(const char *format, ...) FAB_PRINTF(1, 2);
static void say(const char *format, ...)
{
    const size_t used = strlen(said);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(said + used, sizeof(said) - used, format, arguments);
    va_end(arguments);
}

static void on_command(void *user, const struct manager_command *command)
{
    (void)user;
    say("%s%s %s %s@%" PRIu64, said[0] ? "; " : "", command->node, manager_verb_name(command->verb),
        command->system, command->fence);
    for (uint32_t i = 0; i < command->gpu_count; i++) {
        say(" %s", command->gpus[i]->uuid);
        for (uint32_t k = 0; command->rails && k < command->rails[i].count; k++)
            say("%s%u-%u", k ? "," : ":", command->rails[i].pairs[k].local,
                command->rails[i].pairs[k].remote);
    }
}

static uint32_t on_rails(void *user, const char *node, const struct rails_rail **rails_out)
{
    static const struct rails_rail all[] = {{"ib0", "", "net0"}, {"ib1", "", "net1"}};

    (void)user;
    *rails_out = all;
    return rails == 0 ? 0 : strcmp(node, "n2") == 0 ? 1 : 2;
}

static void on_answer(void *user, uint64_t request_id, enum fab_status status,
                      const struct ledger_system *system, const struct fab_err *err)
{
    (void)user;
    say("%s#%" PRIu64 " %s", said[0] ? "; " : "", request_id, fab_status_name(status) + 4);
    if (system)
        say(" %s", system->name);
    if (err && err->text[0])
        say(": %s", err->text);
}

static const struct manager_ops ops = {
    .command = on_command, .answer = on_answer, .rails = on_rails};

static void stop(void)
{
    manager_destroy(manager);
    ledger_close(ledger);
    store_close(store);
    manager = NULL;
    ledger = NULL;
    store = NULL;
}

static void clean_up(void)
{
    stop();
    story_end();
}

static bool start(void)
{
    return CHECK_EQ(store_open(story_store, &store, NULL), FAB_OK) &&
           CHECK_EQ(ledger_open(store, now_ms, &ledger, NULL), FAB_OK) &&
           CHECK_EQ(manager_create(ledger, &ops, NULL, &manager, NULL), FAB_OK) &&
           (manager_set_grace(manager, GRACE_MS), true);
}

static bool fresh(void)
{
    clean_up();
    now_ms = 1000;
    return CHECK(story_begin()) && start();
}

/* ---- steps ------------------------------------------------------------------------------------
 *   adhoc ID NAME HOST GPU,GPU..
 *   up NODE BOOT [GPU[=FENCE]]...      create ID NAME HOST,HOST GPU,GPU.. [WAIT_MS]
 *   delete ID NAME    forget ID        ok|bad NODE SYSTEM FENCE    released GPU FENCE
 *   lost NODE         at MS            restart
 */

static void step_up(char **words, int count)
{
    CHECK_EQ(story_report(ledger, words, count, now_ms, NULL), FAB_OK);
    manager_node_up(manager, words[1], now_ms);
}

static uint32_t split(char *list, const char **parts_out)
{
    char *rest = NULL;
    uint32_t count = 0;

    for (char *part = strtok_r(list, ",", &rest); part; part = strtok_r(NULL, ",", &rest))
        parts_out[count++] = part;
    return count;
}

static void step_create(char **words, int count)
{
    const char *hosts[STORY_WORDS_MAX], *gpus[STORY_WORDS_MAX];
    struct manager_request request = {.name = words[2],
                                      .owner_uid = 7,
                                      .hosts = hosts,
                                      .uuids = gpus,
                                      .limit_ms = 500,
                                      .is_adhoc = words[0][0] == 'a',
                                      .rails = rails,
                                      .wait_ms = count > 5 ? strtoull(words[5], NULL, 10) : 0};

    request.host_count = split(words[3], hosts);
    request.gpu_count = split(words[4], gpus);
    manager_ask_create(manager, strtoull(words[1], NULL, 10), &request, now_ms);
}

static void step(const char *line)
{
    char text[STORY_LINE_BYTES], *words[STORY_WORDS_MAX] = {NULL};
    const int count = story_words(line, text, words);

    if (strcmp(words[0], "up") == 0) {
        step_up(words, count);
    } else if (strcmp(words[0], "create") == 0 || strcmp(words[0], "adhoc") == 0) {
        step_create(words, count);
    } else if (strcmp(words[0], "delete") == 0) {
        manager_ask_delete(manager, strtoull(words[1], NULL, 10), words[2], "asked", now_ms);
    } else if (strcmp(words[0], "forget") == 0) {
        manager_forget(manager, strtoull(words[1], NULL, 10), now_ms);
    } else if (strcmp(words[0], "ok") == 0 || strcmp(words[0], "bad") == 0) {
        manager_prepared(manager, words[1], words[2], strtoull(words[3], NULL, 10),
                         words[0][0] == 'b' ? "its check failed" : NULL, now_ms);
    } else if (strcmp(words[0], "released") == 0) {
        CHECK_EQ(ledger_gpu_released(ledger, words[1], strtoull(words[2], NULL, 10), now_ms, NULL),
                 FAB_OK);
        manager_turn(manager, now_ms);
    } else if (strcmp(words[0], "lost") == 0) {
        CHECK_EQ(ledger_node_lost(ledger, words[1], "silent", now_ms, NULL), FAB_OK);
        manager_turn(manager, now_ms);
    } else if (strcmp(words[0], "at") == 0) {
        now_ms = strtoull(words[1], NULL, 10);
        manager_turn(manager, now_ms);
    } else {
        stop();
        if (start())
            manager_turn(manager, now_ms);
    }
}

struct row {
    const char *step, *said;
};

static void tell(const char *label, const struct row *rows, size_t count)
{
    if (!fresh())
        return;
    for (size_t i = 0; i < count && manager; i++) {
        CHECK_CASE("%s, step %zu: %s", label, i + 1, rows[i].step);
        said[0] = '\0';
        step(rows[i].step);
        CHECK_STR(said, rows[i].said);
        CHECK_EQ(ledger_verify(ledger, NULL), FAB_OK);
    }
}
#define TELL(label, rows) tell(label, rows, FAB_ARRAY_LEN(rows))

static void test_life(void)
{
    static const struct row rows[] = {
        {"up n1 b1 A B", ""},
        {"up n2 b1 C D", ""},
        {"up r1 b1", ""},
        {"create 1 train r1 A,C",
         "r1 present train@1 A C; n1 prepare train@1 A; n2 prepare train@1 C"},
        {"ok n1 train 1", ""},
        {"ok n1 train 1", ""}, /* said twice */
        {"ok n2 train 0", ""}, /* of another time */
        {"ok n2 other 1", ""},
        {"ok r1 train 1", ""},
        {"ok n2 train 1", "#1 OK train"},
        {"create 2 train r1 B", "#2 ERR_EXISTS: a system train is there already: take another "
                                "--name, or delete it"},
        {"create 3 more r1 A", "#3 ERR_BUSY: GPU 0 of n1 is composed for train"},
        {"up n1 b1 A=1 B", "n1 prepare train@1 A"}, /* its connection was lost */
        {"ok n1 train 1", ""},
        {"restart", "r1 present train@1 A C; n1 prepare train@1 A; n2 prepare train@1 C"},
        {"up n1 b1 A=1 B", "n1 prepare train@1 A"},
        {"up n2 b1 C=1 D", "n2 prepare train@1 C"},
        {"up r1 b1", "r1 present train@1 A C"},
        {"delete 4 train", "r1 withdraw train@1 A C; n1 release train@1 A; n2 release train@1 C"},
        {"delete 5 train", "#5 OK train"}, /* still there: #4 waits */
        {"released A 1", ""},
        {"released C 1", "#4 OK"},
        {"delete 6 train", "#6 ERR_NOT_FOUND: there is no system train: see `compose list`"},
    };

    TELL("life", rows);
}

static void test_undone(void)
{
    static const struct row rows[] = {
        {"up n1 b1 A B", ""},
        {"up r1 b1", ""},
        {"create 1 s r1 A", "r1 present s@1 A; n1 prepare s@1 A"},
        {"bad n1 s 1", "r1 withdraw s@1 A; n1 release s@1 A"},
        {"ok r1 s 1", ""}, /* too late */
        {"released A 1", "#1 ERR_CANCELLED: system s was not composed: n1: its check failed"},
        {"create 2 s r1 A", "r1 present s@2 A; n1 prepare s@2 A"},
        {"ok n1 s 2", ""},
        {"at 1499", ""},
        {"at 1500", "r1 withdraw s@2 A; n1 release s@2 A"}, /* r1 never answered */
        {"lost n1", ""},
        {"up n1 b2 A B", "#2 ERR_CANCELLED: system s was not composed: it was still composing at "
                         "its time limit"},
        {"create 3 s r1 A,B", "r1 present s@3 A B; n1 prepare s@3 A B"},
        {"up n1 b3 A B", "#3 ERR_CANCELLED: system s was not composed: node n1 has restarted"},
        {"create 4 s r1 A", "r1 present s@4 A; n1 prepare s@4 A"},
        {"forget 4", "r1 withdraw s@4 A; n1 release s@4 A"},
        {"released A 4", ""},
        {"create 5 s r9 A", "#5 ERR_NOT_FOUND: there is no host r9: see `compose node list`"},
        {"create 6 s r1,n1 A,B", "r1 present s@5 A; n1 prepare s@5 A B; n1 present s@5 B"},
        {"delete 0 s", "r1 withdraw s@5 A; n1 release s@5 A B; n1 withdraw s@5 B"},
        {"released A 5", ""},
        {"released B 5", "#6 ERR_CANCELLED: system s was not composed: asked"},
        {"create 7 s r1,n1 A",
         "#7 ERR_INVALID: 1 GPUs do not split evenly among 2 hosts: ask for 2 "
         "or 2"},
    };

    TELL("undone", rows);
}

/* An ad hoc system ends with its host, when that has been away for the grace period. */
static void test_orphans(void)
{
    static const struct row rows[] = {
        {"up n1 b1 A B C", ""},
        {"up r1 b1", ""},
        {"adhoc 1 once r1 A", "r1 present once@1 A; n1 prepare once@1 A"},
        {"ok n1 once 1", ""},
        {"ok r1 once 1", "#1 OK once"},
        {"create 2 kept r1 B", "r1 present kept@2 B; n1 prepare kept@2 B"},
        {"ok n1 kept 2", ""},
        {"ok r1 kept 2", "#2 OK kept"},
        {"lost r1", ""},
        {"at 30999", ""},
        {"up r1 b1", "r1 present once@1 A; r1 present kept@2 B"}, /* in time */
        {"lost r1", ""},
        {"at 60998", ""},
        {"at 60999", "r1 withdraw once@1 A; n1 release once@1 A"},
        {"released A 1", ""},
        {"up r1 b1", "r1 present kept@2 B"},
        /* A restart of the manager makes no host lost for longer. */
        {"adhoc 3 again r1 C", "r1 present again@3 C; n1 prepare again@3 C"},
        {"ok n1 again 3", ""},
        {"ok r1 again 3", "#3 OK again"},
        {"restart", "r1 present kept@2 B; n1 prepare kept@2 B; r1 present again@3 C; n1 prepare "
                    "again@3 C"},
        {"at 90998", ""},
        {"at 90999", "r1 withdraw again@3 C; n1 release again@3 C"},
    };

    TELL("orphans", rows);
}

/* A store that refuses is asked again a second later. */
static void test_orphan_refused(void)
{
    static const struct row rows[] = {
        {"up n1 b1 A", ""},
        {"up r1 b1", ""},
        {"adhoc 1 once r1 A", "r1 present once@1 A; n1 prepare once@1 A"},
        {"ok n1 once 1", ""},
        {"ok r1 once 1", "#1 OK once"},
        {"lost r1", ""},
        {"at 30999", ""},
    };
    struct fab_fault_plan plan = {.site = "alloc", .fail_at = 1};

    TELL("an orphan", rows);
    CHECK_CASE("the store refuses");
    said[0] = '\0';
    fab_fault_arm(&plan);
    step("at 31000");
    fab_fault_arm(NULL);
    CHECK(plan.fired != NULL);
    CHECK_STR(said, "");
    CHECK_EQ(manager_next_ms(manager), 32000);
    step("at 32000");
    CHECK_STR(said, "r1 withdraw once@1 A; n1 release once@1 A");
}

static void test_line(void)
{
    static const struct row rows[] = {
        {"up n1 b1 A B", ""},
        {"up r1 b1", ""},
        {"create 1 a r1 A,B 0", "r1 present a@1 A B; n1 prepare a@1 A B"},
        {"ok n1 a 1", ""},
        {"ok r1 a 1", "#1 OK a"},
        {"create 2 b r1 A,B 5000", ""},
        {"create 3 c r1 A 9000", ""},
        {"create 4 d r1 B", "#4 ERR_BUSY: 2 other creates are waiting for GPUs: wait, too, with "
                            "--wait"},
        {"create 5 e r1 B 1000", ""},
        {"at 2000", "#5 ERR_TIMEOUT: the time to wait is over, and others were in line before"},
        {"delete 6 a", "r1 withdraw a@1 A B; n1 release a@1 A B"},
        {"released A 1", ""}, /* the first in line wants both */
        {"released B 1", "#6 OK; r1 present b@2 A B; n1 prepare b@2 A B"},
        {"ok n1 b 2", ""},
        {"ok r1 b 2", "#2 OK b"},
        {"delete 7 b", "r1 withdraw b@2 A B; n1 release b@2 A B"},
        {"released B 2", ""},
        {"released A 2", "#7 OK; r1 present c@3 A; n1 prepare c@3 A"},
        {"ok n1 c 3", ""},
        {"ok r1 c 3", "#3 OK c"},
        {"create 8 d r1 A 100", ""},
        {"forget 8", ""},
        {"at 3000", ""},
        {"create 9 d r1 A 100", ""},
        {"at 3100", "#9 ERR_BUSY: GPU 0 of n1 is composed for c"},
    };

    TELL("line", rows);
}

/* Rails are chosen with the GPUs, and are the same after a restart, whatever nodes have then. */
static void test_rails(void)
{
    static const struct row two[] = {
        {"up n1 b1 A B", ""},
        {"up n2 b1 C D", ""},
        {"up r1 b1", ""},
        {"create 1 train r1 A,C", "#1 ERR_LIMIT: 2 rails were asked for, and 1 of r1 lead to every "
                                  "node of its GPUs now: see `compose topo`"},
        {"create 2 train r1 B,A", "r1 present train@1 B:0-0,1-1 A:0-0,1-1; "
                                  "n1 prepare train@1 B:0-0,1-1 A:0-0,1-1"},
        {"create 3 own n1 C", "#3 ERR_LIMIT: 2 rails were asked for, and 1 of n1 lead to every "
                              "node of its GPUs now: see `compose topo`"},
        {"create 4 own n2 C", "n2 prepare own@2 C; n2 present own@2 C"}, /* needs none */
    };
    rails = 2;
    TELL("two rails", two);
    rails = 0;
    CHECK_CASE("restarted");
    said[0] = '\0';
    step("restart");
    CHECK_STR(said, "n2 prepare own@2 C; n2 present own@2 C; "
                    "r1 present train@1 B:0-0,1-1 A:0-0,1-1; "
                    "n1 prepare train@1 B:0-0,1-1 A:0-0,1-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_life),    CHECK_TEST(test_undone),
                                       CHECK_TEST(test_orphans), CHECK_TEST(test_orphan_refused),
                                       CHECK_TEST(test_line),    CHECK_TEST(test_rails)};
    const int status = check_run(tests);

    clean_up();
    return status;
}
