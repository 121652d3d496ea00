/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/options.h - the command line.
 */
#ifndef TRAIN_MPI_OPTIONS_H
#define TRAIN_MPI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum reduce { REDUCE_STAGED, REDUCE_DEVICE };

struct options {
    int gpus; /* of each process; 0: those that are its own */
    int steps, batch, global_batch, samples, tests, channels, hidden;
    float rate, momentum;
    uint32_t seed;
    enum reduce reduce;
    bool is_json, is_check, is_timing;
};

/* Ends the process where the command line is wrong, or only asks for help. */
void options_take(struct options *options_out, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif /* TRAIN_MPI_OPTIONS_H */
