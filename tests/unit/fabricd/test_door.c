/* SPDX-License-Identifier: Apache-2.0
 * The door: whom it hands to hub and agent, whom it refuses and in which words. Hub and agent are
 * the test's.
 */
#include "fabricd/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabricd/agent.h"
#include "fabricd/hub.h"
#include "fabricd/link.h"
#include "fabricd/message.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/link_ends.h"
#include "tests/unit/fabricd/site.h"

#define SECOND_NS UINT64_C(1000000000)
#define HERE "127.0.0.1:0"

static struct end visitor, inside;
static unsigned hub_takes, agent_takes;
static struct message_hello taken;
static char taken_name[80];

/* Only their addresses matter. */
static struct hub *const hub = (struct hub *)(void *)&hub_takes;
static struct agent *const agent = (struct agent *)(void *)&agent_takes;

static void take(struct link *link, const char *name, const struct message_hello *hello)
{
    const struct message answer = {.kind = MESSAGE_REQUEST_GONE, .gone_id = 1};

    taken = *hello;
    (void)snprintf(taken_name, sizeof(taken_name), "%s", name);
    inside = (struct end){.link = link, .ups = 1};
    link_set_ops(link, &end_ops, &inside);
    CHECK(link_send(link, &answer));
}

void hub_take_link(struct hub *to, struct link *link, const char *peer,
                   const struct message_hello *hello)
{
    CHECK(to == hub);
    hub_takes++;
    take(link, peer, hello);
}

void agent_take_link(struct agent *to, struct link *link, const char *peer,
                     const struct message_hello *hello)
{
    CHECK(to == agent);
    agent_takes++;
    take(link, peer, hello);
}

static void dial(struct door *door, struct link_tls *tls)
{
    char address[32];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", door_port(door));
    visitor = inside = (struct end){0};
    hub_takes = agent_takes = 0;
    assert_int_equal(
        link_dial(end_loop, tls, address, NULL, &end_ops, &visitor, &visitor.link, NULL), FAB_OK);
}

static bool is_up(void)
{
    return visitor.ups + visitor.downs > 0;
}

static bool is_answered(void)
{
    return visitor.messages + visitor.downs > 0;
}

static bool is_down(void)
{
    return visitor.downs > 0;
}

static void test_hellos(void)
{
    static const struct {
        const char *label, *node;
        bool to_agent, has_hub, has_agent;
        const char *refused; /* NULL: let in */
        uint32_t version;    /* 0: ours */
    } rows[] = {
        {"to the manager", "r730-1", false, true, true, NULL, 0},
        {"to a manager alone", "r730-1", false, true, false, NULL, 0},
        {"to the agent", "r730-1", true, true, true, NULL, 0},
        {"to an agent alone", "r730-1", true, false, true, NULL, 0},
        {"to an agent that is not there", "r730-1", true, true, false, "it is no agent", 0},
        {"to a manager that is not there", "r730-1", false, false, true, "is not the manager", 0},
        {"under another name", "c4130-2", false, true, true,
         "it says that it is c4130-2, and its certificate is of r730-1", 0},
        {"an older daemon", "r730-1", false, true, true,
         "versions 1 and 2 of the agents' protocol do not mix: renew the fabricd that "
         "speaks 1,",
         1},
        {"a newer daemon, to an agent", "r730-1", true, true, true,
         "renew the fabricd that speaks 2,", 3},
    };
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("ca.pem", "r730-1");

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct message message = {
            .kind = MESSAGE_HELLO,
            .hello = {.version = rows[i].version ? rows[i].version : MESSAGE_VERSION,
                      .address = "10.0.0.9:7000",
                      .to_agent = rows[i].to_agent,
                      .is_agent = true}};
        struct door *door = NULL;

        CHECK_CASE("%s", rows[i].label);
        assert_int_equal(door_open(end_loop, taking, HERE, rows[i].has_hub ? hub : NULL,
                                   rows[i].has_agent ? agent : NULL, &door, NULL),
                         FAB_OK);
        dial(door, dialling);
        (void)snprintf(message.hello.node, sizeof(message.hello.node), "%s", rows[i].node);
        CHECK(link_send(visitor.link, &message));
        ends_until(is_answered);
        CHECK_EQ(hub_takes, !rows[i].refused && !rows[i].to_agent);
        CHECK_EQ(agent_takes, !rows[i].refused && rows[i].to_agent);
        if (rows[i].refused) {
            CHECK_EQ(visitor.why.status, FAB_ERR_DENIED);
            CHECK_HAS(visitor.why.text, rows[i].refused);
        } else {
            CHECK_EQ(visitor.downs, 0);
            CHECK_STR(taken_name, "r730-1");
            CHECK_STR(taken.address, "10.0.0.9:7000");
        }
        door_close(door); /* who is let in stays */
        ends_rounds(2);
        CHECK_EQ(visitor.downs, rows[i].refused != NULL);
        end_close(&visitor);
        end_close(&inside);
    }
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

