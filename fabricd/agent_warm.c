/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_warm.c - workers that wait for a program: the pool of each lease.
 *
 * A pool belongs to a lease, not to the node. So its workers are that lease's user from their first
 * instruction on, have its account and its device code, and may start the driver and open the rails
 * (at which strangers may knock) at once: no process waits with the right to become somebody else,
 * and none has seen two tenants. A worker is given to one program, never comes back, and is killed
 * with its lease like any other. When it is taken another is started a moment later, so that the
 * attach has the processors to itself. One whose rails are not those that a session would have now
 * (a link went or came back, an address or the setting changed) is replaced.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fabricd/agent_int.h"

#define WARM_AFTER_NS UINT64_C(300000000)  /* an attach and the begin of a program */
#define WARM_AGAIN_NS UINT64_C(2000000000) /* one has failed */
#define WARM_LOOK_NS UINT64_C(1000000000)  /* at the rails */

enum { WARM_PROCESSES_MAX = AGENT_WORKERS_MAX / 2 }; /* the rest is for programs */

static bool is_warm(const struct agent_worker *worker)
{
    return worker->warm_fd >= 0;
}

void agent_warm_drop(struct agent_worker *worker)
{
    if (!is_warm(worker))
        return;
    loop_unwatch(worker->process);
    if (worker->process_fd >= 0)
        (void)close(worker->process_fd);
    (void)close(worker->warm_fd);
    worker->process = NULL;
    worker->process_fd = worker->warm_fd = -1;
}

static void wait_until(struct agent_lease *lease, uint64_t after_ns)
{
    lease->warm_ns = fab_deadline_ns(agent_now_ns(lease->agent), after_ns);
}

struct agent_worker *agent_warm_take(struct agent_lease *lease, int fd)
{
    FAB_LIST_EACH(at, after, &lease->workers)
    {
        struct agent_worker *worker = fab_list_object(at, struct agent_worker, node);

        if (!is_warm(worker) || worker->is_unwanted ||
            ses_warm_give(worker->warm_fd, fd, NULL) != FAB_OK)
            continue; /* one that is ending is reaped by its watch */
        agent_warm_drop(worker);
        wait_until(lease, WARM_AFTER_NS);
        return worker;
    }
    return NULL;
}

/* Its process ended while it waited. */
static void on_process(void *user, uint32_t events)
{
    struct agent_worker *worker = user;
    struct agent_lease *lease = worker->lease;

    (void)events;
    if (lease->state == AGENT_LEASE_READY && !worker->is_unwanted) {
        fab_log_warn(&lease->agent->log, "a worker that waited for a program has ended",
                     "system %s pid %d", lease->system, (int)worker->pid);
        wait_until(lease, WARM_AGAIN_NS);
    }
    agent_worker_end(worker);
}

/* The rails that sessions of the lease will most likely have here. */
static void foresee_node(struct agent_lease *lease, struct ses_node *node)
{
    const struct message_gpu *gpu = &lease->gpus[0];
    const bool is_apart = strcmp(gpu->host, lease->agent->settings->node) != 0;

    agent_node_fill(lease->agent, is_apart, node);
    if (is_apart)
        agent_rails_keep_there(gpu, node);
}

static enum fab_status watch_warm(struct agent_worker *worker, int fd, struct fab_err *err)
{
    struct agent *agent = worker->lease->agent;
    enum fab_status status;

    worker->warm_fd = fd;
    worker->process_fd = pidfd_open(worker->pid, 0);
    if (worker->process_fd < 0)
        return fab_err_set(err, FAB_ERR_IO, "watching a worker");
    worker->addresses = agent_rails_addresses(agent);
    foresee_node(worker->lease, &worker->opened);
    status = loop_watch(agent->loop, worker->process_fd, EPOLLIN, on_process, worker,
                        &worker->process, err);
    return status == FAB_OK ? ses_warm_prepare(fd, &worker->opened, err) : status;
}

static enum fab_status start_one(struct agent_lease *lease, struct fab_err *err)
{
    struct agent_worker *worker;
    enum fab_status status;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return fab_err_set(err, FAB_ERR_IO, "a socket pair for a worker");
    status = agent_worker_fork(lease, SES_WARM_VARIABLE, ends[1], &worker, err);
    (void)close(ends[1]);
    if (status != FAB_OK) {
        (void)close(ends[0]);
        return status;
    }
    status = watch_warm(worker, ends[0], err);
    if (status != FAB_OK) {
        agent_worker_kill(worker);
        agent_worker_end(worker);
    }
    return status;
}

/* Its watch ends it. */
static void dismiss(struct agent_worker *worker)
{
    worker->is_unwanted = true;
    agent_worker_kill(worker);
}

static void dismiss_outdated(struct agent_lease *lease)
{
    const uint64_t addresses = agent_rails_addresses(lease->agent);
    struct ses_node node;

    if (addresses == 0)
        return;
    foresee_node(lease, &node);
    FAB_LIST_EACH(at, after, &lease->workers)
    {
        struct agent_worker *worker = fab_list_object(at, struct agent_worker, node);

        if (!is_warm(worker) || worker->is_unwanted ||
            (worker->addresses == addresses && ses_node_is_same(&worker->opened, &node)))
            continue;
        fab_log_info(&lease->agent->log, "a worker that waited is replaced: the rails are others",
                     "system %s pid %d", lease->system, (int)worker->pid);
        dismiss(worker);
    }
}

/* Ends those that are more than `wanted`; returns how many there are. */
static int64_t count_warm(struct agent_lease *lease, int64_t wanted)
{
    int64_t count = 0;

    FAB_LIST_EACH(at, after, &lease->workers)
    {
        struct agent_worker *worker = fab_list_object(at, struct agent_worker, node);

        if (!is_warm(worker) || ++count <= wanted)
            continue;
        dismiss(worker);
    }
    return count;
}

uint64_t agent_warm_turn(struct agent *agent, uint64_t now_ns)
{
    const int64_t wanted = agent->settings->warm_workers;
    const bool looks = now_ns >= agent->warm_look_ns;
    uint64_t next_ns = UINT64_MAX;

    if (looks)
        agent->warm_look_ns = now_ns + WARM_LOOK_NS;

    FAB_LIST_EACH(at, after, &agent->leases)
    {
        struct agent_lease *lease = fab_list_object(at, struct agent_lease, node);
        struct fab_err err = {0};

        if (lease->state != AGENT_LEASE_READY)
            continue;
        if (looks && wanted > 0)
            dismiss_outdated(lease);
        if (wanted > 0)
            next_ns = fab_earlier_ns(next_ns, agent->warm_look_ns);
        if (count_warm(lease, wanted) >= wanted)
            continue;
        if (now_ns >= lease->warm_ns && agent->worker_count < WARM_PROCESSES_MAX) {
            if (start_one(lease, &err) == FAB_OK)
                return now_ns; /* the next one in the next turn */
            fab_log_warn(&agent->log, "no worker waits for programs", "system %s why %s",
                         lease->system, err.text);
            wait_until(lease, WARM_AGAIN_NS);
        }
        next_ns = fab_earlier_ns(next_ns,
                                 lease->warm_ns > now_ns ? lease->warm_ns : now_ns + WARM_AGAIN_NS);
    }
    return next_ns;
}
