/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_operand.c - what an operand of the text is at run time.
 *
 * A register stays a virtual register; immediates, addresses of variables and special registers
 * become constants or values of a page. Source: PTX ISA 9.0, "Operands", "Special Registers".
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

uint8_t lower_type_width(enum ptx_type type)
{
    uint32_t bytes = ptx_type_bytes(type);

    return bytes == 1 ? 2 : (uint8_t)bytes;
}

uint32_t lower_reg_new(struct lower *l, uint8_t width)
{
    if (!lower_room(l, &l->regs, l->reg_count, &l->reg_room, sizeof(*l->regs)))
        return WARP_NO_OPERAND;
    l->regs[l->reg_count] = (struct lower_reg){.width = width, .alias = WARP_NO_OPERAND};
    return warp_operand(WARP_BASE_FRAME, l->reg_count++);
}

uint8_t lower_operand_width(const struct lower *l, uint32_t operand, uint8_t otherwise)
{
    if (operand == WARP_NO_OPERAND || (operand & 3u) != WARP_BASE_FRAME)
        return otherwise;
    return l->regs[operand >> 2].width;
}

/* The type of an immediate as source number `index`; registers have their own. */
enum ptx_type lower_source_type(const struct ptx_op *op, uint32_t index)
{
    enum ptx_type type = (enum ptx_type)op->type;
    enum ptx_type type2 = op->type2 ? (enum ptx_type)op->type2 : type;

    switch ((int)op->family) {
    case PTX_SHL:
    case PTX_SHR:
    case PTX_BFE:
        return index == 0 ? type : PTX_U32;
    case PTX_BFI:
        return index < 2 ? type : PTX_U32;
    case PTX_MAD:
        if (op->sub == PTX_SUB_WIDE && index == 2)
            return ptx_type_bytes(type) == 2 ? PTX_U32 : PTX_U64;
        return type;
    case PTX_SET:
        return index == 2 ? PTX_PRED : type2;
    case PTX_SETP:
    case PTX_SELP:
        return index == 2 ? PTX_PRED : type;
    case PTX_SLCT:
        return index == 2 ? type2 : type;
    case PTX_CVT:
        return type2;
    case PTX_VOTE:
        return index == 0 ? PTX_PRED : PTX_U32;
    case PTX_MATCH:
        return index == 0 ? type : PTX_U32;
    case PTX_SHFL:
    case PTX_REDUX:
    case PTX_CP_ASYNC:
    case PTX_NANOSLEEP:
    case PTX_DP4A:
    case PTX_DP2A:
    case PTX_FNS:
    case PTX_BMSK:
    case PTX_ELECT:
    case PTX_BAR:
    case PTX_BARRIER:
    case PTX_BRX:
    case PTX_GETCTARANK:
        return PTX_U32;
    case PTX_MBARRIER:
        /* [address], count or parity; test_wait: a 64-bit state. try_wait has a time limit. */
        if ((op->sub == PTX_SUB_TEST_WAIT || op->sub == PTX_SUB_TRY_WAIT) && index == 1)
            return op->flags & PTX_F_PARITY ? PTX_U32 : PTX_U64;
        return op->sub == PTX_SUB_PENDING_COUNT ? PTX_U64 : PTX_U32;
    default:
        return type;
    }
}

static uint64_t immediate_bits(const struct ptx_operand *operand, enum ptx_type type)
{
    uint64_t bits = operand->imm;
    double wide;
    float narrow;
    uint32_t bits32;

    if (operand->imm_type == PTX_F64 && (type == PTX_F32 || type == PTX_TF32)) {
        memcpy(&wide, &bits, sizeof(wide));
        narrow = (float)wide;
        memcpy(&bits32, &narrow, sizeof(bits32));
        return bits32;
    }
    if (operand->imm_type == PTX_F32 && type == PTX_F64) {
        bits32 = (uint32_t)bits;
        memcpy(&narrow, &bits32, sizeof(narrow));
        wide = narrow;
        memcpy(&bits, &wide, sizeof(bits));
    }
    return bits;
}

