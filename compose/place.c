/* SPDX-License-Identifier: Apache-2.0
 * compose/place.c - see place.h.
 */
#include "compose/place.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda-runtime/launcher/launcher.h"

enum { EXIT_NOT_STARTED = 126, EXIT_NOT_FOUND = 127 };

/* ---- libraries and programs -------------------------------------------------------------------
 */

enum fab_status place_libraries_find(const char *driver, struct place_libraries *libraries_out,
                                     struct fab_err *err)
{
    enum fab_status status = launcher_library_dir(driver, libraries_out->driver_dir, err);

    return status == FAB_OK ? launcher_library_dir("runtime", libraries_out->runtime_dir, err)
                            : status;
}

enum fab_status place_program_find(const char *name, struct fab_err *err)
{
    char path[PATH_MAX];

    return launcher_find_program(name, path, err);
}

static struct launcher_request request_of(const struct place_libraries *libraries, char **program,
                                          const char *const *set)
{
    return (struct launcher_request){.driver_dir = libraries->driver_dir,
                                     .runtime_dir = libraries->runtime_dir,
                                     .argv = program,
                                     .set = set};
}

enum fab_status place_exec(const struct place_libraries *libraries, char **program,
                           const char *const *set, struct fab_err *err)
{
    const struct launcher_request request = request_of(libraries, program, set);

    return launcher_exec(&request, err);
}

int place_not_started(const struct cli *cli, enum fab_status status, const struct fab_err *err)
{
    (void)cli_fail(cli, "%s", err->text);
    return status == FAB_ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
}

int place_become(struct cli *cli, const char *driver, const char *const *set, char **program)
{
    struct place_libraries libraries;
    struct fab_err err = {0};
    enum fab_status status = place_libraries_find(driver, &libraries, &err);

    compose_close(cli->compose); /* its socket is not the program's */
    cli->compose = NULL;
    if (status == FAB_OK)
        status = place_exec(&libraries, program, set, &err);
    return place_not_started(cli, status, &err);
}

enum fab_status place_environment(const struct place_libraries *libraries, const char *const *set,
                                  char ***environment_out, struct fab_err *err)
{
    const struct launcher_request request = request_of(libraries, NULL, set);
    static const char *const names[] = {"LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"};
    char *inherited[FAB_ARRAY_LEN(names) + 1] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < FAB_ARRAY_LEN(names); i++)
        if (getenv(names[i]))
            inherited[count++] = cli_text("%s=%s", names[i], getenv(names[i]));
    return launcher_environment(&request, "", inherited, environment_out, err);
}

void place_print_quoted(FILE *stream, const char *text)
{
    (void)fputc('\'', stream);
    for (; *text; text++) {
        if (*text == '\'')
            (void)fputs("'\\''", stream);
        else
            (void)fputc(*text, stream);
    }
    (void)fputc('\'', stream);
}

void place_print_export(FILE *stream, const char *name, const char *value)
{
    fprintf(stream, "export %s=", name);
    place_print_quoted(stream, value);
    (void)fputc('\n', stream);
}

/* ---- the daemon -------------------------------------------------------------------------------
 */

const char *place_attach_socket(struct cli *cli)
{
    const char *named = getenv("FABRIC_API"), *api = cli->options.api, *slash;

    if (!api)
        api = named && named[0] ? named : COMPOSE_SOCKET;
    slash = strrchr(api, '/');
    if (api[0] != '/' || !slash)
        cli_misuse(cli, "programs use the daemon of their own host: give its socket, not %s", api);
    return cli_text("FABRIC_SOCKET=%.*s/client.sock", (int)(slash - api), api);
}

static bool has_host(const json_t *system, const char *host)
{
    const json_t *hosts = compose_array_at(system, "Oem.Fabric.Hosts");

    for (size_t i = 0; i < json_array_size(hosts); i++)
        if (strcmp(compose_text_at(json_array_get(hosts, i), "Name", ""), host) == 0)
            return true;
    return false;
}

void place_check_system(struct cli *cli, const char *name, const char *host)
{
    json_t *system = cli_get_named(cli, "/redfish/v1/Systems", name);
    const char *state = compose_text_at(system, "Oem.Fabric.State", "");

    if (strcmp(state, "composed") != 0)
        cli_exit(cli_fail(cli, "%s is %s and cannot be used now%s%s: see 'compose show %s'", name,
                          state, compose_text_at(system, "Oem.Fabric.Reason", "")[0] ? ": " : "",
                          compose_text_at(system, "Oem.Fabric.Reason", ""), name));
    if (!host)
        host = cli_this_node(cli);
    if (!has_host(system, host))
        cli_exit(cli_fail(cli,
                          "%s is not composed for %s, this host: start the program on one of its "
                          "hosts (compose show %s)",
                          name, host, name));
    json_decref(system);
}

static const char *compose(struct cli *cli, const struct place_target *target)
{
    const char *here = target->host ? target->host : cli_this_node(cli), *name;
    const struct compose_request request = {.hosts = &here,
                                            .host_count = 1,
                                            .gpus = target->gpus,
                                            .rails = target->rails,
                                            .wait_ms = target->wait_ms,
                                            .is_adhoc = 1};
    struct compose_system *system = NULL;
    struct compose_error error;

    cli_progress(cli, cli_text("composing %u GPUs for %s", target->gpus, here));
    if (compose_create(cli_open(cli), &request, &system, &error) != COMPOSE_OK)
        cli_end(cli, &error);
    cli_progress(cli, NULL);
    name = cli_text("FABRIC_SYSTEM=%s", system->name);
    compose_system_free(system);
    return name;
}

const char *place_system(struct cli *cli, const struct place_target *target)
{
    if (!target->system)
        return compose(cli, target);
    place_check_system(cli, target->system, target->host);
    return cli_text("FABRIC_SYSTEM=%s", target->system);
}

bool place_take(struct cli *cli, struct place_target *target, int key, char *text)
{
    switch (key) {
    case PLACE_KEY_SYSTEM:
        target->system = text;
        return true;
    case PLACE_KEY_GPUS:
        target->gpus = cli_number(cli, "--gpus", text, COMPOSE_GPUS_MAX);
        return true;
    case PLACE_KEY_HOST:
        target->host = text;
        return true;
    case PLACE_KEY_WAIT:
        target->wait_ms = cli_milliseconds(cli, "--wait", text);
        return true;
    default:
        return false;
    }
}
