/* SPDX-License-Identifier: Apache-2.0
 * fabricd/message.c - see message.h. Each message is a table of members (base/json_struct.h), which
 * proves types, bounds and names; check() proves what is left.
 */
#include "fabricd/message.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/json_struct.h"
#include "fabricd/http.h"
#include "fabricd/name.h"
#include "topology/codec.h"

enum { HTTP_STATUS_FIRST = 100, HTTP_STATUS_LAST = 599, HEALTH_GRADE_LAST = 2 };

/* ---- texts ------------------------------------------------------------------------------------
 */

static bool is_name(const char *text)
{
    return name_check("", text, NULL) == FAB_OK;
}

static bool is_name_or_empty(const char *text)
{
    return text[0] == '\0' || is_name(text);
}

static bool is_uuid(const char *text)
{
    size_t i = 0;

    while (isalnum((unsigned char)text[i]) || text[i] == '-')
        i++;
    return i > 0 && text[i] == '\0';
}

static bool is_method(const char *text)
{
    size_t i = 0;

    while (text[i] >= 'A' && text[i] <= 'Z')
        i++;
    return i > 0 && text[i] == '\0';
}

static bool is_path(const char *text)
{
    return text[0] == '/';
}

/* ---- values of others -------------------------------------------------------------------------
 */

static enum fab_status encode_machine(const void *from, json_t **json_out, struct fab_err *err)
{
    const struct topo_machine *machine;

    memcpy(&machine, from, sizeof(machine));
    return topo_machine_to_json(machine, json_out, err);
}

static enum fab_status decode_machine(const json_t *json, void *to, struct fab_err *err)
{
    struct topo_machine *machine = fab_alloc_zeroed(1, sizeof(*machine));

    if (!machine)
        return fab_err_set(err, FAB_ERR_NOMEM, "a machine's record");
    memcpy(to, &machine, sizeof(machine));
    return topo_machine_from_json(json, machine, err);
}

static const struct fab_json_own machine_own = {encode_machine, decode_machine};

static enum fab_status encode_fabric(const void *from, json_t **json_out, struct fab_err *err)
{
    const struct topo_fabric *fabric;

    memcpy(&fabric, from, sizeof(fabric));
    return topo_fabric_to_json(fabric, json_out, err);
}

static enum fab_status decode_fabric(const json_t *json, void *to, struct fab_err *err)
{
    struct topo_fabric *fabric = fab_alloc_zeroed(1, sizeof(*fabric));

    if (!fabric)
        return fab_err_set(err, FAB_ERR_NOMEM, "a fabric's record");
    memcpy(to, &fabric, sizeof(fabric));
    return topo_fabric_from_json(json, fabric, err);
}

static const struct fab_json_own fabric_own = {encode_fabric, decode_fabric};

static enum fab_status encode_gauges(const void *from, json_t **json_out, struct fab_err *err)
{
    const struct topo_gauges *gauges;

    memcpy(&gauges, from, sizeof(gauges));
    return topo_gauges_to_json(gauges, json_out, err);
}

static enum fab_status decode_gauges(const json_t *json, void *to, struct fab_err *err)
{
    struct topo_gauges *gauges = fab_alloc_zeroed(1, sizeof(*gauges));

    if (!gauges)
        return fab_err_set(err, FAB_ERR_NOMEM, "gauges");
    memcpy(to, &gauges, sizeof(gauges));
    return topo_gauges_from_json(json, gauges, err);
}

static const struct fab_json_own gauges_own = {encode_gauges, decode_gauges};

static enum fab_status encode_id(const void *from, json_t **json_out, struct fab_err *err)
{
    const uint8_t *id = from;
    char text[2 * SES_NODE_ID_BYTES + 1];

    (void)err;
    for (size_t i = 0; i < SES_NODE_ID_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
    *json_out = json_string(text);
    return FAB_OK;
}

static enum fab_status decode_id(const json_t *json, void *to, struct fab_err *err)
{
    static const char digits[] = "0123456789abcdef";
    const char *text = json_string_value(json);
    uint8_t *id = to;

