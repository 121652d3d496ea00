/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/device.c - the list of visible devices and their accounts.
 *
 * Built once, at the first load that succeeds; read without locks afterwards. The rules of
 * CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are cuda-common/visible.c's.
 */
#include "softcuda/driver/device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "cuda-common/visible.h"
#include "softcuda/devices/state.h"
#include "softcuda/driver/va.h"

struct soft_device {
    const struct device_model *model;
    struct state_account *account;
    uint32_t place; /* in the device file */
    int ordinal;
};

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool loaded;
static struct device_models models;
static struct soft_device devices[DEVICE_COUNT_MAX];
static int device_count;

uint32_t soft_devices_select(const struct device_models *from, const char *visible,
                             const char *order, uint32_t *order_out)
{
    struct cuc_device_key keys[DEVICE_COUNT_MAX];

    for (uint32_t i = 0; i < from->count; i++) {
        const struct device_model *model = &from->device[i];

        keys[i] = (struct cuc_device_key){
            .pci_bus_id = model->pci_bus_id,
            .uuid = model->uuid,
            .speed = (uint64_t)model->sm_count * model->sm_clock_khz,
        };
    }
    return cuc_devices_select(keys, from->count, visible, order, order_out);
}

static enum fab_status load_locked(struct fab_err *err)
{
    uint32_t order[DEVICE_COUNT_MAX];
    const char *path = getenv("SOFTCUDA_CONFIG");
    enum fab_status status = device_models_read(path && *path ? path : NULL, &models, err);

    if (status != FAB_OK)
        return status;
    uint32_t count = soft_devices_select(&models, getenv("CUDA_VISIBLE_DEVICES"),
                                         getenv("CUDA_DEVICE_ORDER"), order);

    if (count > (uint32_t)va_device_max())
        return fab_err_set(err, FAB_ERR_LIMIT, "%u devices, but there are addresses for %d only",
                           count, va_device_max());
    for (uint32_t i = 0; i < count; i++) {
        struct soft_device *device = &devices[i];

        *device = (struct soft_device){
            .model = &models.device[order[i]], .place = order[i], .ordinal = (int)i};
        status = state_account_open(models.state_dir, device->model, &device->account, err);
        if (status != FAB_OK) {
            while (i-- > 0)
                state_account_close(devices[i].account);
            return status;
        }
    }
    device_count = (int)count;
    return FAB_OK;
}

enum fab_status soft_devices_load(struct fab_err *err)
{
    enum fab_status status = FAB_OK;

    if (atomic_load_explicit(&loaded, memory_order_acquire))
        return FAB_OK;
    (void)pthread_mutex_lock(&load_lock);
    if (!atomic_load(&loaded)) {
        status = load_locked(err);
        atomic_store_explicit(&loaded, status == FAB_OK, memory_order_release);
    }
    (void)pthread_mutex_unlock(&load_lock);
    return status;
}

int soft_device_count(void)
{
    return device_count;
}

struct soft_device *soft_device_at(int ordinal)
{
    return ordinal >= 0 && ordinal < device_count ? &devices[ordinal] : NULL;
}

int soft_device_ordinal(const struct soft_device *device)
{
    return device->ordinal;
}

const struct device_model *soft_device_model(const struct soft_device *device)
{
    return device->model;
}

const struct device_models *soft_device_models(void)
{
    return &models;
}

bool soft_device_charge(struct soft_device *device, uint64_t bytes)
{
    return state_account_charge(device->account, bytes);
}

void soft_device_uncharge(struct soft_device *device, uint64_t bytes)
{
    state_account_uncharge(device->account, bytes);
}

void soft_device_memory(const struct soft_device *device, uint64_t *free_out, uint64_t *total_out)
{
    uint64_t total = device->model->memory_bytes;
    uint64_t used = state_account_used(device->account);

    *total_out = total;
    *free_out = used < total ? total - used : 0;
}

void soft_device_busy(struct soft_device *device, uint64_t ns)
{
    state_account_busy(device->account, ns);
}

bool soft_device_can_peer(const struct soft_device *from, const struct soft_device *to)
{
    return from != to && (from->model->peer_mask >> to->place & 1) != 0;
}

uint32_t soft_device_links(const struct soft_device *from, const struct soft_device *to)
{
    return from == to ? 0 : from->model->peer_links[to->place];
}
