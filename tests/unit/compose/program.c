/* SPDX-License-Identifier: Apache-2.0
 * What `compose run` starts in the tests: says what it met, and ends as it is told.
 *
 *     compose_program STATUS|kill
 *
 * A program of the build, because a sanitized CUDA runtime cannot be put under the system's own.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

enum { DESCRIPTORS_LOOKED_AT = 64 };

int main(int argc, char **argv)
{
    static const char *const names[] = {"FABRIC_SYSTEM",        "FABRIC_SOCKET", "SOFTCUDA_DEVICES",
                                        "LD_LIBRARY_PATH",      "LD_PRELOAD",    "LD_AUDIT",
                                        "CUDA_VISIBLE_DEVICES", "FABRIC_GPUS",   "UCX_NET_DEVICES"};

    printf("pid=%d\n", (int)getpid());
    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++)
        printf("%s=%s\n", names[i], getenv(names[i]) ? getenv(names[i]) : "");
    printf("descriptors=");
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ", fd);
    printf("\narguments=");
    for (int i = 1; i < argc; i++)
        printf("%s ", argv[i]);
    printf("\n");
    (void)fflush(stdout);
    if (argc > 1 && strcmp(argv[1], "kill") == 0)
        (void)kill(getpid(), SIGKILL);
    return argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
}
