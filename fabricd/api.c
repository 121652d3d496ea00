/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api.c - from a method and a path to a handler: the table of routes, and the checks that
 * all requests share.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/parse.h"
#include "fabricd/api_int.h"
#include "fabricd/http.h"

static const char *const method_names[API_METHODS] = {
    [API_GET] = "GET", [API_POST] = "POST", [API_PATCH] = "PATCH", [API_DELETE] = "DELETE"};

#define READ(call) .handler[API_GET] = (call), .role[API_GET] = API_READER

static const struct api_route routes[] = {
    {"/redfish", .handler[API_GET] = api_get_versions},
    {API_ROOT, .handler[API_GET] = api_get_root},
    {API_ROOT "/odata", .handler[API_GET] = api_get_odata},
    {API_ROOT "/$metadata", .handler[API_GET] = api_get_metadata},
    {API_ROOT "/SessionService", READ(api_get_session_service)},
    /* Whoever logs in is nobody yet. */
    {API_ROOT "/SessionService/Sessions", READ(api_get_sessions),
     .handler[API_POST] = api_post_session},
    {API_ROOT "/SessionService/Sessions/*", READ(api_get_session),
     .handler[API_DELETE] = api_delete_session, .role[API_DELETE] = API_READER},
    {API_ROOT "/Systems", READ(api_get_systems), .handler[API_POST] = api_post_system,
     .role[API_POST] = API_USER},
    {API_ROOT "/Systems/*", READ(api_get_system), .handler[API_PATCH] = api_patch_system,
     .role[API_PATCH] = API_ADMIN, .handler[API_DELETE] = api_delete_system,
     .role[API_DELETE] = API_USER},
    {API_ROOT "/Systems/*/Processors", READ(api_get_processors)},
    {API_ROOT "/Systems/*/Processors/*", READ(api_get_processor)},
    {API_ROOT "/CompositionService", READ(api_get_composition)},
    {API_ROOT "/CompositionService/ResourceBlocks", READ(api_get_blocks)},
    {API_ROOT "/CompositionService/ResourceBlocks/*", READ(api_get_block),
     .handler[API_PATCH] = api_patch_block, .role[API_PATCH] = API_ADMIN},
    {API_ROOT "/CompositionService/ResourceZones", READ(api_get_zones)},
    {API_ROOT "/CompositionService/ResourceZones/*", READ(api_get_zone)},
    {API_ROOT "/Chassis", READ(api_get_all_chassis)},
    {API_ROOT "/Chassis/*", READ(api_get_chassis)},
    {API_ROOT "/Fabrics", READ(api_get_fabrics)},
    {API_ROOT "/Fabrics/*", READ(api_get_fabric)},
    {API_ROOT "/Fabrics/*/Switches", READ(api_get_switches)},
    {API_ROOT "/Fabrics/*/Switches/*", READ(api_get_switch)},
    {API_ROOT "/Fabrics/*/Switches/*/Ports", READ(api_get_ports)},
    {API_ROOT "/Fabrics/*/Switches/*/Ports/*", READ(api_get_port)},
    {API_ROOT "/EventService", READ(api_get_event_service)},
    {API_ROOT "/EventService/SSE", READ(api_get_stream)},
    {API_ROOT "/Oem/Fabric/Topology", READ(api_get_topology)},
    {API_ROOT "/Oem/Fabric/Findings", READ(api_get_findings)},
    {API_ROOT "/Oem/Fabric/Events", READ(api_get_events)},
    {"/metrics", READ(api_get_metrics)},
};

