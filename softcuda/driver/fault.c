/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/fault.c - what a kernel's fault means for CUDA, and the report on request.
 */
#include "softcuda/driver/launch.h"
#include "softcuda/driver/trace.h"

static const struct {
    CUresult result;
    const char *text;
} faults[] = {
    [WARP_FAULT_ILLEGAL_ADDRESS] = {CUDA_ERROR_ILLEGAL_ADDRESS, "illegal address"},
    [WARP_FAULT_MISALIGNED] = {CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"},
    [WARP_FAULT_TRAP] = {CUDA_ERROR_LAUNCH_FAILED, "trap"},
    [WARP_FAULT_ASSERT] = {CUDA_ERROR_ASSERT, "assertion"},
    [WARP_FAULT_TIMEOUT] = {CUDA_ERROR_LAUNCH_TIMEOUT, "the kernel hangs or was cancelled"},
    [WARP_FAULT_STACK] = {CUDA_ERROR_HARDWARE_STACK_ERROR, "stack or local memory exceeded"},
    [WARP_FAULT_ILLEGAL_INSTRUCTION] = {CUDA_ERROR_ILLEGAL_INSTRUCTION, "illegal instruction"},
    [WARP_FAULT_SHARED_RANGE] = {CUDA_ERROR_ILLEGAL_ADDRESS, "outside of shared or local memory"},
};

CUresult soft_fault_result(enum warp_fault_kind kind)
{
    return (unsigned)kind < FAB_ARRAY_LEN(faults) ? faults[kind].result : CUDA_ERROR_LAUNCH_FAILED;
}

void soft_fault_report(const struct warp_outcome *outcome)
{
    if (!soft_report_wanted())
        return;
    cuc_say(CU_LOG_LEVEL_ERROR,
            "softcuda: kernel %s: %s 0x%llx, PTX line %u, block (%u,%u,%u), thread (%u,%u,%u)",
            outcome->kernel ? outcome->kernel : "?",
            (unsigned)outcome->kind < FAB_ARRAY_LEN(faults) ? faults[outcome->kind].text : "fault",
            (unsigned long long)outcome->address, outcome->line, outcome->block[0],
            outcome->block[1], outcome->block[2], outcome->thread[0], outcome->thread[1],
            outcome->thread[2]);
}
