/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_memory_general.c - ld, ldu and st of every type, width and space, lane by
 * lane, and the checks behind them. The common forms are in ops_memory.c and come here when an
 * address is unusual.
 */
#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_memory.h"
#include "softcuda/warp/ops/ops_numbered.h"

/* ---- addresses ------------------------------------------------------------------------------- */

bool ops_window_of(uint8_t space, enum ops_window *window_out)
{
    switch ((enum ptx_space)space) {
    case PTX_SPACE_GENERIC:
        *window_out = OPS_GENERIC;
        return true;
    case PTX_SPACE_GLOBAL:
    case PTX_SPACE_CONST:
    case PTX_SPACE_PARAM: /* what the lowering leaves: an entry parameter through its address */
        *window_out = OPS_DEVICE;
        return true;
    case PTX_SPACE_SHARED:
        *window_out = OPS_SHARED;
        return true;
    case PTX_SPACE_LOCAL:
        *window_out = OPS_LOCAL;
        return true;
    case PTX_SPACE_REG:
        break;
    }
    return false;
}

void ops_addresses(const struct warp *w, const struct warp_insn *in, u32 operand,
                   u64 at[WARP_LANES])
{
    const u64 imm = (u64)in->imm;

    if (operand == WARP_NO_OPERAND) {
        for (unsigned i = 0; i < WARP_LANES; i++)
            at[i] = imm;
    } else if (in->flags & WARP_I_ADDR32) {
        const u32 *a = OPS_VECTOR(const u32, w, operand);
        for (unsigned i = 0; i < WARP_LANES; i++)
            at[i] = (u32)(a[i] + (u32)imm); /* 32-bit addresses wrap at 32 bits */
    } else {
        const u64 *a = OPS_VECTOR(const u64, w, operand);
        for (unsigned i = 0; i < WARP_LANES; i++)
            at[i] = a[i] + imm;
    }
}

/* Is [offset, offset + bytes) inside a window of `size` bytes? */
static bool inside(u64 offset, u64 bytes, u64 size)
{
    return bytes <= size && offset <= size - bytes;
}

/* A host address; the ranges come from the driver. `range` remembers the last one. */
static bool check_device(struct warp *w, u64 address, u32 bytes, bool write,
                         struct warp_range *range)
{
    if (address >= range->lo && address < range->hi && range->hi - address >= bytes &&
        (range->can_write || !write))
        return true;
    return warp_range_find(w, address, bytes, write, range);
}

/* The generic windows of shared and local memory are host memory, too. Another lane's local memory
 * is not refused: on a device it is just other data. */
static bool check_generic(struct warp *w, u64 address, u32 bytes, bool write,
                          struct warp_range *range)
{
    const u64 shared = (u64)(uintptr_t)w->block->shared;
    const u64 local = (u64)(uintptr_t)w->local;

    return inside(address - shared, bytes, w->block->shared_bytes) ||
           (w->local && inside(address - local, bytes, WARP_LANES * w->local_stride)) ||
           check_device(w, address, bytes, write, range);
}

/* One lane, carefully: the host address, or 0 after a fault. */
static u64 check_lane(struct warp *w, const struct warp_insn *in, unsigned lane, u64 address,
                      const struct ops_access *access, struct warp_range *range)
{
    enum warp_fault_kind fault = WARP_FAULT_ILLEGAL_ADDRESS;
    u64 host = address;
    bool is_valid = false;

    if (address & (access->align - 1)) {
        (void)warp_fault(w, in, WARP_FAULT_MISALIGNED, address, lane);
        return 0;
    }
    switch (access->window) {
    case OPS_DEVICE:
        is_valid = check_device(w, address, access->bytes, access->write, range);
        break;
    case OPS_GENERIC:
        is_valid = check_generic(w, address, access->bytes, access->write, range);
        break;
    case OPS_SHARED:
        fault = WARP_FAULT_SHARED_RANGE;
        is_valid = inside(address, access->bytes, w->block->shared_bytes);
        host = (u64)(uintptr_t)w->block->shared + address;
        break;
    case OPS_LOCAL:
        fault = WARP_FAULT_SHARED_RANGE;
        is_valid = inside(address, access->bytes, w->local_stride);
        host = (u64)(uintptr_t)w->local + lane * w->local_stride + address;
        break;
    case OPS_WINDOWS:
        break;
    }
    if (is_valid)
        return host;
    (void)warp_fault(w, in, fault, address, lane);
    return 0;
}

