/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_env.c - compose env: lines for a shell, after which its programs use a system.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose/commands.h"
#include "compose/place.h"

static int run(struct cli *cli, int argc, char **argv);

const struct cli_command cmd_env = {
    .name = "env",
    .arguments = "NAME",
    .help = "Print what puts a shell's programs on a system",
    .more = "Use it as: eval \"$(compose env train)\"",
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

static bool take(struct cli *cli, void *arguments, int key, char *text)
{
    const char **name = arguments;

    (void)cli;
    if (key != ARGP_KEY_ARG || *name)
        return false;
    *name = text;
    return true;
}

static int print_json(char *const *environment)
{
    json_t *root = cli_pack("{}");

    for (; *environment; environment++) {
        const char *value = strchr(*environment, '=') + 1;
        char *name = cli_text("%.*s", (int)(value - *environment - 1), *environment);

        if (json_object_set_new(root, name, json_string(value)) != 0)
            return CLI_FAILED;
        free(name);
    }
    return cli_json(root);
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *name = NULL, *set[3] = {NULL, NULL, NULL};
    struct place_libraries libraries;
    struct fab_err err = {0};
    char **environment = NULL;

    (void)cli_parse(cli, argc, argv, take, &name);
    if (!name)
        cli_misuse(cli, "which system? 'compose list' shows their names");
    set[1] = place_attach_socket(cli);
    place_check_system(cli, name, /* host: this one */ NULL);
    set[0] = cli_text("FABRIC_SYSTEM=%s", name);
    if (place_libraries_find("client", &libraries, &err) != FAB_OK ||
        place_environment(&libraries, set, &environment, &err) != FAB_OK)
        return cli_fail(cli, "%s", err.text);
    if (cli->is_json)
        return print_json(environment);
    for (size_t i = 0; environment[i]; i++) {
        char *value = strchr(environment[i], '=');

        *value++ = '\0';
        place_print_export(stdout, environment[i], value);
    }
    return CLI_DONE;
}
