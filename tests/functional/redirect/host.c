/* SPDX-License-Identifier: Apache-2.0
 * A program without CUDA of its own. With an argument it opens that library twice, closing it in
 * between; without one it is linked to libembedded.so. MDWE asks the kernel to refuse memory that
 * becomes executable.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/prctl.h>

#ifdef LINKED
int library_call(void);
#endif

int main(int argc, char **argv)
{
#ifdef LINKED
    (void)argc, (void)argv;
    (void)library_call();
#else
#ifdef MDWE
    if (prctl(65 /* PR_SET_MDWE */, 1 /* PR_MDWE_REFUSE_EXEC_GAIN */, 0, 0, 0) != 0)
        return 77;
#endif
    for (int round = 0; round < 2 && argc > 1; round++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        int (*call)(void) = library ? (int (*)(void))dlsym(library, "library_call") : NULL;
        if (!call) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        (void)call();
        dlclose(library);
    }
#endif
    return 0;
}
