/* SPDX-License-Identifier: Apache-2.0
 * The attach protocol from end to end: a broker in this process, workers and clients as children.
 *
 * What a worker does is its index's script; a client reports by its exit status.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session/ses_broker.h"
#include "session/ses_int.h"
#include "tests/support/check.h"

enum script { SERVES, REFUSES, DIES_EARLY, DIES_ATTACHED, OTHER_ROWS, IGNORES_THE_END };

struct rig {
    enum script script;
    enum fab_status answer; /* of grant */
    uint32_t started, ended_workers, ended_sessions;
    struct ses_broker *broker;
    char path[64];
    char asked[SES_NAME_BYTES]; /* the system that the client named */
    bool is_elsewhere;          /* the first worker has no pid for the broker: we watch it */
    pid_t elsewhere;            /* its pid; 0: it has ended, or did not start */
    bool is_told, is_killed;
    int attached[2]; /* a pipe: the client writes into it when it is attached */
};

/* ---- a worker ---------------------------------------------------------------------------------
 */

static void wait_for_news(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    (void)poll(&poll_fd, 1, -1);
}

static void serve(struct ses_worker *worker)
{
    struct ses_event event = {.kind = SES_EVENT_NONE};

    while (event.kind != SES_EVENT_REVOKED) {
        wait_for_news(ses_worker_fd(worker));
        ses_worker_event(worker, &event);
    }
}

static void wait_for_attach(const struct rig *rig)
{
    wait_for_news(rig->attached[0]);
}

static FAB_NORETURN void be_worker(const struct rig *rig, enum script script)
{
    const struct fab_err why = {.status = FAB_ERR_DEVICE, .text = "no GPU answers"};
    const uint8_t address[] = {'w', 1, 2};
    struct ses_accept accept;
    struct ses_worker *worker;

    if (ses_worker_open(&worker, NULL) != FAB_OK)
        _exit(1);
    if (getenv("FABRIC_WORKER_FD") || ses_worker_prepare(worker)->vgpu_count != 2 ||
        strcmp(ses_worker_prepare(worker)->node.name, "node") != 0)
        _exit(2);
    if (script == DIES_EARLY)
        _exit(3);
    if (script == REFUSES) {
        ses_worker_refuse(worker, &why);
        serve(worker);
        _exit(0);
    }
    if (ses_worker_offer(worker, address, sizeof(address), script == OTHER_ROWS ? 2 : 3, &accept,
                         NULL) != FAB_OK)
        _exit(4);
    if (accept.row != 0 || accept.link.pair_count != 1 || accept.link.pairs[0].local != 1 ||
        accept.link.address[0] != 'c')
        _exit(5);
    if (ses_worker_ready(worker, NULL) != FAB_OK)
        _exit(7);
    if (script == DIES_ATTACHED) {
        wait_for_attach(rig);
        _exit(6);
    }
    if (script == IGNORES_THE_END)
        for (;;)
            pause();
    serve(worker);
    _exit(0);
}

/* ---- the owner --------------------------------------------------------------------------------
 */

static enum fab_status grant(void *user, const struct ses_peer *peer, struct ses_grant *out,
                             void **session_out, struct fab_err *err)
{
    struct rig *rig = user;

    if (rig->answer != FAB_OK)
        return fab_err_set(err, rig->answer, "none of your systems is on this host");
    if (peer->uid != getuid() || peer->pid == getpid())
        return fab_err_set(err, FAB_ERR_DENIED, "wrong credentials");
    (void)snprintf(rig->asked, sizeof(rig->asked), "%s", peer->system);
    *out = (struct ses_grant){.system = "s",
                              .vgpu_count = 4,
                              .worker_count = 2,
                              .vgpus = {{.worker = 0}, {.worker = 0}, {.worker = 1}, {.worker = 1}},
                              .worker_nodes = {"node", "node"}};
    *session_out = rig;
    return FAB_OK;
}

static enum fab_status start(void *user, void *session, uint32_t index, int fd,
                             struct ses_node *node_out, pid_t *pid_out, struct fab_err *err)
{
    struct rig *rig = user;
    char text[16];

