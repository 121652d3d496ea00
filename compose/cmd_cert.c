/* SPDX-License-Identifier: Apache-2.0
 * compose/cmd_cert.c - compose cert: a CA for the rack, certificates for its nodes and users.
 *
 * Works on files alone; no daemon is asked. No certificate is ever overwritten.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "compose/commands.h"
#include "fabricd/certificate.h"

static int run(struct cli *cli, int argc, char **argv);

enum { KEY_DIR = CLI_KEY_OWN, KEY_ADDRESS, KEY_DAYS, KEY_NAME };

static const struct argp_option options[] = {
    {"dir", KEY_DIR, "FOLDER", 0, "Where the site's certificates are", 0},
    {"address", KEY_ADDRESS, "NAME", 0,
     "node: a further name or address that clients may use (may stand more than once)", 0},
    {"days", KEY_DAYS, "N", 0, "How long it is valid", 0},
    {"name", KEY_NAME, "NAME", 0, "ca: its name (default: fabric)", 0},
    {0},
};

static const char *const verbs[] = {"ca", "node", "user", "revoke", NULL};

const struct cli_command cmd_cert = {
    .name = "cert",
    .arguments = "ca|node NAME|user NAME|revoke NAME --dir FOLDER",
    .help = "Make the certificates of a site",
    .more =
        "First the CA, once; then one certificate a node, whose NAME is the node's in its "
        "settings. FOLDER then holds NAME.pem and NAME.key; give each node its own two and "
        "ca.pem, and keep ca.key where nobody else comes. What revoke adds to FOLDER/revoked.pem "
        "is accepted no more by daemons that have that file as tls.revoked and were reloaded.",
    .options = options,
    .repeatable = KEY_ADDRESS,
    .verbs = verbs,
    .run = run,
};

struct arguments {
    const char *dir, *kind, *name, *ca_name;
    const char *addresses[CERTIFICATE_NAMES_MAX];
    size_t address_count;
    uint32_t days;
};

static void take_word(struct cli *cli, struct arguments *arguments, const char *text)
{
    bool is_known = false;

    if (arguments->kind) {
        if (arguments->name || strcmp(arguments->kind, "ca") == 0)
            cli_misuse(cli, "what is '%s'? One certificate is made at a time", text);
        arguments->name = text;
        return;
    }
    for (size_t i = 0; verbs[i]; i++)
        is_known = is_known || strcmp(verbs[i], text) == 0;
    if (!is_known)
        cli_misuse(cli, "what is '%s'? ca, node and user make a certificate, revoke takes one back",
                   text);
    arguments->kind = text;
}

static bool take(struct cli *cli, void *input, int key, char *text)
{
    struct arguments *arguments = input;

    switch (key) {
    case KEY_DIR:
        arguments->dir = text;
        return true;
    case KEY_ADDRESS:
        if (arguments->address_count == CERTIFICATE_NAMES_MAX)
            cli_misuse(cli, "a node has at most %d further names", CERTIFICATE_NAMES_MAX);
        arguments->addresses[arguments->address_count++] = text;
        return true;
    case KEY_DAYS:
        arguments->days = cli_number(cli, "--days", text, CERTIFICATE_DAYS_MAX);
        return true;
    case KEY_NAME:
        arguments->ca_name = text;
        return true;
    case ARGP_KEY_ARG:
        take_word(cli, arguments, text);
        return true;
    default:
        return false;
    }
}

static void check(struct cli *cli, const struct arguments *arguments)
{
    if (!arguments->kind)
        cli_misuse(cli, "of what? ca, node NAME, user NAME or revoke NAME");
    if (strcmp(arguments->kind, "ca") != 0 && !arguments->name)
        cli_misuse(cli, "which %s? Its name is missing",
                   strcmp(arguments->kind, "revoke") == 0 ? "one" : arguments->kind);
    if (!arguments->dir)
        cli_misuse(cli, "where? --dir names the folder of the site's certificates");
    if (arguments->ca_name && strcmp(arguments->kind, "ca") != 0)
        cli_misuse(cli, "--name belongs to ca");
    if (arguments->address_count > 0 && strcmp(arguments->kind, "node") != 0)
        cli_misuse(cli, "--address belongs to node");
    if (arguments->days && strcmp(arguments->kind, "revoke") == 0)
        cli_misuse(cli, "--days belongs to a new certificate");
}

static int revoke(struct cli *cli, const struct arguments *arguments)
{
    struct fab_err err = {0};

    if (certificate_revoke(arguments->dir, arguments->name, &err) != FAB_OK)
        return cli_fail(cli, "nothing was revoked: %s", err.text);
    if (cli->is_json)
        return cli_json(cli_pack("{ss}", "revoked", cli_text("%s/revoked.pem", arguments->dir)));
    printf("%s/revoked.pem\n", arguments->dir);
    return CLI_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct arguments arguments = {0};
    struct fab_err err = {0};
    const char *file = "ca";
    enum fab_status status;

    (void)cli_parse(cli, argc, argv, take, &arguments);
    check(cli, &arguments);
    if (strcmp(arguments.kind, "revoke") == 0)
        return revoke(cli, &arguments);
    if (strcmp(arguments.kind, "ca") == 0) {
        status = certificate_make_ca(
            arguments.dir, arguments.ca_name ? arguments.ca_name : "fabric", arguments.days, &err);
    } else {
        const struct certificate_wish wish = {.name = arguments.name,
                                              .is_user = strcmp(arguments.kind, "user") == 0,
                                              .names = arguments.addresses,
                                              .name_count = arguments.address_count,
                                              .days = arguments.days};

        file = arguments.name;
        status = certificate_make(arguments.dir, &wish, &err);
    }
    if (status != FAB_OK)
        return cli_fail(cli, "no certificate was made: %s", err.text);
    if (cli->is_json) {
        char *certificate = cli_text("%s/%s.pem", arguments.dir, file);
        char *key = cli_text("%s/%s.key", arguments.dir, file);

        return cli_json(cli_pack("{ss ss}", "certificate", certificate, "key", key));
    }
    printf("%s/%s.pem\n%s/%s.key\n", arguments.dir, file, arguments.dir, file);
    return CLI_DONE;
}
