/* SPDX-License-Identifier: Apache-2.0
 * compose/place.h - what a program meets on this host: our libraries, the daemon's attach socket.
 */
#ifndef COMPOSE_PLACE_H
#define COMPOSE_PLACE_H

#include <limits.h>
#include <stdio.h>

#include "base/err.h"
#include "compose/cli.h"

struct place_libraries {
    char driver_dir[PATH_MAX], runtime_dir[PATH_MAX];
};

/* `driver` is "client" or "softcuda". */
FAB_NODISCARD enum fab_status place_libraries_find(const char *driver,
                                                   struct place_libraries *libraries_out,
                                                   struct fab_err *err);
FAB_NODISCARD enum fab_status place_program_find(const char *name, struct fab_err *err);
/* Becomes the program; returns only when that failed. */
FAB_NODISCARD enum fab_status place_exec(const struct place_libraries *libraries, char **program,
                                         const char *const *set, struct fab_err *err);
/* An exit status as a shell's, 126 or 127, and the reason on stderr. */
int place_not_started(const struct cli *cli, enum fab_status status, const struct fab_err *err);
/* Becomes the program on `driver`; returns an exit status when that failed. */
int place_become(struct cli *cli, const char *driver, const char *const *set, char **program);
/* The variables that a started program would have, as "NAME=value"; the list is given. */
FAB_NODISCARD enum fab_status place_environment(const struct place_libraries *libraries,
                                                const char *const *set, char ***environment_out,
                                                struct fab_err *err);

/* As a shell reads it, whatever the text is; a whole line "export NAME=VALUE". */
void place_print_quoted(FILE *stream, const char *text);
void place_print_export(FILE *stream, const char *name, const char *value);

/* "FABRIC_SOCKET=PATH": beside the API's socket. Misuse where the API is not on this host. */
const char *place_attach_socket(struct cli *cli);
/* Ends the process with the reason unless the system is composed and this host is one of its. */
void place_check_system(struct cli *cli, const char *name, const char *host);

/* The name of an ad hoc system, which ends with this process. Ends it with the reason where there
 * is none to be had. `host` may be NULL: this one. */
const char *place_compose(struct cli *cli, const char *host, uint32_t gpus, uint32_t rails,
                          uint64_t wait_ms);

#endif /* COMPOSE_PLACE_H */
