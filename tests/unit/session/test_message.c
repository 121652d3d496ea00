/* SPDX-License-Identifier: Apache-2.0
 * Messages of the attach protocol: structs there and back, every cut of every message is refused,
 * and so is what decodes but makes no sense.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session/ses_int.h"
#include "tests/support/check.h"

static struct ses_grant example_grant(void)
{
    struct ses_grant grant = {.system = "train",
                              .node = {.id = {1, 2, 3},
                                       .name = "r730-1",
                                       .rails = {{.device = "mlx5_0:1", .numa_node = 1},
                                                 {.device = "/run/x", .wire = SES_WIRE_SHM}},
                                       .rail_count = 2},
                              .vgpus = {{.worker = 0, .device = 3, .epoch = 9, .fence = 77},
                                        {.worker = 1, .device = 0, .role = 1}},
                              .vgpu_count = 2,
                              .worker_nodes = {"c4130-1", "c4130-2"},
                              .worker_count = 2,
                              .settings = {.grace_ns = 30, .sync = true}};

    return grant;
}

/* The message's bytes as a packet. */
static void flatten(const struct sesm_parts *parts, struct ses_packet *packet)
{
    packet->size_bytes = 0;
    for (size_t i = 0; i < parts->count; i++) {
        memcpy((uint8_t *)packet->body + packet->size_bytes, parts->part[i].iov_base,
               parts->part[i].iov_len);
        packet->size_bytes += parts->part[i].iov_len;
    }
}

static void test_grant(void)
{
    const struct ses_grant grant = example_grant();
    const uint32_t numbers[] = {5, 6};
    uint32_t numbers_out[SES_VGPUS_MAX];
    struct ses_grant_message message;
    struct ses_packet packet;
    struct sesm_parts parts;
    struct ses_grant out;

    ses_grant_put(&grant, numbers, &message, &parts);
    flatten(&parts, &packet);
    CHECK_EQ(ses_grant_get(&packet, &out, numbers_out, NULL), FAB_OK);
    CHECK_MEM(&out, &grant, sizeof(out));
    CHECK_MEM(numbers_out, numbers, sizeof(numbers));
    for (size_t cut = packet.size_bytes; cut-- > 0;) {
        CHECK_CASE("grant cut at %zu", cut);
        packet.size_bytes = cut;
        CHECK_EQ(ses_grant_get(&packet, &out, numbers_out, NULL), FAB_ERR_PROTOCOL);
    }
}

static void test_grant_nonsense(void)
{
    static const struct {
        const char *label;
        uint32_t worker, wire;
        uint8_t last; /* byte of the system's name */
        uint32_t index;
    } rows[] = {
        {"good", 1, SES_WIRE_SHM, 0, 63},
        {"no such worker", 2, SES_WIRE_SHM, 0, 0},
        {"no such wire", 1, SES_WIRE_SHM + 1, 0, 0},
        {"name without end", 1, SES_WIRE_SHM, 'x', 0},
        {"no such virtual GPU", 1, SES_WIRE_SHM, 0, 64},
    };
    const struct ses_grant grant = example_grant();

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        uint32_t numbers[SES_VGPUS_MAX];
        struct ses_grant_message message;
        struct ses_packet packet;
        struct sesm_parts parts;
        struct ses_grant out;

        CHECK_CASE("%s", rows[i].label);
        ses_grant_put(&grant, NULL, &message, &parts);
        message.vgpus[0].worker = rows[i].worker;
        message.vgpus[0].index = rows[i].index;
        message.rails[1].wire = rows[i].wire;
        memset(message.message.system, rows[i].last ? rows[i].last : 0,
               sizeof(message.message.system));
        sesm_put_grant(&message.message, &parts);
        flatten(&parts, &packet);
        CHECK_EQ(ses_grant_get(&packet, &out, numbers, NULL), i == 0 ? FAB_OK : FAB_ERR_PROTOCOL);
    }
}

static void test_link(void)
{
    struct ses_link link = {.session_id = 99,
                            .key = {1, 2, 3, 4},
                            .address = {7, 7, 7},
                            .address_bytes = 3,
                            .pairs = {{0, 1}, {1, 0}},
                            .pair_count = 2};
    struct ses_packet packet;
    struct sesm_link message;
    struct sesm_parts parts;
    struct ses_link out;
    uint32_t worker, row;

    ses_link_put(&link, 3, 1, &message, &parts);
    flatten(&parts, &packet);
    CHECK_EQ(ses_link_get(&packet, &out, &worker, &row, NULL), FAB_OK);
    CHECK_MEM(&out, &link, sizeof(out));
    CHECK_EQ(worker, 3);
    CHECK_EQ(row, 1);
    for (size_t cut = packet.size_bytes; cut-- > 0;) {
        CHECK_CASE("link cut at %zu", cut);
        packet.size_bytes = cut;
        CHECK_EQ(ses_link_get(&packet, &out, &worker, &row, NULL), FAB_ERR_PROTOCOL);
    }
}

