/* SPDX-License-Identifier: Apache-2.0
 * fabricd/main.c - the daemon: settings, roles, signals, and one loop for all of it. fabricd(8).
 *
 * A manager's own agent and fabric role talk to it over socket pairs, so that one process is no
 * special case.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/settings_text.h"
#include "fabricd/agent.h"
#include "fabricd/door.h"
#include "fabricd/fabric_role.h"
#include "fabricd/hub.h"
#include "fabricd/link.h"
#include "fabricd/loop.h"
#include "fabricd/notify.h"
#include "fabricd/settings.h"

enum { MISUSED = 2, OPTION_CHECK = 256, OPTION_DISCOVER };

/* ---- arguments --------------------------------------------------------------------------------
 */

const char *argp_program_version = "fabricd 0.1.0";

struct arguments {
    const char *config;
    bool only_checks, only_discovers;
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Read settings from FILE", 0},
    {"check-config", OPTION_CHECK, NULL, 0, "Check the settings, and end", 0},
    {"discover", OPTION_DISCOVER, NULL, 0, "Print what this node is made of as JSON, and end", 0},
    {0},
};

static error_t take_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'c':
        arguments->config = text;
        return 0;
    case OPTION_CHECK:
        arguments->only_checks = true;
        return 0;
    case OPTION_DISCOVER:
        arguments->only_discovers = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: no such argument", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Behind the options of --help: the settings. */
static char *add_settings(int key, const char *text, void *input)
{
    char *whole = NULL;
    size_t bytes = 0;
    FILE *out;

    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text; /* argp frees only what differs */
    out = open_memstream(&whole, &bytes);
    if (!out)
        return (char *)(uintptr_t)text;
    (void)fprintf(out, "Settings, which stand in the file, too (fabricd.conf(5)):\n");
    fab_settings_print_help(&fabricd_schema, out);
    return fclose(out) == 0 ? whole : (char *)(uintptr_t)text;
}

static const struct argp parser = {
    .options = options,
    .parser = take_option,
    .doc = "The daemon of a composable GPU rack: manager, agent of a node, eye on the fabric.\v",
    .help_filter = add_settings};

/* What is not a setting is an option: the settings are taken out of a copy first. */
static enum fab_status take_arguments(int argc, char **argv, struct arguments *arguments,
                                      struct fab_err *err)
{
    char **copy = fab_alloc_zeroed((size_t)argc + 1, sizeof(*copy));
    struct fabricd_settings scratch;
    enum fab_status status =
        copy ? fab_settings_init(&fabricd_schema, &scratch, err) : FAB_ERR_NOMEM;

    if (status != FAB_OK) {
        free(copy);
        return status;
    }
    memcpy(copy, argv, (size_t)argc * sizeof(*copy));
    status = fab_settings_read_args(&fabricd_schema, &scratch, &argc, copy, err);
    fab_settings_clear(&fabricd_schema, &scratch);
    if (status == FAB_OK)
        (void)argp_parse(&parser, argc, copy, 0, NULL, arguments); /* ends when misused */
    free(copy);
    return status;
}

/* ---- the daemon -------------------------------------------------------------------------------
 */

struct daemon {
    struct arguments arguments;
    int argc;
    char **argv;
    struct fabricd_settings settings;
    struct fab_log log;
    struct loop *loop;
    int signal_fd;
    struct loop_watch *signal_watch;
    struct link_tls *tls;
    struct hub *hub;
    struct agent *agent;
    struct fabric_role *fabric;
    struct door *door;
    enum { STARTING, JOINED, READY } state;
};

static struct link_tls_files tls_files(const struct fabricd_settings *settings)
{
    return (struct link_tls_files){settings->tls_ca, settings->tls_certificate, settings->tls_key,
                                   settings->tls_revoked};
}

/* All of it, or nothing. */
static enum fab_status take_settings(struct daemon *daemon, struct fabricd_settings *fresh,
                                     struct fab_err *err)
{
    const struct fabricd_settings *settings = &daemon->settings;
    struct link_tls_files files;
    enum fab_status status = fab_settings_reload(&fabricd_schema, &daemon->settings, fresh, err);

    if (status != FAB_OK)
        return status;
    files = tls_files(settings);
    if (daemon->agent)
        status = agent_reload(daemon->agent, err);
    if (status == FAB_OK && daemon->tls)
        status = link_tls_reload(daemon->tls, &files, err);
    else if (status == FAB_OK && settings->tls_ca[0])
        status = fab_err_set(err, FAB_ERR_STATE, "tls.ca can be set at a restart only");
    if (status == FAB_OK && daemon->hub)
        status = hub_reload(daemon->hub, err);
    if (status != FAB_OK) /* both have the same rows, so it goes back */
        (void)!fab_settings_reload(&fabricd_schema, &daemon->settings, fresh, NULL);
    return status;
}

