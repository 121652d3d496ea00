/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/team.cu - see team.h.
 */
#include "team.h"

#include "../check.h"

void team_create(struct team *team, const struct ranks *ranks, int first_device, int gpus,
                 const struct sizes *sizes, const float *weights, bool is_staged)
{
    *team = {};
    team->ranks = *ranks;
    team->is_staged = is_staged;
    team->nets.resize(gpus);
    for (int i = 0; i < gpus; i++)
        net_create(&team->nets[i], first_device + i, sizes, weights);
    CUDA_CHECK(cudaMallocHost(&team->staged, team->nets[0].gradient_count * sizeof(int32_t)));
}

void team_destroy(struct team *team)
{
    CUDA_CHECK(cudaFreeHost(team->staged));
    for (struct net &net : team->nets)
        net_destroy(&net);
}

/* ---------------------------------------------------------------- the tree */

/* What `waiting` does from here on comes after all that `first` was told up to here. */
static void order(struct net *first, struct net *waiting)
{
    CUDA_CHECK(cudaSetDevice(first->device));
    CUDA_CHECK(cudaEventRecord(first->event, first->stream));
    CUDA_CHECK(cudaSetDevice(waiting->device));
    CUDA_CHECK(cudaStreamWaitEvent(waiting->stream, first->event, 0));
}

static void hand_on(struct team *team, struct net *from, struct net *to, int32_t *place)
{
    const size_t bytes = from->gradient_count * sizeof(int32_t);

    order(from, to);
    CUDA_CHECK(
        cudaMemcpyPeerAsync(place, to->device, from->gradients, from->device, bytes, to->stream));
    team->peer_bytes += bytes;
}

/* To the first GPU: neighbours in pairs, then pairs of pairs. */
static void gather(struct team *team)
{
    const size_t count = team->nets.size();

    for (size_t stride = 1; stride < count; stride *= 2)
        for (size_t i = 0; i + stride < count; i += 2 * stride) {
            struct net *to = &team->nets[i];

            hand_on(team, &team->nets[i + stride], to, to->received);
            net_add_received(to);
        }
}

/* The same tree the other way. A GPU's gradients change again only when they were fetched. */
static void spread(struct team *team)
{
    const size_t count = team->nets.size();
    size_t stride = 1;

    while (stride < count)
        stride *= 2;
    for (stride /= 2; stride > 0; stride /= 2)
        for (size_t i = 0; i + stride < count; i += 2 * stride) {
            struct net *to = &team->nets[i + stride];

            hand_on(team, &team->nets[i], to, to->gradients);
            order(to, &team->nets[i]);
        }
}

/* ---------------------------------------------------------------- between processes */

static void add_ranks(struct team *team)
{
    struct net *net = &team->nets[0];
    const size_t bytes = net->gradient_count * sizeof(int32_t);

    CUDA_CHECK(cudaSetDevice(net->device));
    if (team->is_staged)
        CUDA_CHECK(cudaMemcpyAsync(team->staged, net->gradients, bytes, cudaMemcpyDeviceToHost,
                                   net->stream));
    CUDA_CHECK(cudaStreamSynchronize(net->stream));
    ranks_add(team->is_staged ? team->staged : net->gradients, net->gradient_count);
    if (team->is_staged)
        CUDA_CHECK(cudaMemcpyAsync(net->gradients, team->staged, bytes, cudaMemcpyHostToDevice,
                                   net->stream));
    team->mpi_bytes += bytes;
}

void team_reduce(struct team *team)
{
    gather(team);
    if (team->ranks.count > 1)
        add_ranks(team);
    spread(team);
}

/* ---------------------------------------------------------------- results */

void team_wait(struct team *team)
{
    for (struct net &net : team->nets) {
        CUDA_CHECK(cudaSetDevice(net.device));
        CUDA_CHECK(cudaStreamSynchronize(net.stream));
    }
}

void team_sums(struct team *team, int32_t *sums_out)
{
    struct net *net = &team->nets[0];

    CUDA_CHECK(cudaSetDevice(net->device));
    CUDA_CHECK(cudaMemcpyAsync(sums_out, net->gradients + net->gradient_count - SUMS,
                               SUMS * sizeof(int32_t), cudaMemcpyDeviceToHost, net->stream));
    CUDA_CHECK(cudaStreamSynchronize(net->stream));
}

/* FNV-1a, a byte at a time. */
static uint64_t hash_bytes(const void *bytes, size_t count)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

bool team_hash(struct team *team, uint64_t *hash_out)
{
    std::vector<float> weights(team->nets[0].gradient_count - SUMS);
    bool is_equal = true;

    team_wait(team);
    for (size_t i = 0; i < team->nets.size(); i++) {
        const size_t bytes = weights.size() * sizeof(float);
        uint64_t hash;

        CUDA_CHECK(cudaSetDevice(team->nets[i].device));
        CUDA_CHECK(
            cudaMemcpy(weights.data(), team->nets[i].weights, bytes, cudaMemcpyDeviceToHost));
        hash = hash_bytes(weights.data(), bytes);
        if (i == 0)
            *hash_out = hash;
        is_equal = is_equal && hash == *hash_out;
    }
    /* Every rank asks, whatever it found. */
    return ranks_all_equal(*hash_out) && is_equal;
}
