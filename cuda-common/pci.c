/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/pci.c - see pci.h.
 */
#include "cuda-common/pci.h"

#include <stdlib.h>

bool cuc_pci_parse(const char *text, uint32_t field[3])
{
    char *end;
    int count = 0;

    field[0] = 0;
    for (const char *at = text;; at = end + 1) {
        unsigned long value = strtoul(at, &end, 16);

        if (end == at || count == 3 || value > UINT32_MAX || *at == '-' || *at == '+' || *at == ' ')
            return false;
        field[count++] = (uint32_t)value;
        if (*end != ':')
            break;
    }
    if (*end == '.') {
        (void)strtoul(end + 1, &end, 16);
        if (*end != '\0')
            return false;
    }
    if (count == 2) {
        field[2] = field[1];
        field[1] = field[0];
        field[0] = 0;
    }
    return count >= 2 && *end == '\0';
}
