/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_view.c - which systems programs of this host may attach to: PRESENT and WITHDRAW.
 *
 * A view that is withdrawn ends its sessions, and is confirmed when the last one is gone. An ad hoc
 * view lives as long as the program that it was made for; the agent that has no such program (it
 * was restarted) has the system deleted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"

#define DELETE_AGAIN_NS UINT64_C(1000000000)

struct agent_view *agent_view_find(struct agent *agent, const char *system)
{
    FAB_LIST_EACH(at, after, &agent->views)
    {
        struct agent_view *view = fab_list_object(at, struct agent_view, node);

        if (strcmp(view->command.system, system) == 0)
            return view;
    }
    return NULL;
}

static void view_free(struct agent_view *view)
{
    loop_unwatch(view->asker_watch);
    if (view->asker_fd >= 0)
        (void)close(view->asker_fd);
    fab_list_remove(&view->node);
    free(view);
}

static void tell_done(struct agent *agent, enum manager_verb verb, const char *system,
                      uint64_t fence, const char *reason)
{
    struct message message = {.kind = MESSAGE_DONE, .done = {.verb = verb, .fence = fence}};

    agent_copy_text(message.done.system, sizeof(message.done.system), system);
    agent_copy_text(message.done.reason, sizeof(message.done.reason), reason);
    (void)agent_tell(agent, &message); /* the manager asks again when it is back */
}

/* ---- PRESENT ----------------------------------------------------------------------------------
 */

static struct agent_view *view_create(struct agent *agent)
{
    struct agent_view *view = fab_alloc_zeroed(1, sizeof(*view));

    if (!view)
        return NULL;
    view->agent = agent;
    view->asker_fd = -1;
    fab_list_append(&agent->views, &view->node);
    return view;
}

void agent_view_present(struct agent *agent, const struct message_command *command)
{
    struct agent_view *view = agent_view_find(agent, command->system);

    if (view && view->command.fence > command->fence)
        return; /* an old manager's */
    if (command->gpu_count == 0 || command->gpu_count > SES_VGPUS_MAX) {
        tell_done(agent, MANAGER_PRESENT, command->system, command->fence,
                  "a program sees 1 to 64 GPUs");
        return;
    }
    if (view && view->command.fence < command->fence) { /* another system of the same name */
        agent_sessions_revoke(agent, command->system, view->command.fence,
                              "the system was deleted");
        view_free(view);
        view = NULL;
    }
    if (!view)
        view = view_create(agent);
    if (!view) {
        tell_done(agent, MANAGER_PRESENT, command->system, command->fence, "out of memory");
        return;
    }
    view->command = *command;
    view->is_going = false;
    tell_done(agent, MANAGER_PRESENT, command->system, command->fence, "");
}

/* ---- WITHDRAW ---------------------------------------------------------------------------------
 */

void agent_view_drop(struct agent_view *view, const char *why)
{
    view->is_going = true;
    agent_sessions_revoke(view->agent, view->command.system, view->command.fence, why);
}

void agent_view_withdraw(struct agent *agent, const struct message_command *command)
{
    struct agent_view *view = agent_view_find(agent, command->system);

    if (!view || view->command.fence != command->fence) {
        tell_done(agent, MANAGER_WITHDRAW, command->system, command->fence, "");
        return;
    }
    view->is_told = true;
    agent_view_drop(view, "the system was deleted");
}

/* ---- ad hoc systems ---------------------------------------------------------------------------
 */

static void on_deleted(struct agent *agent, const char *system, uint64_t fence, uint32_t status)
{
    struct agent_view *view = agent_view_find(agent, system);

    if (!view || view->command.fence != fence)
        return;
    if (status == HTTP_NOT_FOUND)
        agent_view_drop(view, "the system was deleted");
    if (status < HTTP_ERRORS || status == HTTP_NOT_FOUND)
        return;
    fab_log_warn(&agent->log, "an ad hoc system was not deleted", "system %s status %u", system,
                 status);
    view->delete_ns = agent_now_ns(agent) + DELETE_AGAIN_NS;
}

static void delete_system(struct agent_view *view)
{
    char path[MESSAGE_PATH_BYTES];

    if (!view->agent->is_manager_up)
        return;                   /* it is asked for when the manager is back */
    view->delete_ns = UINT64_MAX; /* until the answer */
    (void)snprintf(path, sizeof(path), "/redfish/v1/Systems/%s", view->command.system);
    agent_api_ask(view->agent, "DELETE", path, view->command.owner_uid, on_deleted,
                  view->command.system, view->command.fence);
}

static void on_asker_gone(void *user, uint32_t events)
{
    struct agent_view *view = user;

    (void)events;
    loop_unwatch(view->asker_watch);
    view->asker_watch = NULL;
    (void)close(view->asker_fd);
    view->asker_fd = -1; /* the next turn sees to it */
}

void agent_view_set_asker(struct agent *agent, const char *system, int pidfd)
{
    struct agent_view *view = agent_view_find(agent, system);

    if (!view || view->asker_fd >= 0 ||
        loop_watch(agent->loop, pidfd, EPOLLIN, on_asker_gone, view, &view->asker_watch, NULL) !=
            FAB_OK) {
        (void)close(pidfd); /* without a program it is deleted */
        return;
    }
    view->asker_fd = pidfd;
}

/* ---- every turn -------------------------------------------------------------------------------
 */

uint64_t agent_views_turn(struct agent *agent, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(at, after, &agent->views)
    {
        struct agent_view *view = fab_list_object(at, struct agent_view, node);
        const struct message_command *command = &view->command;

        if (!view->is_going && command->is_adhoc && view->asker_fd < 0 &&
            !agent_api_is_asking(agent, command->owner_uid)) {
            if (now_ns >= view->delete_ns)
                delete_system(view);
            if (view->delete_ns > now_ns) /* else it waits for the manager */
                next_ns = fab_earlier_ns(next_ns, view->delete_ns);
        }
        if (!view->is_going || agent_has_sessions(agent, command->system, command->fence))
            continue;
        if (view->is_told)
            tell_done(agent, MANAGER_WITHDRAW, command->system, command->fence, "");
        view_free(view);
    }
    return next_ns;
}

void agent_views_end(struct agent *agent)
{
    FAB_LIST_EACH(at, after, &agent->views)
    view_free(fab_list_object(at, struct agent_view, node));
}
