/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/visible.c - the filter and the order of devices.
 */
#include "cuda-common/visible.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 41 }; /* "GPU-" and the usual groups */

static void uuid_format(const uint8_t *uuid, char text[UUID_TEXT_BYTES])
{
    int at = snprintf(text, UUID_TEXT_BYTES, "GPU-");

    for (int i = 0; i < UUID_BYTES; i++) {
        bool is_group_end = i == 3 || i == 5 || i == 7 || i == 9;

        at += snprintf(text + at, (size_t)(UUID_TEXT_BYTES - at), "%02x%s", uuid[i],
                       is_group_end ? "-" : "");
    }
}

static bool by_bus(const struct cuc_device_key *a, const struct cuc_device_key *b)
{
    return strcasecmp(a->pci_bus_id, b->pci_bus_id) < 0;
}

static bool by_speed(const struct cuc_device_key *a, const struct cuc_device_key *b)
{
    return a->speed > b->speed;
}

/* Fastest first is the default; equal ones stay in the order of the file. */
static void order_all(const struct cuc_device_key *keys, uint32_t count, const char *order,
                      uint32_t *order_out)
{
    bool bus = order && strcmp(order, "PCI_BUS_ID") == 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;

        for (; at > 0; at--) {
            const struct cuc_device_key *a = &keys[i];
            const struct cuc_device_key *b = &keys[order_out[at - 1]];

            if (!(bus ? by_bus(a, b) : by_speed(a, b)))
                break;
            order_out[at] = order_out[at - 1];
        }
        order_out[at] = i;
    }
}

/* The index that one item of CUDA_VISIBLE_DEVICES names, or -1. A UUID may be cut short as long as
 * it is unique. */
static int item_place(const struct cuc_device_key *keys, uint32_t count, const uint32_t *all,
                      const char *item, size_t length)
{
    char uuid[UUID_TEXT_BYTES];
    int found = -1;

    if (length >= 4 && strncmp(item, "GPU-", 4) == 0) {
        for (uint32_t i = 0; i < count; i++) {
            uuid_format(keys[i].uuid, uuid);
            if (length > strlen(uuid) || strncasecmp(uuid, item, length) != 0)
                continue;
            if (found >= 0)
                return -1;
            found = (int)i;
        }
        return found;
    }
    uint32_t number = 0;

    for (size_t i = 0; i < length; i++) {
        if (item[i] < '0' || item[i] > '9' || number >= CUC_DEVICES_MAX)
            return -1;
        number = number * 10 + (uint32_t)(item[i] - '0');
    }
    return length > 0 && number < count ? (int)all[number] : -1;
}

uint32_t cuc_devices_select(const struct cuc_device_key *keys, uint32_t key_count,
                            const char *visible, const char *order, uint32_t *order_out)
{
    uint32_t all[CUC_DEVICES_MAX];
    uint64_t seen = 0;
    uint32_t count = 0;

    order_all(keys, key_count, order, all);
    if (!visible) {
        memcpy(order_out, all, key_count * sizeof(all[0]));
        return key_count;
    }
    for (const char *item = visible; *item;) {
        while (*item == ' ')
            item++;
        size_t length = strcspn(item, ",");
        size_t text = length;

        while (text > 0 && item[text - 1] == ' ')
            text--;
        int place = item_place(keys, key_count, all, item, text);

        if (place < 0)
            break; /* the ones before an invalid item are visible */
        if (seen & UINT64_C(1) << place)
            return 0; /* named twice: none */
        seen |= UINT64_C(1) << place;
        order_out[count++] = (uint32_t)place;
        item += length;
        if (*item == ',')
            item++;
    }
    return count;
}
