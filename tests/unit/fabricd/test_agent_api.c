/* SPDX-License-Identifier: Apache-2.0
 * What local clients ask of an agent, and what the agent asks of its manager by itself: ad hoc
 * systems whose program has ended, and systems that the manager may have forgotten.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/unit/fabricd/agent_rig.h"

enum { REPLY_BYTES = 4096 };

static struct rig rig;

/* ---- a local client ---------------------------------------------------------------------------
 */

struct call {
    int fd;
    struct loop_watch *watch; /* NULL: the other end has closed */
    char reply[REPLY_BYTES];
    size_t bytes;
};

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock", rig.run);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void on_reply(void *user, uint32_t events)
{
    struct call *call = user;
    const ssize_t got =
        read(call->fd, call->reply + call->bytes, sizeof(call->reply) - 1 - call->bytes);

    (void)events;
    if (got > 0) {
        call->bytes += (size_t)got;
        return;
    }
    loop_unwatch(call->watch);
    call->watch = NULL;
}

static void call(struct call *call, const char *method, const char *path, const char *body)
{
    char text[512];
    const int bytes = snprintf(text, sizeof(text),
                               "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               method, path, strlen(body), body);

    *call = (struct call){.fd = dial()};
    CHECK_EQ(write(call->fd, text, (size_t)bytes), bytes);
    CHECK_EQ(loop_watch(rig.loop, call->fd, EPOLLIN, on_reply, call, &call->watch, NULL), FAB_OK);
}

static struct call *waited;

static bool has_reply(struct rig *at)
{
    (void)at;
    return waited->watch == NULL;
}

static const char *reply(struct call *of)
{
    waited = of;
    rig_until(&rig, has_reply);
    (void)close(of->fd);
    return of->reply;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void test_forwarded(void)
{
    struct rig_heard heard;
    struct call asked;

    if (!rig_up(&rig))
        return;
    CHECK_CASE("a request and its answer");
    call(&asked, "GET", "/redfish/v1/Systems?$expand=.", "");
    heard = rig_take(&rig, MESSAGE_REQUEST);
    CHECK_STR(heard.request.method, "GET");
    CHECK_STR(heard.request.path, "/redfish/v1/Systems?$expand=.");
    CHECK_EQ(heard.request.uid, getuid());
    CHECK_EQ(heard.request.pid, getpid());
    rig_answer(&rig, heard.request.id, 201, "{\"a\":1}", "", false);
    CHECK_HAS(reply(&asked), "HTTP/1.1 201 ");
    CHECK_HAS(asked.reply, "Location: /there");
    CHECK_HAS(asked.reply, "{\"a\":1}");

    CHECK_CASE("an answer in parts");
    call(&asked, "GET", "/redfish/v1/EventService/SSE", "");
    heard = rig_take(&rig, MESSAGE_REQUEST);
    rig_answer(&rig, heard.request.id, 200, "first ", "", true);
    rig_answer(&rig, heard.request.id, 200, "second ", "", true);
    rig_answer(&rig, heard.request.id, 200, "last", "", false);
    CHECK_HAS(reply(&asked), "HTTP/1.1 200 ");
    CHECK_HAS(asked.reply, "first ");
    CHECK_HAS(asked.reply, "second ");
    CHECK_HAS(asked.reply, "last");

    CHECK_CASE("who asked has gone");
    call(&asked, "GET", "/slow", "");
    heard = rig_take(&rig, MESSAGE_REQUEST);
    loop_unwatch(asked.watch);
    (void)close(asked.fd);
    CHECK_EQ(rig_take(&rig, MESSAGE_REQUEST_GONE).gone_id, heard.request.id);
    rig_answer(&rig, heard.request.id, 200, "nobody hears it", "", false);

    CHECK_CASE("the manager goes before it answers");
    call(&asked, "DELETE", "/redfish/v1/Systems/x", "");
    heard = rig_take(&rig, MESSAGE_REQUEST);
    rig_cut(&rig);
    CHECK_HAS(reply(&asked), "HTTP/1.1 503 ");
    CHECK_HAS(asked.reply, "may have been done");

    CHECK_CASE("the manager is away");
    call(&asked, "GET", "/redfish/v1", "");
    CHECK_HAS(reply(&asked), "HTTP/1.1 503 ");
    CHECK_HAS(asked.reply, "the manager does not answer n1");
    rig_end(&rig);
}

/* ---- ad hoc systems ---------------------------------------------------------------------------
 */

/* A program that asks for a system and lives on. */
static pid_t start_asker(void)
{
    static const char text[] = "POST /redfish/v1/Systems HTTP/1.1\r\nHost: x\r\n"
                               "Content-Length: 2\r\n\r\n{}";
    const pid_t pid = fork();
    char byte;

    if (pid == 0) {
        const int fd = dial();

        if (write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1 ||
            read(fd, &byte, 1) != 1)
            _exit(EXIT_FAILURE);
        (void)close(fd);
        for (;;)
            (void)pause();
    }
    return pid;
}

static void expect_delete(const char *path)
{
    const struct rig_heard heard = rig_take(&rig, MESSAGE_REQUEST);

    CHECK_STR(heard.request.method, "DELETE");
    CHECK_STR(heard.request.path, path);
    CHECK_EQ(heard.request.uid, getuid());
    rig_answer(&rig, heard.request.id, 204, "", "", false);
}

static bool is_requested(void)
{
    for (uint32_t i = 0; i < rig.heard_count; i++)
        if (rig.heard[i].kind == MESSAGE_REQUEST)
            return true;
    return false;
}

static bool has_no_manager(struct rig *at)
{
    return at->agent->manager == NULL;
}

static void test_adhoc(void)
{
    struct rig_heard heard;
    pid_t asker;

    if (!rig_up(&rig))
        return;
    rig.is_adhoc = true;
    CHECK_CASE("a system lives as long as the program that it was made for");
    asker = start_asker();
    heard = rig_take(&rig, MESSAGE_REQUEST);
    CHECK_EQ(heard.request.pid, asker);
    rig_command(&rig, MANAGER_PRESENT, "adhoc-1", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, "adhoc-1", 5), "");
    rig_answer(&rig, heard.request.id, 201, "{}", "adhoc-1", false);
    rig_command(&rig, MANAGER_PRESENT, "adhoc-1", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, "adhoc-1", 5), "");
    CHECK(!is_requested()); /* it lives */
    (void)kill(asker, SIGKILL);
    CHECK_EQ(waitpid(asker, NULL, 0), asker);
    expect_delete("/redfish/v1/Systems/adhoc-1");
    rig_command(&rig, MANAGER_WITHDRAW, "adhoc-1", 5);
    CHECK_STR(rig_done(&rig, MANAGER_WITHDRAW, "adhoc-1", 5), "");

    CHECK_CASE("a system whose program nobody knows any more");
    rig_command(&rig, MANAGER_PRESENT, "adhoc-2", 6);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, "adhoc-2", 6), "");
    expect_delete("/redfish/v1/Systems/adhoc-2");

    CHECK_CASE("while the manager is away nothing is asked, and nothing turns for it");
    rig_command(&rig, MANAGER_PRESENT, "adhoc-3", 7);
    CHECK_STR(rig_done(&rig, MANAGER_PRESENT, "adhoc-3", 7), "");
    (void)rig_take(&rig, MESSAGE_REQUEST);
    rig_cut(&rig);
    rig_until(&rig, has_no_manager);
    CHECK(agent_views_turn(rig.agent, UINT64_MAX - 1) == UINT64_MAX);
    rig.is_adhoc = false;
    rig_end(&rig);
}