/* Packets that another program might send. */
static void test_packets(void)
{
    static const struct {
        const char *label;
        uint32_t words[5]; /* magic, version and op, body bytes, zero, body */
        size_t size_bytes;
        enum fab_status wanted;
    } rows[] = {
        {"a goodbye", {0x53455346, SES_VERSION | SESM_GOODBYE << 16, 0, 0}, 16, FAB_OK},
        {"too short for a head", {0x53455346}, 4, FAB_ERR_PROTOCOL},
        {"no magic", {0x12345678, SES_VERSION | SESM_GOODBYE << 16, 0, 0}, 16, FAB_ERR_PROTOCOL},
        {"another version", {0x53455346, 9 | SESM_GOODBYE << 16, 0, 0}, 16, FAB_ERR_VERSION},
        {"body shorter than said",
         {0x53455346, SES_VERSION | SESM_HELLO << 16, 8, 0, 1},
         20,
         FAB_ERR_PROTOCOL},
        {"body longer than said",
         {0x53455346, SES_VERSION | SESM_HELLO << 16, 0, 0, 1},
         20,
         FAB_ERR_PROTOCOL},
    };
    int pair[2];

    if (!CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct ses_packet packet;

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(write(pair[0], rows[i].words, rows[i].size_bytes), rows[i].size_bytes);
        CHECK_EQ(ses_receive(pair[1], SES_WAIT_NOT, &packet, NULL), rows[i].wanted);
    }
    CHECK_CASE("too large");
    static uint8_t large[SES_PACKET_MAX_BYTES + 64];
    struct ses_packet packet;

    CHECK_EQ(write(pair[0], large, sizeof(large)), sizeof(large));
    CHECK_EQ(ses_receive(pair[1], SES_WAIT_NOT, &packet, NULL), FAB_ERR_PROTOCOL);
    CHECK_EQ(ses_receive(pair[1], SES_WAIT_NOT, &packet, NULL), FAB_ERR_TIMEOUT);
    (void)close(pair[0]);
    CHECK_EQ(ses_receive(pair[1], SES_WAIT_NOT, &packet, NULL), FAB_ERR_PEER_LOST);
    (void)close(pair[1]);
}

/* ---- a worker that waits ---------------------------------------------------------------------
 */

static void give_nothing(int fd)
{
    (void)fd;
}

static void give_session(int fd)
{
    int ends[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    CHECK_EQ(ses_warm_give(fd, ends[0], NULL), FAB_OK);
    CHECK_EQ(send(ends[1], "x", 1, 0), 1); /* it is that socket, if this comes out of it */
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void give_no_socket(int fd)
{
    CHECK_EQ(ses_warm_give(fd, -1, NULL), FAB_OK);
}

static void give_another_message(int fd)
{
    const struct ses_grant grant = example_grant();

    CHECK_EQ(ses_warm_prepare(fd, &grant.node, NULL), FAB_OK);
}

static void test_warm(void)
{
    static const struct {
        const char *label;
        void (*give)(int fd);
        enum fab_status status;
    } rows[] = {
        {"a session", give_session, FAB_OK},
        {"nobody asks for it", give_nothing, FAB_ERR_CANCELLED},
        {"a session without a socket", give_no_socket, FAB_ERR_PROTOCOL},
        {"another message", give_another_message, FAB_ERR_PROTOCOL},
    };
    const struct ses_grant grant = example_grant();

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct ses_node node;
        int ends[2], fd = -1, session_fd = -1;
        char text[16], byte = 0;

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        (void)snprintf(text, sizeof(text), "%d", ends[1]);
        (void)setenv(SES_WARM_VARIABLE, text, 1);
        CHECK_EQ(ses_warm_prepare(ends[0], &grant.node, NULL), FAB_OK);
        CHECK_EQ(ses_warm_open(&fd, &node, NULL), FAB_OK);
        CHECK_MEM(&node, &grant.node, sizeof(node));
        CHECK(getenv(SES_WARM_VARIABLE) == NULL);
        rows[i].give(ends[0]);
        (void)close(ends[0]);
        CHECK_EQ(ses_warm_wait(fd, &session_fd, NULL), rows[i].status);
        CHECK_EQ(session_fd >= 0, rows[i].status == FAB_OK);
        if (session_fd >= 0)
            CHECK(recv(session_fd, &byte, 1, 0) == 1 && byte == 'x');
        if (session_fd >= 0)
            (void)close(session_fd);
    }
    CHECK_EQ(ses_warm_open(&(int){0}, &(struct ses_node){.rail_count = 0}, NULL),
             FAB_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_grant), CHECK_TEST(test_grant_nonsense),
                                       CHECK_TEST(test_link), CHECK_TEST(test_packets),
                                       CHECK_TEST(test_warm)};

    return check_run(tests);
}
