/* SPDX-License-Identifier: Apache-2.0
 * compose/place.h - what a program meets on this host: our libraries, the daemon's attach socket.
 */
#ifndef COMPOSE_PLACE_H
#define COMPOSE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
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

/* Whose GPUs a program gets: those of a system, or some that it gives back at its end. */
struct place_target {
    const char *system, *host; /* NULL: not said */
    uint32_t gpus, rails;      /* 0: not said */
    uint64_t wait_ms;
};

enum {
    PLACE_KEY_SYSTEM = 's',
    PLACE_KEY_GPUS = 'n',
    PLACE_KEY_HOST = CLI_KEYS - 2, /* the command's own count from CLI_KEY_OWN up */
    PLACE_KEY_WAIT
};

/* The options that say so, for a command's table; `when` ends the help of --gpus. */
#define PLACE_OPTIONS(when)                                                                        \
    {"system", PLACE_KEY_SYSTEM, "NAME", 0, "On this system (default: FABRIC_SYSTEM)", 0},         \
        {"gpus", PLACE_KEY_GPUS, "N", 0, "On N GPUs that are given back " when, 0},                \
        {"host", PLACE_KEY_HOST, "HOST", 0, "This host's name, where it must be said", 0},         \
    {                                                                                              \
        "wait", PLACE_KEY_WAIT, "TIME", 0, "With --gpus: stand in line for so long (60s)", 0       \
    }

/* False: it is none of them. */
bool place_take(struct cli *cli, struct place_target *target, int key, char *text);
/* "FABRIC_SYSTEM=NAME" of the system, which is looked at, or else of an ad hoc one that is composed
 * and ends with this process. Ends the process with the reason where there is none to be had. */
const char *place_system(struct cli *cli, const struct place_target *target);

/* "FABRIC_SOCKET=PATH": beside the API's socket. Misuse where the API is not on this host. */
const char *place_attach_socket(struct cli *cli);
/* Ends the process with the reason unless the system is composed and this host is one of its. */
void place_check_system(struct cli *cli, const char *name, const char *host);

#endif /* COMPOSE_PLACE_H */
