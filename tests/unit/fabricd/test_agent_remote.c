/* SPDX-License-Identifier: Apache-2.0
 * A program on one node, its GPUs on another: two agents with certificates, real workers, and every
 * way in which either side goes.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fabricd/door.h"
#include "fabricd/hub.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/agent_rig.h"
#include "tests/unit/fabricd/site.h"

enum { NO_DEVICE = 2 };

static struct rig host, node;
static struct door *door; /* of the node */
static char address[MESSAGE_ADDRESS_BYTES];
static struct fabricd_rail rail = {.device = (char[]){"lo"}, .port = (char[]){""}};

/* No manager is behind the door. */
void hub_take_link(struct hub *hub, struct link *link, const char *peer,
                   const struct message_hello *hello)
{
    (void)hub, (void)peer, (void)hello;
    link_close(link);
}

static uint64_t turn_door(struct rig *rig, uint64_t now_ns)
{
    (void)rig;
    return door ? door_turn(door, now_ns) : UINT64_MAX;
}

static bool start_node(void)
{
    const char *at = address[0] ? address : "127.0.0.1:0";

    if (!CHECK(rig_start(&node, NULL)) ||
        !CHECK_EQ(door_open(host.loop, node.tls, at, NULL, node.agent, &door, NULL), FAB_OK))
        return false;
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", door_port(door));
    rig_report(&node);
    return CHECK_EQ(node.gpu_count, 2);
}

static void stop_node(void)
{
    door_close(door);
    door = NULL;
    rig_stop(&node);
}

static void add_rail(struct rig *rig)
{
    rig->settings.rails = (struct fab_setting_list){.items = &rail, .count = 1};
}

static bool begin(void)
{
    address[0] = '\0';
    if (!CHECK(rig_begin(&host)) || !CHECK(rig_begin_beside(&node, &host, "c4130-1")))
        return false;
    host.name = "r730-1";
    agent_copy_text(host.node_name, sizeof(host.node_name), "r730-1");
    host.tls = site_tls("ca.pem", "r730-1");
    node.tls = site_tls("ca.pem", "c4130-1");
    node.turn = turn_door;
    add_rail(&host);
    add_rail(&node);
    if (!CHECK(rig_start(&host, NULL)) || !start_node())
        return false;
    rig_report(&host);
    return true;
}

static void end(void)
{
    stop_node();
    rig_end(&node);
    host.other = NULL;
    rig_end(&host);
    link_tls_destroy(host.tls);
    link_tls_destroy(node.tls);
}

/* The node's GPUs, for programs of the host `for_host`, and presented on ours. */
static void compose(uint64_t fence, const char *for_host, const char *at)
{
    rig_command_of(&node, &node, for_host, "", MANAGER_PREPARE, "train", fence);
    CHECK_STR(rig_done(&node, MANAGER_PREPARE, "train", fence), "");
    rig_command_of(&host, &node, "r730-1", at, MANAGER_PRESENT, "train", fence);
    CHECK_STR(rig_done(&host, MANAGER_PRESENT, "train", fence), "");
}

static bool has_no_worker(struct rig *at)
{
    return at->agent->worker_count == 0;
}

static bool has_one_worker(struct rig *at)
{
    return at->agent->worker_count == 1;
}

static bool has_no_session(struct rig *at)
{
    return fab_list_is_empty(&at->agent->sessions);
}

/* ---- attaching --------------------------------------------------------------------------------
 */

