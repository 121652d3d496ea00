/* SPDX-License-Identifier: Apache-2.0
 * compose/systems.c - composed systems as structs: create, list, show, delete, wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "compose/client.h"

static const char systems_path[] = "/redfish/v1/Systems";

enum { WAIT_FIRST_MS = 10, WAIT_MOST_MS = 500, NS_PER_MS = 1000000 };

/* ---- reading ----------------------------------------------------------------------------------
 */

static void read_gpu(const json_t *from, struct compose_gpu *gpu)
{
    (void)snprintf(gpu->uuid, sizeof(gpu->uuid), "%s", compose_text_at(from, "Uuid", ""));
    (void)snprintf(gpu->node, sizeof(gpu->node), "%s", compose_text_at(from, "Node", ""));
    (void)snprintf(gpu->model, sizeof(gpu->model), "%s", compose_text_at(from, "Model", ""));
    gpu->index = (uint32_t)compose_number_at(from, "Index", 0);
    gpu->load = (int)compose_number_at(from, "Load", -1);
    gpu->memory_bytes = (uint64_t)compose_number_at(from, "MemoryBytes", 0);
    gpu->used_bytes = (uint64_t)compose_number_at(from, "UsedBytes", -1);
}

static bool read_host(const json_t *from, struct compose_host *host)
{
    const json_t *gpus = compose_array_at(from, "Gpus");
    const size_t count = json_array_size(gpus);

    (void)snprintf(host->name, sizeof(host->name), "%s", compose_text_at(from, "Name", ""));
    host->gpus = calloc(count ? count : 1, sizeof(*host->gpus));
    if (!host->gpus)
        return false;
    for (host->gpu_count = 0; host->gpu_count < count; host->gpu_count++)
        read_gpu(json_array_get(gpus, host->gpu_count), &host->gpus[host->gpu_count]);
    return true;
}

/* NULL: no memory. */
static struct compose_system *read_system(const json_t *from)
{
    const json_t *hosts = compose_array_at(from, "Oem.Fabric.Hosts");
    const size_t count = json_array_size(hosts);
    struct compose_system *system = calloc(1, sizeof(*system));

    if (!system || !(system->hosts = calloc(count ? count : 1, sizeof(*system->hosts)))) {
        compose_system_free(system);
        return NULL;
    }
    (void)snprintf(system->name, sizeof(system->name), "%s",
                   compose_text_at(from, "Id", compose_text_at(from, "Name", "")));
    (void)snprintf(system->state, sizeof(system->state), "%s",
                   compose_text_at(from, "Oem.Fabric.State", ""));
    (void)snprintf(system->reason, sizeof(system->reason), "%s",
                   compose_text_at(from, "Oem.Fabric.Reason", ""));
    system->owner_uid = (uint32_t)compose_number_at(from, "Oem.Fabric.OwnerUid", 0);
    system->created_ms = (uint64_t)compose_number_at(from, "Oem.Fabric.CreatedMs", 0);
    system->since_ms = (uint64_t)compose_number_at(from, "Oem.Fabric.SinceMs", 0);
    for (; system->host_count < count; system->host_count++) {
        struct compose_host *host = &system->hosts[system->host_count];

        if (!read_host(json_array_get(hosts, system->host_count), host)) {
            compose_system_free(system);
            return NULL;
        }
        system->gpu_count += host->gpu_count;
    }
    return system;
}

void compose_system_free(struct compose_system *system)
{
    if (!system)
        return;
    for (size_t i = 0; i < system->host_count; i++)
        free(system->hosts[i].gpus);
    free(system->hosts);
    free(system);
}

void compose_list_free(struct compose_system **systems, size_t count)
{
    for (size_t i = 0; i < count; i++)
        compose_system_free(systems[i]);
    free(systems);
}

/* ---- creating ---------------------------------------------------------------------------------
 */

static bool add_texts(json_t *array, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_string(texts[i])) != 0)
            return false;
    return true;
}

static bool add_blocks(json_t *blocks, const struct compose_request *request)
{
    for (size_t i = 0; i < request->uuid_count; i++) {
        char *path =
            compose_path("/redfish/v1/CompositionService/ResourceBlocks", request->uuids[i]);
        json_t *block = path ? json_pack("{ss}", "@odata.id", path) : NULL;

        free(path);
        if (json_array_append_new(blocks, block) != 0)
            return false;
    }
    return true;
}

static bool set_number(json_t *object, const char *key, uint64_t value)
{
    return value == 0 || json_object_set_new(object, key, json_integer((json_int_t)value)) == 0;
}

/* The body's text, given (free). NULL: no memory, or a name that is not UTF-8. */
static char *request_text(const struct compose_request *request)
{
    json_t *hosts = json_array(), *blocks = json_array(), *fabric, *root = NULL;
    char *text = NULL;

    fabric = json_pack("{sO?ss}", "Hosts", hosts, "Strategy",
                       request->strategy ? request->strategy : "default");
    if (!hosts || !blocks || !fabric || !add_texts(hosts, request->hosts, request->host_count) ||
        !add_blocks(blocks, request) || !set_number(fabric, "Gpus", request->gpus) ||
        !set_number(fabric, "Rails", request->rails) ||
        !set_number(fabric, "WaitMs", request->wait_ms) ||
        !set_number(fabric, "LimitMs", request->limit_ms) ||
        (request->is_adhoc && json_object_set_new(fabric, "AdHoc", json_true()) != 0))
        goto done;
    root = json_pack("{s{sO}}", "Oem", "Fabric", fabric);
    if (!root || (request->name && json_object_set_new(root, "Name", json_string(request->name))))
        goto done;
    if (request->uuid_count > 0 &&
        json_object_set_new(root, "Links", json_pack("{sO}", "ResourceBlocks", blocks)) != 0)
        goto done;
    text = json_dumps(root, JSON_COMPACT);
done:
    json_decref(root);
    json_decref(fabric);
    json_decref(blocks);
    json_decref(hosts);
    return text;
}

