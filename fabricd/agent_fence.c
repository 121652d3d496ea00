/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_fence.c - what a restarted agent must still know of each GPU: a small file.
 *
 * STATE/fences has a line a GPU: uuid, lowest number that may be served, number whose bytes may be
 * in its memory. It is replaced as a whole and is on the disk before a command is answered.
 *
 * STATE/workers.lock is locked by this process, and with it by every worker, which inherit the same
 * open file: whoever gets the lock after a crash knows that all of them are gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fabricd/agent_int.h"

enum { LINE_BYTES = LEDGER_UUID_BYTES + 48, PATH_ROOM = 32 };

static void path_of(const struct agent *agent, const char *name, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - PATH_ROOM, agent->settings->state_dir,
                   name);
}

struct agent_fence *agent_fence_of(struct agent *agent, const char *uuid)
{
    struct agent_fence *fences;

    for (uint32_t i = 0; i < agent->fence_count; i++)
        if (strcmp(agent->fences[i].uuid, uuid) == 0)
            return &agent->fences[i];
    if (agent->fence_count == AGENT_FENCES_MAX)
        return NULL;
    fences = fab_alloc_resize(agent->fences, agent->fence_count + 1, sizeof(*fences));
    if (!fences)
        return NULL;
    agent->fences = fences;
    fences[agent->fence_count] = (struct agent_fence){.floor = 0};
    agent_copy_text(fences[agent->fence_count].uuid, LEDGER_UUID_BYTES, uuid);
    return &fences[agent->fence_count++];
}

/* A file that does not read is an error: to begin at 0 would serve whom a manager fenced off. */
static enum fab_status read_line(struct agent *agent, const char *line, struct fab_err *err)
{
    char uuid[LEDGER_UUID_BYTES];
    struct agent_fence *fence;
    uint64_t floor, dirty;
    int end = 0;

    if (sscanf(line, "%47s %" SCNu64 " %" SCNu64 "%n", uuid, &floor, &dirty, &end) != 3 ||
        line[end] != '\0')
        return fab_err_set(err, FAB_ERR_FORMAT,
                           "%s/fences: '%.80s' is not a GPU and two numbers: repair the line, or "
                           "remove the file once nothing of this node is in any system",
                           agent->settings->state_dir, line);
    fence = agent_fence_of(agent, uuid);
    if (!fence)
        return fab_err_set(err, FAB_ERR_NOMEM, "fence numbers");
    fence->floor = floor;
    fence->dirty = dirty;
    return FAB_OK;
}

static enum fab_status read_all(struct agent *agent, struct fab_err *err)
{
    char path[PATH_MAX], *text, *line, *rest;
    enum fab_status status;
    size_t bytes;

    path_of(agent, "fences", path);
    status = fab_file_read(path, (size_t)AGENT_FENCES_MAX * LINE_BYTES, &text, &bytes, err);
    if (status == FAB_ERR_NOT_FOUND)
        return FAB_OK; /* the first start */
    if (status != FAB_OK)
        return status;
    for (line = strtok_r(text, "\n", &rest); line && status == FAB_OK;
         line = strtok_r(NULL, "\n", &rest))
        status = read_line(agent, line, err);
    free(text);
    return status;
}

enum fab_status agent_fences_open(struct agent *agent, struct fab_err *err)
{
    char path[PATH_MAX];

    if (mkdir(agent->settings->state_dir, 0700) != 0 && errno != EEXIST)
        return fab_err_errno(err, errno, "making %s", agent->settings->state_dir);
    path_of(agent, "workers.lock", path);
    agent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (agent->lock_fd < 0)
        return fab_err_errno(err, errno, "opening %s", path);
    return read_all(agent, err);
}

void agent_fences_close(struct agent *agent)
{
    if (agent->lock_fd >= 0)
        (void)close(agent->lock_fd);
    free(agent->fences);
}

bool agent_fences_are_alone(struct agent *agent)
{
    if (!agent->is_alone)
        agent->is_alone = flock(agent->lock_fd, LOCK_EX | LOCK_NB) == 0;
    return agent->is_alone;
}

static bool write_all(const struct agent *agent, int fd)
{
    for (uint32_t i = 0; i < agent->fence_count; i++) {
        const struct agent_fence *fence = &agent->fences[i];

        if (dprintf(fd, "%s %" PRIu64 " %" PRIu64 "\n", fence->uuid, fence->floor, fence->dirty) <
            0)
            return false;
    }
    return fsync(fd) == 0;
}

static bool sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_done = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    return is_done;
}

enum fab_status agent_fences_save(struct agent *agent, struct fab_err *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    bool is_done;
    int fd;

    path_of(agent, "fences", path);
    path_of(agent, "fences.new", fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    is_done = fd >= 0 && write_all(agent, fd);
    if (fd >= 0)
        (void)close(fd);
    if (!is_done || rename(fresh, path) != 0 || !sync_folder(agent->settings->state_dir))
        return fab_err_errno(err, errno, "writing %s", path);
    return FAB_OK;
}