static void test_attach(void)
{
    struct rig_program program;
    static const struct {
        const char *label, *for_host, *at; /* at NULL: where the agent is */
        int status;
        const char *says;
        struct rails_choice rails;
        int64_t warm_workers; /* on the node */
    } rows[] = {
        {"a program on another node's GPUs", "r730-1", NULL, 0, "2 devices", {.count = 0}, 0},
        {"on the rails that were chosen", "r730-1", NULL, 0, "2 devices", {1, {{0, 0}}}, 0},
        {"on those of them that are there",
         "r730-1",
         NULL,
         0,
         "2 devices",
         {2, {{1, 1}, {0, 0}}},
         0},
        {"on a worker that waited", "r730-1", NULL, 0, "2 devices", {.count = 0}, 1},
        {"on one that waited, chosen rails", "r730-1", NULL, 0, "2 devices", {1, {{0, 0}}}, 1},
        {"a rail of the node that is gone",
         "r730-1",
         NULL,
         NO_DEVICE,
         "no rail of r730-1 leads to c4130-1 now",
         {1, {{0, 3}}},
         0},
        {"a rail of the host that is gone",
         "r730-1",
         NULL,
         NO_DEVICE,
         "no rail of r730-1 leads to c4130-1 now",
         {1, {{3, 0}}},
         0},
        {"GPUs that are for another host",
         "r730-2",
         NULL,
         NO_DEVICE,
         "for host r730-1",
         {.count = 0},
         0},
        {"an agent that is not there",
         "r730-1",
         "127.0.0.1:1",
         NO_DEVICE,
         "cannot be reached",
         {.count = 0},
         0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        if (!begin())
            return;
        CHECK_EQ(host.rail_count, 1);
        CHECK_STR(host.rails[0].device, "lo");
        CHECK_STR(host.rails[0].net, "127.0.0.0/8");
        host.choice = node.choice = rows[i].rails;
        node.settings.warm_workers = rows[i].warm_workers;
        compose(5, rows[i].for_host, rows[i].at ? rows[i].at : address);
        if (rows[i].warm_workers > 0)
            rig_until(&node, has_one_worker);
        if (!rig_run(&host, &program, "once", NULL, getuid()))
            return;
        CHECK_EQ(rig_wait(&program), rows[i].status);
        CHECK_HAS(program.text, rows[i].says);
        node.settings.warm_workers = 0;
        rig_until(&node, has_no_worker);
        rig_until(&host, has_no_session);
        end();
    }
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void kill_program(const struct rig_program *program)
{
    (void)kill(program->pid, SIGKILL);
}

static void release(const struct rig_program *program)
{
    (void)program;
    rig_command_of(&node, &node, "r730-1", "", MANAGER_RELEASE, "train", 5);
    CHECK_EQ(rig_take(&node, MESSAGE_RELEASED).released.fence, 5);
    CHECK_EQ(rig_take(&node, MESSAGE_RELEASED).released.fence, 5);
}

static void withdraw(const struct rig_program *program)
{
    (void)program;
    rig_command_of(&host, &node, "r730-1", address, MANAGER_WITHDRAW, "train", 5);
    CHECK_STR(rig_done(&host, MANAGER_WITHDRAW, "train", 5), "");
}

static void restart_node(const struct rig_program *program)
{
    (void)program;
    stop_node();
    (void)start_node();
}

static bool is_host_away(struct rig *at)
{
    return at->agent->worker_count == 0;
}

/* The host's agent ends, and with it what its programs are attached to. */
static void restart_host(const struct rig_program *program)
{
    (void)program;
    rig_stop(&host);
    CHECK(rig_start(&host, NULL));
    rig_report(&host);
    rig_until(&node, is_host_away);
}

static void test_ends(void)
{
    static const struct {
        const char *label;
        void (*happens)(const struct rig_program *program);
        int status;
    } rows[] = {
        {"the program is killed", kill_program, -SIGKILL},
        {"the lease ends at the node", release, 0},
        {"the lease ends at the host", withdraw, 0},
        {"the node's agent is restarted", restart_node, 0},
        {"the host's agent is restarted", restart_host, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct rig_program program;

        CHECK_CASE("%s", rows[i].label);
        if (!begin())
            return;
        compose(5, "r730-1", address);
        if (!rig_run(&host, &program, "hold", NULL, getuid()))
            return;
        rig_say(&program, "2 devices");
        CHECK_EQ(node.agent->worker_count, 1);
        CHECK_EQ(host.agent->worker_count, 0);
        rows[i].happens(&program);
        rig_until(&node, has_no_worker);
        CHECK_EQ(rig_wait(&program), rows[i].status);
        CHECK(strstr(program.text, "then 0") == NULL); /* it heard that its GPUs are gone */
        rig_until(&host, has_no_session);
        end();
    }
}

static bool is_cut;

static bool is_linked_again(struct rig *at)
{
    is_cut = is_cut || !agent_peers_are_up(at->agent);
    return is_cut && agent_peers_are_up(at->agent);
}

/* A link that was cut says nothing about workers, and a node's agent that did not come round for a
 * minute cannot know whether the host was silent. */
static void test_cut(void)
{
    const uint64_t minute_ns = UINT64_C(60000000000);
    struct rig_program program;

    if (!begin())
        return;
    compose(5, "r730-1", address);
    if (!rig_run(&host, &program, "hold", NULL, getuid()))
        return;
    rig_say(&program, "2 devices");
    agent_guests_cut(node.agent);
    CHECK(minute_ns > node.settings.grace_ns);
    (void)agent_guests_turn(node.agent, agent_now_ns(node.agent) + minute_ns);
    rig_until(&host, is_linked_again);
    CHECK_EQ(node.agent->worker_count, 1);
    CHECK_EQ(rig_wait(&program), 0);
    CHECK_HAS(program.text, "then 0");
    rig_until(&node, has_no_worker);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_attach), CHECK_TEST(test_ends),
                                       CHECK_TEST(test_cut)};

    int status;

    site_init();
    status = check_run(tests);
    site_fini();
    return status;
}
