/* SPDX-License-Identifier: Apache-2.0
 * ld, st, atom, red, cvta, isspacep: every type, window and address pattern against plain loops,
 * and each kind of bad address. Memory and frame are compared whole, so a write outside shows.
 */
#include "tests/unit/ops/ops_rig.h"

#include <string.h>

/* ---- addresses ------------------------------------------------------------------------------- */

enum window {
    WINDOW_DEVICE,
    WINDOW_GENERIC,
    WINDOW_GENERIC_SHARED,
    WINDOW_GENERIC_LOCAL,
    WINDOW_SHARED,
    WINDOW_SHARED32,
    WINDOW_LOCAL,
    WINDOW_CONST,
    WINDOWS
};
static const struct {
    const char *name;
    uint8_t space;
    bool addr32, is_read_only;
    uint32_t bytes; /* of the window that offsets go into */
} windows[WINDOWS] = {
    [WINDOW_DEVICE] = {"global", PTX_SPACE_GLOBAL, false, false, RIG_DEVICE_BYTES},
    [WINDOW_GENERIC] = {"generic", PTX_SPACE_GENERIC, false, false, RIG_DEVICE_BYTES},
    [WINDOW_GENERIC_SHARED] = {"generic shared", PTX_SPACE_GENERIC, false, false, RIG_SHARED_BYTES},
    [WINDOW_GENERIC_LOCAL] = {"generic local", PTX_SPACE_GENERIC, false, false, RIG_LOCAL_BYTES},
    [WINDOW_SHARED] = {"shared", PTX_SPACE_SHARED, false, false, RIG_SHARED_BYTES},
    [WINDOW_SHARED32] = {"shared, 32-bit", PTX_SPACE_SHARED, true, false, RIG_SHARED_BYTES},
    [WINDOW_LOCAL] = {"local", PTX_SPACE_LOCAL, false, false, RIG_LOCAL_BYTES},
    [WINDOW_CONST] = {"const", PTX_SPACE_CONST, false, true, RIG_DEVICE_BYTES},
};

/* The address that an instruction sees, and the host memory behind it. */
static uint64_t device_address(enum window window, unsigned lane, uint64_t offset)
{
    switch (window) {
    case WINDOW_DEVICE:
    case WINDOW_GENERIC:
        return (uint64_t)(uintptr_t)rig.device + offset;
    case WINDOW_CONST:
        return (uint64_t)(uintptr_t)rig.constant + offset;
    case WINDOW_GENERIC_SHARED:
        return (uint64_t)(uintptr_t)rig.shared + offset;
    case WINDOW_GENERIC_LOCAL:
        return (uint64_t)(uintptr_t)rig.local + (uint64_t)lane * RIG_LOCAL_BYTES + offset;
    case WINDOW_SHARED:
    case WINDOW_SHARED32:
    case WINDOW_LOCAL:
    case WINDOWS:
        break;
    }
    return offset;
}

static uint8_t *host_memory(enum window window, unsigned lane, uint64_t offset)
{
    if (window == WINDOW_SHARED || window == WINDOW_SHARED32 || window == WINDOW_GENERIC_SHARED)
        return rig.shared + offset;
    if (window == WINDOW_LOCAL || window == WINDOW_GENERIC_LOCAL)
        return rig.local + (uint64_t)lane * RIG_LOCAL_BYTES + offset;
    return window == WINDOW_CONST ? rig.constant + offset : rig.device + offset;
}

enum pattern { CONSECUTIVE, EQUAL, ROWS_EQUAL, ROWS_APART, BACKWARD, STRIDED, SCATTERED, PATTERNS };

/* Offset of a lane for elements of `bytes`, inside a window of `limit` bytes. */
static uint64_t pattern_offset(enum pattern pattern, unsigned lane, unsigned bytes, uint32_t limit)
{
    const uint64_t slots = limit / bytes;
    uint64_t slot = 0;

    switch (pattern) {
    case CONSECUTIVE:
        slot = 1 + lane;
        break;
    case EQUAL:
        slot = 3;
        break;
    case ROWS_EQUAL:
        slot = lane < 16 ? 2 : 7;
        break;
    case ROWS_APART:
        slot = lane < 16 ? lane : 40 + lane;
        break;
    case BACKWARD:
        slot = 31 - lane;
        break;
    case STRIDED:
        slot = UINT64_C(3) * lane;
        break;
    case SCATTERED:
    case PATTERNS:
        slot = rig_random();
    }
    return slot % slots * bytes;
}

