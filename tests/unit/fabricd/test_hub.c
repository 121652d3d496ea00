/* SPDX-License-Identifier: Apache-2.0
 * The hub with scripted agents over socket pairs: what it says to them, what it makes of what they
 * say, links that end and come again, requests of callers that go. Time is the test's.
 */
#include "fabricd/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/settings.h"
#include "fabricd/link.h"
#include "fabricd/loop.h"
#include "fabricd/message.h"
#include "fabricd/settings.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/story.h"
#include "tests/unit/topology/make.h"

#define V "/redfish/v1"
#define SECOND UINT64_C(1000000000)

enum { SAID_BYTES = 1 << 16, GPUS = 2, ROUNDS_MAX = 2000 };

static struct loop *loop;
static struct hub *hub;
static struct fabricd_settings settings;
static uint64_t later_ns;     /* how far the hub's clock is ahead */
static const char *wanted;    /* until this was said */
static unsigned rounds;       /* without it */
static char said[SAID_BYTES]; /* to the agents */

static struct scripted {
    const char *name;
    uint32_t gpu_count;
    struct link *link;
    bool is_held;        /* answers no command */
    uint64_t held_fence; /* what it still has */
    bool is_down;
} agents[] = {{.name = "host"}, {.name = "gpus", .gpu_count = GPUS}};

static void say(const char *format, ...) FAB_PRINTF(1, 2);
static void say(const char *format, ...)
{
    const size_t used = strlen(said);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(said + used, sizeof(said) - used, format, arguments);
    va_end(arguments);
}

/* ---- the agents' side -------------------------------------------------------------------------
 */

static void hello(struct scripted *agent)
{
    struct message message = {.kind = MESSAGE_HELLO,
                              .hello = {.version = MESSAGE_VERSION, .is_agent = true}};

    (void)snprintf(message.hello.node, sizeof(message.hello.node), "%s", agent->name);
    (void)snprintf(message.hello.boot_id, sizeof(message.hello.boot_id), "boot");
    (void)snprintf(message.hello.address, sizeof(message.hello.address), "10.0.0.9:7100");
    (void)link_send(agent->link, &message);
}

static void report(const struct scripted *agent)
{
    struct topo_machine *machine = make_machine("C", agent->name, agent == agents ? 0x100 : 0x200);
    struct message_gpu_report gpus[GPUS] = {0};
    struct message message = {
        .kind = MESSAGE_REPORT,
        .report = {.machine = machine, .gpus = gpus, .gpu_count = agent->gpu_count}};

    if (!machine)
        return;
    machine->gpu_count = agent->gpu_count;
    (void)snprintf(machine->boot_id, sizeof(machine->boot_id), "boot");
    for (uint32_t i = 0; i < agent->gpu_count; i++) {
        gpus[i] = (struct message_gpu_report){.index = i, .fence = agent->held_fence};
        (void)snprintf(gpus[i].uuid, sizeof(gpus[i].uuid), "gpu%u", i);
        (void)snprintf(gpus[i].name, sizeof(gpus[i].name), "T4");
        (void)snprintf(machine->gpus[i].uuid, sizeof(machine->gpus[i].uuid), "gpu%u", i);
    }
    (void)link_send(agent->link, &message);
    free(machine);
}

static void obey(struct scripted *agent, const struct message_command *command)
{
    struct message message = {.kind = MESSAGE_DONE,
                              .done = {.verb = command->verb, .fence = command->fence}};

    say("%s %s %s@%" PRIu64 " x%u of %s for %s at %s;", agent->name,
        manager_verb_name(command->verb), command->system, command->fence, command->gpu_count,
        command->gpus[0].node, command->gpus[0].host,
        command->gpus[0].address[0] ? command->gpus[0].address : "-");
    if (agent->is_held)
        return;
    (void)snprintf(message.done.system, sizeof(message.done.system), "%s", command->system);
    (void)link_send(agent->link, &message);
    for (uint32_t i = 0; command->verb == MANAGER_RELEASE && i < command->gpu_count; i++) {
        message = (struct message){.kind = MESSAGE_RELEASED, .released = {.fence = command->fence}};
        (void)snprintf(message.released.uuid, sizeof(message.released.uuid), "%s",
                       command->gpus[i].uuid);
        (void)link_send(agent->link, &message);
    }
}

static void on_up(void *user, struct link *link, const char *peer)
{
    (void)link;
    (void)peer;
    hello(user);
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct scripted *agent = user;

    (void)link;
    if (message->kind == MESSAGE_WELCOME) {
        say("%s welcome %s;", agent->name, message->welcome.node);
        report(agent);
    } else if (message->kind == MESSAGE_COMMAND) {
        obey(agent, &message->command);
    } else if (message->kind == MESSAGE_ANSWER) {
        say("%s #%" PRIu64 " %u %s%s%.*s;", agent->name, message->answer.id, message->answer.status,
            message->answer.location, message->answer.adhoc[0] ? " adhoc " : " ",
            (int)message->answer.body_bytes, message->answer.body);
    }
}

