/* SPDX-License-Identifier: Apache-2.0
 * tests/rack/rack_link.c - see rack_link.h.
 */
#include "tests/rack/rack_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool enter(const char *format, unsigned number)
{
    char space[64];
    int fd;

    /* Formats are literals of this file. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(space, sizeof(space), format, getenv("RACK_RUN"), number);
#pragma GCC diagnostic pop
    fd = open(space, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
}

static bool has_ended_well(pid_t pid)
{
    int status = 1;

    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* The kernel tells a host of its link up to a second late, and until then UCX knows no such device.
 */
static bool wait_until_running(unsigned rail, unsigned host)
{
    enum { LOOKS = 5000, PAUSE_NS = 1000000 };
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct ifreq request = {0};
    int fd;

    if (!enter("%s/%u.net", host))
        return false;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "rail%u", rail);
    for (unsigned i = 0; i < LOOKS; i++) {
        if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING))
            return true;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

bool rack_set_link(unsigned rail, unsigned host, bool up)
{
    pid_t pid = fork();

    if (pid == 0) {
        char port[16];

        (void)snprintf(port, sizeof(port), "p%u", host);
        if (enter("%s/switch%u.net", rail))
            (void)execlp("ip", "ip", "link", "set", port, up ? "up" : "down", (char *)NULL);
        _exit(1);
    }
    if (!has_ended_well(pid))
        return false;
    if (!up)
        return true;
    pid = fork();
    if (pid == 0)
        _exit(wait_until_running(rail, host) ? 0 : 1);
    return has_ended_well(pid);
}

bool rack_reach(unsigned rail, unsigned host)
{
    enum { TRIES = 10, CLOSED_PORT = 1, NET = 10 << 24 | 77 << 16 };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(CLOSED_PORT)};
    bool is_there = false;

    address.sin_addr.s_addr = htonl(NET | rail << 8 | host);
    for (unsigned i = 0; i < TRIES && !is_there; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        is_there = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
                   errno == ECONNREFUSED;
        if (fd >= 0)
            (void)close(fd);
    }
    return is_there;
}