static void set_address(enum window window, unsigned lane, uint64_t offset, int64_t imm)
{
    const uint64_t address = device_address(window, lane, offset) - (uint64_t)imm;

    rig_put(SLOT_A, windows[window].addr32 ? 4 : 8, lane, address);
}

static void fill(void *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
        ((uint64_t *)memory)[i] = rig_random();
}

static void prepare(enum window window, uint32_t mask, int64_t imm)
{
    rig_reset();
    rig_use(SLOT_A);
    rig_mask(mask);
    rig.insn[0].imm = imm;
    rig.insn[0].flags = windows[window].addr32 ? WARP_I_ADDR32 : 0;
    fill(rig.device, sizeof(rig.device));
    fill(rig.constant, sizeof(rig.constant));
    fill(rig.shared, sizeof(rig.shared));
    fill(rig.local, sizeof(rig.local));
}

/* ---- loads and stores ------------------------------------------------------------------------ */

static const struct {
    uint8_t type, bytes;
    bool is_signed;
} elements[] = {{PTX_B8, 1, false},  {PTX_U8, 1, false},  {PTX_S8, 1, true},
                {PTX_U16, 2, false}, {PTX_S16, 2, true},  {PTX_F16, 2, false},
                {PTX_U32, 4, false}, {PTX_S32, 4, true},  {PTX_F32, 4, false},
                {PTX_U64, 8, false}, {PTX_F64, 8, false}, {PTX_B128, 16, false}};
static const enum rig_slot vector_slots[] = {SLOT_D, SLOT_X0, SLOT_X1, SLOT_X2};
static const uint32_t masks[] = {WARP_FULL, 0xffff0000, 0x0000ffff, 0x00010000, 0x5a5a1234, 1};

struct transfer {
    enum window window;
    unsigned element, register_bytes, count;
    bool is_store;
};

static uint64_t extended(uint64_t value, unsigned element, unsigned register_bytes)
{
    const unsigned drop = 64 - 8u * elements[element].bytes;
    const uint64_t all =
        elements[element].is_signed ? (uint64_t)((int64_t)(value << drop) >> drop) : value;

    return register_bytes < 8 ? all & ((UINT64_C(1) << (8 * register_bytes)) - 1) : all;
}

/* Word `n` of a lane's register: 128-bit registers are two planes of 64 bits. */
static uint64_t *register_word(enum rig_slot slot, unsigned lane, unsigned n)
{
    return (uint64_t *)rig_lanes(slot) + (size_t)n * WARP_LANES + lane;
}

static void check_load(const struct transfer *t, const uint64_t offsets[WARP_LANES], uint32_t mask)
{
    const unsigned bytes = elements[t->element].bytes;

    for (unsigned n = 0; n < t->count; n++)
        for (unsigned lane = 0; lane < WARP_LANES; lane++) {
            const uint8_t *from = host_memory(t->window, lane, offsets[lane] + (uint64_t)n * bytes);
            uint64_t words[2] = {0};

            memcpy(words, from, bytes);
            if (!(mask >> lane & 1))
                words[0] = words[1] = UINT64_C(0x7777777777777777);
            if (bytes == 16) {
                CHECK_EQ(*register_word(vector_slots[n], lane, 0), words[0]);
                CHECK_EQ(*register_word(vector_slots[n], lane, 1), words[1]);
            } else if (mask >> lane & 1) {
                CHECK_EQ(rig_get(vector_slots[n], t->register_bytes, lane),
                         extended(words[0], t->element, t->register_bytes));
            } else {
                CHECK_EQ(rig_get(vector_slots[n], t->register_bytes, lane),
                         words[0] >> (64 - 8 * t->register_bytes));
            }
        }
}

static void put_stored(const struct transfer *t, const uint64_t offsets[WARP_LANES], uint32_t mask)
{
    const unsigned bytes = elements[t->element].bytes;

    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        for (unsigned n = 0; n < t->count && (mask >> lane & 1); n++) {
            const enum rig_slot slot = n ? vector_slots[n] : SLOT_B;
            uint64_t words[2] = {rig_get(slot, t->register_bytes < 8 ? t->register_bytes : 8, lane),
                                 bytes == 16 ? *register_word(slot, lane, 1) : 0};
            memcpy(host_memory(t->window, lane, offsets[lane] + (uint64_t)n * bytes), words, bytes);
        }
}

