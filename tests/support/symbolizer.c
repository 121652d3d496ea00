/* SPDX-License-Identifier: Apache-2.0
 * The thread sanitizer's symbolizer, without which no suppression matches: a sanitizer starts it in
 * the environment of the program under test, where LD_PRELOAD and LD_AUDIT name our own libraries,
 * and those cannot be loaded into a program without the sanitizer. This one is static, so the
 * loader does nothing to it, and starts the real one without them.
 */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("LD_AUDIT");
    (void)unsetenv("LD_LIBRARY_PATH");
    (void)execv(LLVM_SYMBOLIZER, argv);
    return EXIT_FAILURE;
}