static void reload(struct daemon *daemon)
{
    struct fabricd_settings fresh;
    struct fab_err err = {0};
    int argc = daemon->argc;
    char **argv = fab_alloc_zeroed((size_t)argc + 1, sizeof(*argv));
    enum fab_status status = argv ? FAB_OK : FAB_ERR_NOMEM;

    notify_send("RELOADING=1");
    if (status == FAB_OK) {
        memcpy(argv, daemon->argv, (size_t)argc * sizeof(*argv));
        status = fabricd_settings_load(daemon->arguments.config, &argc, argv, &fresh, &err);
    }
    if (status == FAB_OK) {
        status = take_settings(daemon, &fresh, &err);
        fab_settings_clear(&fabricd_schema, &fresh);
    }
    if (status == FAB_OK)
        fab_log_info(&daemon->log, "the settings were read again", "%s", "");
    else
        fab_log_error(&daemon->log, "the settings stay as they were", "why %s",
                      err.text[0] ? err.text : fab_status_text(status));
    free(argv);
    notify_send("READY=1");
}

static void on_signal(void *user, uint32_t events)
{
    struct daemon *daemon = user;
    struct signalfd_siginfo info;

    (void)events;
    while (read(daemon->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload(daemon);
            continue;
        }
        fab_log_info(&daemon->log, "stopping", "signal %u", info.ssi_signo);
        notify_send("STOPPING=1");
        loop_stop(daemon->loop);
    }
}

static enum fab_status watch_signals(struct daemon *daemon, struct fab_err *err)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    daemon->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signal_fd < 0)
        return fab_err_errno(err, errno, "watching signals");
    return loop_watch(daemon->loop, daemon->signal_fd, EPOLLIN, on_signal, daemon,
                      &daemon->signal_watch, err);
}

/* Ready is who can be asked: our own agent must have heard the welcome, which it does in the round
 * after its hello came. */
static uint64_t become_ready(struct daemon *daemon, uint64_t now_ns)
{
    if (daemon->state == READY)
        return UINT64_MAX;
    if (daemon->hub && daemon->agent && !hub_has(daemon->hub, daemon->settings.node))
        return UINT64_MAX; /* its hello ends the wait */
    if (daemon->state == STARTING) {
        daemon->state = JOINED;
        return now_ns;
    }
    daemon->state = READY;
    fab_log_info(&daemon->log, "ready", "node %s", daemon->settings.node);
    notify_send("READY=1");
    return UINT64_MAX;
}

/* Links last: what the others have queued is written in the same turn. */
static uint64_t turn(void *user, uint64_t now_ns)
{
    struct daemon *daemon = user;
    uint64_t next_ns = become_ready(daemon, now_ns);

    if (daemon->hub)
        next_ns = fab_earlier_ns(next_ns, hub_turn(daemon->hub, now_ns));
    if (daemon->agent)
        next_ns = fab_earlier_ns(next_ns, agent_turn(daemon->agent, now_ns));
    if (daemon->fabric)
        next_ns = fab_earlier_ns(next_ns, fabric_role_turn(daemon->fabric, now_ns));
    if (daemon->door)
        next_ns = fab_earlier_ns(next_ns, door_turn(daemon->door, now_ns));
    return fab_earlier_ns(next_ns, link_turn(daemon->loop, now_ns));
}

static enum fab_status make_folder(const char *path, mode_t mode, struct fab_err *err)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        return fab_err_errno(err, errno, "%s", path);
    return FAB_OK;
}

/* Keys must not land in a core file, and a manager has a descriptor for every client. */
static void set_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &limit); /* lowering one's own cannot fail */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Our own agent or fabric role dials our manager. */
static enum fab_status make_pair(void *user, int *fd_out, struct fab_err *err)
{
    const struct daemon *daemon = user;
    int fds[2];
    enum fab_status status;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return fab_err_errno(err, errno, "a socket pair");
    status = hub_join(daemon->hub, fds[0], daemon->settings.node, err);
    if (status != FAB_OK)
        (void)close(fds[1]);
    *fd_out = fds[1];
    return status;
}

static enum fab_status start_agent(struct daemon *daemon, struct fab_err *err)
{
    enum fab_status status =
        agent_create(daemon->loop, &daemon->settings, daemon->tls, &daemon->agent, err);

    if (status == FAB_OK && daemon->hub)
        agent_join(daemon->agent, make_pair, daemon);
    return status;
}

static enum fab_status start_fabric(struct daemon *daemon, struct fab_err *err)
{
    enum fab_status status =
        fabric_role_create(daemon->loop, &daemon->settings, daemon->tls, &daemon->fabric, err);