struct memory {
    uint8_t device[RIG_DEVICE_BYTES], shared[RIG_SHARED_BYTES];
    uint8_t local[WARP_LANES * RIG_LOCAL_BYTES];
};

static void memory_copy(struct memory *m)
{
    memcpy(m->device, rig.device, sizeof(m->device));
    memcpy(m->shared, rig.shared, sizeof(m->shared));
    memcpy(m->local, rig.local, sizeof(m->local));
}

static void memory_swap(struct memory *m)
{
    struct memory now;

    memory_copy(&now);
    memcpy(rig.device, m->device, sizeof(m->device));
    memcpy(rig.shared, m->shared, sizeof(m->shared));
    memcpy(rig.local, m->local, sizeof(m->local));
    *m = now;
}

static void check_transfer(const struct transfer *t, const struct warp_isa *isa, warp_fn fn,
                           enum pattern pattern, uint32_t mask)
{
    const unsigned bytes = elements[t->element].bytes * t->count;
    const int64_t imm = (int64_t)(rig_random() % 3 - 1) * 64;
    uint64_t offsets[WARP_LANES];
    static struct memory before;

    prepare(t->window, mask, imm);
    memset(rig.frame, 0x77, sizeof(rig.frame));
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        offsets[lane] = pattern_offset(pattern, lane, bytes, windows[t->window].bytes);
        set_address(t->window, lane, offsets[lane], imm);
        if (!(mask >> lane & 1))
            rig_put(SLOT_A, windows[t->window].addr32 ? 4 : 8, lane, rig_random());
    }
    rig_use(t->is_store ? SLOT_B : SLOT_D);
    for (unsigned n = 1; n < t->count; n++)
        rig.ext[n - 1] = warp_operand(WARP_BASE_FRAME, vector_slots[n] * RIG_SLOT_BYTES);
    if (t->is_store)
        for (unsigned n = 0; n < t->count; n++)
            for (unsigned i = 0; i < RIG_SLOT_BYTES / 8; i++)
                ((uint64_t *)rig_lanes(n ? vector_slots[n] : SLOT_B))[i] = rig_random();
    memory_copy(&before);
    check_case("%s.%s.v%u%s %s, pattern %d, mask %#x, register %u, %s", t->is_store ? "st" : "ld",
               windows[t->window].name, t->count, rig_type(elements[t->element].type), isa->name,
               (int)pattern, mask, t->register_bytes, imm ? "offset" : "no offset");
    if (!CHECK(rig_went_on(rig_run(fn))))
        return;
    if (t->is_store) {
        memory_swap(&before);
        put_stored(t, offsets, mask);
    } else {
        check_load(t, offsets, mask);
    }
    CHECK_MEM(rig.device, before.device, sizeof(before.device));
    CHECK_MEM(rig.shared, before.shared, sizeof(before.shared));
    CHECK_MEM(rig.local, before.local, sizeof(before.local));
}

static void check_form(const struct transfer *t)
{
    const struct ptx_op op = {.family = t->is_store ? PTX_ST : PTX_LD,
                              .type = elements[t->element].type,
                              .space = windows[t->window].space,
                              .vec = (uint8_t)t->count,
                              .sem = (uint8_t)(rig_random() % 3)};
    const struct warp_form form = {.addr32 = windows[t->window].addr32,
                                   .dst_bytes = (uint8_t)t->register_bytes,
                                   .src_bytes = (uint8_t)t->register_bytes};
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    for (unsigned n = 0; n < count; n++) {
        const warp_fn fn = isas[n]->find(&op, &form);

        check_case("%s.%s.v%u.%s registers of %u", t->is_store ? "st" : "ld",
                   windows[t->window].name, t->count, rig_type(op.type), t->register_bytes);
        if (!CHECK(fn != NULL))
            continue;
        for (unsigned pattern = 0; pattern < PATTERNS; pattern++)
            for (size_t m = 0; m < FAB_ARRAY_LEN(masks); m++)
                check_transfer(t, isas[n], fn, (enum pattern)pattern, masks[m]);
    }
}

