/* SPDX-License-Identifier: Apache-2.0
 * HTTP on a unix socket: answers in the call and later, bodies in parts and too long, callers that
 * go, nonsense. The client is a thread that speaks bytes; the daemon's loop runs in the test's own.
 */
#include "fabricd/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "fabricd/loop.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/site.h"

enum { REPLY_BYTES = 4096, LATER_MAX = 8 };

static char folder[] = "/tmp/test-http-XXXXXX";
static char path[64];

static struct {
    struct loop *loop;
    struct http *http;
    uint64_t later[LATER_MAX]; /* ids to be answered in the next turn */
    unsigned later_count, gone_count;
    uint64_t streamed; /* the id of an answer in parts */
    unsigned parts;    /* of it that are still to come */
    size_t part_bytes;
    bool waits_for_gone;
    int end_fd;
    int taken_fd; /* a request that is never answered has come */
} served;

/* ---- the server's side ------------------------------------------------------------------------
 */

static void handle(void *user, const struct http_request *request)
{
    char text[256];
    int bytes;

    (void)user;
    if (strcmp(request->path, "/later") == 0) {
        served.later[served.later_count++] = request->id;
        return;
    }
    if (strncmp(request->path, "/parts", 6) == 0) {
        served.streamed = request->id;
        served.parts = 3;
        served.part_bytes = strcmp(request->path, "/parts/flood") == 0 ? HTTP_STREAM_BYTES : 5;
        return;
    }
    if (strcmp(request->path, "/never") == 0) {
        (void)eventfd_write(served.taken_fd, 1);
        return;
    }
    bytes =
        snprintf(text, sizeof(text), "%s %s %zu %.20s uid %s by %s", request->method, request->path,
                 request->body_bytes, request->body, request->uid == getuid() ? "ours" : "another",
                 request->pid == getpid() ? "us" : "another");
    http_answer(served.http, request->id, 200, "text/plain", "/there", text, (size_t)bytes);
    http_answer(served.http, request->id, 500, "text/plain", NULL, "twice", 5); /* ignored */
}

static void gone(void *user, uint64_t id)
{
    (void)user;
    http_answer(served.http, id, 200, "text/plain", NULL, "x", 1); /* too late, harmless */
    served.gone_count++;
    if (id == served.streamed)
        (void)eventfd_write(served.taken_fd, 1); /* the caller may end */
    if (served.waits_for_gone)
        loop_stop(served.loop);
}

/* One part a turn, the last of them empty. */
static void send_part(void)
{
    static char flood[HTTP_STREAM_BYTES];
    const char *const texts[] = {"", "two, ", "one, "};

    if (served.parts == 0)
        return;
    served.parts--;
    http_stream(served.http, served.streamed, 202, "text/event-stream",
                served.part_bytes > 5 ? flood : texts[served.parts],
                served.part_bytes > 5 ? served.part_bytes : strlen(texts[served.parts]),
                served.parts == 0);
}

static uint64_t turn(void *user, uint64_t now_ns)
{
    uint64_t next_ns;

    (void)user;
    send_part();
    while (served.later_count > 0)
        http_answer(served.http, served.later[--served.later_count], 201, "text/plain", NULL,
                    "late", 4);
    next_ns = http_turn(served.http, now_ns);
    return served.parts > 0 ? now_ns : next_ns;
}

static void client_ended(void *user, uint32_t events)
{
    eventfd_t value;

    (void)user;
    (void)events;
    (void)eventfd_read(served.end_fd, &value);
    if (!served.waits_for_gone)
        loop_stop(served.loop);
}

/* ---- the client's side ------------------------------------------------------------------------
 */

struct ask {
    const char *first, *second; /* sent one after the other; second may be NULL */
    size_t filling;             /* bytes of 'x' behind them */
    bool leaves;                /* does not read */
    char reply[REPLY_BYTES];
};

static void send_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        text += sent;
        bytes -= (size_t)sent;
    }
}

static void *ask(void *user)
{
    struct ask *asked = user;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t used = 0;
    ssize_t bytes = 1;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        send_all(fd, asked->first, strlen(asked->first));
        if (asked->second)
            send_all(fd, asked->second, strlen(asked->second));
        for (size_t i = 0; i < asked->filling; i += 1024) {
            char filling[1024];

            memset(filling, 'x', sizeof(filling));
            send_all(fd, filling, asked->filling - i < 1024 ? asked->filling - i : 1024);
        }
        while (!asked->leaves && bytes > 0 && used < REPLY_BYTES - 1) {
            bytes = recv(fd, asked->reply + used, REPLY_BYTES - 1 - used, 0);
            used += bytes > 0 ? (size_t)bytes : 0;
        }
    }
    asked->reply[used] = '\0';
    if (asked->leaves) {
        eventfd_t value;

        (void)eventfd_read(served.taken_fd, &value); /* waits */
    }
    (void)close(fd);
    (void)eventfd_write(served.end_fd, 1);
    return NULL;
}

