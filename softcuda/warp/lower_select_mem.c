/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_select_mem.c - instructions with an address: ld, st, atom, cp.async and kin.
 *
 * A load of an entry's parameter at a constant place is a value of the block page and costs
 * nothing; any other parameter access is plain memory. Layout of operands: warp_int.h.
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

static bool is_load(const struct ptx_op *op)
{
    return op->family == PTX_LD || op->family == PTX_LDU;
}

static void load_param(struct lower *l, const struct ptx_insn *in, uint32_t offset)
{
    const struct ptx_operand *d = &in->operands[0];
    bool is_vector = d->kind == PTX_OPERAND_VEC;
    uint32_t count = is_vector ? d->elem_count : 1;
    enum ptx_type type = (enum ptx_type)in->op.type;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t reg = lower_destination(l, is_vector ? &d->elems[i] : d);
        uint8_t width = lower_operand_width(l, reg, lower_type_width(type));

        if (reg == WARP_NO_OPERAND)
            continue;
        if (width > 8) {
            lower_fail(l, FAB_ERR_UNSUPPORTED, "ld.param of 128 bits");
            return;
        }
        lower_add_move(l, reg, lower_param(l, offset + i * ptx_type_bytes(type), type, width),
                       width);
    }
}

/* The second address of an instruction has no place for an offset. */
static uint32_t plain_address(struct lower *l, const struct lower_address *address)
{
    const struct ptx_op op = {.family = PTX_ADD, .type = PTX_S64};
    const struct ptx_op op32 = {.family = PTX_ADD, .type = PTX_S32};
    bool is_narrow = address->flags & WARP_I_ADDR32;
    uint8_t width = is_narrow ? 4 : 8;
    uint32_t d;
    struct lower_insn *in;

    if (address->base == WARP_NO_OPERAND)
        return lower_const(l, width, (uint64_t)address->offset);
    if (address->offset == 0)
        return address->base;
    d = lower_reg_new(l, width);
    in = lower_add(l, is_narrow ? &op32 : &op);
    if (in) {
        in->d = d;
        in->a = address->base;
        in->b = lower_const(l, width, (uint64_t)address->offset);
    }
    return d;
}

enum { SOURCES_MAX = 12 };

struct memory_operands {
    uint32_t sources[SOURCES_MAX], count;
    uint32_t ext[SOURCES_MAX], ext_count, ext_defs;
    uint32_t d, e;
    struct lower_address address;
    bool has_address;
};

static void take_address(struct lower *l, const struct ptx_insn *in,
                         const struct ptx_operand *operand, struct memory_operands *m)
{
    struct lower_address address = lower_address(l, operand, (enum ptx_space)in->op.space);

    if (m->has_address) {
        m->sources[m->count++] = plain_address(l, &address);
        return;
    }
    m->has_address = true;
    m->address = address;
    m->sources[m->count++] = address.base;
}

static void take_source(struct lower *l, const struct ptx_insn *in,
                        const struct ptx_operand *operand, struct memory_operands *m)
{
    uint32_t index = m->count;

    if (operand->kind == PTX_OPERAND_ADDR) {
        take_address(l, in, operand, m);
    } else if (operand->kind == PTX_OPERAND_VEC) {
        m->sources[m->count++] = lower_source(l, &operand->elems[0], (enum ptx_type)in->op.type);
        for (uint32_t i = 1; i < operand->elem_count; i++)
            m->ext[m->ext_count++] =
                lower_source(l, &operand->elems[i], (enum ptx_type)in->op.type);
    } else {
        m->sources[m->count++] = lower_source(l, operand, lower_source_type(&in->op, index));
    }
}

static void take_destinations(struct lower *l, const struct ptx_insn *in, struct memory_operands *m)
{
    const struct ptx_operand *d = &in->operands[0];

    if (in->dst_count == 0)
        return;
    if (d->kind != PTX_OPERAND_VEC) {
        m->d = lower_destination(l, d);
        if (in->dst_count > 1)
            m->e = lower_destination(l, &in->operands[1]);
        return;
    }
    m->d = lower_destination(l, &d->elems[0]);
    for (uint32_t i = 1; i < d->elem_count; i++)
        m->ext[m->ext_count++] = lower_destination(l, &d->elems[i]);
    m->ext_defs = m->ext_count;
}

static void add_memory(struct lower *l, const struct ptx_insn *in, const struct memory_operands *m)
{
    struct lower_insn *out = lower_add(l, &in->op);
    uint32_t beyond = m->count > 3 ? m->count - 3 : 0;

    if (!out)
        return;
    out->op.space = (uint8_t)m->address.space;
    out->d = m->d;
    out->e = m->e;
    out->a = m->count > 0 ? m->sources[0] : WARP_NO_OPERAND;
    out->b = m->count > 1 ? m->sources[1] : WARP_NO_OPERAND;
    out->c = m->count > 2 ? m->sources[2] : WARP_NO_OPERAND;
    out->imm = m->address.offset;
    out->flags = m->address.flags;
    out->ext_count = (uint16_t)(m->ext_count + beyond);
    out->ext_defs = (uint8_t)m->ext_defs;
    out->ext = lower_alloc(l, out->ext_count, sizeof(*out->ext));
    if (!out->ext)
        return;
    memcpy(out->ext, m->ext, m->ext_count * sizeof(*m->ext));
    memcpy(out->ext + m->ext_count, m->sources + 3, beyond * sizeof(*m->ext));
    if (is_load(&in->op))
        out->dst_bytes = lower_operand_width(l, out->d, 0);
    if (in->op.family == PTX_CP_ASYNC)
        out->source_count = (uint8_t)m->count;
    if (in->op.family == PTX_ST)
        out->src_bytes = lower_operand_width(l, out->b, 0);
}

void lower_memory(struct lower *l, const struct ptx_insn *in)
{
    struct memory_operands m = {.d = WARP_NO_OPERAND, .e = WARP_NO_OPERAND};
    uint32_t offset;

    if (is_load(&in->op) &&
        lower_address_is_param(l, &in->operands[1], (enum ptx_space)in->op.space, &offset)) {
        load_param(l, in, offset);
        return;
    }
    m.address.space = (enum ptx_space)in->op.space;
    take_destinations(l, in, &m);
    for (uint32_t i = in->dst_count; i < in->operand_count && l->status == FAB_OK; i++) {
        if (m.count + 1 >= SOURCES_MAX || m.ext_count + 8 >= SOURCES_MAX) {
            lower_fail(l, FAB_ERR_UNSUPPORTED, "too many operands");
            return;
        }
        take_source(l, in, &in->operands[i], &m);
    }
    if (l->status == FAB_OK)
        add_memory(l, in, &m);
}
