/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_drain.c - compose drain, undrain, fence: take nodes and GPUs out of use, and back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "compose/commands.h"

static int run_drain(struct cli *cli, int argc, char **argv);
static int run_undrain(struct cli *cli, int argc, char **argv);
static int run_fence(struct cli *cli, int argc, char **argv);

enum { KEY_REASON = CLI_KEY_OWN };

static const struct argp_option options[] = {
    {"reason", KEY_REASON, "TEXT", 0, "Why: shown wherever the state is", 0},
    {0},
};

const struct cli_command cmd_drain = {
    .name = "drain",
    .arguments = "NODE|NODE:GPU|UUID...",
    .help = "Give nodes or GPUs to nobody from now on",
    .more = "Systems that have them keep them.",
    .options = options,
    .words = CLI_WORDS_GPU,
    .run = run_drain,
};

const struct cli_command cmd_undrain = {
    .name = "undrain",
    .arguments = "NODE|NODE:GPU|UUID...",
    .help = "Take them into use again",
    .words = CLI_WORDS_GPU,
    .run = run_undrain,
};

const struct cli_command cmd_fence = {
    .name = "fence",
    .arguments = "NODE... --reason TEXT",
    .help = "Say that a lost node is off: its GPUs are free",
    .more = "Only for a node that is switched off, or cut from the fabric for certain: programs "
            "that still run there would share memory with the next ones.",
    .options = options,
    .words = CLI_WORDS_NODE,
    .run = run_fence,
};

static const struct cli_column columns[] = {
    {"name", "NAME", CLI_TEXT}, {"is", "IS", CLI_TEXT}, {"reason", "REASON", CLI_TEXT}};

struct arguments {
    char **things;
    int count;
    const char *reason; /* NULL: not given */
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_REASON:
        if (!text[0])
            cli_misuse(cli, "--reason takes a text");
        arguments->reason = text;
        return true;
    case ARGP_KEY_ARG:
        for (int i = 0; i < arguments->count; i++)
            if (strcmp(arguments->things[i], text) == 0)
                cli_misuse(cli, "%s is named twice", text);
        arguments->things[arguments->count++] = text;
        return true;
    default:
        return false;
    }
}

static struct arguments read_arguments(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {.things = calloc((size_t)argc, sizeof(char *))};

    (void)cli_parse(cli, argc, argv, take, &arguments);
    if (arguments.count == 0)
        cli_misuse(cli, "which one? 'compose node list' and 'compose gpu list' show the names");
    return arguments;
}

/* ---- what is meant ----------------------------------------------------------------------------
 */

/* The uuid of "NODE:INDEX", given. */
static char *uuid_of(struct cli *cli, const char *name)
{
    const char *colon = strrchr(name, ':');
    json_t *blocks;
    int64_t index;

    if (fab_parse_int(colon + 1, &index) != FAB_OK || index < 0)
        cli_misuse(cli, "'%s' is neither a node, NODE:GPU nor a uuid", name);
    blocks = cli_members(cli, "/redfish/v1/CompositionService/ResourceBlocks?$expand=.");
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const json_t *block = json_array_get(blocks, i);
        const char *node = compose_text_at(block, "Oem.Fabric.Node", "");

        if (strlen(node) == (size_t)(colon - name) &&
            strncmp(node, name, (size_t)(colon - name)) == 0 &&
            compose_number_at(block, "Oem.Fabric.Index", -1) == index) {
            char *uuid = cli_text("%s", compose_text_at(block, "Id", ""));

            json_decref(blocks);
            return uuid;
        }
    }
    cli_exit(cli_fail(cli, "there is no GPU %s: see 'compose gpu list'", name));
}

/* Its resource; given. */
static char *path_of(struct cli *cli, const char *thing)
{
    static const char blocks[] = "/redfish/v1/CompositionService/ResourceBlocks";
    char *uuid, *path;

    if (strncmp(thing, "GPU-", 4) == 0)
        return compose_path(blocks, thing);
    if (!strchr(thing, ':'))
        return compose_path("/redfish/v1/Systems", thing);
    uuid = uuid_of(cli, thing);
    path = compose_path(blocks, uuid);
    free(uuid);
    return path;
}

/* ---- changing ---------------------------------------------------------------------------------
 */

static json_t *make_body(const char *member, bool value, const char *reason)
{
    return reason ? cli_pack("{s{s{sb ss}}}", "Oem", "Fabric", member, value, "Reason", reason)
                  : cli_pack("{s{s{sb}}}", "Oem", "Fabric", member, value);
}

static int change(struct cli *cli, const struct arguments *arguments, const char *member,
                  bool value, const char *is)
{
    const char *reason = arguments->reason ? arguments->reason : "";
    json_t *body = make_body(member, value, arguments->reason);
    char *text = json_dumps(body, JSON_COMPACT);
    json_t *rows = cli_pack("[]");
    int status = CLI_DONE;

    for (int i = 0; text && i < arguments->count; i++) {
        struct compose_answer answer = {0};
        struct compose_error error;
        char *path = path_of(cli, arguments->things[i]);

        if (!path || compose_ask(cli_open(cli), "PATCH", path, text, &answer, &error) != COMPOSE_OK)
            status = cli_fail(cli, "%s", path ? error.message : "out of memory");
        else
            cli_append(rows, cli_pack("{ss ss ss}", "name", arguments->things[i], "is", is,
                                      "reason", reason));
        compose_answer_clear(&answer);
        free(path);
    }
    free(text);
    json_decref(body);
    (void)cli_rows(cli, rows, columns, FAB_ARRAY_LEN(columns));
    return status;
}

static int run_drain(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = read_arguments(cli, argc, argv);

    if (!arguments.reason)
        arguments.reason = "drained by hand";
    return change(cli, &arguments, "Drained", true, "drained");
}

static int run_undrain(struct cli *cli, int argc, char **argv)
{
    const struct arguments arguments = read_arguments(cli, argc, argv);

    return change(cli, &arguments, "Drained", false, "in use again");
}

static int run_fence(struct cli *cli, int argc, char **argv)
{
    const struct arguments arguments = read_arguments(cli, argc, argv);

    if (!arguments.reason)
        cli_misuse(cli, "how do you know that it is off? --reason takes a text");
    for (int i = 0; i < arguments.count; i++)
        if (strchr(arguments.things[i], ':') || strncmp(arguments.things[i], "GPU-", 4) == 0)
            cli_misuse(cli, "only nodes are fenced, and '%s' is a GPU", arguments.things[i]);
    return change(cli, &arguments, "Fenced", true, "fenced");
}
