/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_ucx_lib.h - UCX's functions, found at run time. Private to xp_ucx*.c.
 */
#ifndef UCX_TRANSPORT_XP_UCX_LIB_H
#define UCX_TRANSPORT_XP_UCX_LIB_H

#include <ucp/api/ucp.h>

#include "ucx-transport/xp_ucx.h"

#define XP_UCX_FUNCTIONS(X)                                                                        \
    X(ucp_am_recv_data_nbx)                                                                        \
    X(ucp_am_send_nbx)                                                                             \
    X(ucp_cleanup)                                                                                 \
    X(ucp_config_modify)                                                                           \
    X(ucp_config_read)                                                                             \
    X(ucp_config_release)                                                                          \
    X(ucp_context_query)                                                                           \
    X(ucp_ep_close_nbx)                                                                            \
    X(ucp_ep_create)                                                                               \
    X(ucp_get_version)                                                                             \
    X(ucp_init_version)                                                                            \
    X(ucp_listener_create)                                                                         \
    X(ucp_listener_destroy)                                                                        \
    X(ucp_listener_query)                                                                          \
    X(ucp_listener_reject)                                                                         \
    X(ucp_mem_map)                                                                                 \
    X(ucp_mem_unmap)                                                                               \
    X(ucp_request_free)                                                                            \
    X(ucp_worker_arm)                                                                              \
    X(ucp_worker_create)                                                                           \
    X(ucp_worker_destroy)                                                                          \
    X(ucp_worker_get_address)                                                                      \
    X(ucp_worker_get_efd)                                                                          \
    X(ucp_worker_progress)                                                                         \
    X(ucp_worker_release_address)                                                                  \
    X(ucp_worker_set_am_recv_handler)                                                              \
    X(ucs_status_string)

struct xp_ucx_lib {
#define XP_UCX_MEMBER(name) __typeof__(&name) name;
    XP_UCX_FUNCTIONS(XP_UCX_MEMBER)
#undef XP_UCX_MEMBER
    struct xp_ucx_info info;
    bool allows_cuda; /* xp_ucx_allow_cuda(): a server */
};

/* Static; stays loaded until the process ends. As xp_ucx_load(). */
FAB_NODISCARD enum fab_status xp_ucx_lib_get(const struct xp_ucx_lib **lib_out,
                                             struct fab_err *err);

/* FAB_OK, or a status with UCX's number and text in err: "what: text". */
enum fab_status xp_ucx_check(const struct xp_ucx_lib *lib, ucs_status_t result, struct fab_err *err,
                             const char *what);

#endif /* UCX_TRANSPORT_XP_UCX_LIB_H */
