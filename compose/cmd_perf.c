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

enum { KEY_SYSTEM = 's', KEY_GPUS = 'n', KEY_HOST = CLI_KEY_OWN, KEY_WAIT, GPUS_USUAL = 2 };

static const struct argp_option options[] = {
    {"system", KEY_SYSTEM, "NAME", 0, "On this system (default: FABRIC_SYSTEM)", 0},
    {"gpus", KEY_GPUS, "N", 0, "On N GPUs that are given back at the end (2)", 0},
    {"host", KEY_HOST, "HOST", 0, "This host's name, where it must be said", 0},
    {"wait", KEY_WAIT, "TIME", 0, "With --gpus: stand in line for so long (60s)", 0},
    {0},
};

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

struct arguments {
    const char *system, *host;
    uint32_t gpus;
    uint64_t wait_ms;
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_SYSTEM:
        arguments->system = text;
        return true;
    case KEY_GPUS:
        arguments->gpus = cli_number(cli, "--gpus", text, COMPOSE_GPUS_MAX);
        return true;
    case KEY_HOST:
        arguments->host = text;
        return true;
    case KEY_WAIT:
        arguments->wait_ms = cli_milliseconds(cli, "--wait", text);
        return true;
    default:
        return false;
    }
}

/* The system may be a plain argument, as for other commands. */
static void choose_system(struct cli *cli, struct arguments *arguments, int argc, char **argv,
                          int *first)
{
    const char *usual = getenv("FABRIC_SYSTEM");

    if (*first < argc && argv[*first][0] != '-') {
        if (arguments->system)
            cli_misuse(cli, "two systems: %s and %s", arguments->system, argv[*first]);
        arguments->system = argv[(*first)++];
    }
    if (arguments->system && (arguments->gpus || arguments->wait_ms))
        cli_misuse(cli, "a system has its GPUs: leave --gpus and --wait out");
    if (!arguments->system && !arguments->gpus && usual && usual[0])
        arguments->system = usual;
    if (!arguments->system && !arguments->gpus)
        arguments->gpus = GPUS_USUAL;
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
    struct arguments arguments = {0};
    const char *set[3] = {NULL, NULL, NULL};
    int first = cli_parse(cli, argc, argv, take, &arguments);
    char **command;

    choose_system(cli, &arguments, argc, argv, &first);
    if (first < argc && strcmp(argv[first], "--") == 0)
        first++;
    set[1] = place_attach_socket(cli); /* refuses what is far away */
    command = make_command(cli, arguments.system ? arguments.system : "adhoc", argv + first,
                           argc - first);
    if (arguments.system)
        place_check_system(cli, arguments.system, arguments.host);
    else
        arguments.system = place_compose(cli, arguments.host, arguments.gpus, 0, arguments.wait_ms);
    set[0] = cli_text("FABRIC_SYSTEM=%s", arguments.system);
    return place_become(cli, "client", set, command);
}
