/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_memory.c - the common loads and stores, fast. A variant source.
 *
 * A warp's addresses are looked at in two rows of 16 lanes. A row of consecutive elements is one
 * copy, a row of equal addresses one load; other rows are taken lane by lane after one check of
 * them all. What does not fit (another range, a fault, a rare width) goes to the general handler.
 */
#include "softcuda/warp/ops/ops_memory.h"
#include "softcuda/warp/ops/ops_list.h"
#include "softcuda/warp/ops/ops_rows.h"

/* ---- rows ------------------------------------------------------------------------------------ */

OPS_INLINE enum ops_row_kind row_kind(const void *addresses, bool addr32, u64 step)
{
    return addr32 ? ops_row_kind32(addresses, (u32)step) : ops_row_kind64(addresses, step);
}

/* The general handler for one row only. The mask is put back before anybody else sees it. */
OPS_INLINE const struct warp_insn *row_general(struct warp *w, const struct warp_insn *in,
                                               unsigned row, bool is_store, unsigned form)
{
    const u32 mask = w->mask;
    const struct warp_insn *next;

    w->mask = mask & (row ? 0xffff0000u : 0x0000ffffu);
    next = is_store ? ops_store(w, in, form) : ops_load(w, in, form);
    w->mask = mask;
    return next;
}

#define FOR_LANES(m, l)                                                                            \
    for (u32 m_ = (m), l = 0; m_ && (l = (u32)__builtin_ctz(m_), true); m_ &= m_ - 1)

/* ---- elements: every function is inlined with a constant element ----------------------------- */

/* In memory and in a register, of the elements that are fast. */
#define FAST_ELEMENTS(X)                                                                           \
    X(U8_U16, u8, u16)                                                                             \
    X(U8_U32, u8, u32) X(U16_U16, u16, u16) X(U32_U32, u32, u32) X(U64_U64, u64, u64)

OPS_INLINE u64 element_bytes(enum ops_element element)
{
    return element == OPS_ELEMENT_U8_U16 || element == OPS_ELEMENT_U8_U32 ? 1
           : element == OPS_ELEMENT_U16_U16                               ? 2
           : element == OPS_ELEMENT_U32_U32                               ? 4
                                                                          : 8;
}

OPS_INLINE u64 register_bytes(enum ops_element element)
{
    return element == OPS_ELEMENT_U64_U64                                    ? 8
           : element == OPS_ELEMENT_U32_U32 || element == OPS_ELEMENT_U8_U32 ? 4
                                                                             : 2;
}

/* One element of every `stride` into a row of registers; and back. */
OPS_INLINE void row_load(void *d, const void *from, u32 stride, enum ops_element element)
{
    if (stride == 1 && register_bytes(element) == element_bytes(element)) {
        memcpy(d, from, OPS_ROW * element_bytes(element));
        return;
    }
#define ROW_LOAD(name, M, R)                                                                       \
    if (element == OPS_ELEMENT_##name) {                                                           \
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)((R *)d)[l] =                              \
            ((const M *)from)[(size_t)l * stride];                                                 \
    }
    FAST_ELEMENTS(ROW_LOAD)
#undef ROW_LOAD
}

OPS_INLINE void row_store(const void *b, void *to, u32 stride, enum ops_element element)
{
    if (stride == 1 && register_bytes(element) == element_bytes(element)) {
        memcpy(to, b, OPS_ROW * element_bytes(element));
        return;
    }
#define ROW_STORE(name, M, R)                                                                      \
    if (element == OPS_ELEMENT_##name) {                                                           \
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)((M *)to)[(size_t)l * stride] =            \
            (M)((const R *)b)[l];                                                                  \
    }
    FAST_ELEMENTS(ROW_STORE)
#undef ROW_STORE
}

