/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/main.cu - data-parallel training on the GPUs of one process or of many ranks.
 *
 * A step: every GPU takes its part of the global batch, forward, backward; the gradients of all are
 * added up (team.h); every GPU makes the same update of its copy of the weights.
 */
#include <algorithm>
#include <chrono>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../check.h"
#include "options.h"
#include "reference.h"
#include "team.h"

enum { REPORT_EVERY = 10, WARM_UP = 3 };

struct pictures {
    std::vector<float> pixels;
    std::vector<int> labels;
};

struct outcome {
    float first_loss, last_loss; /* of the first and of the last step */
    float accuracy;              /* of the test; negative: none */
    std::vector<double> step_ms;
    double total_s;
    uint64_t hash;
    bool is_equal; /* on all GPUs */
};

struct job {
    struct options options;
    struct ranks ranks;
    int gpus, first_device; /* of this process */
    struct sizes sizes;
    struct team team;
    struct pictures learned, tested;
};

static double now_s()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/* ---------------------------------------------------------------- pictures */

static struct pictures draw(uint32_t first, int count)
{
    struct pictures pictures = {std::vector<float>((size_t)count * SHAPES_PIXELS),
                                std::vector<int>(count)};

    for (int i = 0; i < count; i++)
        pictures.labels[i] = shapes_draw(first + i, &pictures.pixels[(size_t)i * SHAPES_PIXELS]);
    return pictures;
}

/* Picture `number` of a step that begins at `first` of an endless row; those from `end` on are not
 * there. A prime stride mixes the digits and the order of each round. */
static int picked(const struct pictures *pictures, uint64_t number, uint64_t end)
{
    const uint64_t count = pictures->labels.size(), stride = count % 7919 == 0 ? 7907 : 7919;

    return number < end ? (int)((number * stride + number / count) % count) : -1;
}

static void fill(struct batch *batch, const struct sizes *sizes, const struct pictures *pictures,
                 uint64_t first, uint64_t end)
{
    for (int i = 0; i < sizes->batch; i++) {
        const int picture = picked(pictures, first + i, end);
        float *pixels = batch->pixels + (size_t)i * SHAPES_PIXELS;

        batch->labels[i] = picture < 0 ? -1 : pictures->labels[picture];
        if (picture < 0)
            std::fill_n(pixels, SHAPES_PIXELS, 0.0f);
        else
            std::copy_n(&pictures->pixels[(size_t)picture * SHAPES_PIXELS], SHAPES_PIXELS, pixels);
    }
}

/* Gives each GPU of this process its part of what lies from `first` up to `end`. */
static void feed(struct job *job, const struct pictures *pictures, uint64_t first, uint64_t end)
{
    for (int i = 0; i < job->gpus; i++) {
        const uint64_t place = (uint64_t)(job->ranks.rank * job->gpus + i) * job->sizes.batch;
        struct net *net = &job->team.nets[i];

        fill(net_batch(net), &job->sizes, pictures, first + place, end);
        net_send(net);
    }
}

/* ---------------------------------------------------------------- training */

static void learn(struct job *job, int step)
{
    const uint64_t first = (uint64_t)step * job->sizes.total;

    feed(job, &job->learned, first, first + job->sizes.total);
    for (struct net &net : job->team.nets) {
        net_forward(&net);
        net_backward(&net);
    }
    team_reduce(&job->team);
    for (struct net &net : job->team.nets)
        net_update(&net, job->options.rate, job->options.momentum);
}

static float loss_now(struct job *job)
{
    int32_t sums[SUMS];

    team_sums(&job->team, sums);
    return (float)sums[SUM_LOSS] / job->team.nets[0].scale / job->sizes.total;
}

