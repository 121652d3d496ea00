/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/nvml_text.c - texts of NVML: of errors, processes and bus ids.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cuda-common/nvml_row.h"

nvmlReturn_t cuc_nvml_put_text(const char *from, char *text, unsigned int length)
{
    size_t bytes = strlen(from) + 1;

    if (bytes > length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    memcpy(text, from, bytes);
    return NVML_SUCCESS;
}

nvmlReturn_t cuc_nvml_process_name(unsigned int pid, char *name, unsigned int length)
{
    char path[40], line[512];

    if (!name || length == 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    (void)snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == EACCES ? NVML_ERROR_NO_PERMISSION : NVML_ERROR_NOT_FOUND;
    ssize_t bytes = read(fd, line, sizeof(line) - 1); /* arguments end with 0: the first is left */

    (void)close(fd);
    line[bytes > 0 ? bytes : 0] = '\0';
    (void)snprintf(name, length, "%s", line);
    return NVML_SUCCESS;
}

const char *cuc_nvml_put_uuid(const uint8_t *uuid, char *text)
{
    size_t at = 4;

    memcpy(text, "GPU-", at);
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        (void)snprintf(text + at, 3, "%02x", uuid[i]);
        at += 2;
    }
    return text;
}

void cuc_nvml_put_bus_id(nvmlPciInfo_t *pci)
{
    (void)snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%04X:%02X:%02X.0",
                   pci->domain & 0xffff, pci->bus & 0xff, pci->device & 0x1f);
    (void)snprintf(pci->busId, sizeof(pci->busId), "%08X:%02X:%02X.0", pci->domain, pci->bus & 0xff,
                   pci->device & 0x1f);
}

const char *cuc_nvml_error_text(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
        return "Done";
    case NVML_ERROR_UNINITIALIZED:
        return "NVML is not initialised";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "An argument is invalid";
    case NVML_ERROR_NOT_SUPPORTED:
        return "The device does not support this";
    case NVML_ERROR_NO_PERMISSION:
        return "Permission denied";
    case NVML_ERROR_ALREADY_INITIALIZED:
        return "Initialised already";
    case NVML_ERROR_NOT_FOUND:
        return "Not found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return "The buffer is too small";
    case NVML_ERROR_INSUFFICIENT_POWER:
        return "External power cables are missing";
    case NVML_ERROR_DRIVER_NOT_LOADED:
        return "The driver is not loaded, or its device file is wrong";
    case NVML_ERROR_TIMEOUT:
        return "The time is over";
    case NVML_ERROR_IRQ_ISSUE:
        return "The kernel has a problem with the device's interrupts";
    case NVML_ERROR_LIBRARY_NOT_FOUND:
        return "The NVML library was not found";
    case NVML_ERROR_FUNCTION_NOT_FOUND:
        return "This NVML does not have the function";
    case NVML_ERROR_CORRUPTED_INFOROM:
        return "The infoROM is corrupted";
    case NVML_ERROR_GPU_IS_LOST:
        return "The device is lost";
    case NVML_ERROR_RESET_REQUIRED:
        return "The device must be reset";
    case NVML_ERROR_OPERATING_SYSTEM:
        return "The operating system keeps the device from us";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return "Driver and library are of different versions";
    case NVML_ERROR_IN_USE:
        return "The device is in use";
    case NVML_ERROR_MEMORY:
        return "Out of memory";
    case NVML_ERROR_NO_DATA:
        return "No data";
    case NVML_ERROR_VGPU_ECC_NOT_SUPPORTED:
        return "Not possible while ECC is on";
    case NVML_ERROR_INSUFFICIENT_RESOURCES:
        return "Resources other than memory are short";
    case NVML_ERROR_FREQ_NOT_SUPPORTED:
        return "The device does not have this frequency";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
        return "A structure is of another version";
    case NVML_ERROR_DEPRECATED:
        return "The function is no longer supported";
    case NVML_ERROR_NOT_READY:
        return "Not ready";
    case NVML_ERROR_GPU_NOT_FOUND:
        return "No such device";
    case NVML_ERROR_INVALID_STATE:
        return "The device is in the wrong state for this";
    case NVML_ERROR_UNKNOWN:
        break;
    }
    return "Unknown error";
}
