/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_lock.c - how much memory a wire locks.
 *
 * A device reads and writes locked memory only. UCX locks its own buffers when a wire opens, by its
 * standards some 70 MiB each; and the memory of a chunk while that moves. Where that fails in the
 * middle, 1.13.1 ends the process, so it must be known before.
 *
 * In a client, which has a little (design D8), UCX's buffers are kept small: 4 MiB for two rails.
 * Where less may be locked than the chunks in flight need, the wire *stages*: chunks go through
 * UCX's own buffers, in both directions, and only those are locked. The peer must know, as it is
 * the sender who chooses: the highest bit of an endpoint's id says it.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "ucx-transport/xp_ucx_int.h"

enum {
    ENOUGH_MIB = 256
}; /* several rails, each with 4 chunks of 4 MiB both ways, and the program */

static const struct {
    const char *name, *value;
} small_buffers[] = {
    {"IB_RX_QUEUE_LEN", "48"},
    {"IB_RX_BUFS_GROW", "16"},
    {"IB_TX_BUFS_GROW", "16"},
    {"IB_ALLOC", "mmap,heap"}, /* no huge pages */
    /* Not for ud, which makes the connections: lost ones cost seconds. */
    {"RC_RX_QUEUE_LEN", "32"},
    {"RC_TX_QUEUE_LEN", "48"},
    {"RC_TX_CQ_LEN", "512"},
};

/* Whether the kernel counts what this process locks. */
static bool is_limited(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) != 0 ||
           !(data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK));
}

static bool is_little_lockable(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return true;
    return limit.rlim_cur < (rlim_t)ENOUGH_MIB << 20 && is_limited();
}

void xp_ucx_lock_settle(struct xp_wire *wire, ucp_config_t *config, bool is_port)
{
    wire->stages = fab_fault("ucx locks") || (is_port && is_little_lockable());
    if (wire->stages) {
        (void)wire->lib->ucp_config_modify(config, "ZCOPY_THRESH", "inf");
        fab_log_debug(wire->config.log, "a ucx wire stages: too little memory may be locked",
                      "device %s bulk %d", wire->config.device, wire->config.bulk);
    }
    for (size_t i = 0; is_port && !wire->lib->allows_cuda && i < FAB_ARRAY_LEN(small_buffers); i++)
        (void)wire->lib->ucp_config_modify(config, small_buffers[i].name, small_buffers[i].value);
}
