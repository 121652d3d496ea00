/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx.h - the backend over UCX: what a program may decide before it is loaded.
 *
 * Link xp_ucx and name xp_backend_ucx (xp_backend.h) in a rail. UCX itself is loaded by the first
 * rail, never linked: a program without rails has no UCX in it, and one that has a UCX already (an
 * MPI program) keeps that one, its settings, signal handlers and environment. A device is the name
 * of a network interface (tcp) or of an InfiniBand port ("mlx5_0:1").
 */
#ifndef UCX_TRANSPORT_XP_UCX_H
#define UCX_TRANSPORT_XP_UCX_H

#include "base/err.h"

/* Lets UCX load its CUDA modules, for a process whose libcuda is a real driver's or softcuda's; by
 * default it must not, since it would call and patch the library that we are. Before the first
 * rail; FAB_ERR_STATE afterwards. Thread: any. */
FAB_NODISCARD enum fab_status xp_ucx_allow_cuda(void);

struct xp_ucx_info {
    unsigned major, minor, release;
    bool was_there; /* somebody else's; its settings are not ours */
};

/* Loads UCX if it is not yet. FAB_ERR_NOT_FOUND: there is none, err says what to install. Thread:
 * any. */
FAB_NODISCARD enum fab_status xp_ucx_load(struct xp_ucx_info *info_out, struct fab_err *err);

#endif /* UCX_TRANSPORT_XP_UCX_H */