static enum compose_status check_request(const struct compose_request *request,
                                         struct compose_error *error)
{
    if (request->host_count == 0)
        return compose_error_set(error, COMPOSE_MISUSED,
                                 "no host is named: whose GPUs shall it be?");
    if ((request->gpus == 0) == (request->uuid_count == 0))
        return compose_error_set(error, COMPOSE_MISUSED,
                                 "GPUs are asked for by number or by name, one of the two");
    if (request->gpus > COMPOSE_GPUS_MAX || request->uuid_count > COMPOSE_GPUS_MAX)
        return compose_error_set(error, COMPOSE_MISUSED, "a system has at most %d GPUs",
                                 COMPOSE_GPUS_MAX);
    return COMPOSE_OK;
}

static enum compose_status ask_system(struct compose *compose, const char *method, const char *path,
                                      const char *body, struct compose_system **system_out,
                                      struct compose_error *error)
{
    json_t *answer = NULL;
    struct compose_system *system;
    enum compose_status status = compose_ask_json(compose, method, path, body, &answer, error);

    if (status != COMPOSE_OK)
        return status;
    system = read_system(answer);
    json_decref(answer);
    if (!system)
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    *system_out = system;
    return COMPOSE_OK;
}

enum compose_status compose_create(struct compose *compose, const struct compose_request *request,
                                   struct compose_system **system_out, struct compose_error *error)
{
    enum compose_status status = check_request(request, error);
    char *body;

    if (status != COMPOSE_OK)
        return status;
    body = request_text(request);
    if (!body)
        return compose_error_set(error, COMPOSE_MISUSED, "a name in the request is not UTF-8");
    status = ask_system(compose, "POST", systems_path, body, system_out, error);
    free(body);
    return status;
}

/* ---- all else ---------------------------------------------------------------------------------
 */

enum compose_status compose_list(struct compose *compose, struct compose_system ***systems_out,
                                 size_t *count_out, struct compose_error *error)
{
    json_t *answer = NULL;
    const json_t *members;
    struct compose_system **systems;
    size_t count = 0, i = 0;
    enum compose_status status =
        compose_ask_json(compose, "GET", "/redfish/v1/Systems?$expand=.", NULL, &answer, error);

    if (status != COMPOSE_OK)
        return status;
    members = compose_array_at(answer, "Members");
    systems = calloc(json_array_size(members) + 1, sizeof(struct compose_system *));
    for (; systems && i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);

        if (strcmp(compose_text_at(member, "SystemType", ""), "Composed") != 0)
            continue;
        systems[count] = read_system(member);
        if (!systems[count])
            break;
        count++;
    }
    if (!systems || i < json_array_size(members)) {
        compose_list_free(systems, count);
        json_decref(answer);
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    }
    json_decref(answer);
    *systems_out = systems;
    *count_out = count;
    return COMPOSE_OK;
}

enum compose_status compose_show(struct compose *compose, const char *name,
                                 struct compose_system **system_out, struct compose_error *error)
{
    char *path = compose_path(systems_path, name);
    enum compose_status status;

    if (!path)
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    status = ask_system(compose, "GET", path, NULL, system_out, error);
    free(path);
    return status;
}

enum compose_status compose_delete(struct compose *compose, const char *name,
                                   struct compose_error *error)
{
    char *path = compose_path(systems_path, name);
    struct compose_answer answer = {0};
    enum compose_status status;

    if (!path)
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    status = compose_ask(compose, "DELETE", path, NULL, &answer, error);
    compose_answer_clear(&answer);
    free(path);
    return status;
}

/* COMPOSE_TIMEOUT: neither made nor failed yet; the record says nothing then. */
static enum compose_status look(struct compose *compose, const char *name,
                                struct compose_error *error)
{
    struct compose_system *system = NULL;
    struct compose_error why;
    enum compose_status status = compose_show(compose, name, &system, &why);

    if (status == COMPOSE_NOT_FOUND)
        return COMPOSE_TIMEOUT;
    if (status != COMPOSE_OK) {
        if (error)
            *error = why;
        return status;
    }
    if (strcmp(system->state, "failed") == 0)
        status = compose_error_set(error, COMPOSE_CONFLICT, "%s failed: %s", name, system->reason);
    else if (strcmp(system->state, "composed") != 0)
        status = COMPOSE_TIMEOUT;
    compose_system_free(system);
    return status;
}

enum compose_status compose_wait(struct compose *compose, const char *name, uint64_t limit_ms,
                                 struct compose_error *error)
{
    const struct fab_clock *clock = fab_clock_real();
    const uint64_t limit_ns = limit_ms < UINT64_MAX / NS_PER_MS ? limit_ms * NS_PER_MS : UINT64_MAX;
    const uint64_t end_ns = fab_deadline_ns(fab_clock_now_ns(clock), limit_ns);
    unsigned pause_ms = WAIT_FIRST_MS;
    enum compose_status status;

    while ((status = look(compose, name, error)) == COMPOSE_TIMEOUT &&
           fab_clock_now_ns(clock) < end_ns) {
        const struct timespec pause = {.tv_nsec = (long)pause_ms * NS_PER_MS};

        (void)nanosleep(&pause, NULL);
        pause_ms = 2 * pause_ms < WAIT_MOST_MS ? 2 * pause_ms : WAIT_MOST_MS;
    }
    if (status == COMPOSE_TIMEOUT)
        return compose_error_set(error, status,
                                 "%s is not composed after %llu ms: see 'compose show %s'", name,
                                 (unsigned long long)limit_ms, name);
    return status;
}
