/* SPDX-License-Identifier: Apache-2.0
 * cuda-api/proc.c: the version rules on a small table, and every request of the 13.0 runtime on
 * softcuda's real rows.
 */
#include "cuda-api/proc.h"

#include <string.h>

#include "tests/support/check.h"

static void fn_plain(void)
{
}

#define ROW(name, version, per_thread, implemented)                                                \
    {                                                                                              \
        name, version, per_thread, implemented, fn_plain                                           \
    }

static const struct capi_proc small[] = {
    ROW("cuA", 2000, false, true),  /* 0: one ABI */
    ROW("cuB", 2000, false, true),  /* 1: three ABIs, the middle one not implemented */
    ROW("cuB", 3020, false, false), /* 2 */
    ROW("cuB", 12000, false, true), /* 3 */
    ROW("cuC", 3020, false, true),  /* 4: per-thread since 7.0 */
    ROW("cuC", 7000, true, true),   /* 5 */
    ROW("cuD", 8000, false, true),  /* 6: two ABIs, both with twins */
    ROW("cuD", 12020, false, true), /* 7 */
    ROW("cuD", 8000, true, true),   /* 8 */
    ROW("cuD", 12020, true, true),  /* 9 */
    ROW("cuE", 11000, true, false), /* 10: not implemented at all */
};

static void test_rules(void)
{
    static const struct {
        const char *label, *name;
        int version;
        uint64_t flags;
        enum capi_proc_status status;
        size_t row;
    } cases[] = {
        {"first row", "cuA", 2000, 0, CAPI_PROC_FOUND, 0},
        {"much newer program", "cuA", 99000, 0, CAPI_PROC_FOUND, 0},
        {"older than the first ABI", "cuA", 1999, 0, CAPI_PROC_VERSION_NOT_SUFFICIENT, 0},
        {"version 0", "cuA", 0, 0, CAPI_PROC_VERSION_NOT_SUFFICIENT, 0},
        {"negative version", "cuA", -1, 0, CAPI_PROC_VERSION_NOT_SUFFICIENT, 0},
        {"oldest of three", "cuB", 3019, 0, CAPI_PROC_FOUND, 1},
        {"an ABI that is not implemented gives no older one", "cuB", 3020, 0, CAPI_PROC_NOT_FOUND,
         0},
        {"just below the newest", "cuB", 11999, 0, CAPI_PROC_NOT_FOUND, 0},
        {"newest", "cuB", 13000, 0, CAPI_PROC_FOUND, 3},
        {"plain without the flag", "cuC", 13000, 0, CAPI_PROC_FOUND, 4},
        {"plain with the legacy flag", "cuC", 13000, CAPI_PROC_LEGACY_STREAM, CAPI_PROC_FOUND, 4},
        {"per-thread", "cuC", 7000, CAPI_PROC_PER_THREAD_STREAM, CAPI_PROC_FOUND, 5},
        {"per-thread before there was one", "cuC", 6050, CAPI_PROC_PER_THREAD_STREAM,
         CAPI_PROC_FOUND, 4},
        {"no per-thread variant", "cuA", 13000, CAPI_PROC_PER_THREAD_STREAM, CAPI_PROC_FOUND, 0},
        {"old per-thread ABI", "cuD", 12019, CAPI_PROC_PER_THREAD_STREAM, CAPI_PROC_FOUND, 8},
        {"new per-thread ABI", "cuD", 12020, CAPI_PROC_PER_THREAD_STREAM, CAPI_PROC_FOUND, 9},
        {"new plain ABI", "cuD", 12020, 0, CAPI_PROC_FOUND, 7},
        {"not implemented", "cuE", 13000, CAPI_PROC_PER_THREAD_STREAM, CAPI_PROC_NOT_FOUND, 0},
        {"only per-thread rows, plain asked", "cuE", 13000, 0, CAPI_PROC_VERSION_NOT_SUFFICIENT, 0},
        {"empty name", "", 13000, 0, CAPI_PROC_NOT_FOUND, 0},
        {"no name", NULL, 13000, 0, CAPI_PROC_NOT_FOUND, 0},
        {"unknown, before the first", "aaa", 13000, 0, CAPI_PROC_NOT_FOUND, 0},
        {"unknown, between", "cuBB", 13000, 0, CAPI_PROC_NOT_FOUND, 0},
        {"unknown, after the last", "cuZ", 13000, 0, CAPI_PROC_NOT_FOUND, 0},
        {"a name's beginning", "cu", 13000, 0, CAPI_PROC_NOT_FOUND, 0},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        enum capi_proc_status status = CAPI_PROC_FOUND;
        const struct capi_proc *row;

        CHECK_CASE("%s", cases[i].label);
        row = capi_proc_find(small, FAB_ARRAY_LEN(small), cases[i].name, cases[i].version,
                             cases[i].flags, &status);
        CHECK_EQ(status, cases[i].status);
        CHECK(row == (cases[i].status == CAPI_PROC_FOUND ? &small[cases[i].row] : NULL));
    }
}

