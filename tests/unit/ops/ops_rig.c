/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/ops/ops_rig.c - see ops_rig.h.
 */
#include "tests/unit/ops/ops_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct rig rig;

/* ---- the services of the scheduler ----------------------------------------------------------- */

const struct warp_insn *warp_fault(struct warp *w, const struct warp_insn *in,
                                   enum warp_fault_kind kind, uint64_t address, unsigned lane)
{
    (void)w, (void)in;
    if (!rig.has_fault) {
        rig.has_fault = true;
        rig.fault = kind;
        rig.fault_address = address;
        rig.fault_lane = lane;
    }
    return WARP_STOP_FAULT;
}

bool warp_range_find(struct warp *w, uint64_t address, uint32_t bytes, bool write,
                     struct warp_range *range_out)
{
    const uint64_t device = (uint64_t)(uintptr_t)rig.device;
    const uint64_t constant = (uint64_t)(uintptr_t)rig.constant;
    const struct warp_range ranges[] = {{device, device + RIG_DEVICE_BYTES, true},
                                        {constant, constant + RIG_DEVICE_BYTES, false}};

    rig.range_finds++;
    for (size_t i = 0; i < FAB_ARRAY_LEN(ranges); i++) {
        if (address < ranges[i].lo || address >= ranges[i].hi || ranges[i].hi - address < bytes ||
            (write && !ranges[i].can_write))
            continue;
        memmove(w->tlb->entry + 1, w->tlb->entry, sizeof(w->tlb->entry) - sizeof(w->tlb->entry[0]));
        w->tlb->entry[0] = ranges[i];
        *range_out = ranges[i];
        return true;
    }
    return false;
}

bool warp_collect(struct warp *w, const struct warp_insn *in, uint32_t members)
{
    (void)w, (void)in, (void)members;
    return rig.collects;
}

void warp_set_mask(struct warp *w, uint32_t mask)
{
    w->mask = mask;
    for (unsigned i = 0; i < WARP_LANES; i++)
        w->lanes[i] = mask >> i & 1 ? UINT32_MAX : 0;
}

/* ---- the rig --------------------------------------------------------------------------------- */

void rig_reset(void)
{
    memset(&rig, 0, sizeof(rig));
    rig.warp.base[WARP_BASE_FRAME] = rig.frame;
    rig.warp.block = &rig.block;
    rig.warp.tlb = &rig.tlb;
    rig.warp.local = rig.local;
    rig.warp.local_stride = RIG_LOCAL_BYTES;
    rig.warp.live = WARP_FULL;
    rig.warp.budget = 1000;
    rig.block.shared = rig.shared;
    rig.block.shared_bytes = RIG_SHARED_BYTES;
    rig.collects = true;
    rig.insn[0].d = rig.insn[0].e = WARP_NO_OPERAND;
    rig.insn[0].a = rig.insn[0].b = rig.insn[0].c = WARP_NO_OPERAND;
    rig.insn[0].ext = rig.ext;
    for (size_t i = 0; i < FAB_ARRAY_LEN(rig.ext); i++)
        rig.ext[i] = WARP_NO_OPERAND;
    rig_mask(WARP_FULL);
}

void rig_mask(uint32_t mask)
{
    warp_set_mask(&rig.warp, mask);
}

void rig_use(enum rig_slot slot)
{
    const uint32_t operand = warp_operand(WARP_BASE_FRAME, (uint32_t)slot * RIG_SLOT_BYTES);
    uint32_t *const place[SLOTS] = {&rig.insn[0].d, &rig.insn[0].e, &rig.insn[0].a, &rig.insn[0].b,
                                    &rig.insn[0].c, &rig.ext[0],    &rig.ext[1],    &rig.ext[2]};

    *place[slot] = operand;
}

void *rig_lanes(enum rig_slot slot)
{
    return rig.frame + (size_t)slot * RIG_SLOT_BYTES;
}

uint32_t *rig_predicate(enum rig_slot slot)
{
    return rig_lanes(slot);
}

uint64_t rig_get(enum rig_slot slot, unsigned bytes, unsigned lane)
{
    uint64_t value = 0;

    if (bytes == 1)
        return *rig_predicate(slot) >> lane & 1;
    memcpy(&value, (const uint8_t *)rig_lanes(slot) + (size_t)lane * bytes, bytes);
    return value;
}

void rig_put(enum rig_slot slot, unsigned bytes, unsigned lane, uint64_t value)
{
    if (bytes == 1) {
        uint32_t *word = rig_predicate(slot);
        *word = (*word & ~(1u << lane)) | (uint32_t)(value & 1) << lane;
        return;
    }
    memcpy((uint8_t *)rig_lanes(slot) + (size_t)lane * bytes, &value, bytes);
}

const struct warp_insn *rig_run(warp_fn fn)
{
    rig.has_fault = false;
    return fn(&rig.warp, rig.insn);
}

bool rig_went_on(const struct warp_insn *next)
{
    return next == rig.insn + 1;
}

/* ---- operands -------------------------------------------------------------------------------- */

uint64_t rig_random(void)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

