/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_child.c - what may take long or hang is done by children, each with a deadline.
 *
 * A child that is overdue is killed and reported at once: one that a driver holds in the kernel may
 * not even die then. It is reaped whenever it does. A child that is to stay says so by its lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fabricd/agent_int.h"

enum { READ_BYTES = 16384, END_WAIT_MS = 2000 };

struct agent_child {
    struct fab_list node;
    struct agent *agent;
    pid_t pid;
    int process_fd, output_fd;
    struct loop_watch *process, *output;
    uint64_t deadline_ns;
    void (*ended)(void *user, const struct agent_child_end *end); /* NULL: told or dropped */
    void *user;
    char *text;
    size_t text_bytes;
    void (*line)(void *user, const char *line, size_t bytes); /* NULL: the text is kept */
    uint64_t limit_ns;
};

static void child_free(struct agent_child *child)
{
    loop_unwatch(child->process);
    loop_unwatch(child->output);
    if (child->process_fd >= 0)
        (void)close(child->process_fd);
    if (child->output_fd >= 0)
        (void)close(child->output_fd);
    fab_list_remove(&child->node);
    free(child->text);
    free(child);
}

static void tell_ended(struct agent_child *child, const struct agent_child_end *end)
{
    void (*ended)(void *user, const struct agent_child_end *end) = child->ended;

    child->ended = NULL;
    if (ended)
        ended(child->user, end);
}

/* Tells whole lines, and keeps the beginning of the next. */
static void tell_lines(struct agent_child *child)
{
    char *text = child->text, *end;
    size_t left = child->text_bytes;

    while (child->ended && (end = memchr(text, '\n', left))) {
        const size_t bytes = (size_t)(end - text);

        *end = '\0';
        child->deadline_ns = fab_deadline_ns(agent_now_ns(child->agent), child->limit_ns);
        child->line(child->user, text, bytes);
        text = end + 1;
        left -= bytes + 1;
    }
    memmove(child->text, text, left);
    child->text_bytes = left;
}

/* False: there is no more now, or it ended. */
static bool take_output(struct agent_child *child)
{
    char *text;
    ssize_t got;

    if (child->output_fd < 0)
        return false;
    text = fab_alloc_resize(child->text, child->text_bytes + READ_BYTES + 1, 1);
    if (!text)
        return false;
    child->text = text;
    got = read(child->output_fd, text + child->text_bytes, READ_BYTES);
    if (got > 0 && child->text_bytes + (size_t)got <= AGENT_OUTPUT_BYTES) {
        child->text_bytes += (size_t)got;
        if (child->line)
            tell_lines(child);
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    loop_unwatch(child->output); /* its end, or more than anybody wants */
    child->output = NULL;
    return false;
}

static void on_output(void *user, uint32_t events)
{
    (void)events;
    (void)take_output(user);
}

static void on_process(void *user, uint32_t events)
{
    struct agent_child *child = user;
    struct agent_child_end end = {.is_overdue = false};

    (void)events;
    while (take_output(child))
        ; /* what it left behind */
    (void)waitpid(child->pid, &end.status, 0);
    if (child->text)
        child->text[child->text_bytes] = '\0';
    end.output = child->text ? child->text : "";
    end.output_bytes = child->text_bytes;
    tell_ended(child, &end);
    child_free(child);
}

static FAB_NORETURN void become_child(const struct agent *agent, int output_fd,
                                      int (*run)(const struct agent *agent, uint32_t argument),
                                      uint32_t argument)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(output_fd, STDOUT_FILENO) < 0)
        _exit(EXIT_FAILURE);
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, 0); /* nothing of the daemon's lives on in it */
    _exit(run(agent, argument));
}

static bool watch_child(struct agent_child *child, struct fab_err *err)
{
    child->process_fd = pidfd_open(child->pid, 0);
    return child->process_fd >= 0 &&
           loop_watch(child->agent->loop, child->process_fd, EPOLLIN, on_process, child,
                      &child->process, err) == FAB_OK &&
           loop_watch(child->agent->loop, child->output_fd, EPOLLIN, on_output, child,
                      &child->output, err) == FAB_OK;
}

enum fab_status agent_child_start(struct agent *agent, uint64_t limit_ns,
                                  int (*run)(const struct agent *agent, uint32_t argument),
                                  uint32_t argument,
                                  void (*ended)(void *user, const struct agent_child_end *end),
                                  void *user, struct agent_child **child_out, struct fab_err *err)
{
    struct agent_child *child = fab_alloc_zeroed(1, sizeof(*child));
    int ends[2];

    if (!child)
        return fab_err_set(err, FAB_ERR_NOMEM, "a child");
    if (pipe2(ends, O_CLOEXEC) != 0) {
        free(child);
        return fab_err_errno(err, errno, "a pipe to a child");
    }
    *child = (struct agent_child){.agent = agent,
                                  .process_fd = -1,
                                  .output_fd = ends[0],
                                  .limit_ns = limit_ns,
                                  .deadline_ns = fab_deadline_ns(agent_now_ns(agent), limit_ns),
                                  .ended = ended,
                                  .user = user};
    fab_list_append(&agent->children, &child->node);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    child->pid = fork();
    if (child->pid == 0)
        become_child(agent, ends[1], run, argument);
    (void)close(ends[1]);
    if (child->pid < 0 || !watch_child(child, err)) {
        const enum fab_status status = fab_err_errno(err, errno, "starting a child");

        if (child->pid > 0) {
            (void)kill(child->pid, SIGKILL);
            (void)waitpid(child->pid, NULL, 0);
        }
        child_free(child);
        return status;
    }
    *child_out = child;
    return FAB_OK;
}

void agent_child_set_lines(struct agent_child *child,
                           void (*line)(void *user, const char *line, size_t bytes))
{
    child->line = line;
}

void agent_child_drop(struct agent_child *child)
{
    if (!child)
        return;
    child->ended = NULL;
    (void)kill(child->pid, SIGKILL); /* reaped when it is gone */
}

uint64_t agent_children_turn(struct agent *agent, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    FAB_LIST_EACH(at, after, &agent->children)
    {
        struct agent_child *child = fab_list_object(at, struct agent_child, node);

        if (child->ended && now_ns >= child->deadline_ns) {
            const struct agent_child_end end = {.is_overdue = true, .output = ""};

            (void)kill(child->pid, SIGKILL);
            tell_ended(child, &end);
            return now_ns; /* the list may have changed */
        }
        if (child->ended)
            next_ns = fab_earlier_ns(next_ns, child->deadline_ns);
    }
    return next_ns;
}

void agent_children_end(struct agent *agent)
{
    struct fab_list *node;

    while (!fab_list_is_empty(&agent->children)) {
        struct agent_child *child;
        struct pollfd poll_fd;

        node = agent->children.next;
        child = fab_list_object(node, struct agent_child, node);
        agent_child_drop(child);
        poll_fd = (struct pollfd){.fd = child->process_fd, .events = POLLIN};
        if (poll(&poll_fd, 1, END_WAIT_MS) > 0) /* else a driver holds it: init reaps it */
            (void)waitpid(child->pid, NULL, 0);
        child_free(child);
    }
}
