/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_json.c - the pieces that every resource is made of.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fabricd/api_int.h"

void api_put(struct api_call *call, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        call->has_no_memory = true;
}

void api_add(struct api_call *call, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        call->has_no_memory = true;
}

json_t *api_text(const char *text)
{
    json_t *json = json_string(text);
    char *copy;

    if (json)
        return json;
    copy = fab_alloc_text(text);
    for (char *at = copy; at && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    json = copy ? json_string(copy) : NULL;
    free(copy);
    return json;
}

json_t *api_link(const char *format, ...)
{
    char uri[API_URI_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(uri, sizeof(uri), format, arguments);
    va_end(arguments);
    return json_pack("{s:s++}", "@odata.id", API_ROOT, "/", uri);
}

json_t *api_resource(const char *uri, const char *type, const char *id, const char *name)
{
    return json_pack("{s:s++,s:s+,s:s,s:s}", "@odata.id", API_ROOT, "/", uri, "@odata.type", "#",
                     type, "Id", id, "Name", name);
}

void api_put_oem(struct api_call *call, json_t *object, json_t *oem)
{
    api_put(call, object, "Oem", json_pack("{s:o}", "Fabric", oem));
}

struct api_collection api_collection(struct api_call *call, const char *type, const char *name)
{
    struct api_collection collection = {.members = json_array()};
    char text[API_URI_BYTES];

    (void)snprintf(text, sizeof(text), "#%s.%s", type, type);
    collection.json =
        json_pack("{s:s,s:s,s:s}", "@odata.id", call->path, "@odata.type", text, "Name", name);
    call->has_no_memory = call->has_no_memory || !collection.members || !collection.json;
    return collection;
}

void api_reply_collection(struct api_call *call, const struct api_collection *collection)
{
    api_put(call, collection->json, "Members@odata.count",
            json_integer((json_int_t)json_array_size(collection->members)));
    api_put(call, collection->json, "Members", collection->members);
    api_reply(call, 200, collection->json);
}

const char *api_composition_state(enum ledger_state state)
{
    switch (state) {
    case LEDGER_FREE:
        return "Unused";
    case LEDGER_RESERVED:
    case LEDGER_COMPOSING:
        return "Composing";
    case LEDGER_COMPOSED:
        return "Composed";
    case LEDGER_FAILED:
        return "Failed";
    case LEDGER_RELEASING:
    case LEDGER_LOST:
    case LEDGER_DRAINED:
        break;
    }
    return "Unavailable";
}

json_t *api_status_json(enum ledger_state state)
{
    static const struct {
        const char *state, *health;
    } words[] = {
        [LEDGER_FREE] = {"Enabled", "OK"},
        [LEDGER_RESERVED] = {"Starting", "OK"},
        [LEDGER_COMPOSING] = {"Starting", "OK"},
        [LEDGER_COMPOSED] = {"Enabled", "OK"},
        [LEDGER_RELEASING] = {"Updating", "OK"},
        [LEDGER_FAILED] = {"UnavailableOffline", "Critical"},
        [LEDGER_LOST] = {"UnavailableOffline", "Critical"},
        [LEDGER_DRAINED] = {"Disabled", "OK"},
    };

    return json_pack("{s:s,s:s}", "State", words[state].state, "Health", words[state].health);
}
