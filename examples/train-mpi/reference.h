/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/reference.h - the same classifier, plainly, on the CPU in double precision.
 */
#ifndef TRAIN_MPI_REFERENCE_H
#define TRAIN_MPI_REFERENCE_H

#include "sizes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The mean loss of `count` pictures. */
double reference_loss(const struct sizes *sizes, const double *weights, const float *pixels,
                      const int *labels, int count);

#ifdef __cplusplus
}
#endif

#endif /* TRAIN_MPI_REFERENCE_H */