/* The loss is looked at now and then: to look is to wait. */
static void look(struct job *job, int step, struct outcome *outcome)
{
    if (job->options.is_timing || (step % REPORT_EVERY != 0 && step != job->options.steps - 1))
        return;
    outcome->last_loss = loss_now(job);
    if (step == 0)
        outcome->first_loss = outcome->last_loss;
    if (job->ranks.rank == 0 && !job->options.is_json)
        printf("step %4d   loss %.4f\n", step, outcome->last_loss);
}

/* The process runs up to two steps ahead of its GPUs (net_batch), so from the third on it passes
 * here as often as they take a step. */
static void train(struct job *job, struct outcome *outcome)
{
    const double start = now_s();
    double last = start;

    for (int step = 0; step < job->options.steps; step++) {
        learn(job, step);
        look(job, step, outcome);
        const double now = now_s();
        if (step >= WARM_UP || job->options.steps <= WARM_UP)
            outcome->step_ms.push_back((now - last) * 1e3);
        last = now;
    }
    team_wait(&job->team);
    outcome->total_s = now_s() - start;
}

static float test(struct job *job)
{
    int32_t sums[SUMS];
    int right = 0;

    for (int first = 0; first < job->options.tests; first += job->sizes.total) {
        feed(job, &job->tested, first, std::min(first + job->sizes.total, job->options.tests));
        for (struct net &net : job->team.nets)
            net_forward(&net);
        team_reduce(&job->team);
        team_sums(&job->team, sums);
        right += sums[SUM_RIGHT];
    }
    return (float)right / job->options.tests;
}

/* ---------------------------------------------------------------- the check */

/* Every 7th weight: the gradient that the kernels found beside the difference that the CPU finds.
 */
static long check(struct job *job)
{
    const struct sizes *sizes = &job->sizes;
    struct net *net = &job->team.nets[0];
    std::vector<int32_t> gradients(net->gradient_count);
    std::vector<float> start(weights_of(sizes));
    const double step = 1e-6;
    long wrong = 0, looked = 0;

    feed(job, &job->learned, 0, sizes->total);
    const struct batch *batch = &net->batches[1 - net->turn];
    net_forward(net);
    net_backward(net);
    team_wait(&job->team);
    CUDA_CHECK(cudaMemcpy(gradients.data(), net->gradients, gradients.size() * sizeof(int32_t),
                          cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaMemcpy(start.data(), net->weights, start.size() * sizeof(float),
                          cudaMemcpyDeviceToHost));
    std::vector<double> weights(start.begin(), start.end());
    auto loss = [&]() {
        return reference_loss(sizes, weights.data(), batch->pixels, batch->labels, sizes->total);
    };
    for (size_t i = 0; i < weights.size(); i += 7, looked++) {
        const double kept = weights[i];
        weights[i] = kept + step;
        double above = loss();
        weights[i] = kept - step;
        double below = loss();
        weights[i] = kept;
        double want = (above - below) / (2 * step);
        double got = (double)gradients[i] / net->scale / sizes->total;
        if (!(std::fabs(got - want) <= 1e-5 + 1e-3 * std::fabs(want)) && wrong++ < 5)
            fprintf(stderr, "gradient of weight %zu: %.9g, by differences %.9g\n", i, got, want);
    }
    double want = loss(),
           got = (double)gradients[weights.size() + SUM_LOSS] / net->scale / sizes->total;
    if (!(std::fabs(got - want) <= 1e-5 * want)) {
        fprintf(stderr, "loss %.9g, on the CPU %.9g\n", got, want);
        wrong++;
    }
    printf("%ld of %zu gradients compared with finite differences, loss %.5f\n", looked,
           weights.size(), got);
    return wrong;
}

/* ---------------------------------------------------------------- results */

static double part_of(std::vector<double> values, double part)
{
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, (size_t)(part * (double)values.size()))];
}

static const char *between_ranks(const struct job *job)
{
    if (job->ranks.count == 1)
        return "none";
    return job->team.is_staged ? "staged" : "device";
}

