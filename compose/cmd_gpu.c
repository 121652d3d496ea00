/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_gpu.c - compose gpu list: every GPU of the rack, where it is and who has it.
 */
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum { KEY_NODE = CLI_KEY_OWN, KEY_FREE };

static const struct argp_option options[] = {
    {"node", KEY_NODE, "NODE", 0, "Only those of this node", 0},
    {"free", KEY_FREE, NULL, 0, "Only those that can be given", 0},
    {0},
};

static const char *const verbs[] = {"list", NULL};

const struct cli_command cmd_gpu = {
    .name = "gpu",
    .arguments = "[list]",
    .help = "Show the GPUs of the rack",
    .options = options,
    .verbs = verbs,
    .run = run,
};

static const struct cli_column columns[] = {
    {"node", "NODE", CLI_TEXT},      {"index", "GPU", CLI_NUMBER},
    {"model", "MODEL", CLI_TEXT},    {"memory_bytes", "MEMORY", CLI_BYTES},
    {"load", "GPU%", CLI_PERCENT},   {"used_bytes", "USED", CLI_BYTES},
    {"state", "STATE", CLI_TEXT},    {"system", "SYSTEM", CLI_TEXT},
    {"since_ms", "SINCE", CLI_TIME}, {"rails", "RAILS", CLI_LIST},
    {"uuid", "UUID", CLI_TEXT},      {"reason", "REASON", CLI_TEXT},
};

struct arguments {
    bool has_verb, is_free;
    const char *node;
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_NODE:
        arguments->node = text;
        return true;
    case KEY_FREE:
        arguments->is_free = true;
        return true;
    case ARGP_KEY_ARG:
        if (arguments->has_verb)
            return false;
        if (strcmp(text, "list") != 0)
            cli_misuse(cli, "'%s' is not 'list'", text);
        arguments->has_verb = true;
        return true;
    default:
        return false;
    }
}

static json_t *row_of(const json_t *block)
{
    const json_t *rails = compose_array_at(block, "Oem.Fabric.Rails");
    json_t *names = cli_pack("[]");

    for (size_t i = 0; i < json_array_size(rails); i++)
        cli_append(names, json_string(compose_text_at(json_array_get(rails, i), "Port", "?")));
    return cli_pack("{ss sI ss sI sI sI ss ss sI so ss sI ss}", "node",
                    compose_text_at(block, "Oem.Fabric.Node", ""), "index",
                    (json_int_t)compose_number_at(block, "Oem.Fabric.Index", 0), "model",
                    compose_text_at(block, "Oem.Fabric.Model", ""), "memory_bytes",
                    (json_int_t)compose_number_at(block, "Oem.Fabric.MemoryBytes", 0), "used_bytes",
                    (json_int_t)compose_number_at(block, "Oem.Fabric.UsedBytes", -1), "load",
                    (json_int_t)compose_number_at(block, "Oem.Fabric.Load", -1), "state",
                    compose_text_at(block, "Oem.Fabric.State", ""), "system",
                    compose_text_at(block, "Oem.Fabric.System", ""), "since_ms",
                    (json_int_t)compose_number_at(block, "Oem.Fabric.SinceMs", 0), "rails", names,
                    "uuid", compose_text_at(block, "Id", ""), "numa",
                    (json_int_t)compose_number_at(block, "Oem.Fabric.Numa", -1), "reason",
                    compose_text_at(block, "Oem.Fabric.Reason", ""));
}

static bool is_wanted(const struct arguments *arguments, const json_t *block)
{
    const char *node = compose_text_at(block, "Oem.Fabric.Node", "");
    const char *state = compose_text_at(block, "Oem.Fabric.State", "");

    return (!arguments->node || strcmp(arguments->node, node) == 0) &&
           (!arguments->is_free || strcmp(state, "free") == 0);
}

static int run(struct cli *cli, int argc, char **argv)
{
    json_t *blocks, *rows = cli_pack("[]");
    struct arguments arguments = {0};

    (void)cli_parse(cli, argc, argv, take, &arguments);
    blocks = cli_members(cli, "/redfish/v1/CompositionService/ResourceBlocks?$expand=.");
    for (size_t i = 0; i < json_array_size(blocks); i++)
        if (is_wanted(&arguments, json_array_get(blocks, i)))
            cli_append(rows, row_of(json_array_get(blocks, i)));
    json_decref(blocks);
    return cli_rows(cli, rows, columns, FAB_ARRAY_LEN(columns));
}
