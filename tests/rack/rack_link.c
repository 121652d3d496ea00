/* SPDX-License-Identifier: Apache-2.0
 * tests/rack/rack_link.c - see rack_link.h.
 */
#include "tests/rack/rack_link.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool rack_set_link(unsigned rail, unsigned host, bool up)
{
    pid_t pid = fork();
    int status = 1;

    if (pid == 0) {
        char space[64], port[16];
        int fd;

        (void)snprintf(space, sizeof(space), "%s/switch%u.net", getenv("RACK_RUN"), rail);
        (void)snprintf(port, sizeof(port), "p%u", host);
        fd = open(space, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
            _exit(1);
        (void)execlp("ip", "ip", "link", "set", port, up ? "up" : "down", (char *)NULL);
        _exit(1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
