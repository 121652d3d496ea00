/* SPDX-License-Identifier: Apache-2.0
 * fabricd/notify.c - a datagram to NOTIFY_SOCKET. Source: sd_notify(3), "Notes".
 */
#include "fabricd/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

enum { STATE_BYTES = 128, NS_PER_US = 1000 };

void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[STATE_BYTES];
    const size_t path_bytes = path ? strlen(path) : 0;
    int fd;

    if (!path || path_bytes < 2 || path_bytes >= sizeof(address.sun_path) ||
        (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, path_bytes);
    if (path[0] == '@') /* the abstract namespace */
        address.sun_path[0] = '\0';
    /* A reload tells when it began (Type=notify-reload). */
    (void)snprintf(text, sizeof(text), "%s\nMONOTONIC_USEC=%" PRIu64, state,
                   fab_clock_now_ns(fab_clock_real()) / NS_PER_US);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes));
    (void)close(fd);
}
