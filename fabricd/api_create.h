/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_create.h - a create's body (docs/api.md) as the manager's request.
 */
#ifndef FABRICD_API_CREATE_H
#define FABRICD_API_CREATE_H

#include "fabricd/api_int.h"

struct api_create {
    struct manager_request request; /* its texts belong to the body and to `node` */
    const char *hosts[LEDGER_SYSTEM_HOST_MAX];
    const char *uuids[LEDGER_SYSTEM_GPU_MAX];
};

/* `node`: the host where none is named; "" if that would be wrong. FAB_ERR_INVALID, FAB_ERR_RANGE,
 * FAB_ERR_UNSUPPORTED name the member. The struct points into itself: it may not be copied. */
FAB_NODISCARD enum fab_status api_create_read(const json_t *body, uint32_t uid, const char *node,
                                              struct api_create *create_out, struct fab_err *err);

#endif /* FABRICD_API_CREATE_H */
