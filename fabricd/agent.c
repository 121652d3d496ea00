/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent.c - the agent as a whole: what it opens, the order in which it goes, every turn.
 */
#include "fabricd/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "fabricd/agent_int.h"

enum { CLIENT_MODE = 0666, NS_PER_MS = 1000000 };
#define REACH_START_NS UINT64_C(30000000000)
/* Nobody is served meanwhile, nor takes us for lost. */
#define REACH_RELOAD_NS UINT64_C(3000000000)
static const uint64_t instance_mask = (UINT64_C(1) << 53) - 1;

void agent_copy_text(char *to, size_t to_bytes, const char *from)
{
    (void)snprintf(to, to_bytes, "%s", from);
}

uint64_t agent_now_ns(const struct agent *agent)
{
    return fab_clock_now_ns(agent->clock);
}

/* ---- who this is ------------------------------------------------------------------------------
 */

/* All processes of this boot of the node have the same id, and no other node's have it. */
static enum fab_status identify(struct agent *agent, struct fab_err *err)
{
    const uint64_t salts[] = {FAB_HASH_START, UINT64_C(0x84222325cbf29ce4)};
    char *text;
    size_t bytes;
    enum fab_status status = fab_file_read("/proc/sys/kernel/random/boot_id",
                                           sizeof(agent->boot_id), &text, &bytes, err);

    if (status != FAB_OK)
        return status;
    (void)snprintf(agent->boot_id, sizeof(agent->boot_id), "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
    for (size_t i = 0; i < FAB_ARRAY_LEN(salts); i++) {
        const uint64_t half =
            fab_hash_text(fab_hash_text(salts[i], agent->settings->node), agent->boot_id);

        memcpy(agent->node_id + i * sizeof(half), &half, sizeof(half));
    }
    if (getrandom(&agent->instance, sizeof(agent->instance), 0) < 0)
        return fab_err_errno(err, errno, "a random number");
    agent->instance = (agent->instance & instance_mask) | 1;
    return FAB_OK;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void on_broker(void *user, uint32_t events)
{
    (void)events;
    ses_broker_turn(((struct agent *)user)->broker);
}

static enum fab_status open_broker(struct agent *agent, struct fab_err *err)
{
    char path[PATH_MAX];
    enum fab_status status;

    if (mkdir(agent->settings->run_dir, 0755) != 0 && errno != EEXIST)
        return fab_err_errno(err, errno, "making %s", agent->settings->run_dir);
    (void)snprintf(path, sizeof(path), "%.4000s/client.sock", agent->settings->run_dir);
    status = ses_broker_create(path, CLIENT_MODE, &agent_broker_ops, agent, &agent->broker, err);
    if (status == FAB_OK)
        status = loop_watch(agent->loop, ses_broker_fd(agent->broker), EPOLLIN, on_broker, agent,
                            &agent->broker_watch, err);
    return status;
}

static enum fab_status open_all(struct agent *agent, struct fab_err *err)
{
    enum fab_status status = identify(agent, err);

    if (status == FAB_OK)
        status = agent_worker_find(agent, err);
    if (status == FAB_OK)
        status = agent_reach_check(agent, REACH_START_NS, err);
    if (status == FAB_OK)
        status = agent_fences_open(agent, err);
    if (status == FAB_OK)
        status = open_broker(agent, err);
    if (status == FAB_OK)
        status = agent_api_open(agent, err);
    return status;
}

enum fab_status agent_create(struct loop *loop, const struct fabricd_settings *settings,
                             struct link_tls *tls, struct agent **agent_out, struct fab_err *err)
{
    struct agent *agent = fab_alloc_zeroed(1, sizeof(*agent));
    enum fab_status status;

    if (!agent)
        return fab_err_set(err, FAB_ERR_NOMEM, "the agent");
    agent->loop = loop;
    agent->settings = settings;
    agent->tls = tls;
    agent->clock = fab_clock_real();
    agent->lock_fd = -1;
    (void)!fab_log_init(&agent->log, "fabricd", STDERR_FILENO, NULL); /* main told of a bad level */
    fab_list_init(&agent->children);
    fab_list_init(&agent->leases);
    fab_list_init(&agent->views);
    fab_list_init(&agent->sessions);
    fab_list_init(&agent->peers);
    fab_list_init(&agent->guests);
    fab_list_init(&agent->requests);
    status = open_all(agent, err);
    if (status != FAB_OK) {
        agent_destroy(agent);
        return status;
    }
    agent_discover_start(agent);
    *agent_out = agent;
    return FAB_OK;
}

enum fab_status agent_reload(struct agent *agent, struct fab_err *err)
{
    const enum fab_status status = agent_reach_check(agent, REACH_RELOAD_NS, err);

    if (status == FAB_OK)
        agent_discover_start(agent);
    return status;
}

void agent_destroy(struct agent *agent)
{
    if (!agent)
        return;
    agent_manager_end(agent);
    if (agent->http)
        agent_api_close(agent);
    loop_unwatch(agent->broker_watch);
    ses_broker_destroy(agent->broker);
    agent_peers_end(agent);
    agent_guests_end(agent);
    agent_views_end(agent);
    agent_leases_end(agent);
    agent_children_end(agent);
    for (uint32_t i = 0; i < agent->gpu_count; i++)
        free(agent->gpus[i]);
    agent_fences_close(agent);
    free(agent->machine);
    free(agent);
}

/* ---- every turn -------------------------------------------------------------------------------
 */

static uint64_t broker_turn(struct agent *agent, uint64_t now_ns)
{
    int wait_ms = ses_broker_wait_ms(agent->broker);

    if (wait_ms == 0) {
        ses_broker_turn(agent->broker);
        wait_ms = ses_broker_wait_ms(agent->broker);
    }
    return wait_ms < 0 ? UINT64_MAX : now_ns + (uint64_t)wait_ms * NS_PER_MS;
}

uint64_t agent_turn(struct agent *agent, uint64_t now_ns)
{
    uint64_t next_ns = agent_children_turn(agent, now_ns);

    next_ns = fab_earlier_ns(next_ns, agent_manager_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_peers_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_guests_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, broker_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_leases_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_warm_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_views_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_discover_turn(agent, now_ns));
    next_ns = fab_earlier_ns(next_ns, agent_meter_turn(agent, now_ns));
    return fab_earlier_ns(next_ns, http_turn(agent->http, now_ns));
}