static void run(struct ask *asked)
{
    pthread_t thread;

    served.waits_for_gone = asked->leaves;
    CHECK_EQ(pthread_create(&thread, NULL, ask, asked), 0);
    CHECK_EQ(loop_run(served.loop, NULL), FAB_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void test_requests(void)
{
    static const struct {
        const char *label, *first, *second;
        size_t filling;
        const char *reply[3]; /* parts of it */
    } rows[] = {
        {"a plain one",
         "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         NULL,
         0,
         {"HTTP/1.1 200 ", "Location: /there", "GET /a 0  uid ours"}},
        {"a body",
         "POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
         NULL,
         0,
         {"200 OK", "POST /b 5 hello", "text/plain"}},
        {"a body in parts",
         "POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhe",
         "llo",
         0,
         {"200 OK", "POST /b 5 hello", ""}},
        {"an answer that comes later",
         "DELETE /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         NULL,
         0,
         {"HTTP/1.1 201 ", "late", "no-cache"}},
        {"two on one connection",
         "GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
         "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         0,
         {"HTTP/1.1 201 ", "late", "GET /c 0  uid ours"}},
        {"a query, as it was sent",
         "GET /a?after=1&x=%20y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         NULL,
         0,
         {"200 OK", "GET /a?after=1&x=%20y 0  uid ours", "by us"}},
        {"an answer in parts",
         "GET /parts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         NULL,
         0,
         {"HTTP/1.1 202 ", "Content-Type: text/event-stream", "one, "}},
        {"its second part",
         "GET /parts HTTP/1.0\r\nHost: x\r\n\r\n",
         NULL,
         0,
         {"202 ", "one, two, ", ""}},
        {"the longest body",
         "POST /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 65536\r\n\r\n",
         NULL,
         HTTP_BODY_BYTES,
         {"200 OK", "POST /d 65536 xxxxxxxxxxxxxxxxxxxx uid", ""}},
        {"a longer body",
         "POST /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 65537\r\n\r\n",
         NULL,
         HTTP_BODY_BYTES + 1,
         {"HTTP/1.1 413 ", "the body is too long", "application/json"}},
        {"no HTTP", "hello\r\n\r\n", NULL, 0, {"", "", ""}},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct ask asked = {
            .first = rows[i].first, .second = rows[i].second, .filling = rows[i].filling};

        CHECK_CASE("%s", rows[i].label);
        run(&asked);
        for (size_t k = 0; k < FAB_ARRAY_LEN(rows[i].reply); k++)
            CHECK_HAS(asked.reply, rows[i].reply[k]);
        CHECK_EQ(served.gone_count, 0);
    }
}

static void test_gone(void)
{
    struct ask leaves = {.first = "GET /never HTTP/1.1\r\nHost: x\r\n\r\n", .leaves = true};

    CHECK_CASE("a caller that goes");
    run(&leaves);
    CHECK_EQ(served.gone_count, 1);
    CHECK_CASE("a caller that does not read as fast as parts come is cut off");
    run(&(struct ask){.first = "GET /parts/flood HTTP/1.1\r\nHost: x\r\n\r\n", .leaves = true});
    CHECK_EQ(served.gone_count, 2);
}

static void test_socket(void)
{
    struct http *second = NULL;
    struct stat info;
    struct fab_err err = {0};

    CHECK_CASE("the socket");
    CHECK_EQ(stat(path, &info), 0);
    CHECK_EQ(info.st_mode & 0777, 0660);
    CHECK_EQ(http_create(served.loop, path, 0600, handle, gone, NULL, &second, &err), FAB_ERR_BUSY);
    CHECK_HAS(err.text, "another fabricd listens there");
    CHECK_EQ(http_create(served.loop, "/nonexistent/x", 0600, handle, gone, NULL, &second, &err),
             FAB_ERR_NOT_FOUND);
}

/* Files that are no pair are not taken, and what was there goes on at its port. */
static void test_reload(void)
{
    static const struct {
        const char *label, *certificate, *key;
        enum fab_status status;
    } rows[] = {
        {"another's key", "c4130-1.pem", "r730-1.key", FAB_ERR_IO},
        {"no key", "c4130-1.pem", "none.key", FAB_ERR_NOT_FOUND},
        {"both are another's", "r730-1.pem", "r730-1.key", FAB_OK},
        {"the same again", "r730-1.pem", "r730-1.key", FAB_OK},
    };
    struct http_network network = {.address = "127.0.0.1:0"};
    struct http *http = NULL;
    uint16_t port;

    site_init();
    network.ca = site_path("ca.pem");
    network.certificate = site_path("c4130-1.pem");
    network.key = site_path("c4130-1.key");
    CHECK_EQ(http_create_network(served.loop, &network, handle, gone, NULL, &http, NULL), FAB_OK);
    port = http ? http_port(http) : 0;
    CHECK(port != 0);
    for (size_t i = 0; http && i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].label);
        network.ca = site_path("ca.pem");
        network.certificate = site_path(rows[i].certificate);
        network.key = site_path(rows[i].key);
        CHECK_EQ(http_reload_network(http, &network, NULL), rows[i].status);
        CHECK_EQ(http_port(http), port);
    }
    http_destroy(http);
    site_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_requests), CHECK_TEST(test_gone),
                                       CHECK_TEST(test_socket), CHECK_TEST(test_reload)};
    struct loop_watch *watch = NULL;
    int status;

    if (!mkdtemp(folder))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/api.sock", folder);
    served.end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    served.taken_fd = eventfd(0, EFD_CLOEXEC);
    if (loop_create(&served.loop, NULL) != FAB_OK ||
        loop_watch(served.loop, served.end_fd, EPOLLIN, client_ended, NULL, &watch, NULL) !=
            FAB_OK ||
        http_create(served.loop, path, 0660, handle, gone, NULL, &served.http, NULL) != FAB_OK)
        return 1;
    loop_set_turn(served.loop, turn, NULL);
    status = check_run(tests);
    http_destroy(served.http);
    loop_unwatch(watch);
    loop_destroy(served.loop);
    if (access(path, F_OK) == 0)
        status = 1; /* the socket stays behind */
    (void)close(served.end_fd);
    (void)close(served.taken_fd);
    (void)rmdir(folder);
    return status;
}