static void on_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                      size_t count)
{
    (void)user;
    (void)link;
    (void)channel;
    (void)bytes;
    (void)count;
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct scripted *agent = user;

    (void)why;
    (void)link;
    agent->is_down = true;
}

static const struct link_ops ops = {
    .up = on_up, .message = on_message, .packet = on_packet, .down = on_down};

static void join(struct scripted *agent)
{
    int fds[2];

    if (!CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0))
        return;
    agent->is_down = false;
    CHECK_EQ(hub_join(hub, fds[0], agent->name, NULL), FAB_OK);
    CHECK_EQ(link_adopt(loop, fds[1], agent->name, &ops, agent, &agent->link, NULL), FAB_OK);
}

static void leave(struct scripted *agent)
{
    link_close(agent->link);
    agent->link = NULL;
}

static void ask(struct scripted *agent, uint64_t id, const char *method, const char *path,
                const char *body)
{
    struct message message = {
        .kind = MESSAGE_REQUEST,
        .request = {.id = id, .body = body, .body_bytes = strlen(body), .uid = 0, .pid = 1}};

    (void)snprintf(message.request.method, sizeof(message.request.method), "%s", method);
    (void)snprintf(message.request.path, sizeof(message.request.path), "%s", path);
    (void)link_send(agent->link, &message);
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

/* Rounds go on while there is something to do; they do not wait for time. */
static uint64_t turn(void *user, uint64_t now_ns)
{
    (void)user;
    (void)hub_turn(hub, now_ns + later_ns);
    (void)link_turn(loop, now_ns);
    if (strstr(said, wanted) || ++rounds > ROUNDS_MAX)
        loop_stop(loop);
    return now_ns;
}

static bool until(const char *text)
{
    wanted = text;
    rounds = 0;
    CHECK_EQ(loop_run(loop, NULL), FAB_OK);
    return CHECK_HAS(said, text);
}

/* So many seconds, in which the manager comes round. */
static void pass(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        later_ns += SECOND;
        (void)hub_turn(hub, fab_clock_now_ns(fab_clock_real()) + later_ns);
    }
}

/* Until a request shows it; `id` is a new one each time. */
static bool until_shown(const char *path, const char *text)
{
    static uint64_t id = 1000;
    char answer[64];

    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        said[0] = '\0';
        (void)snprintf(answer, sizeof(answer), "#%" PRIu64 " ", ++id);
        ask(&agents[0], id, "GET", path, "");
        if (!until(answer))
            return false;
        if (strstr(said, text))
            return true;
    }
    return CHECK_HAS(said, text);
}

static void end(void)
{
    hub_destroy(hub);
    hub = NULL;
    for (size_t i = 0; i < FAB_ARRAY_LEN(agents); i++) {
        leave(&agents[i]);
        agents[i].is_held = false;
        agents[i].held_fence = 0;
    }
    loop_destroy(loop);
    loop = NULL;
    fab_settings_clear(&fabricd_schema, &settings);
    settings = (struct fabricd_settings){.node = NULL};
    story_end();
}

static bool begin(void)
{
    end();
    later_ns = 0;
    said[0] = '\0';
    if (!CHECK(story_begin()) ||
        !CHECK_EQ(fab_settings_init(&fabricd_schema, &settings, NULL), FAB_OK))
        return false;
    CHECK_EQ(fab_settings_set(&fabricd_schema, &settings, "node", "manager", NULL), FAB_OK);
    CHECK_EQ(fab_settings_set(&fabricd_schema, &settings, "state_dir", story_folder, NULL), FAB_OK);
    CHECK_EQ(fab_settings_set(&fabricd_schema, &settings, "run_dir", story_folder, NULL), FAB_OK);
    if (!CHECK_EQ(loop_create(&loop, NULL), FAB_OK) ||
        !CHECK_EQ(hub_create(loop, &settings, NULL, &hub, NULL), FAB_OK))
        return false;
    loop_set_turn(loop, turn, NULL);
    for (size_t i = 0; i < FAB_ARRAY_LEN(agents); i++)
        join(&agents[i]);
    return until("gpus welcome manager;") &&
           until_shown(V "/CompositionService/ResourceBlocks/gpu1", "\"State\":\"free\"");
}

/* ---- stories ----------------------------------------------------------------------------------
 */

static const char create[] = "{\"Name\":\"train\",\"Oem\":{\"Fabric\":{\"Gpus\":2}}}";

