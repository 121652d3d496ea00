/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_manager.c - the link to the manager, dialled again and again; or a socket pair,
 * made again and again.
 *
 * Without it the agent goes on with what it was told. When it is back the manager hears the whole
 * node, and says again what should be; systems that it does not name any more are asked for by
 * name, and end here if it has none.
 */
#include <stdio.h>
#include <string.h>

#include "fabricd/agent_int.h"

#define DIAL_FIRST_NS UINT64_C(100000000)
#define DIAL_MOST_NS UINT64_C(5000000000)

bool agent_tell(struct agent *agent, const struct message *message)
{
    return agent->is_manager_up && link_send(agent->manager, message);
}

void agent_hello(const struct agent *agent, bool to_agent, struct message *message_out)
{
    struct message_hello *hello = &message_out->hello;

    *message_out = (struct message){.kind = MESSAGE_HELLO};
    *hello = (struct message_hello){.version = MESSAGE_VERSION,
                                    .instance = agent->instance,
                                    .is_agent = true,
                                    .is_fabric = false,
                                    .to_agent = to_agent};
    agent_copy_text(hello->node, sizeof(hello->node), agent->settings->node);
    agent_copy_text(hello->boot_id, sizeof(hello->boot_id), agent->boot_id);
    agent_copy_text(hello->address, sizeof(hello->address), fabricd_address(agent->settings));
}

/* ---- systems that the manager may have forgotten ----------------------------------------------
 */

static void on_looked(struct agent *agent, const char *system, uint64_t fence, uint32_t status)
{
    struct agent_view *view = agent_view_find(agent, system);
    struct agent_lease *lease = agent_lease_find(agent, system, fence);

    if (status != HTTP_NOT_FOUND)
        return;
    if (view && view->command.fence == fence)
        agent_view_drop(view, "the system was deleted");
    if (lease)
        agent_lease_drop(lease);
}

static void look_for(struct agent *agent, const char *system, uint64_t fence)
{
    char path[MESSAGE_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "/redfish/v1/Systems/%s", system);
    agent_api_ask(agent, "GET", path, /* uid */ 0, on_looked, system, fence);
}

static void look_for_all(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->leases)
    {
        const struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);

        look_for(agent, lease->system, lease->fence);
    }
    FAB_LIST_EACH(at, after, &agent->views)
    {
        const struct agent_view *view = fab_list_object(at, struct agent_view, node);

        if (!agent_lease_find(agent, view->command.system, view->command.fence))
            look_for(agent, view->command.system, view->command.fence);
    }
}

/* ---- the link ---------------------------------------------------------------------------------
 */

static void on_up(void *user, struct link *link, const char *peer)
{
    struct message message;

    (void)peer;
    agent_hello(user, /* to_agent */ false, &message);
    (void)link_send(link, &message);
}

static void on_welcome(struct agent *agent)
{
    agent->is_manager_up = true;
    agent->backoff_ns = 0;
    agent->is_changed = true;
    agent->is_checked_told = false;
    fab_log_info(&agent->log, "the manager is there", "node %s", agent->settings->node);
    if (agent->is_offered)
        agent_report(agent);
    look_for_all(agent);
}

static void on_command(struct agent *agent, const struct message_command *command)
{
    switch (command->verb) {
    case MANAGER_PREPARE:
        agent_lease_prepare(agent, command);
        break;
    case MANAGER_PRESENT:
        agent_view_present(agent, command);
        break;
    case MANAGER_RELEASE:
        agent_lease_release(agent, command);
        break;
    case MANAGER_WITHDRAW:
        agent_view_withdraw(agent, command);
        break;
    }
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct agent *agent = user;

    (void)link;
    if (message->kind == MESSAGE_WELCOME && !agent->is_manager_up)
        on_welcome(agent);
    else if (message->kind == MESSAGE_COMMAND)
        on_command(agent, &message->command);
    else if (message->kind == MESSAGE_ANSWER)
        agent_api_answer(agent, &message->answer);
    else
        fab_log_warn(&agent->log, "a message that is not for an agent was ignored", "kind %s",
                     message_kind_name(message->kind));
}

static void dial_later(struct agent *agent)
{
    agent->backoff_ns = agent->backoff_ns == 0 ? DIAL_FIRST_NS : agent->backoff_ns * 2;
    agent->backoff_ns = fab_earlier_ns(agent->backoff_ns, DIAL_MOST_NS);
    agent->redial_ns = agent_now_ns(agent) + agent->backoff_ns;
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct agent *agent = user;

    if (agent->is_manager_up || agent->backoff_ns == 0)
        fab_log_warn(&agent->log, "the manager is away", "why %s", why->text);
    agent->manager = NULL;
    agent->is_manager_up = false;
    link_close(link);
    dial_later(agent);
    agent_api_cut(agent);
}

static void on_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                      size_t count)
{
    (void)user, (void)link, (void)channel, (void)bytes, (void)count; /* a manager has none */
}

static const struct link_ops manager_ops = {
    .up = on_up, .message = on_message, .packet = on_packet, .down = on_down};

void agent_join(struct agent *agent, link_pair pair, void *user)
{
    agent->pair = pair;
    agent->pair_user = user;
    agent->redial_ns = 0;
}

static enum fab_status dial(struct agent *agent, struct fab_err *err)
{
    enum fab_status status;
    int fd;

    if (!agent->pair)
        return link_dial(agent->loop, agent->tls, agent->settings->manager, /* peer */ NULL,
                         &manager_ops, agent, &agent->manager, err);
    status = agent->pair(agent->pair_user, &fd, err);
    if (status == FAB_OK)
        status = link_adopt(agent->loop, fd, "manager", &manager_ops, agent, &agent->manager, err);
    return status;
}

uint64_t agent_manager_turn(struct agent *agent, uint64_t now_ns)
{
    const char *address = agent->settings->manager;
    struct fab_err err = {0};

    if (agent->manager || (!agent->pair && (!address || !address[0])))
        return UINT64_MAX;
    if (now_ns < agent->redial_ns)
        return agent->redial_ns;
    if (dial(agent, &err) == FAB_OK)
        return UINT64_MAX;
    if (agent->backoff_ns == 0)
        fab_log_warn(&agent->log, "the manager cannot be dialled", "why %s", err.text);
    dial_later(agent);
    return agent->redial_ns;
}

void agent_manager_end(struct agent *agent)
{
    link_close(agent->manager);
    agent->manager = NULL;
    agent->is_manager_up = false;
}
