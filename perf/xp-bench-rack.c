/* SPDX-License-Identifier: Apache-2.0
 * perf/xp-bench-rack.c - see xp-bench-rack.h.
 */
#include "perf/xp-bench-rack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

enum {
    OUTPUT_BYTES = 256 << 10,
    ARGUMENTS_MAX = 32,
    TRIES = 100,
    TRY_NS = 20000000,
    WORDS_BYTES = 2000
};

static const char *ucx_tls = "tcp"; /* of the next programs */
static void (*child_setup)(void);

void bench_set_child_setup(void (*setup)(void))
{
    child_setup = setup;
}

/* In a child: becomes the program, in a namespace of the rack ("2", "switch0"). */
static void become(const char *space, int out, const char *const *arguments)
{
    char path[128], *copies[ARGUMENTS_MAX + 1] = {NULL};
    int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (child_setup)
        child_setup();
    (void)snprintf(path, sizeof(path), "%s/%s.net", getenv("RACK_RUN"), space);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0 || unshare(CLONE_NEWNS) != 0 ||
        (mount("sysfs", "/sys", "sysfs", 0, NULL) != 0 && errno != EBUSY)) /* is there already */
        _exit(126);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(out >= 0 ? out : null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    (void)setenv("UCX_TLS", ucx_tls, 1);
    (void)setenv("UCX_NET_DEVICES", strcmp(ucx_tls, "tcp") == 0 ? "rail0" : "all", 1);
    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i]; i++)
        copies[i] = strdup(arguments[i]);
    (void)execvp(copies[0], copies);
    _exit(127);
}

static pid_t start(const char *space, int out, const char *const *arguments)
{
    pid_t pid = fork();

    if (pid == 0)
        become(space, out, arguments);
    return pid;
}

static bool finish(pid_t pid)
{
    int status = 1;

    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && status == 0;
}

static bool run(const char *space, const char *const *arguments)
{
    return finish(start(space, -1, arguments));
}

