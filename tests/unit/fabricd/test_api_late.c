/* SPDX-License-Identifier: Apache-2.0
 * The API on a small rack: answers that come later, callers that go, event streams, metrics, and
 * what an answer has beside its body.
 */
#include "fabricd/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "fabricd/ledger.h"
#include "fabricd/rack.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/small_rack.h"

#define V "/redfish/v1"
#define BLOCKS V "/CompositionService/ResourceBlocks"
#define NODE "r730-1"

enum { ROOT = 0, ANN = 1001, BOB = 1002 };

#define RUN(rows) small_rack_run((rows), FAB_ARRAY_LEN(rows))

/* ---- answers that come later ------------------------------------------------------------------
 */

static const char train[] =
    "{\"Name\":\"train\",\"Oem\":{\"Fabric\":{\"Hosts\":[\"r730-1\"],\"Gpus\":8}}}";
static const char next_one[] =
    "{\"Name\":\"next\",\"Oem\":{\"Fabric\":{\"Gpus\":8,\"WaitMs\":1000}}}";

static void test_waiting(void)
{
    unsigned first, again, next, removed, removed_again;
    const struct small_answer *answers = small_rack.answers;

    if (!CHECK(small_rack_begin()))
        return;
    small_rack.is_held = true;
    first = small_rack_ask("POST", V "/Systems", ANN, train);
    again = small_rack_ask("POST", V "/Systems", ANN, train);
    next = small_rack_ask("POST", V "/Systems", BOB, next_one);
    CHECK_CASE("nobody has an answer");
    CHECK_EQ(answers[first].count + answers[again].count + answers[next].count, 0);
    small_rack_agents();
    CHECK_CASE("both who asked for the same");
    CHECK_EQ(answers[first].status, 201);
    CHECK_STR(answers[first].location, V "/Systems/train");
    CHECK_EQ(answers[again].status, 200);
    CHECK_EQ(answers[next].count, 0);
    CHECK_CASE("two deletes");
    removed = small_rack_ask("DELETE", V "/Systems/train", ANN, NULL);
    removed_again = small_rack_ask("DELETE", V "/Systems/train", ANN, NULL);
    CHECK_EQ(answers[removed].count + answers[removed_again].count, 0);
    small_rack_agents();
    CHECK_EQ(answers[removed].status, 204);
    CHECK_EQ(answers[removed_again].status, 204);
    CHECK_CASE("who waited");
    small_rack_agents();
    CHECK_EQ(answers[next].status, 201);
}

static void test_leaving(void)
{
    unsigned first, again, late;
    const struct small_answer *answers = small_rack.answers;

    if (!CHECK(small_rack_begin()))
        return;
    small_rack.is_held = true;
    first = small_rack_ask("POST", V "/Systems", ANN, train);
    again = small_rack_ask("POST", V "/Systems", ANN, train);
    small_rack_leave(first);
    small_rack_agents();
    CHECK_CASE("undone, and the follower hears it");
    CHECK_EQ(answers[first].count, 0);
    CHECK_EQ(answers[again].status, 504);
    CHECK_HAS(answers[again].body, "who asked for it has gone");
    CHECK_EQ(ledger_system_count(small_rack.ledger), 0);
    CHECK_CASE("over its limit");
    late = small_rack_ask("POST", V "/Systems", ANN, train);
    small_rack.now_ms += 60000;
    small_rack_agents();
    small_rack_agents();
    CHECK_EQ(answers[late].status, 504);
    CHECK_HAS(answers[late].body, "Fabric.1.0.Undone");
    CHECK_EQ(ledger_system_count(small_rack.ledger), 0);
}

static void test_adhoc(void)
{
    unsigned place;

    if (!CHECK(small_rack_begin()))
        return;
    CHECK_CASE("the agent hears whose life it is");
    place = small_rack_ask("POST", V "/Systems", ANN,
                           "{\"Oem\":{\"Fabric\":{\"Gpus\":1,\"AdHoc\":true}}}");
    CHECK_EQ(small_rack.answers[place].status, 201);
    CHECK_STR(small_rack.answers[place].adhoc, "system-1");
}

static void test_programs(void)
{
    static const struct small_row rows[] = {
        {"the owner",
         "GET",
         V "/Systems/train",
         ANN,
         NULL,
         200,
         {"\"Host\":\"r730-1\",\"Uid\":1001,\"Pid\":77", "\"Command\":\"./secret\""},
         NULL},
        {"root", "GET", V "/Systems/train", ROOT, NULL, 200, {"./secret"}, NULL},
        {"another", "GET", V "/Systems/train", BOB, NULL, 200, {"\"Pid\":77"}, "secret"},
        {"another, in the list", "GET", V "/Systems?$expand=.", BOB, NULL, 200, {"77"}, "secret"},
    };

    if (!CHECK(small_rack_begin()))
        return;
    (void)small_rack_ask("POST", V "/Systems", ANN, train);
    small_rack_programs("r730-1", "train", ANN, "./secret");
    RUN(rows);
}

