/* SPDX-License-Identifier: Apache-2.0
 * libcompose against a daemon that says what the table has: statuses, systems as structs, waiting,
 * events, answers that are none. The daemon is a thread that speaks bytes on a unix socket.
 */
#include "compose/compose.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { REQUEST_BYTES = 8192, ANSWERS_MAX = 8 };

static char folder[] = "/tmp/test-compose-XXXXXX";
static char path[64];

/* ---- the daemon -------------------------------------------------------------------------------
 */

static struct {
    int listener;
    pthread_t thread;
    const char *answers[ANSWERS_MAX + 1]; /* one a connection; NULL ends the thread */
    char request[REQUEST_BYTES];          /* the last one */
} served;

/* Head and body of one request. */
static void take_request(int fd)
{
    size_t used = 0;

    for (;;) {
        const char *body = strstr(served.request, "\r\n\r\n");
        const char *length = strcasestr(served.request, "Content-Length: ");
        const ssize_t bytes =
            body && (!length || strlen(body + 4) >= strtoul(length + 16, NULL, 10))
                ? 0
                : recv(fd, served.request + used, REQUEST_BYTES - 1 - used, 0);

        if (bytes <= 0)
            return;
        used += (size_t)bytes;
        served.request[used] = '\0';
    }
}

static void *serve(void *user)
{
    (void)user;
    for (size_t i = 0; served.answers[i]; i++) {
        const int fd = accept(served.listener, NULL, NULL);

        memset(served.request, 0, sizeof(served.request));
        take_request(fd);
        (void)send(fd, served.answers[i], strlen(served.answers[i]), MSG_NOSIGNAL);
        (void)close(fd);
    }
    return NULL;
}

/* Serves these answers, one after the other; end with stop(). */
static struct compose *start(const char *const *answers)
{
    const struct compose_options options = {.api = path};
    struct compose *compose = NULL;
    size_t count = 0;

    for (; answers[count]; count++)
        served.answers[count] = answers[count];
    served.answers[count] = NULL;
    CHECK_EQ(pthread_create(&served.thread, NULL, serve, NULL), 0);
    CHECK_EQ(compose_open(&options, &compose, NULL), COMPOSE_OK);
    return compose;
}

static void stop(struct compose *compose)
{
    compose_close(compose);
    CHECK_EQ(pthread_join(served.thread, NULL), 0);
}

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n"
#define GPU(uuid)                                                                                  \
    "{\"Uuid\":\"" uuid "\",\"Node\":\"n\",\"Index\":3,\"Model\":\"K80\","                         \
    "\"MemoryBytes\":1024,\"UsedBytes\":5,\"Load\":7}"
#define SYSTEM(state)                                                                              \
    "{\"Id\":\"train\",\"SystemType\":\"Composed\",\"Oem\":{\"Fabric\":{\"State\":\"" state "\","  \
    "\"Reason\":\"why\",\"OwnerUid\":5,\"CreatedMs\":1,\"SinceMs\":2,\"Hosts\":["                  \
    "{\"Name\":\"a\",\"Gpus\":[" GPU("GPU-1") "," GPU(                                             \
        "GPU-2") "]},{\"Name\":\"b\",\"Gpus\":[]}]}}}"

/* ---- tests ------------------------------------------------------------------------------------
 */