static void test_loads_and_stores(void)
{
    for (unsigned window = 0; window < WINDOWS; window++)
        for (unsigned e = 0; e < FAB_ARRAY_LEN(elements); e++)
            for (unsigned bytes = elements[e].bytes < 2 ? 2 : elements[e].bytes;
                 bytes <= (elements[e].bytes > 8 ? 16 : 8); bytes *= 2)
                for (unsigned count = 1; count <= 4 && count * elements[e].bytes <= 16;
                     count *= 2) {
                    struct transfer t = {(enum window)window, e, bytes, count, false};
                    if (elements[e].type == PTX_F16 && bytes > 2)
                        continue;
                    check_form(&t);
                    t.is_store = true;
                    if (!windows[window].is_read_only)
                        check_form(&t);
                }
}

/* An address without a register, and the ordered forms. */
static void test_other_forms(void)
{
    static const struct {
        uint8_t family, sem;
        bool exists;
    } cases[] = {{PTX_LD, PTX_SEM_ACQUIRE, true},
                 {PTX_ST, PTX_SEM_RELEASE, true},
                 {PTX_LD, PTX_SEM_RELEASE, false},
                 {PTX_ST, PTX_SEM_ACQUIRE, false}};
    const struct warp_isa *isa = warp_isa_select(NULL);

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const struct ptx_op op = {.family = cases[i].family,
                                  .type = PTX_U32,
                                  .space = PTX_SPACE_SHARED,
                                  .vec = 1,
                                  .sem = cases[i].sem};
        const struct warp_form form = {.addr_constant = true};
        warp_fn fn = isa->find(&op, &form);

        check_case("%s sem %u at a constant address", rig_family(&op), op.sem);
        if (!CHECK_EQ(fn != NULL, cases[i].exists) || !fn)
            continue;
        prepare(WINDOW_SHARED, WARP_FULL, 64);
        rig.insn[0].a = WARP_NO_OPERAND;
        rig_use(op.family == PTX_ST ? SLOT_B : SLOT_D);
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            rig_put(SLOT_B, 4, lane, 1000 + lane);
        CHECK(rig_went_on(rig_run(fn)));
        if (op.family == PTX_ST)
            CHECK_EQ(*(const uint32_t *)(rig.shared + 64), 1031);
        for (unsigned lane = 0; lane < WARP_LANES && op.family == PTX_LD; lane++)
            CHECK_EQ(rig_get(SLOT_D, 4, lane), *(const uint32_t *)(rig.shared + 64));
    }
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void test_faults(void)
{
    static const struct {
        const char *label;
        enum window window;
        bool is_store;
        uint8_t type, count, bytes; /* bytes: of the whole access */
        int64_t offset;             /* of the one lane that is wrong */
        enum warp_fault_kind fault;
    } cases[] = {
        {"load below device memory", WINDOW_DEVICE, false, PTX_U32, 1, 4, -4,
         WARP_FAULT_ILLEGAL_ADDRESS},
        {"load above device memory", WINDOW_DEVICE, false, PTX_U32, 1, 4,
         (int64_t)3 * RIG_DEVICE_BYTES, WARP_FAULT_ILLEGAL_ADDRESS},
        {"store across the end", WINDOW_GENERIC, true, PTX_U32, 4, 16, (int64_t)8 << 40,
         WARP_FAULT_ILLEGAL_ADDRESS},
        {"misaligned", WINDOW_DEVICE, true, PTX_U32, 1, 4, 18, WARP_FAULT_MISALIGNED},
        {"misaligned vector", WINDOW_SHARED, false, PTX_U32, 2, 8, 20, WARP_FAULT_MISALIGNED},
        {"shared, first byte outside", WINDOW_SHARED, false, PTX_U64, 1, 8, RIG_SHARED_BYTES,
         WARP_FAULT_SHARED_RANGE},
        {"shared, negative", WINDOW_SHARED, true, PTX_U8, 1, 1, -1, WARP_FAULT_SHARED_RANGE},
        {"shared, 32-bit", WINDOW_SHARED32, true, PTX_U32, 1, 4, 0x7ffffffc,
         WARP_FAULT_SHARED_RANGE},
        {"local", WINDOW_LOCAL, false, PTX_U32, 1, 4, RIG_LOCAL_BYTES, WARP_FAULT_SHARED_RANGE},
        {"store to constants", WINDOW_CONST, true, PTX_U32, 1, 4, 0, WARP_FAULT_ILLEGAL_ADDRESS},
        {"generic null", WINDOW_GENERIC, false, PTX_U32, 1, 4, INT64_MIN,
         WARP_FAULT_ILLEGAL_ADDRESS},
    };
    const unsigned bad = 13;
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases) * count; i++) {
        const struct warp_isa *isa = isas[i % count];
        const size_t row = i / count;
        const enum window window = cases[row].window;
        const struct ptx_op op = {.family = cases[row].is_store ? PTX_ST : PTX_LD,
                                  .type = cases[row].type,
                                  .space = windows[window].space,
                                  .vec = cases[row].count};
        const struct warp_form form = {.addr32 = windows[window].addr32};
        static uint8_t frame[sizeof(rig.frame)];
        static struct memory before;
        uint64_t address;

        check_case("%s in %s", cases[row].label, isa->name);
        prepare(window, 0x0000f000, 0);
        rig_use(cases[row].is_store ? SLOT_B : SLOT_D);
        for (unsigned n = 1; n < cases[row].count; n++)
            rig_use(vector_slots[n]);
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            set_address(window, lane, 0, 0);
        set_address(window, bad, (uint64_t)cases[row].offset, 0);
        if (cases[row].offset == INT64_MIN)
            rig_put(SLOT_A, 8, bad, 0);
        if (window == WINDOW_CONST)
            rig_mask(1u << bad);
        address = rig_get(SLOT_A, windows[window].addr32 ? 4 : 8, bad);
        memcpy(frame, rig.frame, sizeof(frame));
        memory_copy(&before);
        CHECK(rig_run(isa->find(&op, &form)) == WARP_STOP_FAULT);
        CHECK(rig.has_fault);
        CHECK_EQ(rig.fault, cases[row].fault);
        CHECK_EQ(rig.fault_lane, bad);
        CHECK_EQ(rig.fault_address, address);
        CHECK_MEM(rig.frame, frame, sizeof(frame));
        CHECK_MEM(rig.device, before.device, sizeof(before.device));
        CHECK_MEM(rig.shared, before.shared, sizeof(before.shared));
    }
}

