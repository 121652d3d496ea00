/* SPDX-License-Identifier: Apache-2.0
 * fabricd/door.c - see door.h. A visitor is a link that is up and has not said hello yet.
 */
#include "fabricd/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "fabricd/agent.h"
#include "fabricd/hub.h"
#include "fabricd/link.h"
#include "fabricd/message.h"

#define HELLO_LIMIT_NS UINT64_C(10000000000)
#define LOG_EVERY_NS UINT64_C(1000000000) /* strangers may come as often as they like */

struct door {
    struct fab_log log;
    struct fab_log_limit log_limit;
    struct link_listener *listener;
    struct hub *hub;
    struct agent *agent;
    struct fab_list visitors;
};

struct visitor {
    struct fab_list node;
    struct door *door;
    struct link *link;
    char name[LEDGER_NAME_BYTES]; /* in its certificate */
    uint64_t until_ns;            /* 0: no turn yet */
};

static void log_refused(struct door *door, const char *why)
{
    unsigned suppressed = 0;

    if (fab_log_limit_pass(&door->log_limit, fab_clock_now_ns(fab_clock_real()), &suppressed))
        fab_log_warn(&door->log, "a daemon was not let in", "why %s suppressed %u", why,
                     suppressed);
}

static void visitor_free(struct visitor *visitor)
{
    fab_list_remove(&visitor->node);
    free(visitor);
}

static void refuse(struct visitor *visitor, const char *reason)
{
    char why[LEDGER_REASON_BYTES + LEDGER_NAME_BYTES];

    (void)snprintf(why, sizeof(why), "%s: %s", visitor->name, reason);
    log_refused(visitor->door, why);
    link_refuse(visitor->link, reason);
    visitor_free(visitor);
}

/* ---- what visitors say ------------------------------------------------------------------------
 */

/* Why this hello is not accepted; "": it is. */
static void judge(const struct visitor *visitor, const struct message_hello *hello,
                  char reason[LEDGER_REASON_BYTES])
{
    reason[0] = '\0';
    if (strcmp(hello->node, visitor->name) != 0)
        (void)snprintf(reason, LEDGER_REASON_BYTES,
                       "it says that it is %s, and its certificate is of %s: see its `node`",
                       hello->node, visitor->name);
    else if (hello->to_agent && !visitor->door->agent)
        (void)snprintf(reason, LEDGER_REASON_BYTES, "this daemon has no GPUs: it is no agent");
    else if (!hello->to_agent && !visitor->door->hub)
        (void)snprintf(reason, LEDGER_REASON_BYTES,
                       "this daemon is not the manager: see `manager` in the settings of %s",
                       visitor->name);
}

static void take_hello(struct visitor *visitor, const struct message_hello *hello)
{
    struct door *door = visitor->door;
    struct link *link = visitor->link;
    char reason[LEDGER_REASON_BYTES], name[LEDGER_NAME_BYTES];

    judge(visitor, hello, reason);
    if (reason[0]) {
        refuse(visitor, reason);
        return;
    }
    (void)snprintf(name, sizeof(name), "%s", visitor->name);
    visitor_free(visitor);
    if (hello->to_agent)
        agent_take_link(door->agent, link, name, hello);
    else
        hub_take_link(door->hub, link, name, hello);
}

static void visitor_message(void *user, struct link *link, const struct message *message)
{
    struct visitor *visitor = user;

    (void)link;
    if (message->kind == MESSAGE_HELLO)
        take_hello(visitor, &message->hello);
    else
        refuse(visitor, "it does not begin with hello");
}

static void visitor_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                           size_t count)
{
    (void)link;
    (void)channel;
    (void)bytes;
    (void)count;
    refuse(user, "it does not begin with hello");
}

static void visitor_down(void *user, struct link *link, const struct fab_err *why)
{
    struct visitor *visitor = user;

    log_refused(visitor->door, why->text);
    link_close(link);
    visitor_free(visitor);
}

static const struct link_ops visitor_ops = {
    .message = visitor_message, .packet = visitor_packet, .down = visitor_down};

/* ---- who comes --------------------------------------------------------------------------------
 */

static void on_up(void *user, struct link *link, const char *peer)
{
    struct door *door = user;
    struct visitor *visitor = fab_alloc_zeroed(1, sizeof(*visitor));

    if (!visitor) {
        log_refused(door, "no memory");
        link_refuse(link, "no memory");
        return;
    }
    visitor->door = door;
    visitor->link = link;
    (void)snprintf(visitor->name, sizeof(visitor->name), "%s", peer);
    fab_list_append(&door->visitors, &visitor->node);
    link_set_ops(link, &visitor_ops, visitor);
}

/* It was never up: a handshake that failed. */
static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    log_refused(user, why->text);
    link_close(link);
}

static const struct link_ops door_ops = {.up = on_up, .down = on_down};

enum fab_status door_open(struct loop *loop, struct link_tls *tls, const char *address,
                          struct hub *hub, struct agent *agent, struct door **door_out,
                          struct fab_err *err)
{
    struct door *door = fab_alloc_zeroed(1, sizeof(*door));
    enum fab_status status;

    if (!door)
        return fab_err_set(err, FAB_ERR_NOMEM, "the door");
    door->hub = hub;
    door->agent = agent;
    door->log_limit = (struct fab_log_limit)FAB_LOG_LIMIT(LOG_EVERY_NS);
    fab_list_init(&door->visitors);
    (void)!fab_log_init(&door->log, "fabricd", STDERR_FILENO, NULL); /* main told of a bad level */
    status = link_listen(loop, tls, address, &door_ops, door, &door->listener, err);
    if (status != FAB_OK) {
        free(door);
        return status;
    }
    *door_out = door;
    return FAB_OK;
}

void door_close(struct door *door)
{
    if (!door)
        return;
    link_listener_close(door->listener);
    FAB_LIST_EACH(at, after, &door->visitors)
    {
        struct visitor *visitor = fab_list_object(at, struct visitor, node);

        link_close(visitor->link);
        visitor_free(visitor);
    }
    free(door);
}

uint16_t door_port(const struct door *door)
{
    return link_listener_port(door->listener);
}

uint64_t door_turn(struct door *door, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(at, after, &door->visitors)
    {
        struct visitor *visitor = fab_list_object(at, struct visitor, node);

        if (visitor->until_ns == 0)
            visitor->until_ns = fab_deadline_ns(now_ns, HELLO_LIMIT_NS);
        if (now_ns >= visitor->until_ns)
            refuse(visitor, "no hello within 10 s");
        else if (visitor->until_ns < next_ns)
            next_ns = visitor->until_ns;
    }
    return next_ns;
}
