/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/lower_scan.c - what a program consists of: functions, shared variables, frames.
 *
 * Runs before anything is lowered, because dynamic shared memory begins after the last static
 * variable of all functions, and a call needs the parameter layout of its callee.
 */
#include "softcuda/warp/lower_int.h"

#include <string.h>

enum {
    RESERVED_SHARED_BYTES = 1024, /* the system's part, PTX ISA %reserved_smem_offset_* */
    DYNAMIC_SHARED_ALIGN = 16,
    LOCAL_ALIGN = 16,
};

static uint32_t align_up(uint32_t bytes, uint32_t align)
{
    return align ? (bytes + align - 1) & ~(align - 1) : bytes;
}

bool lower_window_find(const struct lower_window *window, const struct ptx_var *var,
                       uint32_t *offset_out)
{
    for (uint32_t i = 0; i < window->count; i++)
        if (window->vars[i].var == var) {
            *offset_out = window->vars[i].offset;
            return true;
        }
    return false;
}

static void window_add(struct lower *l, struct lower_window *window, const struct ptx_var *var)
{
    uint64_t end;

    if (!lower_room(l, &window->vars, window->count, &window->room, sizeof(*window->vars)))
        return;
    window->bytes = align_up(window->bytes, var->align);
    end = window->bytes + var->bytes;
    if (end > INT32_MAX) {
        lower_fail(l, FAB_ERR_LIMIT, "variable %s is too large", var->name);
        return;
    }
    window->vars[window->count++] = (struct lower_var){.var = var, .offset = window->bytes};
    window->bytes = (uint32_t)end;
}

struct warp_code *lower_code_find(struct lower *l, const char *name)
{
    for (struct warp_code *code = l->program->code; code; code = code->next)
        if (strcmp(code->name, name) == 0)
            return code;
    return NULL;
}

static const uint32_t *layout_params(struct lower *l, const struct ptx_var *const *vars,
                                     uint32_t count, uint32_t *bytes)
{
    uint32_t *offset = lower_alloc(l, count, sizeof(*offset));

    for (uint32_t i = 0; offset && i < count; i++) {
        *bytes = align_up(*bytes, vars[i]->align);
        offset[i] = *bytes;
        *bytes += (uint32_t)vars[i]->bytes;
    }
    return offset;
}

static struct warp_code *add_code(struct lower *l, struct ptx_function *function)
{
    struct warp_code *code = lower_alloc(l, 1, sizeof(*code));
    struct warp_code **last = &l->program->code;

    if (!code)
        return NULL;
    code->function = function;
    code->name = function->name;
    code->frame_offset = WARP_NO_OPERAND;
    if (!function->is_entry) {
        const struct ptx_prototype *proto = &function->proto;

        code->ret_offset = layout_params(l, proto->rets, proto->ret_count, &code->param_area_bytes);
        code->param_offset =
            layout_params(l, proto->params, proto->param_count, &code->param_area_bytes);
    }
    while (*last)
        last = &(*last)->next;
    *last = code;
    return code;
}

static void scan_variable(struct lower *l, const struct ptx_operand *operand, uint32_t *align)
{
    const struct ptx_var *var = operand->var;
    uint32_t offset;

    if (!var || var->space != PTX_SPACE_SHARED)
        return;
    if (var->bytes == 0) {
        if (var->align > *align)
            *align = var->align;
    } else if (!lower_window_find(&l->shared, var, &offset)) {
        window_add(l, &l->shared, var);
    }
}

static void scan_operand(struct lower *l, const struct ptx_operand *operand, uint32_t *align)
{
    if (operand->kind == PTX_OPERAND_SREG && operand->sreg >= PTX_SREG_RESERVED_SMEM_BEGIN &&
        operand->sreg <= PTX_SREG_RESERVED_SMEM_1)
        l->program->reserved_shared_bytes = RESERVED_SHARED_BYTES;
    scan_variable(l, operand, align);
    for (unsigned i = 0; operand->kind == PTX_OPERAND_VEC && i < operand->elem_count; i++)
        scan_variable(l, &operand->elems[i], align);
}

static void scan_callee(struct lower *l, struct warp_code *code, const struct ptx_insn *in)
{
    const struct ptx_operand *callee = &in->call->callee;
    struct ptx_function *function;

    if (callee->kind != PTX_OPERAND_FUNC)
        return; /* refused when its instruction is selected */
    code->calls = true;
    if (lower_code_find(l, callee->symbol))
        return;
    function = ptx_function_find(l->module, callee->symbol);
    if (function && function->body)
        (void)add_code(l, function);
}

static void parse_bodies(struct lower *l)
{
    for (struct warp_code *code = l->program->code; code && l->status == FAB_OK;
         code = code->next) {
        enum fab_status status = ptx_function_parse(l->module, code->function, l->err);

        if (status != FAB_OK) {
            l->status = status;
            return;
        }
        for (uint32_t i = 0; i < code->function->insn_count; i++)
            if (code->function->insns[i].op.family == PTX_CALL)
                scan_callee(l, code, &code->function->insns[i]);
    }
}

/* `reserved`: only look for the system area, whose place is before all variables. */
static void scan_variables(struct lower *l, uint32_t *align)
{
    for (struct warp_code *code = l->program->code; code; code = code->next)
        for (uint32_t i = 0; i < code->function->insn_count; i++) {
            const struct ptx_insn *in = &code->function->insns[i];

            for (uint32_t k = 0; k < in->operand_count; k++)
                scan_operand(l, &in->operands[k], align);
        }
}

void lower_scan(struct lower *l)
{
    uint32_t align = DYNAMIC_SHARED_ALIGN;

    for (unsigned i = 0; i < LOWER_CONST_CHAINS; i++)
        l->const_chain[i] = -1;
    l->line = l->function->line;
    if (!add_code(l, l->function))
        return;
    parse_bodies(l);
    if (l->status != FAB_OK)
        return;
    scan_variables(l, &align);
    if (l->program->reserved_shared_bytes) {
        l->shared.count = 0;
        l->shared.bytes = l->program->reserved_shared_bytes;
        scan_variables(l, &align);
    }
    l->program->dynamic_shared_offset = align_up(l->shared.bytes, align);
}

/* Parameters first (called functions only), then the variables of the body. */
void lower_frame_layout(struct lower *l)
{
    const struct ptx_function *function = l->function;
    const struct ptx_prototype *proto = &function->proto;
    struct lower_window *local = &l->local;

    for (uint32_t i = 0; !function->is_entry && i < proto->ret_count; i++)
        window_add(l, local, proto->rets[i]);
    for (uint32_t i = 0; !function->is_entry && i < proto->param_count; i++)
        window_add(l, local, proto->params[i]);
    for (uint32_t i = 0; i < function->local_count; i++)
        if (function->locals[i]->space == PTX_SPACE_LOCAL ||
            function->locals[i]->space == PTX_SPACE_PARAM)
            window_add(l, local, function->locals[i]);
    /* Module-scope .local variables (rare) are found when they are used. */
    for (uint32_t i = 0; i < l->module->var_count; i++)
        if (l->module->vars[i]->space == PTX_SPACE_LOCAL)
            window_add(l, local, l->module->vars[i]);
    l->code->local_bytes = align_up(local->bytes, LOCAL_ALIGN);
}
