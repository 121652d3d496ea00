/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_guard.c - who gets to UCX's listener at all: hosts of peers, by a filter in
 * the kernel.
 *
 * UCX reads what a connection sends before we hear of it, and 1.13.1 aborts the process when that
 * is no request of its own. So a socket filter (socket(7), SO_ATTACH_FILTER) drops every packet to
 * the listener, and to what is accepted from it, whose sender is not the address of a peer with a
 * session: nobody's, at first. It is no proof of anything (that is the hello), but who scans a
 * network does not reach UCX. Some kernels let privileged processes filter only (seen: 6.18): then
 * there is no guard, and the log says so (docs/coverage.md). Thread: any.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ucx-transport/xp_ucx_int.h"

enum {
    HOSTS_MAX = (BPF_MAXINSNS - 2) / 2, /* two instructions each, a load and the last refusal */
    IPV4_SOURCE = 12,                   /* offset in the header, RFC 791 */
};

static struct xp_ucx_host *hosts_of(struct xp_wire *wire)
{
    return fab_vec_items(&wire->hosts, struct xp_ucx_host);
}

static bool attach(struct xp_wire *wire)
{
    size_t count = wire->hosts.count, used = 0;
    struct sock_filter *code = fab_alloc((2 * count + 2) * sizeof(*code));
    struct sock_fprog program = {.filter = code};
    bool is_attached;

    if (!code)
        return false;
    code[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + IPV4_SOURCE);
    for (size_t i = 0; i < count; i++) {
        code[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                    ntohl(hosts_of(wire)[i].address), 0, 1);
        code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX); /* all of it */
    }
    code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    program.len = (unsigned short)used;
    is_attached =
        setsockopt(wire->listen_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
    free(code);
    return is_attached;
}

static bool is_listener(int fd, const struct sockaddr_in *address)
{
    struct sockaddr_in own = {0};
    int listens = 0;
    socklen_t bytes = sizeof(own), listens_bytes = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_bytes) == 0 && listens &&
           getsockname(fd, (struct sockaddr *)&own, &bytes) == 0 && own.sin_family == AF_INET &&
           own.sin_port == address->sin_port && own.sin_addr.s_addr == address->sin_addr.s_addr;
}

enum fab_status xp_ucx_guard(struct xp_wire *wire, const struct sockaddr_in *address,
                             struct fab_err *err)
{
    DIR *all = opendir("/proc/self/fd");
    const struct dirent *entry;

    wire->listen_fd = -1;
    while (all && wire->listen_fd < 0 && (entry = readdir(all)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (entry->d_name[0] != '.' && is_listener(fd, address))
            wire->listen_fd = fd;
    }
    if (all)
        (void)closedir(all);
    if (wire->listen_fd < 0)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "the socket of UCX's listener");
    if (attach(wire))
        return FAB_OK;
    if (errno != EPERM)
        return fab_err_errno(err, errno, "a filter on UCX's listener");
    fab_log_debug(wire->config.log,
                  "this kernel lets no unprivileged process filter: any host of the rail's network "
                  "reaches UCX's listener",
                  "device %s", wire->config.device);
    wire->listen_fd = -1;
    return FAB_OK;
}

/* Whether the filter has to change. */
static bool change_hosts_locked(struct xp_wire *wire, uint32_t host, bool come)
{
    struct xp_ucx_host added = {.address = host, .count = 1};
    size_t at = 0;

    while (at < wire->hosts.count && hosts_of(wire)[at].address != host)
        at++;
    if (come && at < wire->hosts.count) {
        hosts_of(wire)[at].count++;
        return false;
    }
    if (come) /* too many: it stays outside */
        return at < HOSTS_MAX && fab_vec_push(&wire->hosts, &added) == FAB_OK;
    if (at == wire->hosts.count || --hosts_of(wire)[at].count > 0)
        return false;
    fab_vec_remove(&wire->hosts, at);
    return true;
}

void xp_ucx_expect(struct xp_wire *wire, const uint8_t *address, size_t address_bytes, bool come)
{
    uint32_t host;

    if (!wire->listener || address_bytes != XP_UCX_SOCKET_BYTES)
        return;
    memcpy(&host, address, sizeof(host));
    fab_mutex_lock(&wire->hosts_lock);
    if (change_hosts_locked(wire, host, come) && wire->listen_fd >= 0)
        (void)attach(wire); /* no memory: the filter of before goes on */
    fab_mutex_unlock(&wire->hosts_lock);
}
