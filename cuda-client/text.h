/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/text.h - what kernels print: kept as it comes, printed at synchronisation.
 */
#ifndef CUDA_CLIENT_TEXT_H
#define CUDA_CLIENT_TEXT_H

/* Writes what has come so far to stdout and stderr, in order. Thread: any but the control engine.
 */
void cudac_text_flush(void);

#endif /* CUDA_CLIENT_TEXT_H */
