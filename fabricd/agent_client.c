/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_client.c - programs that attach: what they are granted, and where their workers
 * start (ses_broker's ops).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fabricd/agent_int.h"

enum { COMMAND_BYTES_MAX = 4096, MS_PER_S = 1000, NS_PER_MS = 1000000, NAMES_BYTES = 128 };

/* ---- who may what -----------------------------------------------------------------------------
 */

static bool may_use(const struct agent_view *view, const struct ses_peer *peer)
{
    return !view->is_going && (peer->uid == 0 || peer->uid == view->command.owner_uid);
}

static enum fab_status choose_by_name(struct agent *agent, const struct ses_peer *peer,
                                      struct agent_view **view_out, struct fab_err *err)
{
    struct agent_view *view = agent_view_find(agent, peer->system);

    if (!view || view->is_going)
        return fab_err_set(err, FAB_ERR_NOT_FOUND,
                           "there is no system %s on %s: see `compose list`, or set FABRIC_SYSTEM",
                           peer->system, agent->settings->node);
    if (!may_use(view, peer))
        return fab_err_set(err, FAB_ERR_DENIED, "the system %s belongs to user %u, you are %u",
                           peer->system, view->command.owner_uid, (unsigned)peer->uid);
    *view_out = view;
    return FAB_OK;
}

static enum fab_status choose_only(struct agent *agent, const struct ses_peer *peer,
                                   struct agent_view **view_out, struct fab_err *err)
{
    struct agent_view *found = NULL;
    char names[NAMES_BYTES] = "";
    uint32_t count = 0;

    FAB_LIST_EACH(at, after, &agent->views)
    {
        struct agent_view *view = fab_list_object(at, struct agent_view, node);
        const size_t used = strlen(names);

        if (!may_use(view, peer))
            continue;
        found = view;
        count++;
        (void)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                       view->command.system);
    }
    if (count == 0)
        return fab_err_set(err, FAB_ERR_NOT_FOUND,
                           "no system on %s is yours: make one with `compose create --host %s`",
                           agent->settings->node, agent->settings->node);
    if (count > 1)
        return fab_err_set(err, FAB_ERR_NOT_FOUND,
                           "%u systems on %s are yours (%s): name one in FABRIC_SYSTEM", count,
                           agent->settings->node, names);
    *view_out = found;
    return FAB_OK;
}

/* ---- a session --------------------------------------------------------------------------------
 */

static void read_command(struct agent_session *session)
{
    char path[64], *text = NULL;
    struct fab_err err = {0};
    size_t bytes;

    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)session->pid);
    if (fab_file_read(path, COMMAND_BYTES_MAX, &text, &bytes, &err) != FAB_OK)
        return; /* it has gone, or its command is very long: shown without */
    for (size_t i = 0; i < bytes; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = text[i] == '\0' && i + 1 == bytes ? '\0' : text[i] == '\0' ? ' ' : '?';
    (void)snprintf(session->command, sizeof(session->command), "%.*s", (int)bytes, text);
    free(text);
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* Takes the GPUs away that the client does not want. */
static void keep_gpus(struct message_command *command, uint64_t gpus)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < command->gpu_count; i++)
        if (gpus >> i & 1)
            command->gpus[kept++] = command->gpus[i];
    command->gpu_count = kept;
}

static struct agent_session *session_create(struct agent *agent, const struct agent_view *view,
                                            const struct ses_peer *peer, uint64_t gpus)
{
    struct agent_session *session = fab_alloc_zeroed(1, sizeof(*session));

    if (!session)
        return NULL;
    session->agent = agent;
    session->command_of = view->command;
    keep_gpus(&session->command_of, gpus);
    session->fence = view->command.fence;
    session->uid = peer->uid;
    session->pid = peer->pid;
    session->since_ms = wall_ms();
    agent_copy_text(session->system, sizeof(session->system), view->command.system);
    read_command(session);
    fab_list_append(&agent->sessions, &session->node);
    agent->is_changed = true;
    return session;
}

/* The worker of a node, counted in the order in which its GPUs come. */
static uint32_t seat_of(struct agent_session *session, const char *node)
{
    uint32_t i = 0;

    while (i < session->worker_count && strcmp(session->seats[i].node, node) != 0)
        i++;
    if (i == session->worker_count) {
        agent_copy_text(session->seats[i].node, sizeof(session->seats[i].node), node);
        session->worker_count++;
    }
    return i;
}

static void fill_grant(struct agent_session *session, struct ses_grant *grant)
{
    const struct agent *agent = session->agent;
    const struct message_command *command = &session->command_of;

    *grant = (struct ses_grant){.vgpu_count = command->gpu_count,
                                .settings = {.grace_ns = agent->settings->grace_ns}};
    agent_copy_text(grant->system, sizeof(grant->system), session->system);
    for (uint32_t i = 0; i < command->gpu_count; i++)
        grant->vgpus[i] = (struct ses_vgpu){.worker = seat_of(session, command->gpus[i].node),
                                            .device = command->gpus[i].index,
                                            .fence = command->gpus[i].fence};
    grant->worker_count = session->worker_count;
    for (uint32_t i = 0; i < session->worker_count; i++) {
        agent_copy_text(grant->worker_nodes[i], SES_NAME_BYTES, session->seats[i].node);
        if (strcmp(session->seats[i].node, agent->settings->node) != 0)
            session->is_apart = true;
    }
    agent_node_fill(session->agent, session->is_apart, &session->here);
    agent_rails_keep_here(session, &session->here);
    grant->node = session->here;
}

