/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-common/test_fatbin.c - how long code is, in all the forms that programs hand
 * over.
 */
#include "tests/support/check.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cuda-common/fatbin.h"

enum { ROOM = 4096 };

struct made {
    _Alignas(8) uint8_t bytes[ROOM];
    size_t count;
};

static void put(struct made *made, size_t at, const void *value, size_t bytes)
{
    memcpy(made->bytes + at, value, bytes);
}

static void put64(struct made *made, size_t at, uint64_t value)
{
    put(made, at, &value, sizeof(value));
}

static void put32(struct made *made, size_t at, uint32_t value)
{
    put(made, at, &value, sizeof(value));
}

static void fatbin_start(struct made *made)
{
    memset(made, 0, sizeof(*made));
    put32(made, 0, CUC_FATBIN_MAGIC);
    put32(made, 4, 1 | CUC_FATBIN_HEADER_BYTES << 16);
    made->count = CUC_FATBIN_HEADER_BYTES;
}

static void fatbin_add(struct made *made, uint32_t kind, uint64_t payload_bytes)
{
    put32(made, made->count, kind | 0x0101u << 16);
    put32(made, made->count + 4, CUC_FATBIN_ENTRY_BYTES);
    put64(made, made->count + 8, payload_bytes);
    memset(made->bytes + made->count + CUC_FATBIN_ENTRY_BYTES, (int)kind, payload_bytes);
    made->count += CUC_FATBIN_ENTRY_BYTES + payload_bytes;
    put64(made, 8, made->count - CUC_FATBIN_HEADER_BYTES);
}

static void elf_make(struct made *made, uint64_t section_at, uint64_t section_bytes,
                     uint64_t segment_at, uint64_t segment_bytes)
{
    const Elf64_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
                             .e_shoff = 64,
                             .e_shnum = 2,
                             .e_shentsize = sizeof(Elf64_Shdr),
                             .e_phoff = 256,
                             .e_phnum = 1,
                             .e_phentsize = sizeof(Elf64_Phdr)};
    const Elf64_Shdr sections[2] = {
        {.sh_type = SHT_NOBITS, .sh_offset = 0, .sh_size = 1 << 20},
        {.sh_type = SHT_PROGBITS, .sh_offset = section_at, .sh_size = section_bytes}};
    const Elf64_Phdr segment = {.p_offset = segment_at, .p_filesz = segment_bytes};

    memset(made, 0, sizeof(*made));
    put(made, 0, &head, sizeof(head));
    put(made, 64, sections, sizeof(sections));
    put(made, 256, &segment, sizeof(segment));
}

static void test_elf(void)
{
    static const struct {
        const char *label;
        uint64_t section_at, section_bytes, segment_at, segment_bytes, limit, bytes;
        enum fab_status status;
    } cases[] = {
        {"tables last", 0, 10, 0, 0, 0, 256 + sizeof(Elf64_Phdr), FAB_OK},
        {"a section last", 1000, 24, 0, 64, 0, 1024, FAB_OK},
        {"a segment last", 1000, 24, 2000, 100, 0, 2100, FAB_OK},
        {"the file is long enough", 1000, 24, 0, 0, 1024, 1024, FAB_OK},
        {"the file is too short", 1000, 24, 0, 0, 1023, 0, FAB_ERR_TRUNCATED},
        {"not even the tables", 1000, 24, 0, 0, 100, 0, FAB_ERR_TRUNCATED},
        {"not even the header", 1000, 24, 0, 0, 63, 0, FAB_ERR_TRUNCATED},
        {"beyond all bounds", UINT64_MAX - 8, 24, 0, 0, 0, 0, FAB_ERR_FORMAT},
    };
    static struct made made;

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cuc_code code = {.bytes = 0};

        CHECK_CASE("%s", cases[i].label);
        elf_make(&made, cases[i].section_at, cases[i].section_bytes, cases[i].segment_at,
                 cases[i].segment_bytes);
        CHECK_EQ(cuc_code_measure(made.bytes, cases[i].limit, &code, NULL), cases[i].status);
        CHECK_EQ(code.bytes, cases[i].bytes);
    }
}

