/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/test_fatbin.c - finding PTX in fat binaries that the test builds itself.
 */
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

#include "base/err.h"
#include "softcuda/driver/fatbin.h"

enum { ROOM = 8192, HEADER = 16, ENTRY = 64, PTX = 1, ELF = 2 };
enum packing { NONE, ZSTD, LZ4 };

static uint8_t fatbin[ROOM];
static size_t fatbin_bytes;

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void fatbin_start(void)
{
    memset(fatbin, 0, sizeof(fatbin));
    put32(fatbin, 0xba55ed50);
    put32(fatbin + 4, 1 | HEADER << 16);
    fatbin_bytes = HEADER;
}

/* A text long enough to be worth packing, with its target's number in it. */
static const char *text_of(uint32_t target)
{
    static char text[600];

    (void)snprintf(text, sizeof(text), "\n\n.version 8.0\n.target sm_%u\n.address_size 64\n%500s\n",
                   target, "");
    return text;
}

static void fatbin_add(uint32_t kind, uint32_t target, enum packing packing, uint64_t more_flags)
{
    const char *text = text_of(target);
    size_t text_bytes = strlen(text) + 1, packed = text_bytes, padded;
    uint8_t *entry = fatbin + fatbin_bytes, *payload = entry + ENTRY + 8;
    uint64_t flags = 0x11 | more_flags;

    if (packing == ZSTD) {
        packed = ZSTD_compress(payload, ROOM - fatbin_bytes - ENTRY, text, text_bytes, 3);
        flags |= 0x8000;
    } else if (packing == LZ4) {
        packed = (size_t)LZ4_compress_default(text, (char *)payload, (int)text_bytes,
                                              (int)(ROOM - fatbin_bytes - ENTRY));
        flags |= 0x2000;
    } else {
        memcpy(payload, text, text_bytes);
    }
    padded = (packed + 7) & ~(size_t)7;
    put32(entry, kind | 0x0101u << 16);
    put32(entry + 4, ENTRY + 8);
    put64(entry + 8, padded);
    put32(entry + 16, packing == NONE ? 0 : (uint32_t)packed);
    put32(entry + 28, target);
    put64(entry + 40, flags);
    put64(entry + 56, packing == NONE ? 0 : text_bytes);
    fatbin_bytes += ENTRY + 8 + padded;
    put64(fatbin + 8, fatbin_bytes - HEADER);
}

static void test_choice(void)
{
    static const struct {
        const char *label;
        struct {
            uint32_t kind, target;
            uint64_t flags;
        } entry[4];
        uint32_t capability, target; /* target 0: none fits */
    } cases[] = {
        {"only one", {{PTX, 75, 0}}, 89, 75},
        {"the same target", {{PTX, 89, 0}}, 89, 89},
        {"the highest", {{PTX, 75, 0}, {PTX, 80, 0}, {PTX, 70, 0}}, 89, 80},
        {"not above the device", {{PTX, 75, 0}, {PTX, 80, 0}, {PTX, 90, 0}}, 75, 75},
        {"machine code beside it", {{ELF, 89, 0}, {PTX, 75, 0}}, 89, 75},
        {"machine code only", {{ELF, 75, 0}, {ELF, 89, 0}}, 89, 0},
        {"later devices only", {{PTX, 90, 0}, {PTX, 120, 0}}, 89, 0},
        {"for one architecture only", {{PTX, 80, 0x100000}, {PTX, 75, 0}}, 89, 75},
        {"unknown kinds are passed over", {{7, 80, 0}, {PTX, 75, 0}}, 89, 75},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct soft_code code;
        enum fab_status status;

        CHECK_CASE("%s", cases[i].label);
        fatbin_start();
        for (size_t k = 0; k < 4 && cases[i].entry[k].kind; k++)
            fatbin_add(cases[i].entry[k].kind, cases[i].entry[k].target, NONE,
                       cases[i].entry[k].flags);
        status = soft_fatbin_find(fatbin, fatbin_bytes, cases[i].capability, &code, NULL);
        CHECK_EQ(status, cases[i].target ? FAB_OK : FAB_ERR_NOT_FOUND);
        CHECK_EQ(code.has_machine_code, cases[i].entry[0].kind == ELF);
        if (status != FAB_OK)
            continue;
        CHECK_EQ(code.target, cases[i].target);
        CHECK_STR(code.text, text_of(cases[i].target));
        CHECK(soft_code_is_ptx(code.text));
        free(code.text);
    }
}

static void test_packings(void)
{
    static const struct {
        const char *label;
        enum packing packing;
    } cases[] = {{"not packed", NONE}, {"zstd", ZSTD}, {"lz4", LZ4}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct soft_code code;

        CHECK_CASE("%s", cases[i].label);
        fatbin_start();
        fatbin_add(PTX, 75, cases[i].packing, 0);
        if (!CHECK_EQ(soft_fatbin_find(fatbin, fatbin_bytes, 89, &code, NULL), FAB_OK))
            continue;
        CHECK_STR(code.text, text_of(75));
        CHECK_EQ(code.text_bytes, strlen(text_of(75)));
        free(code.text);
    }
}