static void test_life(void)
{
    if (!begin())
        return;
    CHECK_CASE("a create");
    said[0] = '\0';
    ask(&agents[0], 1, "POST", V "/Systems", create);
    if (!until("host #1 201 " V "/Systems/train"))
        return;
    CHECK_HAS(said, "gpus prepare train@1 x2 of gpus for host at -;");
    CHECK_HAS(said, "host present train@1 x2 of gpus for host at 10.0.0.9:7100;");
    CHECK_CASE("a delete");
    said[0] = '\0';
    ask(&agents[0], 2, "DELETE", V "/Systems/train", "");
    if (!until("host #2 204"))
        return;
    CHECK_HAS(said, "gpus release train@1 x2");
    CHECK_HAS(said, "host withdraw train@1 x2");
}

static void test_stranger(void)
{
    if (!begin())
        return;
    CHECK_CASE("a message of another node's GPU changes nothing");
    (void)link_send(agents[0].link,
                    &(struct message){.kind = MESSAGE_CHECKED,
                                      .checked = {.uuid = "gpu1", .reason = "broken"}});
    CHECK(until_shown(V "/CompositionService/ResourceBlocks/gpu1", "\"State\":\"free\""));
    (void)link_send(agents[1].link,
                    &(struct message){.kind = MESSAGE_CHECKED,
                                      .checked = {.uuid = "gpu1", .reason = "broken"}});
    CHECK(until_shown(V "/CompositionService/ResourceBlocks/gpu1", "\"Reason\":\"broken\""));
}

static void test_lost(void)
{
    if (!begin())
        return;
    said[0] = '\0';
    ask(&agents[0], 1, "POST", V "/Systems", create);
    if (!until("host #1 201"))
        return;
    CHECK_CASE("a link that comes again in time");
    leave(&agents[1]);
    agents[1].held_fence = 1;
    join(&agents[1]);
    said[0] = '\0';
    if (!until("gpus prepare train@1"))
        return;
    CHECK(until_shown(V "/Systems/train", "\"State\":\"composed\""));
    CHECK_CASE("one that does not, and a manager that did not come round");
    leave(&agents[1]);
    CHECK(until_shown(V "/Systems/gpus", "\"State\":\"up\""));
    later_ns += 60 * SECOND;
    CHECK(until_shown(V "/Systems/gpus", "\"State\":\"up\""));
    CHECK_CASE("one that does not");
    pass(3);
    CHECK(until_shown(V "/Systems/gpus", "\"State\":\"up\""));
    pass(3);
    CHECK(until_shown(V "/Systems/gpus", "\"State\":\"lost\""));
    CHECK_HAS(said, "its connection has ended");
    CHECK_CASE("and is back");
    join(&agents[1]);
    CHECK(until_shown(V "/Systems/gpus", "\"State\":\"up\""));
}

static void test_second_link(void)
{
    struct link *old;

    if (!begin())
        return;
    CHECK_CASE("a new link takes the place of the old one");
    old = agents[1].link;
    join(&agents[1]);
    said[0] = '\0';
    if (!until("gpus welcome manager;"))
        return;
    link_close(old);
    pass(10);
    CHECK(until_shown(V "/Systems/gpus", "\"State\":\"up\""));
}

static void test_gone(void)
{
    if (!begin())
        return;
    agents[1].is_held = true;
    CHECK_CASE("who asked goes");
    said[0] = '\0';
    ask(&agents[0], 1, "POST", V "/Systems", create);
    if (!until("gpus prepare train@1"))
        return;
    (void)link_send(agents[0].link, &(struct message){.kind = MESSAGE_REQUEST_GONE, .gone_id = 1});
    if (!until("gpus release train@1"))
        return;
    CHECK_CASE("its whole host goes");
    leave(&agents[0]);
    join(&agents[0]);
    said[0] = '\0';
    if (!until("host withdraw train@1"))
        return;
    CHECK(strstr(said, " 201 ") == NULL);
    CHECK(until_shown(V "/Systems/train", "\"State\":\"releasing\""));
    CHECK_CASE("what was not answered is said again to who comes again");
    leave(&agents[1]);
    join(&agents[1]);
    agents[1].is_held = false;
    agents[1].held_fence = 1;
    said[0] = '\0';
    CHECK(until("gpus release train@1"));
    CHECK(until_shown(V "/Systems/train", "ResourceNotFound"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_life), CHECK_TEST(test_stranger),
                                       CHECK_TEST(test_lost), CHECK_TEST(test_second_link),
                                       CHECK_TEST(test_gone)};
    int status;

    (void)setenv("FABRIC_LOG", "off", 1);
    status = check_run(tests);
    end();
    return status;
}
