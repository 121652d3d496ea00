/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_events.c - compose events: every change of nodes, GPUs and systems, with its reason.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum {
    KEY_FOLLOW = 'f',
    KEY_AFTER = CLI_KEY_OWN,
    EVENT_BYTES = 64 * 1024,
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 5000,
    NS_PER_MS = 1000000
};

static const struct argp_option options[] = {
    {"follow", KEY_FOLLOW, NULL, 0, "New ones as they happen; with --after: those before them, too",
     0},
    {"after", KEY_AFTER, "NUMBER", 0, "Only those behind this one", 0},
    {0},
};

const struct cli_command cmd_events = {
    .name = "events",
    .arguments = "",
    .help = "Show what happened, and why",
    .more = "With --follow and --json: one object a line.",
    .options = options,
    .run = run,
};

static const struct cli_column columns[] = {
    {"number", "NUMBER", CLI_NUMBER}, {"time", "TIME", CLI_TIME},     {"kind", "WHAT", CLI_TEXT},
    {"subject", "SUBJECT", CLI_TEXT}, {"reason", "REASON", CLI_TEXT},
};

struct arguments {
    struct cli *cli;
    bool is_follow;
    uint64_t after; /* the last one seen */
    bool has_seen;  /* this connection has brought some */
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;
    int64_t number;

    switch (key) {
    case KEY_FOLLOW:
        arguments->is_follow = true;
        return true;
    case KEY_AFTER:
        if (fab_parse_int(text, &number) != FAB_OK || number < 0)
            cli_misuse(cli, "--after takes an event's number, not '%s'", text);
        arguments->after = (uint64_t)number;
        return true;
    default:
        return false;
    }
}

/* Not a table: nobody knows the widths of what has not happened yet. */
static void print_line(const json_t *event)
{
    char *when = cli_value_text(json_object_get(event, "time"), CLI_TIME);

    printf("%6lld  %s  %-16s  ", (long long)compose_number_at(event, "number", 0), when,
           compose_text_at(event, "kind", ""));
    cli_print_clean(stdout, compose_text_at(event, "subject", ""));
    if (compose_text_at(event, "reason", "")[0])
        printf("  ");
    cli_print_clean(stdout, compose_text_at(event, "reason", ""));
    printf("\n");
    free(when);
}

static int take_event(void *user, uint64_t number, const char *json)
{
    const struct fab_json_limits limits = {.size_bytes = EVENT_BYTES};
    struct arguments *arguments = user;
    json_t *event = NULL;

    if (fab_json_load(json, strlen(json), "an event", &limits, &event, NULL) != FAB_OK)
        return 0; /* of a later version: not ours to show */
    arguments->after = number;
    arguments->has_seen = true;
    if (arguments->cli->is_json) {
        (void)json_dumpf(event, stdout, JSON_COMPACT);
        printf("\n");
    } else {
        print_line(event);
    }
    json_decref(event);
    return fflush(stdout) != 0; /* who reads has gone */
}

/* Through restarts of the manager: events are numbered, none is lost. Ends by a signal, or when it
 * never worked. */
static int follow(struct cli *cli, struct arguments *arguments)
{
    unsigned pause_ms = PAUSE_FIRST_MS;
    struct compose_error error;
    bool has_worked = false;

    for (;;) {
        const struct timespec pause = {.tv_sec = pause_ms / 1000,
                                       .tv_nsec = (long)(pause_ms % 1000) * NS_PER_MS};

        arguments->has_seen = false;
        if (compose_follow(cli_open(cli), arguments->after, take_event, arguments, &error) ==
            COMPOSE_OK)
            return CLI_DONE;
        has_worked = has_worked || arguments->has_seen;
        if (error.status != COMPOSE_AWAY || !has_worked)
            cli_end(cli, &error);
        if (arguments->has_seen) {
            (void)cli_fail(cli, "%s; trying again", error.message);
            pause_ms = PAUSE_FIRST_MS;
        } else if (pause_ms < PAUSE_MOST_MS) {
            pause_ms *= 2;
        }
        (void)nanosleep(&pause, NULL);
    }
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {.cli = cli, .after = COMPOSE_FROM_NOW};
    char path[96];

    (void)cli_parse(cli, argc, argv, take, &arguments);
    if (arguments.is_follow)
        return follow(cli, &arguments);
    if (arguments.after == COMPOSE_FROM_NOW) /* all that are kept */
        arguments.after = 0;
    (void)snprintf(path, sizeof(path), "/redfish/v1/Oem/Fabric/Events?after=%llu",
                   (unsigned long long)arguments.after);
    return cli_rows(cli, cli_members(cli, path), columns, FAB_ARRAY_LEN(columns));
}
