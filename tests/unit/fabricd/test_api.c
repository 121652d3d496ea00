/* SPDX-License-Identifier: Apache-2.0
 * The API on a small rack: stories of requests with their statuses and what the answers contain,
 * agents that answer at once or are held, callers that go, streams.
 */
#include "fabricd/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "fabricd/ledger.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/small_rack.h"

#define V "/redfish/v1"
#define BLOCKS V "/CompositionService/ResourceBlocks"
#define NODE "r730-1"

enum { PARTS_MAX = 6, ROOT = 0, ANN = 1001, BOB = 1002 };

struct row {
    const char *label, *method, *path;
    uint32_t uid;
    const char *body;
    unsigned status;
    const char *has[PARTS_MAX]; /* parts of the body */
    const char *hasnt;
};

static bool is_json(const struct small_answer *answer)
{
    json_t *json = NULL;
    const bool is =
        fab_json_load(answer->body, strlen(answer->body), "answer",
                      &(struct fab_json_limits){.size_bytes = 1 << 24}, &json, NULL) == FAB_OK;

    json_decref(json);
    return is;
}

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        const unsigned place = small_rack_ask(row->method, row->path, row->uid, row->body);
        const struct small_answer *answer = &small_rack.answers[place];

        CHECK_CASE("%s", row->label);
        CHECK_EQ(answer->count, 1);
        CHECK_EQ(answer->status, row->status);
        for (size_t k = 0; k < PARTS_MAX && row->has[k]; k++)
            CHECK_HAS(answer->body, row->has[k]);
        if (row->hasnt)
            CHECK(strstr(answer->body, row->hasnt) == NULL);
        if (strstr(answer->type, "json"))
            CHECK(answer->status == 204 || is_json(answer));
        CHECK_EQ(ledger_verify(small_rack.ledger, NULL), FAB_OK);
    }
}

#define RUN(rows) run((rows), FAB_ARRAY_LEN(rows))

