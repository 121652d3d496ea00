/* SPDX-License-Identifier: Apache-2.0
 * Programs come and go, and the broker is what it was: descriptors, threads, memory, files, names
 * in /dev/shm and the accounts of the devices.
 *
 *     remote-run --workers 2 --devices 2 attach-cycles [COUNT]
 *
 * Each cycle is a process that attaches, works and ends in one of the ways that processes end;
 * every tenth time several at once. Exit status: 0 as before, 1 not.
 */
#include <dirent.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/functional/remote/remote_world.h"

enum { DEVICES = 4, WARM_UP = 10, AT_ONCE = 3, COUNT = 50, COUNT_MAX = 1000000, FTW_OPEN_MAX = 16 };

/* What must be as before. */
struct state {
    long descriptors, threads, resident_kib, files, names;
    uint64_t free_bytes[DEVICES];
};

/* ---- looking ----------------------------------------------------------------------------------
 */

static long entries(const char *path)
{
    DIR *folder = opendir(path);
    long count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        (void)closedir(folder);
    return count;
}

static long files_found;

static int count_file(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)path, (void)info, (void)type, (void)where;
    files_found++;
    return 0;
}

/* Of /proc/PID/status: proc(5). */
static long status_of(pid_t pid, const char *field)
{
    char path[64], line[256];
    long value = -1;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            value = strtol(line + strlen(field) + 1, NULL, 10);
    if (file)
        (void)fclose(file);
    return value;
}

static bool look(struct state *state)
{
    char path[64], socket[256];

    if (!remote_free_bytes(state->free_bytes, DEVICES))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", remote_broker());
    (void)snprintf(socket, sizeof(socket), "%s", getenv("FABRIC_SOCKET"));
    files_found = 0;
    (void)nftw(dirname(socket), count_file, FTW_OPEN_MAX, FTW_PHYS);
    state->descriptors = entries(path);
    state->threads = status_of(remote_broker(), "Threads");
    state->resident_kib = status_of(remote_broker(), "VmRSS");
    state->files = files_found;
    state->names = entries("/dev/shm");
    return state->descriptors > 2 && state->threads > 0 && state->resident_kib > 0;
}

static bool is_same(const char *what, long before, long now, long slack)
{
    (void)printf("%-24s %10ld before %10ld after\n", what, before, now);
    if (now - before <= slack && (slack > 0 || now == before))
        return true;
    (void)printf("%s: not as before\n", what);
    return false;
}

static bool compare(const struct state *before, const struct state *now)
{
    bool holds = is_same("descriptors", before->descriptors, now->descriptors, 0);

    holds &= is_same("threads", before->threads, now->threads, 0);
    holds &= is_same("resident, KiB", before->resident_kib, now->resident_kib,
                     before->resident_kib / 100);
    holds &= is_same("files", before->files, now->files, 0);
    holds &= is_same("names in /dev/shm", before->names, now->names, 0);
    for (int i = 0; i < DEVICES; i++)
        holds &= is_same("free bytes of a device", (long)before->free_bytes[i],
                         (long)now->free_bytes[i], 0);
    return holds;
}

/* ---- a cycle ----------------------------------------------------------------------------------
 */

enum ending { RETURNS, ENDS_AT_ONCE, IS_KILLED, ENDINGS };

static int attach(void *arg)
{
    enum ending ending = *(const enum ending *)arg;
    struct remote_gpu gpu;

    remote_gpu_open(&gpu, DEVICES - 1);
    if (!remote_expect("work", remote_gpu_try(&gpu), CUDA_SUCCESS))
        return 1;
    if (ending == IS_KILLED)
        (void)kill(getpid(), SIGKILL);
    if (ending == ENDS_AT_ONCE)
        _exit(0);
    return 0;
}

static bool cycle(long number, int at_once)
{
    enum ending ending = (enum ending)(number % ENDINGS);
    struct remote_child children[AT_ONCE];
    bool holds = true;

    for (int i = 0; i < at_once; i++)
        remote_child_start(&children[i], attach, &ending);
    for (int i = 0; i < at_once; i++) {
        int status = remote_child_end(&children[i]);

        holds &= status == (ending == IS_KILLED ? 128 + SIGKILL : 0) && !children[i].error_text[0];
        if (!holds)
            (void)printf("cycle %ld: status %d: %s\n", number, status, children[i].error_text);
    }
    return holds && remote_workers_wait(0);
}

static bool cycles(long count)
{
    for (long i = 0; i < count; i++)
        if (!cycle(i, i % 10 == 9 ? AT_ONCE : 1))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : COUNT;
    static struct state before, now;

    if (!getenv("FABRIC_SOCKET") || count < 1 || count > COUNT_MAX) {
        (void)fputs("usage: remote-run --workers 2 --devices 2 attach-cycles [COUNT]\n", stderr);
        return 2;
    }
    if (!cycles(WARM_UP) || !look(&before) || !cycles(count) || !look(&now))
        return 1;
    (void)printf("%ld cycles\n", count);
    return compare(&before, &now) ? 0 : 1;
}
