/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_dump.c - see ptx_dump.h.
 */
#include "softcuda/ptx/ptx_dump.h"

#include <inttypes.h>
#include <string.h>

#include "softcuda/ptx/ptx_int.h"

enum { OP_TEXT_BYTES = 256 };

/* ---- opcodes ------------------------------------------------------------------------------ */

static void append(char *text, size_t text_bytes, const char *word)
{
    size_t used = strlen(text);

    if (word && used < text_bytes)
        (void)snprintf(text + used, text_bytes - used, ".%s", word);
}

static void append_flags(const struct ptx_op *op, char *text, size_t text_bytes)
{
    for (uint32_t flag = 1; flag; flag <<= 1) {
        if (op->flags & flag)
            append(text, text_bytes,
                   flag == PTX_F_SIGNED2 ? NULL : ptx_modifier_text(PTX_MOD_FLAG, flag));
        if (flag == PTX_F_XORSIGN && (op->flags & flag))
            append(text, text_bytes, "abs");
    }
}

void ptx_op_format(const struct ptx_op *op, char *text, size_t text_bytes)
{
    const struct {
        enum ptx_mod_kind kind;
        uint32_t value; /* 0: nothing to say */
    } fields[] = {
        {PTX_MOD_CMP, op->cmp},     {PTX_MOD_BOOL, op->boolop}, {PTX_MOD_SUB, op->sub},
        {PTX_MOD_ROUND, op->round}, {PTX_MOD_SEM, op->sem},     {PTX_MOD_SCOPE, op->scope},
        {PTX_MOD_SPACE, op->space},
    };

    (void)snprintf(text, text_bytes, "%s", ptx_family_name((enum ptx_family)op->family));
    for (size_t i = 0; i < FAB_ARRAY_LEN(fields); i++) {
        if (fields[i].value)
            append(text, text_bytes, ptx_modifier_text(fields[i].kind, fields[i].value));
    }
    append_flags(op, text, text_bytes);
    if (op->vec > 1)
        append(text, text_bytes, ptx_modifier_text(PTX_MOD_VEC, op->vec));
    if (op->type != PTX_NOTYPE)
        append(text, text_bytes, ptx_type_name((enum ptx_type)op->type));
    if (op->type2 != PTX_NOTYPE)
        append(text, text_bytes, ptx_type_name((enum ptx_type)op->type2));
}

/* ---- operands ----------------------------------------------------------------------------- */

static void dump_offset(int64_t offset, FILE *out)
{
    if (offset)
        (void)fprintf(out, "%+" PRId64, offset);
}

static void dump_address(const struct ptx_operand *o, FILE *out)
{
    if (o->reg != PTX_NONE_INDEX)
        (void)fprintf(out, "[r%d", o->reg);
    else if (o->var)
        (void)fprintf(out, "[%s", o->var->name);
    else
        (void)fputs("[0", out);
    dump_offset(o->offset, out);
    (void)fputc(']', out);
}

static void dump_constant(const struct ptx_operand *o, FILE *out)
{
    if (o->imm_type == PTX_F32)
        (void)fprintf(out, "0f%08" PRIX64, o->imm);
    else if (o->imm_type == PTX_F64)
        (void)fprintf(out, "0d%016" PRIX64, o->imm);
    else
        (void)fprintf(out, "%" PRId64, (int64_t)o->imm);
}

static void dump_operand(const struct ptx_operand *o, FILE *out)
{
    if (o->negate)
        (void)fputc('!', out);
    switch (o->kind) {
    case PTX_OPERAND_NONE:
        (void)fputc('_', out);
        return;
    case PTX_OPERAND_REG:
        (void)fprintf(out, "r%d", o->reg);
        return;
    case PTX_OPERAND_IMM:
        dump_constant(o, out);
        return;
    case PTX_OPERAND_SREG:
        (void)fputs(ptx_sreg_name((enum ptx_sreg)o->sreg), out);
        return;
    case PTX_OPERAND_SYMBOL:
        (void)fputs(o->var->name, out);
        dump_offset(o->offset, out);
        return;
    case PTX_OPERAND_ADDR:
        dump_address(o, out);
        return;
    case PTX_OPERAND_VEC:
        for (uint32_t i = 0; i < o->elem_count; i++) {
            (void)fputc(i ? ',' : '{', out);
            dump_operand(&o->elems[i], out);
        }
        (void)fputc('}', out);
        return;
    case PTX_OPERAND_LABEL:
        (void)fprintf(out, "L%d", o->label);
        return;
    case PTX_OPERAND_FUNC:
        (void)fputs(o->symbol, out);
        return;
    }
}

static void dump_operands(const struct ptx_operand *operands, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)fputs(i ? ", " : " ", out);
        dump_operand(&operands[i], out);
    }
}

static void dump_call(const struct ptx_call *call, FILE *out)
{
    if (call->ret_count) {
        dump_operands(call->rets, call->ret_count, out);
        (void)fputs(" =", out);
    }
    (void)fputc(' ', out);
    dump_operand(&call->callee, out);
    (void)fputs(" (", out);
    dump_operands(call->args, call->arg_count, out);
    (void)fputs(" )", out);
}

