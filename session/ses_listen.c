/* SPDX-License-Identifier: Apache-2.0
 * session/ses_listen.c - the broker's socket: one broker a path, whatever an earlier one left
 * there.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "session/ses_int.h"

enum { SES_BACKLOG = 128 };

/* A socket file that nobody listens at is left over from a broker that died. */
static enum fab_status bind_at(int fd, const struct sockaddr_un *address, struct fab_err *err)
{
    const struct sockaddr *any = (const struct sockaddr *)address;
    int probe;

    if (bind(fd, any, sizeof(*address)) == 0)
        return FAB_OK;
    if (errno != EADDRINUSE)
        return fab_err_errno(err, errno, "binding %s", address->sun_path);
    probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (probe >= 0 && connect(probe, any, sizeof(*address)) != 0 && errno == ECONNREFUSED) {
        (void)close(probe);
        (void)unlink(address->sun_path);
        if (bind(fd, any, sizeof(*address)) == 0)
            return FAB_OK;
        return fab_err_errno(err, errno, "binding %s", address->sun_path);
    }
    if (probe >= 0)
        (void)close(probe);
    return fab_err_set(err, FAB_ERR_BUSY, "another broker listens at %s", address->sun_path);
}

enum fab_status ses_listen(const char *path, mode_t mode, int *fd_out, struct fab_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    enum fab_status status;
    int fd;

    if (length >= sizeof(address.sun_path))
        return fab_err_set(err, FAB_ERR_RANGE, "socket path of %zu bytes: at most %zu fit", length,
                           sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, length + 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fab_err_errno(err, errno, "opening a socket");
    status = bind_at(fd, &address, err);
    if (status == FAB_OK && (chmod(path, mode) != 0 || listen(fd, SES_BACKLOG) != 0)) {
        status = fab_err_errno(err, errno, "listening at %s", path);
        (void)unlink(path);
    }
    if (status != FAB_OK) {
        (void)close(fd);
        return status;
    }
    *fd_out = fd;
    return FAB_OK;
}