/* What stands on standard output does not depend on how the job is spread. */
static void print(const struct job *job, const struct outcome *outcome)
{
    if (job->options.is_timing)
        printf("%.3f ms a step (median), %.3f s in all\n", part_of(outcome->step_ms, 0.5),
               outcome->total_s);
    else
        printf("loss %.4f -> %.4f\n", outcome->first_loss, outcome->last_loss);
    if (outcome->accuracy >= 0.0f)
        printf("accuracy %.4f on %d pictures it has not seen\n", outcome->accuracy,
               job->options.tests);
    printf("weights %016llx%s\n", (unsigned long long)outcome->hash,
           outcome->is_equal ? "" : ", but not on all GPUs");
}

static void print_layout(const struct job *job)
{
    if (job->ranks.rank != 0)
        return;
    fprintf(stderr, "train-mpi: %d rank%s with %d GPU%s each, %d pictures a step, %d weights\n",
            job->ranks.count, job->ranks.count > 1 ? "s" : "", job->gpus, job->gpus > 1 ? "s" : "",
            job->sizes.total, weights_of(&job->sizes));
    if (job->ranks.count > 1)
        fprintf(stderr, "train-mpi: gradients go between ranks %s\n",
                job->team.is_staged ? "through pinned host memory" : "as device memory, by MPI");
}

static void print_json(const struct job *job, const struct outcome *outcome)
{
    const struct team *team = &job->team;

    printf("{\"ranks\": %d, \"gpus\": %d, \"steps\": %d, \"batch\": %d, \"global_batch\": %d, "
           "\"weights\": %d,\n",
           job->ranks.count, job->ranks.count * job->gpus, job->options.steps, job->sizes.batch,
           job->sizes.total, weights_of(&job->sizes));
    printf(" \"step_ms\": {\"median\": %.4f, \"low\": %.4f, \"high\": %.4f}, \"total_s\": %.6f,\n",
           part_of(outcome->step_ms, 0.5), part_of(outcome->step_ms, 0.05),
           part_of(outcome->step_ms, 0.95), outcome->total_s);
    printf(" \"gradient_bytes\": %zu, \"peer_bytes\": %llu, \"mpi_bytes\": %llu, "
           "\"between_ranks\": \"%s\",\n",
           team->nets[0].gradient_count * sizeof(int32_t), (unsigned long long)team->peer_bytes,
           (unsigned long long)team->mpi_bytes, between_ranks(job));
    if (job->options.is_timing)
        printf(" \"loss\": null, \"accuracy\": null,");
    else
        printf(" \"first_loss\": %.9g, \"loss\": %.9g, \"accuracy\": %.9g,", outcome->first_loss,
               outcome->last_loss, outcome->accuracy);
    printf(" \"hash\": \"%016llx\", \"timing_only\": %s}\n", (unsigned long long)outcome->hash,
           job->options.is_timing ? "true" : "false");
}

/* ---------------------------------------------------------------- the job */

/* Every rank comes here. If one of them finds `is_wrong` the job ends, and the first that does says
 * why: launchers end a job with its first process that fails, so none ends before that is said. */
static void refuse_if(const struct job *job, bool is_wrong, const char *why)
{
    const int first = ranks_first(&job->ranks, is_wrong);

    if (first == job->ranks.count)
        return;
    if (first == job->ranks.rank)
        fprintf(stderr, "train-mpi: %s\n", why);
    ranks_stop();
    exit(1);
}

/* Which of the visible GPUs are this process's. */
static void choose_gpus(struct job *job)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    bool is_shared = job->ranks.local_count > 1 && !(visible && visible[0]);
    int devices = 0;

    CUDA_CHECK(cudaGetDeviceCount(&devices));
    job->gpus = job->options.gpus;
    if (job->gpus == 0)
        job->gpus = is_shared ? devices / job->ranks.local_count : devices;
    job->first_device = is_shared ? job->ranks.local_rank * job->gpus : 0;
    refuse_if(job, job->gpus == 0 || job->first_device + job->gpus > devices,
              "there are fewer GPUs on this host than its ranks ask for");
}

