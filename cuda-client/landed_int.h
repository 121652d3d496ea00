/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/landed_int.h - `landed` of replies, whatever the message.
 */
#ifndef CUDA_CLIENT_LANDED_INT_H
#define CUDA_CLIENT_LANDED_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda-client/remote.h"

struct cudac_landed {
    const uint64_t *ids; /* in the reply */
    uint32_t count;
};

/* False: the reply does not decode. Nothing for messages whose replies carry no transfers. */
bool cudac_landed_get(uint32_t op, const struct cudac_reply *reply, struct cudac_landed *out);

#endif /* CUDA_CLIENT_LANDED_INT_H */
