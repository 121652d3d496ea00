/* SPDX-License-Identifier: Apache-2.0
 * topology/records.c - see records.h.
 */
#include "topology/records.h"

#include <stdlib.h>

void topo_fabric_clear(struct topo_fabric *fabric)
{
    free(fabric->nodes);
    free(fabric->ports);
    *fabric = (struct topo_fabric){0};
}