    if (status == FAB_OK && daemon->hub)
        fabric_role_join(daemon->fabric, make_pair, daemon);
    return status;
}

/* Others take a daemon for whom its certificate names, so the settings must agree. */
static enum fab_status load_certificates(struct daemon *daemon, struct fab_err *err)
{
    const struct fabricd_settings *settings = &daemon->settings;
    const struct link_tls_files files = tls_files(settings);
    enum fab_status status = link_tls_create(&files, &daemon->tls, err);

    if (status == FAB_OK && strcmp(link_tls_name(daemon->tls), settings->node) != 0)
        return fab_err_set(err, FAB_ERR_INVALID, "%s is of node %s, but the settings say %s",
                           settings->tls_certificate, link_tls_name(daemon->tls), settings->node);
    return status;
}

static enum fab_status open_door(struct daemon *daemon, struct fab_err *err)
{
    return door_open(daemon->loop, daemon->tls, daemon->settings.listen, daemon->hub, daemon->agent,
                     &daemon->door, err);
}

static enum fab_status start(struct daemon *daemon, struct fab_err *err)
{
    const struct fabricd_settings *settings = &daemon->settings;
    enum fab_status status = make_folder(settings->state_dir, 0700, err);

    if (status == FAB_OK)
        status = make_folder(settings->run_dir, 0755, err);
    if (status == FAB_OK)
        status = loop_create(&daemon->loop, err);
    if (status == FAB_OK)
        status = watch_signals(daemon, err);
    if (status == FAB_OK && settings->tls_ca[0])
        status = load_certificates(daemon, err);
    if (status == FAB_OK && settings->is_manager)
        status = hub_create(daemon->loop, settings, daemon->tls, &daemon->hub, err);
    if (status == FAB_OK && settings->is_agent)
        status = start_agent(daemon, err);
    if (status == FAB_OK && settings->is_fabric)
        status = start_fabric(daemon, err);
    if (status == FAB_OK && settings->listen[0])
        status = open_door(daemon, err);
    return status;
}

static void stop(struct daemon *daemon)
{
    door_close(daemon->door);
    fabric_role_destroy(daemon->fabric);
    agent_destroy(daemon->agent);
    hub_destroy(daemon->hub);
    link_tls_destroy(daemon->tls);
    loop_unwatch(daemon->signal_watch);
    if (daemon->signal_fd >= 0)
        (void)close(daemon->signal_fd);
    loop_destroy(daemon->loop);
    fab_settings_clear(&fabricd_schema, &daemon->settings);
}

static enum fab_status run(struct daemon *daemon, struct fab_err *err)
{
    enum fab_status status = start(daemon, err);

    if (status != FAB_OK)
        return status;
    loop_set_turn(daemon->loop, turn, daemon);
    return loop_run(daemon->loop, err);
}

int main(int argc, char **argv)
{
    struct daemon daemon = {.argc = argc, .argv = argv, .signal_fd = -1};
    struct fab_err err = {0};
    enum fab_status status = take_arguments(argc, argv, &daemon.arguments, &err);
    const bool is_understood = status == FAB_OK;
    char **copy = fab_alloc_zeroed((size_t)argc + 1, sizeof(*copy));

    if (status == FAB_OK && fab_log_init(&daemon.log, "fabricd", STDERR_FILENO, &err) != FAB_OK)
        fprintf(stderr, "fabricd: %s\n", err.text);
    if (status == FAB_OK && !copy)
        status = fab_err_set(&err, FAB_ERR_NOMEM, "the arguments");
    if (status == FAB_OK) {
        memcpy(copy, argv, (size_t)argc * sizeof(*copy));
        status =
            fabricd_settings_load(daemon.arguments.config, &argc, copy, &daemon.settings, &err);
    }
    /* The loader's CUDA and NVML may be our client's, whose GPUs are of other nodes: for this
     * daemon and what it starts, these find no broker and so have none. */
    if (setenv("FABRIC_SOCKET", "/dev/null", 1) != 0 && status == FAB_OK)
        status = fab_err_errno(&err, errno, "the environment");
    if (status == FAB_OK && daemon.arguments.only_discovers) {
        status = agent_print_machine(&daemon.settings, &err);
    } else if (status == FAB_OK && !daemon.arguments.only_checks) {
        set_limits();
        status = run(&daemon, &err);
    }
    if (status != FAB_OK)
        fprintf(stderr, "fabricd: %s\n", err.text[0] ? err.text : fab_status_text(status));
    stop(&daemon);
    free(copy);
    return status == FAB_OK ? EXIT_SUCCESS : is_understood ? EXIT_FAILURE : MISUSED;
}
