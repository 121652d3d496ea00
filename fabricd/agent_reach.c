/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_reach.c - can the users of leases come to what a worker needs?
 *
 * A worker that cannot be executed, or cannot load its driver, says so to nobody: its program only
 * hears that it ended. So the daemon looks before, in a child that becomes such a user: modes alone
 * do not tell (access lists, files of other hosts).
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fabricd/agent_int.h"

enum { FILES = 3, NS_PER_MS = 1000000, KILLED_MS = 100 };

struct file {
    const char *setting, *path;
    int mode;
};

/* What the child found, in memory that it shares with its parent. */
struct found {
    int number;            /* of becoming that user */
    uint32_t file;         /* files[file] is looked at, or was last */
    bool is_closed;        /* to that user */
    char folder[PATH_MAX]; /* on the way; "": the file itself */
};

/* ---- in the child -----------------------------------------------------------------------------
 */

/* The first folder that may not be entered; false: there is none. */
static bool find_closed(const char *path, char folder[PATH_MAX])
{
    for (const char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
        (void)snprintf(folder, PATH_MAX, "%.*s", (int)(end - path), path);
        if (access(folder, X_OK) != 0)
            return true;
    }
    folder[0] = '\0';
    return false;
}

/* Without links. False: it is not looked at. What is no path is the loader's to find; what the
 * daemon itself cannot reach, checks tell of. */
static bool resolve(const struct file *file, char real[PATH_MAX])
{
    return file->path && strchr(file->path, '/') && access(file->path, file->mode) == 0 &&
           realpath(file->path, real);
}

static FAB_NORETURN void look_as(uid_t uid, const struct file *files, struct found *found)
{
    char real[FILES][PATH_MAX];

    for (uint32_t i = 0; i < FILES; i++) {
        found->file = i;
        if (!resolve(&files[i], real[i]))
            real[i][0] = '\0';
    }
    if (!agent_become_uid(uid)) {
        found->number = errno;
        _exit(EXIT_FAILURE);
    }
    for (uint32_t i = 0; i < FILES && !found->is_closed; i++) {
        found->file = i;
        if (!real[i][0] || access(files[i].path, files[i].mode) == 0)
            continue;
        found->is_closed = true;
        if (!find_closed(real[i], found->folder)) /* else a folder with a link is closed */
            (void)find_closed(files[i].path, found->folder);
    }
    _exit(EXIT_SUCCESS);
}

/* ---- in the daemon ----------------------------------------------------------------------------
 */

/* False: it has not ended in time, and is killed; where even that has no effect, because the kernel
 * waits for a file server, it is left. */
static bool has_ended(pid_t pid, int process_fd, uint64_t limit_ns, int *status_out)
{
    struct pollfd process = {.fd = process_fd, .events = POLLIN};
    const bool is_over = poll(&process, 1, (int)(limit_ns / NS_PER_MS)) == 1;

    if (!is_over) {
        (void)kill(pid, SIGKILL);
        (void)poll(&process, 1, KILLED_MS);
    }
    (void)waitpid(pid, status_out, WNOHANG);
    return is_over;
}

static enum fab_status look(uid_t uid, const struct file *files, uint64_t limit_ns,
                            struct found *found, struct fab_err *err)
{
    const pid_t pid = fork();
    int process_fd, status = 0;
    bool is_over;

    if (pid == 0)
        look_as(uid, files, found);
    process_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (process_fd < 0) {
        const int number = errno;

        if (pid > 0 && kill(pid, SIGKILL) == 0)
            (void)waitpid(pid, NULL, 0);
        return fab_err_errno(err, number, "starting a process of user %u", (unsigned)uid);
    }
    is_over = has_ended(pid, process_fd, limit_ns, &status);
    (void)close(process_fd);
    if (!is_over)
        return fab_err_set(err, FAB_ERR_TIMEOUT,
                           "looking at %s (%s) has not ended after %llu ms: does its file system's "
                           "server answer?",
                           files[found->file].path, files[found->file].setting,
                           (unsigned long long)(limit_ns / NS_PER_MS));
    if (found->number)
        return fab_err_errno(err, found->number, "becoming user %u (setting worker.uid_first)",
                             (unsigned)uid);
    if (status != 0)
        return fab_err_set(err, FAB_ERR_IO, "a process of user %u ended with status %d",
                           (unsigned)uid, status);
    return FAB_OK;
}

static enum fab_status judge(uid_t uid, const struct file *files, const struct found *found,
                             struct fab_err *err)
{
    const struct file *file = &files[found->file];

    if (!found->is_closed)
        return FAB_OK;
    if (found->folder[0])
        return fab_err_set(err, FAB_ERR_DENIED,
                           "workers are users such as %u (worker.uid_first), who may not enter %s "
                           "on the way to %s: chmod o+x it",
                           (unsigned)uid, found->folder, file->setting);
    return fab_err_set(err, FAB_ERR_DENIED,
                       "workers are users such as %u (worker.uid_first), who may not %s %s (%s): "
                       "chmod o+%s it",
                       (unsigned)uid, file->mode == X_OK ? "execute" : "read", file->path,
                       file->setting, file->mode == X_OK ? "rx" : "r");
}

enum fab_status agent_reach_check(const struct agent *agent, uint64_t limit_ns, struct fab_err *err)
{
    const struct fabricd_settings *settings = agent->settings;
    const struct file files[FILES] = {
        {.setting = "worker.program", .path = agent->worker_path, .mode = X_OK},
        {.setting = "worker.driver", .path = settings->driver, .mode = R_OK},
        {.setting = "discovery.nvml", .path = settings->nvml, .mode = R_OK}};
    /* The last one, which leases take last: nobody's processes may meddle with the child. */
    const uid_t uid = (uid_t)(settings->uid_first + settings->uid_count - 1);
    struct found *found;
    enum fab_status status;

    if (!agent_has_uids(agent))
        return FAB_OK;
    found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return fab_err_errno(err, errno, "memory to share with a process");
    status = look(uid, files, limit_ns, found, err);
    if (status == FAB_OK)
        status = judge(uid, files, found, err);
    (void)munmap(found, sizeof(*found));
    return status;
}
