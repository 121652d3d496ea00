/* SPDX-License-Identifier: Apache-2.0
 * session/ses_warm.c - a worker that waits for its client: both ends of the socket over which its
 * session comes.
 *
 * Two messages, both from the agent: `grant` with node and rails and no GPU, then `take`, which
 * brings the session's socket. The end of the socket is the end of the wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "session/ses_int.h"

enum fab_status ses_inherit(const char *variable, int *fd_out, struct fab_err *err)
{
    const char *text = getenv(variable);
    int64_t fd;

    if (!text)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s is not set", variable);
    if (fab_parse_int(text, &fd) != FAB_OK || fd < 0 || fd > INT32_MAX ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return fab_err_set(err, FAB_ERR_INVALID, "%s=%s is no open descriptor", variable, text);
    (void)unsetenv(variable);
    *fd_out = (int)fd;
    return FAB_OK;
}

static bool is_same_rail(const struct ses_rail *a, const struct ses_rail *b)
{
    return a->wire == b->wire && a->numa_node == b->numa_node && strcmp(a->device, b->device) == 0;
}

bool ses_node_is_same(const struct ses_node *a, const struct ses_node *b)
{
    bool is_same = memcmp(a->id, b->id, sizeof(a->id)) == 0 && a->rail_count == b->rail_count;

    for (uint32_t i = 0; is_same && i < a->rail_count; i++)
        is_same = is_same_rail(&a->rails[i], &b->rails[i]);
    return is_same;
}

/* ---- the agent's end --------------------------------------------------------------------------
 */

enum fab_status ses_warm_prepare(int fd, const struct ses_node *node, struct fab_err *err)
{
    struct ses_grant_message *message = fab_alloc_zeroed(1, sizeof(*message));
    struct ses_grant *grant = fab_alloc_zeroed(1, sizeof(*grant));
    enum fab_status status = FAB_ERR_NOMEM;
    struct sesm_parts parts;

    if (message && grant) {
        grant->node = *node;
        ses_grant_put(grant, NULL, message, &parts);
        status = ses_send(fd, SESM_GRANT, &parts, err);
    } else {
        (void)fab_err_set(err, FAB_ERR_NOMEM, "a message to a worker");
    }
    free(message);
    free(grant);
    return status;
}

enum fab_status ses_warm_give(int fd, int session_fd, struct fab_err *err)
{
    const struct sesm_take take = {0};
    struct sesm_parts parts;

    sesm_put_take(&take, &parts);
    return ses_send_descriptor(fd, SESM_TAKE, &parts, session_fd, err);
}

/* ---- the worker's end -------------------------------------------------------------------------
 */

enum fab_status ses_warm_open(int *fd_out, struct ses_node *node_out, struct fab_err *err)
{
    uint32_t numbers[SES_VGPUS_MAX];
    struct ses_packet packet;
    struct ses_grant grant;
    int fd;
    enum fab_status status = ses_inherit(SES_WARM_VARIABLE, &fd, err);

    if (status != FAB_OK)
        return status;
    status = ses_expect(fd, SESM_GRANT, &packet, err);
    if (status == FAB_OK)
        status = ses_grant_get(&packet, &grant, numbers, err);
    if (status != FAB_OK) {
        (void)close(fd);
        return status;
    }
    *node_out = grant.node;
    *fd_out = fd;
    return FAB_OK;
}

enum fab_status ses_warm_wait(int fd, int *session_fd_out, struct fab_err *err)
{
    struct ses_packet packet;
    int session_fd = -1;
    enum fab_status status =
        ses_receive_descriptor(fd, SES_WAIT_FOREVER, &packet, &session_fd, err);

    (void)close(fd);
    if (status == FAB_ERR_PEER_LOST)
        status = fab_err_set(err, FAB_ERR_CANCELLED, "nobody will ask for this worker");
    else if (status == FAB_OK && (packet.op != SESM_TAKE || session_fd < 0))
        status = fab_err_set(err, FAB_ERR_PROTOCOL, "message %u to a worker that waits", packet.op);
    if (status != FAB_OK) {
        if (session_fd >= 0)
            (void)close(session_fd);
        return status;
    }
    *session_fd_out = session_fd;
    return FAB_OK;
}
