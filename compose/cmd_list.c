/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_list.c - compose list: the composed systems, whose they are and how busy.
 */
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

const struct cli_command cmd_list = {
    .name = "list",
    .arguments = "",
    .help = "Show composed systems: who uses what since when",
    .run = run,
};

static const struct cli_column columns[] = {
    {"name", "SYSTEM", CLI_TEXT},        {"state", "STATE", CLI_TEXT},
    {"hosts", "HOSTS", CLI_LIST},        {"gpus", "GPUS", CLI_NUMBER},
    {"load", "GPU%", CLI_PERCENT},       {"used_bytes", "USED", CLI_BYTES},
    {"owner_uid", "OWNER", CLI_USER},    {"programs", "PROGRAMS", CLI_NUMBER},
    {"created_ms", "CREATED", CLI_TIME}, {"reason", "REASON", CLI_TEXT},
};

/* Mean load and sum of used memory of what is known; -1: of none. */
static void sum_up(const json_t *gpus, json_int_t *load_out, json_int_t *used_out)
{
    json_int_t sum = 0, known = 0;

    *used_out = -1;
    for (size_t i = 0; i < json_array_size(gpus); i++) {
        const json_t *gpu = json_array_get(gpus, i);
        const json_int_t load = compose_number_at(gpu, "load", -1);
        const json_int_t used = compose_number_at(gpu, "used_bytes", -1);

        if (load >= 0) {
            sum += load;
            known++;
        }
        if (used >= 0)
            *used_out = (*used_out < 0 ? 0 : *used_out) + used;
    }
    *load_out = known ? sum / known : -1;
}

static json_t *row_of(const json_t *system)
{
    const json_t *hosts = compose_array_at(system, "Oem.Fabric.Hosts");
    json_t *names = cli_pack("[]"), *gpus = cli_gpu_rows(system), *row;
    json_int_t load, used;

    for (size_t i = 0; i < json_array_size(hosts); i++)
        cli_append(names, json_string(compose_text_at(json_array_get(hosts, i), "Name", "")));
    sum_up(gpus, &load, &used);
    row = cli_pack("{ss ss so sI sI sI sI sb sI sI sI ss}", "name",
                   compose_text_at(system, "Id", compose_text_at(system, "Name", "")), "state",
                   compose_text_at(system, "Oem.Fabric.State", ""), "hosts", names, "gpus",
                   (json_int_t)json_array_size(gpus), "load", load, "used_bytes", used, "owner_uid",
                   (json_int_t)compose_number_at(system, "Oem.Fabric.OwnerUid", 0), "adhoc",
                   cli_is_adhoc(system), "programs",
                   (json_int_t)json_array_size(compose_array_at(system, "Oem.Fabric.Programs")),
                   "created_ms", (json_int_t)compose_number_at(system, "Oem.Fabric.CreatedMs", 0),
                   "since_ms", (json_int_t)compose_number_at(system, "Oem.Fabric.SinceMs", 0),
                   "reason", compose_text_at(system, "Oem.Fabric.Reason", ""));
    json_decref(gpus);
    return row;
}

static int run(struct cli *cli, int argc, char **argv)
{
    json_t *systems, *rows = cli_pack("[]");

    cli_parse_none(cli, argc, argv);
    systems = cli_members(cli, "/redfish/v1/Systems?$expand=.");
    for (size_t i = 0; i < json_array_size(systems); i++)
        if (strcmp(compose_text_at(json_array_get(systems, i), "SystemType", ""), "Composed") == 0)
            cli_append(rows, row_of(json_array_get(systems, i)));
    json_decref(systems);
    return cli_rows(cli, rows, columns, FAB_ARRAY_LEN(columns));
}
