/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/image_store.h - device code by the hash of its bytes.
 *
 * Code is sent once: what came is kept for the session, and in a folder of the tenant, if there is
 * one, for later sessions on this node. Nothing is believed that does not have its hash. Kept bytes
 * stay at their address until the session ends. Thread: any, locked.
 */
#ifndef CUDA_SERVER_IMAGE_STORE_H
#define CUDA_SERVER_IMAGE_STORE_H

#include "cuda-server/worker.h"

enum { CUDAS_HASH_BYTES = 32 }; /* SHA-256 */

/* `folder` is copied; NULL: memory only. */
FAB_NODISCARD enum fab_status
cudas_images_create(const char *folder, struct cudas_images **images_out, struct fab_err *err);
void cudas_images_destroy(struct cudas_images *images); /* takes NULL */

/* The code with that hash and size, or NULL. */
const void *cudas_code_find(struct cudas_images *images, const uint8_t hash[CUDAS_HASH_BYTES],
                            uint64_t size_bytes);
/* The next piece of a code that the client sends. FAB_ERR_PROTOCOL: it does not follow the one
 * before, or the whole has another hash; FAB_ERR_NOMEM; FAB_ERR_LIMIT. */
FAB_NODISCARD enum fab_status cudas_code_add(struct cudas_images *images,
                                             const uint8_t hash[CUDAS_HASH_BYTES],
                                             uint64_t size_bytes, uint64_t offset,
                                             const void *piece, size_t piece_bytes);

#endif /* CUDA_SERVER_IMAGE_STORE_H */