/* Runs it and keeps what it prints. */
static bool run_and_read(const char *space, char *text, const char *const *arguments)
{
    int fds[2];
    pid_t pid;
    size_t used = 0;
    ssize_t got = 1;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    pid = start(space, fds[1], arguments);
    (void)close(fds[1]);
    while (got > 0 && used < OUTPUT_BYTES - 1) {
        got = read(fds[0], text + used, OUTPUT_BYTES - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    text[used] = '\0';
    (void)close(fds[0]);
    return finish(pid);
}

static bool has_ended(pid_t pid)
{
    return pid > 0 && waitpid(pid, NULL, WNOHANG) == pid;
}

/* Ends a server that serves one client but did not notice that this one is through. */
static void dismiss(pid_t pid)
{
    for (int i = 0; i < TRIES && pid > 0; i++) {
        if (has_ended(pid))
            return;
        (void)nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
    }
    if (pid > 0)
        (void)kill(pid, SIGKILL);
    (void)finish(pid);
}

/* The same with a server on host 2 that serves one client; the client tries until it is there and
 * the output has the word, since iperf3 -J ends with 0 also when nobody listens yet. A client that
 * has reached the server and failed takes it along: then there is another. */
static bool run_pair(char *text, const char *word, const char *const *server,
                     const char *const *client)
{
    pid_t pid = start("2", -1, server);
    bool done = false;

    for (int i = 0; i < TRIES && !done; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
        done = run_and_read("1", text, client) && strstr(text, word);
        if (!done && has_ended(pid)) {
            (void)fprintf(stderr, "%s failed, once more: %.*s\n", client[0], WORDS_BYTES, text);
            pid = start("2", -1, server);
        }
    }
    dismiss(pid);
    if (!done)
        (void)fprintf(stderr, "%s does not work: %.*s\n", client[0], WORDS_BYTES, text);
    return done;
}

/* ---------------------------------------------------------------- the hosts */

void bench_enter_rack(unsigned hosts, int count, char **arguments)
{
    char self[PATH_MAX], script[] = XP_BENCH_RACK, run_word[] = "run", number[16];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char **all = calloc((size_t)count + 4, sizeof(*all));

    if (bytes < 0 || !all)
        return;
    self[bytes] = '\0';
    (void)snprintf(number, sizeof(number), "%u", hosts);
    all[0] = script;
    all[1] = run_word;
    all[2] = number;
    all[3] = self;
    for (int i = 1; i < count; i++)
        all[3 + i] = arguments[i];
    (void)execv(script, all);
    perror(script); /* a build that was moved */
    free(all);
}

bool bench_set_rate(unsigned rail, const char *rate)
{
    const char *count = getenv("RACK_HOSTS");
    bool done = true;
    char device[16], host[24];

    (void)snprintf(device, sizeof(device), "rail%u", rail);
    for (long i = 1; i <= (count ? strtol(count, NULL, 10) : 0); i++) {
        (void)snprintf(host, sizeof(host), "%ld", i);
        (void)run(host, (const char *[]){"tc", "qdisc", "del", "dev", device, "root", NULL});
        if (rate)
            done = run(host,
                       (const char *[]){"tc", "qdisc", "add", "dev", device, "root", "tbf", "rate",
                                        rate, "burst", "256k", "latency", "50ms", NULL}) &&
                   done;
    }
    return done;
}

bool bench_set_link(unsigned rail, unsigned host, bool up)
{
    char space[16], port[16];

    (void)snprintf(space, sizeof(space), "switch%u", rail);
    (void)snprintf(port, sizeof(port), "p%u", host);
    return run(space, (const char *[]){"ip", "link", "set", port, up ? "up" : "down", NULL});
}

/* ---------------------------------------------------------------- foreign programs */

/* A column of the last line of ucx_perftest -v. `wait` is the way of waiting that serves the test
 * best: polling ends make tcp's bandwidth several times less. */
static double perftest(const char *test, const char *wait, size_t size_bytes, unsigned count,
                       int column)
{
    static char text[OUTPUT_BYTES];
    char size[24], iterations[16], *line = text, *next;

    (void)snprintf(size, sizeof(size), "%zu", size_bytes);
    (void)snprintf(iterations, sizeof(iterations), "%u", count);
    if (!run_pair(text, "", (const char *[]){"ucx_perftest", "-t", test, NULL},
                  (const char *[]){"ucx_perftest", "10.77.0.2", "-t", test, "-s", size, "-n",
                                   iterations, "-w", "10", "-f", "-v", "-E", wait, NULL}))
        return 0;
    while ((next = strchr(line, '\n')) != NULL && next[1] != '\0')
        line = next + 1;
    for (; column > 0; column--) {
        line = strchr(line, ',');
        if (!line)
            return 0;
        line++;
    }
    return strtod(line, NULL);
}

double bench_perftest_latency_us(size_t size_bytes, unsigned count)
{
    return perftest("ucp_am_lat", "poll", size_bytes, count, 1);
}

double bench_perftest_shm_latency_us(size_t size_bytes, unsigned count)
{
    double half_us;

    ucx_tls = "posix";
    half_us = bench_perftest_latency_us(size_bytes, count);
    ucx_tls = "tcp";
    return half_us;
}

double bench_perftest_bandwidth(size_t size_bytes, unsigned count)
{
    return perftest("ucp_am_bw", "sleep", size_bytes, count, 5) * (1 << 20);
}

double bench_iperf3(unsigned rail, unsigned seconds)
{
    static char text[OUTPUT_BYTES];
    char address[16], duration[16];
    const json_t *value;
    json_t *root;
    double bits = 0;

    (void)snprintf(address, sizeof(address), "10.77.%u.2", rail);
    (void)snprintf(duration, sizeof(duration), "%u", seconds);
    if (!run_pair(text, "\"sum_received\"", (const char *[]){"iperf3", "-s", "-1", NULL},
                  (const char *[]){"iperf3", "-c", address, "-t", duration, "-J", NULL}) ||
        fab_json_load(text, strlen(text), "iperf3", NULL, &root, NULL) != FAB_OK)
        return 0;
    if (fab_json_get(root, "end.sum_received.bits_per_second", &value, NULL) == FAB_OK)
        bits = json_number_value(value);
    json_decref(root);
    return bits / 8;
}
