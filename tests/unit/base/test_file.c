/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/test_file.c - whole files: sizes around the limit, special files, failures.
 */
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "tests/support/faults.h"

enum { LIMIT_BYTES = 10000 };

static char path[] = "/tmp/test_base_file.XXXXXX";

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, LIMIT_BYTES - 1, LIMIT_BYTES};

    for (size_t i = 0; i < FAB_ARRAY_LEN(sizes); i++) {
        size_t size_bytes = 0;
        char *bytes = NULL;

        CHECK_CASE("%zu bytes", sizes[i]);
        CHECK_EQ(truncate(path, (off_t)sizes[i]), 0);
        CHECK_EQ(fab_file_read(path, LIMIT_BYTES, &bytes, &size_bytes, NULL), FAB_OK);
        CHECK_EQ(size_bytes, sizes[i]);
        CHECK(bytes && bytes[size_bytes] == '\0');
        free(bytes);
    }
}

static void test_failures(void)
{
    struct fab_err err = {.status = FAB_OK};
    size_t size_bytes = 77;
    char *bytes = NULL;

    CHECK_CASE("one byte too many");
    CHECK_EQ(truncate(path, LIMIT_BYTES + 1), 0);
    CHECK_EQ(fab_file_read(path, LIMIT_BYTES, &bytes, &size_bytes, &err), FAB_ERR_LIMIT);
    CHECK_HAS(err.text, path);
    CHECK_HAS(err.text, ": larger than 10000 bytes");
    CHECK_CASE("without an end");
    CHECK_EQ(fab_file_read("/dev/zero", LIMIT_BYTES, &bytes, &size_bytes, &err), FAB_ERR_LIMIT);
    CHECK_CASE("missing");
    CHECK_EQ(fab_file_read("/nonexistent", LIMIT_BYTES, &bytes, &size_bytes, &err),
             FAB_ERR_NOT_FOUND);
    CHECK_STR(err.text, "/nonexistent: No such file or directory");
    CHECK_CASE("a folder");
    CHECK_EQ(fab_file_read("/tmp", LIMIT_BYTES, &bytes, &size_bytes, &err), FAB_ERR_IO);
    CHECK_HAS(err.text, "/tmp: reading: ");
    CHECK_CASE("outputs are untouched");
    CHECK(bytes == NULL);
    CHECK_EQ(size_bytes, 77);
}

static void test_proc(void)
{
    char *bytes = NULL;

    CHECK_CASE("a file that says it is empty");
    CHECK_EQ(fab_file_read("/proc/self/status", 1 << 20, &bytes, NULL, NULL), FAB_OK);
    CHECK_HAS(bytes, "Name:");
    free(bytes);
}

static enum fab_status fault_scenario(void)
{
    char *bytes = NULL;
    enum fab_status status = fab_file_read(path, LIMIT_BYTES, &bytes, NULL, NULL);

    free(bytes);
    return status;
}

static void test_faults(void)
{
    CHECK_EQ(truncate(path, 10), 0);
    /* open, the memory, the data and the end. */
    CHECK_EQ(faults_run("file", fault_scenario), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_sizes),
        CHECK_TEST(test_failures),
        CHECK_TEST(test_proc),
        CHECK_TEST(test_faults),
    };
    int fd = mkstemp(path), result;

    if (fd < 0)
        return 1;
    result = check_run(tests);
    (void)close(fd);
    (void)unlink(path);
    return result;
}
