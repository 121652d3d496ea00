/* SPDX-License-Identifier: Apache-2.0
 * The built libcuda.so.1 against the rows: each name is exported; cuGetProcAddress answers with
 * that very function where the row says implemented and with "not found" where it does not; and
 * what is not implemented refuses its call.
 */
#include <dlfcn.h>
#include <string.h>

#include <cuda.h>

#include "cuda-api/proc.h"
#include "tests/support/check.h"

static const struct row {
    const char *name, *exported;
    int version;
    bool is_per_thread, is_implemented;
} rows[] = {
#define PROC_ROW(name, version, per_thread, implemented, exported)                                 \
    {name, #exported, version, per_thread, implemented},
#include "generated/cuda-api/softcuda_procs.inc"
#undef PROC_ROW
};

static void *library;

typedef CUresult (*call_fn)(void);
typedef CUresult (*get_proc_fn)(const char *symbol, void **fn, int version, cuuint64_t flags,
                                CUdriverProcAddressQueryResult *status);

static void *exported(const char *name)
{
    void *fn = dlsym(library, name);

    CHECK(fn);
    return fn;
}

/* ISO C has no cast for what POSIX promises of dlsym(). */
static call_fn callable(void *address)
{
    call_fn fn;

    memcpy(&fn, &address, sizeof(fn));
    return fn;
}

static void test_all_names_are_exported(void)
{
    CHECK_EQ(FAB_ARRAY_LEN(rows), 637);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].exported);
        exported(rows[i].exported);
    }
}

static void test_get_proc_address(void)
{
    void *address = exported("cuGetProcAddress_v2");
    get_proc_fn get_proc;

    memcpy(&get_proc, &address, sizeof(get_proc));
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows) && get_proc; i++) {
        const struct row *row = &rows[i];
        cuuint64_t flags = row->is_per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM : 0;
        CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
        void *fn = NULL;
        CUresult result = get_proc(row->name, &fn, row->version, flags, &status);

        CHECK_CASE("%s@%d", row->exported, row->version);
        CHECK_EQ(result, CUDA_SUCCESS); /* with a status the status tells */
        CHECK_EQ(status, row->is_implemented ? CU_GET_PROC_ADDRESS_SUCCESS
                                             : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
        CHECK(fn == (row->is_implemented ? exported(row->exported) : NULL));
        CHECK_EQ(get_proc(row->name, &fn, row->version, flags, NULL),
                 row->is_implemented ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND);
    }
}

/* A refusing function looks at none of its arguments, so it can be called without any. */
static void test_refusals(void)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        CHECK_CASE("%s", rows[i].exported);
        if (!rows[i].is_implemented)
            CHECK_EQ(callable(exported(rows[i].exported))(), CUDA_ERROR_NOT_SUPPORTED);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_all_names_are_exported),
        CHECK_TEST(test_get_proc_address),
        CHECK_TEST(test_refusals),
    };

    library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "usage: test_capi_exports LIBCUDA: %s\n", argc == 2 ? dlerror() : "");
        return 2;
    }
    return check_run(tests);
}