/* All lanes inside one window that can be had without asking anybody? Then at[] are host addresses
 * on return; at[] is unchanged otherwise. */
static bool check_together(const struct warp *w, u32 mask, const struct ops_access *access,
                           u64 at[WARP_LANES])
{
    const u64 first = at[__builtin_ctz(mask)];
    u64 lo = 0, size = 0, host = 0, stride = 0, bad = 0;

    if (access->window == OPS_SHARED) {
        size = w->block->shared_bytes;
        host = (u64)(uintptr_t)w->block->shared;
    } else if (access->window == OPS_LOCAL) {
        size = w->local_stride;
        host = (u64)(uintptr_t)w->local;
        stride = w->local_stride;
    } else {
        for (unsigned n = 0; n < WARP_TLB_ENTRIES && size == 0; n++) {
            const struct warp_range *range = &w->tlb->entry[n];
            if (first - range->lo < range->hi - range->lo && (range->can_write || !access->write)) {
                lo = range->lo;
                size = range->hi - range->lo;
            }
        }
    }
    if (size < access->bytes)
        return false;
    for (unsigned i = 0; i < WARP_LANES; i++) {
        const u64 outside = at[i] - lo > size - access->bytes;
        const u64 crooked = at[i] & (access->align - 1);
        bad |= mask & ops_lane_bit64[i] ? outside | crooked : 0;
    }
    if (bad)
        return false;
    for (unsigned i = 0; i < WARP_LANES; i++)
        at[i] += host + i * stride;
    return true;
}

bool ops_check(struct warp *w, const struct warp_insn *in, u32 mask,
               const struct ops_access *access, u64 at[WARP_LANES])
{
    struct warp_range range = {0};

    if (mask == 0 || check_together(w, mask, access, at))
        return true;
    for (u32 m = mask; m; m &= m - 1) {
        const unsigned lane = (unsigned)__builtin_ctz(m);

        at[lane] = check_lane(w, in, lane, at[lane], access, &range);
        if (at[lane] == 0)
            return false;
    }
    return true;
}

bool ops_resolve(struct warp *w, const struct warp_insn *in, u32 operand, enum ops_window window,
                 u32 bytes, bool write, u64 at[WARP_LANES])
{
    const struct ops_access access = {window, bytes, bytes, write};

    ops_addresses(w, in, operand, at);
    return ops_check(w, in, w->mask, &access, at);
}

/* ---- loads and stores ------------------------------------------------------------------------ */

struct element {
    uint8_t memory_bytes, register_bytes;
    bool is_signed;
};
static const struct element elements[] = {
#define ELEMENT_ROW(name, memory, reg, is_signed) {memory, reg, is_signed},
    OPS_ELEMENT_LIST(ELEMENT_ROW)
#undef ELEMENT_ROW
};

static const struct element *element_of(unsigned form)
{
    return &elements[form >> OPS_FORM_ELEMENT_SHIFT & 15];
}
static enum ops_window window_of(unsigned form)
{
    return (enum ops_window)(form & 3);
}
static u32 count_of(unsigned form)
{
    return 1u << (form >> OPS_FORM_COUNT_SHIFT & 3);
}

#define LOG2(bytes) ((unsigned)__builtin_ctz((unsigned)(bytes)))

/* load_M_R(): elements of type M into registers of type R. */
#define LOADER(R, M)                                                                               \
    static void load_##M##_##R(struct warp *w, u32 operand, const u64 at[WARP_LANES], u32 offset)  \
    {                                                                                              \
        R *d = OPS_VECTOR(R, w, operand);                                                          \
        for (u32 m = w->mask; m; m &= m - 1) {                                                     \
            const unsigned lane = (unsigned)__builtin_ctz(m);                                      \
            d[lane] = (R) * (const volatile M *)ops_host(at[lane] + offset);                       \
        }                                                                                          \
    }
