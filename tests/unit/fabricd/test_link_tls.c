/* SPDX-License-Identifier: Apache-2.0
 * Links over TCP: who is accepted and who is not, both ends' words about it, strangers, big
 * messages in both directions, lack of memory and descriptors. Both ends run in one loop; its time
 * is the test's.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "fabricd/certificate.h"
#include "fabricd/link_int.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/link_ends.h"
#include "tests/unit/fabricd/site.h"

enum {
    MANY = 100,
    BIG_BYTES = 8 << 20,
    STRANGERS = 300,
    STRANGERS_MAX = 256,
    FILE_BYTES = 64 << 10
};
#define SECOND_NS UINT64_C(1000000000)
#define HERE "127.0.0.1:0"

static struct end dialler, taker;
static struct link_listener *listener;
static char address[64];

static void listen_as(struct link_tls *tls)
{
    assert_int_equal(link_listen(end_loop, tls, HERE, &end_taking_ops, &taker, &listener, NULL),
                     FAB_OK);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", link_listener_port(listener));
    taker = (struct end){0};
    dialler = (struct end){0};
}

static void dial_as(struct link_tls *tls, const char *peer)
{
    assert_int_equal(
        link_dial(end_loop, tls, address, peer, &end_ops, &dialler, &dialler.link, NULL), FAB_OK);
}

static bool are_up_or_down(void)
{
    return dialler.ups + dialler.downs > 0 && taker.ups + taker.downs > 0;
}

static bool are_down(void)
{
    return dialler.downs > 0 && taker.downs > 0;
}

static bool is_taker_down(void)
{
    return taker.downs > 0;
}

static bool is_dialler_down(void)
{
    return dialler.downs > 0;
}

static void close_all(void)
{
    end_close(&dialler);
    end_close(&taker);
    link_listener_close(listener);
    listener = NULL;
    ends_rounds(1);
    CHECK(!dialler.is_wrong && !taker.is_wrong);
}

/* ---- who is accepted --------------------------------------------------------------------------
 */

static time_t shift_s;

static time_t shifted_time(time_t *to)
{
    const time_t now = time(NULL) + shift_s;

    if (to)
        *to = now;
    return now;
}