static uint32_t negated(struct lower *l, uint32_t predicate)
{
    const struct ptx_op op = {.family = PTX_NOT, .type = PTX_PRED};
    uint32_t d = lower_reg_new(l, 0);
    struct lower_insn *in = lower_add(l, &op);

    if (in) {
        in->d = d;
        in->a = predicate;
    }
    return d;
}

/* frame base + offset, in a called function; a constant in an entry, whose frame begins at 0. */
static uint32_t local_address(struct lower *l, uint64_t offset, uint8_t width)
{
    const struct ptx_op op = {.family = PTX_ADD, .type = PTX_S64};
    uint32_t d;
    struct lower_insn *in;

    if (l->function->is_entry)
        return lower_const(l, width, offset);
    d = lower_reg_new(l, 8);
    in = lower_add(l, &op);
    if (in) {
        in->d = d;
        in->a = l->frame_reg;
        in->b = lower_const(l, 8, offset);
    }
    return d;
}

static bool entry_param(const struct lower *l, const struct ptx_var *var, uint32_t *offset_out)
{
    const struct ptx_prototype *proto = &l->function->proto;

    for (uint32_t i = 0; l->function->is_entry && i < proto->param_count; i++)
        if (proto->params[i] == var) {
            *offset_out = l->function->param_offset[i];
            return true;
        }
    return false;
}

/* The constant part of a variable's address. GLOBAL and CONST: the host address. */
static bool variable_base(struct lower *l, const struct ptx_var *var, uint64_t *base_out)
{
    uint32_t offset = 0;
    uint64_t address;

    switch (var->space) {
    case PTX_SPACE_SHARED:
        if (var->bytes == 0)
            offset = l->program->dynamic_shared_offset;
        else if (!lower_window_find(&l->shared, var, &offset))
            break;
        *base_out = offset;
        return true;
    case PTX_SPACE_LOCAL:
    case PTX_SPACE_PARAM:
        if (!lower_window_find(&l->local, var, &offset))
            break;
        *base_out = offset;
        return true;
    case PTX_SPACE_GLOBAL:
    case PTX_SPACE_CONST:
        address = l->link->var_address ? l->link->var_address(l->link->arg, var) : 0;
        if (!address)
            break;
        *base_out = address;
        return true;
    case PTX_SPACE_GENERIC:
    case PTX_SPACE_REG:
        break;
    }
    lower_fail(l, FAB_ERR_FORMAT, "%s has no address here", var->name);
    return false;
}

static uint32_t variable_address(struct lower *l, const struct ptx_operand *operand, uint8_t width)
{
    const struct ptx_var *var = operand->var;
    uint32_t param;
    uint64_t base;

    if (entry_param(l, var, &param))
        return lower_param_address(l, param + (uint32_t)operand->offset);
    if (!variable_base(l, var, &base))
        return WARP_NO_OPERAND;
    base += (uint64_t)operand->offset;
    if (var->space == PTX_SPACE_LOCAL || var->space == PTX_SPACE_PARAM)
        return local_address(l, base, width);
    return lower_const(l, width, base);
}

static uint32_t function_handle(struct lower *l, const struct ptx_operand *operand)
{
    uint64_t handle = 0;

    if (l->link->function_handle)
        handle = l->link->function_handle(l->link->arg, operand->symbol);
    if (!handle)
        lower_fail(l, FAB_ERR_UNSUPPORTED, "the address of function %s", operand->symbol);
    return lower_const(l, 8, handle);
}

