/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_node.c - compose node list: the machines of the rack and how they are.
 */
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

static const char *const verbs[] = {"list", NULL};

const struct cli_command cmd_node = {
    .name = "node",
    .arguments = "[list]",
    .help = "Show the machines of the rack",
    .verbs = verbs,
    .run = run,
};

static const struct cli_column columns[] = {
    {"name", "NODE", CLI_TEXT},      {"state", "STATE", CLI_TEXT},
    {"gpus", "GPUS", CLI_NUMBER},    {"address", "ADDRESS", CLI_TEXT},
    {"since_ms", "SINCE", CLI_TIME}, {"reason", "REASON", CLI_TEXT},
};

static bool take(struct cli *cli, void *arguments, int key, char *text)
{
    bool *has_verb = arguments;

    if (key != ARGP_KEY_ARG || *has_verb)
        return false;
    if (strcmp(text, "list") != 0)
        cli_misuse(cli, "'%s' is not 'list'", text);
    *has_verb = true;
    return true;
}

/* A number, or a list of them. */
static int64_t gpu_count(const json_t *machine)
{
    const json_t *gpus = compose_array_at(machine, "Oem.Fabric.Gpus");

    return gpus ? (int64_t)json_array_size(gpus) : compose_number_at(machine, "Oem.Fabric.Gpus", 0);
}

static json_t *row_of(const json_t *machine)
{
    return cli_pack("{ss ss sI ss sI ss}", "name",
                    compose_text_at(machine, "Id", compose_text_at(machine, "Name", "")), "state",
                    compose_text_at(machine, "Oem.Fabric.State", ""), "gpus",
                    (json_int_t)gpu_count(machine), "address",
                    compose_text_at(machine, "Oem.Fabric.Address", ""), "since_ms",
                    (json_int_t)compose_number_at(machine, "Oem.Fabric.SinceMs", 0), "reason",
                    compose_text_at(machine, "Oem.Fabric.Reason", ""));
}

static int run(struct cli *cli, int argc, char **argv)
{
    json_t *machines, *rows = cli_pack("[]");
    bool has_verb = false;

    (void)cli_parse(cli, argc, argv, take, &has_verb);
    machines = cli_members(cli, "/redfish/v1/Systems?$expand=.");
    for (size_t i = 0; i < json_array_size(machines); i++)
        if (strcmp(compose_text_at(json_array_get(machines, i), "SystemType", ""), "Physical") == 0)
            cli_append(rows, row_of(json_array_get(machines, i)));
    json_decref(machines);
    return cli_rows(cli, rows, columns, FAB_ARRAY_LEN(columns));
}
