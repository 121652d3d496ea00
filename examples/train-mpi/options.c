/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/options.c - see options.h.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: train-mpi [OPTION...]            one process, all GPUs that it sees\n"
    "       mpirun [...] train-mpi [OPTION...]   several\n"
    "\n"
    "Trains a small convolutional network on pictures of digits, data parallel. The same global\n"
    "batch gives the same weights, to the last bit, over any number of GPUs and ranks.\n"
    "\n"
    "  --gpus N           GPUs of each process (default: all of CUDA_VISIBLE_DEVICES if that is "
    "set,\n"
    "                     else its share of those of its host)\n"
    "  --steps N          steps of gradient descent (60)\n"
    "  --global-batch N   pictures of a step, all GPUs together (32)\n"
    "  --batch N          instead: pictures of a step for each GPU (weak scaling)\n"
    "  --samples N        pictures to learn from (1024)\n"
    "  --tests N          pictures of the test afterwards; 0: no test (256)\n"
    "  --channels N       of the first convolution; the second has twice as many (4)\n"
    "  --hidden N         width of the dense layer; 4 channels and N: 139 N + 346 weights (32)\n"
    "  --rate X           learning rate (0.05)\n"
    "  --momentum X       (0.9)\n"
    "  --seed N           of the first weights (1)\n"
    "  --reduce HOW       between ranks: staged (through pinned host memory), or device (hand MPI\n"
    "                     device memory; only where MPI can reach that of these GPUs) (staged)\n"
    "  --timing           take times only: no test, nothing is said of what was learned. For\n"
    "                     devices that do not compute (softcuda, time = \"only\")\n"
    "  --check            compare the gradients with finite differences on the CPU, train nothing\n"
    "  --json             results as one JSON object\n"
    "\n"
    "Exit status: 0 if it learned (or the check holds), 1 if not or on an error, 2 misused.\n";

enum {
    KEY_GPUS = 1,
    KEY_STEPS,
    KEY_GLOBAL_BATCH,
    KEY_BATCH,
    KEY_SAMPLES,
    KEY_TESTS,
    KEY_CHANNELS,
    KEY_HIDDEN,
    KEY_RATE,
    KEY_MOMENTUM,
    KEY_SEED,
    KEY_REDUCE,
    KEY_TIMING,
    KEY_CHECK,
    KEY_JSON,
    KEY_HELP
};

static const struct option table[] = {
    {"gpus", required_argument, NULL, KEY_GPUS},
    {"steps", required_argument, NULL, KEY_STEPS},
    {"global-batch", required_argument, NULL, KEY_GLOBAL_BATCH},
    {"batch", required_argument, NULL, KEY_BATCH},
    {"samples", required_argument, NULL, KEY_SAMPLES},
    {"tests", required_argument, NULL, KEY_TESTS},
    {"channels", required_argument, NULL, KEY_CHANNELS},
    {"hidden", required_argument, NULL, KEY_HIDDEN},
    {"rate", required_argument, NULL, KEY_RATE},
    {"momentum", required_argument, NULL, KEY_MOMENTUM},
    {"seed", required_argument, NULL, KEY_SEED},
    {"reduce", required_argument, NULL, KEY_REDUCE},
    {"timing", no_argument, NULL, KEY_TIMING},
    {"check", no_argument, NULL, KEY_CHECK},
    {"json", no_argument, NULL, KEY_JSON},
    {"help", no_argument, NULL, KEY_HELP},
    {0},
};

static void misused(const char *what, const char *text)
{
    fprintf(stderr, "train-mpi: %s%s; see --help\n", what, text);
    exit(2);
}

static int whole(const char *text, int least, int most)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*end || end == text || value < least || value > most) {
        char range[64];

        (void)snprintf(range, sizeof(range), "not a number from %d to %d: ", least, most);
        misused(range, text);
    }
    return (int)value;
}

static float real(const char *text)
{
    char *end;
    float value = strtof(text, &end);

    if (*end || end == text || !(value >= 0.0f && value <= 10.0f))
        misused("not a number from 0 to 10: ", text);
    return value;
}

static enum reduce reduce_of(const char *text)
{
    static const char *const names[] = {"staged", "device"};

    for (int i = 0; i < 2; i++)
        if (strcmp(text, names[i]) == 0)
            return (enum reduce)i;
    misused("--reduce takes staged or device, not ", text);
    return REDUCE_STAGED;
}

static void take(struct options *options, int key, const char *text)
{
    switch (key) {
    case KEY_GPUS:
        options->gpus = whole(text, 1, 1024);
        break;
    case KEY_STEPS:
        options->steps = whole(text, 1, INT_MAX);
        break;
    case KEY_GLOBAL_BATCH:
        options->global_batch = whole(text, 1, 1 << 20);
        break;
    case KEY_BATCH:
        options->batch = whole(text, 1, 1 << 14);
        break;
    case KEY_SAMPLES:
        options->samples = whole(text, 1, 1 << 20);
        break;
    case KEY_TESTS:
        options->tests = whole(text, 0, 1 << 20);
        break;
    case KEY_CHANNELS:
        options->channels = whole(text, 1, 256);
        break;
    case KEY_HIDDEN:
        options->hidden = whole(text, 1, 1 << 16);
        break;
    case KEY_RATE:
        options->rate = real(text);
        break;
    case KEY_MOMENTUM:
        options->momentum = real(text);
        break;
    case KEY_SEED:
        options->seed = (uint32_t)whole(text, 0, INT_MAX);
        break;
    case KEY_REDUCE:
        options->reduce = reduce_of(text);
        break;
    case KEY_TIMING:
        options->is_timing = true;
        break;
    case KEY_CHECK:
        options->is_check = true;
        break;
    case KEY_JSON:
        options->is_json = true;
        break;
    case KEY_HELP:
        (void)fputs(help, stdout);
        exit(0);
    default:
        exit(2); /* getopt has said why */
    }
}

void options_take(struct options *options_out, int argc, char **argv)
{
    int key;

    *options_out = (struct options){.steps = 60,
                                    .samples = 1024,
                                    .tests = 256,
                                    .channels = 4,
                                    .hidden = 32,
                                    .rate = 0.05f,
                                    .momentum = 0.9f,
                                    .seed = 1};
    while ((key = getopt_long(argc, argv, "", table, NULL)) != -1)
        take(options_out, key, optarg);
    if (optind < argc)
        misused("one argument too many: ", argv[optind]);
    if (options_out->batch && options_out->global_batch)
        misused("--batch and --global-batch exclude each other", "");
    if (!options_out->batch && !options_out->global_batch)
        options_out->global_batch = 32;
}