    if (!text || strlen(text) != 2 * SES_NODE_ID_BYTES || strspn(text, digits) != strlen(text))
        return fab_err_set(err, FAB_ERR_INVALID, "id is not %d hexadecimal digits",
                           2 * SES_NODE_ID_BYTES);
    for (size_t i = 0; i < SES_NODE_ID_BYTES; i++)
        id[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
                          (strchr(digits, text[2 * i + 1]) - digits));
    return FAB_OK;
}

static const struct fab_json_own id_own = {encode_id, decode_id};

/* ---- messages ---------------------------------------------------------------------------------
 */

static const char *const verbs[] = {"prepare", "present", "release", "withdraw", NULL};
static const char *const wires[] = {"ucx", "shm", NULL};

#define NAME(type_name, member) FAB_JSON_VALID(type_name, member, is_name)
#define UUID(type_name, member) FAB_JSON_VALID(type_name, member, is_uuid)
#define ROW(type_name, member, kind) FAB_JSON_MEMBER(type_name, member, FAB_JSON_##kind)
#define BODY(type_name, bound)                                                                     \
    {                                                                                              \
        .name = "body", .kind = FAB_JSON_BODY, .offset = offsetof(struct type_name, body),         \
        .count_offset = offsetof(struct type_name, body_bytes), .most = (bound)                    \
    }

static const struct fab_json_member hello_rows[] = {
    ROW(message_hello, version, UINT),   NAME(message_hello, node),
    ROW(message_hello, boot_id, TEXT),   ROW(message_hello, instance, U64),
    ROW(message_hello, address, TEXT),   ROW(message_hello, is_agent, BOOL),
    ROW(message_hello, is_fabric, BOOL), ROW(message_hello, to_agent, BOOL),
};
static const struct fab_json_struct hello_table = FAB_JSON_TABLE(hello_rows, message_hello);

static const struct fab_json_member gpu_report_rows[] = {
    UUID(message_gpu_report, uuid),
    ROW(message_gpu_report, name, TEXT),
    ROW(message_gpu_report, index, UINT),
    ROW(message_gpu_report, fence, U64),
};
static const struct fab_json_struct gpu_report_table =
    FAB_JSON_TABLE(gpu_report_rows, message_gpu_report);

static const struct fab_json_member program_rows[] = {
    NAME(message_program, system),       ROW(message_program, uid, UINT),
    ROW(message_program, pid, UINT),     ROW(message_program, command, PROSE),
    ROW(message_program, since_ms, U64),
};
static const struct fab_json_struct program_table = FAB_JSON_TABLE(program_rows, message_program);

static const struct fab_json_member health_rows[] = {
    ROW(message_health, name, PROSE),
    ROW(message_health, value, PROSE),
    ROW(message_health, grade, UINT),
    ROW(message_health, advice, PROSE),
};
static const struct fab_json_struct health_table = FAB_JSON_TABLE(health_rows, message_health);

static const struct fab_json_member rail_report_rows[] = {
    ROW(rails_rail, device, TEXT),
    ROW(rails_rail, port, TEXT),
    ROW(rails_rail, net, TEXT),
};
static const struct fab_json_struct rail_report_table =
    FAB_JSON_TABLE(rail_report_rows, rails_rail);

static const struct fab_json_member report_rows[] = {
    FAB_JSON_BY_OWNER(message_report, machine, machine_own),
    FAB_JSON_MANY(message_report, gpus, FAB_JSON_LIST, gpu_count, LEDGER_NODE_GPU_MAX,
                  &gpu_report_table),
    FAB_JSON_MANY(message_report, programs, FAB_JSON_LIST, program_count, MESSAGE_PROGRAM_MAX,
                  &program_table),
    FAB_JSON_MANY(message_report, health, FAB_JSON_LIST, health_count, MESSAGE_HEALTH_MAX,
                  &health_table),
    FAB_JSON_MANY(message_report, rails, FAB_JSON_LIST, rail_count, RAILS_MAX, &rail_report_table),
};
static const struct fab_json_struct report_table = FAB_JSON_TABLE(report_rows, message_report);

static const struct fab_json_member checked_rows[] = {
    UUID(message_checked, uuid),
    ROW(message_checked, reason, PROSE),
};
static const struct fab_json_struct checked_table = FAB_JSON_TABLE(checked_rows, message_checked);

static const struct fab_json_member pair_rows[] = {
    ROW(rails_pair, local, UINT),
    ROW(rails_pair, remote, UINT),
};
static const struct fab_json_struct pair_table = FAB_JSON_TABLE(pair_rows, rails_pair);

static const struct fab_json_member gpu_rows[] = {
    UUID(message_gpu, uuid),
    NAME(message_gpu, node),
    NAME(message_gpu, host),
    ROW(message_gpu, address, TEXT),
    ROW(message_gpu, index, UINT),
    ROW(message_gpu, fence, U64),
    FAB_JSON_MANY(message_gpu, rails, FAB_JSON_ARRAY, rail_count, RAILS_MAX, &pair_table),
};
static const struct fab_json_struct gpu_table = FAB_JSON_TABLE(gpu_rows, message_gpu);

static const struct fab_json_member command_rows[] = {
    FAB_JSON_NAMED(message_command, verb, verbs),
    NAME(message_command, system),
    ROW(message_command, owner_uid, UINT),
    ROW(message_command, fence, U64),
    ROW(message_command, is_adhoc, BOOL),
    FAB_JSON_MANY(message_command, gpus, FAB_JSON_ARRAY, gpu_count, MESSAGE_GPU_MAX, &gpu_table),
};
static const struct fab_json_struct command_table = FAB_JSON_TABLE(command_rows, message_command);

static const struct fab_json_member done_rows[] = {
    FAB_JSON_NAMED(message_done, verb, verbs),
    NAME(message_done, system),
    ROW(message_done, fence, U64),
    ROW(message_done, reason, PROSE),
};
static const struct fab_json_struct done_table = FAB_JSON_TABLE(done_rows, message_done);

static const struct fab_json_member released_rows[] = {
    UUID(message_released, uuid),
    ROW(message_released, fence, U64),
};
static const struct fab_json_struct released_table =
    FAB_JSON_TABLE(released_rows, message_released);

static const struct fab_json_member request_rows[] = {
    ROW(message_request, id, U64),
    FAB_JSON_VALID(message_request, method, is_method),
    FAB_JSON_VALID(message_request, path, is_path),
    BODY(message_request, HTTP_BODY_BYTES),
    ROW(message_request, uid, UINT),
    ROW(message_request, pid, UINT),
};
static const struct fab_json_struct request_table = FAB_JSON_TABLE(request_rows, message_request);

static const struct fab_json_member answer_rows[] = {
    ROW(message_answer, id, U64),
    ROW(message_answer, status, UINT),
    ROW(message_answer, type, TEXT),
    ROW(message_answer, location, TEXT),
    ROW(message_answer, allow, TEXT),
    FAB_JSON_VALID(message_answer, adhoc, is_name_or_empty),
    BODY(message_answer, MESSAGE_BODY_BYTES),
    ROW(message_answer, is_more, BOOL),
};
static const struct fab_json_struct answer_table = FAB_JSON_TABLE(answer_rows, message_answer);

static const struct fab_json_member worker_start_rows[] = {
    ROW(message_worker_start, channel, UINT),
    NAME(message_worker_start, system),
    ROW(message_worker_start, fence, U64),
    ROW(message_worker_start, uid, UINT),
    FAB_JSON_MANY(message_worker_start, devices, FAB_JSON_ARRAY, device_count, MESSAGE_GPU_MAX,
                  NULL),
};
static const struct fab_json_struct worker_start_table =
    FAB_JSON_TABLE(worker_start_rows, message_worker_start);

static const struct fab_json_member rail_rows[] = {
    ROW(ses_rail, device, TEXT),
    FAB_JSON_NAMED(ses_rail, wire, wires),
    ROW(ses_rail, numa_node, INDEX),
    ROW(ses_rail, number, UINT),
};
static const struct fab_json_struct rail_table = FAB_JSON_TABLE(rail_rows, ses_rail);

static const struct fab_json_member node_rows[] = {
    FAB_JSON_BY_OWNER(ses_node, id, id_own),
    NAME(ses_node, name),
    FAB_JSON_MANY(ses_node, rails, FAB_JSON_ARRAY, rail_count, SES_RAILS_MAX, &rail_table),
};
static const struct fab_json_struct node_table = FAB_JSON_TABLE(node_rows, ses_node);

static const struct fab_json_member worker_started_rows[] = {
    ROW(message_worker_started, channel, UINT),
    ROW(message_worker_started, pid, UINT),
    FAB_JSON_INSIDE(message_worker_started, node, node_table),
};
static const struct fab_json_struct worker_started_table =
    FAB_JSON_TABLE(worker_started_rows, message_worker_started);

static const struct fab_json_member worker_ended_rows[] = {
    ROW(message_worker_ended, channel, UINT),
    ROW(message_worker_ended, why, PROSE),
};
static const struct fab_json_struct worker_ended_table =
    FAB_JSON_TABLE(worker_ended_rows, message_worker_ended);

/* What is no struct of its own stands at the begin of the union. */
static const struct fab_json_member refuse_rows[] = {
    {.name = "reason", .kind = FAB_JSON_PROSE, .size_bytes = LEDGER_REASON_BYTES}};
static const struct fab_json_member gone_rows[] = {{.name = "id", .kind = FAB_JSON_U64}};
static const struct fab_json_member fabric_rows[] = {
    {.name = "fabric", .kind = FAB_JSON_OWN, .own = &fabric_own}};
static const struct fab_json_member gauges_rows[] = {
    {.name = "gauges", .kind = FAB_JSON_OWN, .own = &gauges_own}};
static const struct fab_json_member stop_rows[] = {
    {.name = "channel", .kind = FAB_JSON_UINT, .size_bytes = sizeof(uint32_t)}};
static const struct fab_json_struct ping_table = {0};
static const struct fab_json_struct refuse_table = {refuse_rows, 1, LEDGER_REASON_BYTES};
static const struct fab_json_struct gone_table = {gone_rows, 1, sizeof(uint64_t)};
static const struct fab_json_struct fabric_table = {fabric_rows, 1, sizeof(struct topo_fabric *)};
static const struct fab_json_struct gauges_table = {gauges_rows, 1, sizeof(struct topo_gauges *)};
static const struct fab_json_struct stop_table = {stop_rows, 1, sizeof(uint32_t)};

static const struct {
    const char *name;
    const struct fab_json_struct *table;
} kinds[] = {
    [MESSAGE_PING] = {"ping", &ping_table},
    [MESSAGE_REFUSE] = {"refuse", &refuse_table},
    [MESSAGE_HELLO] = {"hello", &hello_table},
    [MESSAGE_WELCOME] = {"welcome", &hello_table},
    [MESSAGE_REPORT] = {"report", &report_table},
    [MESSAGE_GAUGES] = {"gauges", &gauges_table},
    [MESSAGE_CHECKED] = {"checked", &checked_table},
    [MESSAGE_COMMAND] = {"command", &command_table},
    [MESSAGE_DONE] = {"done", &done_table},
    [MESSAGE_RELEASED] = {"released", &released_table},
    [MESSAGE_FABRIC] = {"fabric", &fabric_table},
    [MESSAGE_REQUEST] = {"request", &request_table},
    [MESSAGE_REQUEST_GONE] = {"request_gone", &gone_table},
    [MESSAGE_ANSWER] = {"answer", &answer_table},
    [MESSAGE_WORKER_START] = {"worker_start", &worker_start_table},
    [MESSAGE_WORKER_STARTED] = {"worker_started", &worker_started_table},
    [MESSAGE_WORKER_ENDED] = {"worker_ended", &worker_ended_table},
    [MESSAGE_WORKER_STOP] = {"worker_stop", &stop_table},
};
static_assert(FAB_ARRAY_LEN(kinds) == MESSAGE_KINDS, "every kind has its table");

/* All of a message but its kind. */
#define CONTENT_AT offsetof(struct message, hello)
static_assert(CONTENT_AT == offsetof(struct message, worker_started) &&
                  CONTENT_AT == offsetof(struct message, stop_channel),
              "the content is one union");

const char *message_kind_name(enum message_kind kind)
{
    return kind < MESSAGE_KINDS ? kinds[kind].name : "?";
}

/* ---- what members do not say ------------------------------------------------------------------
 */

static enum fab_status check_channel(uint32_t channel, struct fab_err *err)
{
    return channel == 0 ? fab_err_set(err, FAB_ERR_RANGE, "channel: 0 is for messages") : FAB_OK;
}

static enum fab_status check_health(const struct message_report *report, struct fab_err *err)
{
    for (uint32_t i = 0; i < report->health_count; i++) {
        if (report->health[i].grade > HEALTH_GRADE_LAST)
            return fab_err_set(err, FAB_ERR_RANGE, "health[%u]: grade: %u is out of range", i,
                               report->health[i].grade);
    }
    return FAB_OK;
}

static enum fab_status check_http_status(uint32_t status, struct fab_err *err)
{
    if (status >= HTTP_STATUS_FIRST && status <= HTTP_STATUS_LAST)
        return FAB_OK;
    return fab_err_set(err, FAB_ERR_RANGE, "status: %u is not HTTP's", status);
}

static enum fab_status check(const struct message *message, struct fab_err *err)
{
    switch (message->kind) {
    case MESSAGE_REPORT:
        return check_health(&message->report, err);
    case MESSAGE_ANSWER:
        return check_http_status(message->answer.status, err);
    case MESSAGE_WORKER_START:
        if (message->worker_start.device_count == 0)
            return fab_err_set(err, FAB_ERR_RANGE, "devices: there is none");
        return check_channel(message->worker_start.channel, err);
    case MESSAGE_WORKER_STARTED:
        return check_channel(message->worker_started.channel, err);
    case MESSAGE_WORKER_ENDED:
        return check_channel(message->worker_ended.channel, err);
    case MESSAGE_WORKER_STOP:
        return check_channel(message->stop_channel, err);
    case MESSAGE_PING:
    case MESSAGE_REFUSE:
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
    case MESSAGE_GAUGES:
    case MESSAGE_CHECKED:
    case MESSAGE_COMMAND:
    case MESSAGE_DONE:
    case MESSAGE_RELEASED:
    case MESSAGE_FABRIC:
    case MESSAGE_REQUEST:
    case MESSAGE_REQUEST_GONE:
    case MESSAGE_KINDS:
        return FAB_OK;
    }
    return FAB_OK;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static enum fab_status to_json(const struct message *message, json_t **json_out,
                               struct fab_err *err)
{
    const uint8_t *content = (const uint8_t *)message + CONTENT_AT;
    enum fab_status status = check(message, err);
    json_t *json;