static enum fab_status grant(void *user, const struct ses_peer *peer, struct ses_grant *grant_out,
                             void **session_out, struct fab_err *err)
{
    struct agent *agent = user;
    struct agent_session *session;
    struct agent_view *view = NULL;
    uint64_t gpus;
    enum fab_status status = peer->system[0] ? choose_by_name(agent, peer, &view, err)
                                             : choose_only(agent, peer, &view, err);

    if (status == FAB_OK)
        status = ses_peer_gpus(peer, view->command.gpu_count, &gpus, err);
    if (status != FAB_OK)
        return status;
    session = session_create(agent, view, peer, gpus);
    if (!session)
        return fab_err_set(err, FAB_ERR_NOMEM, "fabricd is out of memory");
    fill_grant(session, grant_out);
    *session_out = session;
    return FAB_OK;
}

/* ---- its workers ------------------------------------------------------------------------------
 */

static enum fab_status start_here(struct agent_session *session, uint32_t index, int fd,
                                  pid_t *pid_out, struct fab_err *err)
{
    struct agent *agent = session->agent;
    struct agent_seat *seat = &session->seats[index];
    struct agent_lease *lease = agent_lease_find(agent, session->system, session->fence);
    enum fab_status status;

    if (!lease)
        return fab_err_set(err, FAB_ERR_STALE, "%s does not know the system %s any more",
                           agent->settings->node, session->system);
    status = agent_worker_start(lease, fd, &seat->worker, err);
    if (status != FAB_OK)
        return status;
    *pid_out = seat->worker->pid;
    return FAB_OK;
}

static enum fab_status start(void *user, void *opaque, uint32_t index, int fd,
                             struct ses_node *node_out, pid_t *pid_out, struct fab_err *err)
{
    struct agent *agent = user;
    struct agent_session *session = opaque;
    struct agent_seat *seat = &session->seats[index];

    if (strcmp(seat->node, agent->settings->node) == 0) {
        seat->where = session->here;
        *node_out = seat->where;
        return start_here(session, index, fd, pid_out, err);
    }
    *pid_out = 0;
    agent_copy_text(node_out->name, sizeof(node_out->name), seat->node);
    return agent_channel_open(session, index, agent_rails_gpu(session, seat->node), fd,
                              &seat->channel, err);
}

static uint32_t pairs(void *user, void *opaque, uint32_t index, struct ses_pair *pairs_out)
{
    const struct agent_session *session = opaque;
    const struct ses_node *there = &session->seats[index].where;

    (void)user;
    if (memcmp(session->here.id, there->id, sizeof(there->id)) == 0)
        return 0;
    return agent_rails_pair(session, index, pairs_out);
}

static void kill_worker(void *user, void *opaque, uint32_t index)
{
    struct agent *agent = user;
    struct agent_session *session = opaque;

    agent_channel_stop(session->seats[index].channel);
    session->seats[index].channel = NULL;
    ses_broker_worker_gone(agent->broker, session, index, "the gpu-worker did not end in time");
}

static void worker_ended(void *user, void *opaque, uint32_t index, pid_t pid, const char *why)
{
    struct agent *agent = user;
    struct agent_session *session = opaque;
    struct agent_seat *seat = &session->seats[index];

    fab_log_debug(&agent->log, "a worker ended", "system %s pid %d why %s", session->system,
                  (int)pid, why);
    if (seat->worker)
        agent_worker_end(seat->worker);
    seat->worker = NULL;
    agent_channel_stop(seat->channel); /* it is gone here, however it went */
    seat->channel = NULL;
}

static void ended(void *user, void *opaque)
{
    struct agent *agent = user;
    struct agent_session *session = opaque;

    for (uint32_t i = 0; i < session->worker_count; i++)
        agent_channel_stop(session->seats[i].channel);
    fab_list_remove(&session->node);
    free(session);
    agent->is_changed = true;
}

const struct ses_broker_ops agent_broker_ops = {.grant = grant,
                                                .start = start,
                                                .pairs = pairs,
                                                .kill = kill_worker,
                                                .worker_ended = worker_ended,
                                                .ended = ended};

/* ---- sessions of a system ---------------------------------------------------------------------
 */

static bool is_of(const struct agent_session *session, const char *system, uint64_t fence)
{
    return session->fence == fence && strcmp(session->system, system) == 0;
}

bool agent_has_sessions(struct agent *agent, const char *system, uint64_t fence)
{
    FAB_LIST_EACH(at, after, &agent->sessions)
    {
        if (is_of(fab_list_object(at, struct agent_session, node), system, fence))
            return true;
    }
    return false;
}

void agent_sessions_revoke(struct agent *agent, const char *system, uint64_t fence, const char *why)
{
    FAB_LIST_EACH(at, after, &agent->sessions)
    {
        struct agent_session *session = fab_list_object(at, struct agent_session, node);

        if (is_of(session, system, fence))
            ses_broker_revoke(agent->broker, session, why);
    }
}
