/* SPDX-License-Identifier: Apache-2.0
 * tests/rack/device_accounts.c - what the devices of this node themselves say of their use.
 *
 * A line a device, asked of the driver's management library and of nobody of ours in between: uuid,
 * bytes in use, processes. Exit status 1 with the function that failed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cuda-common/nvml.h"

enum { PROCESSES_MAX = 256, UUID_BYTES = 96 };

static void check(nvmlReturn_t result, const char *what)
{
    if (result == NVML_SUCCESS)
        return;
    printf("%s: %s\n", what, nvmlErrorString(result));
    exit(EXIT_FAILURE);
}

static void print_device(unsigned int index)
{
    static nvmlProcessInfo_t processes[PROCESSES_MAX];
    unsigned int count = PROCESSES_MAX;
    char uuid[UUID_BYTES];
    nvmlMemory_t memory;
    nvmlDevice_t device;

    check(nvmlDeviceGetHandleByIndex_v2(index, &device), "nvmlDeviceGetHandleByIndex_v2");
    check(nvmlDeviceGetUUID(device, uuid, sizeof(uuid)), "nvmlDeviceGetUUID");
    check(nvmlDeviceGetMemoryInfo(device, &memory), "nvmlDeviceGetMemoryInfo");
    check(nvmlDeviceGetComputeRunningProcesses_v3(device, &count, processes),
          "nvmlDeviceGetComputeRunningProcesses_v3");
    printf("%s %llu %u\n", uuid, memory.used, count);
}

int main(void)
{
    unsigned int count = 0;

    check(nvmlInit_v2(), "nvmlInit_v2");
    check(nvmlDeviceGetCount_v2(&count), "nvmlDeviceGetCount_v2");
    for (unsigned int i = 0; i < count; i++)
        print_device(i);
    check(nvmlShutdown(), "nvmlShutdown");
    return EXIT_SUCCESS;
}