static void test_statuses(void)
{
    static const struct {
        const char *label, *answer;
        enum compose_status status;
        const char *code, *message;
    } rows[] = {
        {"well", HEAD("204 No Content"), COMPOSE_OK, "", ""},
        {"bad request", HEAD("400 x") "{\"error\":{\"code\":\"c\",\"message\":\"m\"}}",
         COMPOSE_MISUSED, "c", "m"},
        {"not allowed", HEAD("403 x") "{\"error\":{\"code\":\"c\",\"message\":\"m\"}}",
         COMPOSE_DENIED, "c", "m"},
        {"no such", HEAD("404 x") "{}", COMPOSE_NOT_FOUND, "", "HTTP status 404"},
        {"taken", HEAD("409 x") "{\"error\":7}", COMPOSE_CONFLICT, "", "HTTP status 409"},
        {"full", HEAD("503 x") "{\"error\":{\"code\":\"Fabric.1.0.Full\",\"message\":\"m\"}}",
         COMPOSE_FULL, "Fabric.1.0.Full", "m"},
        {"away", HEAD("503 x") "{\"error\":{\"code\":\"Fabric.1.0.Away\",\"message\":\"m\"}}",
         COMPOSE_AWAY, "Fabric.1.0.Away", "m"},
        {"limit", HEAD("504 x") "", COMPOSE_TIMEOUT, "", "HTTP status 504"},
        {"a redirect is not followed", HEAD("301 x"), COMPOSE_FAILED, "", "HTTP status 301"},
        {"no answer", "", COMPOSE_AWAY, "", "broke off"},
        {"no HTTP", "SSH-2.0-x\r\n", COMPOSE_AWAY, "", "broke off"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct compose *compose = start((const char *const[]){rows[i].answer, NULL});
        struct compose_error error = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(compose_delete(compose, "x", &error), rows[i].status);
        CHECK_EQ(error.status, rows[i].status);
        CHECK_STR(error.code, rows[i].code);
        CHECK_HAS(error.message, rows[i].message);
        CHECK_HAS(served.request, "DELETE /redfish/v1/Systems/x HTTP/1.1");
        stop(compose);
    }
}

static void check_system(const struct compose_system *system)
{
    CHECK_STR(system->name, "train");
    CHECK_STR(system->state, "composed");
    CHECK_STR(system->reason, "why");
    CHECK_EQ(system->owner_uid, 5);
    CHECK_EQ(system->created_ms, 1);
    CHECK_EQ(system->since_ms, 2);
    CHECK_EQ(system->gpu_count, 2);
    if (!CHECK_EQ(system->host_count, 2))
        return;
    CHECK_STR(system->hosts[0].name, "a");
    CHECK_EQ(system->hosts[0].gpu_count, 2);
    CHECK_STR(system->hosts[0].gpus[1].uuid, "GPU-2");
    CHECK_STR(system->hosts[0].gpus[1].model, "K80");
    CHECK_EQ(system->hosts[0].gpus[1].index, 3);
    CHECK_EQ(system->hosts[0].gpus[1].load, 7);
    CHECK_EQ(system->hosts[0].gpus[1].memory_bytes, 1024);
    CHECK_EQ(system->hosts[1].gpu_count, 0);
}

static void test_create(void)
{
    const char *const hosts[] = {"a", "b"}, *const uuids[] = {"GPU-1", "GPU/2"};
    const struct {
        const char *label;
        struct compose_request request;
        const char *body; /* NULL: refused before anything is sent */
    } rows[] = {
        {"by number",
         {.hosts = hosts, .host_count = 2, .gpus = 2},
         "{\"Oem\":{\"Fabric\":{\"Hosts\":[\"a\",\"b\"],\"Strategy\":\"default\",\"Gpus\":2}}}"},
        {"by name",
         {.hosts = hosts, .host_count = 1, .uuids = uuids, .uuid_count = 2, .name = "n"},
         "\"Links\":{\"ResourceBlocks\":[{\"@odata.id\":\"/redfish/v1/CompositionService/"
         "ResourceBlocks/GPU-1\"},{\"@odata.id\":\"/redfish/v1/CompositionService/ResourceBlocks/"
         "GPU%2F2\"}]}"},
        {"no host", {.gpus = 1}, NULL},
        {"no GPU", {.hosts = hosts, .host_count = 1}, NULL},
        {"both ways",
         {.hosts = hosts, .host_count = 1, .gpus = 1, .uuids = uuids, .uuid_count = 1},
         NULL},
        {"too many", {.hosts = hosts, .host_count = 1, .gpus = 65}, NULL},
        {"no UTF-8", {.hosts = hosts, .host_count = 1, .gpus = 1, .name = "\xff"}, NULL},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        const char *const answers[] = {rows[i].body ? HEAD("201 x") SYSTEM("composed") : NULL,
                                       NULL};
        struct compose *compose = start(answers);
        struct compose_system *system = NULL;
        struct compose_error error = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(compose_create(compose, &rows[i].request, &system, &error),
                 rows[i].body ? COMPOSE_OK : COMPOSE_MISUSED);
        if (rows[i].body) {
            CHECK_HAS(served.request, rows[i].body);
            CHECK_HAS(served.request, "Content-Type: application/json");
            check_system(system);
        } else {
            CHECK(error.message[0]);
            CHECK(system == NULL);
        }
        compose_system_free(system);
        stop(compose);
    }
}

static void test_list(void)
{
    struct compose *compose = start((const char *const[]){
        HEAD("200 x") "{\"Members\":[{\"SystemType\":\"Physical\"}," SYSTEM("composed") "]}",
        NULL});
    struct compose_system **systems = NULL;
    size_t count = 0;

    CHECK_CASE("a machine is no system");
    CHECK_EQ(compose_list(compose, &systems, &count, NULL), COMPOSE_OK);
    if (CHECK_EQ(count, 1))
        check_system(systems[0]);
    compose_list_free(systems, count);
    stop(compose);
}

static void test_wait(void)
{
    static const struct {
        const char *label, *answers[4];
        uint64_t limit_ms;
        enum compose_status status;
    } rows[] = {
        {"it comes",
         {HEAD("404 x"), HEAD("200 x") SYSTEM("composing"), HEAD("200 x") SYSTEM("composed")},
         600000,
         COMPOSE_OK},
        {"it fails",
         {HEAD("200 x") SYSTEM("composing"), HEAD("200 x") SYSTEM("failed")},
         600000,
         COMPOSE_CONFLICT},
        {"it takes too long", {HEAD("200 x") SYSTEM("composing")}, 0, COMPOSE_TIMEOUT},
        {"not allowed", {HEAD("403 x")}, 600000, COMPOSE_DENIED},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct compose *compose = start(rows[i].answers);
        struct compose_error error = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(compose_wait(compose, "train", rows[i].limit_ms, &error), rows[i].status);
        CHECK_EQ(error.status, rows[i].status);
        stop(compose);
    }
}

static int take_two(void *user, uint64_t number, const char *json)
{
    char *seen = user;
    const size_t used = strlen(seen);

    (void)snprintf(seen + used, 64 - used, "%llu=%s ", (unsigned long long)number, json);
    return strchr(seen, '2') != NULL;
}

static void test_follow(void)
{
    static const struct {
        const char *label, *answer;
        enum compose_status status;
        const char *seen;
    } rows[] = {
        {"until no more is wanted",
         HEAD("200 x") "id: 1\ndata: a\n\n:x\nid:2\r\ndata:b\r\n\r\nid: 3\ndata: c\n\n", COMPOSE_OK,
         "1=a 2=b "},
        {"until the end", HEAD("200 x") "id: 1\ndata: a\n\nid: 2\nda", COMPOSE_AWAY, "1=a "},
        {"refused", HEAD("403 x") "id: 1\ndata: a\n\n", COMPOSE_DENIED, ""},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct compose *compose = start((const char *const[]){rows[i].answer, NULL});
        char seen[64] = "";

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(compose_follow(compose, 7, take_two, seen, NULL), rows[i].status);
        CHECK_STR(seen, rows[i].seen);
        CHECK_HAS(served.request, "GET /redfish/v1/EventService/SSE?after=7 ");
        stop(compose);
    }
}

static int give_up(void *user)
{
    (void)user;
    return 1;
}

static void test_open(void)
{
    static const struct {
        const char *label;
        struct compose_options options;
        enum compose_status status;
        const char *message;
    } rows[] = {
        {"no encryption", {.api = "http://m"}, COMPOSE_MISUSED, "is not encrypted"},
        {"no path", {.api = "api.sock"}, COMPOSE_MISUSED, "neither a socket's absolute path"},
        {"no key", {.api = "https://m", .certificate = "/c"}, COMPOSE_MISUSED, "given together"},
        {"no CA", {.api = "https://m", .ca = "/nonexistent/x"}, COMPOSE_MISUSED, "cannot be read"},
        {"a socket", {.api = "/nonexistent/x"}, COMPOSE_OK, ""},
        {"given up", {.api = path, .tick = give_up}, COMPOSE_OK, ""},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct compose *compose = NULL;
        struct compose_error error = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(compose_open(&rows[i].options, &compose, &error), rows[i].status);
        CHECK_HAS(error.message, rows[i].message);
        if (rows[i].options.tick)
            CHECK_EQ(compose_delete(compose, "x", &error), COMPOSE_TIMEOUT);
        else if (compose)
            CHECK_EQ(compose_delete(compose, "x", &error), COMPOSE_AWAY);
        compose_close(compose);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_statuses), CHECK_TEST(test_create),
                                       CHECK_TEST(test_list),     CHECK_TEST(test_wait),
                                       CHECK_TEST(test_follow),   CHECK_TEST(test_open)};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int status;

    if (!mkdtemp(folder))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/api.sock", folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    served.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(served.listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(served.listener, 4) != 0)
        return 1;
    status = check_run(tests);
    (void)close(served.listener);
    (void)unlink(path);
    (void)rmdir(folder);
    return status;
}
