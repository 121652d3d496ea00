/* SPDX-License-Identifier: Apache-2.0
 * softcuda/devices/device_model.c - reads the device file into plain device models.
 *
 * The table of settings is in device_settings.c. Here its values become models: groups with a
 * count become that many devices, missing identities are derived (the same file gives the same
 * UUIDs and bus ids on every run), and what one row cannot check is checked across rows.
 */
#include "softcuda/devices/device_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/settings_file.h"
#include "softcuda/devices/device_settings_int.h"

static const uint32_t compute_versions[DEVICE_COMPUTE_COUNT][2] = {
    [DEVICE_COMPUTE_75] = {7, 5}, [DEVICE_COMPUTE_80] = {8, 0}, [DEVICE_COMPUTE_86] = {8, 6},
    [DEVICE_COMPUTE_87] = {8, 7}, [DEVICE_COMPUTE_89] = {8, 9},
};

const char *device_uuid_format(const uint8_t uuid[DEVICE_UUID_BYTES],
                               char text[DEVICE_UUID_TEXT_BYTES])
{
    static const uint8_t dash_before[DEVICE_UUID_BYTES] = {[4] = 1, [6] = 1, [8] = 1, [10] = 1};
    static const char head[] = "GPU-";
    char *at = text + sizeof(head) - 1;

    memcpy(text, head, sizeof(head));
    for (size_t i = 0; i < DEVICE_UUID_BYTES; i++) {
        if (dash_before[i])
            *at++ = '-';
        (void)snprintf(at, 3, "%02x", uuid[i]);
        at += 2;
    }
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum fab_status uuid_parse(const char *text, uint8_t uuid_out[DEVICE_UUID_BYTES],
                                  struct fab_err *err)
{
    const char *at = text;

    if (strncmp(at, "GPU-", 4) == 0)
        at += 4;
    for (size_t i = 0; i < DEVICE_UUID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-')
            goto malformed;
        int high = hex_value(at[0]);
        int low = high < 0 ? -1 : hex_value(at[1]);

        if (low < 0)
            goto malformed;
        uuid_out[i] = (uint8_t)(high * 16 + low);
        at += 2;
    }
    if (*at == '\0')
        return FAB_OK;
malformed:
    return fab_err_set(err, FAB_ERR_INVALID,
                       "uuid \"%s\": wanted GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", text);
}

static bool read_hex(const char **at, size_t digits_max, uint32_t *value_out)
{
    uint32_t value = 0;
    size_t digits = 0;

    for (; digits < digits_max && hex_value(**at) >= 0; digits++)
        value = value * 16 + (uint32_t)hex_value(*(*at)++);
    *value_out = value;
    return digits > 0;
}

enum fab_status device_pci_parse(const char *text, uint32_t *domain_out, uint32_t *bus_out,
                                 uint32_t *device_out)
{
    uint32_t field[3] = {0, 0, 0}, function = 0;
    size_t count = 0;
    const char *at = text;

    while (count < 3 && read_hex(&at, 8, &field[count])) {
        count++;
        if (*at != ':')
            break;
        at++;
    }
    if (*at == '.') {
        at++;
        if (!read_hex(&at, 1, &function))
            return FAB_ERR_INVALID;
    }
    if (*at != '\0' || count < 2 || function != 0)
        return FAB_ERR_INVALID;
    uint32_t domain = count == 3 ? field[0] : 0;
    uint32_t bus = field[count - 2], device = field[count - 1];

    if (bus > 0xff || device > 0x1f)
        return FAB_ERR_INVALID;
    *domain_out = domain;
    *bus_out = bus;
    *device_out = device;
    return FAB_OK;
}

/* With a finisher: spreads short names over all bits. */
static uint64_t hash_text(uint64_t seed, const char *text)
{
    uint64_t hash = fab_hash_text(seed ^ FAB_HASH_START, text);

    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ (hash >> 32);
}

/* A stable identity from node name, product and place, with the marks of a random UUID. */
static void uuid_derive(struct device_model *model, const char *node)
{
    for (uint64_t half = 0; half < 2; half++) {
        uint64_t hash =
            hash_text(hash_text(hash_text(half + 1, node), model->name), model->pci_bus_id);

        memcpy(model->uuid + half * 8, &hash, sizeof(hash));
    }
    model->uuid[6] = (uint8_t)((model->uuid[6] & 0x0f) | 0x40);
    model->uuid[8] = (uint8_t)((model->uuid[8] & 0x3f) | 0x80);
}

/* An empty text is the default, as in the example file. */
static bool is_set(const char *text)
{
    return text && *text;
}

static enum fab_status fill_identity(const struct device_row *row, const char *node, uint32_t index,
                                     struct device_model *model, struct fab_err *err)
{
    uint32_t domain = 0, bus = index + 1, device = 0;

    if (is_set(row->pci) && device_pci_parse(row->pci, &domain, &bus, &device) != FAB_OK)
        return fab_err_set(err, FAB_ERR_INVALID, "pci_bus_id \"%s\": wanted 0000:3b:00.0",
                           row->pci);
    if (domain > 0xffff)
        return fab_err_set(err, FAB_ERR_RANGE, "pci_bus_id \"%s\": domain above ffff", row->pci);
    (void)snprintf(model->name, sizeof(model->name), "%s", row->name);
    (void)snprintf(model->pci_bus_id, sizeof(model->pci_bus_id), "%04x:%02x:%02x.0",
                   domain & 0xffff, bus & 0xff, device & 0x1f);
    if (is_set(row->uuid))
        return uuid_parse(row->uuid, model->uuid, err);
    uuid_derive(model, node);
    return FAB_OK;
}

static enum fab_status fill_shape(const struct device_row *row, struct device_model *model,
                                  struct fab_err *err)
{
    model->numa_node = (int32_t)row->numa_node;
    model->compute_major = compute_versions[row->compute][0];
    model->compute_minor = compute_versions[row->compute][1];
    model->memory_bytes = row->memory_bytes & ~(DEVICE_MEMORY_STEP - 1);
    model->context_reserve_bytes = row->context_reserve_bytes;
    model->bar1_bytes = row->bar1_bytes;
    model->sm_count = (uint32_t)row->sms;
    model->sm_clock_khz = (uint32_t)row->sm_clock_mhz * 1000;
    model->memory_clock_khz = (uint32_t)row->memory_clock_mhz * 1000;
    model->memory_bus_bits = (uint32_t)row->memory_bus_bits;
    model->l2_bytes = (uint32_t)row->l2_bytes;
    model->shared_per_block_bytes = (uint32_t)row->shared_per_block_bytes;
    model->shared_per_block_optin_bytes = (uint32_t)row->shared_per_block_optin_bytes;
    model->shared_per_sm_bytes = (uint32_t)row->shared_per_sm_bytes;
    model->threads_per_sm = (uint32_t)row->threads_per_sm;
    model->blocks_per_sm = (uint32_t)row->blocks_per_sm;
    model->regs_per_sm = (uint32_t)row->regs_per_sm;
    model->time = (enum device_model_time)row->time;
    (void)snprintf(model->computes, sizeof(model->computes), "%s",
                   row->computes ? row->computes : "");
    model->peak_flops_f32 = (uint64_t)row->peak_gflops * 1000000000u;
    model->peak_bytes_per_s = (uint64_t)row->peak_gbytes_per_s * 1000000000u;
    model->launch_overhead_ns = row->launch_overhead_ns;
    model->slowed = (enum device_model_slowed)row->slowed;
    model->power_idle_mw = (uint32_t)row->power_idle_w * 1000;
    model->power_max_mw = (uint32_t)row->power_max_w * 1000;
    if (model->power_idle_mw > model->power_max_mw)
        return fab_err_set(err, FAB_ERR_RANGE, "power_idle is above power_max");
    if (model->shared_per_block_bytes > model->shared_per_block_optin_bytes ||
        model->shared_per_block_optin_bytes + DEVICE_RESERVED_SHARED_BYTES >
            model->shared_per_sm_bytes)
        return fab_err_set(err, FAB_ERR_RANGE,
                           "shared memory: wanted per_block <= per_block_optin <= per_sm - 1KiB");
    if (model->threads_per_sm % 32 != 0)
        return fab_err_set(err, FAB_ERR_RANGE, "threads_per_sm: wanted a multiple of 32");
    return FAB_OK;
}

static enum fab_status add_row(const struct device_row *row, const char *node,
                               struct device_models *models, struct fab_err *err)
{
    if (row->count > 1 && (is_set(row->uuid) || is_set(row->pci)))
        return fab_err_set(err, FAB_ERR_INVALID, "uuid and pci_bus_id need a count of 1");
    for (int64_t i = 0; i < row->count; i++) {
        if (models->count == DEVICE_COUNT_MAX)
            return fab_err_set(err, FAB_ERR_RANGE, "more than %d devices", DEVICE_COUNT_MAX);
        struct device_model *model = &models->device[models->count];
        enum fab_status status = fill_identity(row, node, models->count, model, err);

        if (status == FAB_OK)
            status = fill_shape(row, model, err);
        if (status != FAB_OK)
            return status;
        models->count++;
    }
    return FAB_OK;
}

static enum fab_status check_unique(const struct device_models *models, struct fab_err *err)
{
    for (uint32_t i = 0; i < models->count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const struct device_model *a = &models->device[k], *b = &models->device[i];

            if (strcmp(a->pci_bus_id, b->pci_bus_id) == 0)
                return fab_err_set(err, FAB_ERR_EXISTS, "devices %u and %u have pci_bus_id %s", k,
                                   i, a->pci_bus_id);
            if (memcmp(a->uuid, b->uuid, DEVICE_UUID_BYTES) == 0)
                return fab_err_set(err, FAB_ERR_EXISTS, "devices %u and %u have the same uuid", k,
                                   i);
        }
    }
    return FAB_OK;
}

