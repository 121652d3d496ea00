/* SPDX-License-Identifier: Apache-2.0
 * compose/commands.c - the table of all commands, and names that users know from elsewhere.
 */
#include "compose/commands.h"

#include <stdlib.h>
#include <string.h>

/* Of later versions: known, so that the refusal is exact. */
#define NOT_YET(word)                                                                              \
    &(const struct cli_command)                                                                    \
    {                                                                                              \
        .name = (word), .help = "Not in this version", .flags = CLI_NOT_YET                        \
    }

const struct cli_command *const cli_commands[] = {
    &cmd_create,       &cmd_list,         &cmd_show,      &cmd_delete,    &cmd_run,
    &cmd_env,          &cmd_mpi_env,      &cmd_perf,      &cmd_smi,       &cmd_node,
    &cmd_gpu,          &cmd_topo,         &cmd_health,    &cmd_events,    &cmd_drain,
    &cmd_undrain,      &cmd_fence,        &cmd_cert,      &cmd_complete,  NOT_YET("attach"),
    NOT_YET("detach"), NOT_YET("resize"), NOT_YET("cdi"), NOT_YET("top"), NULL,
};

/* Where they mean the same. */
static const struct {
    const char *name, *command, *verb;
} aliases[] = {
    {"list_gpus", "gpu", "list"},
};

static const struct cli_command *by_name(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

const struct cli_command *cli_find(const char *name, int *argc, char ***argv)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(aliases); i++) {
        char **longer;

        if (strcmp(aliases[i].name, name) != 0)
            continue;
        longer = calloc((size_t)*argc + 2, sizeof(char *));
        if (!longer)
            abort();
        longer[0] = (*argv)[0];
        longer[1] = cli_text("%s", aliases[i].verb);
        memcpy(longer + 2, *argv + 1, (size_t)*argc * sizeof(char *)); /* with the NULL */
        *argv = longer;
        ++*argc;
        return by_name(aliases[i].command);
    }
    return by_name(name);
}
