/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-api/test_wire.c - each message between client and worker, cut at every byte.
 *
 * The rows say nothing of a message's tails, so they are found: a word of the fixed part that, set
 * to one, makes the message longer is a tail's count. Messages lie at the end of their memory, so
 * that a sanitizer sees a decoder that reads on.
 */
#include <stdlib.h>
#include <string.h>

#include "generated/cuda-api/wire.h"
#include "tests/support/check.h"

enum { ITEM_MAX = 4096, TAILS_MOST = 8 };

typedef bool checker(const void *bytes, size_t size_bytes);

/* The decoder on exactly these bytes. */
static bool decodes(checker *check, const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *copy = malloc(size_bytes ? size_bytes : 1);
    bool result;

    if (!copy)
        abort();
    memcpy(copy, bytes, size_bytes);
    result = check(copy, size_bytes);
    free(copy);
    return result;
}

static void set_word(uint8_t *bytes, size_t at, uint32_t value)
{
    memcpy(bytes + at, &value, sizeof(value));
}

/* The length of the message if one word is 1; `fixed` if that changes nothing. */
static size_t length_with(checker *check, uint8_t *bytes, size_t fixed, size_t at)
{
    size_t length = fixed;

    set_word(bytes, at, 1);
    while (length <= fixed + ITEM_MAX && !decodes(check, bytes, length))
        length += 8;
    set_word(bytes, at, 0);
    return length;
}

static void check_cuts(checker *check, const uint8_t *bytes, size_t whole)
{
    bool cut_decodes = false;

    CHECK(decodes(check, bytes, whole));
    for (size_t length = 0; length < whole; length++)
        cut_decodes |= decodes(check, bytes, length);
    CHECK(!cut_decodes);
    CHECK(!decodes(check, bytes, whole + 1));
    CHECK(!decodes(check, bytes, whole + 8));
}

/* All tails with one item each, then each count out of bounds. */
static unsigned check_message(checker *check, size_t fixed)
{
    uint8_t *bytes = calloc(1, fixed + TAILS_MOST * ITEM_MAX + 16);
    size_t tails[TAILS_MOST], whole = fixed;
    unsigned count = 0;

    if (!bytes)
        abort();
    check_cuts(check, bytes, fixed);
    for (size_t at = 0; at + 4 <= fixed; at += 4) {
        size_t length = length_with(check, bytes, fixed, at);

        if (length == fixed)
            continue;
        CHECK(length <= fixed + ITEM_MAX);
        if (CHECK(count < TAILS_MOST))
            tails[count++] = at;
        whole += length - fixed;
    }
    for (unsigned i = 0; i < count; i++)
        set_word(bytes, tails[i], 1);
    check_cuts(check, bytes, whole);
    for (unsigned i = 0; i < count; i++) {
        set_word(bytes, tails[i], UINT32_MAX);
        CHECK(!decodes(check, bytes, whole));
        set_word(bytes, tails[i], 1);
    }
    free(bytes);
    return count;
}

static void test_every_message_is_bounded(void)
{
    unsigned tails = 0;

    CHECK(wire_row_count > 60);
    for (size_t i = 0; i < wire_row_count; i++) {
        const struct wire_row *row = &wire_rows[i];

        CHECK_CASE("%s", row->name);
        CHECK(wire_row_find(row->op) == row);
        CHECK((row->way == WIRE_WAY_CALL) == (row->check_reply != NULL));
        tails += check_message(row->check, row->fixed_bytes);
        CHECK_CASE("%s reply", row->name);
        if (row->check_reply)
            tails += check_message(row->check_reply, row->reply_fixed_bytes);
    }
    CHECK_CASE("tails were found");
    CHECK(tails > 40);
    CHECK(!wire_row_find(0));
    CHECK(!wire_row_find(UINT32_MAX));
}

/* One message in full: what goes in comes out. */
static void test_a_message_round_trip(void)
{
    static const struct wire_attribute attributes[] = {{.id = 4, .value = {1, 2, 3}}, {.id = 8}};
    static const uint8_t params[] = {9, 8, 7, 6, 5};
    const struct wire_launch in = {.ctx = 1,
                                   .stream = 2,
                                   .function = 3,
                                   .grid = {4, 5, 6},
                                   .block = {7, 8, 9},
                                   .shared_bytes = 10,
                                   .cooperative = 1,
                                   .attributes = attributes,
                                   .attributes_count = 2,
                                   .params = params,
                                   .params_count = sizeof(params)};
    static uint64_t packed[256];
    struct wire_parts parts;
    struct wire_launch out;
    size_t bytes = 0;

    wire_put_launch(&in, &parts);
    for (size_t i = 0; i < parts.count; i++) {
        memcpy((uint8_t *)packed + bytes, parts.part[i].iov_base, parts.part[i].iov_len);
        bytes += parts.part[i].iov_len;
    }
    CHECK_CASE("launch");
    CHECK_EQ(bytes % 8, 0);
    if (!CHECK(wire_get_launch(packed, bytes, &out)))
        return;
    CHECK_EQ(out.ctx, 1);
    CHECK_EQ(out.stream, 2);
    CHECK_EQ(out.function, 3);
    CHECK_MEM(out.grid, in.grid, sizeof(in.grid));
    CHECK_MEM(out.block, in.block, sizeof(in.block));
    CHECK_EQ(out.shared_bytes, 10);
    CHECK_EQ(out.cooperative, 1);
    CHECK_EQ(out.attributes_count, 2);
    CHECK_MEM(out.attributes, attributes, sizeof(attributes));
    CHECK_EQ(out.params_count, sizeof(params));
    CHECK_MEM(out.params, params, sizeof(params));
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_every_message_is_bounded),
                                       CHECK_TEST(test_a_message_round_trip)};

    return check_run(tests);
}
