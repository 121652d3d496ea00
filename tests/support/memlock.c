/* SPDX-License-Identifier: Apache-2.0
 * tests/support/memlock.c - see memlock.h.
 */
#include "tests/support/memlock.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool memlock_limit(unsigned long limit_kib)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    rlim_t bytes = (rlim_t)limit_kib << 10;
    struct rlimit limit = {bytes, bytes};
    size_t more = (size_t)bytes + 4096;
    bool is_held;
    void *pages;

    if (syscall(SYS_capget, &header, data) != 0)
        return false;
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].permitted &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    if (syscall(SYS_capset, &header, data) != 0 || setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return false;
    pages = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    /* A sanitizer's mlock() does nothing. */
    is_held = syscall(SYS_mlock, pages, more) != 0;
    (void)munmap(pages, more);
    return is_held;
}

long memlock_held_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long sum = 0;
    int found = 0;

    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "VmLck:", 6) == 0 || strncmp(line, "VmPin:", 6) == 0) {
            sum += strtol(line + 6, NULL, 10);
            found++;
        }
    }
    if (file)
        (void)fclose(file);
    return found == 2 ? sum : -1;
}