static void test_reading(void)
{
    static const struct row rows[] = {
        {"versions", "GET", "/redfish", ANN, NULL, 200, {"{\"v1\":\"/redfish/v1/\"}"}, NULL},
        {"root", "GET", V "/", ANN, NULL, 200, {"\"Node\":\"" NODE "\"", "RootService"}, NULL},
        {"odata", "GET", V "/odata", ANN, NULL, 200, {"CompositionService"}, NULL},
        {"metadata", "GET", V "/$metadata", ANN, NULL, 200, {"<edmx:Edmx"}, NULL},
        {"systems",
         "GET",
         V "/Systems",
         ANN,
         NULL,
         200,
         {"{\"@odata.id\":\"" V "/Systems/c4130-1\"}", "\"Members@odata.count\":3"},
         "Oem"},
        {"systems, whole",
         "GET",
         V "/Systems?$expand=.",
         ANN,
         NULL,
         200,
         {"\"SystemType\":\"Physical\"", "\"State\":\"up\"", "\"Grade\":\"fail\"", "raise it",
          "\"Address\":\"10.0.0.1:7100\""},
         NULL},
        {"expand, encoded", "GET", V "/Systems?%24expand=*", ANN, NULL, 200, {"Physical"}, NULL},
        {"a machine", "GET", V "/Systems/c4130-2", ANN, NULL, 200, {"\"Gpus\":4"}, NULL},
        {"its GPUs",
         "GET",
         V "/Systems/c4130-2/Processors",
         ANN,
         NULL,
         200,
         {"Processors/c4130-2.3"},
         NULL},
        {"its GPU",
         "GET",
         V "/Systems/c4130-2/Processors/c4130-2.3",
         ANN,
         NULL,
         200,
         {"\"ProcessorType\":\"GPU\"", "\"Load\":30", "\"UsedBytes\":3145728"},
         NULL},
        {"another's GPU",
         "GET",
         V "/Systems/c4130-1/Processors/c4130-2.3",
         ANN,
         NULL,
         404,
         {"c4130-1 has no GPU c4130-2.3"},
         NULL},
        {"blocks", "GET", BLOCKS, ANN, NULL, 200, {"\"Members@odata.count\":8"}, "Unused"},
        {"blocks, whole",
         "GET",
         BLOCKS "?$expand=.",
         ANN,
         NULL,
         200,
         {"\"CompositionState\":\"Unused\"", "\"System\":null", "\"Model\":\"T4\"",
          "\"Numa\":", "\"Rails\":[{\"Port\":\"c4130-1/"},
         NULL},
        {"a block", "GET", BLOCKS "/c4130-1.0", ANN, NULL, 200, {"\"State\":\"free\""}, NULL},
        {"no such block", "GET", BLOCKS "/GPU-0", ANN, NULL, 404, {"compose gpu list"}, NULL},
        {"the service", "GET", V "/CompositionService", ANN, NULL, 200, {"ResourceZones"}, NULL},
        {"zones", "GET", V "/CompositionService/ResourceZones", ANN, NULL, 200, {"/rack"}, NULL},
        {"the zone",
         "GET",
         V "/CompositionService/ResourceZones/rack",
         ANN,
         NULL,
         200,
         {"ZoneOfResourceBlocks", "c4130-1.0"},
         NULL},
        {"no such zone",
         "GET",
         V "/CompositionService/ResourceZones/x",
         ANN,
         NULL,
         404,
         {"rack"},
         NULL},
        {"chassis", "GET", V "/Chassis?$expand=.", ANN, NULL, 200, {"mlx", "\"Gpus\":4"}, NULL},
        {"a chassis", "GET", V "/Chassis/r730-1", ANN, NULL, 200, {"0x0000000000000100"}, NULL},
        {"no such chassis", "GET", V "/Chassis/x", ANN, NULL, 404, {"compose node list"}, NULL},
        {"fabrics", "GET", V "/Fabrics", ANN, NULL, 200, {V "/Fabrics/IB"}, NULL},
        {"the fabric", "GET", V "/Fabrics/IB", ANN, NULL, 200, {"InfiniBand"}, NULL},
        {"no such fabric", "GET", V "/Fabrics/eth", ANN, NULL, 404, {"there is IB"}, NULL},
        {"switches", "GET", V "/Fabrics/IB/Switches", ANN, NULL, 200, {"0x0000000000000900"}, NULL},
        {"a switch",
         "GET",
         V "/Fabrics/IB/Switches/0x0000000000000900",
         ANN,
         NULL,
         200,
         {"leaf1"},
         NULL},
        {"no such switch",
         "GET",
         V "/Fabrics/IB/Switches/0x1",
         ANN,
         NULL,
         404,
         {"no switch"},
         NULL},
        {"ports",
         "GET",
         V "/Fabrics/IB/Switches/0x900/Ports?$expand=.",
         ANN,
         NULL,
         200,
         {"c4130-1 mlx4_0", "\"LinkStatus\":\"LinkUp\"", "NoLink"},
         NULL},
        {"a port",
         "GET",
         V "/Fabrics/IB/Switches/0x900/Ports/2",
         ANN,
         NULL,
         200,
         {"c4130-1 mlx4_0"},
         NULL},
        {"no such port",
         "GET",
         V "/Fabrics/IB/Switches/0x900/Ports/99",
         ANN,
         NULL,
         404,
         {"99"},
         NULL},
        {"tree", "GET", V "/Oem/Fabric/Topology?format=tree", ANN, NULL, 200, {"leaf1"}, NULL},
        {"matrix", "GET", V "/Oem/Fabric/Topology?format=matrix", ANN, NULL, 200, {"IB"}, NULL},
        {"dot", "GET", V "/Oem/Fabric/Topology?format=dot", ANN, NULL, 200, {"graph"}, NULL},
        {"svg", "GET", V "/Oem/Fabric/Topology?format=svg", ANN, NULL, 200, {"<svg"}, NULL},
        {"json", "GET", V "/Oem/Fabric/Topology", ANN, NULL, 200, {"leaf1"}, NULL},
        {"no such format",
         "GET",
         V "/Oem/Fabric/Topology?format=pdf",
         ANN,
         NULL,
         400,
         {"tree"},
         NULL},
        {"findings", "GET", V "/Oem/Fabric/Findings", ANN, NULL, 200, {"Members"}, NULL},
        {"the event service", "GET", V "/EventService", ANN, NULL, 200, {"EventService/SSE"}, NULL},
        {"HEAD", "HEAD", V "/Systems", ANN, NULL, 200, {"Members"}, NULL},
    };

    if (!CHECK(small_rack_begin()))
        return;
    RUN(rows);
}

