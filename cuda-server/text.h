/* SPDX-License-Identifier: Apache-2.0
 * cuda-server/text.h - what kernels print, on its way to the client's terminal.
 *
 * Drivers print device text on the process's standard output and errors when they synchronise. The
 * worker puts pipes in their place and sends what comes as `text`, before the answer of the call
 * that made it come. Thread: any, locked; a thread reads what comes in between.
 */
#ifndef CUDA_SERVER_TEXT_H
#define CUDA_SERVER_TEXT_H

#include "cuda-server/worker.h"

FAB_NODISCARD enum fab_status cudas_text_create(struct cudas_worker *worker,
                                                struct cudas_text **text_out, struct fab_err *err);
void cudas_text_destroy(struct cudas_text *text); /* takes NULL; the descriptors are as before */

/* Sends what was printed up to now. Does nothing when text is not captured. */
void cudas_text_send(struct cudas_worker *worker);

#endif /* CUDA_SERVER_TEXT_H */