/* ---- path and query ---------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes `bytes` of `from`; false: malformed, a NUL, or too long for `to`. */
static bool decode(const char *from, size_t bytes, char *to, size_t to_bytes)
{
    size_t used = 0;

    for (size_t i = 0; i < bytes; i++) {
        char c = from[i];

        if (c == '%') {
            const int high = i + 2 < bytes ? hex_digit(from[i + 1]) : -1;
            const int low = i + 2 < bytes ? hex_digit(from[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || used + 1 >= to_bytes)
            return false;
        to[used++] = c;
    }
    to[used] = '\0';
    return true;
}

static bool take_path(struct api_call *call)
{
    const char *path = call->request->path;
    const char *question = strchr(path, '?');
    size_t bytes = question ? (size_t)(question - path) : strlen(path);

    if (bytes > 1 && path[bytes - 1] == '/')
        bytes--;
    if (question && strlen(question + 1) >= sizeof(call->query))
        return false;
    if (question)
        (void)snprintf(call->query, sizeof(call->query), "%s", question + 1);
    return decode(path, bytes, call->path, sizeof(call->path));
}

const char *api_query(const struct api_call *call, const char *name, char text[API_QUERY_BYTES])
{
    const char *at = call->query;

    while (*at) {
        const size_t bytes = strcspn(at, "&");
        const char *equals = memchr(at, '=', bytes);
        char key[API_QUERY_BYTES];

        if (decode(at, equals ? (size_t)(equals - at) : bytes, key, sizeof(key)) &&
            strcmp(key, name) == 0 &&
            decode(equals ? equals + 1 : "", equals ? bytes - (size_t)(equals + 1 - at) : 0, text,
                   API_QUERY_BYTES))
            return text;
        at += bytes + (at[bytes] == '&');
    }
    return NULL;
}

bool api_query_after(struct api_call *call, uint64_t *after_out)
{
    char text[API_QUERY_BYTES];
    const char *given = api_query(call, "after", text);
    int64_t after = 0;

    if (given && (fab_parse_int(given, &after) != FAB_OK || after < 0)) {
        api_fail(call, 400, "QueryParameterValueError",
                 "after=%s: expected the number of an event, from 0 on", given);
        return false;
    }
    *after_out = (uint64_t)after;
    return true;
}

/* Redfish's own parameters begin with '$'. Of them only $expand is known; "only" and others without
 * '$' may be ignored. */
static bool take_query(struct api_call *call)
{
    char text[API_QUERY_BYTES];
    const char *expand = api_query(call, "$expand", text);

    for (const char *at = call->query; *at; at += strcspn(at, "&") + (at[strcspn(at, "&")] == '&'))
        if (at[0] == '$' && strncmp(at, "$expand=", 8) != 0) {
            api_fail(call, 501, "QueryNotSupported",
                     "the query parameter %.40s is not supported: leave it out", at);
            return false;
        }
    if (expand && !strchr(".*~", expand[0])) {
        api_fail(call, 400, "QueryParameterValueError", "$expand=%s: expected '.', '*' or '~'",
                 expand);
        return false;
    }
    call->is_expanded = expand != NULL;
    return true;
}

/* ---- finding the handler ----------------------------------------------------------------------
 */

static bool take_part(struct api_call *call, unsigned index, const char *part, size_t bytes)
{
    if (index >= API_PARTS_MAX || bytes == 0 || bytes >= sizeof(call->parts[0]))
        return false;
    memcpy(call->parts[index], part, bytes);
    call->parts[index][bytes] = '\0';
    return true;
}

static bool matches(struct api_call *call, const char *pattern)
{
    const char *path = call->path;
    unsigned parts = 0;

    while (*pattern) {
        const size_t bytes = strcspn(path, "/");

        if (*pattern == '*') {
            if (!take_part(call, parts++, path, bytes))
                return false;
            path += bytes;
            pattern++;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

static const struct api_route *find_route(struct api_call *call)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(routes); i++)
        if (matches(call, routes[i].pattern))
            return &routes[i];
    return NULL;
}

/* HEAD is GET whose body the HTTP library leaves out. */
static enum api_method find_method(const char *name)
{
    for (unsigned i = 0; i < API_METHODS; i++)
        if (strcmp(name, method_names[i]) == 0)
            return (enum api_method)i;
    return strcmp(name, "HEAD") == 0 ? API_GET : API_METHODS;
}

const char *api_allow(const struct api_route *route, char text[API_ALLOW_BYTES])
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < API_METHODS; i++)
        if (route->handler[i])
            used += (size_t)snprintf(text + used, API_ALLOW_BYTES - used, "%s%s", used ? ", " : "",
                                     method_names[i]);
    return text;
}

static void fail_method(struct api_call *call)
{
    char allow[API_ALLOW_BYTES];

    (void)api_allow(call->route, allow);
    api_fail(call, 405, "MethodNotAllowed", "%.15s is not for %.150s: it has %s",
             call->request->method, call->path, allow);
}

static bool check_role(struct api_call *call, enum api_role needed)
{
    if (call->role >= needed)
        return true;
    if (call->role == API_NOBODY && call->request->role == API_BY_TOKEN)
        api_fail(call, 401, "NoValidSession",
                 "log in first: POST to " API_ROOT
                 "/SessionService/Sessions, or show a certificate");
    else
        api_fail(call, 403, "InsufficientPrivilege", "%s",
                 needed == API_ADMIN
                     ? "this is for administrators: root, or the group that "
                       "api.admin_group names"
                     : "this is for members of the group that api.user_group names");
    return false;
}

static bool take_body(struct api_call *call)
{
    struct fab_err err = {0};

    if (call->request->body_bytes == 0)
        return true;
    if (fab_json_load(call->request->body, call->request->body_bytes, "body",
                      &(struct fab_json_limits){.size_bytes = HTTP_BODY_BYTES}, &call->body,
                      &err) != FAB_OK) {
        api_fail(call, 400, "MalformedJSON", "%s", err.text);
        return false;
    }
    if (json_is_object(call->body))
        return true;
    api_fail(call, 400, "MalformedJSON", "the body is no JSON object");
    return false;
}

enum fab_status api_check_members(const json_t *object, const char *what, const char *const *known,
                                  struct fab_err *err)
{
    json_t *whole = (json_t *)(uintptr_t)object; /* the iterator changes nothing */

    if (object && !json_is_object(object))
        return fab_err_set(err, FAB_ERR_INVALID, "%s: expected an object", what);
    for (void *at = json_object_iter(whole); at; at = json_object_iter_next(whole, at)) {
        const char *name = json_object_iter_key(at);
        size_t i = 0;

        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        if (!known[i])
            return fab_err_set(err, FAB_ERR_INVALID, "%s: there is no member %.60s", what, name);
    }
    return FAB_OK;
}

static void dispatch(struct api_call *call)
{
    const enum api_method method = find_method(call->request->method);

    if (!take_path(call)) {
        api_fail(call, 400, "MalformedPath", "the path is malformed or too long");
        return;
    }
    call->route = find_route(call);
    if (!call->route) {
        api_fail(call, 404, "ResourceNotFound", "there is nothing at %.180s", call->path);
        return;
    }
    if (method == API_METHODS || !call->route->handler[method]) {
        fail_method(call);
        return;
    }
    if (check_role(call, call->route->role[method]) && take_query(call) && take_body(call))
        call->route->handler[method](call);
}

void api_request(struct api *api, const struct api_request *request, uint64_t now_ms)
{
    struct api_call call = {.api = api, .request = request, .now_ms = now_ms};

    api_take_caller(&call);
    dispatch(&call);
    json_decref(call.body);
}

/* ---- the object -------------------------------------------------------------------------------
 */

enum fab_status api_create(const struct api_parts *parts, api_answered answered, void *user,
                           struct api **api_out, struct fab_err *err)
{
    struct api *api = fab_alloc_zeroed(1, sizeof(*api));

    if (!api)
        return fab_err_set(err, FAB_ERR_NOMEM, "the API");
    *api = (struct api){.parts = *parts, .answered = answered, .user = user};
    fab_vec_init(&api->waits, sizeof(struct api_wait *));
    api_access_init(api);
    api_sessions_init(api);
    *api_out = api;
    return FAB_OK;
}

void api_set_manager(struct api *api, struct manager *manager)
{
    api->manager = manager;
}

void api_destroy(struct api *api)
{
    if (!api)
        return;
    while (api->waits.count > 0)
        api_wait_end(api, *fab_vec_at(&api->waits, struct api_wait *, api->waits.count - 1));
    fab_vec_fini(&api->waits);
    fab_vec_fini(&api->known_users);
    api_sessions_fini(api);
    free(api);
}
