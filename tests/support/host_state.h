/* SPDX-License-Identifier: Apache-2.0
 * tests/support/host_state.h - what a program can see of a library that lives in it as a guest:
 * signal handlers, environment, the code of functions that UCX can patch, UCX's global settings.
 */
#ifndef TESTS_SUPPORT_HOST_STATE_H
#define TESTS_SUPPORT_HOST_STATE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    HOST_SIGNALS = 65,
    HOST_VARIABLES_MAX = 1024,
    HOST_CODE_BYTES = 16,
    HOST_SETTINGS_BYTES = 65536,
};

struct host_state {
    struct sigaction actions[HOST_SIGNALS];
    char **environment;                  /* the array itself, */
    char *variables[HOST_VARIABLES_MAX]; /* its entries, */
    uint64_t texts;                      /* and a hash of their bytes */
    uint8_t code[6][HOST_CODE_BYTES];    /* the start of mmap() and its kin in libc */
    char settings[HOST_SETTINGS_BYTES];  /* lines NAME=value; empty: no UCX is in the process */
};

enum host_difference {
    HOST_SIGNAL = 1,
    HOST_ENVIRONMENT = 2,
    HOST_CODE = 4,
    HOST_SETTINGS = 8,
};

void host_look(struct host_state *state);

/* A bit of enum host_difference for each kind that differs; each difference is a line on stderr.
 * Settings whose names are in `except` (up to NULL; may be NULL) may differ. */
int host_compare(const struct host_state *before, const struct host_state *after,
                 const char *const *except);

/* A child process brings UCX in and looks at its settings: those of a program without a guest.
 * False if it could not. */
bool host_settings_alone(struct host_state *state);

#endif /* TESTS_SUPPORT_HOST_STATE_H */