/* The last bytes of a window are valid, one further is not: the driver is asked once for a range.
 */
static void test_edges(void)
{
    const struct ptx_op op = {
        .family = PTX_LD, .type = PTX_U64, .space = PTX_SPACE_GLOBAL, .vec = 1};
    const struct warp_form form = {0};
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    for (unsigned n = 0; n < count; n++) {
        check_case("the last 32 elements in %s", isas[n]->name);
        prepare(WINDOW_DEVICE, WARP_FULL, 0);
        rig_use(SLOT_D);
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            set_address(WINDOW_DEVICE, lane, RIG_DEVICE_BYTES - 8 * (WARP_LANES - lane), 0);
        CHECK(rig_went_on(rig_run(isas[n]->find(&op, &form))));
        CHECK_MEM(rig_lanes(SLOT_D), rig.device + RIG_DEVICE_BYTES - 256, 256);
        CHECK_EQ(rig.range_finds, 1);
        CHECK(rig_went_on(rig_run(isas[n]->find(&op, &form))));
        CHECK_EQ(rig.range_finds, 1);
    }
}

/* ---- atomics --------------------------------------------------------------------------------- */

static float float_of(uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, sizeof(x));
    return x;
}

/* What one lane leaves in memory. */
static uint64_t atomic_result(const struct ptx_op *op, uint64_t old, uint64_t b, uint64_t c)
{
    const bool is_signed = op->type == PTX_S32 || op->type == PTX_S64;
    const int64_t x = op->type == PTX_S32 ? (int32_t)old : (int64_t)old;
    const int64_t y = op->type == PTX_S32 ? (int32_t)b : (int64_t)b;
    const bool less = is_signed ? x < y : old < b;
    double wide, other;
    float narrow;
    uint32_t bits;

    switch (op->sub) {
    case PTX_SUB_ADD:
        if (op->type == PTX_F32) {
            narrow = float_of(old) + float_of(b);
            memcpy(&bits, &narrow, sizeof(bits));
            return bits;
        }
        if (op->type != PTX_F64)
            return old + b;
        memcpy(&wide, &old, sizeof(wide));
        memcpy(&other, &b, sizeof(other));
        wide += other;
        memcpy(&old, &wide, sizeof(wide));
        return old;
    case PTX_SUB_AND:
        return old & b;
    case PTX_SUB_OR:
        return old | b;
    case PTX_SUB_XOR:
        return old ^ b;
    case PTX_SUB_MIN:
        return less ? old : b;
    case PTX_SUB_MAX:
        return less ? b : old;
    case PTX_SUB_INC:
        return old >= b ? 0 : old + 1;
    case PTX_SUB_DEC:
        return old == 0 || old > b ? b : old - 1;
    case PTX_SUB_CAS:
        return old == b ? c : old;
    default:
        return b; /* exch */
    }
}