static void test_impolite(void)
{
    const struct message other = {.kind = MESSAGE_REQUEST_GONE, .gone_id = 1};
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("ca.pem", "r730-1");
    struct door *door = NULL;

    assert_int_equal(door_open(end_loop, taking, HERE, hub, agent, &door, NULL), FAB_OK);

    CHECK_CASE("another message first");
    dial(door, dialling);
    CHECK(link_send(visitor.link, &other));
    ends_until(is_down);
    CHECK_HAS(visitor.why.text, "does not begin with hello");

    CHECK_CASE("a packet first");
    dial(door, dialling);
    CHECK(link_send_packet(visitor.link, 1, "x", 1));
    ends_until(is_down);
    CHECK_HAS(visitor.why.text, "does not begin with hello");

    CHECK_CASE("no hello");
    dial(door, dialling);
    ends_until(is_up);
    (void)door_turn(door, end_now_ns);
    CHECK_EQ(door_turn(door, end_now_ns), end_now_ns + 10 * SECOND_NS);
    ends_pass(9 * SECOND_NS);
    CHECK_EQ(door_turn(door, end_now_ns), end_now_ns + SECOND_NS);
    CHECK_EQ(visitor.downs, 0);
    ends_pass(SECOND_NS);
    CHECK_EQ(door_turn(door, end_now_ns), UINT64_MAX);
    ends_until(is_down);
    CHECK_HAS(visitor.why.text, "no hello within 10 s");

    CHECK_CASE("comes and goes");
    dial(door, dialling);
    ends_until(is_up);
    end_close(&visitor);
    ends_rounds(3);
    CHECK_EQ(hub_takes + agent_takes, 0);
    door_close(door);
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

/* Whoever is on the doorstep then is sent away. */
static void test_closing(void)
{
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("ca.pem", "r730-1");
    struct door *door = NULL;

    for (unsigned rounds = 0; rounds < 12; rounds++) {
        CHECK_CASE("closed after %u rounds", rounds);
        assert_int_equal(door_open(end_loop, taking, HERE, hub, agent, &door, NULL), FAB_OK);
        dial(door, dialling);
        ends_rounds(rounds);
        door_close(door);
        ends_until(is_down);
        CHECK_EQ(hub_takes + agent_takes, 0);
    }
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

static void test_strangers(void)
{
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("other/ca.pem", "other/r730-1");
    struct door *door = NULL;

    CHECK_CASE("of another CA");
    assert_int_equal(door_open(end_loop, taking, HERE, hub, agent, &door, NULL), FAB_OK);
    dial(door, dialling);
    ends_until(is_down);
    CHECK_EQ(visitor.ups, 0);
    ends_rounds(5);
    CHECK_EQ(hub_takes + agent_takes, 0);
    CHECK_EQ(door_turn(door, end_now_ns), UINT64_MAX);
    door_close(door);
    CHECK_EQ(door_open(end_loop, NULL, HERE, hub, agent, &door, NULL), FAB_ERR_INVALID);
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_hellos), CHECK_TEST(test_impolite),
                                       CHECK_TEST(test_closing), CHECK_TEST(test_strangers)};
    int status;

    (void)setenv("FABRIC_LOG", "off", 1);
    site_init();
    ends_init();
    status = check_run(tests);
    ends_fini();
    site_fini();
    return status;
}
