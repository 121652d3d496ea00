/* SPDX-License-Identifier: Apache-2.0
 * fabricd/agent_check.c - gpu-worker --check and --clear, as children with a deadline.
 *
 * Both print one line if the answer is no. A GPU has one of them at a time; GPUs go side by side.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "fabricd/agent_int.h"

#define CLEAR_LIMIT_NS UINT64_C(60000000000)
enum { NS_PER_S = 1000000000 };

static int run_check(const struct agent *agent, uint32_t device)
{
    return agent_worker_run(agent, "--check", device);
}

static int run_clear(const struct agent *agent, uint32_t device)
{
    return agent_worker_run(agent, "--clear", device);
}

static void set_reason(struct agent_gpu *gpu, const struct agent_child_end *end, const char *what,
                       uint64_t limit_ns)
{
    const int line = (int)strcspn(end->output, "\n");

    gpu->reason[0] = '\0';
    if (end->is_overdue)
        (void)snprintf(gpu->reason, sizeof(gpu->reason), "%s did not end within %" PRIu64 " s",
                       what, limit_ns / NS_PER_S);
    else if (line > 0 && end->status != 0)
        (void)snprintf(gpu->reason, sizeof(gpu->reason), "%s: %.*s", what, line > 150 ? 150 : line,
                       end->output);
    else if (WIFSIGNALED(end->status))
        (void)snprintf(gpu->reason, sizeof(gpu->reason), "%s was killed by signal %d", what,
                       WTERMSIG(end->status));
    else if (end->status != 0)
        (void)snprintf(gpu->reason, sizeof(gpu->reason),
                       "%s ended with status %d and said nothing: see the daemon's log", what,
                       WEXITSTATUS(end->status));
}

void agent_check_tell(const struct agent_gpu *gpu)
{
    struct message message = {.kind = MESSAGE_CHECKED};

    if (gpu->checked_ns == 0 && !gpu->reason[0])
        return;
    agent_copy_text(message.checked.uuid, sizeof(message.checked.uuid), gpu->uuid);
    agent_copy_text(message.checked.reason, sizeof(message.checked.reason), gpu->reason);
    (void)agent_tell(gpu->agent, &message); /* the next report says it again */
}

static void on_checked(void *user, const struct agent_child_end *end)
{
    struct agent_gpu *gpu = user;

    gpu->child = NULL;
    gpu->checked_ns = agent_now_ns(gpu->agent);
    set_reason(gpu, end, "the check", gpu->agent->settings->check_limit_ns);
    if (gpu->reason[0])
        fab_log_warn(&gpu->agent->log, "a GPU failed its check", "gpu %s why %s", gpu->uuid,
                     gpu->reason);
    if (gpu->agent->is_offered)
        agent_check_tell(gpu);
}

void agent_check_start(struct agent_gpu *gpu)
{
    struct fab_err err = {0};

    if (gpu->child || agent_child_start(gpu->agent, gpu->agent->settings->check_limit_ns, run_check,
                                        gpu->index, on_checked, gpu, &gpu->child, &err) == FAB_OK)
        return;
    gpu->checked_ns = agent_now_ns(gpu->agent);
    (void)snprintf(gpu->reason, sizeof(gpu->reason), "the check did not start: %.120s", err.text);
}

bool agent_check_is_fresh(const struct agent_gpu *gpu, uint64_t since_ns, uint64_t now_ns)
{
    return gpu->checked_ns != 0 && (gpu->checked_ns >= since_ns ||
                                    now_ns - gpu->checked_ns < gpu->agent->settings->check_age_ns);
}

static void on_cleared(void *user, const struct agent_child_end *end)
{
    struct agent_gpu *gpu = user;
    struct agent_fence *fence = agent_fence_of(gpu->agent, gpu->uuid);
    const bool had_failed = gpu->reason[0] != '\0'; /* and the manager knows */
    struct fab_err err = {0};

    gpu->child = NULL;
    set_reason(gpu, end, "clearing its memory", CLEAR_LIMIT_NS);
    if (!gpu->reason[0] && fence) {
        const uint64_t dirty = fence->dirty;

        fence->dirty = 0;
        if (agent_fences_save(gpu->agent, &err) == FAB_OK) {
            if (had_failed)
                gpu->checked_ns = 0;
            gpu->again_ns = 0;
            gpu->agent->is_changed = true;
            agent_meter_cleared(gpu);
            return;
        }
        fence->dirty = dirty;
        agent_copy_text(gpu->reason, sizeof(gpu->reason), err.text);
    }
    /* It is nobody's until that works. */
    fab_log_error(&gpu->agent->log, "a GPU was not cleared", "gpu %s why %s", gpu->uuid,
                  gpu->reason);
    if (gpu->agent->is_offered)
        agent_check_tell(gpu);
}

void agent_clear_start(struct agent_gpu *gpu)
{
    struct fab_err err = {0};

    if (gpu->child || agent_child_start(gpu->agent, CLEAR_LIMIT_NS, run_clear, gpu->index,
                                        on_cleared, gpu, &gpu->child, &err) == FAB_OK)
        return;
    (void)snprintf(gpu->reason, sizeof(gpu->reason), "clearing its memory did not start: %.120s",
                   err.text);
}
