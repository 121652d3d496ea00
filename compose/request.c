/* SPDX-License-Identifier: Apache-2.0
 * compose/request.c - the commands' way to the API: what fails ends the process with its sentence.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compose/cli.h"

/* ---- messages ---------------------------------------------------------------------------------
 */

static void clear_line(const struct cli *cli)
{
    if (cli->progress)
        fprintf(stderr, "\r\033[K");
}

int cli_fail(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    char text[1024];

    clear_line(cli);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "compose: ");
    cli_print_clean(stderr, text);
    fprintf(stderr, "\n");
    return CLI_FAILED;
}

void cli_exit(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "compose: the output could not be written\n");
        status = CLI_FAILED;
    }
    _exit(status);
}

void cli_end(const struct cli *cli, const struct compose_error *error)
{
    cli_exit(cli_fail(cli, "%s", error->message));
}

static void show_progress(const struct cli *cli)
{
    fprintf(stderr, "\r\033[K%s", cli->progress);
    if (cli->waited_s > 0)
        fprintf(stderr, " (%u s)", cli->waited_s);
    (void)fflush(stderr);
}

void cli_progress(struct cli *cli, const char *text)
{
    clear_line(cli);
    cli->progress = text && isatty(STDERR_FILENO) ? text : NULL;
    cli->waited_s = 0;
    if (cli->progress)
        show_progress(cli);
}

static int tick(void *user)
{
    struct cli *cli = user;

    if (cli->progress) {
        cli->waited_s++;
        show_progress(cli);
    }
    return 0;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

struct compose *cli_open(struct cli *cli)
{
    struct compose_error error;

    if (cli->compose)
        return cli->compose;
    cli->options.token = getenv("FABRIC_TOKEN");
    cli->options.tick = tick;
    cli->options.user = cli;
    if (compose_open(&cli->options, &cli->compose, &error) != COMPOSE_OK)
        cli_end(cli, &error);
    return cli->compose;
}

json_t *cli_get(struct cli *cli, const char *path)
{
    struct compose_error error;
    json_t *answer = NULL;

    if (compose_ask_json(cli_open(cli), "GET", path, NULL, &answer, &error) != COMPOSE_OK)
        cli_end(cli, &error);
    return answer;
}

json_t *cli_get_named(struct cli *cli, const char *base, const char *name)
{
    char *path = compose_path(base, name);
    json_t *answer = path ? cli_get(cli, path) : NULL;

    free(path);
    return answer;
}

json_t *cli_members(struct cli *cli, const char *path)
{
    json_t *answer = cli_get(cli, path), *members = json_object_get(answer, "Members");

    if (!json_is_array(members))
        cli_exit(cli_fail(cli, "the daemon's answer to %s has no members: is it of this version?",
                          path));
    json_incref(members);
    json_decref(answer);
    return members;
}

struct compose_answer cli_ask(struct cli *cli, const char *method, const char *path,
                              const char *body)
{
    struct compose_answer answer = {0};
    struct compose_error error;

    if (compose_ask(cli_open(cli), method, path, body, &answer, &error) != COMPOSE_OK)
        cli_end(cli, &error);
    return answer;
}

const char *cli_this_node(struct cli *cli)
{
    json_t *root = cli_get(cli, "/redfish/v1");
    char *name = cli_text("%s", compose_text_at(root, "Oem.Fabric.Node", ""));

    json_decref(root);
    if (!name[0])
        cli_exit(cli_fail(cli, "the daemon that answers is no host's: name a host with --host, see "
                               "'compose node list'"));
    return name;
}
