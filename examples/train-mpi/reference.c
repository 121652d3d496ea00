/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/reference.c - see reference.h.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double relu(double value)
{
    return value > 0.0 ? value : 0.0;
}

/* One output of a convolution at (x, y). */
static double convolved(const struct layer *layer, const double *row, const double *input, int x,
                        int y)
{
    double sum = row[layer->row - 1];

    for (int c = 0; c < layer->inputs; c++)
        for (int place = 0; place < PLACES; place++) {
            int from_x = x + place % 3 - 1, from_y = y + place / 3 - 1;

            if (from_x >= 0 && from_x < layer->side && from_y >= 0 && from_y < layer->side)
                sum += row[c * PLACES + place] *
                       input[(c * layer->side + from_y) * layer->side + from_x];
        }
    return relu(sum);
}

/* Convolution, relu and the maximum of 2 x 2. */
static void convolution(const struct layer *layer, const double *weights, const double *input,
                        double *output)
{
    const int half = layer->side / 2;

    for (int o = 0; o < layer->outputs; o++)
        for (int at = 0; at < half * half; at++) {
            const double *row = weights + layer->first + o * layer->row;
            double most = 0.0;

            for (int part = 0; part < 4; part++)
                most = fmax(most, convolved(layer, row, input, 2 * (at % half) + part % 2,
                                            2 * (at / half) + part / 2));
            output[o * half * half + at] = most;
        }
}

static void dense(const struct layer *layer, const double *weights, const double *input,
                  double *output)
{
    for (int o = 0; o < layer->outputs; o++) {
        const double *row = weights + layer->first + o * layer->row;

        output[o] = row[layer->row - 1];
        for (int i = 0; i < layer->inputs; i++)
            output[o] += row[i] * input[i];
    }
}

static double cross_entropy(const double *logits, int label)
{
    double most = logits[0], sum = 0.0;

    for (int k = 1; k < SHAPES_CLASSES; k++)
        most = fmax(most, logits[k]);
    for (int k = 0; k < SHAPES_CLASSES; k++)
        sum += exp(logits[k] - most);
    return log(sum) + most - logits[label];
}

double reference_loss(const struct sizes *sizes, const double *weights, const float *pixels,
                      const int *labels, int count)
{
    struct layer layers[LAYERS];
    double input[SHAPES_PIXELS], logits[SHAPES_CLASSES], sum = 0.0;
    double *first = malloc(sizeof(double) * SHAPES_PIXELS * (size_t)sizes->channels);
    double *second = malloc(sizeof(double) * SHAPES_PIXELS * (size_t)sizes->channels);
    double *third = malloc(sizeof(double) * (size_t)sizes->hidden);

    if (!first || !second || !third)
        abort();
    for (int i = 0; i < LAYERS; i++)
        layers[i] = layer_of(sizes, i);
    for (int n = 0; n < count; n++) {
        for (int i = 0; i < SHAPES_PIXELS; i++)
            input[i] = pixels[n * SHAPES_PIXELS + i];
        convolution(&layers[0], weights, input, first);
        convolution(&layers[1], weights, first, second);
        dense(&layers[2], weights, second, third);
        for (int i = 0; i < sizes->hidden; i++)
            third[i] = relu(third[i]);
        dense(&layers[3], weights, third, logits);
        sum += cross_entropy(logits, labels[n]);
    }
    free(first);
    free(second);
    free(third);
    return sum / count;
}
