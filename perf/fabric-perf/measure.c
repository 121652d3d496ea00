/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/measure.c - see measure.h.
 *
 * A row: buffers, warm-up, repeats of as many iterations as take their part of the row's duration,
 * and a look at what arrived. A row that spreads too much gets up to three times the repeats.
 */
#include "perf/fabric-perf/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "perf/fabric-perf/lanes.h"
#include "perf/fabric-perf/stats.h"

/* A copy that takes more than this many durations of a row would take minutes for its repeats. */
enum { SLOW = 12, MORE = 3, ITERATIONS_MAX = 1 << 20 };

/* ---- devices -----------------------------------------------------------------------------------
 */

static enum fab_status cuda_failed(cudaError_t error, const char *what, struct fab_err *err)
{
    return fab_err_foreign(err, FAB_ERR_DEVICE, "cuda", (int)error, "%s: %s", what,
                           cudaGetErrorString(error));
}

static bool attribute(enum cudaDeviceAttr name, int gpu)
{
    int value = 0;

    return cudaDeviceGetAttribute(&value, name, gpu) == cudaSuccess && value != 0;
}

static enum fab_status look_at(int gpu, struct fp_facts *facts, struct fp_device *device,
                               struct fab_err *err)
{
    struct cudaDeviceProp about;
    cudaError_t error = cudaGetDeviceProperties(&about, gpu);

    if (error != cudaSuccess)
        return cuda_failed(error, "cudaGetDeviceProperties", err);
    (void)snprintf(device->name, sizeof(device->name), "%.*s", FP_NAME_BYTES - 1, about.name);
    if (cudaDeviceGetPCIBusId(device->pci, sizeof(device->pci), gpu) != cudaSuccess)
        device->pci[0] = '\0';
    device->memory_bytes = about.totalGlobalMem;
    device->can_map = facts->can_map[gpu] = attribute(cudaDevAttrCanMapHostMemory, gpu);
    device->can_manage = facts->can_manage[gpu] = attribute(cudaDevAttrManagedMemory, gpu);
    for (int peer = 0; peer < (int)facts->gpu_count; peer++) {
        int can = 0;

        if (peer != gpu && (error = cudaDeviceCanAccessPeer(&can, gpu, peer)) != cudaSuccess)
            return cuda_failed(error, "cudaDeviceCanAccessPeer", err);
        facts->can_peer[gpu][peer] = can != 0;
    }
    return FAB_OK;
}

enum fab_status fp_measure_devices(struct fp_facts *facts, struct fp_result *result,
                                   struct fab_err *err)
{
    int count = 0, driver = 0, runtime = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    enum fab_status status = FAB_OK;

    if (error != cudaSuccess)
        return cuda_failed(error, "cudaGetDeviceCount", err);
    (void)cudaDriverGetVersion(&driver); /* only told; 0 where it is not to be had */
    (void)cudaRuntimeGetVersion(&runtime);
    result->driver_version = (uint32_t)driver;
    result->runtime_version = (uint32_t)runtime;
    facts->gpu_count = count < FP_GPUS_MAX ? (uint32_t)count : FP_GPUS_MAX;
    result->devices = calloc(FP_GPUS_MAX, sizeof(*result->devices));
    if (!result->devices)
        return fab_err_set(err, FAB_ERR_NOMEM, "no memory for %d devices", count);
    result->device_count = facts->gpu_count;
    for (int gpu = 0; gpu < (int)facts->gpu_count && status == FAB_OK; gpu++)
        status = look_at(gpu, facts, &result->devices[gpu], err);
    return status;
}

/* ---- a row -------------------------------------------------------------------------------------
 */

struct run {
    const struct fp_options *options;
    struct fp_lanes lanes;
    struct fp_samples samples;
    double sample_us; /* what a repeat shall take */
};

/* Us of one iteration; 0: a call failed. */
static double iterate(struct run *run, uint32_t count)
{
    struct fp_lanes *lanes = &run->lanes;
    double start, end;

    if (lanes->key.test == FP_MEMCPY)
        return fp_memcpy_us(lanes->lane[0].to.at, lanes->lane[0].from.at, lanes->key.size, count);
    fp_lanes_touch(lanes);
    start = fp_stats_now_us();
    for (uint32_t i = 0; i < count; i++) {
        if (!fp_lanes_post(lanes))
            return 0;
        if (i % FP_WINDOW == FP_WINDOW - 1 && lanes->key.call != FP_CALL_SYNC &&
            lanes->key.size > 0 && !fp_lanes_wait(lanes))
            return 0;
    }
    if (!fp_lanes_wait(lanes))
        return 0;
    end = fp_stats_now_us();
    return fmax(end - start, 1e-6) / count;
}