static void test_identities(void)
{
    enum { YEAR_S = 366 * 86400 };
    static const struct {
        const char *label;
        const char *taker_ca, *taker_name, *dialler_ca, *dialler_name, *peer;
        time_t shift_s;
        bool is_good;
        const char *dialler_says, *taker_says;
    } rows[] = {
        {"a good pair", "ca.pem", "c4130-1", "ca.pem", "r730-1", NULL, 0, true, "", ""},
        {"of the right name", "ca.pem", "c4130-1", "ca.pem", "r730-1", "c4130-1", 0, true, "", ""},
        {"of a wrong name", "ca.pem", "c4130-1", "ca.pem", "r730-1", "c4130-2", 0, false,
         "it is c4130-1, not c4130-2", "it refused us"},
        {"a dialler of another CA", "ca.pem", "c4130-1", "ca.pem", "other/r730-1", NULL, 0, false,
         "it refused us", "its certificate: The certificate is NOT trusted"},
        {"a listener of another CA", "ca.pem", "other/c4130-1", "ca.pem", "r730-1", NULL, 0, false,
         "its certificate: The certificate is NOT trusted", "it refused us"},
        {"each of its own CA", "ca.pem", "c4130-1", "other/ca.pem", "other/r730-1", NULL, 0, false,
         "NOT trusted", "it refused us"},
        {"a user that dials", "ca.pem", "c4130-1", "ca.pem", "anna", NULL, 0, false,
         "it refused us", "the certificate of anna is a user's"},
        {"a user that listens", "ca.pem", "anna", "ca.pem", "r730-1", NULL, 0, false,
         "the certificate of anna is a user's", "it refused us"},
        {"after their end", "ca.pem", "c4130-1", "ca.pem", "r730-1", NULL, 3 * YEAR_S, false,
         "expired", "it refused us"},
        {"before their begin", "ca.pem", "c4130-1", "ca.pem", "r730-1", NULL, -YEAR_S, false,
         "not yet", "it refused us"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct link_tls *taking = site_tls(rows[i].taker_ca, rows[i].taker_name);
        struct link_tls *dialling = site_tls(rows[i].dialler_ca, rows[i].dialler_name);

        CHECK_CASE("%s", rows[i].label);
        shift_s = rows[i].shift_s;
        listen_as(taking);
        dial_as(dialling, rows[i].peer);
        ends_until(rows[i].is_good ? are_up_or_down : are_down);
        CHECK_EQ(dialler.ups, rows[i].is_good);
        CHECK_EQ(taker.ups, rows[i].is_good);
        if (rows[i].is_good) {
            CHECK_STR(dialler.peer, "c4130-1");
            CHECK_STR(taker.peer, "r730-1");
        } else {
            CHECK_EQ(dialler.why.status, FAB_ERR_AUTH);
            CHECK_EQ(taker.why.status, FAB_ERR_AUTH);
            CHECK_HAS(dialler.why.text, address);
            CHECK_HAS(taker.why.text, "127.0.0.1:");
        }
        CHECK_HAS(dialler.why.text, rows[i].dialler_says);
        CHECK_HAS(taker.why.text, rows[i].taker_says);
        close_all();
        link_tls_destroy(taking);
        link_tls_destroy(dialling);
    }
    shift_s = 0;
}

/* ---- strangers --------------------------------------------------------------------------------
 */

static int connect_raw(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(link_listener_port(listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* A client of GnuTLS without a certificate. */
static void test_strange_tls(void)
{
    static const struct {
        const char *label, *priority;
        enum fab_status status;
        const char *part;
    } rows[] = {
        {"no certificate", "NORMAL:-VERS-ALL:+VERS-TLS1.3", FAB_ERR_AUTH, "it has no certificate"},
        {"TLS 1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2", FAB_ERR_PROTOCOL, "TLS: "},
    };
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        gnutls_certificate_credentials_t none;
        gnutls_session_t session;
        int fd;

        CHECK_CASE("%s", rows[i].label);
        listen_as(taking);
        fd = connect_raw();
        assert_int_equal(gnutls_certificate_allocate_credentials(&none), 0);
        assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
        assert_int_equal(gnutls_priority_set_direct(session, rows[i].priority, NULL), 0);
        assert_int_equal(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, none), 0);
        gnutls_transport_set_int(session, fd);
        gnutls_handshake_set_timeout(session, 0);
        CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        while (taker.downs == 0) {
            (void)gnutls_handshake(session);
            ends_rounds(1);
        }
        CHECK_EQ(taker.ups, 0);
        CHECK_EQ(taker.why.status, rows[i].status);
        CHECK_HAS(taker.why.text, rows[i].part);
        gnutls_deinit(session);
        gnutls_certificate_free_credentials(none);
        (void)close(fd);
        close_all();
    }
    link_tls_destroy(taking);
}

static bool is_accepted(void)
{
    return link_count_strangers(end_loop) > 0;
}

static void test_no_tls(void)
{
    static const char words[] = "GET / HTTP/1.1\r\n\r\n";
    struct link_tls *tls = site_tls("ca.pem", "c4130-1");
    int fd;

    CHECK_CASE("no TLS at all");
    listen_as(tls);
    fd = connect_raw();
    CHECK_EQ(write(fd, words, strlen(words)), strlen(words));
    ends_until(is_taker_down);
    CHECK_EQ(taker.ups, 0);
    CHECK_EQ(taker.why.status, FAB_ERR_PROTOCOL);
    (void)close(fd);
    close_all();

    CHECK_CASE("comes and goes");
    listen_as(tls);
    fd = connect_raw();
    (void)close(fd);
    ends_until(is_taker_down);
    CHECK_EQ(taker.why.status, FAB_ERR_PEER_LOST);
    close_all();

    CHECK_CASE("says nothing");
    listen_as(tls);
    fd = connect_raw();
    ends_until(is_accepted);
    ends_pass(9 * SECOND_NS);
    CHECK_EQ(taker.downs, 0);
    ends_pass(2 * SECOND_NS);
    CHECK_EQ(taker.downs, 1);
    CHECK_EQ(taker.why.status, FAB_ERR_TIMEOUT);
    CHECK_HAS(taker.why.text, "no handshake within 10 s");
    (void)close(fd);
    close_all();
    link_tls_destroy(tls);
}

static void test_deaf_listener(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    struct link_tls *tls = site_tls("ca.pem", "r730-1");
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));

    CHECK_CASE("nobody listens");
    dialler = (struct end){0};
    dial_as(tls, NULL);
    ends_until(is_dialler_down);
    CHECK_EQ(dialler.ups, 0);
    CHECK_HAS(dialler.why.text, "connecting: Connection refused");
    CHECK_HAS(dialler.why.text, address);

    CHECK_CASE("who listens says nothing");
    CHECK_EQ(listen(fd, 1), 0);
    dialler = (struct end){0};
    dial_as(tls, NULL);
    ends_pass(9 * SECOND_NS);
    CHECK_EQ(dialler.downs, 0);
    ends_pass(2 * SECOND_NS);
    CHECK_EQ(dialler.downs, 1);
    CHECK_EQ(dialler.why.status, FAB_ERR_TIMEOUT);
    (void)close(fd);

    CHECK_CASE("it cannot be reached");
    CHECK_EQ(link_dial(end_loop, tls, "255.255.255.255:1", NULL, &end_ops, &dialler, &dialler.link,
                       NULL) != FAB_OK,
             true);
    link_tls_destroy(tls);
}

