/* SPDX-License-Identifier: Apache-2.0
 * compose/commands.h - every command, each in its own file (drain, undrain and fence share one).
 */
#ifndef COMPOSE_COMMANDS_H
#define COMPOSE_COMMANDS_H

#include "compose/cli.h"

extern const struct cli_command cmd_cert, cmd_complete, cmd_create, cmd_delete, cmd_drain, cmd_env,
    cmd_events, cmd_fence, cmd_gpu, cmd_health, cmd_list, cmd_mpi_env, cmd_node, cmd_perf, cmd_run,
    cmd_show, cmd_smi, cmd_topo, cmd_undrain;

#endif /* COMPOSE_COMMANDS_H */
