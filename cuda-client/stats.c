/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/stats.c - the statistics file.
 */
#include "cuda-client/stats.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "cuda-client/remote_int.h"
#include "ucx-transport/xp.h"

static uint64_t count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What the worker counts itself; nothing of a lost one. */
static void worker_write(struct cudac_worker *worker, FILE *file)
{
    const struct wire_stats nothing = {0};
    struct wire_stats_reply stats;
    struct cudac_reply reply;
    struct wire_parts parts;

    wire_put_stats(&nothing, &parts);
    if (cudac_call(worker, WIRE_STATS, &parts, &reply) == CUDA_SUCCESS &&
        wire_get_stats_reply(reply.bytes, reply.size_bytes, &stats))
        (void)fprintf(file,
                      ",\n     \"commands\": %" PRIu64 ", \"launches\": %" PRIu64
                      ", \"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64
                      ",\n     \"bytes_window\": %" PRIu64 ", \"bytes_direct\": %" PRIu64
                      ", \"bytes_peer\": %" PRIu64 ", \"gate_wait_ns\": %" PRIu64
                      ",\n     \"gpu_ns\": %" PRIu64 ", \"worker_late_errors\": %" PRIu64
                      ", \"charged_bytes\": %" PRIu64,
                      stats.commands, stats.launches, stats.bytes_in, stats.bytes_out,
                      stats.bytes_window, stats.bytes_direct, stats.bytes_peer, stats.gate_wait_ns,
                      stats.gpu_ns, stats.late_errors, stats.charged_bytes);
    cudac_reply_free(&reply);
}

static void conn_write(struct cudac_worker *worker, FILE *file)
{
    struct xp_conn_stats stats;

    xp_conn_stats(worker->conn, &stats);
    (void)fprintf(file,
                  ",\n     \"batches\": %" PRIu64 ", \"replayed_batches\": %" PRIu64
                  ", \"reconnects\": %" PRIu64 ", \"rails\": [",
                  stats.batches, stats.replayed_batches, stats.reconnects);
    for (uint32_t i = 0; i < stats.rail_count; i++)
        (void)fprintf(file, "%s{\"sent_bytes\": %" PRIu64 ", \"received_bytes\": %" PRIu64 "}",
                      i ? ", " : "", stats.rails[i].sent_bytes, stats.rails[i].received_bytes);
    (void)fputs("]", file);
}

void cudac_stats_write(void)
{
    char path[PATH_MAX];
    FILE *file;

    if (!cudac_env_path("FABRIC_STATS", path, sizeof(path)))
        return;
    file = fopen(path, "we");
    if (!file) {
        cudac_tell("fabric: FABRIC_STATS=%s can not be written", path);
        return;
    }
    (void)fputs("{\"workers\": [", file);
    for (uint32_t i = 0; i < cudac_worker_count(); i++) {
        struct cudac_worker *worker = cudac_worker_at(i);
        const struct cudac_counters *count = &worker->count;

        (void)fprintf(
            file,
            "%s\n    {\"node\": \"%s\", \"same_host\": %s, \"lost\": %s,\n"
            "     \"posts\": %" PRIu64 ", \"round_trips\": %" PRIu64 ", \"signals\": %" PRIu64
            ", \"stalls\": %" PRIu64 ", \"wait_ns\": %" PRIu64 ", \"late_errors\": %" PRIu64,
            i ? "," : "", worker->node, worker->is_same_host ? "true" : "false",
            cudac_worker_state(worker) == CUDA_SUCCESS ? "false" : "true", count_of(&count->posts),
            count_of(&count->calls), count_of(&count->signals), count_of(&count->stalls),
            count_of(&count->wait_ns), count_of(&count->late_errors));
        conn_write(worker, file);
        worker_write(worker, file);
        (void)fputs("}", file);
    }
    (void)fputs("\n]}\n", file);
    (void)fclose(file);
}
