/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_delete.c - compose delete: end programs of a system and give its GPUs back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

const struct cli_command cmd_delete = {
    .name = "delete",
    .arguments = "NAME...",
    .help = "Give the GPUs of systems back",
    .more = "Returns when their memory is cleared and they are free. Programs that still use them "
            "get a device error.",
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

struct arguments {
    char **names;
    int count;
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    if (key != ARGP_KEY_ARG)
        return false;
    for (int i = 0; i < arguments->count; i++)
        if (strcmp(arguments->names[i], text) == 0)
            cli_misuse(cli, "%s is named twice", text);
    arguments->names[arguments->count++] = text;
    return true;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {.names = calloc((size_t)argc, sizeof(char *))};
    json_t *rows = cli_pack("[]");
    int status = CLI_DONE;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    if (arguments.count == 0)
        cli_misuse(cli, "which system? 'compose list' shows their names");
    for (int i = 0; i < arguments.count; i++) {
        struct compose_error error;

        cli_progress(cli, cli_text("releasing %s", arguments.names[i]));
        if (compose_delete(cli_open(cli), arguments.names[i], &error) != COMPOSE_OK)
            status = cli_fail(cli, "%s", error.message); /* the others go all the same */
        else
            cli_append(rows, cli_pack("{ss ss}", "name", arguments.names[i], "state", "deleted"));
        cli_progress(cli, NULL);
    }
    if (cli->is_json)
        (void)cli_json(rows);
    else
        json_decref(rows);
    free(arguments.names);
    return status;
}
