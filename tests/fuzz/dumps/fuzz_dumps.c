/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes what describes a node in a file of libconfig: softcuda's devices, the daemon's settings.
 * What is accepted holds what its header says; what is refused says why. Not hwloc's XML: hwloc 2.9
 * itself crashes on XML that is wrong, which is why agents read it in a child.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "fabricd/settings.h"
#include "softcuda/devices/device_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
/* libconfig 1.5 loses the text of a string that a syntax error follows (fuzz_settings.c). */
FAB_EXPORT const char *__lsan_default_suppressions(void);

FAB_EXPORT const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig_yylex\nleak:strbuf_append\n";
}

static void read_devices(const char *path)
{
    static struct device_models models;
    struct fab_err err = {0};

    if (device_models_read(path, &models, &err) != FAB_OK) {
        fab_assert(err.text[0] != '\0');
        return;
    }
    fab_assert(models.count <= DEVICE_COUNT_MAX);
    for (uint32_t i = 0; i < models.count; i++) {
        const struct device_model *model = &models.device[i];
        char text[DEVICE_UUID_TEXT_BYTES];
        uint32_t domain, bus, device;

        fab_assert(model->memory_bytes > 0 && model->sm_count > 0);
        fab_assert(device_pci_parse(model->pci_bus_id, &domain, &bus, &device) == FAB_OK);
        fab_assert(device_uuid_format(model->uuid, text)[0] == 'G');
        for (uint32_t k = 0; k < models.count; k++) /* a link has two ends */
            fab_assert(model->peer_links[k] == models.device[k].peer_links[i]);
    }
}

static void read_settings(const char *path)
{
    struct fabricd_settings settings;
    struct fab_err err = {0};

    if (fabricd_settings_load(path, NULL, NULL, &settings, &err) != FAB_OK) {
        fab_assert(err.text[0] != '\0');
        return;
    }
    fab_assert(settings.node[0] != '\0' && settings.uid_count > 0);
    fab_settings_clear(&fabricd_schema, &settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    const int fd = memfd_create("dump", MFD_CLOEXEC);
    char path[64];

    fab_assert(fd >= 0 && write(fd, data, size_bytes) == (ssize_t)size_bytes);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    read_devices(path);
    read_settings(path);
    (void)close(fd);
    return 0;
}