    if (status != FAB_OK)
        return status;
    json = json_pack("{s:s}", "kind", kinds[message->kind].name);
    if (!json)
        return fab_err_set(err, FAB_ERR_NOMEM, "a message as JSON");
    status = fab_json_encode(kinds[message->kind].table, content, json, err);
    if (status == FAB_OK)
        *json_out = json;
    else
        json_decref(json);
    return status;
}

enum fab_status message_write(const struct message *message, size_t most, char **text_out,
                              size_t *bytes_out, struct fab_err *err)
{
    const char *name = message_kind_name(message->kind);
    json_t *json = NULL;
    enum fab_status status = to_json(message, &json, err);
    char *text;
    size_t bytes;

    if (status != FAB_OK) {
        fab_err_context(err, "message %s", name);
        return status;
    }
    text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (!text)
        return fab_err_set(err, FAB_ERR_NOMEM, "message %s as text", name);
    bytes = strlen(text);
    if (bytes > most) {
        free(text);
        return fab_err_set(err, FAB_ERR_LIMIT, "message %s has %zu bytes (allowed: %zu)", name,
                           bytes, most);
    }
    *text_out = text;
    *bytes_out = bytes;
    return FAB_OK;
}

enum fab_status message_check(const struct message *message, struct fab_err *err)
{
    json_t *json = NULL;
    enum fab_status status = to_json(message, &json, err);

