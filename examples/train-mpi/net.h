/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/net.h - the classifier on one GPU: forward, backward, update.
 *
 * Gradients are sums over pictures of whole numbers: what one picture adds is rounded to a multiple
 * of 1/scale, and whole numbers add up to the same in any order. So the weights come out the same,
 * to the last bit, however many GPUs, processes and hosts the pictures are spread over.
 */
#ifndef TRAIN_MPI_NET_H
#define TRAIN_MPI_NET_H

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#include "sizes.h"

/* What one picture adds to a gradient is at most this; sums of all stay below 2^31. */
constexpr float CLIP = 64.0f;

/* Two numbers behind the gradients, so that one sum brings all. */
enum { SUM_LOSS, SUM_RIGHT, SUMS };

struct batch { /* pinned host memory; label -1: no picture */
    float *pixels;
    int *labels;
    cudaEvent_t sent;
};

struct net {
    int device;
    struct sizes sizes;
    float scale;
    size_t gradient_count; /* with the SUMS behind them */
    cudaStream_t stream;
    cudaEvent_t event; /* for who waits for this GPU */
    struct batch batches[2];
    int turn;
    /* On the device. */
    float *pixels, *weights, *speed;
    int *labels;
    int32_t *gradients, *received;
    float *out[LAYERS], *pooled[2];     /* activations */
    float *d_out[LAYERS], *d_pooled[2]; /* the loss by them */
};

/* A power of two, so that the division is exact. */
float net_scale(int total);

void net_create(struct net *net, int device, const struct sizes *sizes, const float *weights);
void net_destroy(struct net *net);

/* The batch to fill; waits until the GPU has taken what was in it before. */
struct batch *net_batch(struct net *net);
/* All of these return at once: the GPU does it in order. */
void net_send(struct net *net);    /* the batch that was filled, to the GPU */
void net_forward(struct net *net); /* sets the gradients to zero, adds up the SUMS */
void net_backward(struct net *net);
void net_update(struct net *net, float rate, float momentum);
/* Adds what `received` holds to the gradients. */
void net_add_received(struct net *net);

#endif /* TRAIN_MPI_NET_H */
