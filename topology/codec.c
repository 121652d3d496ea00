/* SPDX-License-Identifier: Apache-2.0
 * topology/codec.c - see codec.h. Each struct is a table of members; one encoder and one decoder
 * walk it. The decoder proves types and ranges, topo_*_check() what members say of each other.
 */
#include "topology/codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

enum member_type {
    MEMBER_UINT,  /* size 1, 2 or 4 */
    MEMBER_INDEX, /* int32_t, from -1 */
    MEMBER_U64,   /* above INT64_MAX as text, which JSON's integers do not reach */
    MEMBER_GUID,
    MEMBER_BOOL,
    MEMBER_TEXT,
    MEMBER_ENUM,
    MEMBER_BDF,
    MEMBER_STRUCT,
    MEMBER_ARRAY, /* of at most `most` structs, their number at count_offset */
};

struct member {
    const char *name;
    enum member_type type;
    size_t offset, size_bytes;
    size_t count_offset; /* of arrays */
    uint32_t most;
    const char *const *names; /* of an enum, ends with NULL */
    const struct members *members;
};

struct members {
    const struct member *member;
    size_t count, struct_bytes;
};

#define MEMBER(type_name, member, kind)                                                            \
    {                                                                                              \
        .name = #member, .type = (kind), .offset = offsetof(struct type_name, member),             \
        .size_bytes = sizeof(((struct type_name *)0)->member)                                      \
    }
#define MEMBER_NAMED(type_name, member, text)                                                      \
    {                                                                                              \
        .name = #member, .type = MEMBER_ENUM, .offset = offsetof(struct type_name, member),        \
        .names = (text)                                                                            \
    }
#define MEMBER_MANY(type_name, member, count, bound, table)                                        \
    {                                                                                              \
        .name = #member, .type = MEMBER_ARRAY, .offset = offsetof(struct type_name, member),       \
        .count_offset = offsetof(struct type_name, count), .most = (bound), .members = &(table)    \
    }
#define MEMBERS(rows, type_name)                                                                   \
    {                                                                                              \
        .member = (rows), .count = FAB_ARRAY_LEN(rows), .struct_bytes = sizeof(struct type_name)   \
    }

static const char *const pci_kinds[] = {"root", "bridge", "device", NULL};
static const char *const port_states[] = {"unknown", "down", "init", "armed", "active", NULL};
static const char *const fabric_kinds[] = {"hca", "switch", "router", NULL};

static const struct member numa_rows[] = {
    MEMBER(topo_numa, os_index, MEMBER_UINT),
    MEMBER(topo_numa, memory_bytes, MEMBER_U64),
    MEMBER(topo_numa, cpus, MEMBER_TEXT),
};
static const struct members numa_members = MEMBERS(numa_rows, topo_numa);

static const struct member pci_rows[] = {
    MEMBER_NAMED(topo_pci, kind, pci_kinds),  MEMBER(topo_pci, bdf, MEMBER_BDF),
    MEMBER(topo_pci, parent, MEMBER_INDEX),   MEMBER(topo_pci, numa, MEMBER_INDEX),
    MEMBER(topo_pci, link_mbps, MEMBER_UINT), MEMBER(topo_pci, is_switch, MEMBER_BOOL),
    MEMBER(topo_pci, acs, MEMBER_BOOL),
};
static const struct members pci_members = MEMBERS(pci_rows, topo_pci);

static const struct member gpu_rows[] = {
    MEMBER(topo_gpu, pci, MEMBER_INDEX),        MEMBER(topo_gpu, index, MEMBER_UINT),
    MEMBER(topo_gpu, name, MEMBER_TEXT),        MEMBER(topo_gpu, uuid, MEMBER_TEXT),
    MEMBER(topo_gpu, memory_bytes, MEMBER_U64), MEMBER(topo_gpu, bar1_bytes, MEMBER_U64),
    MEMBER(topo_gpu, cc_major, MEMBER_UINT),    MEMBER(topo_gpu, cc_minor, MEMBER_UINT),
    MEMBER(topo_gpu, has_dma_buf, MEMBER_BOOL),
};
static const struct members gpu_members = MEMBERS(gpu_rows, topo_gpu);