    json_decref(json);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static enum fab_status find_kind(const json_t *json, enum message_kind *kind_out,
                                 struct fab_err *err)
{
    const char *name = NULL;
    enum fab_status status = fab_json_get_string(json, "kind", &name, err);

    if (status != FAB_OK)
        return fab_err_set(err, FAB_ERR_FORMAT, "a message without kind");
    for (enum message_kind kind = 0; kind < MESSAGE_KINDS; kind++) {
        if (strcmp(kinds[kind].name, name) == 0) {
            *kind_out = kind;
            return FAB_OK;
        }
    }
    return fab_err_set(err, FAB_ERR_FORMAT, "message of unknown kind '%.40s'", name);
}

/* Before its other members, which another version may have changed. */
static enum fab_status check_version(const json_t *json, enum message_kind kind,
                                     struct fab_err *err)
{
    int64_t version = MESSAGE_VERSION;

    if (kind != MESSAGE_HELLO && kind != MESSAGE_WELCOME)
        return FAB_OK;
    if (fab_json_get_int(json, "version", 0, UINT32_MAX, &version, NULL) == FAB_OK &&
        version != MESSAGE_VERSION)
        return fab_err_set(err, FAB_ERR_VERSION,
                           "versions %lld and %d of the agents' protocol do not mix: renew the "
                           "fabricd that speaks %lld, and start it again",
                           (long long)version, MESSAGE_VERSION,
                           (long long)(version < MESSAGE_VERSION ? version : MESSAGE_VERSION));
    return FAB_OK;
}

static enum fab_status from_json(json_t *json, struct message *message, struct fab_err *err)
{
    enum fab_status status = find_kind(json, &message->kind, err);
    const char *name = message_kind_name(message->kind);

