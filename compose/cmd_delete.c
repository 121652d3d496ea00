/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_delete.c - compose delete: end programs of a system and give its GPUs back.
 *
 * A manager that goes away meanwhile may have done it or not, so it is asked again. When it was
 * created tells the system from a later one of its name, which stays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum { KEY_RETRY = CLI_KEY_OWN, RETRY_MS = 30000, PAUSE_MS = 100, NS_PER_MS = 1000000 };

static const struct argp_option options[] = {
    {"retry", KEY_RETRY, "TIME", 0,
     "Ask again for so long if the manager goes away before it has answered (default: 30s)", 0},
    {0},
};

const struct cli_command cmd_delete = {
    .name = "delete",
    .arguments = "NAME...",
    .help = "Give the GPUs of systems back",
    .more = "Returns when their memory is cleared and they are free. Programs that still use them "
            "get a device error.",
    .options = options,
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

struct arguments {
    char **names;
    int count;
    uint64_t retry_ms;
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    if (key == KEY_RETRY)
        arguments->retry_ms = cli_milliseconds(cli, "--retry", text);
    if (key != ARGP_KEY_ARG)
        return key == KEY_RETRY;
    for (int i = 0; i < arguments->count; i++)
        if (strcmp(arguments->names[i], text) == 0)
            cli_misuse(cli, "%s is named twice", text);
    arguments->names[arguments->count++] = text;
    return true;
}

/* When the system that has this name now was created. */
static enum compose_status find(struct cli *cli, const char *name, int64_t *created_ms_out,
                                struct compose_error *error)
{
    char *path = compose_path("/redfish/v1/Systems", name);
    json_t *answer = NULL;
    enum compose_status status;

    if (!path)
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    status = compose_ask_json(cli_open(cli), "GET", path, NULL, &answer, error);
    if (status == COMPOSE_OK)
        *created_ms_out = compose_number_at(answer, "Oem.Fabric.CreatedMs", 0);
    json_decref(answer);
    free(path);
    return status;
}

/* There was an answer before, so the caller's certificate is not what ended the connection. */
static bool is_lost(enum compose_status status, const struct compose_error *error)
{
    return status == COMPOSE_AWAY || (status == COMPOSE_DENIED && error->http_status == 0);
}

static enum compose_status delete_again(struct cli *cli, const char *name, int64_t created_ms,
                                        uint64_t retry_ms, struct compose_error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * NS_PER_MS};
    const struct fab_clock *clock = fab_clock_real();
    const uint64_t end_ns = fab_deadline_ns(fab_clock_now_ns(clock), retry_ms * NS_PER_MS);
    struct compose_error why = *error;

    while (fab_clock_now_ns(clock) < end_ns) {
        int64_t found = 0;
        enum compose_status status;

        (void)nanosleep(&pause, NULL);
        status = find(cli, name, &found, error);
        if (status == COMPOSE_OK && found == created_ms)
            status = compose_delete(cli_open(cli), name, error);
        if (status == COMPOSE_OK || status == COMPOSE_NOT_FOUND)
            return COMPOSE_OK;
        if (!is_lost(status, error))
            return status;
        why = *error;
    }
    return compose_error_set(error, COMPOSE_AWAY,
                             "it is not known whether %.64s is deleted: the manager went away "
                             "before it answered, and did not answer within %llu ms: look with "
                             "'compose list', or delete it again, which does no harm (%.250s)",
                             name, (unsigned long long)retry_ms, why.message);
}

static enum compose_status delete_one(struct cli *cli, const char *name, uint64_t retry_ms,
                                      struct compose_error *error)
{
    int64_t created_ms = 0;
    enum compose_status status = find(cli, name, &created_ms, error);

    if (status != COMPOSE_OK)
        return status; /* nothing was asked of it */
    status = compose_delete(cli_open(cli), name, error);
    return is_lost(status, error) ? delete_again(cli, name, created_ms, retry_ms, error) : status;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {.names = calloc((size_t)argc, sizeof(char *)),
                                  .retry_ms = RETRY_MS};
    json_t *rows = cli_pack("[]");
    int status = CLI_DONE;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    if (arguments.count == 0)
        cli_misuse(cli, "which system? 'compose list' shows their names");
    for (int i = 0; i < arguments.count; i++) {
        struct compose_error error;

        cli_progress(cli, cli_text("releasing %s", arguments.names[i]));
        if (delete_one(cli, arguments.names[i], arguments.retry_ms, &error) != COMPOSE_OK)
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