/* ---- events and metrics -----------------------------------------------------------------------
 */

static void test_events(void)
{
    static const struct small_row rows[] = {
        {"all",
         "GET",
         V "/Oem/Fabric/Events",
         ANN,
         NULL,
         200,
         {"\"number\":1,", "\"subject\":\"train\""},
         NULL},
        {"later ones",
         "GET",
         V "/Oem/Fabric/Events?after=1",
         ANN,
         NULL,
         200,
         {"\"number\":2,"},
         "\"number\":1,"},
        {"none",
         "GET",
         V "/Oem/Fabric/Events?after=99999",
         ANN,
         NULL,
         200,
         {"\"Members\":[]"},
         NULL},
    };
    unsigned from_now, from_begin;
    const struct small_answer *answers = small_rack.answers;

    if (!CHECK(small_rack_begin()))
        return;
    from_now = small_rack_ask("GET", V "/EventService/SSE", ANN, NULL);
    from_begin = small_rack_ask("GET", V "/EventService/SSE?after=0", ANN, NULL);
    CHECK_CASE("streams");
    CHECK_EQ(answers[from_now].status, 200);
    CHECK_STR(answers[from_now].type, "text/event-stream");
    CHECK(answers[from_now].is_more && answers[from_begin].is_more);
    CHECK(strstr(answers[from_now].body, "id: ") == NULL);
    CHECK_HAS(answers[from_begin].body, "id: 1\ndata: {\"number\":1,");
    (void)small_rack_ask("POST", V "/Systems", ANN, train);
    CHECK_HAS(answers[from_now].body, "\"subject\":\"train\"");
    CHECK(strstr(answers[from_now].body, "id: 1\n") == NULL);
    small_rack_leave(from_now);
    RUN(rows);
}

/* One metric name a family, HELP and TYPE before it, families in one piece, numbers as values: what
 * `promtool check metrics` asks for. */
static void check_metrics(char *text)
{
    char family[128] = "", *rest = NULL;
    bool has_help = false, has_type = false;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[128] = "", *value = strrchr(line, ' '), *end = NULL;

        CHECK_CASE("%s", line);
        if (sscanf(line, "# HELP %127s", name) == 1) {
            CHECK(strcmp(name, family) != 0);
            (void)snprintf(family, sizeof(family), "%s", name);
            has_help = true;
            has_type = false;
        } else if (sscanf(line, "# TYPE %127s", name) == 1) {
            CHECK_STR(name, family);
            has_type = has_help;
            CHECK(!strstr(line, " counter") || strstr(name, "_total"));
            CHECK(!strstr(line, " gauge") || !strstr(name, "_total"));
        } else if (CHECK(value && sscanf(line, "%127[A-Za-z0-9_]", name) == 1)) {
            CHECK_STR(name, family);
            CHECK(has_type);
            (void)strtod(value + 1, &end);
            CHECK(end != value + 1 && *end == '\0');
            CHECK(line[strlen(name)] == '{' ? value[-1] == '}' : line[strlen(name)] == ' ');
        }
    }
}

static void test_metrics(void)
{
    static const struct small_row rows[] = {
        {"metrics",
         "GET",
         "/metrics",
         ANN,
         NULL,
         200,
         {"DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"c4130-1.1\",device=\"nvidia1\",model=\"T4\","
          "Hostname=\"c4130-1\"} 10\n",
          "DCGM_FI_DEV_FB_USED{gpu=\"2\"", "fabric_gpus{state=\"composed\"} 8\n",
          "fabric_systems{state=\"composed\"} 1\n", "# TYPE fabric_events_total counter\n"},
         NULL},
        {"clocks, heat and power",
         "GET",
         "/metrics",
         ANN,
         NULL,
         200,
         {"DCGM_FI_DEV_SM_CLOCK{gpu=\"1\",UUID=\"c4130-2.1\",device=\"nvidia1\",model=\"T4\","
          "Hostname=\"c4130-2\"} 801\n",
          "DCGM_FI_DEV_GPU_TEMP{gpu=\"1\"", "DCGM_FI_DEV_POWER_USAGE{gpu=\"1\"",
          "Hostname=\"c4130-2\"} 61\n", "Hostname=\"c4130-2\"} 5001\n"},
         "DCGM_FI_DEV_SM_CLOCK{gpu=\"0\""},
        {"what is not known is no value",
         "GET",
         "/metrics",
         ANN,
         NULL,
         200,
         {"DCGM_FI_DEV_FB_FREE{gpu=\"1\""},
         "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\""},
    };
    unsigned place;

    if (!CHECK(small_rack_begin()))
        return;
    (void)small_rack_ask("POST", V "/Systems", ANN, train);
    RUN(rows);
    place = small_rack_ask("GET", "/metrics", ANN, NULL);
    check_metrics(small_rack.answers[place].body);
}

