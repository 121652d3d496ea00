/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/launcher/softcuda_run.c - bin/softcuda-run: run a program on softcuda, natively.
 *
 *     softcuda-run [--devices N | --config FILE] PROGRAM [ARGUMENT...]
 *
 * Everything from PROGRAM on belongs to the program, and its exit status is ours.
 */
#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cuda-runtime/launcher/launcher.h"

enum {
    EXIT_MISUSED = 2,
    EXIT_NOT_STARTED = 126,
    EXIT_NOT_FOUND = 127,
    DEVICES_MAX = 64, /* as many as a device file can describe */
};

const char *argp_program_version = "softcuda-run 0.1.0";

static const char doc[] =
    "Run a CUDA program on softcuda, the CUDA driver in software: no GPU is needed.\v"
    "The program is found as a shell finds it. FABRIC_REDIRECT=off leaves an embedded CUDA runtime "
    "alone. Devices are described in softcuda.conf(5).";

static const struct argp_option options[] = {
    {"devices", 'n', "N", 0, "Show N devices of the default kind (1 to 64)", 0},
    {"config", 'c', "FILE", 0, "Show the devices that FILE describes", 0},
    {0},
};

struct arguments {
    unsigned long devices; /* 0: not given */
    const char *config;
    char **program;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    char *end;

    switch (key) {
    case 'n':
        arguments->devices = strtoul(text, &end, 10);
        if (*end || arguments->devices < 1 || arguments->devices > DEVICES_MAX)
            argp_error(state, "--devices takes a number from 1 to %d, not '%s'", DEVICES_MAX, text);
        return 0;
    case 'c':
        arguments->config = text;
        return 0;
    case ARGP_KEY_ARG:
        arguments->program = &state->argv[state->next - 1];
        state->next = state->argc; /* the rest is the program's */
        return 0;
    case ARGP_KEY_END:
        if (!arguments->program)
            argp_error(state, "no program given");
        if (arguments->devices && arguments->config)
            argp_error(state, "--devices and --config exclude each other");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "PROGRAM [ARGUMENT...]", doc, NULL,
                                     NULL,    NULL};
    char driver_dir[PATH_MAX], runtime_dir[PATH_MAX], config_path[PATH_MAX];
    char config[PATH_MAX + 32], devices[64];
    const char *set[3] = {NULL, NULL, NULL};
    struct arguments arguments = {0};
    struct fab_err err = {0};
    enum fab_status status;

    argp_err_exit_status = EXIT_MISUSED;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
    if (arguments.config) {
        if (!realpath(arguments.config, config_path)) {
            fprintf(stderr, "softcuda-run: %s: no such file\n", arguments.config);
            return EXIT_MISUSED;
        }
        (void)snprintf(config, sizeof(config), "SOFTCUDA_CONFIG=%s", config_path);
        set[0] = config;
    } else if (arguments.devices) {
        (void)snprintf(devices, sizeof(devices), "SOFTCUDA_DEVICES=%lu", arguments.devices);
        set[0] = devices;
        set[1] = "SOFTCUDA_CONFIG="; /* the default kind, whatever was set outside */
    }
    status = launcher_library_dir("softcuda", driver_dir, &err);
    if (status == FAB_OK)
        status = launcher_library_dir("runtime", runtime_dir, &err);
    if (status == FAB_OK)
        status = launcher_exec(&(struct launcher_request){.driver_dir = driver_dir,
                                                          .runtime_dir = runtime_dir,
                                                          .argv = arguments.program,
                                                          .set = set},
                               &err);
    fprintf(stderr, "softcuda-run: %s\n", err.text);
    return status == FAB_ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
}
