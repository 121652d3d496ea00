/* SPDX-License-Identifier: Apache-2.0
 * topology/ibnet_int.h - how answers of the fabric become facts; for ibnet.c and its test.
 *
 * The buffers are the attributes as they came: PortInfo and Mellanox's extended port info have 64
 * bytes, PortCounters and PortCountersExtended the 256 bytes that libibmad gives.
 */
#ifndef TOPOLOGY_IBNET_INT_H
#define TOPOLOGY_IBNET_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "topology/records.h"

/* Lanes of the widest width in a LinkWidth bit mask; 0: none. */
uint8_t ibnet_widest(uint32_t bits);
/* Payload of a lane (MB/s) at the fastest speed of LinkSpeed and LinkSpeedExt bit masks. */
uint32_t ibnet_fastest(uint32_t speed_bits, uint32_t extended_bits, bool is_fdr10);

/* State, widths and speeds. `capabilities` is PortInfo's mask of the port, of a switch's port 0:
 * it says whether there are extended speeds. */
void ibnet_port_from_info(const uint8_t *info, const uint8_t *mellanox_info, uint32_t capabilities,
                          struct topo_fabric_port *port_out);

/* `extended` is NULL where the class has none; `capabilities` are the class's. */
void ibnet_counters_from_pma(const uint8_t *counters, const uint8_t *extended,
                             uint16_t capabilities, struct topo_fabric_port *port_out);

#endif /* TOPOLOGY_IBNET_INT_H */
