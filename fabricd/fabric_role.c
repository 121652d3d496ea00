/* SPDX-License-Identifier: Apache-2.0
 * fabricd/fabric_role.c - a link to the manager, and while it is up a sweep now and then.
 */
#include "fabricd/fabric_role.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "fabricd/hub_int.h"
#include "fabricd/link.h"
#include "fabricd/loop.h"
#include "fabricd/message.h"
#include "fabricd/settings.h"
#include "topology/codec.h"

#define SWEEP_LIMIT_NS UINT64_C(30000000000)
#define DIAL_FIRST_NS UINT64_C(100000000)
#define DIAL_MOST_NS UINT64_C(5000000000)
#define REAP_AGAIN_NS UINT64_C(10000000) /* its output has ended, it has not */

enum { READ_BYTES = 65536, ARGUMENTS_MAX = 8 };

struct fabric_role {
    struct loop *loop;
    const struct fabricd_settings *settings;
    struct link_tls *tls;
    struct fab_log log;
    struct link *link;
    link_pair pair; /* the manager is in this process; NULL: it is dialled */
    void *pair_user;
    bool is_up; /* the manager has said welcome */
    uint64_t dial_ns, backoff_ns;
    uint64_t now_ns; /* of the last turn */

    /* The sweep. */
    pid_t pid; /* 0: none runs */
    int fd;    /* its output; -1: it has ended */
    struct loop_watch *watch;
    char *text;
    size_t bytes;
    uint64_t sweep_ns; /* the next one */
    uint64_t limit_ns; /* of this one */
};

/* ---- the sweep --------------------------------------------------------------------------------
 */

static void close_output(struct fabric_role *role)
{
    loop_unwatch(role->watch);
    role->watch = NULL;
    if (role->fd >= 0)
        (void)close(role->fd);
    role->fd = -1;
}

static void take_sweep(struct fabric_role *role)
{
    struct topo_fabric fabric = {0};
    json_t *json = NULL;
    struct fab_err err = {0};
    enum fab_status status =
        fab_json_load(role->text ? role->text : "", role->bytes, "fabric-sweep",
                      &(struct fab_json_limits){.size_bytes = LINK_MESSAGE_BYTES}, &json, &err);

    if (status == FAB_OK)
        status = topo_fabric_from_json(json, &fabric, &err);
    json_decref(json);
    if (status == FAB_OK && role->is_up)
        (void)link_send(role->link, &(struct message){.kind = MESSAGE_FABRIC, .fabric = &fabric});
    if (status != FAB_OK)
        fab_log_error(&role->log, "a sweep cannot be read", "why %s", err.text);
    topo_fabric_clear(&fabric);
}

static void on_output(void *user, uint32_t events)
{
    struct fabric_role *role = user;
    char *text = fab_alloc_resize(role->text, role->bytes + READ_BYTES, 1);
    ssize_t got;

    (void)events;
    if (text)
        role->text = text;
    got = text ? read(role->fd, text + role->bytes, READ_BYTES) : 0;
    if (got > 0)
        role->bytes += (size_t)got;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
        role->bytes > LINK_MESSAGE_BYTES)
        close_output(role);
}

/* The child has ended, or is made to. */
static void end_sweep(struct fabric_role *role)
{
    int status = 0;
    const bool is_late = role->now_ns >= role->limit_ns;

    if (is_late)
        (void)kill(role->pid, SIGKILL);
    if (waitpid(role->pid, &status, is_late ? 0 : WNOHANG) != role->pid)
        return; /* in a moment */
    role->pid = 0;
    close_output(role);
    if (is_late)
        fab_log_error(&role->log, "a sweep took too long and was ended", "%s", "");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fab_log_error(&role->log, "a sweep failed", "status %d", status);
    else
        take_sweep(role);
    free(role->text);
    role->text = NULL;
    role->bytes = 0;
}

static void sweep_path(const struct fabricd_settings *settings, char path[PATH_MAX])
{
    char *slash;
    ssize_t bytes;

    if (settings->sweep[0]) {
        (void)snprintf(path, PATH_MAX, "%s", settings->sweep);
        return;
    }
    bytes = readlink("/proc/self/exe", path, PATH_MAX - sizeof("fabric-sweep"));
    path[bytes > 0 ? bytes : 0] = '\0';
    slash = strrchr(path, '/');
    (void)snprintf(slash ? slash + 1 : path, sizeof("fabric-sweep"), "fabric-sweep");
}

/* Its output is `fd`; it has no signal blocked. */
static int spawn(const char *path, char *const *arguments, int fd, pid_t *pid_out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    int result;

    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawn_file_actions_init(&files);
    result = posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
    if (result == 0)
        result = posix_spawn(pid_out, path, &files, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    return result;
}

static void begin_sweep(struct fabric_role *role)
{
    char path[PATH_MAX], hca[80], port[32], counters[] = "--counters";
    char *arguments[ARGUMENTS_MAX] = {path, counters};
    size_t count = 2;
    int pipes[2], result;

    sweep_path(role->settings, path);
    (void)snprintf(hca, sizeof(hca), "--hca=%s", role->settings->ib_hca);
    (void)snprintf(port, sizeof(port), "--port=%d", (int)role->settings->ib_port);
    if (role->settings->ib_hca[0])
        arguments[count++] = hca;
    if (role->settings->ib_port)
        arguments[count++] = port;
    role->sweep_ns = role->now_ns + role->settings->sweep_every_ns;
    role->limit_ns = role->now_ns + SWEEP_LIMIT_NS;
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        fab_log_error(&role->log, "a sweep was not started", "why %s", strerror(errno));
        return;
    }
    result = spawn(path, arguments, pipes[1], &role->pid);
    (void)close(pipes[1]);
    role->fd = pipes[0];
    if (result != 0) {
        role->pid = 0;
        fab_log_error(&role->log, "a sweep was not started", "program %s why %s", path,
                      strerror(result));
        close_output(role);
        return;
    }
    (void)fcntl(role->fd, F_SETFL, O_NONBLOCK);
    if (loop_watch(role->loop, role->fd, EPOLLIN, on_output, role, &role->watch, NULL) != FAB_OK)
        close_output(role); /* it fails by its pipe */
}

