/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_worker.c - how a gpu-worker is started on this node, and what it inherits.
 *
 * It gets its socket, its account and its folder, the daemon's environment and memory-lock limit,
 * and the uid of its lease; it shares the lock that says that workers of this agent live.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"

enum { ARGUMENTS_MAX = 6, NUMBER_BYTES = 24 };

enum fab_status agent_worker_find(struct agent *agent, struct fab_err *err)
{
    const char *given = agent->settings->worker;
    ssize_t length;
    char *slash;

    if (given && given[0]) {
        agent_copy_text(agent->worker_path, sizeof(agent->worker_path), given);
    } else {
        length = readlink("/proc/self/exe", agent->worker_path, PATH_MAX - sizeof("gpu-worker"));
        if (length < 0)
            return fab_err_errno(err, errno, "finding gpu-worker beside fabricd");
        agent->worker_path[length] = '\0';
        slash = strrchr(agent->worker_path, '/');
        memcpy(slash + 1, "gpu-worker", sizeof("gpu-worker"));
    }
    if (access(agent->worker_path, X_OK) != 0)
        return fab_err_errno(err, errno, "%s (setting `worker`)", agent->worker_path);
    return FAB_OK;
}

/* ---- in the child -----------------------------------------------------------------------------
 */

/* Returns on failure. */
static void execute(const struct agent *agent, const char *argument, const char *value)
{
    char driver[PATH_MAX + 16], nvml[PATH_MAX + 16];
    const char *arguments[ARGUMENTS_MAX] = {"gpu-worker"};
    union {
        const char **from;
        char *const *to; /* execv's type, which does not say that it changes nothing */
    } list = {.from = arguments};
    uint32_t count = 1;

    if (agent->settings->driver && agent->settings->driver[0]) {
        (void)snprintf(driver, sizeof(driver), "--driver=%s", agent->settings->driver);
        arguments[count++] = driver;
    }
    if (agent->settings->nvml && agent->settings->nvml[0]) {
        (void)snprintf(nvml, sizeof(nvml), "--nvml=%s", agent->settings->nvml);
        arguments[count++] = nvml;
    }
    if (argument) {
        arguments[count++] = argument;
        arguments[count++] = value;
    }
    (void)unsetenv("CUDA_VISIBLE_DEVICES"); /* the client's business */
    (void)execv(agent->worker_path, list.to);
    fprintf(stderr, "fabricd: %s: %s\n", agent->worker_path, strerror(errno));
}

int agent_worker_run(const struct agent *agent, const char *argument, uint32_t device)
{
    char value[NUMBER_BYTES];

    (void)snprintf(value, sizeof(value), "%u", device);
    execute(agent, argument, value);
    return EXIT_FAILURE;
}

bool agent_has_uids(const struct agent *agent)
{
    return agent->settings->uid_first > 0 && geteuid() == 0;
}

bool agent_become_uid(uid_t uid)
{
    return uid == 0 || (setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 &&
                        setresuid(uid, uid, uid) == 0);
}

static bool keep_open(int fd)
{
    return fcntl(fd, F_SETFD, 0) == 0;
}

static FAB_NORETURN void become_worker(const struct agent_lease *lease, const char *variable,
                                       int fd, uint32_t slot)
{
    const struct agent *agent = lease->agent;
    char text[NUMBER_BYTES * 2];
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(text, sizeof(text), "%d", fd);
    (void)setenv(variable, text, 1);
    (void)snprintf(text, sizeof(text), "%d:%u", ses_account_fd(lease->account), slot);
    (void)setenv(SES_ACCOUNT_VARIABLE, text, 1);
    if (lease->image_folder[0])
        (void)setenv("FABRIC_IMAGE_FOLDER", lease->image_folder, 1);
    else
        (void)unsetenv("FABRIC_IMAGE_FOLDER");
    if (!keep_open(fd) || !keep_open(ses_account_fd(lease->account)) ||
        !keep_open(agent->lock_fd) || !agent_become_uid(lease->uid))
        _exit(EXIT_FAILURE);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of uid took it away */
    execute(agent, NULL, NULL);
    _exit(EXIT_FAILURE);
}

/* ---- in the daemon ----------------------------------------------------------------------------
 */

enum fab_status agent_worker_fork(struct agent_lease *lease, const char *variable, int fd,
                                  struct agent_worker **worker_out, struct fab_err *err)
{
    struct agent *agent = lease->agent;
    struct agent_worker *worker;
    int slot;

    if (agent->worker_count >= AGENT_WORKERS_MAX)
        return fab_err_set(err, FAB_ERR_LIMIT, "%u workers run on %s already", agent->worker_count,
                           agent->settings->node);
    slot = ses_account_slot_take(lease->account);
    if (slot < 0)
        return fab_err_set(err, FAB_ERR_LIMIT, "%d programs use %s on %s already",
                           SES_ACCOUNT_SLOTS, lease->system, agent->settings->node);
    worker = fab_alloc_zeroed(1, sizeof(*worker));
    if (worker)
        worker->pid = fork();
    if (!worker || worker->pid < 0) {
        const enum fab_status status = worker ? fab_err_errno(err, errno, "starting a worker")
                                              : fab_err_set(err, FAB_ERR_NOMEM, "a worker");

        ses_account_slot_drop(lease->account, (uint32_t)slot);
        free(worker);
        return status;
    }
    if (worker->pid == 0)
        become_worker(lease, variable, fd, (uint32_t)slot);
    worker->lease = lease;
    worker->slot = (uint32_t)slot;
    worker->warm_fd = worker->process_fd = -1;
    fab_list_append(&lease->workers, &worker->node);
    agent->worker_count++;
    *worker_out = worker;
    return FAB_OK;
}

enum fab_status agent_worker_start(struct agent_lease *lease, int fd,
                                   struct agent_worker **worker_out, struct fab_err *err)
{
    if (lease->state != AGENT_LEASE_READY)
        return fab_err_set(err, FAB_ERR_STATE, "the system %s is not ready on %s", lease->system,
                           lease->agent->settings->node);
    *worker_out = agent_warm_take(lease, fd);
    return *worker_out ? FAB_OK : agent_worker_fork(lease, "FABRIC_WORKER_FD", fd, worker_out, err);
}

void agent_worker_kill(struct agent_worker *worker)
{
    (void)kill(worker->pid, SIGKILL); /* not reaped yet, so it is no other process */
}

void agent_worker_end(struct agent_worker *worker)
{
    agent_warm_drop(worker);
    (void)waitpid(worker->pid, NULL, 0);
    ses_account_slot_drop(worker->lease->account, worker->slot);
    worker->lease->agent->worker_count--;
    fab_list_remove(&worker->node);
    free(worker);
}
