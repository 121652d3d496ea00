/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/sizes.h - the classifier's shape and where its weights lie.
 *
 *   picture 16 x 16 -> convolution 3 x 3, relu, maximum of 2 x 2 -> the same -> dense, relu ->
 * dense
 *
 * All weights are one array. A layer is a row for each of its outputs: a weight for each input
 * (inputs, then the 3 x 3 places of each), and the bias last.
 */
#ifndef TRAIN_MPI_SIZES_H
#define TRAIN_MPI_SIZES_H

#include "shapes.h"

enum { LAYERS = 4, PLACES = 9 };

struct sizes {
    int batch; /* pictures that one GPU takes at once */
    int total; /* pictures of a step, all GPUs together */
    int channels, hidden;
};

struct layer {
    int inputs, outputs; /* of a convolution: channels */
    int side;            /* of its input; 0: dense */
    int row;             /* weights of an output, with the bias */
    int first;           /* where its weights begin */
};

static inline struct layer layer_of(const struct sizes *sizes, int number)
{
    const int flat = 2 * sizes->channels * SHAPES_PIXELS / 16;
    const struct layer shapes[LAYERS] = {
        {1, sizes->channels, SHAPES_SIDE, 0, 0},
        {sizes->channels, 2 * sizes->channels, SHAPES_SIDE / 2, 0, 0},
        {flat, sizes->hidden, 0, 0, 0},
        {sizes->hidden, SHAPES_CLASSES, 0, 0, 0},
    };
    struct layer layer = shapes[0];
    int first = 0;

    for (int i = 0; i <= number; i++) {
        layer = shapes[i];
        layer.row = layer.inputs * (layer.side ? PLACES : 1) + 1;
        layer.first = first;
        first += layer.outputs * layer.row;
    }
    return layer;
}

static inline int weights_of(const struct sizes *sizes)
{
    const struct layer last = layer_of(sizes, LAYERS - 1);

    return last.first + last.outputs * last.row;
}

#endif /* TRAIN_MPI_SIZES_H */
