/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/copy_link.h - connections between workers: one a pair, opened when first needed.
 */
#ifndef CUDA_CLIENT_COPY_LINK_H
#define CUDA_CLIENT_COPY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda-client/remote.h"

/* The number by which both workers know their connection. Opens it: a call to each. What became of
 * the first attempt stays. */
CUresult cudac_link_open(struct cudac_worker *one, struct cudac_worker *other, uint64_t *peer_out);
/* The same if it is open already; false: it is not. */
bool cudac_link_find(const struct cudac_worker *one, const struct cudac_worker *other,
                     uint64_t *peer_out);

/* Tells those that were connected to it. */
void cudac_links_lost(struct cudac_worker *worker);

#endif /* CUDA_CLIENT_COPY_LINK_H */