    (void)err;
    CHECK(session == rig);
    *node_out = (struct ses_node){.name = "node"};
    *pid_out = fork();
    if (*pid_out == 0) {
        (void)snprintf(text, sizeof(text), "%d", fd);
        (void)setenv("FABRIC_WORKER_FD", text, 1);
        be_worker(rig, index == 0 ? rig->script : SERVES);
    }
    rig->started++;
    if (index == 0 && rig->is_elsewhere) {
        rig->elsewhere = *pid_out;
        *pid_out = 0;
        *node_out = (struct ses_node){0}; /* not known yet */
    }
    return FAB_OK;
}

static void kill_elsewhere(void *user, void *session, uint32_t index)
{
    struct rig *rig = user;

    CHECK(session == rig);
    CHECK_EQ(index, 0);
    CHECK(rig->is_elsewhere);
    rig->is_killed = true;
    if (rig->elsewhere)
        (void)kill(rig->elsewhere, SIGKILL);
}

/* What another node's agent would say of the worker there. */
static void tell_elsewhere(struct rig *rig)
{
    const struct ses_node node = {.name = "node"};

    if (!rig->elsewhere)
        return;
    if (!rig->is_told)
        ses_broker_worker_started(rig->broker, rig, 0, &node);
    rig->is_told = true;
    if (waitpid(rig->elsewhere, NULL, WNOHANG) != rig->elsewhere)
        return;
    rig->elsewhere = 0;
    ses_broker_worker_gone(rig->broker, rig, 0, "the gpu-worker on node ended");
    ses_broker_worker_gone(rig->broker, rig, 0, "said twice, heard once");
}

static uint32_t pairs(void *user, void *session, uint32_t index, struct ses_pair *out)
{
    (void)user;
    (void)session;
    (void)index;
    out[0] = (struct ses_pair){.local = 0, .peer = 1};
    return 1;
}

static void worker_ended(void *user, void *session, uint32_t index, pid_t pid, const char *why)
{
    struct rig *rig = user;

    (void)session;
    (void)index;
    CHECK_HAS(why, "gpu-worker on node");
    if (pid)
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
    rig->ended_workers++;
}

static void ended(void *user, void *session)
{
    struct rig *rig = user;

    (void)session;
    rig->ended_sessions++;
}

static const struct ses_broker_ops ops = {.grant = grant,
                                          .start = start,
                                          .pairs = pairs,
                                          .kill = kill_elsewhere,
                                          .worker_ended = worker_ended,
                                          .ended = ended};

/* ---- clients: the exit status says what happened ----------------------------------------------
 */

enum client { ATTACHES, STOPS_AFTER_GRANT, DIES_AFTER_ATTACH, WAITS_FOR_EVENT, TALKS_NONSENSE };

static int attach(struct ses_client *client)
{
    const uint8_t address[] = {'c', 9};
    struct ses_attach made;
    enum fab_status status = ses_client_attach(client, address, sizeof(address), 1, &made, NULL);

    if (status != FAB_OK)
        return -status;
    if (made.row != 0 || made.links[0].session_id == made.links[1].session_id ||
        memcmp(made.links[0].key, made.links[1].key, SES_KEY_BYTES) == 0 ||
        made.links[0].pairs[0].peer != 1 || made.links[1].address[0] != 'w')
        return 101;
    ses_client_forget_keys(client);
    return made.links[0].key[0] || made.links[0].key[31] ? 102 : 0;
}

static int wait_event(struct ses_client *client)
{
    struct ses_event event = {.kind = SES_EVENT_NONE};

    while (event.kind == SES_EVENT_NONE) {
        wait_for_news(ses_client_fd(client));
        ses_client_event(client, &event);
    }
    return 110 + (int)event.kind;
}

static int talk_nonsense(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct ses_packet packet;

    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || write(fd, "?", 1) != 1)
        return 103;
    return -ses_expect(fd, SESM_GRANT, &packet, NULL);
}

