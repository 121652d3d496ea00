/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/shapes.h - what is learned: small pictures of digits, drawn as strokes.
 *
 * Sample i is always the same picture, on every machine: a digit (i mod 10) as its strokes, moved,
 * turned, stretched and thickened a little, with noise in every pixel. Samples from 0 on are for
 * training; tests use those from SHAPES_TEST on.
 */
#ifndef TRAIN_MPI_SHAPES_H
#define TRAIN_MPI_SHAPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SHAPES_SIDE = 16,
    SHAPES_PIXELS = SHAPES_SIDE * SHAPES_SIDE,
    SHAPES_CLASSES = 10,
    SHAPES_TEST = 1 << 24
};

/* Fills `pixels` with about 0 (paper) to 1 (ink) and returns the digit. */
int shapes_draw(uint32_t sample, float *pixels);

/* A number of [0, 1) that is a pure function of both. */
float shapes_random(uint32_t seed, uint32_t number);

#ifdef __cplusplus
}
#endif

#endif /* TRAIN_MPI_SHAPES_H */