static const struct member nvlink_rows[] = {
    MEMBER(topo_nvlink, a, MEMBER_INDEX),
    MEMBER(topo_nvlink, b, MEMBER_INDEX),
    MEMBER(topo_nvlink, links, MEMBER_UINT),
    MEMBER(topo_nvlink, mbps, MEMBER_UINT),
};
static const struct members nvlink_members = MEMBERS(nvlink_rows, topo_nvlink);

static const struct member hca_port_rows[] = {
    MEMBER(topo_hca_port, number, MEMBER_UINT), MEMBER_NAMED(topo_hca_port, state, port_states),
    MEMBER(topo_hca_port, lid, MEMBER_UINT),    MEMBER(topo_hca_port, rate_mbps, MEMBER_UINT),
    MEMBER(topo_hca_port, netdev, MEMBER_TEXT), MEMBER(topo_hca_port, mtu, MEMBER_UINT),
};
static const struct members hca_port_members = MEMBERS(hca_port_rows, topo_hca_port);

static const struct member hca_rows[] = {
    MEMBER(topo_hca, pci, MEMBER_INDEX),
    MEMBER(topo_hca, name, MEMBER_TEXT),
    MEMBER(topo_hca, node_guid, MEMBER_GUID),
    MEMBER(topo_hca, system_guid, MEMBER_GUID),
    MEMBER(topo_hca, has_dma_buf, MEMBER_BOOL),
    MEMBER_MANY(topo_hca, ports, port_count, TOPO_HCA_PORT_MAX, hca_port_members),
};
static const struct members hca_members = MEMBERS(hca_rows, topo_hca);

static const struct member gpudirect_rows[] = {
    MEMBER(topo_gpudirect, has_nvidia_peermem, MEMBER_BOOL),
    MEMBER(topo_gpudirect, has_nv_peer_mem, MEMBER_BOOL),
    MEMBER(topo_gpudirect, has_gdrdrv, MEMBER_BOOL),
    MEMBER(topo_gpudirect, iommu_translates, MEMBER_BOOL),
    MEMBER(topo_gpudirect, memlock_bytes, MEMBER_U64),
};
static const struct members gpudirect_members = MEMBERS(gpudirect_rows, topo_gpudirect);

static const struct member machine_rows[] = {
    MEMBER(topo_machine, name, MEMBER_TEXT),
    MEMBER(topo_machine, boot_id, MEMBER_TEXT),
    MEMBER_MANY(topo_machine, numa, numa_count, TOPO_NUMA_MAX, numa_members),
    MEMBER_MANY(topo_machine, pci, pci_count, TOPO_PCI_MAX, pci_members),
    MEMBER_MANY(topo_machine, gpus, gpu_count, TOPO_GPU_MAX, gpu_members),
    MEMBER_MANY(topo_machine, nvlinks, nvlink_count, TOPO_NVLINK_MAX, nvlink_members),
    MEMBER_MANY(topo_machine, hcas, hca_count, TOPO_HCA_MAX, hca_members),
    {.name = "gpudirect",
     .type = MEMBER_STRUCT,
     .offset = offsetof(struct topo_machine, gpudirect),
     .members = &gpudirect_members},
};
static const struct members machine_members = MEMBERS(machine_rows, topo_machine);

static const struct member node_rows[] = {
    MEMBER_NAMED(topo_fabric_node, kind, fabric_kinds),
    MEMBER(topo_fabric_node, guid, MEMBER_GUID),
    MEMBER(topo_fabric_node, system_guid, MEMBER_GUID),
    MEMBER(topo_fabric_node, vendor, MEMBER_UINT),
    MEMBER(topo_fabric_node, device, MEMBER_UINT),
    MEMBER(topo_fabric_node, lid, MEMBER_UINT),
    MEMBER(topo_fabric_node, first_port, MEMBER_UINT),
    MEMBER(topo_fabric_node, port_count, MEMBER_UINT),
    MEMBER(topo_fabric_node, description, MEMBER_TEXT),
};
static const struct members node_members = MEMBERS(node_rows, topo_fabric_node);

