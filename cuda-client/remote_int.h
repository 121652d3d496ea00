/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/remote_int.h - workers and virtual GPUs, for the files that attach and route.
 */
#ifndef CUDA_CLIENT_REMOTE_INT_H
#define CUDA_CLIENT_REMOTE_INT_H

#include <stdatomic.h>

#include "cuda-client/remote.h"
#include "session/ses.h"

enum { CUDAC_ROUTES_MAX = 1 }; /* twins of a virtual GPU: later */

/* Counted by the client; what the worker counts is in WIRE_STATS. */
struct cudac_counters {
    _Atomic uint64_t posts, calls, signals, stalls, wait_ns, late_errors;
};

struct cudac_worker {
    uint32_t index;
    struct xp_conn *conn;
    const uint8_t *address; /* of its transport; the session's */
    size_t address_bytes;
    char node[SES_NAME_BYTES];
    bool is_same_host;
    int driver_version;
    uint32_t flags;                /* WIRE_WORKER_* */
    uint32_t queue_depth;          /* of its driver's streams */
    _Atomic int state;             /* CUresult */
    _Atomic uint64_t news;         /* grows whenever it tells that something is done */
    _Atomic uint64_t silent_since; /* 0: it answers */
    bool is_silence_told;          /* the watching thread's */
    _Atomic bool is_loss_told;
    struct cudac_counters count;
};

struct cudac_route {
    struct cudac_worker *worker;
    uint32_t role, epoch;
};

struct cudac_vgpu {
    uint32_t index;
    CUdevice ordinal; /* -1: not visible */
    struct cudac_route routes[CUDAC_ROUTES_MAX];
    uint32_t route_count;
    struct wire_device facts;
};

/* ---- attach.c: the tables; written once, before cudac_is_attached() */

void cudac_detach(void);
/* Workers are reached over UCX, and somebody else brought that into the process. */
bool cudac_ucx_is_foreign(void);
/* In a forked child: what was attached is the parent's, and stays untouched. False: that cannot be
 * forgotten, since UCX has state in the process that parent and child would share. */
bool cudac_attach_forget(void);
/* The lowest version of the workers' drivers; 0 before the attach. */
int cudac_workers_version(void);

/* ---- vgpu.c */

CUresult cudac_vgpus_build(const struct ses_grant *grant, struct cudac_worker *workers);
/* Takes what a worker's hello says; false: not about its virtual GPUs. */
bool cudac_vgpus_describe(const struct cudac_worker *worker, const struct wire_hello_reply *reply);
/* When all are described: makes ids unique, orders and filters. CUDA_ERROR_SYSTEM_NOT_READY when a
 * virtual GPU was not described. */
CUresult cudac_vgpus_finish(void);

/* ---- remote.c */

extern const struct xp_handlers cudac_handlers, cudac_traced_handlers;
void cudac_remote_set_sync(bool wanted);
void cudac_tell_losses(void);           /* of workers that are lost and nobody has told of it yet */
bool cudac_env_is_on(const char *name); /* set, and not "0" */
/* A file that the variable names; %p is the process's number. False: it is not set. */
bool cudac_env_path(const char *name, char *path, size_t path_bytes);

/* ---- watch.c: the thread that hears the broker and tells of silence */

/* When each worker has its connection: one that is gone is known while we wait for it, too. */
bool cudac_watch_start(struct ses_client *session);
void cudac_watch_wake(void);
void cudac_watch_abandon(
    void); /* the attach failed: waits until the thread is gone, if it was started */
void cudac_watch_stop(void);   /* says goodbye to the broker */
void cudac_watch_forget(void); /* see cudac_attach_forget() */

/* One line for the user, unless the process is ending. */
void cudac_tell(const char *format, ...) FAB_PRINTF(1, 2);

#endif /* CUDA_CLIENT_REMOTE_INT_H */
