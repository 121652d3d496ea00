/* SPDX-License-Identifier: Apache-2.0
 * session/ses_client.c - a client process's end of the attach protocol.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "session/ses_int.h"

struct ses_client {
    int fd;
    bool is_over;
    struct ses_grant grant;
    struct ses_link *links;
};

static enum fab_status dial(const char *path, int *fd_out, struct fab_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int fd;

    if (length >= sizeof(address.sun_path))
        return fab_err_set(err, FAB_ERR_RANGE, "socket path of %zu bytes: at most %zu fit", length,
                           sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, length + 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fab_err_errno(err, errno, "opening a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;

        (void)close(fd);
        if (error == ENOENT || error == ECONNREFUSED)
            return fab_err_set(err, FAB_ERR_NOT_FOUND, "no fabricd listens at %s", path);
        return fab_err_errno(err, error, "connecting to %s", path);
    }
    *fd_out = fd;
    return FAB_OK;
}

static enum fab_status say_hello(struct ses_client *client, struct fab_err *err)
{
    const char *system = getenv("FABRIC_SYSTEM");
    struct sesm_hello hello = {.version = SES_VERSION};
    struct ses_packet packet;
    struct sesm_parts parts;
    enum fab_status status = ses_gpus_read(getenv("FABRIC_GPUS"), &hello.gpus, err);

    if (status != FAB_OK)
        return status;
    if (system && strlen(system) >= sizeof(hello.system))
        return fab_err_set(err, FAB_ERR_RANGE,
                           "FABRIC_SYSTEM is no name of a system: it has more than %zu characters",
                           sizeof(hello.system) - 1);
    if (system)
        memcpy(hello.system, system, strlen(system));
    sesm_put_hello(&hello, &parts);
    status = ses_last_words(client->fd, ses_send(client->fd, SESM_HELLO, &parts, err), err);
    if (status == FAB_OK)
        status = ses_expect(client->fd, SESM_GRANT, &packet, err);
    if (status == FAB_OK)
        status = ses_grant_get(&packet, &client->grant, /* vgpu_index */ NULL, err);
    return status;
}

enum fab_status ses_client_open(const char *path, struct ses_client **client_out,
                                struct fab_err *err)
{
    struct ses_client *client = fab_alloc_zeroed(1, sizeof(*client));
    enum fab_status status;

    if (!client)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    if (!path)
        path = getenv("FABRIC_SOCKET");
    client->fd = -1;
    status = dial(path && path[0] ? path : SES_SOCKET_DEFAULT, &client->fd, err);
    if (status == FAB_OK)
        status = say_hello(client, err);
    if (status != FAB_OK) {
        ses_client_close(client);
        return status;
    }
    *client_out = client;
    return FAB_OK;
}

const struct ses_grant *ses_client_grant(const struct ses_client *client)
{
    return &client->grant;
}

static enum fab_status receive_link(struct ses_client *client, uint32_t index, uint32_t *row_out,
                                    struct fab_err *err)
{
    struct ses_packet packet;
    uint32_t worker;
    enum fab_status status = ses_expect(client->fd, SESM_LINK, &packet, err);

    if (status == FAB_OK)
        status = ses_link_get(&packet, &client->links[index], &worker, row_out, err);
    if (status == FAB_OK && worker != index)
        status = fab_err_set(err, FAB_ERR_PROTOCOL, "the link of worker %u came as number %u",
                             worker, index);
    return status;
}

enum fab_status ses_client_attach(struct ses_client *client, const uint8_t *address,
                                  size_t address_bytes, uint32_t rows,
                                  struct ses_attach *attach_out, struct fab_err *err)
{
    struct sesm_address message = {
        .rows = rows, .address = address, .address_count = (uint32_t)address_bytes};
    uint32_t count = client->grant.worker_count;
    struct sesm_parts parts;
    enum fab_status status;

    if (address_bytes == 0 || address_bytes > SES_ADDRESS_MAX_BYTES)
        return fab_err_set(err, FAB_ERR_RANGE, "transport address of %zu bytes", address_bytes);
    client->links = fab_alloc_zeroed(count ? count : 1, sizeof(*client->links));
    if (!client->links)
        return fab_err_set(err, FAB_ERR_NOMEM, "out of memory");
    sesm_put_address(&message, &parts);
    status = ses_last_words(client->fd, ses_send(client->fd, SESM_ADDRESS, &parts, err), err);
    for (uint32_t i = 0; status == FAB_OK && i < count; i++)
        status = receive_link(client, i, &attach_out->row, err);
    attach_out->links = client->links;
    return status;
}

void ses_client_forget_keys(struct ses_client *client)
{
    for (uint32_t i = 0; client->links && i < client->grant.worker_count; i++)
        explicit_bzero(client->links[i].key, SES_KEY_BYTES);
}

int ses_client_fd(const struct ses_client *client)
{
    return client->fd;
}

void ses_client_event(struct ses_client *client, struct ses_event *event_out)
{
    ses_event_take(client->fd, &client->is_over, event_out);
}

void ses_client_close(struct ses_client *client)
{
    struct sesm_goodbye goodbye = {0};
    struct sesm_parts parts;

    if (!client)
        return;
    if (client->fd >= 0) {
        sesm_put_goodbye(&goodbye, &parts);
        if (ses_send(client->fd, SESM_GOODBYE, &parts, NULL) != FAB_OK)
            client->is_over = true; /* the broker went first */
        (void)close(client->fd);
    }
    ses_client_forget_keys(client);
    free(client->links);
    free(client);
}
