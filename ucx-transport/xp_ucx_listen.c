/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_listen.c - endpoints over tcp, made by UCX's connection manager.
 *
 * Each tcp wire has a listener, whose address is all that a peer needs. The manager dials without
 * blocking and makes exactly one endpoint here for one there. The other way, two endpoints made
 * from worker addresses, is InfiniBand's (xp_ucx_pair.c): over tcp, UCX 1.13.1 then matches
 * connections by number and was seen to use freed ones after a link was lost.
 *
 * Who connects is a stranger until its first frame is adopted by the core; of those only the last
 * few are kept, and each for a second.
 */
#include <dirent.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "ucx-transport/xp_ucx_int.h"

/* A connection that waits to be accepted outside UCX's callback. */
struct request {
    struct fab_list link;
    ucp_conn_request_h handle;
};

static bool find_address(const char *interface, struct sockaddr_in *address_out,
                         bool *is_running_out)
{
    struct ifaddrs *all, *one;
    bool found = false;

    if (getifaddrs(&all) != 0)
        return false;
    for (one = all; one && !found; one = one->ifa_next) {
        found = one->ifa_addr && one->ifa_addr->sa_family == AF_INET &&
                strcmp(one->ifa_name, interface) == 0;
        if (found) {
            memcpy(address_out, one->ifa_addr, sizeof(*address_out));
            *is_running_out = one->ifa_flags & IFF_RUNNING;
        }
    }
    freeifaddrs(all);
    address_out->sin_port = 0;
    return found;
}

/* UCX leaves out an interface that is not running when the context is made, and beside an RDMA port
 * says nothing: the wire would never reach anybody. The kernel's word for it may come a second
 * after the link. */
static bool wait_until_running(struct xp_wire *wire, bool *is_running_out)
{
    enum { TRIES = 100, EACH_NS = 20000000 };
    const struct timespec each = {.tv_nsec = EACH_NS};
    bool found = find_address(wire->interface, &wire->own, is_running_out);

    for (int i = 0; i < TRIES && found && !*is_running_out; i++) {
        (void)nanosleep(&each, NULL);
        found = find_address(wire->interface, &wire->own, is_running_out);
    }
    return found;
}

/* The first word of a file, cut to its place; false: there is none. */
static bool read_word(const char *path, char word[IF_NAMESIZE])
{
    FILE *file = fopen(path, "re");
    bool found = file && fscanf(file, "%15s", word) == 1;

    if (file)
        (void)fclose(file);
    return found;
}

/* Ethernet: the kernel says which interface a GID is of. */
static bool find_ethernet(const char *device, const char *port, char name[IF_NAMESIZE])
{
    enum { GIDS_MAX = 8 };
    char path[256];
    bool found = false;

    for (int i = 0; i < GIDS_MAX && !found; i++) {
        (void)snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/%s/gid_attrs/ndevs/%d",
                       device, port, i);
        found = read_word(path, name);
    }
    return found;
}

/* InfiniBand: IP over it, if there is any. Ports count from 1, an interface's dev_port from 0. */
static bool find_ipoib(const char *device, const char *port, char name[IF_NAMESIZE])
{
    char path[512], at[IF_NAMESIZE];
    const struct dirent *entry;
    bool found = false;
    DIR *all;

    (void)snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device/net", device);
    all = opendir(path);
    while (all && !found && (entry = readdir(all)) != NULL) {
        (void)snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device/net/%.15s/dev_port",
                       device, entry->d_name);
        found = entry->d_name[0] != '.' && read_word(path, at) &&
                strtol(at, NULL, 10) + 1 == strtol(port, NULL, 10);
        if (found)
            (void)snprintf(name, IF_NAMESIZE, "%.15s", entry->d_name);
    }
    if (all)
        (void)closedir(all);
    return found;
}

/* "mlx5_0:1" */
static bool find_port(const char *device, char name[IF_NAMESIZE])
{
    char copy[64];
    char *port;

    (void)snprintf(copy, sizeof(copy), "%s", device);
    port = strchr(copy, ':');
    if (!port)
        return false;
    *port++ = '\0';
    return find_ethernet(copy, port, name) || find_ipoib(copy, port, name);
}

enum fab_status xp_ucx_find_interface(struct xp_wire *wire, const char *device, struct fab_err *err)
{
    bool is_port = xp_ucx_is_port(device), is_running = false, found;

    found = is_port ? find_port(device, wire->interface) : strlen(device) < IF_NAMESIZE;
    if (found && !is_port)
        (void)snprintf(wire->interface, sizeof(wire->interface), "%s", device);
    if (found && wait_until_running(wire, &is_running)) {
        if (is_running)
            return FAB_OK;
        return fab_err_set(err, FAB_ERR_UNREACHABLE, "%s has no link", wire->interface);
    }
    wire->interface[0] = '\0';
    return is_port ? FAB_OK
                   : fab_err_set(err, FAB_ERR_NOT_FOUND,
                                 "%s has no IPv4 address, and IPv6 alone makes no rail", device);
}

/* ---------------------------------------------------------------- listening */

