/* SPDX-License-Identifier: Apache-2.0
 * perf/cuda-bench-side.c - see cuda-bench-side.h.
 */
#include "perf/cuda-bench-side.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { ARGUMENTS_MAX = 16, TEXT_BYTES = PATH_MAX };

extern char **environ;

static const char *const names[SIDE_COUNT] = {"native", "same host", "one rail", "two rails"};

/* The build folder: two above this program. */
static const char *build_folder(void)
{
    static char folder[PATH_MAX];
    ssize_t length;

    if (folder[0])
        return folder;
    length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
    if (length < 0)
        abort();
    folder[length] = '\0';
    for (int i = 0; i < 2; i++)
        *strrchr(folder, '/') = '\0';
    return folder;
}

struct command {
    char *argument[ARGUMENTS_MAX];
    size_t count;
    char text[ARGUMENTS_MAX][TEXT_BYTES];
};

static void add(struct command *command, const char *format, const char *value)
{
    char *text = command->text[command->count];

    /* Formats are literals of this file with at most one %s. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, TEXT_BYTES, format, value);
#pragma GCC diagnostic pop
    command->argument[command->count++] = text;
    command->argument[command->count] = NULL;
}

static void make_command(struct command *command, enum bench_side_kind kind, unsigned nodes,
                         unsigned devices, bool attach_only)
{
    char number[16];

    command->count = 0;
    if (kind != SIDE_NATIVE) {
        add(command, "%s/bin/remote-run", build_folder());
        (void)snprintf(number, sizeof(number), "%u", nodes);
        add(command, "--workers=%s", number);
        (void)snprintf(number, sizeof(number), "%u", devices);
        add(command, "--devices=%s", number);
        if (kind != SIDE_SAME_HOST)
            add(command, "--rails=%s", kind == SIDE_RAIL ? "1" : "2");
    }
    add(command, "%s/bin/cuda-guest", build_folder());
    add(command,
        kind == SIDE_NATIVE ? "%s/lib/softcuda/libcuda.so.1" : "%s/lib/client/libcuda.so.1",
        build_folder());
    if (attach_only)
        add(command, "%s", "attach");
}

bool bench_side_open(struct bench_side *side, enum bench_side_kind kind, unsigned nodes)
{
    posix_spawn_file_actions_t actions;
    static struct command command;
    int to[2], from[2], error;
    char line[16] = "";

    *side = (struct bench_side){.name = names[kind]};
    make_command(&command, kind, nodes, 1, false);
    /* No guest may hold another's: it would never see the end of its input. */
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return false;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    error = posix_spawn(&side->pid, command.argument[0], &actions, NULL, command.argument, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(to[0]);
    (void)close(from[1]);
    side->in = fdopen(to[1], "w");
    side->out = fdopen(from[0], "r");
    if (error != 0 || !side->in || !side->out || !fgets(line, sizeof(line), side->out) ||
        strcmp(line, "ready\n") != 0) {
        fprintf(stderr, "cuda-bench: %s did not start\n", side->name);
        return false;
    }
    return true;
}

double bench_side_ask(struct bench_side *side, const char *name, unsigned size, unsigned times)
{
    double answer = 0;

    fprintf(side->in, "%s %u %u\n", name, size, times);
    if (fflush(side->in) != 0 || fscanf(side->out, "%lf", &answer) != 1)
        return 0;
    return answer;
}

void bench_side_close(struct bench_side *side)
{
    if (side->in)
        (void)fclose(side->in);
    if (side->pid > 0)
        (void)waitpid(side->pid, NULL, 0);
    if (side->out)
        (void)fclose(side->out);
    *side = (struct bench_side){.name = side->name};
}

double bench_side_attach_ms(enum bench_side_kind kind, unsigned nodes, unsigned devices)
{
    const struct fab_clock *clock = fab_clock_real();
    static struct command command;
    int status = 0;
    uint64_t start;
    pid_t pid;

    make_command(&command, kind, nodes, devices, true);
    start = fab_clock_now_ns(clock);
    if (posix_spawn(&pid, command.argument[0], NULL, NULL, command.argument, environ) != 0)
        return 0;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return 0;
    return (double)(fab_clock_now_ns(clock) - start) / 1e6;
}
