/* SPDX-License-Identifier: Apache-2.0
 * tests/ibsim/rack_probe.c - an agent's and a manager's part of discovery, for scripts.
 *
 *   rack_probe machine NAME XML SYSROOT [NVML]   this machine's record as one line of JSON
 *   rack_probe join RECORDS SWEEP                RECORDS: such lines; SWEEP: what fabric-sweep
 * wrote; the model as JSON, times go to stderr
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "topology/codec.h"
#include "topology/machine.h"
#include "topology/topo.h"

enum { MACHINES_MAX = 4096, MS_NS = 1000000, SWEEP_MAX_BYTES = 64 << 20 };

static int fail(enum fab_status status, const struct fab_err *err)
{
    printf("error %s: %s\n", fab_status_name(status), err->text);
    return 1;
}

static int show_machine(char **arguments, int count)
{
    struct topo_machine_source source = {.name = arguments[0],
                                         .hwloc_xml = arguments[1],
                                         .sysroot = arguments[2],
                                         .nvml = count > 3 ? arguments[3] : NULL};
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));
    struct fab_err err = {0};
    json_t *json = NULL;
    enum fab_status status = FAB_ERR_NOMEM;

    if (machine)
        status = topo_machine_discover(&source, machine, &err);
    if (status == FAB_OK)
        status = topo_machine_to_json(machine, &json, &err);
    free(machine);
    if (status != FAB_OK)
        return fail(status, &err);
    (void)json_dumpf(json, stdout, JSON_COMPACT);
    json_decref(json);
    return putchar('\n') == EOF;
}

struct machines {
    struct topo_machine *list[MACHINES_MAX];
    size_t count;
};

static enum fab_status read_one(struct machines *machines, const char *line, struct fab_err *err)
{
    struct topo_machine *machine;
    json_t *json = NULL;
    enum fab_status status;

    if (machines->count == MACHINES_MAX)
        return fab_err_set(err, FAB_ERR_LIMIT, "more than %d machines", MACHINES_MAX);
    machine = fab_alloc_zeroed(1, sizeof(*machine));
    if (!machine)
        return fab_err_set(err, FAB_ERR_NOMEM, "a machine");
    machines->list[machines->count++] = machine;
    status = fab_json_load(line, strlen(line), "record", NULL, &json, err);
    if (status != FAB_OK)
        return status;
    status = topo_machine_from_json(json, machine, err);
    json_decref(json);
    return status;
}

static enum fab_status read_all(const char *path, struct machines *machines, struct fab_err *err)
{
    FILE *file = fopen(path, "r");
    enum fab_status status = FAB_OK;
    char *line = NULL;
    size_t room = 0;

    if (!file)
        return fab_err_set(err, FAB_ERR_NOT_FOUND, "%s", path);
    while (status == FAB_OK && getline(&line, &room, file) > 0)
        status = read_one(machines, line, err);
    free(line);
    (void)fclose(file);
    return status;
}

/* Milliseconds since *mark_ns, which moves on. */
static double lap(uint64_t *mark_ns)
{
    uint64_t now = fab_clock_now_ns(fab_clock_real()), before = *mark_ns;

    *mark_ns = now;
    return (double)(now - before) / MS_NS;
}

static enum fab_status read_sweep(const char *path, struct topo_fabric *fabric_out,
                                  struct fab_err *err)
{
    static const struct fab_json_limits limits = {.size_bytes = SWEEP_MAX_BYTES};
    json_t *json = NULL;
    enum fab_status status = fab_json_load_file(path, &limits, &json, err);

    if (status == FAB_OK)
        status = topo_fabric_from_json(json, fabric_out, err);
    json_decref(json);
    return status;
}

static enum fab_status join(struct machines *machines, const char *sweep, struct fab_err *err)
{
    struct topo_fabric fabric;
    struct topo *topo = NULL;
    uint64_t mark = fab_clock_now_ns(fab_clock_real());
    double read, joined;
    enum fab_status status = read_sweep(sweep, &fabric, err);

    if (status != FAB_OK)
        return status;
    read = lap(&mark);
    status = topo_join((const struct topo_machine *const *)machines->list, machines->count, &fabric,
                       &topo, err);
    joined = lap(&mark);
    topo_fabric_clear(&fabric);
    if (status == FAB_OK)
        status = topo_print(topo, TOPO_FORMAT_JSON, stdout, err);
    topo_free(topo);
    (void)fprintf(stderr, "%zu machines: sweep read in %.0f ms, joined in %.0f ms\n",
                  machines->count, read, joined);
    return status;
}

static int show_model(char **arguments)
{
    struct machines *machines = fab_alloc_zeroed(1, sizeof(*machines));
    struct fab_err err = {0};
    enum fab_status status = FAB_ERR_NOMEM;

    if (machines) {
        status = read_all(arguments[0], machines, &err);
        if (status == FAB_OK)
            status = join(machines, arguments[1], &err);
        for (size_t i = 0; i < machines->count; i++)
            free(machines->list[i]);
    }
    free(machines);
    return status == FAB_OK ? 0 : fail(status, &err);
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "machine") == 0)
        return show_machine(argv + 2, argc - 2);
    if (argc == 4 && strcmp(argv[1], "join") == 0)
        return show_model(argv + 2);
    (void)fprintf(stderr, "see the head of rack_probe.c\n");
    return 2;
}
