/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/model.c - modelled durations: how long a launch would take on the named GPU.
 *
 * The roofline: a launch takes the longer of its arithmetic at the device's peak and its traffic at
 * the device's bandwidth, and a fixed overhead. Both are counted once per thread from the
 * function's instructions; those inside a loop (between a label and a later branch back to it)
 * count LOOP_ROUNDS times, whatever the nesting. That is an estimate of the right order, the same
 * in every run; it is never used unless the device file asks for modelled time.
 */
#include "softcuda/driver/model.h"

#include <pthread.h>

#include "softcuda/driver/device.h"
#include "softcuda/driver/module.h"
#include "softcuda/ptx/ptx.h"

enum { LOOP_ROUNDS = 16 };
#define NS_PER_S 1e9

static const uint8_t type_bytes[PTX_TYPE_COUNT] = {
#define TYPE_BYTES(name, text, bytes) [PTX_##name] = (bytes),
    PTX_TYPE_LIST(TYPE_BYTES)
#undef TYPE_BYTES
};

static uint64_t flops_of(const struct ptx_op *op)
{
    bool is_float = op->type == PTX_F32 || op->type == PTX_F64 || op->type == PTX_F16 ||
                    op->type == PTX_F16X2 || op->type == PTX_BF16 || op->type == PTX_BF16X2;

    if (!is_float)
        return 0;
    if (op->family == PTX_FMA || op->family == PTX_MAD)
        return 2;
    return op->family == PTX_ADD || op->family == PTX_SUB || op->family == PTX_MUL ||
           op->family == PTX_DIV || op->family == PTX_SQRT || op->family == PTX_RCP ||
           op->family == PTX_RSQRT || op->family == PTX_EX2 || op->family == PTX_LG2 ||
           op->family == PTX_SIN || op->family == PTX_COS;
}

static uint64_t bytes_of(const struct ptx_op *op)
{
    bool is_access = op->family == PTX_LD || op->family == PTX_ST || op->family == PTX_ATOM ||
                     op->family == PTX_RED;
    bool is_memory = op->space == PTX_SPACE_GLOBAL || op->space == PTX_SPACE_GENERIC;

    if (!is_access || !is_memory)
        return 0;
    return (uint64_t)type_bytes[op->type] * (op->vec ? op->vec : 1);
}

/* Whether instruction `at` lies between a label and a later branch back to it. */
static bool is_in_loop(const struct ptx_function *ptx, uint32_t at)
{
    for (uint32_t i = at; i < ptx->insn_count; i++) {
        const struct ptx_insn *insn = &ptx->insns[i];

        if (insn->op.family != PTX_BRA || insn->operand_count == 0 ||
            insn->operands[0].kind != PTX_OPERAND_LABEL)
            continue;
        if (ptx->labels[insn->operands[0].label].insn <= at)
            return true;
    }
    return false;
}

void soft_model_estimate(struct soft_function *function)
{
    const struct ptx_function *ptx = function->ptx;
    function->model_flops = function->model_bytes = 0;
    for (uint32_t i = 0; i < ptx->insn_count; i++) {
        uint64_t flops = flops_of(&ptx->insns[i].op), bytes = bytes_of(&ptx->insns[i].op);
        uint64_t rounds;

        if (flops == 0 && bytes == 0)
            continue;
        rounds = is_in_loop(ptx, i) ? LOOP_ROUNDS : 1;
        function->model_flops += flops * rounds;
        function->model_bytes += bytes * rounds;
    }
}

uint64_t soft_model_duration_ns(const struct device_model *model,
                                const struct soft_function *function, uint64_t threads)
{
    double flops_s = 0, bytes_s = 0;

    if (model->peak_flops_f32 > 0)
        flops_s = (double)function->model_flops * (double)threads / (double)model->peak_flops_f32;
    if (model->peak_bytes_per_s > 0)
        bytes_s = (double)function->model_bytes * (double)threads / (double)model->peak_bytes_per_s;
    return model->launch_overhead_ns +
           (uint64_t)((flops_s > bytes_s ? flops_s : bytes_s) * NS_PER_S);
}

uint64_t soft_model_end_ns(int device_ordinal, uint64_t ready_ns, uint64_t duration_ns)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t busy_until_ns[DEVICE_COUNT_MAX];
    uint64_t end_ns;

    pthread_mutex_lock(&lock);
    end_ns = busy_until_ns[device_ordinal] > ready_ns ? busy_until_ns[device_ordinal] : ready_ns;
    end_ns += duration_ns;
    busy_until_ns[device_ordinal] = end_ns;
    pthread_mutex_unlock(&lock);
    return end_ns;
}
