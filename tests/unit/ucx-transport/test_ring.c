/* SPDX-License-Identifier: Apache-2.0
 * When a ring's reader gives room back: both ends in this thread.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "ucx-transport/xp_ring.h"

enum { CAPACITY = 1 << 12, SHARE = CAPACITY / 8 };

static const struct row {
    const char *label;
    unsigned steps; /* so often ... */
    size_t bytes;   /* ... are so many written and taken, and given back soon */
    uint64_t room;  /* that the writer then sees, */
    bool waits;     /* and it waits for room: */
    unsigned wakes; /* it is woken so often */
} rows[] = {
    {"nothing", 0, 0, CAPACITY, false, 0},
    {"a few bytes are kept", 1, 64, CAPACITY - 64, false, 0},
    {"just not enough", 7, 64, CAPACITY - 7 * 64, true, 0},
    {"an eighth goes back", 8, 64, CAPACITY, false, 0},
    {"and wakes the writer", 8, 64, CAPACITY, true, 1},
    {"what came after it is kept", 9, 64, CAPACITY - 64, true, 1},
    {"much at once", 1, SHARE + 16, CAPACITY, true, 1},
    {"round and round", 1000, 48, CAPACITY - 48 * (1000 % (SHARE / 48 + 1)), false, 0},
};

static void test_release(void)
{
    static uint8_t bytes[CAPACITY];

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        void *memory = aligned_alloc(XP_RING_LINE_BYTES, XP_RING_HEAD_BYTES + CAPACITY);
        struct xp_ring writer, reader;
        unsigned wakes = 0;

        CHECK_CASE("%s", rows[i].label);
        if (!CHECK(memory != NULL))
            return;
        memset(memory, 0, XP_RING_HEAD_BYTES + CAPACITY);
        xp_ring_init(&writer, memory, CAPACITY);
        xp_ring_init(&reader, memory, CAPACITY);
        for (unsigned step = 0; step < rows[i].steps; step++) {
            xp_ring_write(&writer, bytes, rows[i].bytes);
            (void)xp_ring_publish(&writer);
            if (rows[i].waits && step == 0)
                CHECK(xp_ring_writer_sleeps(&writer, CAPACITY));
            CHECK_EQ(xp_ring_available(&reader), rows[i].bytes);
            xp_ring_read(&reader, NULL, rows[i].bytes);
            wakes += xp_ring_release_soon(&reader);
        }
        CHECK_EQ(xp_ring_room(&writer), rows[i].room);
        CHECK_EQ(wakes, rows[i].wakes);
        (void)xp_ring_release(&reader); /* as before it sleeps */
        CHECK_EQ(xp_ring_room(&writer), CAPACITY);
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_release)};

    return check_run(tests);
}