static unsigned count_closed(const int *fds)
{
    unsigned closed = 0;

    for (unsigned i = 0; i < STRANGERS; i++) {
        char byte;

        closed += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
    }
    return closed;
}

static void test_crowd(void)
{
    static int fds[STRANGERS];
    struct link_tls *tls = site_tls("ca.pem", "c4130-1");
    struct rlimit limit;

    CHECK_CASE("a crowd of strangers");
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 3 * STRANGERS) {
        limit.rlim_cur = limit.rlim_max;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    if (limit.rlim_cur < 3 * STRANGERS)
        check_skip("only %llu descriptors", (unsigned long long)limit.rlim_cur);
    listen_as(tls);
    for (unsigned i = 0; i < STRANGERS; i++) {
        fds[i] = connect_raw();
        ends_rounds(1);
    }
    while (count_closed(fds) < STRANGERS - STRANGERS_MAX)
        ends_rounds(1);
    CHECK_EQ(count_closed(fds), STRANGERS - STRANGERS_MAX);
    CHECK_EQ(link_count_strangers(end_loop), STRANGERS_MAX);
    taker.keeps = false;
    ends_pass(11 * SECOND_NS);
    CHECK_EQ(taker.downs, STRANGERS_MAX);
    taker.is_wrong = false; /* one end for all of them */
    for (unsigned i = 0; i < STRANGERS; i++)
        (void)close(fds[i]);
    close_all();
    link_tls_destroy(tls);
}

static void test_no_descriptors(void)
{
    struct link_tls *tls = site_tls("ca.pem", "c4130-1");
    struct rlimit all, none;
    int fd;

    CHECK_CASE("no descriptors for a while");
    listen_as(tls);
    fd = connect_raw();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 0;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    ends_rounds(3);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &all), 0);
    (void)close(fd);
    ends_rounds(3);
    CHECK_EQ(taker.downs, 0); /* it does not look */
    ends_pass(2 * SECOND_NS);
    ends_until(is_taker_down);
    CHECK_EQ(taker.why.status, FAB_ERR_PEER_LOST);
    close_all();
    link_tls_destroy(tls);
}

/* ---- what goes through ------------------------------------------------------------------------
 */

static uint64_t next_number;

static void expect_number(struct end *end)
{
    if (end->kind == MESSAGE_REQUEST_GONE)
        end->is_wrong |= end->number != next_number++;
}

static void send_answer(struct end *end, size_t bytes)
{
    static struct message message = {.kind = MESSAGE_ANSWER};
    char *body = malloc(bytes);

    assert_non_null(body);
    memset(body, 'x', bytes);
    message.answer = (struct message_answer){
        .id = 1, .status = 200, .type = "text/plain", .body = body, .body_bytes = bytes};
    CHECK(link_send(end->link, &message));
    free(body);
}

static bool is_all_there(void)
{
    return (dialler.messages >= 2 && taker.messages >= MANY + 2 && dialler.packets > 0 &&
            taker.packets > 0) ||
           are_down();
}

