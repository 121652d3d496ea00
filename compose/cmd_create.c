/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_create.c - compose create: GPUs for a host, all or none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum {
    KEY_GPUS = 'n',
    KEY_HOST = CLI_KEY_OWN,
    KEY_NAME,
    KEY_RAILS,
    KEY_PACK,
    KEY_SPREAD,
    KEY_WAIT,
    KEY_SHARE,
    KEY_MEMORY,
    KEY_DMR,
    RAILS_MAX = 7
};

static const struct argp_option options[] = {
    {"gpus", KEY_GPUS, "N", 0, "How many, 1 to 64", 0},
    {"host", KEY_HOST, "HOST,...", 0, "Who gets them, evenly (default: this host)", 0},
    {"name", KEY_NAME, "NAME", 0, "The system's name (default: one is made)", 0},
    {"rails", KEY_RAILS, "N", 0, "Use N rails, on nodes that have so many (default: all)", 0},
    {"pack", KEY_PACK, NULL, 0, "On as few nodes as can be", 0},
    {"spread", KEY_SPREAD, NULL, 0, "On as many nodes as can be", 0},
    {"wait", KEY_WAIT, "TIME", 0, "Stand in line for so long (60s) if too few are free", 0},
    {"share", KEY_SHARE, "SHARE", OPTION_HIDDEN, NULL, 0},  /* not yet */
    {"memory", KEY_MEMORY, "SIZE", OPTION_HIDDEN, NULL, 0}, /* not yet */
    {"dmr", KEY_DMR, NULL, OPTION_HIDDEN, NULL, 0},         /* not yet */
    {0},
};

const struct cli_command cmd_create = {
    .name = "create",
    .arguments = "--gpus N [--host HOST,...]",
    .help = "Compose a system from free GPUs",
    .more = "The system's name is printed when its GPUs are composed and checked: all of them, or "
            "none and the reason. The same request for a name of yours that exists already is done "
            "at once.",
    .options = options,
    .run = run,
};

struct arguments {
    struct compose_request request;
    bool has_host;
    char *hosts; /* as given */
};

static void set_strategy(struct cli *cli, struct compose_request *request, const char *strategy)
{
    if (request->strategy)
        cli_misuse(cli, "--pack and --spread exclude each other");
    request->strategy = strategy;
}

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;
    struct compose_request *request = &arguments->request;

    switch (key) {
    case KEY_GPUS:
        request->gpus = cli_number(cli, "--gpus", text, COMPOSE_GPUS_MAX);
        return true;
    case KEY_HOST:
        request->hosts = cli_split(cli, "--host", text, &request->host_count);
        arguments->hosts = text;
        return true;
    case KEY_NAME:
        if (!text[0] || strlen(text) >= COMPOSE_NAME_BYTES)
            cli_misuse(cli, "--name takes a name of 1 to %d characters", COMPOSE_NAME_BYTES - 1);
        request->name = text;
        return true;
    case KEY_RAILS:
        request->rails = cli_number(cli, "--rails", text, RAILS_MAX);
        return true;
    case KEY_PACK:
    case KEY_SPREAD:
        set_strategy(cli, request, key == KEY_PACK ? "pack" : "spread");
        return true;
    case KEY_WAIT:
        request->wait_ms = cli_milliseconds(cli, "--wait", text);
        return true;
    default:
        return false;
    }
}

static void check(struct cli *cli, const struct arguments *arguments)
{
    const struct compose_request *request = &arguments->request;

    if (request->gpus == 0)
        cli_misuse(cli, "how many GPUs? --gpus takes a number from 1 to %d", COMPOSE_GPUS_MAX);
    for (size_t i = 0; i < request->host_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(request->hosts[i], request->hosts[k]) == 0)
                cli_misuse(cli, "--host names %s twice", request->hosts[i]);
    if (request->host_count > 0 && request->gpus % request->host_count != 0)
        cli_misuse(cli, "%u GPUs cannot be split evenly over %zu hosts", request->gpus,
                   request->host_count);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {0};
    struct compose_system *system = NULL;
    struct compose_error error;
    const char *this_host;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    check(cli, &arguments);
    if (arguments.request.host_count == 0) {
        this_host = arguments.hosts = cli_text("%s", cli_this_node(cli));
        arguments.request.hosts = &this_host;
        arguments.request.host_count = 1;
    }
    cli_progress(cli,
                 cli_text("composing %u GPUs for %s", arguments.request.gpus, arguments.hosts));
    if (compose_create(cli_open(cli), &arguments.request, &system, &error) != COMPOSE_OK)
        cli_end(cli, &error);
    cli_progress(cli, NULL);
    if (cli->is_json)
        return cli_json(cli_pack("{ss ss sI sI}", "name", system->name, "state", system->state,
                                 "gpus", (json_int_t)system->gpu_count, "created_ms",
                                 (json_int_t)system->created_ms));
    fprintf(stderr, "%zu GPUs for %s; start programs with: compose run -s %s -- PROGRAM\n",
            system->gpu_count, arguments.hosts, system->name);
    printf("%s\n", system->name);
    compose_system_free(system);
    return CLI_DONE;
}
