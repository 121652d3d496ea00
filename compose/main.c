/* SPDX-License-Identifier: Apache-2.0
 * compose/main.c - bin/compose: machines from the GPUs of the rack.
 *
 *     compose [OPTION...] COMMAND [ARGUMENT...]
 *
 * commands.c has the table of commands, cmd_*.c one file each.
 */
#include <argp.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "compose/cli.h"

int main(int argc, char **argv)
{
    struct cli cli = {0};
    int first, status;

    (void)setlocale(LC_CTYPE, ""); /* the width of characters in tables */
    first = cli_parse(&cli, argc, argv, NULL, NULL);
    if (first >= argc)
        cli_misuse(&cli, "no command is given");
    argc -= first;
    argv += first;
    cli.command = cli_find(argv[0], &argc, &argv);
    if (!cli.command)
        cli_misuse(&cli, "there is no command '%s'", argv[0]);
    if (cli.command->flags & CLI_NOT_YET)
        cli_not_yet(&(struct cli){0}, cli_text("'%s'", cli.command->name));
    status = cli.command->run(&cli, argc, argv);
    compose_close(cli.compose);
    cli_exit(status);
}