/* Small numbers, so that cas, inc and dec meet; as floats exact ones. */
static uint64_t atomic_operand(const struct ptx_op *op)
{
    const uint64_t small = rig_random() % 5;
    const double wide = (double)small - 1.5;
    const float narrow = (float)wide;
    uint64_t bits = 0;

    if (op->type == PTX_F64)
        memcpy(&bits, &wide, sizeof(wide));
    else if (op->type == PTX_F32)
        memcpy(&bits, &narrow, sizeof(narrow));
    else
        return rig_random() & 1 ? small : rig_random();
    return bits;
}

static void check_atomic(const struct ptx_op *op, enum window window, unsigned bytes,
                         const struct warp_isa *isa, enum pattern pattern, uint32_t mask)
{
    static struct memory before;
    uint64_t offsets[WARP_LANES], old[WARP_LANES] = {0};
    const struct warp_form form = {.addr32 = windows[window].addr32};
    const warp_fn fn = isa->find(op, &form);
    const bool is_red = op->family == PTX_RED;

    check_case("%s.%s.%s sub %u in %s, pattern %d, mask %#x", rig_family(op), windows[window].name,
               rig_type(op->type), op->sub, isa->name, (int)pattern, mask);
    if (!CHECK(fn != NULL))
        return;
    prepare(window, mask, 0);
    rig_use(SLOT_B);
    if (!is_red)
        rig_use(SLOT_D);
    if (op->sub == PTX_SUB_CAS)
        rig_use(SLOT_C);
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        const uint64_t start = atomic_operand(op);
        offsets[lane] = pattern_offset(pattern, lane, bytes, windows[window].bytes);
        set_address(window, lane, offsets[lane], 0);
        rig_put(SLOT_B, bytes, lane, atomic_operand(op));
        rig_put(SLOT_C, bytes, lane, atomic_operand(op));
        memcpy(host_memory(window, lane, offsets[lane]), &start, bytes);
    }
    memory_copy(&before);
    CHECK(rig_went_on(rig_run(fn)));
    memory_swap(&before);
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        uint64_t value;
        if (!(mask >> lane & 1))
            continue;
        memcpy(&old[lane], host_memory(window, lane, offsets[lane]), bytes);
        value = atomic_result(op, old[lane], rig_get(SLOT_B, bytes, lane),
                              rig_get(SLOT_C, bytes, lane));
        memcpy(host_memory(window, lane, offsets[lane]), &value, bytes);
        if (!is_red)
            CHECK_EQ(rig_get(SLOT_D, bytes, lane), old[lane]);
    }
    CHECK_MEM(rig.device, before.device, sizeof(before.device));
    CHECK_MEM(rig.shared, before.shared, sizeof(before.shared));
}