/* ---- what the manager may have forgotten ------------------------------------------------------
 */

static void test_forgotten(void)
{
    static const struct {
        const char *label;
        uint32_t status;
        bool is_kept;
    } rows[] = {
        {"it knows it", 200, true},
        {"it cannot say", 503, true},
        {"it has no such system", 404, false},
    };
    uint64_t fence = 5;

    if (!rig_up(&rig))
        return;
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++, fence++) {
        struct rig_heard heard;

        CHECK_CASE("the manager is back: %s", rows[i].label);
        rig_command(&rig, MANAGER_PREPARE, "train", fence);
        CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "train", fence), "");
        rig_command(&rig, MANAGER_PRESENT, "train", fence);
        CHECK_STR(rig_done(&rig, MANAGER_PRESENT, "train", fence), "");
        rig_cut(&rig);
        rig.heard_count = 0;
        rig_until(&rig, has_no_manager);
        rig_join(&rig);
        heard = rig_take(&rig, MESSAGE_REQUEST);
        CHECK_STR(heard.request.method, "GET");
        CHECK_STR(heard.request.path, "/redfish/v1/Systems/train");
        CHECK_EQ(heard.request.uid, 0);
        rig_answer(&rig, heard.request.id, rows[i].status, "{}", "", false);
        if (rows[i].is_kept) {
            rig_command(&rig, MANAGER_PREPARE, "train", fence);
            CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "train", fence), "");
            CHECK(agent_view_find(rig.agent, "train") != NULL);
            rig_command(&rig, MANAGER_RELEASE, "train", fence);
            rig_command(&rig, MANAGER_WITHDRAW, "train", fence);
            (void)rig_take(&rig, MESSAGE_RELEASED);
            (void)rig_take(&rig, MESSAGE_RELEASED);
            CHECK_STR(rig_done(&rig, MANAGER_WITHDRAW, "train", fence), "");
        } else {
            CHECK_EQ(rig_take(&rig, MESSAGE_RELEASED).released.fence, fence);
            CHECK(agent_view_find(rig.agent, "train") == NULL);
        }
    }
    rig_end(&rig);
}

static bool has_reported(struct rig *of)
{
    return of->reports > 0;
}

/* A link that breaks, whatever it was, is made again, also to a manager in the same process. */
static void test_broken_link(void)
{
    if (!rig_up(&rig))
        return;
    for (unsigned i = 0; i < 3; i++) {
        link_close(rig.link);
        rig.link = NULL;
        rig.reports = 0;
        rig_until(&rig, has_reported);
        CHECK(rig.link != NULL);
    }
    rig_command(&rig, MANAGER_PREPARE, "train", 5);
    CHECK_STR(rig_done(&rig, MANAGER_PREPARE, "train", 5), "");
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_broken_link), CHECK_TEST(test_forwarded),
                                       CHECK_TEST(test_adhoc), CHECK_TEST(test_forgotten)};

    return check_run(tests);
}