static FAB_NORETURN void be_client(const struct rig *rig, enum client kind)
{
    struct ses_client *client;
    enum fab_status status;
    int result;

    if (kind == TALKS_NONSENSE)
        _exit(talk_nonsense(rig->path));
    status = ses_client_open(rig->path, &client, NULL);
    if (status != FAB_OK)
        _exit(-status);
    if (ses_client_grant(client)->vgpu_count != 4 || kind == STOPS_AFTER_GRANT)
        _exit(ses_client_grant(client)->vgpu_count == 4 ? 0 : 100);
    result = attach(client);
    if (result == 0 && write(rig->attached[1], "!", 1) != 1)
        result = 104;
    if (result == 0 && kind == DIES_AFTER_ATTACH)
        (void)raise(SIGKILL);
    if (result == 0 && kind == WAITS_FOR_EVENT)
        result = wait_event(client);
    ses_client_close(client);
    _exit(result);
}

/* ---- the tests --------------------------------------------------------------------------------
 */

static bool rig_open(struct rig *rig)
{
    (void)snprintf(rig->path, sizeof(rig->path), "/tmp/test-ses-%d.sock", (int)getpid());
    if (pipe(rig->attached) != 0)
        abort();
    return CHECK_EQ(ses_broker_create(rig->path, 0600, &ops, rig, &rig->broker, NULL), FAB_OK);
}

static void rig_close(struct rig *rig)
{
    ses_broker_destroy(rig->broker);
    CHECK_EQ(access(rig->path, F_OK), -1);
    (void)close(rig->attached[0]);
    (void)close(rig->attached[1]);
}

static pid_t start_client(const struct rig *rig, enum client kind)
{
    pid_t client = fork();

    if (client == 0)
        be_client(rig, kind);
    return client;
}

static int exit_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void turn(struct rig *rig)
{
    struct pollfd poll_fd = {.fd = ses_broker_fd(rig->broker), .events = POLLIN};

    (void)poll(&poll_fd, 1, 20);
    ses_broker_turn(rig->broker);
    tell_elsewhere(rig);
}

static void turn_until(struct rig *rig, pid_t client, int *status_out)
{
    bool is_gone = client == 0;

    while (!is_gone || ses_broker_session_count(rig->broker) > 0) {
        turn(rig);
        if (!is_gone)
            is_gone = waitpid(client, status_out, WNOHANG) == client;
    }
}

static const struct {
    const char *label;
    enum client client;
    enum script script;
    enum fab_status answer;
    int wanted;       /* exit status of the client; -9: killed */
    uint32_t workers; /* started */
} rows[] = {
    {"attaches and goes", ATTACHES, SERVES, FAB_OK, 0, 2},
    {"no system for it", ATTACHES, SERVES, FAB_ERR_NOT_FOUND, -FAB_ERR_NOT_FOUND, 0},
    {"not allowed", ATTACHES, SERVES, FAB_ERR_DENIED, -FAB_ERR_DENIED, 0},
    {"leaves after the grant", STOPS_AFTER_GRANT, SERVES, FAB_OK, 0, 2},
    {"is killed", DIES_AFTER_ATTACH, SERVES, FAB_OK, -SIGKILL, 2},
    {"a worker refuses", ATTACHES, REFUSES, FAB_OK, -FAB_ERR_DEVICE, 2},
    {"a worker dies before the attach", ATTACHES, DIES_EARLY, FAB_OK, -FAB_ERR_NODE_LOST, 2},
    {"a worker dies afterwards", WAITS_FOR_EVENT, DIES_ATTACHED, FAB_OK,
     110 + SES_EVENT_WORKER_GONE, 2},
    {"no common address layout", ATTACHES, OTHER_ROWS, FAB_OK, -FAB_ERR_BUSY, 2},
    {"a worker that does not end is killed", ATTACHES, IGNORES_THE_END, FAB_OK, 0, 2},
    {"talks nonsense", TALKS_NONSENSE, SERVES, FAB_OK, -FAB_ERR_PROTOCOL, 0},
};