/* A sweep that shows what the last one showed costs no join. */
static void test_sweeps(void)
{
    struct topo_fabric fabric;

    if (!CHECK(small_rack_begin()))
        return;
    fabric = *rack_fabric(small_rack.rack);
    fabric.ports = calloc(fabric.port_count, sizeof(*fabric.ports));
    fabric.nodes = calloc(fabric.node_count, sizeof(*fabric.nodes));
    assert_true(fabric.ports && fabric.nodes);
    memcpy(fabric.ports, rack_fabric(small_rack.rack)->ports,
           fabric.port_count * sizeof(*fabric.ports));
    memcpy(fabric.nodes, rack_fabric(small_rack.rack)->nodes,
           fabric.node_count * sizeof(*fabric.nodes));
    CHECK(!rack_is_stale(small_rack.rack));
    CHECK_CASE("the same");
    CHECK_EQ(rack_sweep(small_rack.rack, &fabric, NULL), FAB_OK);
    CHECK(!rack_is_stale(small_rack.rack));
    CHECK_CASE("traffic");
    fabric.ports[1].transmit_bytes += 1 << 20;
    fabric.ports[1].receive_bytes += 1 << 20;
    fabric.ports[1].transmit_wait += 7;
    CHECK_EQ(rack_sweep(small_rack.rack, &fabric, NULL), FAB_OK);
    CHECK(!rack_is_stale(small_rack.rack));
    CHECK_EQ(rack_fabric(small_rack.rack)->ports[1].transmit_wait, 7); /* but it is kept */
    CHECK_CASE("an error");
    fabric.ports[1].symbol_errors++;
    CHECK_EQ(rack_sweep(small_rack.rack, &fabric, NULL), FAB_OK);
    CHECK(rack_is_stale(small_rack.rack));
    CHECK_CASE("and again: it was not joined yet");
    CHECK_EQ(rack_sweep(small_rack.rack, &fabric, NULL), FAB_OK);
    CHECK(rack_is_stale(small_rack.rack));
    topo_fabric_clear(&fabric);
}

static void test_headers(void)
{
    unsigned place;

    if (!CHECK(small_rack_begin()))
        return;
    place = small_rack_ask("PUT", V "/Systems/c4130-1", ANN, NULL);
    CHECK_CASE("Allow");
    CHECK_STR(small_rack.answers[place].allow, "GET, PATCH, DELETE");
}

/* ---- from the network -------------------------------------------------------------------------
 */

/* A new session's token, "" if there is none. */
static const char *log_in(const char *body, unsigned status)
{
    static char token[64];
    unsigned place;

    small_rack.now_ms += 1001; /* an earlier failure is forgotten */
    small_rack.token = "";
    small_rack.name = "";
    place = small_rack_ask("POST", V "/SessionService/Sessions", 0, body);
    CHECK_CASE("%s", body);
    CHECK_EQ(small_rack.answers[place].status, status);
    (void)snprintf(token, sizeof(token), "%s", small_rack.answers[place].token);
    CHECK_EQ(token[0] != '\0', status == 201);
    CHECK(!token[0] || strstr(small_rack.answers[place].body, token) == NULL);
    return token;
}

#define LOGIN(name, password) "{\"UserName\":\"" name "\",\"Password\":\"" password "\"}"

static void test_strangers(void)
{
    static const struct small_row rows[] = {
        {"the root", "GET", V, 0, NULL, 200, {"SessionService"}, NULL},
        {"the rest", "GET", V "/Systems", 0, NULL, 401, {"NoValidSession"}, NULL},
        {"metrics", "GET", "/metrics", 0, NULL, 401, {"log in first"}, NULL},
        {"a create", "POST", V "/Systems", 0, "{}", 401, {"log in first"}, NULL},
    };

    if (!CHECK(small_rack_begin()))
        return;
    small_rack.name = "";
    small_rack.token = "";
    RUN(rows);
    small_rack.token = "0123456789abcdef0123456789abcdef";
    RUN(rows);
}

