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
    KEY_SHARE = 'p',
    KEY_MEMORY = 'm',
    KEY_SERVERS = 'l',
    KEY_LOCAL = CLI_KEY_OWN,
    KEY_CONFIG,
    KEY_RAILS,
    KEY_DMR,
    RAILS_MAX = 7
};

static const struct argp_option options[] = {
    PLACE_OPTIONS("when the program ends"),
    {"rails", KEY_RAILS, "N", 0, "With --gpus: use N rails, on nodes that have so many", 0},
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
    struct place_target target;
    const char *config;
    bool is_local;
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_RAILS:
        arguments->target.rails = cli_number(cli, "--rails", text, RAILS_MAX);
        return true;
    case KEY_LOCAL:
        arguments->is_local = true;
        return true;
    case KEY_CONFIG:
        arguments->config = text;
        return true;
    default:
        return place_take(cli, &arguments->target, key, text);
    }
}

static void check(struct cli *cli, struct arguments *arguments)
{
    struct place_target *target = &arguments->target;

    if (target->system && (target->gpus || arguments->is_local))
        cli_misuse(cli, "--system excludes --gpus and --local");
    if (arguments->config && !arguments->is_local)
        cli_misuse(cli, "--config belongs to --local");
    if ((target->rails || target->wait_ms) && (!target->gpus || arguments->is_local))
        cli_misuse(cli, "--rails and --wait belong to --gpus");
    if (arguments->is_local && target->gpus && arguments->config)
        cli_misuse(cli, "--config says how many GPUs there are: leave --gpus out");
    if (target->gpus || arguments->is_local)
        return;
    if (!target->system)
        target->system = getenv("FABRIC_SYSTEM");
    if (!target->system || !target->system[0])
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
    } else if (arguments->target.gpus) {
        set[0] = cli_text("SOFTCUDA_DEVICES=%u", arguments->target.gpus);
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
    set[0] = place_system(cli, &arguments.target);
    return place_become(cli, "client", set, argv + first);
}
