/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/face.c - see face.h.
 */
#include "cuda-client/face.h"

#include "cuda-client/init.h"
#include "cuda-client/remote_int.h"
#include "generated/cuda-api/client_impl.h"

static bool is_usable(void)
{
    return cudac_is_attached() && !cudac_is_forked() && !cudac_is_ending();
}

static int driver_version(void)
{
    int version = 0;

    (void)cudac_cuDriverGetVersion(&version);
    return version;
}

static uint32_t vgpu_count(void)
{
    uint32_t count = 0;

    while (cudac_vgpu_of_index(count))
        count++;
    return count;
}

static struct cudac_worker *worker_of(uint32_t vgpu)
{
    return cudac_vgpu_worker(cudac_vgpu_of_index(vgpu));
}

static const struct wire_device *vgpu_facts(uint32_t vgpu)
{
    return cudac_vgpu_facts(cudac_vgpu_of_index(vgpu));
}

static uint32_t vgpu_worker(uint32_t vgpu)
{
    return cudac_worker_index(worker_of(vgpu));
}

static bool vgpu_is_here(uint32_t vgpu)
{
    return cudac_worker_is_same_host(worker_of(vgpu));
}

static CUresult vgpu_state(uint32_t vgpu)
{
    return cudac_worker_state(worker_of(vgpu));
}

static CUresult ask(uint32_t vgpu, uint32_t op, const struct wire_parts *parts,
                    struct cudac_reply *reply)
{
    return cudac_call(worker_of(vgpu), op, parts, reply);
}

static void broken(uint32_t vgpu, const char *what)
{
    (void)cudac_worker_broken(worker_of(vgpu), what);
}

const struct cudac_face *fabric_client_face(uint32_t version)
{
    static const struct cudac_face face = {
        .attach = cudac_init_attach,
        .is_usable = is_usable,
        .driver_version = driver_version,
        .vgpu_count = vgpu_count,
        .vgpu_facts = vgpu_facts,
        .vgpu_worker = vgpu_worker,
        .vgpu_is_here = vgpu_is_here,
        .vgpu_state = vgpu_state,
        .ask = ask,
        .reply_free = cudac_reply_free,
        .broken = broken,
    };

    return version == CUDAC_FACE_VERSION ? &face : NULL;
}