static void on_request(ucp_conn_request_h handle, void *argument)
{
    struct xp_wire *wire = argument;
    struct request *request = fab_alloc(sizeof(*request));

    if (!request) {
        (void)wire->lib->ucp_listener_reject(wire->listener, handle); /* it tries again */
        return;
    }
    request->handle = handle;
    fab_list_init(&request->link);
    fab_list_append(&wire->requests, &request->link);
}

enum fab_status xp_ucx_listen(struct xp_wire *wire, struct fab_err *err)
{
    struct sockaddr_in address = wire->own;
    ucp_listener_params_t params = {
        .field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
        .sockaddr = {.addr = (const struct sockaddr *)&address, .addrlen = sizeof(address)},
        .conn_handler = {.cb = on_request, .arg = wire}};
    ucp_listener_attr_t attributes = {.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR};
    ucs_status_t result;

    result = wire->lib->ucp_listener_create(wire->worker, &params, &wire->listener);
    if (result != UCS_OK) {
        wire->listener = NULL;
        return xp_ucx_check(wire->lib, result, err, "a UCX listener");
    }
    result = wire->lib->ucp_listener_query(wire->listener, &attributes);
    if (result != UCS_OK)
        return xp_ucx_check(wire->lib, result, err, "the address of a UCX listener");
    memcpy(&address, &attributes.sockaddr, sizeof(address));
    memcpy(wire->address, &address.sin_addr, sizeof(address.sin_addr));
    memcpy(wire->address + sizeof(address.sin_addr), &address.sin_port, sizeof(address.sin_port));
    wire->address_bytes = XP_UCX_SOCKET_BYTES;
    return xp_ucx_guard(wire, &address, err);
}

void xp_ucx_listen_end(struct xp_wire *wire)
{
    FAB_LIST_EACH(node, after, &wire->requests)
    {
        struct request *request = fab_list_object(node, struct request, link);

        (void)wire->lib->ucp_listener_reject(wire->listener, request->handle);
        free(request);
    }
    if (wire->listener)
        wire->lib->ucp_listener_destroy(wire->listener);
    wire->listener = NULL;
}

/* ---------------------------------------------------------------- both ends of a connection */

enum fab_status xp_ucx_connect(struct xp_ep *ep, const uint8_t *address, struct fab_err *err)
{
    const struct xp_ucx_lib *lib = ep->wire->lib;
    struct sockaddr_in to = {.sin_family = AF_INET};
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR |
                      UCP_EP_PARAM_FIELD_LOCAL_SOCK_ADDR | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER,
        .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
        .sockaddr = {.addr = (const struct sockaddr *)&to, .addrlen = sizeof(to)},
        .local_sockaddr = {.addr = (const struct sockaddr *)&ep->wire->own,
                           .addrlen = sizeof(ep->wire->own)},
        .err_mode = UCP_ERR_HANDLING_MODE_PEER,
        .err_handler = {.cb = xp_ucx_on_error, .arg = ep}};

    memcpy(&to.sin_addr, address, sizeof(to.sin_addr));
    memcpy(&to.sin_port, address + sizeof(to.sin_addr), sizeof(to.sin_port));
    return xp_ucx_check(lib, lib->ucp_ep_create(ep->wire->worker, &params, &ep->ucp), err,
                        "a UCX endpoint");
}

/* The stranger that waits longest goes, but not at once. UCX 1.13.1's helper thread notes "may
 * write" for the descriptor of a connection that it is answering, and the note outlives the
 * descriptor: if the next connection gets the same number, UCX takes the note for that one's and
 * ends the process. After a second the answer is long written. */
static void make_room(struct xp_wire *wire)
{
    uint64_t now_ns;

    if (wire->stranger_count <= XP_UCX_STRANGERS_KEPT)
        return;
    now_ns = fab_clock_now_ns(fab_clock_real());
    FAB_LIST_EACH(node, after, &wire->eps)
    {
        struct xp_ep *ep = fab_list_object(node, struct xp_ep, link);

        if (!ep->is_stranger || ep->closing)
            continue;
        if (wire->stranger_count > XP_UCX_STRANGERS_MAX ||
            now_ns - ep->accepted_ns >= XP_UCX_STRANGER_NS)
            xp_ucx_ep_close(ep);
        return;
    }
}

static void accept_one(struct xp_wire *wire, ucp_conn_request_h handle)
{
    struct xp_ep *ep = xp_ucx_ep_create(wire, /* owner */ NULL, /* err */ NULL);
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                            UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .conn_request = handle,
                              .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {.cb = xp_ucx_on_error, .arg = ep}};

    if (!ep) {
        (void)wire->lib->ucp_listener_reject(wire->listener, handle);
        return;
    }
    if (wire->lib->ucp_ep_create(wire->worker, &params, &ep->ucp) != UCS_OK ||
        fab_map_put(&wire->handles, (uintptr_t)ep->ucp, ep) != FAB_OK) {
        xp_ucx_ep_close(ep);
        return;
    }
    ep->is_stranger = true;
    ep->accepted_ns = fab_clock_now_ns(fab_clock_real());
    wire->stranger_count++;
}

bool xp_ucx_listen_progress(struct xp_wire *wire)
{
    struct fab_list *node = fab_list_take(&wire->requests);

    make_room(wire);
    if (!node)
        return false;
    accept_one(wire, fab_list_object(node, struct request, link)->handle);
    free(fab_list_object(node, struct request, link));
    return true;
}
