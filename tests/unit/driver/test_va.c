/* SPDX-License-Identifier: Apache-2.0
 * Tests of softcuda/driver/va.c: the address table that all processes agree on, and reservations.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "softcuda/driver/va.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* Present when the program is built with ThreadSanitizer, which has a row of its own. */
extern void __tsan_init(void) __attribute__((weak));

static void test_table(void)
{
    static const struct {
        const char *label;
        enum va_area area;
        uint64_t base, bytes, tsan_base, tsan_bytes;
        bool each; /* one for each device */
    } cases[] = {
        {"slices", VA_SLICE, 0x200000000000, 512 * GIB, 64 * GIB, 16 * GIB, true},
        {"driver-made", VA_FIXED, 0x100200000000, 64 * GIB, 448 * GIB, GIB, true},
        {"pinned", VA_PINNED, 0x180000000000, 8 * TIB, 320 * GIB, 64 * GIB, false},
        {"managed", VA_MANAGED, 0x400000000000, 16 * TIB, 384 * GIB, 64 * GIB, false},
        {"reserve", VA_RESERVE, 0x140200000000, 0x3fe00000000, 464 * GIB, 48 * GIB, false},
    };
    bool tsan = &__tsan_init != NULL;
    uint64_t devices = (uint64_t)va_device_max();

    CHECK_EQ(devices, tsan ? 16 : 64);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t base = va_base(cases[i].area, 0), bytes = va_bytes(cases[i].area);

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(base, tsan ? cases[i].tsan_base : cases[i].base);
        CHECK_EQ(bytes, tsan ? cases[i].tsan_bytes : cases[i].bytes);
        if (cases[i].each)
            CHECK_EQ(va_base(cases[i].area, (int)devices - 1), base + (devices - 1) * bytes);
        for (size_t k = 0; k < i; k++) {
            uint64_t other = va_base(cases[k].area, 0), other_end = other;

            other_end += va_bytes(cases[k].area) * (cases[k].each ? devices : 1);
            CHECK(base >= other_end || base + bytes * (cases[i].each ? devices : 1) <= other);
        }
    }
}

static void test_ours(void)
{
    const uint64_t devices = (uint64_t)va_device_max();
    const struct {
        const char *label;
        uint64_t address;
        bool is_ours;
    } cases[] = {
        {"nothing", 0, false},
        {"a slice", va_base(VA_SLICE, 0), true},
        {"the last byte of all slices", va_base(VA_SLICE, 0) + devices * va_bytes(VA_SLICE) - 1,
         true},
        {"pinned", va_base(VA_PINNED, 0) + 4096, true},
        {"the stack", (uint64_t)(uintptr_t)&devices, false},
        {"a function", (uint64_t)(uintptr_t)test_ours, false},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(va_is_ours(cases[i].address), cases[i].is_ours);
    }
}

static void test_first_fit(void)
{
    uint64_t one = 0, two = 0, three = 0, again = 0;

    CHECK(va_reserve(VA_PINNED, 0, 8192, 1, &one));
    CHECK_EQ(one, va_base(VA_PINNED, 0));
    CHECK(va_reserve(VA_PINNED, 0, 4096, 1, &two));
    CHECK_EQ(two, one + 8192);
    CHECK(va_reserve(VA_PINNED, 0, 4096, MIB, &three));
    CHECK_EQ(three, one + MIB);
    CHECK(!va_reserve_at(two, 4096));
    CHECK(!va_reserve_at(one - 4096, 8192));
    va_release(one, 8192);
    CHECK(va_reserve(VA_PINNED, 0, 4096, 1, &again));
    CHECK_EQ(again, one);
    CHECK(va_reserve_at(one + 4096, 4096));
    va_release(one + 4096, 4096);
    va_release(again, 4096);
    va_release(two, 4096);
    va_release(three, 4096);
    CHECK(!va_reserve(VA_PINNED, 0, va_bytes(VA_PINNED) + 4096, 1, &again));
    CHECK(!va_reserve_at(0, 4096));
    CHECK(!va_reserve_at(one + 1, 4096));
    CHECK(!va_reserve_at(UINT64_MAX - 4095, 4096));
}

/* Somebody else's mapping in an area is stepped over, and never replaced. */
static void test_foreign(void)
{
    void *wanted = (void *)(uintptr_t)va_base(VA_MANAGED, 0);
    char *foreign = mmap(wanted, 4096, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    uint64_t address = 0;

    if (!CHECK(foreign == wanted))
        return;
    *foreign = 'x';
    CHECK(!va_reserve_at(va_base(VA_MANAGED, 0), 4096));
    CHECK(va_reserve(VA_MANAGED, 0, 4096, 1, &address));
    CHECK_EQ(address, va_base(VA_MANAGED, 0) + GIB);
    CHECK_EQ(*foreign, 'x');
    va_release(address, 4096);
    (void)munmap(foreign, 4096);
}

/* A slice that is taken whole: the device goes on in the reserve. */
static void test_taken(void)
{
    uint64_t slice = va_base(VA_SLICE, 1), address = 0;

    CHECK(va_reserve_at(slice, va_bytes(VA_SLICE)));
    CHECK(va_reserve(VA_SLICE, 1, 2 * MIB, 2 * MIB, &address));
    CHECK_EQ(address, va_base(VA_RESERVE, 0));
    va_release(address, 2 * MIB);
    va_release(slice, va_bytes(VA_SLICE));
    CHECK(va_reserve(VA_SLICE, 1, 2 * MIB, 2 * MIB, &address));
    CHECK_EQ(address, slice);
    va_release(address, 2 * MIB);
}

/* Address space in use, which under a sanitizer is terabytes. */
static uint64_t used_bytes(void)
{
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");

    CHECK(file && fgets(text, sizeof(text), file));
    if (file)
        (void)fclose(file);
    return strtoull(text, NULL, 10) * 4096;
}

/* Only what is in use counts against a limit of the address space. */
static void test_limit(void)
{
    struct rlimit old, low;
    uint64_t address = 0, refused = 0;

    CHECK_EQ(getrlimit(RLIMIT_AS, &old), 0);
    low = old;
    low.rlim_cur = used_bytes() + 4 * GIB;
    CHECK_EQ(setrlimit(RLIMIT_AS, &low), 0);
    CHECK(va_reserve(VA_SLICE, 0, GIB, 2 * MIB, &address));
    CHECK(!va_reserve(VA_SLICE, 0, 8 * GIB, 2 * MIB, &refused));
    va_release(address, GIB);
    CHECK_EQ(setrlimit(RLIMIT_AS, &old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_table),   CHECK_TEST(test_ours),  CHECK_TEST(test_first_fit),
        CHECK_TEST(test_foreign), CHECK_TEST(test_taken), CHECK_TEST(test_limit),
    };

    return check_run(tests);
}
