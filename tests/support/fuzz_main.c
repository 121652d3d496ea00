/* SPDX-License-Identifier: Apache-2.0
 * tests/support/fuzz_main.c - runs a fuzz target's corpus once, without libFuzzer.
 *
 * Each argument is a file or a folder (walked downwards). A corpus without a single
 * file is an error, so that a wrong path cannot pass. Exit status 0: all inputs ran.
 */
#include <errno.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum { OPEN_FOLDERS = 16, INPUT_MAX_BYTES = 16 << 20 };

static unsigned inputs_run;

/* A copy of exactly the input's size, so that a sanitizer sees a read behind its end. */
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *whole = NULL, *exact = NULL;
    size_t size_bytes;
    int result = -1;

    if (!file)
        goto out;
    whole = malloc(INPUT_MAX_BYTES);
    if (!whole)
        goto out;
    size_bytes = fread(whole, 1, INPUT_MAX_BYTES, file);
    if (ferror(file) || size_bytes == INPUT_MAX_BYTES)
        goto out;
    exact = realloc(whole, size_bytes ? size_bytes : 1);
    if (!exact)
        goto out;
    whole = NULL;
    (void)LLVMFuzzerTestOneInput(exact, size_bytes);
    inputs_run++;
    result = 0;
out:
    if (result != 0)
        (void)fprintf(stderr, "%s: cannot be read whole: %s\n", path, strerror(errno));
    free(whole);
    free(exact);
    if (file)
        (void)fclose(file);
    return result;
}

static int visit(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)where;
    return type == FTW_F ? run_file(path) : 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], visit, OPEN_FOLDERS, FTW_PHYS) != 0) {
            (void)fprintf(stderr, "%s: stopped\n", argv[i]);
            return 1;
        }
    }
    (void)printf("%u inputs\n", inputs_run);
    return inputs_run > 0 ? 0 : 1;
}
