/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/limit.c - see limit.h.
 */
#include "cuda-server/limit.h"

#include "cuda-server/memory.h"
#include "cuda-server/nvml.h"
#include "session/ses_account.h"

/* ---- charging ---------------------------------------------------------------------------------
 */

static bool take(struct cudas_worker *worker, uint32_t vgpu, uint64_t bytes)
{
    const struct cudas_vgpu *found = cudas_vgpu_find(worker, vgpu);

    return found &&
           ses_account_charge(worker->account, worker->slot, (uint32_t)found->device, bytes);
}

static void give(struct cudas_worker *worker, uint32_t vgpu, uint64_t bytes)
{
    const struct cudas_vgpu *found = cudas_vgpu_find(worker, vgpu);

    if (found)
        ses_account_uncharge(worker->account, worker->slot, (uint32_t)found->device, bytes);
}

bool cudas_charge(struct cudas_worker *worker, uint32_t vgpu, uint64_t bytes)
{
    if (!take(worker, vgpu, bytes))
        return false;
    atomic_fetch_add_explicit(&worker->memory->charged[vgpu], bytes, memory_order_relaxed);
    return true;
}

void cudas_uncharge(struct cudas_worker *worker, uint32_t vgpu, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&worker->memory->charged[vgpu], bytes, memory_order_relaxed);
    give(worker, vgpu, bytes);
}

uint64_t cudas_charged_bytes(struct cudas_worker *worker)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < CUDAS_VGPUS_MAX; i++)
        sum += atomic_load_explicit(&worker->memory->charged[i], memory_order_relaxed);
    return sum;
}

/* ---- what the driver took ---------------------------------------------------------------------
 */

static bool settle_locked(struct cudas_worker *worker, const struct cudas_vgpu *vgpu)
{
    struct cudas_memory *memory = worker->memory;
    const uint64_t charged = atomic_load(&memory->charged[vgpu->index]);
    uint64_t *fixed = &memory->fixed[vgpu->index], used = 0, now;

    if (!cudas_nvml_process_bytes(worker, vgpu, &used))
        return true; /* logged; what the driver takes is not known */
    now = used > charged ? used - charged : 0;
    if (now > *fixed && !take(worker, vgpu->index, now - *fixed))
        return false;
    if (now < *fixed)
        give(worker, vgpu->index, *fixed - now);
    *fixed = now;
    return true;
}

bool cudas_limit_settle(struct cudas_worker *worker, uint32_t vgpu)
{
    const struct cudas_vgpu *found = cudas_vgpu_find(worker, vgpu);
    bool fits;

    if (!found || ses_account_limit(worker->account, (uint32_t)found->device) == 0)
        return true;
    fab_mutex_lock(&worker->memory->lock);
    fits = settle_locked(worker, found);
    fab_mutex_unlock(&worker->memory->lock);
    return fits;
}

/* ---- what programs are told -------------------------------------------------------------------
 */

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t cudas_limit_total(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                           uint64_t total_bytes)
{
    const uint64_t limit = ses_account_limit(worker->account, (uint32_t)vgpu->device);

    return limit ? lesser(limit, total_bytes) : total_bytes;
}

uint64_t cudas_limit_free(struct cudas_worker *worker, const struct cudas_vgpu *vgpu,
                          uint64_t free_bytes)
{
    const uint64_t limit = ses_account_limit(worker->account, (uint32_t)vgpu->device);
    const uint64_t used = ses_account_used(worker->account, (uint32_t)vgpu->device);

    if (!limit)
        return free_bytes;
    return used < limit ? lesser(limit - used, free_bytes) : 0;
}
