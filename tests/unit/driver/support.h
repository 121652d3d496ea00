/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/driver/support.h - a process with devices of its own, for tests of the driver.
 *
 * Accounts lie in a fresh folder that is removed at exit. Use once, first thing in main.
 */
#ifndef TESTS_UNIT_DRIVER_SUPPORT_H
#define TESTS_UNIT_DRIVER_SUPPORT_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char support_dir[64];
static pid_t support_owner; /* a forked child removes nothing */

/* Removes the folder and the files in it. */
static inline void support_remove(void)
{
    DIR *dir = getpid() == support_owner ? opendir(support_dir) : NULL;
    const struct dirent *entry;
    char path[400];

    while (dir && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", support_dir, entry->d_name);
        (void)unlink(path);
    }
    if (dir) {
        (void)closedir(dir);
        (void)rmdir(support_dir);
    }
}

/* Makes the folder and names it in SOFTCUDA_STATE. `config`: text of a device file, or NULL for
 * `devices` default ones. */
static inline void support_devices(const char *config, const char *devices)
{
    char path[96];

    (void)snprintf(support_dir, sizeof(support_dir), "/tmp/softcuda-test-XXXXXX");
    if (!mkdtemp(support_dir))
        abort();
    support_owner = getpid();
    (void)atexit(support_remove);
    (void)setenv("SOFTCUDA_STATE", support_dir, 1);
    (void)unsetenv("SOFTCUDA_CONFIG");
    (void)unsetenv("CUDA_VISIBLE_DEVICES");
    (void)unsetenv("CUDA_DEVICE_ORDER");
    if (devices)
        (void)setenv("SOFTCUDA_DEVICES", devices, 1);
    if (!config)
        return;
    (void)snprintf(path, sizeof(path), "%s/devices.cfg", support_dir);
    FILE *file = fopen(path, "w");

    if (!file || fputs(config, file) == EOF || fclose(file) != 0)
        abort();
    (void)setenv("SOFTCUDA_CONFIG", path, 1);
}

#endif /* TESTS_UNIT_DRIVER_SUPPORT_H */
