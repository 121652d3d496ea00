/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_show.c - compose show: one system, its GPUs with their paths, its programs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

const struct cli_command cmd_show = {
    .name = "show",
    .arguments = "NAME",
    .help = "Show one system: GPUs, paths, programs",
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

static const struct cli_column gpu_columns[] = {
    {"host", "HOST", CLI_TEXT},    {"number", "GPU", CLI_NUMBER},
    {"node", "NODE", CLI_TEXT},    {"index", "INDEX", CLI_NUMBER},
    {"model", "MODEL", CLI_TEXT},  {"memory_bytes", "MEMORY", CLI_BYTES},
    {"load", "GPU%", CLI_PERCENT}, {"used_bytes", "USED", CLI_BYTES},
    {"state", "STATE", CLI_TEXT},  {"path", "PATH", CLI_TEXT},
    {"hops", "HOPS", CLI_NUMBER},  {"mbps", "MB/S", CLI_NUMBER},
    {"rails", "RAILS", CLI_LIST},  {"uuid", "UUID", CLI_TEXT},
};

static const struct cli_column program_columns[] = {
    {"host", "HOST", CLI_TEXT},      {"pid", "PID", CLI_NUMBER},       {"uid", "USER", CLI_USER},
    {"since_ms", "SINCE", CLI_TIME}, {"command", "COMMAND", CLI_TEXT},
};

/* ---- rows -------------------------------------------------------------------------------------
 */

static json_t *rail_names(const json_t *gpu)
{
    const json_t *rails = compose_array_at(gpu, "Rails");
    json_t *names = cli_pack("[]");

    for (size_t i = 0; i < json_array_size(rails); i++) {
        const json_t *rail = json_array_get(rails, i);
        char *name = cli_text("%s-%s%s", compose_text_at(rail, "Local", "?"),
                              compose_text_at(rail, "Remote", "?"),
                              json_is_true(json_object_get(rail, "Direct")) ? "(direct)" : "");

        cli_append(names, json_string(name));
        free(name);
    }
    return names;
}

static json_t *gpu_row(const char *host, size_t number, const json_t *gpu)
{
    return cli_pack("{ss sI ss sI ss ss sI sI sI ss ss sI sI so}", "host", host, "number",
                    (json_int_t)number, "node", compose_text_at(gpu, "Node", ""), "index",
                    (json_int_t)compose_number_at(gpu, "Index", 0), "uuid",
                    compose_text_at(gpu, "Uuid", ""), "model", compose_text_at(gpu, "Model", ""),
                    "memory_bytes", (json_int_t)compose_number_at(gpu, "MemoryBytes", 0),
                    "used_bytes", (json_int_t)compose_number_at(gpu, "UsedBytes", -1), "load",
                    (json_int_t)compose_number_at(gpu, "Load", -1), "state",
                    compose_text_at(gpu, "State", ""), "path",
                    compose_text_at(gpu, "Path.Class", ""), "hops",
                    (json_int_t)compose_number_at(gpu, "Path.Hops", 0), "mbps",
                    (json_int_t)compose_number_at(gpu, "Path.Mbps", 0), "rails", rail_names(gpu));
}

json_t *cli_gpu_rows(const json_t *system)
{
    const json_t *hosts = compose_array_at(system, "Oem.Fabric.Hosts");
    json_t *rows = cli_pack("[]");

    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const json_t *host = json_array_get(hosts, i), *gpus = compose_array_at(host, "Gpus");

        for (size_t k = 0; k < json_array_size(gpus); k++)
            cli_append(rows,
                       gpu_row(compose_text_at(host, "Name", ""), k, json_array_get(gpus, k)));
    }
    return rows;
}

bool cli_is_adhoc(const json_t *system)
{
    bool is_adhoc = false;

    return fab_json_get_bool(system, "Oem.Fabric.AdHoc", &is_adhoc, NULL) == FAB_OK && is_adhoc;
}

static json_t *program_rows(const json_t *system)
{
    const json_t *programs = compose_array_at(system, "Oem.Fabric.Programs");
    json_t *rows = cli_pack("[]");

    for (size_t i = 0; i < json_array_size(programs); i++) {
        const json_t *program = json_array_get(programs, i);

        cli_append(rows, cli_pack("{ss sI sI ss sI}", "host", compose_text_at(program, "Host", ""),
                                  "pid", (json_int_t)compose_number_at(program, "Pid", 0), "uid",
                                  (json_int_t)compose_number_at(program, "Uid", 0), "command",
                                  compose_text_at(program, "Command", ""), "since_ms",
                                  (json_int_t)compose_number_at(program, "SinceMs", 0)));
    }
    return rows;
}

/* ---- printing ---------------------------------------------------------------------------------
 */

static void print_value(const json_t *about, const char *key, const char *title, enum cli_kind kind)
{
    char *text = cli_value_text(json_object_get(about, key), kind);

    printf("%-9s", title);
    cli_print_clean(stdout, text);
    printf("\n");
    free(text);
}

static void print_head(const json_t *about)
{
    print_value(about, "name", "System", CLI_TEXT);
    print_value(about, "state", "State", CLI_TEXT);
    print_value(about, "since_ms", "Since", CLI_TIME);
    if (compose_text_at(about, "reason", "")[0])
        print_value(about, "reason", "Reason", CLI_TEXT);
    print_value(about, "owner_uid", "Owner", CLI_USER);
    print_value(about, "adhoc", "Ad hoc", CLI_TEXT);
    print_value(about, "created_ms", "Created", CLI_TIME);
    if (json_integer_value(json_object_get(about, "rails")) > 0)
        print_value(about, "rails", "Rails", CLI_NUMBER);
}

static int print(const struct cli *cli, json_t *about)
{
    json_t *gpus = json_object_get(about, "gpus"), *programs = json_object_get(about, "programs");

    print_head(about);
    printf("\n");
    (void)cli_rows(cli, json_incref(gpus), gpu_columns, FAB_ARRAY_LEN(gpu_columns));
    if (json_array_size(programs) > 0) {
        printf("\n");
        (void)cli_rows(cli, json_incref(programs), program_columns, FAB_ARRAY_LEN(program_columns));
    }
    json_decref(about);
    return CLI_DONE;
}

static bool take(struct cli *cli, void *arguments, int key, char *text)
{
    const char **name = arguments;

    (void)cli;
    if (key != ARGP_KEY_ARG || *name)
        return false;
    *name = text;
    return true;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *name = NULL;
    json_t *system, *about;

    (void)cli_parse(cli, argc, argv, take, &name);
    if (!name)
        cli_misuse(cli, "which system? 'compose list' shows their names");
    system = cli_get_named(cli, "/redfish/v1/Systems", name);
    about = cli_pack("{ss ss ss sI sI sb sI sI so so}", "name", compose_text_at(system, "Id", name),
                     "state", compose_text_at(system, "Oem.Fabric.State", ""), "reason",
                     compose_text_at(system, "Oem.Fabric.Reason", ""), "since_ms",
                     (json_int_t)compose_number_at(system, "Oem.Fabric.SinceMs", 0), "owner_uid",
                     (json_int_t)compose_number_at(system, "Oem.Fabric.OwnerUid", 0), "adhoc",
                     cli_is_adhoc(system), "created_ms",
                     (json_int_t)compose_number_at(system, "Oem.Fabric.CreatedMs", 0), "rails",
                     (json_int_t)compose_number_at(system, "Oem.Fabric.Rails", 0), "gpus",
                     cli_gpu_rows(system), "programs", program_rows(system));
    json_decref(system);
    return cli->is_json ? cli_json(about) : print(cli, about);
}
