/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_smi.c - compose smi: the GPUs of a system, in the manner of nvidia-smi.
 *
 * Names of --query-gpu and the forms of -L and csv are nvidia-smi's own, so that scripts that read
 * it read this.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum { KEY_LIST = 'L', KEY_QUERY = CLI_KEY_OWN, KEY_FORMAT, KEY_HELP_QUERY, MIB = 1 << 20 };

static const struct argp_option options[] = {
    {"list-gpus", KEY_LIST, NULL, 0, "One line a GPU", 0},
    {"query-gpu", KEY_QUERY, "FIELD,...", 0, "These values of each GPU, as csv", 0},
    {"format", KEY_FORMAT, "csv[,noheader][,nounits]", 0, "The form of --query-gpu", 0},
    {0},
};

const struct cli_command cmd_smi = {
    .name = "smi",
    .arguments = "[NAME]",
    .help = "Show GPUs of a system as nvidia-smi does",
    .more =
        "Without NAME: the system FABRIC_SYSTEM, else the only one. Fields: index, name, uuid "
        "(gpu_uuid), count, utilization.gpu, memory.total, memory.used, memory.free, timestamp, "
        "fabric.node, fabric.index, fabric.state.",
    .options = options,
    .words = CLI_WORDS_SYSTEM,
    .run = run,
};

struct arguments {
    const char *system;
    const char **fields;
    size_t field_count;
    bool is_list, has_format, has_no_header, has_no_units;
};

/* ---- fields -----------------------------------------------------------------------------------
 */

struct subject {
    const json_t *gpu; /* a row of cli_gpu_rows() */
    size_t index, count;
};

/* A field's value without its unit; given. NULL: not available. */
typedef char *(*field_value)(const struct subject *subject);

static char *value_index(const struct subject *subject)
{
    return cli_text("%zu", subject->index);
}

static char *value_count(const struct subject *subject)
{
    return cli_text("%zu", subject->count);
}

static char *value_name(const struct subject *subject)
{
    return cli_text("%s", compose_text_at(subject->gpu, "model", ""));
}

static char *value_uuid(const struct subject *subject)
{
    return cli_text("%s", compose_text_at(subject->gpu, "uuid", ""));
}

static char *value_load(const struct subject *subject)
{
    const int64_t load = compose_number_at(subject->gpu, "load", -1);

    return load < 0 ? NULL : cli_text("%lld", (long long)load);
}

/* -1: not known. */
static int64_t memory_mib(const json_t *gpu, const char *key)
{
    const int64_t bytes = compose_number_at(gpu, key, -1);

    return bytes < 0 ? -1 : bytes / MIB;
}

static char *value_total(const struct subject *subject)
{
    return cli_text("%lld", (long long)memory_mib(subject->gpu, "memory_bytes"));
}

static char *value_used(const struct subject *subject)
{
    const int64_t used = memory_mib(subject->gpu, "used_bytes");

    return used < 0 ? NULL : cli_text("%lld", (long long)used);
}

static char *value_free(const struct subject *subject)
{
    const int64_t used = memory_mib(subject->gpu, "used_bytes");

    return used < 0
               ? NULL
               : cli_text("%lld", (long long)(memory_mib(subject->gpu, "memory_bytes") - used));
}

static char *value_timestamp(const struct subject *subject)
{
    const time_t now = time(NULL);
    struct tm parts;
    char text[40] = "";

    (void)subject;
    if (localtime_r(&now, &parts))
        (void)strftime(text, sizeof(text), "%Y/%m/%d %H:%M:%S.000", &parts);
    return cli_text("%s", text);
}

static char *value_node(const struct subject *subject)
{
    return cli_text("%s", compose_text_at(subject->gpu, "node", ""));
}

static char *value_node_index(const struct subject *subject)
{
    return cli_text("%lld", (long long)compose_number_at(subject->gpu, "index", 0));
}

