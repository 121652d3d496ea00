/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/vgpu.c - the virtual GPUs of the system: where each is, what is known of it, and
 * which ones this process sees. Written once while attaching, read without locks afterwards.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cuda-client/peer.h"
#include "cuda-client/remote_int.h"
#include "cuda-common/visible.h"

static struct {
    struct cudac_vgpu of[SES_VGPUS_MAX]; /* by index in the system */
    uint32_t count;
    uint64_t described;            /* bit per index */
    uint32_t order[SES_VGPUS_MAX]; /* by ordinal */
    int visible;
} vgpus;

_Static_assert((int)SES_VGPUS_MAX == (int)CUC_DEVICES_MAX, "room for all of a system");

int cudac_vgpu_count(void)
{
    return vgpus.visible;
}

struct cudac_vgpu *cudac_vgpu_at(CUdevice ordinal)
{
    return ordinal >= 0 && ordinal < vgpus.visible ? &vgpus.of[vgpus.order[ordinal]] : NULL;
}

CUdevice cudac_vgpu_ordinal(const struct cudac_vgpu *vgpu)
{
    return vgpu->ordinal;
}

uint32_t cudac_vgpu_index(const struct cudac_vgpu *vgpu)
{
    return vgpu->index;
}

struct cudac_vgpu *cudac_vgpu_of_index(uint32_t index)
{
    return index < vgpus.count ? &vgpus.of[index] : NULL;
}

struct cudac_worker *cudac_vgpu_worker(const struct cudac_vgpu *vgpu)
{
    return vgpu->routes[0].worker;
}

const struct wire_device *cudac_vgpu_facts(const struct cudac_vgpu *vgpu)
{
    return &vgpu->facts;
}

int cudac_vgpu_attribute(const struct cudac_vgpu *vgpu, CUdevice_attribute attribute, int missing)
{
    int value;

    if ((unsigned)attribute >= FAB_ARRAY_LEN(vgpu->facts.attributes))
        return missing;
    value = vgpu->facts.attributes[attribute];
    return value == INT32_MIN ? missing : value;
}

/* ---- while attaching ------------------------------------------------------------------------ */

CUresult cudac_vgpus_build(const struct ses_grant *grant, struct cudac_worker *workers)
{
    vgpus.described = 0;
    vgpus.visible = 0;
    vgpus.count = grant->vgpu_count;
    for (uint32_t i = 0; i < grant->vgpu_count; i++) {
        const struct ses_vgpu *from = &grant->vgpus[i];

        if (from->worker >= grant->worker_count)
            return CUDA_ERROR_SYSTEM_NOT_READY;
        vgpus.of[i] = (struct cudac_vgpu){
            .index = i,
            .ordinal = -1,
            .routes = {{&workers[from->worker], from->role, from->epoch}},
            .route_count = 1,
        };
    }
    return CUDA_SUCCESS;
}

bool cudac_vgpus_describe(const struct cudac_worker *worker, const struct wire_hello_reply *reply)
{
    for (uint32_t i = 0; i < reply->devices_count; i++) {
        const struct wire_device *facts = &reply->devices[i];
        struct cudac_vgpu *vgpu = cudac_vgpu_of_index(facts->vgpu);

        if (!vgpu || cudac_vgpu_worker(vgpu) != worker)
            return false;
        vgpu->facts = *facts;
        vgpu->facts.name[sizeof(vgpu->facts.name) - 1] = '\0';
        vgpu->facts.pci_bus_id[sizeof(vgpu->facts.pci_bus_id) - 1] = '\0';
        vgpus.described |= UINT64_C(1) << facts->vgpu;
    }
    for (uint32_t i = 0; i < reply->peers_count; i++) {
        const struct wire_peer *peer = &reply->peers[i];

        if (!cudac_peer_describe(worker, peer))
            return false;
    }
    return true;
}

static bool has_bus_id(const struct cudac_vgpu *before, uint32_t count, const char *bus_id)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcasecmp((const char *)before[i].facts.pci_bus_id, bus_id) == 0)
            return true;
    return false;
}

/* Nodes count their buses each for itself; programs expect one machine. A GPU whose place is taken
 * moves to the next PCI domain that is free, always to the same one in the same system. */
static void make_bus_id_unique(struct cudac_vgpu *vgpu)
{
    char *bus_id = (char *)vgpu->facts.pci_bus_id;
    const char *rest = strchr(bus_id, ':');
    unsigned long domain = strtoul(bus_id, NULL, 16);
    char changed[sizeof(vgpu->facts.pci_bus_id)];

    if (!rest || domain > UINT16_MAX || !has_bus_id(vgpus.of, vgpu->index, bus_id))
        return;
    do {
        domain++;
        (void)snprintf(changed, sizeof(changed), "%04lx%s", domain & UINT32_MAX, rest);
    } while (has_bus_id(vgpus.of, vgpu->index, changed));
    memcpy(bus_id, changed, sizeof(changed));
    vgpu->facts.attributes[CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID] = (int)domain;
}

/* Real GPUs never share one; those of a copied device file do. */
static void make_uuid_unique(struct cudac_vgpu *vgpu)
{
    uint8_t *uuid = vgpu->facts.uuid;

    for (uint32_t i = 0; i < vgpu->index; i++)
        if (memcmp(vgpus.of[i].facts.uuid, uuid, sizeof(vgpu->facts.uuid)) == 0) {
            uuid[sizeof(vgpu->facts.uuid) - 1] ^= (uint8_t)vgpu->index;
            uuid[sizeof(vgpu->facts.uuid) - 2] ^= UINT8_C(0x80);
            return;
        }
}

/* Boards are numbered by their first visible device, so that two nodes' boards differ. */
static void number_boards(void)
{
    const CUdevice_attribute group = CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID;
    int original[SES_VGPUS_MAX];

    for (int i = 0; i < vgpus.visible; i++) {
        struct cudac_vgpu *vgpu = cudac_vgpu_at(i);
        int first = 0;

        original[i] = vgpu->facts.attributes[group];
        while (original[first] != original[i] ||
               cudac_vgpu_worker(cudac_vgpu_at(first)) != cudac_vgpu_worker(vgpu))
            first++;
        if (original[i] != INT32_MIN)
            vgpu->facts.attributes[group] = first;
    }
}

CUresult cudac_vgpus_finish(void)
{
    struct cuc_device_key keys[SES_VGPUS_MAX];
    uint32_t count;

    for (uint32_t i = 0; i < vgpus.count; i++) {
        struct cudac_vgpu *vgpu = &vgpus.of[i];

        if (!(vgpus.described >> i & 1)) {
            cudac_tell("fabric: %s did not describe GPU %u of the system",
                       cudac_vgpu_worker(vgpu)->node, i);
            return CUDA_ERROR_SYSTEM_NOT_READY;
        }
        make_bus_id_unique(vgpu);
        make_uuid_unique(vgpu);
        keys[i] = (struct cuc_device_key){
            .pci_bus_id = (const char *)vgpu->facts.pci_bus_id,
            .uuid = vgpu->facts.uuid,
            .speed =
                (uint64_t)cudac_vgpu_attribute(vgpu, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1) *
                (uint64_t)cudac_vgpu_attribute(vgpu, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1),
        };
    }
    count = cuc_devices_select(keys, vgpus.count, getenv("CUDA_VISIBLE_DEVICES"),
                               getenv("CUDA_DEVICE_ORDER"), vgpus.order);
    for (uint32_t i = 0; i < count; i++)
        vgpus.of[vgpus.order[i]].ordinal = (CUdevice)i;
    vgpus.visible = (int)count;
    number_boards();
    return CUDA_SUCCESS;
}
