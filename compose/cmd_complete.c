/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_complete.c - what the shell's completion asks: candidates for the last word.
 *
 *     compose __complete WORD... CURRENT
 *
 * All comes from the table of commands, so completion cannot be out of date. Names of systems and
 * nodes are asked of the daemon; where it is away there are none, and nothing is said.
 */
#include <stdio.h>
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

const struct cli_command cmd_complete = {
    .name = "__complete",
    .arguments = "WORD...",
    .help = "Candidates for a shell",
    .flags = CLI_HIDDEN,
    .run = run,
};

static void offer(const char *word, const char *current)
{
    if (strncmp(word, current, strlen(current)) == 0)
        printf("%s\n", word);
}

static void offer_options(const struct argp_option *options, const char *current)
{
    char word[64];

    for (; options && (options->name || options->key); options++) {
        if (!options->name || (options->flags & OPTION_HIDDEN))
            continue;
        (void)snprintf(word, sizeof(word), "--%s", options->name);
        offer(word, current);
    }
}

static void offer_members(struct cli *cli, const char *path, const char *type, const char *current)
{
    const json_t *members;
    json_t *answer = NULL;

    if ((!cli->compose && compose_open(&cli->options, &cli->compose, NULL) != COMPOSE_OK) ||
        compose_ask_json(cli->compose, "GET", path, NULL, &answer, NULL) != COMPOSE_OK)
        return;
    members = compose_array_at(answer, "Members");
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);

        if (!type || strcmp(compose_text_at(member, "SystemType", ""), type) == 0)
            offer(compose_text_at(member, "Id", ""), current);
    }
    json_decref(answer);
}

static void offer_words(struct cli *cli, enum cli_words words, const char *current)
{
    static const char systems[] = "/redfish/v1/Systems?$expand=.";

    switch (words) {
    case CLI_WORDS_SYSTEM:
        offer_members(cli, systems, "Composed", current);
        break;
    case CLI_WORDS_GPU:
        offer_members(cli, "/redfish/v1/CompositionService/ResourceBlocks?$expand=.", NULL,
                      current);
        offer_members(cli, systems, "Physical", current);
        break;
    case CLI_WORDS_NODE:
        offer_members(cli, systems, "Physical", current);
        break;
    case CLI_WORDS_NONE:
        break;
    }
}

static void offer_commands(const char *current)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (!(cli_commands[i]->flags & (CLI_HIDDEN | CLI_NOT_YET)))
            offer(cli_commands[i]->name, current);
}

/* The value that an option takes, where it is a name we know. True: it takes one. */
static bool offer_value(struct cli *cli, const struct argp_option *options, const char *before,
                        const char *current)
{
    for (; options && (options->name || options->key); options++) {
        const bool is_long = strncmp(before, "--", 2) == 0 && options->name &&
                             strcmp(before + 2, options->name) == 0;
        const bool is_short = before[0] == '-' && before[1] == options->key && !before[2];

        if (!options->arg || (!is_long && !is_short))
            continue;
        if (strcmp(options->name, "system") == 0)
            offer_words(cli, CLI_WORDS_SYSTEM, current);
        else if (strcmp(options->name, "host") == 0 || strcmp(options->name, "node") == 0)
            offer_words(cli, CLI_WORDS_NODE, current);
        return true;
    }
    return false;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = NULL;
    const char *current = argv[argc - 1];
    char **copy = argv; /* an alias gets others */
    int words = argc, at = 1;

    if (argc < 2)
        cli_misuse(cli, "the words of the command line are missing");
    for (; at < argc - 1 && !command; at++)
        command = cli_find(argv[at], &words, &copy);
    if (argc > 2 && (offer_value(cli, command ? command->options : NULL, argv[argc - 2], current) ||
                     offer_value(cli, cli_common_options, argv[argc - 2], current)))
        return CLI_DONE;
    if (current[0] == '-') {
        offer_options(command ? command->options : NULL, current);
        offer_options(cli_common_options, current);
    } else if (!command) {
        offer_commands(current);
    } else if (command->verbs && at == argc - 1) {
        for (size_t i = 0; command->verbs[i]; i++)
            offer(command->verbs[i], current);
    } else {
        offer_words(cli, command->words, current);
    }
    return CLI_DONE;
}