/* `type` is that of the instruction at this place; a register keeps its own width. */
uint32_t lower_source(struct lower *l, const struct ptx_operand *operand, enum ptx_type type)
{
    uint8_t width = lower_type_width(type);
    uint32_t reg;

    switch (operand->kind) {
    case PTX_OPERAND_REG:
        reg = warp_operand(WARP_BASE_FRAME, (uint32_t)operand->reg);
        return operand->negate ? negated(l, reg) : reg;
    case PTX_OPERAND_IMM:
        return lower_const(l, width, immediate_bits(operand, type));
    case PTX_OPERAND_SREG:
        if (lower_sreg_is_dynamic((enum ptx_sreg)operand->sreg)) {
            lower_fail(l, FAB_ERR_UNSUPPORTED, "a clock as operand of something but mov");
            return WARP_NO_OPERAND;
        }
        return lower_sreg(l, (enum ptx_sreg)operand->sreg, width);
    case PTX_OPERAND_SYMBOL:
        return variable_address(l, operand, width ? width : 8);
    case PTX_OPERAND_FUNC:
        return function_handle(l, operand);
    case PTX_OPERAND_NONE:
        return WARP_NO_OPERAND;
    case PTX_OPERAND_ADDR:
    case PTX_OPERAND_VEC:
    case PTX_OPERAND_LABEL:
        break;
    }
    lower_fail(l, FAB_ERR_FORMAT, "an operand of a kind that does not belong here");
    return WARP_NO_OPERAND;
}

uint32_t lower_destination(struct lower *l, const struct ptx_operand *operand)
{
    if (operand->kind == PTX_OPERAND_NONE)
        return WARP_NO_OPERAND;
    if (operand->kind == PTX_OPERAND_REG)
        return warp_operand(WARP_BASE_FRAME, (uint32_t)operand->reg);
    lower_fail(l, FAB_ERR_FORMAT, "a destination that is not a register");
    return WARP_NO_OPERAND;
}

bool lower_address_is_param(const struct lower *l, const struct ptx_operand *operand,
                            enum ptx_space space, uint32_t *offset_out)
{
    uint32_t offset;

    if (space != PTX_SPACE_PARAM || !operand->var || !entry_param(l, operand->var, &offset) ||
        operand->reg != PTX_NONE_INDEX)
        return false;
    *offset_out = offset + (uint32_t)operand->offset;
    return *offset_out < l->function->param_bytes;
}

/* Parameters of an entry lie in host memory; those of a called function in its local frame. */
static enum ptx_space param_space(const struct lower *l, const struct ptx_operand *operand)
{
    uint32_t offset;

    if (operand->var && operand->var->space == PTX_SPACE_PARAM)
        return entry_param(l, operand->var, &offset) ? PTX_SPACE_GLOBAL : PTX_SPACE_LOCAL;
    return l->function->is_entry ? PTX_SPACE_GLOBAL : PTX_SPACE_LOCAL;
}

static void variable_in_address(struct lower *l, const struct ptx_operand *operand,
                                struct lower_address *address)
{
    uint32_t param;
    uint64_t base;

    if (entry_param(l, operand->var, &param)) {
        address->base = lower_param_address(l, param);
    } else if (variable_base(l, operand->var, &base)) {
        address->offset += (int64_t)base;
        if (!l->function->is_entry &&
            (operand->var->space == PTX_SPACE_LOCAL || operand->var->space == PTX_SPACE_PARAM))
            address->base = l->frame_reg;
    }
}

struct lower_address lower_address(struct lower *l, const struct ptx_operand *operand,
                                   enum ptx_space space)
{
    struct lower_address address = {
        .base = WARP_NO_OPERAND, .offset = operand->offset, .space = space};

    if (space == PTX_SPACE_PARAM)
        address.space = param_space(l, operand);
    if (operand->kind != PTX_OPERAND_ADDR) {
        lower_fail(l, FAB_ERR_FORMAT, "an address is missing");
    } else if (operand->var && operand->reg != PTX_NONE_INDEX) {
        lower_fail(l, FAB_ERR_UNSUPPORTED, "an address of a variable and a register");
    } else if (operand->var) {
        variable_in_address(l, operand, &address);
    } else if (operand->reg != PTX_NONE_INDEX) {
        address.base = warp_operand(WARP_BASE_FRAME, (uint32_t)operand->reg);
        if (l->regs[operand->reg].width == 4)
            address.flags = WARP_I_ADDR32;
    }
    return address;
}