/* One element into all registers of a row. */
OPS_INLINE void row_spread(void *d, const void *from, enum ops_element element)
{
#define ROW_SPREAD(name, M, R)                                                                     \
    if (element == OPS_ELEMENT_##name) {                                                           \
        const R value = (R) * (const M *)from;                                                     \
        OPS_IVDEP for (unsigned l = 0; l < OPS_ROW; l++)((R *)d)[l] = value;                       \
    }
    FAST_ELEMENTS(ROW_SPREAD)
#undef ROW_SPREAD
}

OPS_INLINE void lane_load(void *d, unsigned l, const void *from, enum ops_element element)
{
#define LANE_LOAD(name, M, R)                                                                      \
    if (element == OPS_ELEMENT_##name)                                                             \
        ((R *)d)[l] = *(const M *)from;
    FAST_ELEMENTS(LANE_LOAD)
#undef LANE_LOAD
}

OPS_INLINE void lane_store(const void *b, unsigned l, void *to, enum ops_element element)
{
#define LANE_STORE(name, M, R)                                                                     \
    if (element == OPS_ELEMENT_##name)                                                             \
        *(M *)to = (M)((const R *)b)[l];
    FAST_ELEMENTS(LANE_STORE)
#undef LANE_STORE
}

/* ---- one row, in one of its shapes ----------------------------------------------------------- */

/* What does not change between the rows of an instruction; all but the pointers is constant. */
struct transfer {
    enum ops_window kind;
    enum ops_element element;
    u32 count; /* elements a lane: 1, 2 or 4 */
    bool addr32, is_store;
    u8 *registers[4]; /* of the row's first lane */
};

OPS_INLINE void move_row(const struct transfer *t, u64 host)
{
    const u64 bytes = element_bytes(t->element);

    for (u32 n = 0; n < t->count; n++) {
        if (t->is_store)
            row_store(t->registers[n], ops_host(host + n * bytes), t->count, t->element);
        else
            row_load(t->registers[n], ops_host(host + n * bytes), t->count, t->element);
    }
}

OPS_INLINE void move_lane(const struct transfer *t, u64 host, unsigned l)
{
    const u64 bytes = element_bytes(t->element);

    for (u32 n = 0; n < t->count; n++) {
        if (t->is_store)
            lane_store(t->registers[n], l, ops_host(host + n * bytes), t->element);
        else
            lane_load(t->registers[n], l, ops_host(host + n * bytes), t->element);
    }
}

/* All lanes at one address: the load is spread; of a store the highest lane's value stays. */
OPS_INLINE void move_same(const struct transfer *t, u64 host)
{
    const u64 bytes = element_bytes(t->element);

    if (t->is_store) {
        move_lane(t, host, OPS_ROW - 1);
        return;
    }
    for (u32 n = 0; n < t->count; n++)
        row_spread(t->registers[n], ops_host(host + n * bytes), t->element);
}

/* ---- both rows ------------------------------------------------------------------------------- */

/* Registers of the first row; '_' goes to `waste`. */
OPS_INLINE void take_registers(struct warp *w, const struct warp_insn *in, struct transfer *t,
                               void *waste)
{
    for (u32 n = 0; n < t->count; n++) {
        const u32 operand = n ? in->ext[n - 1] : t->is_store ? in->b : in->d;
        t->registers[n] =
            operand == WARP_NO_OPERAND ? (u8 *)waste : (u8 *)OPS_VECTOR(u64, w, operand);
    }
}

OPS_INLINE void next_row(struct transfer *t)
{
    for (u32 n = 0; n < t->count; n++)
        t->registers[n] += OPS_ROW * register_bytes(t->element);
}

/* Any mask, any addresses: a row at a time, lane by lane. */
OPS_INLINE const struct warp_insn *move_lanes(struct warp *w, const struct warp_insn *in,
                                              struct transfer t)
{
    const u8 *addresses = (const u8 *)warp_at(w, in->a);
    const u32 mask = w->mask;
    const u64 bytes = element_bytes(t.element) * t.count;
    const u64 some = ops_row_address(in, addresses, t.addr32, (unsigned)__builtin_ctz(mask));
    const unsigned form = ops_form(t.kind, t.element, t.count == 4 ? 2 : t.count - 1);
    struct ops_place window;
    FAB_ALIGNED(64) u64 waste[WARP_LANES];

    if (FAB_UNLIKELY(!ops_place_open(w, t.kind, some, t.is_store, &window)))
        return t.is_store ? ops_store(w, in, form) : ops_load(w, in, form);
    take_registers(w, in, &t, waste);
    for (unsigned row = 0; row < 2; row++) {
        const u32 on = mask >> (row * OPS_ROW) & 0xffff;

        if (on && !ops_row_inside(in, addresses, t.addr32, on, &window, bytes)) {
            if (row_general(w, in, row, t.is_store, form) == WARP_STOP_FAULT)
                return WARP_STOP_FAULT;
        } else {
            FOR_LANES(on, l)
            move_lane(&t, window.host + ops_row_address(in, addresses, t.addr32, l), l);
        }
        addresses += (size_t)OPS_ROW * (t.addr32 ? 4 : 8);
        next_row(&t);
    }
    return in + 1;
}

/* Is the row one piece of memory, or one element, inside the window? */
OPS_INLINE bool row_is_easy(const struct transfer *t, const struct ops_place *window, u64 first,
                            enum ops_row_kind kind)
{
    const u64 bytes = element_bytes(t->element) * t->count;

    return kind != OPS_ROW_SCATTERED &&
           ops_place_holds(window, first, kind == OPS_ROW_CONSECUTIVE ? OPS_ROW * bytes : bytes,
                           bytes);
}

OPS_INLINE void move_easy(const struct transfer *t, u64 host, enum ops_row_kind kind)
{
    if (kind == OPS_ROW_CONSECUTIVE)
        move_row(t, host);
    else
        move_same(t, host);
}

/* A whole warp whose rows are both easy and without '_'; false and nothing done otherwise. Both
 * rows are looked at before anything is written: the destination may hold the addresses. */
OPS_INLINE bool move_rows(struct warp *w, const struct warp_insn *in, struct transfer t)
{
    const u8 *addresses = (const u8 *)warp_at(w, in->a);
    const u8 *others = addresses + (size_t)OPS_ROW * (t.addr32 ? 4 : 8);
    const u64 bytes = element_bytes(t.element) * t.count;
    const u64 first = ops_row_address(in, addresses, t.addr32, 0);
    const u64 second = ops_row_address(in, others, t.addr32, 0);
    enum ops_row_kind kinds[2];
    struct ops_place window;

    if (!ops_place_open(w, t.kind, first, t.is_store, &window))
        return false;
    kinds[0] = row_kind(addresses, t.addr32, bytes);
    kinds[1] = row_kind(others, t.addr32, bytes);
    if (!row_is_easy(&t, &window, first, kinds[0]) || !row_is_easy(&t, &window, second, kinds[1]))
        return false;
    take_registers(w, in, &t, NULL);
    for (u32 n = 0; n < t.count; n++)
        if (!t.registers[n])
            return false;
    move_easy(&t, window.host + first, kinds[0]);
    next_row(&t);
    move_easy(&t, window.host + second, kinds[1]);
    return true;
}

#define MOVE(name, window, is_addr32, elem, elements, store)                                       \
    static const struct transfer name##_transfer = {.kind = window,                                \
                                                    .element = OPS_ELEMENT_##elem,                 \
                                                    .count = elements,                             \
                                                    .addr32 = is_addr32,                           \
                                                    .is_store = store};                            \
    static __attribute__((noinline))                                                               \
    const struct warp_insn *name##_lanes(struct warp *w, const struct warp_insn *in)               \
    {                                                                                              \
        return move_lanes(w, in, name##_transfer);                                                 \
    }                                                                                              \
    OPS_HANDLER(name)                                                                              \
    {                                                                                              \
        if (FAB_LIKELY(w->mask == WARP_FULL && move_rows(w, in, name##_transfer)))                 \
            return in + 1;                                                                         \
        return name##_lanes(w, in);                                                                \
    }

#define FORMS(op, suffix, window, addr32, store)                                                   \
    MOVE(op##_u8_##suffix, window, addr32, U8_U16, 1, store)                                       \
    MOVE(op##_u8w_##suffix, window, addr32, U8_U32, 1, store)                                      \
    MOVE(op##_u16_##suffix, window, addr32, U16_U16, 1, store)                                     \
    MOVE(op##_u32_##suffix, window, addr32, U32_U32, 1, store)                                     \
    MOVE(op##_u64_##suffix, window, addr32, U64_U64, 1, store)                                     \
    MOVE(op##_u32x2_##suffix, window, addr32, U32_U32, 2, store)                                   \
    MOVE(op##_u32x4_##suffix, window, addr32, U32_U32, 4, store)                                   \
    MOVE(op##_u64x2_##suffix, window, addr32, U64_U64, 2, store)

FORMS(ld, device, OPS_DEVICE, false, false)
FORMS(ld, generic, OPS_GENERIC, false, false)
FORMS(ld, shared, OPS_SHARED, false, false)
FORMS(ld, shared32, OPS_SHARED, true, false)
FORMS(st, device, OPS_DEVICE, false, true)
FORMS(st, generic, OPS_GENERIC, false, true)
FORMS(st, shared, OPS_SHARED, false, true)
FORMS(st, shared32, OPS_SHARED, true, true)

/* ---- finder ---------------------------------------------------------------------------------- */

#define FAST_ROWS(suffix, window, is_addr32)                                                       \
    {window, OPS_ELEMENT_U8_U16, 0, is_addr32, ld_u8_##suffix, st_u8_##suffix},                    \
        {window, OPS_ELEMENT_U8_U32, 0, is_addr32, ld_u8w_##suffix, st_u8w_##suffix},              \
        {window, OPS_ELEMENT_U16_U16, 0, is_addr32, ld_u16_##suffix, st_u16_##suffix},             \
        {window, OPS_ELEMENT_U32_U32, 0, is_addr32, ld_u32_##suffix, st_u32_##suffix},             \
        {window, OPS_ELEMENT_U64_U64, 0, is_addr32, ld_u64_##suffix, st_u64_##suffix},             \
        {window, OPS_ELEMENT_U32_U32, 1, is_addr32, ld_u32x2_##suffix, st_u32x2_##suffix},         \
        {window, OPS_ELEMENT_U32_U32, 2, is_addr32, ld_u32x4_##suffix, st_u32x4_##suffix},         \
    {                                                                                              \
        window, OPS_ELEMENT_U64_U64, 1, is_addr32, ld_u64x2_##suffix, st_u64x2_##suffix            \
    }

warp_fn OPS_SYM(ops_find_memory)(const struct ptx_op *op, const struct warp_form *form)
{
    static const struct {
        enum ops_window window;
        enum ops_element element;
        uint8_t count_log2;
        bool addr32;
        warp_fn load, store;
    } rows[] = {FAST_ROWS(device, OPS_DEVICE, false), FAST_ROWS(generic, OPS_GENERIC, false),
                FAST_ROWS(shared, OPS_SHARED, false), FAST_ROWS(shared32, OPS_SHARED, true)};
    const bool is_store = op->family == PTX_ST;
    unsigned wanted;

    if ((!is_store && op->family != PTX_LD && op->family != PTX_LDU) || op->flags)
        return NULL;
    if (!form || form->addr_constant || op->sem > PTX_SEM_RELAXED)
        return NULL; /* served by the general handler */
    if (!ops_form_of(op, is_store ? form->src_bytes : form->dst_bytes, is_store, &wanted))
        return NULL;
    for (unsigned n = 0; n < FAB_ARRAY_LEN(rows); n++)
        if (ops_form(rows[n].window, rows[n].element, rows[n].count_log2) == wanted &&
            rows[n].addr32 == form->addr32)
            return is_store ? rows[n].store : rows[n].load;
    return NULL;
}
