/* SPDX-License-Identifier: Apache-2.0
 * perf/cuda-bench-side.c - see cuda-bench-side.h.
 */
#include "perf/cuda-bench-side.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
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
                         unsigned devices, const char *driver, bool attach_only)
{
    char number[16];

    command->count = 0;
    if (kind != SIDE_NATIVE) {
        add(command, "%s/bin/remote-run", build_folder());
        (void)snprintf(number, sizeof(number), "%u", nodes);
        add(command, "--workers=%s", number);
        (void)snprintf(number, sizeof(number), "%u", devices);
        add(command, "--devices=%s", number);
        if (driver)
            add(command, "--driver=%s", driver);
        if (kind != SIDE_SAME_HOST)
            add(command, "--rails=%s", kind == SIDE_RAIL ? "1" : "2");
    }
    add(command, "%s/bin/cuda-guest", build_folder());
    if (kind != SIDE_NATIVE)
        add(command, "%s/lib/client/libcuda.so.1", build_folder());
    else if (driver)
        add(command, "%s", driver);
    else
        add(command, "%s/lib/softcuda/libcuda.so.1", build_folder());
    if (attach_only)
        add(command, "%s", "attach");
}

bool bench_side_open(struct bench_side *side, enum bench_side_kind kind, unsigned nodes,
                     const char *driver)
{
    posix_spawn_file_actions_t actions;
    static struct command command;
    int to[2], from[2], error;
    char line[16] = "";

    *side = (struct bench_side){.name = names[kind]};
    make_command(&command, kind, nodes, 1, driver, false);
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

/* On-CPU nanoseconds of a task, if it is called that. */
static double task_ns(const char *folder, const char *task, const char *name)
{
    char path[PATH_MAX], text[64] = "";
    double used_ns = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s/comm", folder, task);
    file = fopen(path, "re"); /* it may have ended */
    if (file && fgets(text, sizeof(text), file))
        text[strcspn(text, "\n")] = '\0';
    if (file)
        (void)fclose(file);
    if (strcmp(text, name) != 0)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s/schedstat", folder, task);
    file = fopen(path, "re");
    if (file && fscanf(file, "%lf", &used_ns) != 1)
        used_ns = 0;
    if (file)
        (void)fclose(file);
    return used_ns;
}

static double tasks_ns(long pid, const char *name)
{
    char folder[64];
    const struct dirent *entry;
    double used_ns = 0;
    DIR *tasks;

    (void)snprintf(folder, sizeof(folder), "/proc/%ld/task", pid);
    tasks = opendir(folder);
    while (tasks && (entry = readdir(tasks)) != NULL)
        used_ns += task_ns(folder, entry->d_name, name);
    if (tasks)
        (void)closedir(tasks);
    return used_ns;
}

/* The workers are remote-run's children, of whichever of its threads. */
double bench_side_worker_us(const struct bench_side *side)
{
    char pattern[64];
    double used_ns = 0;
    glob_t found;

    (void)snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/children", (int)side->pid);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *file = fopen(found.gl_pathv[i], "re");
        long child;

        while (file && fscanf(file, "%ld", &child) == 1)
            used_ns += tasks_ns(child, "cudas-lead");
        if (file)
            (void)fclose(file);
    }
    globfree(&found);
    return used_ns / 1e3;
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

double bench_side_attach_ms(enum bench_side_kind kind, unsigned nodes, unsigned devices,
                            const char *driver)
{
    const struct fab_clock *clock = fab_clock_real();
    static struct command command;
    int status = 0;
    uint64_t start;
    pid_t pid;

    make_command(&command, kind, nodes, devices, driver, true);
    start = fab_clock_now_ns(clock);
    if (posix_spawn(&pid, command.argument[0], NULL, NULL, command.argument, environ) != 0)
        return 0;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return 0;
    return (double)(fab_clock_now_ns(clock) - start) / 1e6;
}