/* Managed memory moves once: only the first copy after the processor's use is one. */
static bool is_moving(const struct fp_key *key)
{
    return key->memory == FP_MANAGED;
}

/* How many iterations make a repeat; 0: a call failed. The probes are warm-up, too. */
static uint32_t choose_iterations(struct run *run, double *one_us_out)
{
    uint32_t count = 1;
    double us;

    if (run->options->warmup && iterate(run, run->options->warmup) <= 0)
        return 0;
    for (;;) {
        us = iterate(run, count);
        if (us <= 0)
            return 0;
        *one_us_out = us;
        if (us * count >= run->sample_us / 4 || count >= ITERATIONS_MAX)
            break;
        count *= 4;
    }
    if (run->options->iterations)
        return run->options->iterations;
    if (is_moving(&run->lanes.key))
        return 1;
    us = run->sample_us / us;
    return us < 1 ? 1 : us > ITERATIONS_MAX ? ITERATIONS_MAX : (uint32_t)us;
}

/* Until there are enough, or the time is over and there are some. False: a call failed. */
static bool take_samples(struct run *run)
{
    const struct fp_options *options = run->options;
    const double start = fp_stats_now_us();
    struct fp_samples *samples = &run->samples;
    uint32_t wanted = options->repeats;
    double until_us = start + options->duration_s * 1e6;

    for (;;) {
        const bool is_late = samples->count >= FP_SAMPLES_MIN && fp_stats_now_us() > until_us;

        if (samples->count >= wanted || is_late) {
            if (wanted > options->repeats || !fp_stats_is_wide(samples, options->spread_max))
                return true;
            wanted = options->repeats * MORE;
            until_us = fp_stats_now_us() + (MORE - 1) * options->duration_s * 1e6;
        }
        samples->us[samples->count] = iterate(run, samples->iterations);
        if (samples->us[samples->count++] <= 0)
            return false;
    }
}

static void give_rate(struct fp_row *row, uint32_t lanes)
{
    if (row->us > 0 && row->key.size > 0)
        row->mb_s = (double)row->key.size * lanes / row->us;
}

static enum fp_outcome fail(struct fp_row *row, const char *reason)
{
    (void)snprintf(row->reason, sizeof(row->reason), "%s", reason);
    row->us = row->us_low = row->us_high = row->mb_s = 0;
    return cudaDeviceSynchronize() == cudaSuccess ? FP_WRONG : FP_LOST;
}

static enum fp_outcome measure(struct run *run, double tick_us, struct fp_row *row)
{
    const struct fp_cleanness wanted = {.spread_max = run->options->spread_max, .tick_us = tick_us};
    double one_us = 0;

    if (!fp_lanes_fill(&run->lanes))
        return fail(row, run->lanes.failed);
    run->samples.iterations = choose_iterations(run, &one_us);
    if (run->samples.iterations == 0)
        return fail(row, run->lanes.failed);
    if (one_us > run->options->duration_s * 1e6 * SLOW) {
        (void)snprintf(row->reason, sizeof(row->reason), "slow: one takes %.3g s, see --duration",
                       one_us / 1e6);
        return FP_UNCLEAN;
    }
    if (!take_samples(run))
        return fail(row, run->lanes.failed);
    fp_stats_fill(&run->samples, &wanted, row);
    give_rate(row, run->lanes.count);
    if (row->key.size > 0) {
        if (!fp_lanes_verify(&run->lanes))
            return fail(row, run->lanes.failed[0] ? run->lanes.failed : "other data arrived");
        row->is_verified = true;
    }
    return row->us > 0 ? FP_MEASURED : FP_UNCLEAN;
}

enum fp_outcome fp_measure_row(const struct fp_options *options, const int32_t *gpus,
                               double tick_us, struct fp_row *row)
{
    struct run run = {.options = options,
                      .sample_us = options->duration_s * 1e6 / options->repeats};
    enum fp_outcome outcome;

    if (row->reason[0])
        return FP_UNCLEAN; /* the plan knows better */
    if (fp_lanes_init(&run.lanes, &row->key, gpus))
        outcome = measure(&run, tick_us, row);
    else
        outcome = fail(row, run.lanes.failed);
    fp_lanes_fini(&run.lanes);
    return outcome;
}