static void test_bad_requests(void)
{
    static const struct row rows[] = {
        {"no such path", "GET", "/x", ANN, NULL, 404, {"ResourceNotFound", "nothing at /x"}, NULL},
        {"below a leaf", "GET", V "/Systems/a/b/c/d", ANN, NULL, 404, {"nothing at"}, NULL},
        {"not UTF-8", "GET", V "/Systems/%ff", ANN, NULL, 404, {"?"}, NULL},
        {"a NUL", "GET", V "/Systems/%00", ANN, NULL, 400, {"malformed"}, NULL},
        {"cut", "GET", V "/Systems/%4", ANN, NULL, 400, {"malformed"}, NULL},
        {"another method", "PUT", V "/Systems", ANN, NULL, 405, {"it has GET, POST"}, NULL},
        {"no method", "POST", V "/CompositionService", ANN, "{}", 405, {"it has GET"}, NULL},
        {"filter", "GET", V "/Systems?$filter=x", ANN, NULL, 501, {"$filter"}, NULL},
        {"expand what", "GET", V "/Systems?$expand=x", ANN, NULL, 400, {"$expand"}, NULL},
        {"after what", "GET", V "/Oem/Fabric/Events?after=-1", ANN, NULL, 400, {"after=-1"}, NULL},
        {"no JSON", "POST", V "/Systems", ANN, "{", 400, {"MalformedJSON"}, NULL},
        {"no object", "POST", V "/Systems", ANN, "[]", 400, {"no JSON object"}, NULL},
        {"twice",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"a\",\"Name\":\"b\"}",
         400,
         {"MalformedJSON"},
         NULL},
        {"empty", "POST", V "/Systems", ANN, NULL, 400, {"the body is empty"}, NULL},
        {"what GPUs", "POST", V "/Systems", ANN, "{}", 400, {"which GPUs"}, NULL},
        {"unknown member",
         "POST",
         V "/Systems",
         ANN,
         "{\"Size\":1}",
         400,
         {"no member Size"},
         NULL},
        {"unknown Oem member",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpu\":1}}}",
         400,
         {"no member Gpu"},
         NULL},
        {"Oem is no object", "POST", V "/Systems", ANN, "{\"Oem\":1}", 400, {"Oem"}, NULL},
        {"0 GPUs",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":0}}}",
         400,
         {"Gpus"},
         NULL},
        {"65 GPUs",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":65}}}",
         400,
         {"Gpus", "64"},
         NULL},
        {"GPUs as text",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":\"2\"}}}",
         400,
         {"Gpus"},
         NULL},
        {"unknown host",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1,\"Hosts\":[\"r730-9\"]}}}",
         400,
         {"no host r730-9", "compose node list"},
         NULL},
        {"a host twice",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":2,\"Hosts\":[\"r730-1\",\"r730-1\"]}}}",
         400,
         {"twice"},
         NULL},
        {"no hosts",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1,\"Hosts\":[]}}}",
         400,
         {"Hosts"},
         NULL},
        {"an odd strategy",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1,\"Strategy\":\"best\"}}}",
         400,
         {"default, pack, spread"},
         NULL},
        {"an odd name",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"a b\",\"Oem\":{\"Fabric\":{\"Gpus\":1}}}",
         400,
         {"a b"},
         NULL},
        {"a name too long",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"0123456789012345678901234567890123456789012345678901234567890123\","
         "\"Oem\":{\"Fabric\":{\"Gpus\":1}}}",
         400,
         {"63"},
         NULL},
        {"a machine's name",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"c4130-1\",\"Oem\":{\"Fabric\":{\"Gpus\":1}}}",
         409,
         {"machine"},
         NULL},
        {"does not split",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":3,\"Hosts\":[\"r730-1\",\"c4130-1\"]}}}",
         400,
         {"do not split"},
         NULL},
        {"too many",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":16}}}",
         503,
         {"Fabric.1.0.Full", "16 GPUs were asked for, 8 are free"},
         NULL},
        {"no such block",
         "POST",
         V "/Systems",
         ANN,
         "{\"Links\":{\"ResourceBlocks\":[{\"@odata.id\":\"" BLOCKS "/x\"}]}}",
         400,
         {"x"},
         NULL},
        {"no block at all",
         "POST",
         V "/Systems",
         ANN,
         "{\"Links\":{\"ResourceBlocks\":[{\"@odata.id\":\"/x\"}]}}",
         400,
         {"ResourceBlocks[0]"},
         NULL},
        {"counts differ",
         "POST",
         V "/Systems",
         ANN,
         "{\"Links\":{\"ResourceBlocks\":[{\"@odata.id\":\"" BLOCKS
         "/c4130-1.0\"}]},\"Oem\":{\"Fabric\":{\"Gpus\":2}}}",
         400,
         {"Gpus is 2"},
         NULL},
        {"rails",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1,\"Rails\":2}}}",
         501,
         {"not in this version"},
         NULL},
        {"no such system", "DELETE", V "/Systems/x", ANN, NULL, 404, {"compose list"}, NULL},
        {"a machine", "DELETE", V "/Systems/c4130-1", ANN, NULL, 403, {"administrator"}, NULL},
        {"drain as a user",
         "PATCH",
         V "/Systems/c4130-1",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Drained\":true,\"Reason\":\"x\"}}}",
         403,
         {"administrators"},
         NULL},
        {"drain without a reason",
         "PATCH",
         V "/Systems/c4130-1",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Drained\":true}}}",
         400,
         {"Reason"},
         NULL},
        {"an empty patch",
         "PATCH",
         V "/Systems/c4130-1",
         ROOT,
         "{}",
         400,
         {"nothing to change"},
         NULL},
        {"another member",
         "PATCH",
         V "/Systems/c4130-1",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"State\":\"up\"}}}",
         400,
         {"no member State"},
         NULL},
        {"fence what is there",
         "PATCH",
         V "/Systems/c4130-1",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Fenced\":true,\"Reason\":\"x\"}}}",
         409,
         {"reachable"},
         NULL},
        {"a present machine", "DELETE", V "/Systems/c4130-1", ROOT, NULL, 409, {"c4130-1"}, NULL},
    };

    if (!CHECK(small_rack_begin()))
        return;
    RUN(rows);
    CHECK_CASE("nothing changed");
    CHECK_EQ(ledger_system_count(small_rack.ledger), 0);
}