#define UNSIGNED_LOADERS(X)                                                                        \
    X(u16, u8)                                                                                     \
    X(u32, u8) X(u64, u8) X(u16, u16) X(u32, u16) X(u64, u16) X(u32, u32) X(u64, u32) X(u64, u64)
#define SIGNED_LOADERS(X) X(s16, s8) X(s32, s8) X(s64, s8) X(s32, s16) X(s64, s16) X(s64, s32)
UNSIGNED_LOADERS(LOADER)
SIGNED_LOADERS(LOADER)

/* 128 bits: low halves, then high halves. */
static void load_wide(struct warp *w, u32 operand, const u64 at[WARP_LANES], u32 offset)
{
    u64 *d = OPS_VECTOR(u64, w, operand);

    for (u32 m = w->mask; m; m &= m - 1) {
        const unsigned lane = (unsigned)__builtin_ctz(m);
        u64 value[2];
        memcpy(value, ops_host(at[lane] + offset), sizeof(value));
        d[lane] = value[0], d[WARP_LANES + lane] = value[1];
    }
}

static void load_element(struct warp *w, const struct element *element, u32 operand,
                         const u64 at[WARP_LANES], u32 offset)
{
    typedef void loader(struct warp * w, u32 operand, const u64 at[WARP_LANES], u32 offset);
    /* By the logarithms of memory bytes and register bytes. */
#define LOADER_ROW(R, M) [LOG2(sizeof(M))][LOG2(sizeof(R))] = load_##M##_##R,
    static loader *const as_unsigned[5][5] = {UNSIGNED_LOADERS(LOADER_ROW)[4][4] = load_wide};
    static loader *const as_signed[5][5] = {SIGNED_LOADERS(LOADER_ROW)};
#undef LOADER_ROW
    const unsigned from = LOG2(element->memory_bytes), to = LOG2(element->register_bytes);

    (element->is_signed ? as_signed : as_unsigned)[from][to](w, operand, at, offset);
}

/* The low bytes of the register, whatever its width. */
static void store_element(struct warp *w, const struct element *element, u32 operand,
                          const u64 at[WARP_LANES], u32 offset)
{
    const u8 *source = warp_at(w, operand);

    for (u32 m = w->mask; m; m &= m - 1) {
        const unsigned lane = (unsigned)__builtin_ctz(m);
        const u8 *value = source + (size_t)lane * element->register_bytes;
        void *to = ops_host(at[lane] + offset);

        switch (element->memory_bytes) {
        case 1:
            *(volatile u8 *)to = *value;
            break;
        case 2:
            *(volatile u16 *)to = *(const u16 *)(const void *)value;
            break;
        case 4:
            *(volatile u32 *)to = *(const u32 *)(const void *)value;
            break;
        case 8:
            *(volatile u64 *)to = *(const u64 *)(const void *)value;
            break;
        default: {
            const u64 *halves = OPS_VECTOR(const u64, w, operand);
            const u64 both[2] = {halves[lane], halves[WARP_LANES + lane]};
            memcpy(to, both, sizeof(both));
        }
        }
    }
}

/* x86 keeps loads, and stores, in order; elsewhere acquire and release need their fence. */
const struct warp_insn *ops_load(struct warp *w, const struct warp_insn *in, unsigned form)
{
    const struct element *element = element_of(form);
    const u32 count = count_of(form);
    u64 at[WARP_LANES];

    if (!ops_resolve(w, in, in->a, window_of(form), element->memory_bytes * count, false, at))
        return WARP_STOP_FAULT;
    for (u32 n = 0; n < count; n++) {
        const u32 operand = n ? in->ext[n - 1] : in->d;
        if (operand != WARP_NO_OPERAND)
            load_element(w, element, operand, at, n * element->memory_bytes);
    }
    if (form & OPS_FORM_ORDERED)
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return in + 1;
}

