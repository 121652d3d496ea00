/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_gone.c - a program that closes descriptors which it did not open, ours too.
 *
 * Daemons do (closefrom(3)). The numbers are soon those of the program's own files. So a node opens
 * a socket before all its other descriptors, whose inode nobody else's can have: a sweep closes it
 * before them. After each sleep, before an engine that sleeps is woken, and before a frame is sent
 * in passing, it is looked at; when it is gone no wire is touched any more, not even to close it:
 * all sessions are lost, here and at once. What this cannot help is a thread that has just looked
 * and is held up before it uses one (in the middle of a transfer: one byte, or a word of eight, may
 * go to a file of the program), and one that is inside UCX meanwhile, UCX's own among them.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "ucx-transport/xp_int.h"

static const char why[] = "the program has closed the transport's descriptors";

void xp_canary_open(struct xp_node *node)
{
    struct stat own;

    /* No room for it: the rails will say so, or we do without. */
    node->canary_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (node->canary_fd >= 0 && fstat(node->canary_fd, &own) == 0)
        node->canary_inode = own.st_ino;
}

void xp_canary_close(struct xp_node *node)
{
    if (node->canary_fd >= 0 && xp_node_has_descriptors(node))
        (void)close(node->canary_fd);
}

bool xp_node_has_descriptors(struct xp_node *node)
{
    struct stat now;

    if (atomic_load_explicit(&node->is_gone, memory_order_relaxed))
        return false;
    if (node->canary_fd < 0 || (fstat(node->canary_fd, &now) == 0 && S_ISSOCK(now.st_mode) &&
                                now.st_ino == node->canary_inode))
        return true;
    atomic_store(&node->is_gone, true);
    return false;
}

/* What the backend has of a life comes back without it: it is not turned any more. */
static void end_life(struct xp_life *life)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(life->ops); i++) {
        if (life->ops[i].is_out)
            life->ops[i].send.done(&life->ops[i].send, FAB_ERR_CANCELLED);
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(life->arrivals); i++) {
        struct xp_landing *landing = &life->arrivals[i].landing;

        if (life->arrivals[i].transfer)
            landing->done(landing, FAB_ERR_CANCELLED);
    }
    (void)fab_map_remove(&life->leg->slot->tokens, life->token);
    life->ep = NULL;
    life->closed = true;
}

void xp_leg_end_gone(struct xp_leg *leg)
{
    struct xp_conn *conn = leg->conn;

    fab_mutex_lock(&conn->lock);
    xp_conn_lose_locked(conn, FAB_ERR_STALE, why);
    conn->linger_ns = 0;
    if (leg->current)
        xp_life_doom_locked(leg->current, why);
    fab_mutex_unlock(&conn->lock);
    FAB_LIST_EACH(node, after, &leg->lives)
    {
        struct xp_life *life = fab_list_object(node, struct xp_life, link);

        if (!life->closed)
            end_life(life);
    }
    xp_leg_free_lives(leg);
    leg->expected = false;
}
