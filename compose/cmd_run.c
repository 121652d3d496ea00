/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_run.c - compose run: start a program on a system, on GPUs of its own, or on softcuda.
 *
 * This process becomes the program, so its exit status is the program's and nothing stays behind
 * that could fail. An ad hoc system belongs to the process that asked for it: the agent holds its
 * pidfd, and execve() keeps it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "compose/commands.h"
#include "compose/place.h"

static int run(struct cli *cli, int argc, char **argv);

enum {
    KEY_SYSTEM = 's',
    KEY_GPUS = 'n',
    KEY_SHARE = 'p',
    KEY_MEMORY = 'm',
    KEY_SERVERS = 'l',
    KEY_HOST = CLI_KEY_OWN,
    KEY_LOCAL,
    KEY_CONFIG,
    KEY_WAIT,
    KEY_RAILS,
    KEY_DMR,
    RAILS_MAX = 7
};

static const struct argp_option options[] = {
    {"system", KEY_SYSTEM, "NAME", 0, "On this system (default: FABRIC_SYSTEM)", 0},
    {"gpus", KEY_GPUS, "N", 0, "On N GPUs that are given back when the program ends", 0},
    {"host", KEY_HOST, "HOST", 0, "This host's name, where it must be said", 0},
    {"rails", KEY_RAILS, "N", 0, "With --gpus: use N rails, on nodes that have so many", 0},
    {"wait", KEY_WAIT, "TIME", 0, "With --gpus: stand in line for so long (60s)", 0},
    {"local", KEY_LOCAL, NULL, 0, "On softcuda in the program: no daemon, no GPU", 0},
    {"config", KEY_CONFIG, "FILE", 0, "With --local: its devices (softcuda.conf(5))", 0},
    {"share", KEY_SHARE, "SHARE", OPTION_HIDDEN, NULL, 0},        /* not yet */
    {"memory", KEY_MEMORY, "SIZE", OPTION_HIDDEN, NULL, 0},       /* not yet */
    {"servers", KEY_SERVERS, "HOST,...", OPTION_HIDDEN, NULL, 0}, /* not yet */
    {"dmr", KEY_DMR, NULL, OPTION_HIDDEN, NULL, 0},               /* not yet */
    {0},
};

const struct cli_command cmd_run = {
    .name = "run",
    .arguments = "[-s NAME | --gpus N | --local] -- PROGRAM [ARGUMENT...]",
    .help = "Run a CUDA program on remote GPUs",
    .more = "All behind PROGRAM is the program's, and its exit status is the command's: 127 where "
            "there is no such program, 126 where it cannot be started, 1 where it got no GPUs.",
    .options = options,
    .flags = CLI_IN_ORDER,
    .run = run,
};

struct arguments {
    const char *system, *host, *config;
    uint32_t gpus, rails;
    uint64_t wait_ms;
    bool is_local;
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
    case KEY_RAILS:
        arguments->rails = cli_number(cli, "--rails", text, RAILS_MAX);
        return true;
    case KEY_WAIT:
        arguments->wait_ms = cli_milliseconds(cli, "--wait", text);
        return true;
    case KEY_LOCAL:
        arguments->is_local = true;
        return true;
    case KEY_CONFIG:
        arguments->config = text;
        return true;
    default:
        return false;
    }
}

static void check(struct cli *cli, struct arguments *arguments)
{
    if (arguments->system && (arguments->gpus || arguments->is_local))
        cli_misuse(cli, "--system excludes --gpus and --local");
    if (arguments->config && !arguments->is_local)
        cli_misuse(cli, "--config belongs to --local");
    if ((arguments->rails || arguments->wait_ms) && (!arguments->gpus || arguments->is_local))
        cli_misuse(cli, "--rails and --wait belong to --gpus");
    if (arguments->is_local && arguments->gpus && arguments->config)
        cli_misuse(cli, "--config says how many GPUs there are: leave --gpus out");
    if (arguments->gpus || arguments->is_local)
        return;
    if (!arguments->system)
        arguments->system = getenv("FABRIC_SYSTEM");
    if (!arguments->system || !arguments->system[0])
        cli_misuse(cli, "on which GPUs? Name a system with -s, or ask for some with --gpus");
}

static int run_local(struct cli *cli, const struct arguments *arguments, char **program)
{
    const char *set[3] = {NULL, NULL, NULL};
    char *path;

    if (arguments->config) {
        path = realpath(arguments->config, NULL);
        if (!path)
            cli_misuse(cli, "there is no file '%s'", arguments->config);
        set[0] = cli_text("SOFTCUDA_CONFIG=%s", path);
    } else if (arguments->gpus) {
        set[0] = cli_text("SOFTCUDA_DEVICES=%u", arguments->gpus);
        set[1] = "SOFTCUDA_CONFIG="; /* the default kind, whatever was set outside */
    }
    return place_become(cli, "softcuda", set, program);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {0};
    struct fab_err err = {0};
    enum fab_status status;
    const char *set[3] = {NULL, NULL, NULL};
    int first = cli_parse(cli, argc, argv, take, &arguments);

    if (first >= argc)
        cli_misuse(cli, "which program?");
    check(cli, &arguments);
    status = place_program_find(argv[first], &err); /* before GPUs are taken for it */
    if (status != FAB_OK)
        return place_not_started(cli, status, &err);
    if (arguments.is_local)
        return run_local(cli, &arguments, argv + first);
    set[1] = place_attach_socket(cli); /* refuses what is far away */
    if (arguments.gpus)
        arguments.system =
            place_compose(cli, arguments.host, arguments.gpus, arguments.rails, arguments.wait_ms);
    else
        place_check_system(cli, arguments.system, arguments.host);
    set[0] = cli_text("FABRIC_SYSTEM=%s", arguments.system);
    return place_become(cli, "client", set, argv + first);
}
