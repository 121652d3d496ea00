/* SPDX-License-Identifier: Apache-2.0
 * compose/arguments.c - command lines by argp, with our own one-line messages.
 *
 * All commands know the common options, before and behind the command's name. Misuse is found
 * before anything is sent.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "compose/cli.h"

enum {
    KEY_SOCKET = CLI_KEY_COMMON,
    KEY_URL,
    KEY_CA,
    KEY_CERTIFICATE,
    KEY_KEY,
    KEY_JSON,
    KEY_HELP,
    KEY_VERSION,
    NS_PER_MS = 1000000
};

const struct argp_option cli_common_options[] = {
    {"socket", KEY_SOCKET, "PATH", 0,
     "Socket of the daemon (default $FABRIC_API, else " COMPOSE_SOCKET ")", 90},
    {"url", KEY_URL, "URL", 0, "A manager far away: https://HOST:PORT", 90},
    {"ca", KEY_CA, "FILE", 0, "The CA that signed its certificate", 90},
    {"cert", KEY_CERTIFICATE, "FILE", 0, "Your certificate; else FABRIC_TOKEN says who you are",
     90},
    {"key", KEY_KEY, "FILE", 0, "The certificate's key", 90},
    {"json", KEY_JSON, NULL, 0, "Print JSON", 90},
    {"help", KEY_HELP, NULL, 0, "This text", 90},
    {"version", KEY_VERSION, NULL, 0, "The version", 90},
    {0},
};

struct parse {
    struct cli *cli;
    bool (*take)(struct cli *cli, void *arguments, int key, char *text);
    void *arguments;
    const struct argp *argp;
    char **argv;
    int rest; /* index of the program; argc: none */
};

/* ---- messages ---------------------------------------------------------------------------------
 */

static void print_name(const struct cli *cli)
{
    fprintf(stderr, "compose%s%s: ", cli->command ? " " : "",
            cli->command ? cli->command->name : "");
}

void cli_misuse(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    char text[512];

    print_name(cli);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cli_print_clean(stderr, text);
    fprintf(stderr, "; see 'compose%s%s --help'\n", cli->command ? " " : "",
            cli->command ? cli->command->name : "");
    cli_exit(CLI_MISUSED);
}

void cli_not_yet(const struct cli *cli, const char *what)
{
    print_name(cli);
    fprintf(stderr, "%s is not in this version\n", what);
    cli_exit(CLI_FAILED);
}

/* ---- argp -------------------------------------------------------------------------------------
 */

static const struct argp_option *option_of(const struct argp_option *options, int key)
{
    for (; options && (options->name || options->key); options++)
        if (options->key == key)
            return options;
    return NULL;
}

static void print_help(const struct parse *parse)
{
    char *name = cli_text("compose%s%s", parse->cli->command ? " " : "",
                          parse->cli->command ? parse->cli->command->name : "");

    argp_help(parse->argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
    if (!parse->cli->command) {
        printf("\nCommands:\n");
        for (size_t i = 0; cli_commands[i]; i++)
            if (!(cli_commands[i]->flags & (CLI_HIDDEN | CLI_NOT_YET)))
                printf("  %-9s %s\n", cli_commands[i]->name, cli_commands[i]->help);
        printf("\n'compose COMMAND --help' says more.\n");
    }
    cli_exit(CLI_DONE);
}

static bool take_common(const struct parse *parse, int key, const char *text)
{
    struct compose_options *options = &parse->cli->options;

    switch (key) {
    case KEY_SOCKET:
    case KEY_URL:
        if (options->api)
            cli_misuse(parse->cli, "--socket and --url exclude each other");
        if (key == KEY_URL && strncmp(text, "https://", 8) != 0)
            cli_misuse(parse->cli, "--url takes https://HOST:PORT, not '%s'", text);
        options->api = key == KEY_URL || text[0] == '/' ? text : realpath(text, NULL);
        if (!options->api)
            cli_misuse(parse->cli, "there is no socket '%s'", text);
        return true;
    case KEY_CA:
        options->ca = text;
        return true;
    case KEY_CERTIFICATE:
        options->certificate = text;
        return true;
    case KEY_KEY:
        options->key = text;
        return true;
    case KEY_JSON:
        parse->cli->is_json = true;
        return true;
    case KEY_HELP:
        print_help(parse);
        return true;
    case KEY_VERSION:
        printf("compose 0.1.0\n");
        cli_exit(CLI_DONE);
    default:
        return false;
    }
}

static void refuse_twice(struct cli *cli, const struct parse *parse, int key)
{
    const struct argp_option *option = option_of(parse->argp->options, key);

    if (!option)
        option = option_of(cli_common_options, key);
    if (!option || (cli->command && key == cli->command->repeatable))
        return;
    if (cli->is_seen[key])
        cli_misuse(cli, "--%s is given twice", option->name);
    cli->is_seen[key] = true;
}

/* argp says only that a word is wrong. */
static void refuse_word(const struct parse *parse, const struct argp_state *state)
{
    const char *word = state->next > 0 ? state->argv[state->next - 1] : "";

    for (const struct argp_option *lists[] = {parse->argp->options, cli_common_options, NULL},
                                  **list = lists;
         list < lists + 2; list++)
        for (const struct argp_option *o = *list; o && (o->name || o->key); o++)
            if (o->arg && ((word[0] == '-' && word[1] == '-' && strcmp(word + 2, o->name) == 0) ||
                           (word[0] == '-' && word[1] == o->key && !word[2])))
                cli_misuse(parse->cli, "%s needs a value", word);
    cli_misuse(parse->cli, "'%s' is not an option, not clear, or takes no value", word);
}

static error_t parse_one(int key, char *text, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct cli *cli = parse->cli;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = parse;
        return 0;
    case ARGP_KEY_ERROR:
        refuse_word(parse, state);
        return 0;
    case ARGP_KEY_ARG:
        if (!cli->command || (cli->command->flags & CLI_IN_ORDER)) {
            parse->rest = state->next - 1;
            state->next = state->argc;
            return 0;
        }
        if (!parse->take || !parse->take(cli, parse->arguments, key, text))
            cli_misuse(cli, "what is '%s'? No further argument is taken", text);
        return 0;
    case ARGP_KEY_END:
    case ARGP_KEY_ARGS:
    case ARGP_KEY_NO_ARGS:
    case ARGP_KEY_SUCCESS:
    case ARGP_KEY_FINI:
        return ARGP_ERR_UNKNOWN;
    default:
        if (key < 0 || key >= CLI_KEYS || !option_of(parse->argp->options, key))
            return ARGP_ERR_UNKNOWN;
        refuse_twice(cli, parse, key);
        if (!parse->take || !parse->take(cli, parse->arguments, key, text))
            cli_not_yet(cli, cli_text("--%s", option_of(parse->argp->options, key)->name));
        return 0;
    }
}