static void test_life(void)
{
    static const struct row rows[] = {
        {"create",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"train\",\"Oem\":{\"Fabric\":{\"Hosts\":[\"r730-1\"],\"Gpus\":6}}}",
         201,
         {"\"SystemType\":\"Composed\"", "\"State\":\"composed\"", "\"OwnerUid\":1001",
          "\"Path\":{\"Class\":\"IB\",\"Hops\":1", "\"Rails\":[{\"Local\":\"r730-1/"},
         NULL},
        {"again",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"train\",\"Oem\":{\"Fabric\":{\"Hosts\":[\"r730-1\"],\"Gpus\":6}}}",
         200,
         {"composed"},
         NULL},
        {"again, other size",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"train\",\"Oem\":{\"Fabric\":{\"Hosts\":[\"r730-1\"],\"Gpus\":5}}}",
         409,
         {"train is there already (composed)"},
         NULL},
        {"again, other user",
         "POST",
         V "/Systems",
         BOB,
         "{\"Name\":\"train\",\"Oem\":{\"Fabric\":{\"Hosts\":[\"r730-1\"],\"Gpus\":6}}}",
         409,
         {"ResourceAlreadyExists"},
         NULL},
        {"it is shown", "GET", V "/Systems", BOB, NULL, 200, {V "/Systems/train"}, NULL},
        {"with its GPUs",
         "GET",
         V "/Systems/train/Processors?$expand=.",
         BOB,
         NULL,
         200,
         {"\"System\":\"train\""},
         NULL},
        {"blocks show it",
         "GET",
         BLOCKS "?$expand=.",
         BOB,
         NULL,
         200,
         {"\"CompositionState\":\"Composed\"", "\"NumberOfCompositions\":1"},
         NULL},
        {"full",
         "POST",
         V "/Systems",
         BOB,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":3}}}",
         503,
         {"3 GPUs were asked for, 2 are free"},
         NULL},
        {"another's", "DELETE", V "/Systems/train", BOB, NULL, 403, {"belongs to user 1001"}, NULL},
        {"patch it",
         "PATCH",
         V "/Systems/train",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Drained\":true,\"Reason\":\"x\"}}}",
         400,
         {"composed system"},
         NULL},
        {"delete", "DELETE", V "/Systems/train", ANN, NULL, 204, {""}, NULL},
        {"gone", "GET", V "/Systems/train", ANN, NULL, 404, {""}, NULL},
        {"by blocks",
         "POST",
         V "/Systems",
         BOB,
         "{\"Links\":{\"ResourceBlocks\":[{\"@odata.id\":\"" BLOCKS
         "/c4130-2.3\"},{\"@odata.id\":\"" BLOCKS "/c4130-1.0\"}]}}",
         201,
         {"\"Id\":\"system-", "c4130-2.3"},
         NULL},
        {"a block that is taken",
         "POST",
         V "/Systems",
         ANN,
         "{\"Links\":{\"ResourceBlocks\":[{\"@odata.id\":\"" BLOCKS "/c4130-1.0\"}]}}",
         409,
         {"GPU 0 of c4130-1 is composed for system-1"},
         NULL},
        {"ad hoc",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":1,\"AdHoc\":true,\"Strategy\":\"pack\"}}}",
         201,
         {"\"AdHoc\":true"},
         NULL},
        {"root deletes all", "DELETE", V "/Systems/system-1", ROOT, NULL, 204, {""}, NULL},
    };

    if (!CHECK(small_rack_begin()))
        return;
    RUN(rows);
}

