/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/worker.h - one worker: a session with one client process, and what all its parts
 * share.
 *
 * A command comes in by the control engine of the transport, waits in queue.c and is executed by
 * whoever leads (queue.h). Each part of the worker has its file; they meet here. Thread: as the
 * parts say; the fields below are set before the first command and then only read.
 */
#ifndef CUDA_SERVER_WORKER_H
#define CUDA_SERVER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "cuda-common/layout.h"
#include "cuda-server/driver.h"
#include "generated/cuda-api/wire.h"
#include "ucx-transport/xp.h"

struct cudas_command;
struct cudas_context;
struct cudas_flags;
struct cudas_gate;
struct cudas_images;
struct cudas_memory;
struct cudas_mover;
struct cudas_nvml;
struct cudas_objects;
struct cudas_outbox;
struct cudas_peers;
struct cudas_queue;
struct cudas_text;
struct cudas_trace;
struct cudas_watches;
struct cudas_windows;
struct fab_log;
struct ses_account;

enum {
    CUDAS_VGPUS_MAX = 64,
    CUDAS_QUEUE_DEPTH = 1024, /* NVIDIA's drivers, as measured by many: not documented */
    CUDAS_QUEUE_DEPTH_MIN = 16,
    CUDAS_QUEUE_DEPTH_MAX = 1 << 20,
};

/* What is counted (design F18). */
struct cudas_stats {
    _Atomic uint64_t commands, launches;
    _Atomic uint64_t bytes_in, bytes_out;                    /* staged, or with the message */
    _Atomic uint64_t bytes_window, bytes_direct, bytes_peer; /* by the other paths */
    _Atomic uint64_t gate_wait_ns, gpu_ns;
    _Atomic uint64_t late_errors;
    _Atomic uint64_t parked, parked_max; /* calls beside the leader, until they are answered */
};

/* The batch of kernels that is being launched; see meter.h. Thread: the leader. */
struct cudas_meter {
    struct cudas_batch *open;
    struct cudas_context *context; /* holds a reference */
    CUstream stream;
    uint32_t launches;
};

struct cudas_vgpu {
    uint32_t index;  /* in the system: on the wire, and its slice */
    CUdevice device; /* ordinal in the driver */
    uint32_t role, epoch;
    uint64_t fence;
};

struct cudas_worker {
    struct cudas_driver cu;
    const struct fab_clock *clock;
    const struct fab_log *log; /* may be NULL */
    struct xp_node *node;      /* the program's */
    _Atomic(struct xp_conn *) conn;
    const struct cuc_layout *layout;
    uint32_t row; /* of the layout */
    struct cudas_vgpu vgpus[CUDAS_VGPUS_MAX];
    uint32_t vgpu_count;
    _Atomic bool same_host; /* the client's windows can be mapped; by hello */
    _Atomic bool is_greeted;
    _Atomic int failed;   /* the first sticky error of a context; 0: none */
    _Atomic bool is_over; /* the session has ended: nothing is sent any more */

    bool wants_text;
    uint32_t queue_depth; /* commands that a stream of the driver takes; it is never that full */
    int numa_node;        /* where its threads run and its staging memory lies; -1: anywhere */
    void (*end_fn)(void *user); /* see cudas_worker_on_end() */
    void *end_user;

    struct cudas_gate *gate;
    struct cudas_queue *queue;
    struct cudas_objects *objects;
    struct cudas_outbox *outbox;
    struct cudas_flags *flags;
    struct cudas_memory *memory;
    struct cudas_windows *windows;
    struct cudas_watches *watches;
    struct cudas_mover *mover;
    struct cudas_images *images;
    struct cudas_peers *peers;
    struct cudas_nvml *nvml;
    struct ses_account *account; /* of device memory: the lease's on this node */
    uint32_t slot;               /* this worker's in it */
    struct cudas_text *text;     /* NULL: text goes where the process's does */
    struct cudas_stats stats;
    struct cudas_meter meter;
    _Atomic(struct cudas_trace *) trace; /* NULL: nobody has asked for a timeline */
};

struct cudas_config {
    const char *driver; /* path; NULL: libcuda.so.1 */
    const char *nvml;   /* path; NULL: libnvidia-ml.so.1, beside the driver if there is one */
    const struct fab_clock *clock;
    const struct fab_log *log;
    const struct cudas_vgpu *vgpus; /* copied */
    uint32_t vgpu_count;
    int numa_node;            /* of the nearest rail; -1: anywhere */
    const char *image_folder; /* code of earlier sessions of this tenant; NULL: none */
    uint32_t queue_depth;     /* of the driver's streams: see CUDAS_QUEUE_DEPTH */
    bool capture_text;        /* take over descriptors 1 and 2 for what kernels print */
};

/* Loads and initialises the driver. No threads yet, nothing is reserved. FAB_ERR_NOT_FOUND,
 * FAB_ERR_DEVICE (the driver refused), FAB_ERR_RANGE (a device that is not there). */
FAB_NODISCARD enum fab_status cudas_worker_create(const struct cudas_config *config,
                                                  struct cudas_worker **worker_out,
                                                  struct fab_err *err);

/* The layout rows whose places can be had in this process: bit i for row i. Reserves them and gives
 * them back. */
uint32_t cudas_worker_rows(struct cudas_worker *worker);

/* Reserves the agreed row, for good, and starts the threads. FAB_ERR_BUSY: a place is taken. */
FAB_NODISCARD enum fab_status cudas_worker_start(struct cudas_worker *worker, uint32_t row,
                                                 struct xp_node *node, struct fab_err *err);

/* Handlers for xp_conn_config.handlers; `user` is the worker. */
extern const struct xp_handlers cudas_client_handlers;

/* Ends the session: everything that waits for the client or a peer goes on, connections are closed,
 * threads that could use them end. Then the owner destroys the node. Blocks. */
void cudas_worker_stop(struct cudas_worker *worker);
/* After the node is gone (or before there was one): gives everything back. Takes NULL. */
void cudas_worker_destroy(struct cudas_worker *worker);

/* Called by the handlers when the session is lost or closed, once; may be NULL. */
void cudas_worker_on_end(struct cudas_worker *worker, void (*fn)(void *user), void *user);

/* The vgpu with that index in the system, or NULL. */
const struct cudas_vgpu *cudas_vgpu_find(const struct cudas_worker *worker, uint32_t index);
/* The vgpu of ours in whose slice the address lies, or NULL. */
const struct cudas_vgpu *cudas_vgpu_of_address(const struct cudas_worker *worker, uint64_t address);

/* For the worker's own threads, first thing: a name (15 characters), and the node where the thread
 * and what it allocates are kept. */
void cudas_thread_begin(const struct cudas_worker *worker, const char *name);

/* The client broke the protocol: the session ends. */
void cudas_condemn(struct cudas_worker *worker, const char *why);

#endif /* CUDA_SERVER_WORKER_H */