static const struct member port_rows[] = {
    MEMBER(topo_fabric_port, node, MEMBER_UINT),
    MEMBER(topo_fabric_port, number, MEMBER_UINT),
    MEMBER(topo_fabric_port, peer, MEMBER_INDEX),
    MEMBER(topo_fabric_port, guid, MEMBER_GUID),
    MEMBER(topo_fabric_port, lid, MEMBER_UINT),
    MEMBER(topo_fabric_port, lmc, MEMBER_UINT),
    MEMBER_NAMED(topo_fabric_port, state, port_states),
    MEMBER(topo_fabric_port, is_polling, MEMBER_BOOL),
    MEMBER(topo_fabric_port, width, MEMBER_UINT),
    MEMBER(topo_fabric_port, lane_mbps, MEMBER_UINT),
    MEMBER(topo_fabric_port, enabled_mbps, MEMBER_UINT),
    MEMBER(topo_fabric_port, has_counters, MEMBER_BOOL),
    MEMBER(topo_fabric_port, symbol_errors, MEMBER_U64),
    MEMBER(topo_fabric_port, link_downed, MEMBER_U64),
    MEMBER(topo_fabric_port, link_recoveries, MEMBER_U64),
    MEMBER(topo_fabric_port, receive_errors, MEMBER_U64),
    MEMBER(topo_fabric_port, transmit_discards, MEMBER_U64),
    MEMBER(topo_fabric_port, transmit_wait, MEMBER_U64),
    MEMBER(topo_fabric_port, transmit_bytes, MEMBER_U64),
    MEMBER(topo_fabric_port, receive_bytes, MEMBER_U64),
};
static const struct members port_members = MEMBERS(port_rows, topo_fabric_port);

/* ---- integers of any size ---------------------------------------------------------------------
 */

static uint64_t uint_get(const void *at, size_t size_bytes)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (size_bytes) {
    case sizeof(u8):
        return *(const uint8_t *)at;
    case sizeof(u16):
        memcpy(&u16, at, sizeof(u16));
        return u16;
    case sizeof(u32):
        memcpy(&u32, at, sizeof(u32));
        return u32;
    default:
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
}

static void uint_put(void *at, size_t size_bytes, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;

    switch (size_bytes) {
    case sizeof(u8):
        memcpy(at, &u8, sizeof(u8));
        break;
    case sizeof(u16):
        memcpy(at, &u16, sizeof(u16));
        break;
    case sizeof(u32):
        memcpy(at, &u32, sizeof(u32));
        break;
    default:
        memcpy(at, &value, sizeof(value));
    }
}

static json_t *hex_json(uint64_t value)
{
    return json_sprintf("0x%016" PRIx64, value);
}

/* Exactly what hex_json() writes. */
static bool hex_parse(const char *text, uint64_t *value_out)
{
    char again[24];
    unsigned long long value;
    char *end;

    if (!text || strlen(text) != strlen("0x") + 16 || strspn(text + 2, "0123456789abcdef") != 16)
        return false;
    value = strtoull(text, &end, 16);
    (void)snprintf(again, sizeof(again), "0x%016llx", value);
    if (strcmp(again, text) != 0)
        return false;
    *value_out = value;
    return true;
}

/* ---- encoding ---------------------------------------------------------------------------------
 */

static json_t *encode_struct(const struct members *members, const void *from);

