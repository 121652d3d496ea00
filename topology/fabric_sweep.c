/* SPDX-License-Identifier: Apache-2.0
 * topology/fabric_sweep.c - fabric-sweep: one sweep of the fabric as JSON on standard output.
 *
 * A daemon sweeps by starting this, with a deadline: libibnetdisc can wait long for a fabric that
 * is being taken apart, and loses 64 bytes a switch port a sweep (rdma-core 44), which a process
 * that ends does not notice. The failure is one line on standard error. fabric-sweep(8).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/parse.h"
#include "topology/codec.h"
#include "topology/fabric.h"

enum { TIMEOUT_MAX_MS = 60000, MISUSED = 2 };

static const struct option options[] = {{"hca", required_argument, NULL, 'h'},
                                        {"port", required_argument, NULL, 'p'},
                                        {"counters", no_argument, NULL, 'c'},
                                        {"timeout-ms", required_argument, NULL, 't'},
                                        {0}};

static enum fab_status take_number(const char *name, const char *text, int64_t max,
                                   int64_t *value_out, struct fab_err *err)
{
    if (fab_parse_int(text, value_out) != FAB_OK || *value_out < 1 || *value_out > max)
        return fab_err_set(err, FAB_ERR_RANGE, "--%s %s: expected 1 .. %lld", name, text,
                           (long long)max);
    return FAB_OK;
}

static enum fab_status take_arguments(int argc, char **argv, struct topo_fabric_source *source,
                                      struct fab_err *err)
{
    int64_t number = 0;
    enum fab_status status = FAB_OK;
    int option;

    while (status == FAB_OK && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'h':
            source->hca = optarg;
            break;
        case 'p':
            status = take_number("port", optarg, UINT8_MAX, &number, err);
            source->port = (uint8_t)number;
            break;
        case 'c':
            source->counters = true;
            break;
        case 't':
            status = take_number("timeout-ms", optarg, TIMEOUT_MAX_MS, &number, err);
            source->timeout_ms = (uint32_t)number;
            break;
        default: /* getopt_long has said it */
            return fab_err_set(err, FAB_ERR_INVALID, "see fabric-sweep(8)");
        }
    }
    if (status == FAB_OK && optind < argc)
        return fab_err_set(err, FAB_ERR_INVALID, "%s: no such argument", argv[optind]);
    return status;
}

static enum fab_status sweep(const struct topo_fabric_source *source, struct fab_err *err)
{
    struct topo_fabric fabric;
    json_t *json = NULL;
    enum fab_status status = topo_fabric_discover(source, &fabric, err);
    int result;

    if (status != FAB_OK)
        return status;
    status = topo_fabric_to_json(&fabric, &json, err);
    topo_fabric_clear(&fabric);
    if (status != FAB_OK)
        return status;
    result = json_dumpf(json, stdout, JSON_COMPACT);
    json_decref(json);
    if (result != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
        return fab_err_set(err, FAB_ERR_IO, "the sweep could not be written");
    return FAB_OK;
}

int main(int argc, char **argv)
{
    struct topo_fabric_source source = {0};
    struct fab_err err = {0};
    enum fab_status status = take_arguments(argc, argv, &source, &err);
    int exit_status = status == FAB_OK ? EXIT_FAILURE : MISUSED;

    if (status == FAB_OK)
        status = sweep(&source, &err);
    if (status == FAB_OK)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "fabric-sweep: %s (%s)\n", err.text, fab_status_name(status));
    return exit_status;
}
