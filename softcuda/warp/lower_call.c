/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_call.c - calls: parameters as copies between local frames and registers.
 *
 * Caller and callee never share parameter memory: the call copies the arguments of the lanes that
 * go, ret copies the results of the lanes that come back. Source: PTX ISA 9.0, "call".
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

#include "softcuda/warp/exec_ops_int.h"

/* Device functions that every toolkit declares and no module defines. */
struct builtin {
    const char *name;
    warp_fn fn; /* NULL: known, and not supported */
    uint32_t param_count;
};

static const struct builtin builtins[] = {
    {"vprintf", warp_op_vprintf, 2},
    {"__assertfail", warp_op_assertfail, 5},
    {"malloc", NULL, 1},
    {"free", NULL, 1},
};

static const struct builtin *builtin_find(const char *name)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(builtins); i++)
        if (strcmp(builtins[i].name, name) == 0)
            return &builtins[i];
    return NULL;
}

/* Where the caller has it. Registers are numbered by their place in the instruction's ext. */
static bool copy_of(struct lower *l, const struct ptx_operand *operand, uint32_t *ext,
                    uint32_t *ext_count, struct warp_copy *copy)
{
    *copy = (struct warp_copy){.operand = WARP_NO_OPERAND};
    if (operand->kind == PTX_OPERAND_SYMBOL && operand->var &&
        operand->var->space == PTX_SPACE_PARAM) {
        uint32_t offset;

        if (!lower_window_find(&l->local, operand->var, &offset)) {
            lower_fail(l, FAB_ERR_FORMAT, "argument %s is not declared here", operand->var->name);
            return false;
        }
        copy->caller_offset = offset + (uint32_t)operand->offset;
        copy->bytes = (uint32_t)operand->var->bytes;
        return true;
    }
    ext[*ext_count] = lower_source(l, operand, PTX_B64);
    copy->width = lower_operand_width(l, ext[*ext_count], 8);
    copy->bytes = copy->width;
    copy->operand = (*ext_count)++;
    return true;
}

static void bind_formals(struct lower *l, struct warp_copy *copies, uint32_t count,
                         const struct ptx_var *const *formals, const uint32_t *offsets)
{
    for (uint32_t i = 0; i < count; i++) {
        if (formals[i]->space != PTX_SPACE_PARAM) {
            lower_fail(l, FAB_ERR_UNSUPPORTED, "a function with .reg parameters");
            return;
        }
        copies[i].callee_offset = offsets[i];
        if (formals[i]->bytes < copies[i].bytes)
            copies[i].bytes = (uint32_t)formals[i]->bytes;
    }
}

static void bind_callee(struct lower *l, struct warp_call *call, const char *name)
{
    const struct warp_code *code = lower_code_find(l, name);
    const struct ptx_prototype *proto;

    if (!code) {
        lower_fail(l, FAB_ERR_UNSUPPORTED, "call of %s, which this module does not define", name);
        return;
    }
    proto = &code->function->proto;
    if (proto->ret_count != call->ret_count || proto->param_count != call->arg_count) {
        lower_fail(l, FAB_ERR_FORMAT, "call of %s with other parameters than it has", name);
        return;
    }
    bind_formals(l, call->rets, call->ret_count, proto->rets, code->ret_offset);
    bind_formals(l, call->args, call->arg_count, proto->params, code->param_offset);
    call->callee = code;
}

static warp_fn bind(struct lower *l, struct warp_call *call, const char *name)
{
    const struct builtin *builtin = lower_code_find(l, name) ? NULL : builtin_find(name);

    if (!builtin) {
        bind_callee(l, call, name);
        return warp_op_call;
    }
    if (!builtin->fn)
        lower_fail(l, FAB_ERR_UNSUPPORTED, "%s in device code", name);
    else if (builtin->param_count != call->arg_count)
        lower_fail(l, FAB_ERR_FORMAT, "call of %s with %u parameters", name, call->arg_count);
    return builtin->fn;
}

void lower_call(struct lower *l, const struct ptx_insn *in)
{
    const struct ptx_call *from = in->call;
    struct warp_call *call = lower_alloc(l, 1, sizeof(*call));
    uint32_t *ext = lower_alloc(l, from->ret_count + from->arg_count, sizeof(*ext));
    uint32_t ext_count = 0, ext_defs;
    struct lower_insn *out;
    warp_fn fn;

    if (!call || !ext)
        return;
    if (from->callee.kind != PTX_OPERAND_FUNC) {
        lower_fail(l, FAB_ERR_UNSUPPORTED, "an indirect call");
        return;
    }
    call->rets = lower_alloc(l, from->ret_count, sizeof(*call->rets));
    call->args = lower_alloc(l, from->arg_count, sizeof(*call->args));
    if (!call->rets || !call->args)
        return;
    call->ret_count = from->ret_count;
    call->arg_count = from->arg_count;
    for (uint32_t i = 0; i < from->ret_count; i++)
        if (!copy_of(l, &from->rets[i], ext, &ext_count, &call->rets[i]))
            return;
    ext_defs = ext_count;
    for (uint32_t i = 0; i < from->arg_count; i++)
        if (!copy_of(l, &from->args[i], ext, &ext_count, &call->args[i]))
            return;
    fn = bind(l, call, from->callee.symbol);
    out = lower_add(l, &in->op);
    if (!out)
        return;
    out->fn = fn;
    out->aux = call;
    out->ext = ext;
    out->ext_count = (uint16_t)ext_count;
    out->ext_defs = (uint8_t)ext_defs;
}