static void test_empty_table(void)
{
    enum capi_proc_status status = CAPI_PROC_FOUND;

    CHECK(!capi_proc_find(small, 0, "cuA", 13000, 0, &status));
    CHECK_EQ(status, CAPI_PROC_NOT_FOUND);
}

/* softcuda's rows without the functions, and the exported name of each. */
static const struct capi_proc rows[] = {
#define PROC_ROW(name, version, per_thread, implemented, exported)                                 \
    ROW(name, version, per_thread, implemented),
#include "generated/cuda-api/softcuda_procs.inc"
#undef PROC_ROW
};

static const char *const exported_names[] = {
#define PROC_ROW(name, version, per_thread, implemented, exported) #exported,
#include "generated/cuda-api/softcuda_procs.inc"
#undef PROC_ROW
};

static void check_request(const struct capi_proc *table, const char *name, int version,
                          uint64_t flags, const char *exported)
{
    enum capi_proc_status status = CAPI_PROC_FOUND;
    const struct capi_proc *row =
        capi_proc_find(table, FAB_ARRAY_LEN(rows), name, version, flags, &status);

    CHECK_EQ(status, exported ? CAPI_PROC_FOUND : CAPI_PROC_NOT_FOUND);
    CHECK_EQ(!row, !exported);
    if (row && exported)
        CHECK_STR(exported_names[row - table], exported);
}

static void test_runtime_requests(void)
{
    static const struct {
        const char *name;
        int version;
        uint64_t flags;
        const char *exported;
        bool is_answered;
    } requests[] = {
#define REQUEST(name, version, flags, exported, answered)                                          \
    {name, version, flags, exported, answered},
        REQUEST("", 0, 0, NULL, false) /* the runtime's first one */
#include "tests/unit/cuda-api/runtime_requests.inc"
#undef REQUEST
    };
    struct capi_proc complete[FAB_ARRAY_LEN(rows)]; /* as if every row were implemented */

    memcpy(complete, rows, sizeof(rows));
    for (size_t i = 0; i < FAB_ARRAY_LEN(complete); i++)
        complete[i].is_implemented = true;
    CHECK_EQ(FAB_ARRAY_LEN(requests), 439);
    for (size_t i = 0; i < FAB_ARRAY_LEN(requests); i++) {
        CHECK_CASE("%s@%d flags %u", requests[i].name, requests[i].version,
                   (unsigned int)requests[i].flags);
        check_request(complete, requests[i].name, requests[i].version, requests[i].flags,
                      requests[i].exported);
        check_request(rows, requests[i].name, requests[i].version, requests[i].flags,
                      requests[i].is_answered ? requests[i].exported : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_rules),
        CHECK_TEST(test_empty_table),
        CHECK_TEST(test_runtime_requests),
    };

    return check_run(tests);
}
