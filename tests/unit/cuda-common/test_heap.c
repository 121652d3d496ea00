/* SPDX-License-Identifier: Apache-2.0
 * Tests of cuda-common/heap.c: where allocations lie, which blocks are made for them, and when
 * blocks go back; with a maker of numbers, no memory at all.
 */
#include "tests/support/check.h"

#include "cuda-common/heap.h"

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)
#define BASE UINT64_C(0x200000000000)

struct rig {
    struct cuc_heap heap; /* first: the call-backs cast */
    uint64_t next, room_bytes, made, given;
};

static CUresult make(struct cuc_heap *heap, uint64_t bytes, bool shared, uint64_t *address_out)
{
    struct rig *rig = (struct rig *)heap;

    CHECK_EQ(bytes % CUC_GRANULE, 0);
    CHECK(!shared || bytes == CUC_GRANULE);
    if (bytes > rig->room_bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    rig->room_bytes -= bytes;
    *address_out = rig->next;
    rig->next += bytes;
    rig->made++;
    return CUDA_SUCCESS;
}

static void give(struct cuc_heap *heap, uint64_t address, uint64_t bytes)
{
    struct rig *rig = (struct rig *)heap;

    CHECK(address >= BASE && address + bytes <= rig->next);
    rig->room_bytes += bytes;
    rig->given++;
}

static const struct cuc_heap_ops ops = {.make = make, .give = give};

static struct rig rig_new(uint64_t room_bytes, bool keep_empty)
{
    return (struct rig){
        .heap = {.ops = &ops, .keep_empty = keep_empty}, .next = BASE, .room_bytes = room_bytes};
}

static void test_where(void)
{
    static const struct {
        const char *label;
        uint64_t bytes, align, offset, span_bytes, reserved_bytes;
    } cases[] = {
        {"the first byte opens a block", 1, 512, 0, 512, 2 * MIB},
        {"the next lies behind it", 512, 512, 512, 512, 2 * MIB},
        {"units are 512 bytes", 513, 512, 1024, 1024, 2 * MIB},
        {"alignment skips units", 512, 4096, 4096, 512, 2 * MIB},
        {"what was skipped is taken later", 2048, 512, 2048, 2048, 2 * MIB},
        {"no gap is left: a second block", 2 * MIB - 512, 512, 2 * MIB, 2 * MIB - 512, 4 * MIB},
        {"2 MiB has a block of its own", 2 * MIB, 512, 4 * MIB, 2 * MIB, 6 * MIB},
        {"steps of 2 MiB", 2 * MIB + 1, 512, 6 * MIB, 4 * MIB, 10 * MIB},
        {"small ones go on in the first block", 64, 512, 4608, 512, 10 * MIB},
    };
    struct rig rig = rig_new(64 * MIB, false);

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cuc_heap_part part = {0};

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cuc_heap_alloc(&rig.heap, cases[i].bytes, cases[i].align, &part), CUDA_SUCCESS);
        CHECK_EQ(part.base, BASE + cases[i].offset);
        CHECK_EQ(part.span_bytes, cases[i].span_bytes);
        CHECK_EQ(rig.heap.reserved_bytes, cases[i].reserved_bytes);
    }
    cuc_heap_clear(&rig.heap);
    CHECK_EQ(rig.heap.reserved_bytes, 0);
    CHECK_EQ(rig.made, rig.given);
}

static void test_refusals(void)
{
    static const struct {
        const char *label;
        uint64_t bytes, align;
        CUresult result;
    } cases[] = {
        {"nothing", 0, 512, CUDA_ERROR_INVALID_VALUE},
        {"alignment above a block", 1, 4 * MIB, CUDA_ERROR_INVALID_VALUE},
        {"rounding would wrap", UINT64_MAX, 512, CUDA_ERROR_OUT_OF_MEMORY},
        {"more than there is", 6 * MIB, 512, CUDA_ERROR_OUT_OF_MEMORY},
        {"exactly what there is", 4 * MIB, 512, CUDA_SUCCESS},
        {"one byte more", 1, 512, CUDA_ERROR_OUT_OF_MEMORY},
    };
    struct rig rig = rig_new(4 * MIB, false);

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cuc_heap_part part;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cuc_heap_alloc(&rig.heap, cases[i].bytes, cases[i].align, &part), cases[i].result);
    }
    cuc_heap_clear(&rig.heap);
}

static void test_blocks_go_back(void)
{
    struct rig rig = rig_new(16 * MIB, false);
    struct cuc_heap_part a, b, c;

    CHECK_EQ(cuc_heap_alloc(&rig.heap, MIB, 512, &a), CUDA_SUCCESS);
    CHECK_EQ(cuc_heap_alloc(&rig.heap, MIB, 512, &b), CUDA_SUCCESS);
    CHECK_EQ(rig.made, 1);
    cuc_heap_free(&a);
    CHECK_CASE("a hole is used again");
    CHECK_EQ(cuc_heap_alloc(&rig.heap, 4 * KIB, 512, &c), CUDA_SUCCESS);
    CHECK_EQ(c.base, a.base);
    CHECK_CASE("the last one out");
    cuc_heap_free(&b);
    CHECK_EQ(rig.given, 0);
    cuc_heap_free(&c);
    CHECK_EQ(rig.given, 1);
    CHECK_EQ(rig.heap.reserved_bytes, 0);
    CHECK_EQ(rig.heap.reserved_high_bytes, 2 * MIB);
}

static void test_kept_blocks(void)
{
    static const struct {
        const char *label;
        uint64_t bytes;
        bool reused;
    } cases[] = {
        {"the same size", 8 * MIB, true},
        {"a quarter wasted at most", 8 * MIB - 2 * MIB + 1, true},
        {"more wasted: a new one", 4 * MIB, false},
        {"small ones take no large block", KIB, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct rig rig = rig_new(64 * MIB, true);
        struct cuc_heap_part first, second;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(cuc_heap_alloc(&rig.heap, 8 * MIB, 512, &first), CUDA_SUCCESS);
        cuc_heap_free(&first);
        CHECK_EQ(rig.given, 0);
        CHECK_EQ(cuc_heap_alloc(&rig.heap, cases[i].bytes, 512, &second), CUDA_SUCCESS);
        CHECK_EQ(second.base == first.base, cases[i].reused);
        cuc_heap_free(&second);
        CHECK_EQ(cuc_heap_trim(&rig.heap, rig.heap.reserved_bytes), 0);
        CHECK(cuc_heap_trim(&rig.heap, 0) >= 8 * MIB);
        CHECK_EQ(rig.heap.reserved_bytes, 0);
        CHECK_EQ(rig.made, rig.given);
    }
}

static void count_block(uint64_t lo, uint64_t bytes, void *arg)
{
    uint64_t *last = arg;

    CHECK(lo >= *last);
    *last = lo + bytes;
}

static void test_each_in_order(void)
{
    struct rig rig = rig_new(64 * MIB, false);
    struct cuc_heap_part part;
    uint64_t last = BASE;

    for (int i = 0; i < 5; i++)
        CHECK_EQ(cuc_heap_alloc(&rig.heap, 3 * MIB, 512, &part), CUDA_SUCCESS);
    cuc_heap_each(&rig.heap, count_block, &last);
    CHECK_EQ(last, BASE + 20 * MIB);
    cuc_heap_clear(&rig.heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_where),          CHECK_TEST(test_refusals),
        CHECK_TEST(test_blocks_go_back), CHECK_TEST(test_kept_blocks),
        CHECK_TEST(test_each_in_order),
    };

    return check_run(tests);
}
