/* SPDX-License-Identifier: Apache-2.0
 * Tests of topology/ibnet.c without a fabric: attributes as the specification lays them out become
 * facts. Offsets and widths: InfiniBand Architecture Specification 1, 14.2.5.6 (PortInfo), 16.1.3.5
 * (PortCounters) and 16.1.4.11 (PortCountersExtended). The sweep itself: tests/ibsim.
 */
#include "topology/ibnet_int.h"

#include <string.h>

#include "tests/support/check.h"

enum {
    INFO_BYTES = 64,
    PMA_BYTES = 256,
    /* Bytes of PortInfo. */
    WIDTH_ENABLED = 29,
    WIDTH_ACTIVE = 31,
    STATE = 32,    /* low half: state; high half: speed supported */
    PHYSICAL = 33, /* high half */
    SPEED = 35,    /* high half: active; low half: enabled */
    EXTENDED = 62, /* high half: active; EXTENDED + 1, low 5 bits: enabled */
    FDR10_ENABLED = 7 + 4,
    FDR10_ACTIVE = 7 + 8,
    EXTENDED_SPEEDS = 1 << 14,
    XMIT_WAIT = 1 << 12,
};

static void test_width_and_speed(void)
{
    static const struct {
        const char *label;
        uint8_t state, physical, width, width_enabled, speed, extended, extended_enabled;
        bool fdr10;
        uint32_t capabilities;
        enum topo_port_state says;
        bool polling;
        uint8_t lanes;
        uint32_t lane_mbps, enabled_mbps;
    } cases[] = {
        {"FDR 4x", 4, 5, 2, 3, 0x77, 1, 1, false, EXTENDED_SPEEDS, TOPO_PORT_ACTIVE, false, 4, 1704,
         6816},
        {"QDR 4x", 4, 5, 2, 3, 0x47, 0, 0, false, 0, TOPO_PORT_ACTIVE, false, 4, 1000, 4000},
        {"DDR 1x that could be QDR 4x", 4, 5, 1, 3, 0x27, 0, 0, false, 0, TOPO_PORT_ACTIVE, false,
         1, 500, 4000},
        {"SDR 8x", 3, 5, 4, 7, 0x11, 0, 0, false, 0, TOPO_PORT_ARMED, false, 8, 250, 2000},
        {"12x", 4, 5, 8, 0x0f, 0x77, 0, 0, false, 0, TOPO_PORT_ACTIVE, false, 12, 1000, 12000},
        {"HDR on 2 lanes", 4, 5, 16, 0x12, 0x77, 4, 7, false, EXTENDED_SPEEDS, TOPO_PORT_ACTIVE,
         false, 2, 6250, 25000},
        {"EDR", 4, 5, 2, 3, 0x77, 2, 3, false, EXTENDED_SPEEDS, TOPO_PORT_ACTIVE, false, 4, 3125,
         12500},
        {"FDR10 of Mellanox", 4, 5, 2, 3, 0x47, 0, 0, true, EXTENDED_SPEEDS, TOPO_PORT_ACTIVE,
         false, 4, 1250, 5000},
        {"extended bits mean nothing without the capability", 4, 5, 2, 3, 0x47, 1, 1, false, 0,
         TOPO_PORT_ACTIVE, false, 4, 1000, 4000},
        {"extended speeds switched off (30)", 4, 5, 2, 3, 0x47, 0, 30, false, EXTENDED_SPEEDS,
         TOPO_PORT_ACTIVE, false, 4, 1000, 4000},
        {"down: what is active is old", 1, 2, 2, 3, 0x77, 1, 1, false, EXTENDED_SPEEDS,
         TOPO_PORT_DOWN, true, 0, 0, 6816},
        {"trained, no subnet manager", 2, 5, 2, 3, 0x77, 1, 1, false, EXTENDED_SPEEDS,
         TOPO_PORT_INIT, false, 4, 1704, 6816},
        {"no such state", 9, 5, 2, 3, 0x77, 1, 1, false, EXTENDED_SPEEDS, TOPO_PORT_UNKNOWN, false,
         0, 0, 6816},
        {"nothing said", 0, 0, 0, 0, 0, 0, 0, false, 0, TOPO_PORT_UNKNOWN, false, 0, 0, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint8_t info[INFO_BYTES] = {0}, mellanox[INFO_BYTES] = {0};
        struct topo_fabric_port port = {.number = 3, .peer = 7};

        info[STATE] = cases[i].state;
        info[PHYSICAL] = (uint8_t)(cases[i].physical << 4);
        info[WIDTH_ACTIVE] = cases[i].width;
        info[WIDTH_ENABLED] = cases[i].width_enabled;
        info[SPEED] = cases[i].speed;
        info[EXTENDED] = (uint8_t)(cases[i].extended << 4);
        info[EXTENDED + 1] = cases[i].extended_enabled;
        mellanox[FDR10_ENABLED] = mellanox[FDR10_ACTIVE] = cases[i].fdr10;
        ibnet_port_from_info(info, mellanox, cases[i].capabilities, &port);
        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(port.state, cases[i].says);
        CHECK_EQ(port.is_polling, cases[i].polling);
        CHECK_EQ(port.width, cases[i].lanes);
        CHECK_EQ(port.lane_mbps, cases[i].lane_mbps);
        CHECK_EQ(port.enabled_mbps, cases[i].enabled_mbps);
        CHECK_EQ(port.number, 3); /* the rest is the caller's */
        CHECK_EQ(port.peer, 7);
    }
}

static void put(uint8_t *to, size_t bytes, uint64_t value)
{
    for (size_t i = bytes; i > 0; i--, value >>= 8)
        to[i - 1] = (uint8_t)value;
}

static void test_counters(void)
{
    uint8_t counters[PMA_BYTES] = {0}, extended[PMA_BYTES] = {0};
    struct topo_fabric_port port = {0};

    put(counters + 4, 2, 65535);       /* SymbolErrorCounter, saturated */
    put(counters + 6, 1, 255);         /* LinkErrorRecoveryCounter */
    put(counters + 7, 1, 3);           /* LinkDownedCounter */
    put(counters + 8, 2, 12);          /* PortRcvErrors */
    put(counters + 14, 2, 17);         /* PortXmitDiscards */
    put(counters + 24, 4, 0xfffffff0); /* PortXmitData, words */
    put(counters + 28, 4, 5);          /* PortRcvData */
    put(counters + 40, 4, 99);         /* PortXmitWait */
    put(extended + 8, 8, UINT64_C(1) << 40);
    put(extended + 16, 8, 6);

    CHECK_CASE("32 bits");
    ibnet_counters_from_pma(counters, /* extended */ NULL, 0, &port);
    CHECK(port.has_counters);
    CHECK_EQ(port.symbol_errors, 65535);
    CHECK_EQ(port.link_recoveries, 255);
    CHECK_EQ(port.link_downed, 3);
    CHECK_EQ(port.receive_errors, 12);
    CHECK_EQ(port.transmit_discards, 17);
    CHECK_EQ(port.transmit_wait, 0); /* the class does not have it */
    CHECK_EQ(port.transmit_bytes, UINT64_C(0xfffffff0) * 4);
    CHECK_EQ(port.receive_bytes, 20);

    CHECK_CASE("64 bits");
    ibnet_counters_from_pma(counters, extended, XMIT_WAIT, &port);
    CHECK_EQ(port.transmit_wait, 99);
    CHECK_EQ(port.transmit_bytes, UINT64_C(1) << 42);
    CHECK_EQ(port.receive_bytes, 24);
    CHECK_EQ(port.symbol_errors, 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_width_and_speed), CHECK_TEST(test_counters)};

    return check_run(tests);
}
