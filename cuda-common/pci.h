/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/pci.h - the text of a PCI bus id. Thread: any.
 */
#ifndef CUDA_COMMON_PCI_H
#define CUDA_COMMON_PCI_H

#include <stdbool.h>
#include <stdint.h>

/* [domain:]bus:device[.function], hexadecimal, into domain, bus, device; the function does not tell
 * GPUs apart. False: not that. */
bool cuc_pci_parse(const char *text, uint32_t field[3]);

#endif /* CUDA_COMMON_PCI_H */