static error_t parse_common(int key, char *text, struct argp_state *state)
{
    struct parse *parse = state->input;

    if (key < CLI_KEY_COMMON || key >= CLI_KEY_OWN)
        return ARGP_ERR_UNKNOWN;
    if (key != KEY_JSON)
        refuse_twice(parse->cli, parse, key);
    return take_common(parse, key, text) ? 0 : ARGP_ERR_UNKNOWN;
}

int cli_parse(struct cli *cli, int argc, char **argv,
              bool (*take)(struct cli *cli, void *arguments, int key, char *text), void *arguments)
{
    static const struct argp common = {
        .options = cli_common_options, .parser = parse_common, .args_doc = NULL};
    static const struct argp_child children[] = {{&common, 0, "Common options:", 90}, {0}};
    const struct cli_command *command = cli->command;
    char *doc = command ? cli_text("%s.%s%s", command->help, command->more ? "\v" : "",
                                   command->more ? command->more : "")
                        : cli_text("Compose machines from the GPUs of the rack.");
    const struct argp argp = {.options = command ? command->options : NULL,
                              .parser = parse_one,
                              .args_doc = command ? command->arguments : "COMMAND [ARGUMENT...]",
                              .doc = doc,
                              .children = children};
    struct parse parse = {.cli = cli,
                          .take = take,
                          .arguments = arguments,
                          .argp = &argp,
                          .argv = argv,
                          .rest = argc};
    const bool in_order = !command || (command->flags & CLI_IN_ORDER);
    const error_t error = argp_parse(
        &argp, argc, argv,
        ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP | (in_order ? ARGP_IN_ORDER : 0U), NULL, &parse);

    if (error)
        cli_misuse(cli, "the arguments cannot be read (%s)", strerror(error));
    free(doc);
    return parse.rest;
}

void cli_parse_none(struct cli *cli, int argc, char **argv)
{
    (void)cli_parse(cli, argc, argv, NULL, NULL);
}

/* ---- values -----------------------------------------------------------------------------------
 */

uint32_t cli_number(struct cli *cli, const char *option, const char *text, uint32_t most)
{
    int64_t value;

    if (fab_parse_int(text, &value) != FAB_OK || value < 1 || value > most)
        cli_misuse(cli, "%s takes a number from 1 to %u, not '%s'", option, most, text);
    return (uint32_t)value;
}

uint64_t cli_milliseconds(struct cli *cli, const char *option, const char *text)
{
    uint64_t ns;

    if (fab_parse_duration(text, &ns) != FAB_OK || ns < NS_PER_MS)
        cli_misuse(cli, "%s takes a time such as 60s, not '%s'", option, text);
    return ns / NS_PER_MS;
}

const char **cli_split(struct cli *cli, const char *option, const char *text, size_t *count_out)
{
    const char **parts = calloc(strlen(text) + 2, sizeof(*parts));
    char *copy = cli_text("%s", text), *rest = copy;
    size_t count = 0;

    for (char *part; parts && (part = strsep(&rest, ","));) {
        if (!part[0])
            cli_misuse(cli, "%s takes names joined by commas, not '%s'", option, text);
        parts[count++] = part;
    }
    if (!parts)
        abort();
    *count_out = count;
    return parts;
}
