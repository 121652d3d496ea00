/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_reach.c - can the users of leases come to what a worker needs?
 *
 * A worker that cannot be executed, or cannot load its driver, says so to nobody: its program only
 * hears that it ended. So the daemon looks before, in a child that becomes such a user: modes alone
 * do not tell (access lists, files of other hosts).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fabricd/agent_int.h"

enum { FILES = 3 };

struct file {
    const char *setting, *path;
    int mode;
    char real[PATH_MAX]; /* without links; "": not looked at */
};

/* What the child found, in memory that it shares with its parent. */
struct found {
    int number; /* of becoming that user */
    uint32_t file;
    bool is_closed;        /* to files[file] */
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

static FAB_NORETURN void look_as(uid_t uid, const struct file *files, struct found *found)
{
    if (!agent_become_uid(uid)) {
        found->number = errno;
        _exit(EXIT_FAILURE);
    }
    for (uint32_t i = 0; i < FILES && !found->is_closed; i++) {
        if (!files[i].real[0] || access(files[i].path, files[i].mode) == 0)
            continue;
        found->file = i;
        found->is_closed = true;
        if (!find_closed(files[i].real, found->folder)) /* else a folder with a link is closed */
            (void)find_closed(files[i].path, found->folder);
    }
    _exit(EXIT_SUCCESS);
}

/* ---- in the daemon ----------------------------------------------------------------------------
 */

static enum fab_status look(uid_t uid, const struct file *files, struct found *found,
                            struct fab_err *err)
{
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        look_as(uid, files, found);
    if (pid < 0)
        return fab_err_errno(err, errno, "starting a process of user %u", (unsigned)uid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (found->number)
        return fab_err_errno(err, found->number, "becoming user %u (setting worker.uid_first)",
                             (unsigned)uid);
    if (status != 0)
        return fab_err_set(err, FAB_ERR_IO, "a process of user %u ended with status %d",
                           (unsigned)uid, status);
    return FAB_OK;
}

/* What is no path is the loader's to find; what the daemon itself cannot reach, checks tell of. */
static void resolve(struct file *file)
{
    if (!file->path || !strchr(file->path, '/') || access(file->path, file->mode) != 0 ||
        !realpath(file->path, file->real))
        file->real[0] = '\0';
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

enum fab_status agent_reach_check(const struct agent *agent, struct fab_err *err)
{
    const struct fabricd_settings *settings = agent->settings;
    struct file files[FILES] = {
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
    for (uint32_t i = 0; i < FILES; i++)
        resolve(&files[i]);
    status = look(uid, files, found, err);
    if (status == FAB_OK)
        status = judge(uid, files, found, err);
    (void)munmap(found, sizeof(*found));
    return status;
}