static char *value_state(const struct subject *subject)
{
    return cli_text("%s", compose_text_at(subject->gpu, "state", ""));
}

static const struct field {
    const char *name, *other_name, *unit;
    field_value value;
} fields[] = {
    {"index", NULL, NULL, value_index},
    {"name", "gpu_name", NULL, value_name},
    {"uuid", "gpu_uuid", NULL, value_uuid},
    {"count", NULL, NULL, value_count},
    {"utilization.gpu", NULL, "%", value_load},
    {"memory.total", NULL, "MiB", value_total},
    {"memory.used", NULL, "MiB", value_used},
    {"memory.free", NULL, "MiB", value_free},
    {"timestamp", NULL, NULL, value_timestamp},
    {"fabric.node", NULL, NULL, value_node},
    {"fabric.index", NULL, NULL, value_node_index},
    {"fabric.state", NULL, NULL, value_state},
};

static const struct field *find_field(const char *name)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(fields); i++)
        if (strcmp(fields[i].name, name) == 0 ||
            (fields[i].other_name && strcmp(fields[i].other_name, name) == 0))
            return &fields[i];
    return NULL;
}

/* ---- arguments --------------------------------------------------------------------------------
 */

static void take_format(struct cli *cli, struct arguments *arguments, const char *text)
{
    size_t count;
    const char **parts = cli_split(cli, "--format", text, &count);
    bool is_csv = false;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(parts[i], "csv") == 0)
            is_csv = true;
        else if (strcmp(parts[i], "noheader") == 0)
            arguments->has_no_header = true;
        else if (strcmp(parts[i], "nounits") == 0)
            arguments->has_no_units = true;
        else
            cli_misuse(cli, "--format takes csv, noheader and nounits, not '%s'", parts[i]);
    }
    if (!is_csv)
        cli_misuse(cli, "--format must say csv");
    arguments->has_format = true;
}

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_LIST:
        arguments->is_list = true;
        return true;
    case KEY_QUERY:
        arguments->fields = cli_split(cli, "--query-gpu", text, &arguments->field_count);
        for (size_t i = 0; i < arguments->field_count; i++)
            if (!find_field(arguments->fields[i]))
                cli_misuse(cli, "'%s' is not a field that can be asked for", arguments->fields[i]);
        return true;
    case KEY_FORMAT:
        take_format(cli, arguments, text);
        return true;
    case ARGP_KEY_ARG:
        if (arguments->system)
            return false;
        arguments->system = text;
        return true;
    default:
        return false;
    }
}

/* The only system, by the rule by which a program without FABRIC_SYSTEM attaches. */
static const char *only_system(struct cli *cli)
{
    json_t *systems = cli_members(cli, "/redfish/v1/Systems?$expand=.");
    char *name = NULL;

    for (size_t i = 0; i < json_array_size(systems); i++) {
        const json_t *system = json_array_get(systems, i);

        if (strcmp(compose_text_at(system, "SystemType", ""), "Composed") != 0)
            continue;
        if (name)
            cli_exit(cli_fail(cli, "there are several systems: name one, see 'compose list'"));
        name = cli_text("%s", compose_text_at(system, "Id", ""));
    }
    if (!name)
        cli_exit(cli_fail(cli, "no system is composed: see 'compose create --help'"));
    json_decref(systems);
    return name;
}

/* ---- printing ---------------------------------------------------------------------------------
 */

static void print_list(const json_t *gpus)
{
    for (size_t i = 0; i < json_array_size(gpus); i++) {
        const json_t *gpu = json_array_get(gpus, i);

        printf("GPU %zu: ", i);
        cli_print_clean(stdout, compose_text_at(gpu, "model", ""));
        printf(" (UUID: ");
        cli_print_clean(stdout, compose_text_at(gpu, "uuid", ""));
        printf(")\n");
    }
}