static void test_atomics(void)
{
    static const struct {
        uint8_t sub, type, bytes;
    } ops[] = {
        {PTX_SUB_ADD, PTX_U32, 4},  {PTX_SUB_ADD, PTX_S32, 4}, {PTX_SUB_ADD, PTX_U64, 8},
        {PTX_SUB_ADD, PTX_F32, 4},  {PTX_SUB_ADD, PTX_F64, 8}, {PTX_SUB_AND, PTX_B32, 4},
        {PTX_SUB_AND, PTX_B64, 8},  {PTX_SUB_OR, PTX_B32, 4},  {PTX_SUB_OR, PTX_B64, 8},
        {PTX_SUB_XOR, PTX_B32, 4},  {PTX_SUB_XOR, PTX_B64, 8}, {PTX_SUB_EXCH, PTX_B32, 4},
        {PTX_SUB_EXCH, PTX_B64, 8}, {PTX_SUB_CAS, PTX_B16, 2}, {PTX_SUB_CAS, PTX_B32, 4},
        {PTX_SUB_CAS, PTX_B64, 8},  {PTX_SUB_MIN, PTX_U32, 4}, {PTX_SUB_MIN, PTX_S32, 4},
        {PTX_SUB_MIN, PTX_U64, 8},  {PTX_SUB_MIN, PTX_S64, 8}, {PTX_SUB_MAX, PTX_U32, 4},
        {PTX_SUB_MAX, PTX_S32, 4},  {PTX_SUB_MAX, PTX_U64, 8}, {PTX_SUB_MAX, PTX_S64, 8},
        {PTX_SUB_INC, PTX_U32, 4},  {PTX_SUB_DEC, PTX_U32, 4},
    };
    static const enum window places[] = {WINDOW_DEVICE, WINDOW_GENERIC, WINDOW_GENERIC_SHARED,
                                         WINDOW_SHARED, WINDOW_SHARED32};
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    for (size_t i = 0; i < FAB_ARRAY_LEN(ops); i++)
        for (size_t p = 0; p < FAB_ARRAY_LEN(places); p++)
            for (unsigned pattern = 0; pattern < PATTERNS; pattern++)
                for (int red = 0; red < 2; red++) {
                    const struct ptx_op op = {.family = red ? PTX_RED : PTX_ATOM,
                                              .type = ops[i].type,
                                              .sub = ops[i].sub,
                                              .space = windows[places[p]].space};
                    if (red && (op.sub == PTX_SUB_CAS || op.sub == PTX_SUB_EXCH))
                        continue;
                    for (unsigned n = 0; n < count; n++) {
                        check_atomic(&op, places[p], ops[i].bytes, isas[n], (enum pattern)pattern,
                                     WARP_FULL);
                        check_atomic(&op, places[p], ops[i].bytes, isas[n], (enum pattern)pattern,
                                     0x81010110);
                    }
                }
    rig_check_refused(&(struct ptx_op){.family = PTX_ATOM, .type = PTX_F16, .sub = PTX_SUB_ADD});
}

/* ---- addresses as values --------------------------------------------------------------------- */

static void test_cvta(void)
{
    static const struct {
        uint8_t space;
        enum window generic;
    } cases[] = {{PTX_SPACE_GLOBAL, WINDOW_GENERIC},
                 {PTX_SPACE_SHARED, WINDOW_GENERIC_SHARED},
                 {PTX_SPACE_LOCAL, WINDOW_GENERIC_LOCAL}};
    const struct warp_isa *isa = warp_isa_select(NULL);
    const struct warp_form form = {0};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const bool is_global = cases[i].space == PTX_SPACE_GLOBAL;
        const struct ptx_op from = {.family = PTX_CVTA, .type = PTX_U64, .space = cases[i].space};
        struct ptx_op to = from;

        to.flags = PTX_F_TO;
        check_case("cvta of space %u", cases[i].space);
        prepare(WINDOW_DEVICE, WARP_FULL, 0);
        rig_use(SLOT_D);
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            rig_put(SLOT_A, 8, lane, is_global ? device_address(WINDOW_DEVICE, 0, lane) : lane);
        CHECK(rig_went_on(rig_run(isa->find(&from, &form))));
        for (unsigned lane = 0; lane < WARP_LANES; lane++)
            CHECK_EQ(rig_get(SLOT_D, 8, lane), device_address(cases[i].generic, lane, lane));
        memcpy(rig_lanes(SLOT_A), rig_lanes(SLOT_D), RIG_SLOT_BYTES);
        CHECK(rig_went_on(rig_run(isa->find(&to, &form))));
        for (unsigned lane = 0; lane < WARP_LANES && !is_global; lane++)
            CHECK_EQ(rig_get(SLOT_D, 8, lane), lane);
        for (size_t s = 0; s < FAB_ARRAY_LEN(cases); s++) {
            const struct ptx_op test = {
                .family = PTX_ISSPACEP, .type = PTX_U64, .space = cases[s].space};
            check_case("isspacep %u of an address in space %u", cases[s].space, cases[i].space);
            CHECK(rig_went_on(rig_run(isa->find(&test, &form))));
            CHECK_EQ(*rig_predicate(SLOT_D), s == i ? WARP_FULL : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_loads_and_stores), CHECK_TEST(test_other_forms),
        CHECK_TEST(test_faults),           CHECK_TEST(test_edges),
        CHECK_TEST(test_atomics),          CHECK_TEST(test_cvta)};

    return check_run(tests);
}