/* Every cut is an error, never a read behind the end (the copy is exactly as long). */
static void test_cut(void)
{
    fatbin_start();
    fatbin_add(ELF, 75, NONE, 0);
    fatbin_add(PTX, 75, ZSTD, 0);
    for (size_t bytes = 0; bytes < fatbin_bytes; bytes++) {
        uint8_t *copy = malloc(bytes + 1);
        struct soft_code code;

        CHECK_CASE("cut at %zu", bytes);
        memcpy(copy, fatbin, bytes);
        CHECK_EQ(soft_fatbin_find(copy, bytes, 89, &code, NULL), FAB_ERR_TRUNCATED);
        CHECK(code.text == NULL);
        free(copy);
    }
}

static void test_broken(void)
{
    static const struct {
        const char *label;
        size_t at;
        uint32_t value;
        enum fab_status status;
    } cases[] = {
        {"magic", 0, 0x12345678, FAB_ERR_FORMAT},
        {"version", 4, 2 | HEADER << 16, FAB_ERR_FORMAT},
        {"header shorter than it is", 4, 1 | 8 << 16, FAB_ERR_FORMAT},
        {"body longer than the rest", 8, 100000, FAB_ERR_TRUNCATED},
        {"entry header of no size", HEADER + 4, 0, FAB_ERR_FORMAT},
        {"entry header too long", HEADER + 4, 100000, FAB_ERR_FORMAT},
        {"payload too long", HEADER + 8, 100000, FAB_ERR_TRUNCATED},
        {"payload enormous", HEADER + 12, 0xffffffff, FAB_ERR_TRUNCATED},
        {"packed longer than the payload", HEADER + 16, 100000, FAB_ERR_TRUNCATED},
        {"packed data cut", HEADER + 16, 9, FAB_ERR_FORMAT},
        {"text of no size", HEADER + 56, 0, FAB_ERR_FORMAT},
        {"text of another size", HEADER + 56, 7, FAB_ERR_FORMAT},
        {"text enormous", HEADER + 60, 0xffffffff, FAB_ERR_FORMAT},
        {"packed data wrong", HEADER + ENTRY + 8, 0, FAB_ERR_FORMAT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct fab_err err = {.status = FAB_OK};
        struct soft_code code;

        CHECK_CASE("%s", cases[i].label);
        fatbin_start();
        fatbin_add(PTX, 75, ZSTD, 0);
        put32(fatbin + cases[i].at, cases[i].value);
        CHECK_EQ(soft_fatbin_find(fatbin, fatbin_bytes, 89, &code, &err), cases[i].status);
        CHECK(code.text == NULL);
        CHECK(err.text[0] != '\0');
    }
}

static void test_wrappers(void)
{
    static uint8_t linked[ROOM], part[ROOM];
    const void *one_part[] = {part, NULL}, *two_parts[] = {part, part, NULL};
    struct {
        uint32_t magic, version;
        const void *image;
        const void *const *parts;
    } wrapper = {0x466243b1, 1, part, NULL};
    struct soft_code code;

    fatbin_start();
    fatbin_add(ELF, 75, NONE, 0);
    memcpy(linked, fatbin, sizeof(linked));
    fatbin_start();
    fatbin_add(PTX, 75, LZ4, 0);
    memcpy(part, fatbin, sizeof(part));

    CHECK_CASE("version 1");
    CHECK_EQ(soft_code_find(&wrapper, 0, 89, &code, NULL), FAB_OK);
    free(code.text);
    CHECK_CASE("in a file it is refused");
    CHECK_EQ(soft_code_find(&wrapper, sizeof(wrapper), 89, &code, NULL), FAB_ERR_FORMAT);
    CHECK_CASE("version 2 with one part");
    wrapper.version = 2;
    wrapper.image = linked;
    wrapper.parts = one_part;
    if (CHECK_EQ(soft_code_find(&wrapper, 0, 89, &code, NULL), FAB_OK))
        CHECK_STR(code.text, text_of(75));
    free(code.text);
    CHECK_CASE("version 2 with two parts");
    wrapper.parts = two_parts;
    CHECK_EQ(soft_code_find(&wrapper, 0, 89, &code, NULL), FAB_ERR_NOT_FOUND);
    CHECK(code.is_relocatable && code.has_machine_code && !code.text);
    CHECK_CASE("version 3");
    wrapper.version = 3;
    CHECK_EQ(soft_code_find(&wrapper, 0, 89, &code, NULL), FAB_ERR_FORMAT);
}

static void test_texts(void)
{
    static const struct {
        const char *label, *code;
        enum fab_status status;
    } cases[] = {
        {"PTX", ".version 8.0\n.target sm_75\n", FAB_OK},
        {"blanks and comments before", "\n // one\n /* two\n */ .version 8.0\n", FAB_OK},
        {"empty", "", FAB_ERR_FORMAT},
        {"another text", "hello", FAB_ERR_FORMAT},
        {"a comment without end", "/* .version 8.0", FAB_ERR_FORMAT},
        {"a line comment without end", "// .version 8.0", FAB_ERR_FORMAT},
        {"an ELF file",
         "\x7f"
         "ELF\x02\x01\x01",
         FAB_ERR_NOT_FOUND},
        {"shorter than a magic number", "\x7f", FAB_ERR_FORMAT},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct soft_code code;

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(soft_code_find(cases[i].code, 0, 89, &code, NULL), cases[i].status);
        CHECK_EQ(code.text != NULL, cases[i].status == FAB_OK);
        free(code.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_choice), CHECK_TEST(test_packings), CHECK_TEST(test_cut),
        CHECK_TEST(test_broken), CHECK_TEST(test_wrappers), CHECK_TEST(test_texts),
    };

    return check_run(tests);
}
