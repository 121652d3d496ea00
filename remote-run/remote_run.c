/* SPDX-License-Identifier: Apache-2.0
 * remote-run/remote_run.c - bin/remote-run: a program on remote GPUs, by workers of its own.
 *
 *     remote-run [--workers N] [--devices M] [--rails R] PROGRAM [ARGUMENT...]
 *
 * It is the broker that fabricd will be: the program asks it over FABRIC_SOCKET. When the program
 * ends, everything ends, and the program's exit status is ours (128 + n for signal n).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda-runtime/launcher/launcher.h"
#include "remote-run/remote_run.h"

enum { EXIT_NOT_STARTED = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

static FAB_NORETURN void become_program(const struct remote_workers *workers, const char *socket)
{
    char driver_dir[PATH_MAX], runtime_dir[PATH_MAX], entry[PATH_MAX + 32];
    const char *set[] = {entry, NULL};
    struct fab_err err = {0};
    enum fab_status status = launcher_library_dir("client", driver_dir, &err);
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(entry, sizeof(entry), "FABRIC_SOCKET=%s", socket);
    if (status == FAB_OK)
        status = launcher_library_dir("runtime", runtime_dir, &err);
    if (status == FAB_OK)
        status = launcher_exec(&(struct launcher_request){.driver_dir = driver_dir,
                                                          .runtime_dir = runtime_dir,
                                                          .argv = workers->arguments.program,
                                                          .set = set},
                               &err);
    fprintf(stderr, "remote-run: %s\n", err.text);
    _exit(status == FAB_ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_STARTED);
}

/* True when the program has ended. Signals for us are the program's. */
static bool take_signals(int fd, pid_t program, int *status_out)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD)
            (void)kill(program, (int)info.ssi_signo);
    }
    return waitpid(program, status_out, WNOHANG) == program;
}

static int serve(struct ses_broker *broker, int signals, pid_t program)
{
    int status = 0;

    for (;;) {
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                               {.fd = ses_broker_fd(broker), .events = POLLIN}};

        (void)poll(fds, 2, ses_broker_wait_ms(broker));
        ses_broker_turn(broker);
        if (take_signals(signals, program, &status))
            break;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status);
}

/* Before anything is started, so that no signal is lost. */
static int catch_signals(void)
{
    static const int caught[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < FAB_ARRAY_LEN(caught); i++)
        (void)sigaddset(&set, caught[i]);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct remote_workers *workers, struct fab_err *err)
{
    int signals = catch_signals(), status = EXIT_NOT_STARTED;
    struct ses_broker *broker = NULL;
    char socket[PATH_MAX + 16];
    pid_t program;

    (void)snprintf(socket, sizeof(socket), "%s/client.sock", workers->folder);
    if (ses_broker_create(socket, 0600, &remote_workers_ops, workers, &broker, err) != FAB_OK)
        return status;
    program = fork();
    if (program == 0)
        become_program(workers, socket);
    if (program > 0)
        status = serve(broker, signals, program);
    else
        (void)fab_err_errno(err, errno, "starting the program");
    ses_broker_destroy(broker);
    (void)close(signals);
    return status;
}

int main(int argc, char **argv)
{
    struct remote_arguments arguments;
    struct remote_workers workers;
    struct fab_err err = {0};
    int status = EXIT_NOT_STARTED;

    remote_arguments_read(argc, argv, &arguments);
    if (remote_workers_open(&arguments, &workers, &err) == FAB_OK)
        status = run(&workers, &err);
    if (err.text[0])
        fprintf(stderr, "remote-run: %s\n", err.text);
    remote_workers_close(&workers);
    return status;
}