static void test_drain(void)
{
    static const struct row rows[] = {
        {"drain a GPU",
         "PATCH",
         BLOCKS "/c4130-1.0",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Drained\":true,\"Reason\":\"fan\"}}}",
         200,
         {"\"State\":\"drained\"", "\"Reason\":\"fan\"", "Unavailable"},
         NULL},
        {"drain a node",
         "PATCH",
         V "/Systems/c4130-2",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Drained\":true,\"Reason\":\"new cable\"}}}",
         200,
         {"\"Drained\":true", "new cable"},
         NULL},
        {"few are left",
         "POST",
         V "/Systems",
         ANN,
         "{\"Oem\":{\"Fabric\":{\"Gpus\":4}}}",
         503,
         {"3 are free (c4130-2 is drained)"},
         NULL},
        {"undrain",
         "PATCH",
         V "/Systems/c4130-2",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Drained\":false}}}",
         200,
         {"\"Drained\":false", "\"State\":\"up\""},
         NULL},
        {"all but one",
         "POST",
         V "/Systems",
         ANN,
         "{\"Name\":\"a\",\"Oem\":{\"Fabric\":{\"Gpus\":7}}}",
         201,
         {"composed"},
         "c4130-1.0"},
    };
    static const struct row lost[] = {
        {"it has failed", "GET", V "/Systems/a", ANN, NULL, 200, {"c4130-2", "lost"}, NULL},
        {"fence",
         "PATCH",
         V "/Systems/c4130-2",
         ROOT,
         "{\"Oem\":{\"Fabric\":{\"Fenced\":true,\"Reason\":\"power is off\"}}}",
         200,
         {"\"State\":\"lost\""},
         NULL},
        {"delete", "DELETE", V "/Systems/a", ANN, NULL, 204, {""}, NULL},
        {"forget", "DELETE", V "/Systems/c4130-2", ROOT, NULL, 204, {""}, NULL},
        {"forgotten", "GET", V "/Systems/c4130-2", ROOT, NULL, 404, {""}, NULL},
        {"metrics",
         "GET",
         "/metrics",
         ANN,
         NULL,
         200,
         {"fabric_node_up{node=\"c4130-1\"} 1\n", "fabric_gpus{state=\"drained\"} 1\n"},
         "c4130-2.0"},
    };

    if (!CHECK(small_rack_begin()))
        return;
    RUN(rows);
    small_rack_lose("c4130-2");
    RUN(lost);
}

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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    static const struct row rows[] = {
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
    };
    unsigned place;

    if (!CHECK(small_rack_begin()))
        return;
    (void)small_rack_ask("POST", V "/Systems", ANN, train);
    RUN(rows);
    place = small_rack_ask("GET", "/metrics", ANN, NULL);
    check_metrics(small_rack.answers[place].body);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_reading), CHECK_TEST(test_bad_requests), CHECK_TEST(test_life),
        CHECK_TEST(test_drain),   CHECK_TEST(test_waiting),      CHECK_TEST(test_leaving),
        CHECK_TEST(test_adhoc),   CHECK_TEST(test_programs),     CHECK_TEST(test_events),
        CHECK_TEST(test_metrics), CHECK_TEST(test_headers)};
    const int status = check_run(tests);

    small_rack_end();
    return status;
}