/* ---- the link ---------------------------------------------------------------------------------
 */

static void on_up(void *user, struct link *link, const char *peer)
{
    const struct fabric_role *role = user;
    struct message message = {.kind = MESSAGE_HELLO,
                              .hello = {.version = MESSAGE_VERSION, .is_fabric = true}};

    (void)peer;
    (void)snprintf(message.hello.node, sizeof(message.hello.node), "%s", role->settings->node);
    hub_boot_id(message.hello.boot_id, sizeof(message.hello.boot_id));
    (void)link_send(link, &message);
}

static void on_message(void *user, struct link *link, const struct message *message)
{
    struct fabric_role *role = user;

    (void)link;
    if (message->kind != MESSAGE_WELCOME || role->is_up)
        return;
    role->is_up = true;
    role->backoff_ns = 0;
    role->sweep_ns = 0; /* now: what was told before may be forgotten */
}

static void on_packet(void *user, struct link *link, uint32_t channel, const void *bytes,
                      size_t count)
{
    (void)user;
    (void)link;
    (void)channel;
    (void)bytes;
    (void)count;
}

static void dial_later(struct fabric_role *role)
{
    role->backoff_ns = role->backoff_ns ? role->backoff_ns * 2 : DIAL_FIRST_NS;
    if (role->backoff_ns > DIAL_MOST_NS)
        role->backoff_ns = DIAL_MOST_NS;
    role->dial_ns = role->now_ns + role->backoff_ns;
}

static void on_down(void *user, struct link *link, const struct fab_err *why)
{
    struct fabric_role *role = user;

    if (role->is_up || role->backoff_ns == 0)
        fab_log_warn(&role->log, "the manager is away", "why %s", why->text);
    role->is_up = false;
    role->link = NULL;
    link_close(link);
    dial_later(role);
}

static const struct link_ops ops = {
    .up = on_up, .message = on_message, .packet = on_packet, .down = on_down};

static enum fab_status dial_one(struct fabric_role *role, struct fab_err *err)
{
    enum fab_status status;
    int fd;

    if (!role->pair)
        return link_dial(role->loop, role->tls, role->settings->manager, NULL, &ops, role,
                         &role->link, err);
    status = role->pair(role->pair_user, &fd, err);
    if (status == FAB_OK)
        status = link_adopt(role->loop, fd, role->settings->node, &ops, role, &role->link, err);
    return status;
}

static void dial(struct fabric_role *role)
{
    struct fab_err err = {0};

    if (dial_one(role, &err) == FAB_OK)
        return;
    if (role->backoff_ns == 0)
        fab_log_warn(&role->log, "the manager cannot be dialled", "why %s", err.text);
    role->link = NULL;
    dial_later(role);
}

/* ---- the object -------------------------------------------------------------------------------
 */

enum fab_status fabric_role_create(struct loop *loop, const struct fabricd_settings *settings,
                                   struct link_tls *tls, struct fabric_role **role_out,
                                   struct fab_err *err)
{
    struct fabric_role *role = fab_alloc_zeroed(1, sizeof(*role));

    if (!role)
        return fab_err_set(err, FAB_ERR_NOMEM, "the fabric");
    *role = (struct fabric_role){.loop = loop, .settings = settings, .tls = tls, .fd = -1};
    (void)!fab_log_init(&role->log, "fabricd", STDERR_FILENO, NULL); /* main told of a bad level */
    *role_out = role;
    return FAB_OK;
}

void fabric_role_join(struct fabric_role *role, link_pair pair, void *user)
{
    role->pair = pair;
    role->pair_user = user;
}

void fabric_role_destroy(struct fabric_role *role)
{
    if (!role)
        return;
    if (role->pid) {
        (void)kill(role->pid, SIGKILL);
        (void)waitpid(role->pid, NULL, 0);
    }
    close_output(role);
    link_close(role->link);
    free(role->text);
    free(role);
}

uint64_t fabric_role_turn(struct fabric_role *role, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    role->now_ns = now_ns;
    if (!role->link && now_ns >= role->dial_ns)
        dial(role);
    if (!role->link)
        next_ns = role->dial_ns;
    if (role->pid && (role->fd < 0 || now_ns >= role->limit_ns))
        end_sweep(role);
    if (!role->pid && role->is_up && now_ns >= role->sweep_ns)
        begin_sweep(role);
    if (role->pid)
        next_ns = role->fd < 0 ? now_ns + REAP_AGAIN_NS : role->limit_ns;
    else if (role->is_up && role->sweep_ns < next_ns)
        next_ns = role->sweep_ns;
    return next_ns;
}