static enum fab_status apply_links(const struct device_file *file, struct device_models *models,
                                   struct fab_err *err)
{
    if (file->peers == DEVICE_PEERS_ALL) {
        uint64_t all = models->count == 64 ? UINT64_MAX : (UINT64_C(1) << models->count) - 1;

        for (uint32_t i = 0; i < models->count; i++)
            models->device[i].peer_mask = all & ~(UINT64_C(1) << i);
    }
    for (size_t i = 0; i < file->links.count; i++) {
        const struct device_link_row *link =
            fab_setting_item(&file->links, struct device_link_row, i);

        if (link->a == link->b || link->a >= models->count || link->b >= models->count)
            return fab_err_set(err, FAB_ERR_RANGE, "link %zu: a and b must be two of 0 .. %u", i,
                               models->count - 1);
        models->device[link->a].peer_mask |= UINT64_C(1) << link->b;
        models->device[link->b].peer_mask |= UINT64_C(1) << link->a;
        models->device[link->a].peer_links[link->b] = (uint32_t)link->nvlinks;
        models->device[link->b].peer_links[link->a] = (uint32_t)link->nvlinks;
    }
    return FAB_OK;
}

/* No group in the file: `default_count` devices of a group with nothing set. */
static enum fab_status add_defaults(const struct device_file *file, const char *node,
                                    struct device_models *models, struct fab_err *err)
{
    struct device_row row;
    enum fab_status status = fab_settings_init(device_row_schema(), &row, err);