void ptx_insn_dump(const struct ptx_insn *insn, FILE *out)
{
    char text[OP_TEXT_BYTES];

    if (insn->guard_reg != PTX_NONE_INDEX)
        (void)fprintf(out, "@%sr%d ", insn->guard_negate ? "!" : "", insn->guard_reg);
    ptx_op_format(&insn->op, text, sizeof(text));
    (void)fputs(text, out);
    if (insn->call) {
        dump_call(insn->call, out);
        return;
    }
    dump_operands(insn->operands, insn->dst_count, out);
    if (insn->dst_count)
        (void)fputs(" =", out);
    if (insn->operand_count > insn->dst_count)
        dump_operands(insn->operands + insn->dst_count,
                      (uint32_t)insn->operand_count - insn->dst_count, out);
    for (uint32_t i = 0; i < insn->target_count; i++)
        (void)fprintf(out, " L%d", insn->targets[i]);
}

/* ---- declarations ------------------------------------------------------------------------- */

static void dump_var(const struct ptx_var *var, FILE *out)
{
    static const char *const spaces[] = {
        [PTX_SPACE_GENERIC] = "generic", [PTX_SPACE_REG] = "reg",
        [PTX_SPACE_GLOBAL] = "global",   [PTX_SPACE_CONST] = "const",
        [PTX_SPACE_SHARED] = "shared",   [PTX_SPACE_LOCAL] = "local",
        [PTX_SPACE_PARAM] = "param",
    };

    (void)fprintf(out, "%s %s %s align %u bytes %" PRIu64, spaces[var->space], var->name,
                  ptx_type_name(var->type), var->align, var->bytes);
    (void)fprintf(out, "%s%s%s%s%s\n", var->is_extern ? " extern" : "",
                  var->is_visible ? " visible" : "", var->is_weak ? " weak" : "",
                  var->is_managed ? " managed" : "", var->is_pointer ? " pointer" : "");
    for (uint64_t i = 0; var->init && i < var->bytes; i++)
        (void)fprintf(out, "%s%02x%s", i % 32 ? " " : "    ", var->init[i],
                      i % 32 == 31 || i + 1 == var->bytes ? "\n" : "");
    for (uint32_t i = 0; i < var->reloc_count; i++)
        (void)fprintf(out, "    at %" PRIu64 ": %u bytes of (%s%s%+" PRId64 ") >> %u\n",
                      var->relocs[i].offset, var->relocs[i].bytes,
                      var->relocs[i].generic ? "generic " : "", var->relocs[i].symbol,
                      var->relocs[i].addend, var->relocs[i].shift);
}

static void dump_body(const struct ptx_function *f, FILE *out)
{
    for (uint32_t i = 0; i < f->local_count; i++) {
        (void)fputs("  ", out);
        dump_var(f->locals[i], out);
    }
    for (uint32_t i = 0; i < f->reg_count; i++)
        (void)fprintf(out, "%s r%u %s%s", i % 8 ? "" : " ", i, ptx_type_name(f->regs[i].type),
                      i % 8 == 7 || i + 1 == f->reg_count ? "\n" : "");
    for (uint32_t i = 0; i <= f->insn_count; i++) {
        for (uint32_t l = 0; l < f->label_count; l++) {
            if (f->labels[l].insn == i)
                (void)fprintf(out, "  L%u: %s\n", l, f->labels[l].name);
        }
        if (i == f->insn_count)
            break;
        (void)fprintf(out, "  %5u: ", f->insns[i].line);
        ptx_insn_dump(&f->insns[i], out);
        (void)fputc('\n', out);
    }
}

void ptx_function_dump(const struct ptx_function *f, FILE *out)
{
    (void)fprintf(out, "%s %s%s%s%s%s\n", f->is_entry ? "entry" : "func", f->name,
                  f->is_extern ? " extern" : "", f->is_visible ? " visible" : "",
                  f->is_weak ? " weak" : "", f->is_noreturn ? " noreturn" : "");
    if (f->maxntid[0] || f->reqntid[0] || f->min_blocks_per_sm || f->max_regs)
        (void)fprintf(out, "  maxntid %u,%u,%u reqntid %u,%u,%u minblocks %u maxregs %u\n",
                      f->maxntid[0], f->maxntid[1], f->maxntid[2], f->reqntid[0], f->reqntid[1],
                      f->reqntid[2], f->min_blocks_per_sm, f->max_regs);
    for (uint32_t i = 0; i < f->proto.ret_count; i++) {
        (void)fputs("  returns ", out);
        dump_var(f->proto.rets[i], out);
    }
    for (uint32_t i = 0; i < f->proto.param_count; i++) {
        if (f->is_entry)
            (void)fprintf(out, "  at %u: ", f->param_offset[i]);
        else
            (void)fputs("  takes ", out);
        dump_var(f->proto.params[i], out);
    }
    if (f->is_parsed)
        dump_body(f, out);
}

void ptx_module_dump(const struct ptx_module *module, FILE *out)
{
    (void)fprintf(out, "version %u.%u target %u", module->version_major, module->version_minor,
                  module->target);
    if (module->target_suffix)
        (void)fputc(module->target_suffix, out);
    (void)fprintf(out, " address %u\n", module->address_bits);
    for (uint32_t i = 0; i < module->var_count; i++)
        dump_var(module->vars[i], out);
    for (uint32_t i = 0; i < module->function_count; i++)
        ptx_function_dump(module->functions[i], out);
}
