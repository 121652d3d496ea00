/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_fds.c - close-on-exec for the descriptors that UCX opens for our wires.
 *
 * UCX opens them without, so every program that the process starts would hold its connections open.
 * A look at what is new would catch what other threads open meanwhile; but UCX has an epoll set for
 * each worker, whose descriptor it tells us, and the kernel says what is in a set
 * (/proc/self/fdinfo). So exactly UCX's are found: the worker's set and what is in it, the sockets
 * in the set of its transport among that, and the set of UCX's helper thread, which watches the
 * same transport. If somebody else brought UCX, that thread and its set are theirs and are left
 * alone.
 *
 * New sockets come with new endpoints and some later, so a wire that goes to sleep looks again for
 * a while after its endpoints changed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ucx-transport/xp_ucx_int.h"

enum {
    MEMBERS_MAX = 1024, /* of one set; the rest is not marked */
    SETS_MAX = 8,       /* in a worker's set */
    LOOKS = 8,          /* after a change */
    LINK_BYTES = 64,
};

static void mark(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    if (flags >= 0 && !(flags & FD_CLOEXEC))
        (void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

/* What the kernel calls it: "anon_inode:[eventpoll]", "pipe:[4711]". */
static void name_of(int fd, char name[LINK_BYTES])
{
    char path[LINK_BYTES];
    ssize_t bytes;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    bytes = readlink(path, name, LINK_BYTES - 1);
    name[bytes > 0 ? bytes : 0] = '\0';
}

static bool is_set(int fd)
{
    char name[LINK_BYTES];

    name_of(fd, name);
    return strcmp(name, "anon_inode:[eventpoll]") == 0;
}

/* The descriptors in an epoll set. */
static size_t members_of(int set, int members[MEMBERS_MAX])
{
    char path[LINK_BYTES], line[256];
    size_t count = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", set);
    file = fopen(path, "re");
    while (file && count < MEMBERS_MAX && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "tfd:", 4) == 0)
            members[count++] = (int)strtol(line + 4, NULL, 10);
    }
    if (file)
        (void)fclose(file);
    return count;
}

static size_t mark_members(int set, int sets_out[SETS_MAX])
{
    int members[MEMBERS_MAX];
    size_t count = members_of(set, members), sets = 0;

    for (size_t i = 0; i < count; i++) {
        mark(members[i]);
        if (sets_out && sets < SETS_MAX && is_set(members[i]))
            sets_out[sets++] = members[i];
    }
    return sets;
}

/* ---------------------------------------------------------------- UCX's helper thread */

static bool has_member(int set, int fd)
{
    int members[MEMBERS_MAX];
    size_t count = members_of(set, members);

    for (size_t i = 0; i < count; i++) {
        if (members[i] == fd)
            return true;
    }
    return false;
}

/* The set beside the worker's that watches one of its transports; -1: none. */
static int find_helper(int worker, const int *sets, size_t set_count)
{
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;
    int found = -1;

    while (all && found < 0 && (entry = readdir(all)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (entry->d_name[0] == '.' || fd == worker || !is_set(fd))
            continue;
        for (size_t i = 0; i < set_count && found < 0; i++)
            found = has_member(fd, sets[i]) ? fd : -1;
    }
    if (all)
        (void)closedir(all);
    return found;
}

/* It watches one end of some pipes; the other end has the same name. */
static void mark_pipes(int helper)
{
    int members[MEMBERS_MAX];
    size_t count = members_of(helper, members);
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;

    while (all && (entry = readdir(all)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        char name[LINK_BYTES], other[LINK_BYTES];

        name_of(fd, name);
        for (size_t i = 0; entry->d_name[0] != '.' && strncmp(name, "pipe:", 5) == 0 && i < count;
             i++) {
            name_of(members[i], other);
            if (strcmp(name, other) == 0)
                mark(fd);
        }
    }
    if (all)
        (void)closedir(all);
}

/* ---------------------------------------------------------------- for a wire */

void xp_ucx_fds_mark(struct xp_wire *wire)
{
    int sets[SETS_MAX];
    size_t set_count;

    if (wire->looked_at != wire->ids.count) {
        wire->looked_at = wire->ids.count;
        wire->looks = LOOKS;
    }
    if (wire->looks == 0)
        return;
    wire->looks--;
    mark(wire->event_fd);
    set_count = mark_members(wire->event_fd, sets);
    for (size_t i = 0; i < set_count; i++)
        (void)mark_members(sets[i], NULL);
    if (wire->lib->info.was_there)
        return;
    if (wire->helper_fd < 0) {
        wire->helper_fd = find_helper(wire->event_fd, sets, set_count);
        if (wire->helper_fd < 0)
            return;
        mark(wire->helper_fd);
        mark_pipes(wire->helper_fd);
    }
    (void)mark_members(wire->helper_fd, NULL);
}