static json_t *encode_items(const struct members *members, const uint8_t *items, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < count; i++) {
        if (json_array_append_new(array,
                                  encode_struct(members, items + i * members->struct_bytes)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *encode_bdf(const struct topo_bdf *bdf)
{
    char text[TOPO_BDF_BYTES];

    return json_string(topo_bdf_format(bdf, text));
}

static json_t *encode_member(const struct member *member, const uint8_t *from)
{
    const void *at = from + member->offset;
    uint64_t value;
    enum topo_port_state number;
    int32_t index;

    switch (member->type) {
    case MEMBER_UINT:
        return json_integer((json_int_t)uint_get(at, member->size_bytes));
    case MEMBER_INDEX:
        memcpy(&index, at, sizeof(index));
        return json_integer(index);
    case MEMBER_U64:
        value = uint_get(at, member->size_bytes);
        return value > INT64_MAX ? hex_json(value) : json_integer((json_int_t)value);
    case MEMBER_GUID:
        return hex_json(uint_get(at, member->size_bytes));
    case MEMBER_BOOL:
        return json_boolean(*(const bool *)at);
    case MEMBER_TEXT:
        return json_string(at);
    case MEMBER_ENUM:
        memcpy(&number, at, sizeof(number));
        return json_string(member->names[number]);
    case MEMBER_BDF:
        return encode_bdf(at);
    case MEMBER_STRUCT:
        return encode_struct(member->members, at);
    case MEMBER_ARRAY:
        return encode_items(member->members, at,
                            uint_get(from + member->count_offset, sizeof(uint32_t)));
    }
    return NULL;
}

static json_t *encode_struct(const struct members *members, const void *from)
{
    json_t *object = json_object();

    for (size_t i = 0; object && i < members->count; i++) {
        const struct member *member = &members->member[i];

        if (json_object_set_new(object, member->name, encode_member(member, from)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

enum fab_status topo_machine_to_json(const struct topo_machine *machine, json_t **json_out,
                                     struct fab_err *err)
{
    enum fab_status status = topo_machine_check(machine, err);
    json_t *json;

    if (status != FAB_OK)
        return status;
    json = encode_struct(&machine_members, machine);
    if (!json)
        return fab_err_set(err, FAB_ERR_NOMEM, "the record of %s as JSON", machine->name);
    *json_out = json;
    return FAB_OK;
}

enum fab_status topo_fabric_to_json(const struct topo_fabric *fabric, json_t **json_out,
                                    struct fab_err *err)
{
    enum fab_status status = topo_fabric_check(fabric, err);
    json_t *json, *nodes, *ports;

    if (status != FAB_OK)
        return status;
    nodes = encode_items(&node_members, (const uint8_t *)fabric->nodes, fabric->node_count);
    ports = encode_items(&port_members, (const uint8_t *)fabric->ports, fabric->port_count);
    json = nodes && ports ? json_pack("{s:O, s:O}", "nodes", nodes, "ports", ports) : NULL;
    json_decref(nodes);
    json_decref(ports);
    if (!json)
        return fab_err_set(err, FAB_ERR_NOMEM, "the record of the fabric as JSON");
    *json_out = json;
    return FAB_OK;
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

static enum fab_status decode_struct(const struct members *members, const json_t *json,
                                     const char *name, void *to, struct fab_err *err);

static enum fab_status wrong(const struct member *member, const char *wanted, struct fab_err *err)
{
    return fab_err_set(err, FAB_ERR_INVALID, "%s is not %s", member->name, wanted);
}

static enum fab_status decode_uint(const struct member *member, const json_t *json, uint8_t *at,
                                   struct fab_err *err)
{
    uint64_t largest = UINT64_MAX >> (64 - 8 * member->size_bytes);
    json_int_t value = json_integer_value(json);

    if (member->type == MEMBER_U64 && json_is_string(json)) {
        uint64_t wide;

        if (!hex_parse(json_string_value(json), &wide) || wide <= INT64_MAX)
            return wrong(member, "a number above 2^63 as \"0x\" and 16 digits", err);
        uint_put(at, member->size_bytes, wide);
        return FAB_OK;
    }
    if (!json_is_integer(json))
        return wrong(member, "a whole number", err);
    if (value < 0 || (uint64_t)value > largest)
        return fab_err_set(err, FAB_ERR_RANGE, "%s: %" JSON_INTEGER_FORMAT " is out of range",
                           member->name, value);
    uint_put(at, member->size_bytes, (uint64_t)value);
    return FAB_OK;
}

static enum fab_status decode_index(const struct member *member, const json_t *json, uint8_t *at,
                                    struct fab_err *err)
{
    json_int_t value = json_integer_value(json);
    int32_t index = (int32_t)value;

    if (!json_is_integer(json))
        return wrong(member, "a whole number", err);
    if (value < TOPO_NONE || value > INT32_MAX)
        return fab_err_set(err, FAB_ERR_RANGE, "%s: %" JSON_INTEGER_FORMAT " is out of range",
                           member->name, value);
    memcpy(at, &index, sizeof(index));
    return FAB_OK;
}

static enum fab_status decode_text(const struct member *member, const json_t *json, uint8_t *at,
                                   struct fab_err *err)
{
    size_t size_bytes = json_string_length(json);

    if (!json_is_string(json))
        return wrong(member, "a string", err);
    if (size_bytes >= member->size_bytes)
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: %zu bytes (allowed: %zu)", member->name,
                           size_bytes, member->size_bytes - 1);
    if (memchr(json_string_value(json), '\0', size_bytes))
        return wrong(member, "a string without NUL", err);
    memcpy(at, json_string_value(json), size_bytes + 1);
    return FAB_OK;
}

static enum fab_status decode_enum(const struct member *member, const json_t *json, uint8_t *at,
                                   struct fab_err *err)
{
    const char *text = json_string_value(json);

    for (unsigned i = 0; text && member->names[i]; i++) {
        if (!strcmp(member->names[i], text)) {
            uint_put(at, sizeof(i), i);
            return FAB_OK;
        }
    }
    return wrong(member, "one of the known words", err);
}

static enum fab_status decode_bdf(const struct member *member, const json_t *json, uint8_t *at,
                                  struct fab_err *err)
{
    const char *text = json_string_value(json);
    char again[TOPO_BDF_BYTES];
    struct topo_bdf bdf;

    if (!text || !topo_bdf_parse(text, &bdf) || strcmp(topo_bdf_format(&bdf, again), text) != 0)
        return wrong(member, "a PCI address \"dddd:bb:dd.f\"", err);
    memcpy(at, &bdf, sizeof(bdf));
    return FAB_OK;
}

static enum fab_status decode_items(const struct members *members, const json_t *json,
                                    const char *name, uint8_t *items, struct fab_err *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(json, i, item)
    {
        enum fab_status status =
            decode_struct(members, item, name, items + i * members->struct_bytes, err);

        if (status != FAB_OK) {
            fab_err_context(err, "%s[%zu]", name, i);
            return status;
        }
    }
    return FAB_OK;
}

static enum fab_status check_array(const json_t *json, const char *name, size_t most,
                                   struct fab_err *err)
{
    if (!json_is_array(json))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not an array", name);
    if (json_array_size(json) > most)
        return fab_err_set(err, FAB_ERR_LIMIT, "%s: %zu of them (allowed: %zu)", name,
                           json_array_size(json), most);
    return FAB_OK;
}

static enum fab_status decode_array(const struct member *member, const json_t *json, uint8_t *to,
                                    struct fab_err *err)
{
    enum fab_status status = check_array(json, member->name, member->most, err);

    if (status != FAB_OK)
        return status;
    uint_put(to + member->count_offset, sizeof(uint32_t), json_array_size(json));
    return decode_items(member->members, json, member->name, to + member->offset, err);
}

static enum fab_status decode_member(const struct member *member, const json_t *json, uint8_t *to,
                                     struct fab_err *err)
{
    uint8_t *at = to + member->offset;
    uint64_t guid;

    switch (member->type) {
    case MEMBER_UINT:
    case MEMBER_U64:
        return decode_uint(member, json, at, err);
    case MEMBER_INDEX:
        return decode_index(member, json, at, err);
    case MEMBER_GUID:
        if (!hex_parse(json_string_value(json), &guid))
            return wrong(member, "a GUID \"0x\" and 16 digits", err);
        uint_put(at, member->size_bytes, guid);
        return FAB_OK;
    case MEMBER_BOOL:
        if (!json_is_boolean(json))
            return wrong(member, "true or false", err);
        *(bool *)at = json_is_true(json);
        return FAB_OK;
    case MEMBER_TEXT:
        return decode_text(member, json, at, err);
    case MEMBER_ENUM:
        return decode_enum(member, json, at, err);
    case MEMBER_BDF:
        return decode_bdf(member, json, at, err);
    case MEMBER_STRUCT:
        return decode_struct(member->members, json, member->name, at, err);
    case MEMBER_ARRAY:
        return decode_array(member, json, to, err);
    }
    return FAB_ERR_INVALID;
}

/* Every member stands there, and nothing else: both ends are of one version. */
static enum fab_status decode_struct(const struct members *members, const json_t *json,
                                     const char *name, void *to, struct fab_err *err)
{
    if (!json_is_object(json))
        return fab_err_set(err, FAB_ERR_INVALID, "%s is not an object", name);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->member[i];
        const json_t *value = json_object_get(json, member->name);
        enum fab_status status;

        if (!value)
            return fab_err_set(err, FAB_ERR_INVALID, "%s is missing", member->name);
        status = decode_member(member, value, to, err);
        if (status != FAB_OK)
            return status;
    }
    if (json_object_size(json) != members->count)
        return fab_err_set(err, FAB_ERR_INVALID, "%s has a member that is not known", name);
    return FAB_OK;
}

enum fab_status topo_machine_from_json(const json_t *json, struct topo_machine *machine_out,
                                       struct fab_err *err)
{
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));
    enum fab_status status;

    if (!machine)
        return fab_err_set(err, FAB_ERR_NOMEM, "a machine's record");
    status = decode_struct(&machine_members, json, "the record", machine, err);
    if (status == FAB_OK)
        status = topo_machine_check(machine, err);
    if (status == FAB_OK)
        *machine_out = *machine;
    free(machine);
    return status;
}

/* One array of the fabric, allocated; *items_out is NULL for an empty one. */
static enum fab_status decode_list(const json_t *json, const char *name,
                                   const struct members *members, size_t most, void **items_out,
                                   uint32_t *count_out, struct fab_err *err)
{
    const json_t *array = json_object_get(json, name);
    enum fab_status status = check_array(array, name, most, err);
    size_t count = json_array_size(array);

    if (status != FAB_OK || count == 0)
        return status;
    *items_out = fab_alloc_zeroed(count, members->struct_bytes);
    if (!*items_out)
        return fab_err_set(err, FAB_ERR_NOMEM, "%zu %s of a fabric", count, name);
    *count_out = (uint32_t)count;
    return decode_items(members, array, name, *items_out, err);
}

enum fab_status topo_fabric_from_json(const json_t *json, struct topo_fabric *fabric_out,
                                      struct fab_err *err)
{
    struct topo_fabric fabric = {0};
    void *nodes = NULL, *ports = NULL;
    enum fab_status status;

    if (!json_is_object(json) || json_object_size(json) != 2)
        return fab_err_set(err, FAB_ERR_INVALID, "a fabric is an object of nodes and ports");
    status = decode_list(json, "nodes", &node_members, TOPO_FABRIC_NODE_MAX, &nodes,
                         &fabric.node_count, err);
    if (status == FAB_OK)
        status = decode_list(json, "ports", &port_members, TOPO_FABRIC_PORT_MAX, &ports,
                             &fabric.port_count, err);
    fabric.nodes = nodes;
    fabric.ports = ports;
    if (status == FAB_OK)
        status = topo_fabric_check(&fabric, err);
    if (status != FAB_OK) {
        topo_fabric_clear(&fabric);
        return status;
    }
    *fabric_out = fabric;
    return FAB_OK;
}
