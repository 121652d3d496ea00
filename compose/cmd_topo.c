/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_topo.c - compose topo: machines, GPUs, HCAs and switches, and what joins them.
 *
 * The manager draws (topology/print*.c); this asks for the form and passes the text on.
 */
#include <stdio.h>

#include "compose/commands.h"

static int run(struct cli *cli, int argc, char **argv);

enum { KEY_TREE = CLI_KEY_OWN, KEY_MATRIX, KEY_DOT, KEY_SVG };

static const struct argp_option options[] = {
    {"tree", KEY_TREE, NULL, 0, "As a tree (default)", 0},
    {"matrix", KEY_MATRIX, NULL, 0, "Each path's class, as nvidia-smi topo -m", 0},
    {"dot", KEY_DOT, NULL, 0, "For Graphviz", 0},
    {"svg", KEY_SVG, NULL, 0, "As a picture", 0},
    {0},
};

const struct cli_command cmd_topo = {
    .name = "topo",
    .arguments = "",
    .help = "Show how the rack is connected",
    .options = options,
    .run = run,
};

static bool take(struct cli *cli, void *arguments, int key, char *text)
{
    static const char *const formats[] = {"tree", "matrix", "dot", "svg"};
    const char **format = arguments;

    (void)text;
    if (key < KEY_TREE || key > KEY_SVG)
        return false;
    if (*format)
        cli_misuse(cli, "--%s and --%s exclude each other", *format, formats[key - KEY_TREE]);
    *format = formats[key - KEY_TREE];
    return true;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *format = NULL;
    struct compose_answer answer;
    char path[64];

    (void)cli_parse(cli, argc, argv, take, &format);
    if (format && cli->is_json)
        cli_misuse(cli, "--%s and --json exclude each other", format);
    (void)snprintf(path, sizeof(path), "/redfish/v1/Oem/Fabric/Topology?format=%s",
                   cli->is_json ? "json"
                   : format     ? format
                                : "tree");
    answer = cli_ask(cli, "GET", path, NULL);
    (void)fwrite(answer.body, 1, answer.body_bytes, stdout);
    if (answer.body_bytes > 0 && answer.body[answer.body_bytes - 1] != '\n')
        printf("\n");
    compose_answer_clear(&answer);
    return CLI_DONE;
}
