/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_perf.c - compose perf: the copy suite on a system, or on GPUs of its own.
 *
 * fabric-perf(1) measures, prints and writes; this command gives it GPUs, as `compose run` does,
 * and a name for the report. Its own options stand before the system or `--`, fabric-perf's behind.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "compose/commands.h"
#include "compose/place.h"

static int run(struct cli *cli, int argc, char **argv);

enum { GPUS_USUAL = 2 };

static const struct argp_option options[] = {PLACE_OPTIONS("at the end (2)"), {0}};

const struct cli_command cmd_perf = {
    .name = "perf",
    .arguments = "[NAME] [--] [OPTION of fabric-perf...]",
    .help = "Measure copies and launches on remote GPUs",
    .more = "Without a system: on GPUs that are composed for it. The report is "
            "fabric-perf-NAME.html in this folder unless -o says otherwise; fabric-perf(1) has the "
            "other options.",
    .options = options,
    .flags = CLI_IN_ORDER,
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    return place_take(cli, input, key, text);
}

/* The system may be a plain argument, as for other commands. */
static void choose_system(struct cli *cli, struct place_target *target, int argc, char **argv,
                          int *first)
{
    const char *usual = getenv("FABRIC_SYSTEM");

    if (*first < argc && argv[*first][0] != '-') {
        if (target->system)
            cli_misuse(cli, "two systems: %s and %s", target->system, argv[*first]);
        target->system = argv[(*first)++];
    }
    if (target->system && (target->gpus || target->wait_ms))
        cli_misuse(cli, "a system has its GPUs: leave --gpus and --wait out");
    if (!target->system && !target->gpus && usual && usual[0])
        target->system = usual;
    if (!target->system && !target->gpus)
        target->gpus = GPUS_USUAL;
}

/* Beside this program. */
static char *find_program(struct cli *cli)
{
    char self[PATH_MAX];
    struct fab_err err = {0};
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *path;

    if (length < 0)
        cli_exit(cli_fail(cli, "/proc/self/exe cannot be read"));
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    path = cli_text("%s/fabric-perf", self);
    if (place_program_find(path, &err) != FAB_OK)
        cli_exit(cli_fail(cli, "%s (package fabricd-client)", err.text));
    return path;
}

/* What the caller says stands last, and so counts. */
static char **make_command(struct cli *cli, const char *label, char **rest, int count)
{
    char **all = calloc((size_t)count + 9, sizeof(*all));
    size_t used = 0;

    if (!all)
        cli_exit(cli_fail(cli, "no memory"));
    all[used++] = find_program(cli);
    all[used++] = cli_text("--label=%s", label);
    all[used++] = cli_text("--html=fabric-perf-%s.html", label);
    if (cli->is_json)
        all[used++] = cli_text("--json=-");
    memcpy(all + used, rest, (size_t)count * sizeof(*all));
    return all;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct place_target target = {0};
    const char *set[3] = {NULL, NULL, NULL};
    int first = cli_parse(cli, argc, argv, take, &target);
    char **command;

    choose_system(cli, &target, argc, argv, &first);
    if (first < argc && strcmp(argv[first], "--") == 0)
        first++;
    set[1] = place_attach_socket(cli); /* refuses what is far away */
    command =
        make_command(cli, target.system ? target.system : "adhoc", argv + first, argc - first);
    set[0] = place_system(cli, &target);
    return place_become(cli, "client", set, command);
}