/* What MPI says is about GPUs of its host. Whether it can reach these, only the user knows: to an MPI
 * that maps or registers what it is given, memory of a GPU elsewhere is none. So nobody guesses. */
static bool is_staged(struct job *job)
{
    refuse_if(job, job->options.reduce == REDUCE_DEVICE && !job->ranks.takes_device_pointers,
              job->ranks.count > 1
                  ? "--reduce device: this MPI does not take device memory (MPIX_Query_cuda_support)"
                  : "--reduce device: there is one rank, and no MPI");
    return job->options.reduce == REDUCE_STAGED;
}

/* Uniform, by the number of inputs (He): the same on every GPU. */
static std::vector<float> first_weights(const struct sizes *sizes, uint32_t seed)
{
    std::vector<float> weights(weights_of(sizes));

    for (int i = 0; i < LAYERS; i++) {
        struct layer layer = layer_of(sizes, i);
        float most = std::sqrt(6.0f / (float)layer.row);

        for (int at = layer.first; at < layer.first + layer.outputs * layer.row; at++)
            weights[at] = (2.0f * shapes_random(seed, at) - 1.0f) * most;
    }
    return weights;
}

/* Kernels count their threads, and find their numbers, by an int. */
static bool is_countable(const struct sizes *sizes)
{
    long most = SHAPES_PIXELS;

    for (int i = 0; i < LAYERS; i++) {
        const struct layer layer = layer_of(sizes, i);
        const long each = layer.side ? std::max(layer.side * layer.side, layer.row) : 1;

        most = std::max({most, layer.outputs * each, (long)layer.inputs});
    }
    return sizes->batch * most <= INT_MAX - 1024; /* the last block has spare threads */
}

static void prepare(struct job *job)
{
    struct options *options = &job->options;

    if (options->is_check)
        options->gpus = 1, options->batch = 0, options->global_batch = 4;
    if (options->is_timing)
        options->tests = 0;
    choose_gpus(job);
    int all = job->ranks.count * job->gpus;
    int batch = options->batch ? options->batch : (options->global_batch + all - 1) / all;
    int total = options->batch ? options->batch * all : options->global_batch;
    refuse_if(job, options->is_check && all > 1, "--check is for one process");
    refuse_if(job, total > 1 << 20, "more than 2^20 pictures a step");
    job->sizes = {batch, total, options->channels, options->hidden};
    refuse_if(job, !is_countable(&job->sizes),
              "that many pictures for one GPU are too many for so large a network");
    job->learned = draw(0, options->samples);
    job->tested = draw(SHAPES_TEST, options->tests);
    team_create(&job->team, &job->ranks, job->first_device, job->gpus, &job->sizes,
                first_weights(&job->sizes, options->seed).data(), is_staged(job));
}

/* Whether all is as it should be. */
static bool run(struct job *job)
{
    struct outcome outcome = {};

    print_layout(job);
    train(job, &outcome);
    outcome.accuracy = job->options.tests ? test(job) : -1.0f;
    outcome.is_equal = team_hash(&job->team, &outcome.hash);
    if (job->ranks.rank == 0) {
        if (job->options.is_json)
            print_json(job, &outcome);
        else
            print(job, &outcome);
    }
    return outcome.is_equal && (job->options.is_timing || outcome.last_loss < outcome.first_loss);
}

int main(int argc, char **argv)
{
    static struct job job;
    int status;

    options_take(&job.options, argc, argv);
    ranks_start(&job.ranks);
    prepare(&job);
    if (job.options.is_check) {
        status = finish(check(&job));
    } else {
        status = run(&job) ? 0 : 1;
        if (job.ranks.rank == 0 && !job.options.is_json)
            printf("%s\n", status == 0 ? "PASSED" : "FAILED");
    }
    team_destroy(&job.team);
    ranks_stop();
    return status;
}
