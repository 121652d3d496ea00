/* SPDX-License-Identifier: Apache-2.0
 * A tcp rail whose socket breaks inside any call of UCX: the process lives, the rail is taken anew,
 * the transfer is whole. send(), sendmsg() and recv() are ours here and UCX's calls come through
 * them. Only a break between two parts of one message shows what UCX does with a half sent one,
 * and on a real link that takes an error between its look at the socket and its write.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "perf/xp-peer.h"
#include "tests/support/check.h"

enum { BYTES = 16 << 20, BIG = 8 << 10 /* it carries a chunk, and is no frame */ };

/* What happens to the n-th big call of this process, and how often it has happened. */
static struct {
    bool in_parts; /* half of it is done first, and the next call on that socket fails */
    int error;
    _Atomic int calls_left, doomed_fd, strikes;
} plan = {.calls_left = 0, .doomed_fd = -1};

enum verdict { PASS, HALF, FAIL };

static enum verdict judge(int fd, size_t size)
{
    int doomed = fd;

    if (atomic_compare_exchange_strong(&plan.doomed_fd, &doomed, -1)) {
        atomic_fetch_add(&plan.strikes, 1);
        errno = plan.error;
        return FAIL;
    }
    if (size < BIG || atomic_load(&plan.calls_left) <= 0 ||
        atomic_fetch_sub(&plan.calls_left, 1) != 1)
        return PASS;
    atomic_store(&plan.doomed_fd, fd);
    return plan.in_parts ? HALF : judge(fd, size);
}

/* Hidden as everything else they would not be found. */
__attribute__((visibility("default"))) ssize_t send(int fd, const void *bytes, size_t size,
                                                    int flags)
{
    enum verdict verdict = judge(fd, size);

    if (verdict == FAIL)
        return -1;
    return syscall(SYS_sendto, fd, bytes, verdict == HALF ? size / 2 : size, flags, NULL, 0);
}

__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message,
                                                       int flags)
{
    struct msghdr half = *message;
    struct iovec part;
    size_t size = 0;

    for (size_t i = 0; i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    switch (judge(fd, size)) {
    case PASS:
        break;
    case HALF: /* its first part is UCX's header */
        part = message->msg_iov[0];
        half.msg_iov = &part;
        half.msg_iovlen = 1;
        break;
    case FAIL:
        return -1;
    }
    return syscall(SYS_sendmsg, fd, &half, flags);
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    enum verdict verdict = judge(fd, size);

    if (verdict == FAIL)
        return -1;
    return syscall(SYS_recvfrom, fd, bytes, verdict == HALF ? size / 2 : size, flags, NULL, NULL);
}

static void transfer(bool to_peer, const struct ucx_place *place, uint8_t *bytes)
{
    struct ucx_peer peer;
    struct ucx_link link;
    struct fab_err err = {0};

    if (!CHECK(ucx_peer_start(&peer, place)))
        return;
    if (CHECK(ucx_link_open(&link, &peer, place, &err))) {
        atomic_store(&plan.calls_left, 1 + rand() % 20);
        CHECK(ucx_bulk(&link, to_peer, bytes, &(struct ucx_bulk_args){1, BYTES, 5}));
        CHECK_EQ(atomic_load(&plan.strikes), 1);
        CHECK_EQ(link.losts, 0);
    }
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
}

/* Either way through: what we send is chunks, or what we receive is. */
static void test_break(void)
{
    static const struct ucx_place place = {.devices = {"lo"},
                                           .limits = {.retry_first_ns = 20000000}};
    static const int errors[] = {ETIMEDOUT, ECONNRESET, EPIPE, EHOSTUNREACH};
    uint8_t *bytes = calloc(1, BYTES);

    for (unsigned i = 0; i < FAB_ARRAY_LEN(errors) * 4 && CHECK(bytes); i++) {
        bool to_peer = i % 2 == 0;

        plan.in_parts = i / 2 % 2 == 0;
        plan.error = errors[i / 4];
        atomic_store(&plan.strikes, 0);
        CHECK_CASE("%s, %s, %s", to_peer ? "out" : "in",
                   plan.in_parts ? "between two parts" : "at once", strerror(plan.error));
        transfer(to_peer, &place, bytes);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_break)};
    const char *reason = ucx_why_not();

    if (reason)
        check_skip("%s", reason);
    return check_run(tests);
}
