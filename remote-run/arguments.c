/* SPDX-License-Identifier: Apache-2.0
 * remote-run/arguments.c - the command line.
 */
#include <argp.h>
#include <stdlib.h>

#include "base/parse.h"
#include "remote-run/remote_run.h"

enum { EXIT_MISUSED = 2, OPTION_GRACE = 256, OPTION_WORKER, OPTION_MEMORY };

const char *argp_program_version = "remote-run 0.1.0";

static const char doc[] =
    "Run a CUDA program on the GPUs of gpu-workers that are started for it, without fabricd.\v"
    "Without --rails the workers share this host's memory with the program. With it each worker is "
    "a "
    "node of its own, reached over UCX: on the hosts 2, 3, ... of a soft rack (tests/rack/rack.sh) "
    "inside one, else over the loopback device. FABRIC_SOCKET tells the program where to ask.";

static const struct argp_option options[] = {
    {"workers", 'w', "N", 0, "Start N workers, each a GPU node (1 to 64; default 1)", 0},
    {"devices", 'n', "M", 0, "Give each worker M GPUs (1 to 64; default 1)", 0},
    {"rails", 'r', "R", 0, "Join them by R rails (1 to 8); without: by shared memory", 0},
    {"driver", 'd', "FILE", 0, "The libcuda.so.1 that workers load (default: softcuda)", 0},
    {"grace", OPTION_GRACE, "TIME", 0, "How long a lost connection may come back (default 30s)", 0},
    {"memory", OPTION_MEMORY, "SIZE", 0, "Limit the memory of each GPU (default: what it has)", 0},
    {"worker", OPTION_WORKER, "FILE", 0, "The gpu-worker to start", 0},
    {0},
};

static uint32_t number(struct argp_state *state, const char *name, const char *text, uint32_t max)
{
    int64_t value;

    if (fab_parse_int(text, &value) != FAB_OK || value < 1 || value > max)
        argp_error(state, "--%s takes a number from 1 to %u, not '%s'", name, max, text);
    return (uint32_t)value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct remote_arguments *arguments = state->input;

    switch (key) {
    case 'w':
        arguments->workers = number(state, "workers", text, SES_WORKERS_MAX);
        return 0;
    case 'n':
        arguments->devices = number(state, "devices", text, SES_VGPUS_MAX);
        return 0;
    case 'r':
        arguments->rails = number(state, "rails", text, SES_RAILS_MAX);
        return 0;
    case 'd':
        arguments->driver = text;
        return 0;
    case OPTION_GRACE:
        if (fab_parse_duration(text, &arguments->grace_ns) != FAB_OK || arguments->grace_ns == 0)
            argp_error(state, "--grace takes a time such as 30s, not '%s'", text);
        return 0;
    case OPTION_MEMORY:
        if (fab_parse_size(text, &arguments->memory_bytes) != FAB_OK ||
            arguments->memory_bytes == 0)
            argp_error(state, "--memory takes a size such as 8GiB, not '%s'", text);
        return 0;
    case OPTION_WORKER:
        arguments->worker = text;
        return 0;
    case ARGP_KEY_ARG:
        arguments->program = &state->argv[state->next - 1];
        state->next = state->argc; /* the rest is the program's */
        return 0;
    case ARGP_KEY_END:
        if (!arguments->program)
            argp_error(state, "no program given");
        if (arguments->workers * arguments->devices > SES_VGPUS_MAX)
            argp_error(state, "%u workers with %u GPUs are more than %d", arguments->workers,
                       arguments->devices, SES_VGPUS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void remote_arguments_read(int argc, char **argv, struct remote_arguments *out)
{
    static const struct argp argp = {options, parse, "PROGRAM [ARGUMENT...]", doc, NULL,
                                     NULL,    NULL};

    *out = (struct remote_arguments){.workers = 1, .devices = 1, .grace_ns = UINT64_C(30000000000)};
    argp_err_exit_status = EXIT_MISUSED;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, out);
}