static void test_sessions(void)
{
    static const struct small_row reader[] = {
        {"reads", "GET", V "/Systems", 0, NULL, 200, {"Members"}, NULL},
        {"creates nothing",
         "POST",
         V "/Systems",
         0,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1}}}",
         403,
         {"InsufficientPrivilege"},
         NULL},
        {"sees its session",
         "GET",
         V "/SessionService/Sessions",
         0,
         NULL,
         200,
         {"\"Members@odata.count\":1"},
         NULL},
    };
    static const struct small_row admin[] = {
        {"no host of its own",
         "POST",
         V "/Systems",
         0,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1}}}",
         400,
         {"Hosts"},
         NULL},
        {"creates",
         "POST",
         V "/Systems",
         0,
         "{\"Oem\":{\"Fabric\":{\"Hosts\":[\"r730-1\"],\"Gpus\":1}}}",
         201,
         {"\"OwnerUid\":0"},
         NULL},
        {"sees all sessions",
         "GET",
         V "/SessionService/Sessions?$expand=.",
         0,
         NULL,
         200,
         {"\"UserName\":\"reader\"", "\"UserName\":\"root\""},
         NULL},
    };
    char token[64];

    if (!CHECK(small_rack_begin()))
        return;
    (void)log_in(LOGIN("reader", "wrong"), 401);
    (void)log_in(LOGIN("nobody-at-all", "secret"), 401);
    (void)log_in(LOGIN("odd", "secret"), 401);
    (void)log_in("{\"UserName\":\"reader\"}", 400);
    (void)snprintf(token, sizeof(token), "%s", log_in(LOGIN("reader", "secret"), 201));
    small_rack.token = token;
    RUN(reader);
    (void)snprintf(token, sizeof(token), "%s", log_in(LOGIN("root", "secret"), 201));
    small_rack.token = token;
    RUN(admin);
    CHECK_CASE("half an hour later");
    small_rack.now_ms += 31 * 60 * 1000;
    CHECK_EQ(small_rack.answers[small_rack_ask("GET", V "/Systems", 0, NULL)].status, 401);
}

static void test_guessing(void)
{
    const char *body = LOGIN("root", "secret");

    if (!CHECK(small_rack_begin()))
        return;
    (void)log_in(LOGIN("root", "guess"), 401);
    CHECK_CASE("right behind a failed one");
    CHECK_EQ(
        small_rack.answers[small_rack_ask("POST", V "/SessionService/Sessions", 0, body)].status,
        503);
    (void)log_in(body, 201);
}

static void test_logout(void)
{
    char token[64];
    const struct small_answer *answers = small_rack.answers;
    char path[256];
    unsigned place;

    if (!CHECK(small_rack_begin()))
        return;
    small_rack.token = "";
    small_rack.name = "";
    place = small_rack_ask("POST", V "/SessionService/Sessions", 0, LOGIN("reader", "secret"));
    (void)snprintf(token, sizeof(token), "%s", answers[place].token);
    (void)snprintf(path, sizeof(path), "%s", answers[place].location);
    CHECK_CASE("a session's end");
    CHECK_EQ(answers[small_rack_ask("DELETE", path, 0, NULL)].status, 401);
    small_rack.token = token;
    CHECK_EQ(answers[small_rack_ask("GET", path, 0, NULL)].status, 200);
    CHECK_EQ(answers[small_rack_ask("DELETE", path, 0, NULL)].status, 204);
    CHECK_EQ(answers[small_rack_ask("GET", V "/Systems", 0, NULL)].status, 401);
}

static void test_certificates(void)
{
    static const struct small_row node[] = {
        {"a node",
         "PATCH",
         V "/Systems/c4130-1",
         0,
         "{\"Oem\":{\"Fabric\":{\"Drained\":true,\"Reason\":\"x\"}}}",
         200,
         {"\"Drained\":true"},
         NULL}};
    static const struct small_row stranger[] = {
        {"a user that this node has not", "GET", V "/Systems", 0, NULL, 200, {"Members"}, NULL},
        {"has no systems", "POST", V "/Systems", 0, "{}", 403, {""}, NULL}};

    if (!CHECK(small_rack_begin()))
        return;
    small_rack.token = "";
    small_rack.name = "c4130-2";
    RUN(node);
    small_rack.name = "no-such-user-here";
    RUN(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_waiting),     CHECK_TEST(test_leaving),  CHECK_TEST(test_adhoc),
        CHECK_TEST(test_programs),    CHECK_TEST(test_events),   CHECK_TEST(test_metrics),
        CHECK_TEST(test_headers),     CHECK_TEST(test_sweeps),   CHECK_TEST(test_strangers),
        CHECK_TEST(test_sessions),    CHECK_TEST(test_guessing), CHECK_TEST(test_logout),
        CHECK_TEST(test_certificates)};
    const int status = check_run(tests);

    small_rack_end();
    return status;
}