const struct warp_insn *ops_store(struct warp *w, const struct warp_insn *in, unsigned form)
{
    const struct element *element = element_of(form);
    const u32 count = count_of(form);
    u64 at[WARP_LANES];

    if (!ops_resolve(w, in, in->a, window_of(form), element->memory_bytes * count, true, at))
        return WARP_STOP_FAULT;
    if (form & OPS_FORM_ORDERED)
        __atomic_thread_fence(__ATOMIC_RELEASE);
    for (u32 n = 0; n < count; n++)
        store_element(w, element, n ? in->ext[n - 1] : in->b, at, n * element->memory_bytes);
    return in + 1;
}

OPS_NUMBERED(ops_load)
OPS_NUMBERED(ops_store)

/* ---- finder ---------------------------------------------------------------------------------- */

static bool element_type(uint8_t type, u32 *bytes_out, bool *signed_out)
{
    static const uint8_t bytes[PTX_TYPE_COUNT] = {
        [PTX_B8] = 1,  [PTX_U8] = 1,  [PTX_S8] = 1,    [PTX_B16] = 2,    [PTX_U16] = 2,
        [PTX_S16] = 2, [PTX_F16] = 2, [PTX_BF16] = 2,  [PTX_B32] = 4,    [PTX_U32] = 4,
        [PTX_S32] = 4, [PTX_F32] = 4, [PTX_F16X2] = 4, [PTX_BF16X2] = 4, [PTX_B64] = 8,
        [PTX_U64] = 8, [PTX_S64] = 8, [PTX_F64] = 8,   [PTX_B128] = 16,
    };

    *bytes_out = type < PTX_TYPE_COUNT ? bytes[type] : 0;
    *signed_out = type == PTX_S8 || type == PTX_S16 || type == PTX_S32;
    return *bytes_out != 0;
}

bool ops_form_of(const struct ptx_op *op, u32 register_bytes, bool is_store, unsigned *form_out)
{
    const u32 count = op->vec ? op->vec : 1;
    enum ops_window window;
    u32 bytes;
    bool is_signed;

    if (!element_type(op->type, &bytes, &is_signed) || !ops_window_of(op->space, &window))
        return false;
    if (count > 8 || (count & (count - 1)) || bytes * count > 32)
        return false;
    if (register_bytes == 0)
        register_bytes = bytes < 2 ? 2 : bytes;
    is_signed = is_signed && !is_store && register_bytes > bytes;
    for (unsigned n = 0; n < FAB_ARRAY_LEN(elements); n++) {
        const struct element *e = &elements[n];
        if (e->memory_bytes != bytes || e->register_bytes != register_bytes ||
            e->is_signed != is_signed)
            continue;
        *form_out = ops_form(window, (enum ops_element)n, (unsigned)__builtin_ctz(count));
        return true;
    }
    return false;
}

warp_fn ops_find_general_memory(const struct ptx_op *op, const struct warp_form *form)
{
    const bool is_store = op->family == PTX_ST;
    unsigned number;

    if (op->family != PTX_LD && op->family != PTX_LDU && !is_store)
        return NULL;
    if (op->flags || !ops_form_of(op, form ? (is_store ? form->src_bytes : form->dst_bytes) : 0,
                                  is_store, &number))
        return NULL;
    switch ((enum ptx_sem)op->sem) {
    case PTX_SEM_WEAK:
    case PTX_SEM_VOLATILE:
    case PTX_SEM_RELAXED:
        return is_store ? ops_store_numbered[number] : ops_load_numbered[number];
    case PTX_SEM_ACQUIRE:
        return is_store ? NULL : ops_load_numbered[number | OPS_FORM_ORDERED];
    case PTX_SEM_RELEASE:
        return is_store ? ops_store_numbered[number | OPS_FORM_ORDERED] : NULL;
    case PTX_SEM_ACQ_REL:
    case PTX_SEM_SC:
        break;
    }
    return NULL;
}
