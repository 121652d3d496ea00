/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/face.h - what libcuda.so.1 offers the other libraries of the client.
 *
 * A process has one session with its workers, and one reservation of addresses: libcuda.so.1 holds
 * them. libnvidia-ml.so.1 links it and comes to the workers by this table, behind the only exported
 * function that is not CUDA's. Thread: any.
 */
#ifndef CUDA_CLIENT_FACE_H
#define CUDA_CLIENT_FACE_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "base/compiler.h"
#include "generated/cuda-api/wire.h"

struct cudac_reply;

enum { CUDAC_FACE_VERSION = 1 };

struct cudac_face {
    /* Attaches the process if it is not; CUDA stays uninitialised. One line on stderr says why not.
     */
    CUresult (*attach)(void);
    /* Attached, in this process (not a forked child), which is not ending. */
    bool (*is_usable)(void);
    int (*driver_version)(void); /* also before the attach */

    /* By index in the system, also GPUs that CUDA_VISIBLE_DEVICES hides. */
    uint32_t (*vgpu_count)(void);
    const struct wire_device *(*vgpu_facts)(uint32_t vgpu);
    uint32_t (*vgpu_worker)(uint32_t vgpu); /* equal: the same worker */
    bool (*vgpu_is_here)(uint32_t vgpu);    /* its worker is on this host */
    CUresult (*vgpu_state)(uint32_t vgpu);  /* of its worker */

    /* Asks the worker of a GPU, as cudac_call(). `reply` is freed by the second. */
    CUresult (*ask)(uint32_t vgpu, uint32_t op, const struct wire_parts *parts,
                    struct cudac_reply *reply);
    void (*reply_free)(struct cudac_reply *reply);
    /* What the worker says is no answer: its session ends. */
    void (*broken)(uint32_t vgpu, const char *what);
};

/* NULL: libcuda.so.1 is of another version. */
FAB_EXPORT const struct cudac_face *fabric_client_face(uint32_t version);

#endif /* CUDA_CLIENT_FACE_H */
