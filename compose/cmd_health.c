/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_health.c - compose health: every check of every node, and what the fabric shows.
 *
 * One row a check: pass, marginal or fail, with the value that was found. The exit status is 1
 * where a check failed, so that it can watch a rack.
 */
#include <string.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum { KEY_BAD = CLI_KEY_OWN };

static const struct argp_option options[] = {
    {"bad", KEY_BAD, NULL, 0, "Only what did not pass", 0},
    {0},
};

const struct cli_command cmd_health = {
    .name = "health",
    .arguments = "[NODE]",
    .help = "Show checks of nodes and fabric: pass, marginal, fail",
    .options = options,
    .words = CLI_WORDS_NODE,
    .run = run,
};

static const struct cli_column columns[] = {
    {"thing", "NODE", CLI_TEXT},  {"check", "CHECK", CLI_TEXT},   {"grade", "GRADE", CLI_TEXT},
    {"value", "VALUE", CLI_TEXT}, {"advice", "ADVICE", CLI_TEXT},
};

struct arguments {
    const char *node;
    bool is_bad;
};

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    (void)cli;
    switch (key) {
    case KEY_BAD:
        arguments->is_bad = true;
        return true;
    case ARGP_KEY_ARG:
        if (arguments->node)
            return false;
        arguments->node = text;
        return true;
    default:
        return false;
    }
}

static json_t *row(const char *thing, const char *check, const char *grade, const char *value,
                   const char *advice)
{
    return cli_pack("{ss ss ss ss ss}", "thing", thing, "check", check, "grade", grade, "value",
                    value, "advice", advice);
}

/* A node that is away is a failed check itself. */
static void add_machine(json_t *rows, const json_t *machine)
{
    const char *name = compose_text_at(machine, "Id", "");
    const char *state = compose_text_at(machine, "Oem.Fabric.State", "");
    const json_t *health = compose_array_at(machine, "Oem.Fabric.Health");
    const bool is_lost = strcmp(state, "lost") == 0 || strcmp(state, "failed") == 0;

    cli_append(rows, row(name, "agent",
                         is_lost                         ? "fail"
                         : strcmp(state, "drained") == 0 ? "marginal"
                                                         : "pass",
                         state, compose_text_at(machine, "Oem.Fabric.Reason", "")));
    for (size_t i = 0; i < json_array_size(health); i++) {
        const json_t *check = json_array_get(health, i);

        cli_append(
            rows, row(name, compose_text_at(check, "Name", ""), compose_text_at(check, "Grade", ""),
                      compose_text_at(check, "Value", ""), compose_text_at(check, "Advice", "")));
    }
}

/* Severities of the model (topology/topo.h) as grades. */
static void add_finding(json_t *rows, const json_t *finding)
{
    static const struct {
        const char *severity, *grade;
    } grades[] = {{"notice", "pass"}, {"ok", "pass"}, {"warning", "marginal"}};
    const char *severity = compose_text_at(finding, "Severity", ""), *grade = "fail";

    for (size_t i = 0; i < FAB_ARRAY_LEN(grades); i++)
        if (strcasecmp(severity, grades[i].severity) == 0)
            grade = grades[i].grade;
    cli_append(rows,
               row(compose_text_at(finding, "Thing", ""), compose_text_at(finding, "Code", ""),
                   grade, severity, compose_text_at(finding, "Text", "")));
}

static json_t *collect(struct cli *cli, const struct arguments *arguments)
{
    json_t *machines = cli_members(cli, "/redfish/v1/Systems?$expand=."), *findings;
    json_t *rows = cli_pack("[]");

    for (size_t i = 0; i < json_array_size(machines); i++) {
        const json_t *machine = json_array_get(machines, i);

        if (strcmp(compose_text_at(machine, "SystemType", ""), "Physical") == 0 &&
            (!arguments->node || strcmp(compose_text_at(machine, "Id", ""), arguments->node) == 0))
            add_machine(rows, machine);
    }
    json_decref(machines);
    if (arguments->node)
        return rows;
    findings = cli_members(cli, "/redfish/v1/Oem/Fabric/Findings");
    for (size_t i = 0; i < json_array_size(findings); i++)
        add_finding(rows, json_array_get(findings, i));
    json_decref(findings);
    return rows;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {0};
    json_t *all, *shown = cli_pack("[]");
    int status = CLI_DONE;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    all = collect(cli, &arguments);
    if (arguments.node && json_array_size(all) == 0)
        return cli_fail(cli, "there is no node %s: see 'compose node list'", arguments.node);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *grade = compose_text_at(json_array_get(all, i), "grade", "");

        if (strcmp(grade, "fail") == 0)
            status = CLI_FAILED;
        if (!arguments.is_bad || strcmp(grade, "pass") != 0)
            cli_append(shown, json_incref(json_array_get(all, i)));
    }
    json_decref(all);
    (void)cli_rows(cli, shown, columns, FAB_ARRAY_LEN(columns));
    return status;
}