static void print_field(const struct field *field, const struct subject *subject, bool has_units)
{
    char *value = field->value(subject);

    cli_print_clean(stdout, value ? value : "[N/A]");
    if (value && field->unit && has_units)
        printf(" %s", field->unit);
    free(value);
}

static void print_query(const struct arguments *arguments, const json_t *gpus)
{
    for (size_t k = 0; !arguments->has_no_header && k < arguments->field_count; k++) {
        const struct field *field = find_field(arguments->fields[k]);

        printf("%s%s", k ? ", " : "", arguments->fields[k]);
        if (field->unit && !arguments->has_no_units)
            printf(" [%s]", field->unit);
    }
    if (!arguments->has_no_header)
        printf("\n");
    for (size_t i = 0; i < json_array_size(gpus); i++) {
        const struct subject subject = {json_array_get(gpus, i), i, json_array_size(gpus)};

        for (size_t k = 0; k < arguments->field_count; k++) {
            printf("%s", k ? ", " : "");
            print_field(find_field(arguments->fields[k]), &subject, !arguments->has_no_units);
        }
        printf("\n");
    }
}

static void print_table(const char *system, const json_t *gpus, const json_t *programs)
{
    static const char rule[] =
        "+------------------------------------------------------------------------------+\n";

    printf("%s| %-51.51s %24.24s |\n%s", rule, system, "Driver: fabric remote", rule);
    printf("| %3s  %-24s %-16s %8s %20s |\n%s", "GPU", "Name", "Node", "GPU-Util", "Memory-Usage",
           rule);
    for (size_t i = 0; i < json_array_size(gpus); i++) {
        const json_t *gpu = json_array_get(gpus, i);
        const int64_t load = compose_number_at(gpu, "load", -1);
        char *util = load < 0 ? cli_text("N/A") : cli_text("%lld%%", (long long)load);
        char *node = cli_text("%s:%lld", compose_text_at(gpu, "node", ""),
                              (long long)compose_number_at(gpu, "index", 0));
        const int64_t used = memory_mib(gpu, "used_bytes");
        const long long all = (long long)memory_mib(gpu, "memory_bytes");
        char *memory = used < 0 ? cli_text("N/A / %lldMiB", all)
                                : cli_text("%lldMiB / %lldMiB", (long long)used, all);

        printf("| %3zu  %-24.24s %-16.16s %8s %20s |\n", i, compose_text_at(gpu, "model", ""), node,
               util, memory);
        free(util);
        free(node);
        free(memory);
    }
    printf("%s", rule);
    printf("\nProcesses:\n");
    for (size_t i = 0; i < json_array_size(programs); i++) {
        const json_t *program = json_array_get(programs, i);

        printf("%10lld  %-16s ", (long long)compose_number_at(program, "Pid", 0),
               compose_text_at(program, "Host", ""));
        cli_print_clean(stdout, compose_text_at(program, "Command", ""));
        printf("\n");
    }
    if (json_array_size(programs) == 0)
        printf("  No running processes found\n");
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {0};
    json_t *system, *gpus;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    if (arguments.has_format && !arguments.fields)
        cli_misuse(cli, "--format belongs to --query-gpu");
    if (arguments.is_list + (arguments.fields != NULL) + cli->is_json > 1)
        cli_misuse(cli, "-L, --query-gpu and --json exclude each other");
    if (!arguments.system)
        arguments.system = getenv("FABRIC_SYSTEM");
    if (!arguments.system || !arguments.system[0])
        arguments.system = only_system(cli);
    system = cli_get_named(cli, "/redfish/v1/Systems", arguments.system);
    gpus = cli_gpu_rows(system);
    if (cli->is_json)
        return cli_json(gpus);
    if (arguments.is_list)
        print_list(gpus);
    else if (arguments.fields)
        print_query(&arguments, gpus);
    else
        print_table(arguments.system, gpus, compose_array_at(system, "Oem.Fabric.Programs"));
    json_decref(gpus);
    json_decref(system);
    return CLI_DONE;
}
