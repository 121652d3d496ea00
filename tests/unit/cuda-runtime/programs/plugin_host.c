/* SPDX-License-Identifier: Apache-2.0
 * Opens a shared object with device code twice, as a plain C program that links no CUDA.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int use(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "plugin_run") : NULL;
    int (*run)(int) = NULL;
    int status;

    if (!symbol) {
        printf("%s\n", dlerror());
        return 1;
    }
    memcpy(&run, &symbol, sizeof(symbol));
    status = run(3);
    return dlclose(library) ? 1 : status;
}

int main(int argc, char **argv)
{
    if (argc != 2 || use(argv[1]) != 0 || use(argv[1]) != 0)
        return 1;
    printf("done\n");
    return 0;
}