uint64_t rig_operand(unsigned bytes)
{
    const uint64_t random = rig_random();
    const uint64_t all = bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * bytes)) - 1;
    const uint64_t edges[] = {
        0,       1,          2,          all,        all - 1,    all >> 1,  (all >> 1) + 1, 31,
        32,      33,         63,         64,         255,        0x8000,    0x7fff,         0xffff,
        all / 3, 0x7f800000, 0x7fc00000, 0x80000000, 0x00400000, 0x3f800000};

    if (random & 1)
        return edges[random / 2 % FAB_ARRAY_LEN(edges)] & all;
    return (random & 2 ? rig_random() : rig_random() >> rig_random() % 64) & all;
}

/* ---- checking against an oracle -------------------------------------------------------------- */

const char *rig_family(const struct ptx_op *op)
{
    static const char *const names[] = {
#define NAME(name, text) text,
        PTX_FAMILY_LIST(NAME)
#undef NAME
    };
    return names[op->family];
}

const char *rig_type(uint8_t type)
{
    static const char *const names[] = {
#define NAME(name, text, bytes) text,
        PTX_TYPE_LIST(NAME)
#undef NAME
    };
    return names[type];
}

static const uint32_t masks[] = {WARP_FULL,  0x0000ffff, 0xaaaaaaaa, 1,
                                 0x80000000, 0x00000fff, 0x7ffffffe};
enum { ROUNDS = 3 }; /* of fresh operands for each mask */

static bool is_same(const struct rig_case *c, uint64_t got, uint64_t wanted)
{
    return c->same ? c->same(&c->op, got, wanted) : got == wanted;
}

/* One instruction with the operands in `sources`; d starts as what is in its slot. */
static void check_once(const struct rig_case *c, const struct warp_isa *isa, warp_fn fn,
                       uint32_t mask, bool in_place)
{
    const unsigned widths[4] = {c->a, c->b, c->c, c->x};
    static const enum rig_slot slots[4] = {SLOT_A, SLOT_B, SLOT_C, SLOT_X0};
    uint64_t sources[4][WARP_LANES] = {{0}}, before[WARP_LANES];
    const enum rig_slot d = in_place ? SLOT_A : SLOT_D;

    rig_mask(mask);
    for (unsigned s = 0; s < 4; s++)
        for (unsigned lane = 0; widths[s] && lane < WARP_LANES; lane++) {
            sources[s][lane] = (c->operand ? c->operand : rig_operand)(widths[s]);
            rig_put(slots[s], widths[s], lane, sources[s][lane]);
            sources[s][lane] = rig_get(slots[s], widths[s], lane);
        }
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        if (!in_place)
            rig_put(SLOT_D, c->d, lane, rig_random());
        before[lane] = rig_get(d, c->d, lane);
    }
    rig.insn[0].d = warp_operand(WARP_BASE_FRAME, (uint32_t)d * RIG_SLOT_BYTES);
    if (!CHECK(rig_went_on(rig_run(fn))))
        return;
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        const uint64_t got = rig_get(d, c->d, lane);
        const uint64_t wanted = c->oracle(&c->op, sources[0][lane], sources[1][lane],
                                          sources[2][lane], sources[3][lane]);
        const bool is_on = mask >> lane & 1;

        if (is_on ? is_same(c, got, wanted) : got == before[lane])
            continue;
        check_case("%s.%s.%s sub %u cmp %u round %u flags %#x, %s lane %u%s mask %#x: a %#" PRIx64
                   " b %#" PRIx64 " c %#" PRIx64 " x %#" PRIx64,
                   rig_family(&c->op), rig_type(c->op.type), rig_type(c->op.type2), c->op.sub,
                   c->op.cmp, c->op.round, c->op.flags, isa->name, lane, is_on ? "" : " (off)",
                   mask, sources[0][lane], sources[1][lane], sources[2][lane], sources[3][lane]);
        CHECK_EQ(got, is_on ? wanted : before[lane]);
        return;
    }
}

void rig_check(const struct rig_case *c)
{
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    check_case("%s.%s.%s sub %u round %u flags %#x", rig_family(&c->op), rig_type(c->op.type),
               rig_type(c->op.type2), c->op.sub, c->op.round, c->op.flags);
    for (unsigned n = 0; n < count; n++) {
        const warp_fn fn = isas[n]->find(&c->op, &c->form);

        if (!CHECK(fn != NULL))
            continue;
        rig_reset();
        rig_use(SLOT_D);
        rig_use(SLOT_A);
        if (c->b)
            rig_use(SLOT_B);
        if (c->c)
            rig_use(SLOT_C);
        if (c->x)
            rig_use(SLOT_X0);
        for (size_t m = 0; m < FAB_ARRAY_LEN(masks); m++)
            for (unsigned round = 0; round < ROUNDS; round++) {
                check_once(c, isas[n], fn, masks[m], false);
                if (c->d == c->a)
                    check_once(c, isas[n], fn, masks[m], true);
            }
    }
}

void rig_check_refused(const struct ptx_op *op)
{
    const struct warp_form form = {0};
    unsigned count;
    const struct warp_isa *const *isas = warp_isa_list(&count);

    check_case("refused: %s.%s.%s flags %#x", rig_family(op), rig_type(op->type),
               rig_type(op->type2), op->flags);
    for (unsigned n = 0; n < count; n++)
        CHECK(isas[n]->find(op, &form) == NULL);
}