    if (status != FAB_OK)
        return status;
    status = check_version(json, message->kind, err);
    if (status == FAB_OK && json_object_del(json, "kind") == 0)
        status = fab_json_decode(kinds[message->kind].table, json, "it",
                                 (uint8_t *)message + CONTENT_AT, err);
    if (status == FAB_OK)
        status = check(message, err);
    if (status != FAB_OK)
        fab_err_context(err, "message %s", name);
    return status;
}

enum fab_status message_read(const char *text, size_t bytes, struct message *message_out,
                             struct fab_err *err)
{
    const struct fab_json_limits limits = {.size_bytes = bytes + 1};
    json_t *json = NULL;
    enum fab_status status = fab_json_load(text, bytes, "message", &limits, &json, err);

    memset(message_out, 0, sizeof(*message_out));
    if (status != FAB_OK)
        return status;
    status = from_json(json, message_out, err);
    json_decref(json);
    if (status != FAB_OK)
        message_clear(message_out);
    return status;
}

/* The message's own copies are const for those who look at them. */
static void give_back(const void *memory)
{
    free((void *)(uintptr_t)memory);
}

void message_clear(struct message *message)
{
    switch (message->kind) {
    case MESSAGE_REPORT:
        give_back(message->report.machine);
        give_back(message->report.gpus);
        give_back(message->report.programs);
        give_back(message->report.health);
        give_back(message->report.rails);
        break;
    case MESSAGE_GAUGES:
        give_back(message->gauges);
        break;
    case MESSAGE_FABRIC:
        if (message->fabric)
            topo_fabric_clear((struct topo_fabric *)(uintptr_t)message->fabric);
        give_back(message->fabric);
        break;
    case MESSAGE_REQUEST:
        give_back(message->request.body);
        break;
    case MESSAGE_ANSWER:
        give_back(message->answer.body);
        break;
    case MESSAGE_PING:
    case MESSAGE_REFUSE:
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
    case MESSAGE_CHECKED:
    case MESSAGE_COMMAND:
    case MESSAGE_DONE:
    case MESSAGE_RELEASED:
    case MESSAGE_REQUEST_GONE:
    case MESSAGE_WORKER_START:
    case MESSAGE_WORKER_STARTED:
    case MESSAGE_WORKER_ENDED:
    case MESSAGE_WORKER_STOP:
    case MESSAGE_KINDS:
        break;
    }
    memset(message, 0, sizeof(*message));
}