static void test_fatbin(void)
{
    static struct made made;
    struct cuc_code code = {.bytes = 0};

    fatbin_start(&made);
    CHECK_EQ(cuc_code_measure(made.bytes, 0, &code, NULL), FAB_OK);
    CHECK_EQ(code.bytes, made.count);
    fatbin_add(&made, CUC_FATBIN_ELF, 100);
    fatbin_add(&made, CUC_FATBIN_PTX, 64);
    CHECK_EQ(cuc_code_measure(made.bytes, 0, &code, NULL), FAB_OK);
    CHECK_EQ(code.bytes, made.count);
    CHECK(code.start == made.bytes);
    for (size_t limit = 4; limit < made.count; limit++) {
        CHECK_CASE("cut at %zu", limit);
        CHECK_EQ(cuc_code_measure(made.bytes, limit, &code, NULL), FAB_ERR_TRUNCATED);
    }
    put64(&made, CUC_FATBIN_HEADER_BYTES + 8, 1 << 20);
    CHECK_EQ(cuc_code_measure(made.bytes, 0, &code, NULL), FAB_ERR_TRUNCATED);
    fatbin_start(&made);
    put64(&made, 8, UINT64_MAX);
    CHECK_EQ(cuc_code_measure(made.bytes, 0, &code, NULL), FAB_ERR_TRUNCATED);
    put32(&made, 4, 2 | CUC_FATBIN_HEADER_BYTES << 16);
    CHECK_EQ(cuc_code_measure(made.bytes, 0, &code, NULL), FAB_ERR_FORMAT);
}

static void test_text(void)
{
    static const struct {
        const char *text;
    } cases[] = {{""}, {"x"}, {".ve"}, {".version 9.0\n"}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct cuc_code code = {.bytes = 0};

        CHECK_CASE("%s", cases[i].text);
        CHECK_EQ(cuc_code_measure(cases[i].text, 0, &code, NULL), FAB_OK);
        CHECK_EQ(code.bytes, strlen(cases[i].text) + 1);
    }
}

/* Which parts a wrapper of version 2 adds to its image. */
static void test_wrapper(void)
{
    static struct made image, with, without, other;
    static const struct {
        const char *label;
        uint32_t version;
        bool image_has_ptx;
        int parts; /* 0: none, 1: one with PTX, 2: two with PTX, 3: one without */
        bool joins;
        enum fab_status status;
    } cases[] = {
        {"version 1", 1, true, 0, false, FAB_OK},
        {"version 1 has no parts", 1, false, 1, false, FAB_OK},
        {"the image has PTX", 2, true, 1, false, FAB_OK},
        {"one part has it", 2, false, 1, true, FAB_OK},
        {"two parts have it", 2, false, 2, false, FAB_OK},
        {"no part has it", 2, false, 3, false, FAB_OK},
        {"no parts", 2, false, 0, false, FAB_OK},
        {"an unknown version", 3, true, 0, false, FAB_ERR_FORMAT},
    };

    fatbin_start(&with);
    fatbin_add(&with, CUC_FATBIN_PTX, 40);
    fatbin_start(&other);
    fatbin_add(&other, CUC_FATBIN_PTX, 48);
    fatbin_start(&without);
    fatbin_add(&without, CUC_FATBIN_ELF, 8);
    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const void *one[] = {without.bytes, with.bytes, NULL};
        const void *two[] = {with.bytes, other.bytes, NULL};
        const void *none[] = {without.bytes, NULL};
        const void *const *parts[] = {NULL, one, two, none};
        const struct cuc_wrapper wrapper = {.magic = CUC_WRAPPER_MAGIC,
                                            .version = cases[i].version,
                                            .image = image.bytes,
                                            .parts = parts[cases[i].parts]};
        struct cuc_code code = {.bytes = 0}, again = {.bytes = 0};

        CHECK_CASE("%s", cases[i].label);
        fatbin_start(&image);
        fatbin_add(&image, cases[i].image_has_ptx ? CUC_FATBIN_PTX : CUC_FATBIN_ELF, 16);
        CHECK_EQ(cuc_code_measure(&wrapper, 0, &code, NULL), cases[i].status);
        CHECK_EQ(code.made != NULL, cases[i].joins);
        if (cases[i].joins) {
            CHECK_EQ(code.bytes, image.count + with.count - CUC_FATBIN_HEADER_BYTES);
            CHECK_EQ(cuc_code_measure(code.start, code.bytes, &again, NULL), FAB_OK);
            CHECK_EQ(again.bytes, code.bytes);
        } else if (cases[i].status == FAB_OK) {
            CHECK_EQ(code.bytes, image.count);
        }
        CHECK_EQ(cuc_code_measure(&wrapper, sizeof(wrapper), &again, NULL), FAB_ERR_FORMAT);
        free(code.made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_elf), CHECK_TEST(test_fatbin),
                                       CHECK_TEST(test_text), CHECK_TEST(test_wrapper)};

    return check_run(tests);
}
