/* SPDX-License-Identifier: Apache-2.0
 * topology/machine.c - see machine.h: asks the three sources and checks what they made.
 */
#include "topology/machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "topology/machine_int.h"

void topo_text_copy(char *to, size_t size_bytes, const char *from)
{
    size_t i;

    for (i = 0; i + 1 < size_bytes && from[i]; i++)
        to[i] = from[i];
    for (size_t at = 0; at < i; at++) {
        if (to[at] < ' ' || to[at] > '~')
            to[at] = '?';
    }
    to[i] = '\0';
}

enum fab_status topo_machine_discover(const struct topo_machine_source *source,
                                      struct topo_machine *machine_out, struct fab_err *err)
{
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));
    enum fab_status status;

    if (!machine)
        return fab_err_set(err, FAB_ERR_NOMEM, "a machine's record");
    if (strlen(source->name) >= sizeof(machine->name)) {
        free(machine);
        return fab_err_set(err, FAB_ERR_LIMIT, "the name %s is too long", source->name);
    }
    topo_text_copy(machine->name, sizeof(machine->name), source->name);
    status = topo_hwloc_read(source->hwloc_xml, machine, err);
    if (status == FAB_OK && source->nvml)
        status = topo_nvml_read(source->nvml, machine, err);
    if (status == FAB_OK) {
        topo_sysroot_read(source->sysroot ? source->sysroot : "", machine);
        status = topo_machine_check(machine, err);
    }
    if (status == FAB_OK)
        *machine_out = *machine;
    free(machine);
    return status;
}
