/* SPDX-License-Identifier: Apache-2.0
 * examples/compose-c/compose_example.c - GPUs for a while, from a C program, by libcompose.
 *
 *     cc compose_example.c -o compose_example $(pkg-config --cflags --libs libcompose)
 *     ./compose_example HOST GPUS
 *
 * Composes a system for HOST, shows what it got, and gives it back.
 */
#include <compose.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const struct compose_error *error)
{
    fprintf(stderr, "compose_example: %s\n", error->message);
    return 1;
}

static void show(const struct compose_system *system)
{
    for (size_t i = 0; i < system->host_count; i++) {
        const struct compose_host *host = &system->hosts[i];

        for (size_t k = 0; k < host->gpu_count; k++)
            printf("%s: GPU %zu of %s is %s, GPU %u of %s\n", system->name, k, host->name,
                   host->gpus[k].model, host->gpus[k].index, host->gpus[k].node);
    }
}

int main(int argc, char **argv)
{
    const char *hosts[1];
    struct compose_request request = {.hosts = hosts, .host_count = 1, .wait_ms = 60000};
    struct compose_system *system = NULL;
    struct compose_error error;
    struct compose *compose = NULL;
    int status = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: compose_example HOST GPUS\n");
        return 2;
    }
    hosts[0] = argv[1];
    request.gpus = (uint32_t)strtoul(argv[2], NULL, 10);
    if (compose_open(NULL, &compose, &error) != COMPOSE_OK)
        return fail(&error);
    if (compose_create(compose, &request, &system, &error) == COMPOSE_OK) {
        show(system);
        if (compose_delete(compose, system->name, &error) != COMPOSE_OK)
            status = fail(&error);
    } else {
        status = fail(&error);
    }
    compose_system_free(system);
    compose_close(compose);
    return status;
}
