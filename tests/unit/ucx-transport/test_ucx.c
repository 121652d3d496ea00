/* SPDX-License-Identifier: Apache-2.0
 * Two processes over UCX on the loopback interface: commands, bulk both ways, a peer's last
 * word.
 */
#include <sched.h>
#include <stdlib.h>

#include "base/clock.h"
#include "perf/xp-peer.h"
#include "tests/support/check.h"

static const struct ucx_place loopback = {.devices = {"lo"}, .spin_us = 20};

static bool open_pair(struct ucx_peer *peer, struct ucx_link *link)
{
    struct fab_err err = {0};

    if (!CHECK(ucx_peer_start(peer, &loopback)))
        return false;
    if (ucx_link_open(link, peer, &loopback, &err))
        return true;
    CHECK_CASE("%s", err.text);
    CHECK(false);
    return false;
}

static void test_commands(void)
{
    enum { POSTS = 20000 };
    static const size_t sizes[] = {
        0, 1, 8, 100, 4096, 8000, 8001, 70000, XP_MESSAGE_MAX_BYTES - 64};
    static uint8_t out[XP_MESSAGE_MAX_BYTES], in[XP_MESSAGE_MAX_BYTES];
    struct ucx_peer peer;
    struct ucx_link link;
    struct xp_reply reply;

    if (!open_pair(&peer, &link))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        struct iovec part = {.iov_base = out, .iov_len = sizes[i]};

        CHECK_CASE("an echo of %zu bytes", sizes[i]);
        ucx_fill(out, sizes[i], i + 1);
        CHECK_EQ(xp_call(link.conn, UCX_OP_ECHO, &part, 1, in, sizeof(in), &reply), FAB_OK);
        CHECK_EQ(reply.size_bytes, sizes[i]);
        CHECK_MEM(in, out, sizes[i]);
    }
    CHECK_CASE("posts, in order and once");
    for (uint64_t i = 0; i < POSTS; i++) {
        struct iovec part = {.iov_base = &i, .iov_len = sizeof(i)};
        enum fab_status status;

        while ((status = xp_post(link.conn, UCX_OP_NOTHING, &part, 1, NULL)) == FAB_ERR_AGAIN)
            (void)!xp_wait_room(link.conn, sizeof(i), UINT64_MAX);
        if (!CHECK_EQ(status, FAB_OK))
            break;
    }
    CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_OK);
    CHECK_EQ(reply.result, POSTS);
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
}

static void test_bulk(void)
{
    static const uint64_t sizes[] = {1, 4097, 1 << 20, (64 << 20) + 3};
    struct ucx_peer peer;
    struct ucx_link link;
    uint64_t id = 0;

    if (!open_pair(&peer, &link))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        uint8_t *bytes = calloc(1, sizes[i]);

        for (int to_peer = 0; bytes && to_peer < 2; to_peer++) {
            CHECK_CASE("%llu bytes %s", (unsigned long long)sizes[i], to_peer ? "out" : "in");
            id++;
            CHECK(ucx_bulk(
                &link, to_peer, bytes,
                &(struct ucx_bulk_args){.id = id, .size_bytes = sizes[i], .seed = 1000 + id}));
        }
        free(bytes);
    }
    ucx_link_close(&link);
    CHECK_EQ(ucx_peer_stop(&peer), 0);
}

/* A worker that ends by _exit has told why before: the rails take it no sooner. */
static void test_last_word(void)
{
    enum { ROUNDS = 20 };

    for (int i = 0; i < ROUNDS; i++) {
        struct ucx_peer peer;
        struct ucx_link link;
        struct xp_reply reply;

        CHECK_CASE("round %d", i);
        if (!open_pair(&peer, &link))
            return;
        CHECK_EQ(xp_post(link.conn, UCX_OP_QUIT, NULL, 0, NULL), FAB_OK);
        CHECK_EQ(xp_call(link.conn, UCX_OP_COUNT, NULL, 0, NULL, 0, &reply), FAB_ERR_PROTOCOL);
        while (link.losts == 0) /* the event follows the status */
            (void)sched_yield();
        CHECK_EQ(link.lost_status, FAB_ERR_PROTOCOL);
        CHECK_EQ(ucx_peer_stop(&peer), 0);
        ucx_link_close(&link);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_commands),
        CHECK_TEST(test_bulk),
        CHECK_TEST(test_last_word),
    };
    const char *reason = ucx_why_not();

    if (reason)
        check_skip("%s", reason);
    return check_run(tests);
}
