/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/remote/remote_workers.c - see remote_workers.h.
 */
#include "tests/functional/remote/remote_workers.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

pid_t remote_broker(void)
{
    static pid_t broker; /* children of the test have it from before their fork */

    if (!broker)
        broker = getppid();
    return broker;
}

struct found {
    pid_t pid;
    unsigned long long started;
};

/* A worker of this run, also one that is not reaped yet. Source: proc(5), "/proc/[pid]/stat". */
static bool look(const char *name, struct found *found)
{
    char path[64], comm[32] = "";
    FILE *file;
    int pid, parent = 0, fields;

    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", name);
    file = fopen(path, "re");
    if (!file)
        return false;
    fields = fscanf(file,
                    "%d (%31[^)]) %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                    "%*d %*d %*d %llu",
                    &pid, comm, &parent, &found->started);
    (void)fclose(file);
    found->pid = pid;
    return fields == 4 && parent == remote_broker() && strcmp(comm, "gpu-worker") == 0;
}

static int earlier(const void *a, const void *b)
{
    const struct found *one = a, *other = b;

    if (one->started != other->started)
        return one->started < other->started ? -1 : 1;
    return one->pid < other->pid ? -1 : one->pid > other->pid;
}

uint32_t remote_workers(pid_t pids[REMOTE_WORKERS_MAX])
{
    struct found found[REMOTE_WORKERS_MAX];
    DIR *folder = opendir("/proc");
    uint32_t count = 0;

    for (struct dirent *entry; folder && count < REMOTE_WORKERS_MAX;) {
        entry = readdir(folder);
        if (!entry)
            break;
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            look(entry->d_name, &found[count]))
            count++;
    }
    if (folder)
        (void)closedir(folder);
    qsort(found, count, sizeof(*found), earlier);
    for (uint32_t i = 0; i < count; i++)
        pids[i] = found[i].pid;
    return count;
}

static uint64_t now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

bool remote_workers_wait(uint32_t count)
{
    pid_t pids[REMOTE_WORKERS_MAX];
    uint64_t limit_s = now_s() + REMOTE_LIMIT_S;

    while (remote_workers(pids) != count) {
        if (now_s() > limit_s)
            return false;
        (void)poll(NULL, 0, 1);
    }
    return true;
}