static void run_row(size_t i, bool is_elsewhere)
{
    struct rig rig = {
        .script = rows[i].script, .answer = rows[i].answer, .is_elsewhere = is_elsewhere};
    int status = 0;

    CHECK_CASE("%s%s", rows[i].label, is_elsewhere ? " (a worker elsewhere)" : "");
    if (!rig_open(&rig))
        return;
    turn_until(&rig, start_client(&rig, rows[i].client), &status);
    CHECK_EQ(exit_of(status), rows[i].wanted);
    CHECK_EQ(rig.started, rows[i].workers);
    CHECK_EQ(rig.ended_workers, rig.started);
    CHECK_EQ(rig.ended_sessions, rows[i].workers ? 1 : 0);
    CHECK_EQ(rig.is_killed, is_elsewhere && rows[i].script == IGNORES_THE_END);
    CHECK(!ses_broker_is_attached(rig.broker, &rig));
    rig_close(&rig);
}

static void test_attach(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        run_row(i, /* is_elsewhere */ false);
        run_row(i, /* is_elsewhere */ true);
    }
}

static bool is_attached(const struct rig *rig)
{
    struct pollfd poll_fd = {.fd = rig->attached[0], .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0;
}

static void test_revoke(void)
{
    static const struct {
        const char *label;
        bool when_attached;
        int wanted; /* exit status of the client */
    } moments[] = {
        {"in the middle of its attach", false, -FAB_ERR_CANCELLED},
        {"when it is attached", true, 110 + SES_EVENT_REVOKED},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(moments); i++) {
        struct rig rig = {.script = SERVES};
        struct ses_broker *second;
        int status = 0;
        pid_t client;

        CHECK_CASE("the lease ends %s", moments[i].label);
        if (!rig_open(&rig))
            return;
        CHECK_EQ(ses_broker_create(rig.path, 0600, &ops, &rig, &second, NULL), FAB_ERR_BUSY);
        client = start_client(&rig, WAITS_FOR_EVENT);
        while (rig.started < 2 || (moments[i].when_attached && !is_attached(&rig)))
            turn(&rig);
        CHECK_EQ(ses_broker_is_attached(rig.broker, &rig), moments[i].when_attached);
        ses_broker_revoke(rig.broker, &rig, "the lease is over");
        turn_until(&rig, client, &status);
        CHECK_EQ(exit_of(status), moments[i].wanted);
        CHECK_EQ(rig.ended_workers, 2);
        rig_close(&rig);
    }
}

/* FABRIC_SYSTEM is heard by the broker's owner; a name that cannot be one is not even sent. */
static void test_system_name(void)
{
    static char longest[SES_NAME_BYTES], longer[SES_NAME_BYTES + 1];
    const struct {
        const char *label, *name, *asked;
        int wanted; /* exit status of the client */
    } names[] = {
        {"none", NULL, "", 0},
        {"empty", "", "", 0},
        {"a name", "train-1", "train-1", 0},
        {"the longest", longest, longest, 0},
        {"a longer one", longer, "", -FAB_ERR_RANGE},
    };

    memset(longest, 'n', SES_NAME_BYTES - 1);
    memset(longer, 'n', SES_NAME_BYTES);
    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++) {
        struct rig rig = {.script = SERVES};
        int status = 0;

        CHECK_CASE("the system's name: %s", names[i].label);
        if (names[i].name)
            (void)setenv("FABRIC_SYSTEM", names[i].name, 1);
        else
            (void)unsetenv("FABRIC_SYSTEM");
        if (!rig_open(&rig))
            return;
        turn_until(&rig, start_client(&rig, ATTACHES), &status);
        CHECK_EQ(exit_of(status), names[i].wanted);
        CHECK_STR(rig.asked, names[i].asked);
        rig_close(&rig);
    }
    (void)unsetenv("FABRIC_SYSTEM");
}

static void test_no_broker(void)
{
    struct ses_client *client;
    struct fab_err err = {0};

    CHECK_EQ(ses_client_open("/tmp/there-is-nothing.sock", &client, &err), FAB_ERR_NOT_FOUND);
    CHECK_HAS(err.text, "no fabricd listens");
    CHECK_EQ(ses_worker_open(&(struct ses_worker *){NULL}, &err), FAB_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_attach), CHECK_TEST(test_revoke),
                                       CHECK_TEST(test_system_name), CHECK_TEST(test_no_broker)};

    return check_run(tests);
}
