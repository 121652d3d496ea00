/* SPDX-License-Identifier: Apache-2.0
 * The generated machine profiles of configs/, from their files to the classes between their
 * devices: hwloc, softcuda's NVML and sysroot, then the model.
 */
#include "tests/support/check.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "topology/machine.h"
#include "topology/topo.h"

enum { PATH_BYTES = 512, CLASSES_BYTES = 256 };

static char scratch[64]; /* softcuda's accounts */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void remove_scratch(void)
{
    (void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct topo *join(const char *profile)
{
    static struct topo_machine machine;
    const struct topo_machine *borrowed = &machine;
    char xml[PATH_BYTES], sysroot[PATH_BYTES], devices[PATH_BYTES];
    struct topo_machine_source source = {.name = "m", .hwloc_xml = xml, .sysroot = sysroot};
    struct topo *topo = NULL;
    struct fab_err err = {0};

    (void)snprintf(xml, sizeof(xml), "%s/%s/hwloc.xml", PROFILES, profile);
    (void)snprintf(sysroot, sizeof(sysroot), "%s/%s/sysroot", PROFILES, profile);
    (void)snprintf(devices, sizeof(devices), "%s/%s/softcuda.cfg", PROFILES, profile);
    if (access(devices, R_OK) == 0) {
        (void)setenv("SOFTCUDA_CONFIG", devices, 1);
        source.nvml = NVML_LIBRARY;
    }
    if (topo_machine_discover(&source, &machine, &err) != FAB_OK ||
        topo_join(&borrowed, 1, NULL, &topo, &err) != FAB_OK)
        fail_msg("%s: %s", profile, err.text);
    return topo;
}

static void add_class(const struct topo *topo, topo_id from, topo_id to, char *classes)
{
    struct topo_path path = {.class = TOPO_APART};
    size_t length = strlen(classes);

    CHECK_EQ(topo_path(topo, from, to, &path, NULL), FAB_OK);
    (void)snprintf(classes + length, CLASSES_BYTES - length, "%s ", topo_class_name(path.class));
}

/* The GPUs' to each other (upper triangle, row by row), then each GPU's to each HCA. */
static void test_classes(void)
{
    static const struct {
        const char *profile, *gpus, *hcas;
    } cases[] = {
        {"c4130-a", "PIX PIX PIX PIX PIX PIX ", "PHB PHB PHB PHB "},
        {"c4130-b", "PIX PIX PIX PIX PIX PIX ", "PHB PHB PHB PHB "},
        {"c4130-c", "PHB SYS SYS SYS SYS PHB ", "PHB PHB SYS SYS "},
        {"c4130-d", "SYS ", "PHB SYS "},
        {"c4130-g", "PIX SYS SYS SYS SYS PIX ", "PIX SYS PIX SYS SYS PIX SYS PIX "},
        {"c4130-k", "NV NV NV NV NV NV ", "PHB PHB PHB PHB "},
        {"r730", "", ""},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct topo *topo = join(cases[i].profile);
        char gpus[CLASSES_BYTES] = "", hcas[CLASSES_BYTES] = "";
        topo_id from = TOPO_NO_ID;

        CHECK_CASE("%s", cases[i].profile);
        while ((from = topo_next(topo, TOPO_GPU, TOPO_NO_ID, from)) != TOPO_NO_ID) {
            for (topo_id to = from; (to = topo_next(topo, TOPO_GPU, TOPO_NO_ID, to)) != TOPO_NO_ID;)
                add_class(topo, from, to, gpus);
            for (topo_id to = TOPO_NO_ID;
                 (to = topo_next(topo, TOPO_HCA, TOPO_NO_ID, to)) != TOPO_NO_ID;)
                add_class(topo, from, to, hcas);
        }
        CHECK_STR(gpus, cases[i].gpus);
        CHECK_STR(hcas, cases[i].hcas);
        topo_free(topo);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_classes)};

    (void)snprintf(scratch, sizeof(scratch), "/tmp/topo-test-XXXXXX");
    if (!mkdtemp(scratch))
        check_skip("no folder in /tmp");
    (void)atexit(remove_scratch);
    (void)setenv("SOFTCUDA_STATE", scratch, 1);
    return check_run(tests);
}