static void test_traffic(void)
{
    static char packet[LINK_PACKET_BYTES];
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("ca.pem", "r730-1");

    CHECK_CASE("both ways at once, some of it before it is up");
    listen_as(taking);
    dial_as(dialling, "c4130-1");
    next_number = 0;
    taker.then = expect_number;
    for (uint64_t i = 0; i < MANY; i++)
        end_send_number(&dialler, i);
    send_answer(&dialler, BIG_BYTES);
    end_send_number(&dialler, MANY);
    CHECK(link_send_packet(dialler.link, 5, packet, sizeof(packet)));
    ends_until(are_up_or_down);
    send_answer(&taker, BIG_BYTES);
    end_send_number(&taker, 1);
    CHECK(link_send_packet(taker.link, 6, packet, 1));
    ends_until(is_all_there);
    ends_rounds(10);
    CHECK_EQ(taker.messages, MANY + 2);
    CHECK_EQ(taker.packets, 1);
    CHECK_EQ(taker.packet_bytes, LINK_PACKET_BYTES);
    CHECK_EQ(dialler.messages, 2);
    CHECK_EQ(dialler.packets, 1);
    CHECK_EQ(dialler.downs + taker.downs, 0);

    CHECK_CASE("the listener's end changes nothing");
    link_listener_close(listener);
    listener = NULL;
    ends_pass(20 * SECOND_NS);
    CHECK_EQ(dialler.downs + taker.downs, 0);

    CHECK_CASE("said and gone");
    for (uint64_t i = 0; i < MANY; i++)
        end_send_number(&dialler, MANY + 1 + i);
    end_close(&dialler);
    ends_until(is_taker_down);
    CHECK_EQ(taker.number, 2 * MANY);
    CHECK_EQ(taker.why.status, FAB_ERR_PEER_LOST);
    CHECK_HAS(taker.why.text, "r730-1 (127.0.0.1:");
    close_all();

    CHECK_CASE("refused with a sentence");
    listen_as(taking);
    dial_as(dialling, NULL);
    ends_until(are_up_or_down);
    link_refuse(taker.link, "another r730-1 is here");
    taker.link = NULL;
    ends_until(is_dialler_down);
    CHECK_EQ(dialler.why.status, FAB_ERR_DENIED);
    CHECK_HAS(dialler.why.text, "another r730-1 is here");
    close_all();
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

static bool is_decided(void)
{
    return dialler.downs > 0 || (dialler.ups > 0 && taker.ups + taker.downs > 0);
}

static void test_no_memory(void)
{
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("ca.pem", "r730-1");
    bool is_fired = true;

    for (unsigned n = 1; is_fired; n++) {
        struct fab_fault_plan plan = {.site = "alloc", .fail_at = n};

        CHECK_CASE("memory fails at %u", n);
        dialler = taker = (struct end){0};
        fab_fault_arm(&plan);
        if (link_listen(end_loop, taking, HERE, &end_taking_ops, &taker, &listener, NULL) ==
            FAB_OK) {
            (void)snprintf(address, sizeof(address), "127.0.0.1:%u", link_listener_port(listener));
            if (link_dial(end_loop, dialling, address, NULL, &end_ops, &dialler, &dialler.link,
                          NULL) == FAB_OK)
                ends_until(is_decided);
        }
        fab_fault_arm(NULL);
        is_fired = plan.fired;
        CHECK(is_fired || (dialler.ups == 1 && taker.ups == 1));
        close_all();
    }
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

/* ---- what is asked wrongly --------------------------------------------------------------------
 */

static void test_addresses(void)
{
    static const char *const bad[] = {
        "",        ":",         "7000",          "localhost:7000", "10.0.0.1",    "10.0.0.1:",
        ":7000",   "::1:7000",  "10.0.0.1:http", "10.0.0.1:65536", "10.0.0.1:-1", "[::1]",
        "[]:7000", "[::1:7000", "10.0.0.256:1",  "[10.0.0.1:1",    "a]:1",        "[::g]:1",
    };
    struct link_tls *tls = site_tls("ca.pem", "c4130-1");
    struct fab_err err = {0};

    for (size_t i = 0; i < FAB_ARRAY_LEN(bad); i++) {
        CHECK_CASE("address '%s'", bad[i]);
        CHECK_EQ(link_dial(end_loop, tls, bad[i], NULL, &end_ops, &dialler, &dialler.link, &err),
                 FAB_ERR_INVALID);
        CHECK_HAS(err.text, "is no ADDRESS:PORT");
        CHECK_EQ(link_listen(end_loop, tls, bad[i], &end_taking_ops, &taker, &listener, &err),
                 FAB_ERR_INVALID);
    }
    CHECK_CASE("no certificates");
    CHECK_EQ(
        link_dial(end_loop, NULL, "127.0.0.1:1", NULL, &end_ops, &dialler, &dialler.link, &err),
        FAB_ERR_INVALID);
    CHECK_EQ(link_listen(end_loop, NULL, HERE, &end_taking_ops, &taker, &listener, &err),
             FAB_ERR_INVALID);
    CHECK_HAS(err.text, "without certificates");
    CHECK_CASE("taken");
    listen_as(tls);
    CHECK_EQ(link_listen(end_loop, tls, address, &end_taking_ops, &taker,
                         &(struct link_listener *){NULL}, &err),
             FAB_ERR_IO);
    CHECK_HAS(err.text, address);
    close_all();
    link_tls_destroy(tls);
}

static enum fab_status reload(struct link_tls *tls, const char *certificate, const char *key,
                              const char *revoked, struct fab_err *err)
{
    const struct link_tls_files files = {site_path("ca.pem"), site_path(certificate),
                                         site_path(key), revoked ? site_path(revoked) : NULL};

    return link_tls_reload(tls, &files, err);
}

/* A node whose certificate was revoked comes in no more; what is up stays, and goes on working. */
static void test_reload(void)
{
    struct link_tls *taking = site_tls("ca.pem", "c4130-1");
    struct link_tls *dialling = site_tls("ca.pem", "r730-1");
    struct end old_dialler, old_taker;
    struct fab_err err = {0};

    listen_as(taking);
    dial_as(dialling, NULL);
    ends_until(are_up_or_down);
    CHECK_EQ(taker.ups, 1);
    old_taker = taker;
    old_dialler = dialler;
    link_set_ops(old_taker.link, &end_ops, &old_taker);
    link_set_ops(old_dialler.link, &end_ops, &old_dialler);
    taker = dialler = (struct end){0};

    CHECK_CASE("no such list: nothing changes");
    CHECK_EQ(reload(taking, "c4130-1.pem", "c4130-1.key", "revoked.pem", &err), FAB_ERR_NOT_FOUND);
    CHECK_HAS(err.text, "revoked.pem");
    CHECK_CASE("another's certificate");
    CHECK_EQ(reload(taking, "r730-1.pem", "r730-1.key", NULL, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "is of node r730-1, not of c4130-1");
    dial_as(dialling, NULL);
    ends_until(are_up_or_down);
    CHECK_EQ(taker.ups, 1);
    end_close(&taker);
    end_close(&dialler);
    taker = dialler = (struct end){0};

    CHECK_CASE("revoked");
    CHECK_EQ(certificate_revoke(site_path("."), "r730-1", NULL), FAB_OK);
    CHECK_EQ(reload(taking, "c4130-1.pem", "c4130-1.key", "revoked.pem", &err), FAB_OK);
    dial_as(dialling, NULL);
    ends_until(are_down);
    CHECK_EQ(taker.ups, 0);
    CHECK_HAS(taker.why.text, "revoked");
    CHECK_HAS(dialler.why.text, "it refused us");

    CHECK_CASE("the old link");
    end_send_number(&old_dialler, 77);
    ends_until_number(&old_taker, 77);
    CHECK_EQ(old_taker.downs, 0);
    end_close(&old_taker);
    end_close(&old_dialler);
    close_all();
    link_tls_destroy(taking);
    link_tls_destroy(dialling);
}

/* One behind the other. */
static void join_files(const char *first, const char *second, const char *both)
{
    FILE *out = fopen(site_path(both), "w");
    const char *const names[] = {first, second};

    for (size_t i = 0; out && i < FAB_ARRAY_LEN(names); i++) {
        char *text = NULL;
        size_t bytes = 0;

        CHECK_EQ(fab_file_read(site_path(names[i]), FILE_BYTES, &text, &bytes, NULL), FAB_OK);
        CHECK_EQ(fwrite(text, 1, bytes, out), bytes);
        free(text);
    }
    CHECK(out && fclose(out) == 0);
}

static void test_files(void)
{
    static const struct {
        const char *label, *ca, *certificate, *key;
        enum fab_status status;
        const char *part;
        const char *revoked;
    } rows[] = {
        {"no CA file", "none.pem", "r730-1.pem", "r730-1.key", FAB_ERR_NOT_FOUND, "none.pem", NULL},
        {"no certificate", "ca.pem", "none.pem", "r730-1.key", FAB_ERR_NOT_FOUND, "none.pem", NULL},
        {"no key", "ca.pem", "r730-1.pem", "none.key", FAB_ERR_NOT_FOUND, "none.key", NULL},
        {"a CA file that is none", "r730-1.key", "r730-1.pem", "r730-1.key", FAB_ERR_FORMAT,
         "r730-1.key", NULL},
        {"a certificate that is none", "ca.pem", "r730-1.key", "r730-1.key", FAB_ERR_FORMAT,
         "r730-1.key", NULL},
        {"a key that is none", "ca.pem", "r730-1.pem", "open.key", FAB_ERR_DENIED, "chmod 600",
         NULL},
        {"the key of another", "ca.pem", "r730-1.pem", "c4130-1.key", FAB_ERR_FORMAT,
         "c4130-1.key is not the key of", NULL},
        {"no list", "ca.pem", "r730-1.pem", "r730-1.key", FAB_ERR_NOT_FOUND, "none.pem",
         "none.pem"},
        {"a list that is none", "ca.pem", "r730-1.pem", "r730-1.key", FAB_ERR_FORMAT, "anna.pem",
         "anna.pem"},
        {"a list of another CA", "ca.pem", "r730-1.pem", "r730-1.key", FAB_ERR_FORMAT,
         "other/revoked.pem: list 1", "other/revoked.pem"},
        {"the second list is another CA's", "ca.pem", "r730-1.pem", "r730-1.key", FAB_ERR_FORMAT,
         "both.pem: list 2", "both.pem"},
        {"lists of two CAs", "both-ca.pem", "r730-1.pem", "r730-1.key", FAB_OK, "", "both.pem"},
    };
    struct link_tls *tls;

    CHECK_EQ(certificate_revoke(site_path("other"), "anna", NULL), FAB_OK);
    CHECK_EQ(certificate_revoke(site_path("."), "anna", NULL), FAB_OK);
    join_files("revoked.pem", "other/revoked.pem", "both.pem");
    join_files("ca.pem", "other/ca.pem", "both-ca.pem");
    CHECK_EQ(symlink("ca.pem", site_path("open.key")), 0); /* readable by all */
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].label);
        tls = NULL;
        CHECK_EQ(link_tls_create(
                     &(struct link_tls_files){site_path(rows[i].ca), site_path(rows[i].certificate),
                                              site_path(rows[i].key),
                                              rows[i].revoked ? site_path(rows[i].revoked) : NULL},
                     &tls, &err),
                 rows[i].status);
        CHECK_HAS(err.text, rows[i].part);
        CHECK_EQ(tls != NULL, rows[i].status == FAB_OK);
        link_tls_destroy(tls);
    }
    CHECK_CASE("whose they are");
    tls = site_tls("ca.pem", "r730-1");
    CHECK_STR(link_tls_name(tls), "r730-1");
    link_tls_destroy(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_identities),     CHECK_TEST(test_strange_tls), CHECK_TEST(test_no_tls),
        CHECK_TEST(test_deaf_listener),  CHECK_TEST(test_crowd),       CHECK_TEST(test_reload),
        CHECK_TEST(test_no_descriptors), CHECK_TEST(test_traffic),     CHECK_TEST(test_no_memory),
        CHECK_TEST(test_addresses),      CHECK_TEST(test_files)};
    int status;

    gnutls_global_set_time_function(shifted_time);
    site_init();
    ends_init();
    status = check_run(tests);
    ends_fini();
    site_fini();
    return status;
}