    if (status != FAB_OK)
        return status;
    row.count = file->default_count;
    status = add_row(&row, node, models, err);
    fab_settings_clear(device_row_schema(), &row);
    return status;
}

static enum fab_status build(const struct device_file *file, struct device_models *models,
                             struct fab_err *err)
{
    const char *node = file->node ? file->node : "";
    enum fab_status status = FAB_OK;

    memset(models, 0, sizeof(*models));
    models->check_allocations = file->check_allocations;
    models->pageable_access = file->pageable_access;
    models->queue_depth = (uint32_t)file->queue_depth;
    models->first_place = (uint32_t)file->first_place;
    if (is_set(file->state))
        (void)snprintf(models->state_dir, sizeof(models->state_dir), "%s", file->state);
    else
        (void)snprintf(models->state_dir, sizeof(models->state_dir), "/dev/shm/softcuda-%u",
                       (unsigned)geteuid());
    for (size_t i = 0; status == FAB_OK && i < file->devices.count; i++) {
        status = add_row(fab_setting_item(&file->devices, struct device_row, i), node, models, err);
        if (status != FAB_OK)
            fab_err_context(err, "devices[%zu]", i);
    }
    if (status == FAB_OK && file->devices.count == 0)
        status = add_defaults(file, node, models, err);
    if (status == FAB_OK)
        status = check_unique(models, err);
    if (status == FAB_OK && models->first_place + models->count > DEVICE_COUNT_MAX)
        status = fab_err_set(err, FAB_ERR_RANGE, "first_place %u leaves room for %u devices",
                             models->first_place, DEVICE_COUNT_MAX - models->first_place);
    if (status == FAB_OK)
        status = apply_links(file, models, err);
    return status;
}

enum fab_status device_models_read(const char *path, struct device_models *out, struct fab_err *err)
{
    const struct fab_schema *schema = device_model_schema();
    struct device_models *built = calloc(1, sizeof(*built));
    struct device_file file;
    enum fab_status status;

    if (!built)
        return fab_err_set(err, FAB_ERR_NOMEM, "device models");
    status = fab_settings_init(schema, &file, err);
    if (status != FAB_OK)
        goto out;
    if (path)
        status = fab_settings_read_file(schema, &file, path, err);
    if (status == FAB_OK)
        status = fab_settings_read_env(schema, &file, err);
    if (status == FAB_OK) {
        status = build(&file, built, err);
        if (status != FAB_OK && path)
            fab_err_context(err, "%s", path);
    }
    fab_settings_clear(schema, &file);
    if (status == FAB_OK)
        *out = *built;
out:
    free(built);
    return status;
}
