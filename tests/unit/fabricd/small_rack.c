/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/small_rack.c - ledger, rack, manager and API without any I/O but the store's.
 */
#include "tests/unit/fabricd/small_rack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/settings.h"
#include "fabricd/api.h"
#include "fabricd/rack.h"
#include "fabricd/settings.h"
#include "fabricd/store.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/story.h"
#include "tests/unit/topology/make.h"

enum { NODES = 3, COMMANDS_MAX = 64, GPUS_EACH = 4, HOST = 0 };

struct small_rack small_rack;

static const char *const names[NODES] = {"r730-1", "c4130-1", "c4130-2"};
static struct store *store;
static struct manager *manager;
static struct fabricd_settings settings;

/* What agents were told and have not done. */
static struct {
    enum manager_verb verb;
    char node[LEDGER_NAME_BYTES], system[LEDGER_NAME_BYTES];
    char gpus[GPUS_EACH * NODES][LEDGER_UUID_BYTES];
    uint32_t gpu_count;
    uint64_t fence;
} commands[COMMANDS_MAX];
static size_t command_count;

static void on_command(void *user, const struct manager_command *command)
{
    size_t at = command_count;

    (void)user;
    if (at == COMMANDS_MAX)
        return;
    command_count++;
    commands[at].verb = command->verb;
    commands[at].fence = command->fence;
    commands[at].gpu_count = 0;
    (void)snprintf(commands[at].node, LEDGER_NAME_BYTES, "%s", command->node);
    (void)snprintf(commands[at].system, LEDGER_NAME_BYTES, "%s", command->system);
    for (uint32_t i = 0; i < command->gpu_count; i++)
        (void)snprintf(commands[at].gpus[commands[at].gpu_count++], LEDGER_UUID_BYTES, "%s",
                       command->gpus[i]->uuid);
}

static void on_manager_answer(void *user, uint64_t id, enum fab_status status,
                              const struct ledger_system *system, const struct fab_err *err)
{
    (void)user;
    api_take_answer(small_rack.api, id, status, system, err);
}

static uint32_t on_rails(void *user, const char *node, const struct rails_rail **rails_out)
{
    (void)user;
    return rack_rails(small_rack.rack, node, rails_out);
}

static const struct manager_ops ops = {
    .command = on_command, .answer = on_manager_answer, .rails = on_rails};

static void on_answered(void *user, uint64_t id, const struct api_answer *answer)
{
    struct small_answer *kept = &small_rack.answers[id % SMALL_RACK_REQUESTS_MAX];
    const size_t used = strlen(kept->body);
    char *body;

    (void)user;
    body = kept->id == id ? realloc(kept->body, used + answer->body_bytes + 1) : NULL;
    if (!body)
        return; /* or of a request whose place was taken */
    memcpy(body + used, answer->body, answer->body_bytes);
    body[used + answer->body_bytes] = '\0';
    kept->body = body;
    kept->count++;
    kept->status = answer->status;
    kept->is_more = answer->is_more;
    (void)snprintf(kept->type, sizeof(kept->type), "%s", answer->type);
    (void)snprintf(kept->location, sizeof(kept->location), "%s", answer->location);
    (void)snprintf(kept->adhoc, sizeof(kept->adhoc), "%s", answer->adhoc);
    (void)snprintf(kept->token, sizeof(kept->token), "%s", answer->token ? answer->token : "");
    (void)snprintf(kept->allow, sizeof(kept->allow), "%s", answer->allow);
}

/* The first GPU of each node tells nothing but that it is there. */
static bool measure(unsigned at)
{
    static struct topo_gauges gauges;

    gauges = (struct topo_gauges){.gpu_count = at == HOST ? 0 : GPUS_EACH};
    for (uint32_t i = 0; i < gauges.gpu_count; i++) {
        const bool is_dumb = i == 0;
        struct topo_gpu_gauge *gauge = &gauges.gpus[i];

        *gauge = (struct topo_gpu_gauge){.load = is_dumb ? UINT32_MAX : 10 * i,
                                         .sm_mhz = is_dumb ? UINT32_MAX : 800 + i,
                                         .celsius = is_dumb ? UINT32_MAX : 40 + i,
                                         .power_mw = is_dumb ? UINT32_MAX : 60000 + 1000 * i,
                                         .used_bytes = is_dumb ? UINT64_MAX : (uint64_t)i << 20,
                                         .energy_mj = is_dumb ? UINT64_MAX : 5000 + i};
        (void)snprintf(gauge->uuid, sizeof(gauge->uuid), "%.30s.%u", names[at], i);
    }
    return rack_gauges(small_rack.rack, names[at], &gauges, NULL) == FAB_OK;
}

static bool report(unsigned at, const struct message_program *programs, uint32_t program_count)
{
    struct topo_machine *machine =
        make_machine(at == HOST ? "r730" : "C", names[at], 0x100 + at * 0x20);
    struct message_gpu_report gpus[GPUS_EACH] = {0};
    struct ledger_gpu_report rows[GPUS_EACH];
    const struct message_health health = {
        .name = "memory-lock limit", .value = "64 KiB", .grade = 2, .advice = "raise it"};
    static const struct rails_rail rails[] = {{"ib0", "mlx4_0:1", "10.0.0.0/24"},
                                              {"ib1", "mlx4_0:2", "10.0.1.0/24"}};
    const struct message_report report = {.machine = machine,
                                          .gpus = gpus,
                                          .gpu_count = at == HOST ? 0 : GPUS_EACH,
                                          .programs = programs,
                                          .program_count = program_count,
                                          .health = &health,
                                          .health_count = 1,
                                          .rails = rails,
                                          .rail_count = FAB_ARRAY_LEN(rails)};
    bool is_new, is_done;

    for (uint32_t i = 0; i < report.gpu_count; i++) {
        (void)snprintf(gpus[i].uuid, sizeof(gpus[i].uuid), "%.30s.%u", names[at], i);
        (void)snprintf(gpus[i].name, sizeof(gpus[i].name), "T4");
        (void)snprintf(machine->gpus[i].uuid, sizeof(machine->gpus[i].uuid), "%.47s", gpus[i].uuid);
        gpus[i].index = i;
        rows[i] = (struct ledger_gpu_report){
            .uuid = gpus[i].uuid, .name = gpus[i].name, .index = i, .fence = 0};
    }
    is_done = rack_report(small_rack.rack, names[at], "10.0.0.1:7100", &report, &is_new, NULL) ==
                  FAB_OK &&
              ledger_node_report(small_rack.ledger, names[at], "boot", rows, report.gpu_count,
                                 small_rack.now_ms, NULL) == FAB_OK &&
              measure(at);
    free(machine);
    return is_done;
}

static bool sweep(void)
{
    struct topo_fabric fabric = {0};
    const uint32_t leaf = make_node(&fabric, TOPO_FABRIC_SWITCH, 0x900, "leaf1", 36);
    enum fab_status status;

    for (unsigned i = 0; i < NODES; i++) {
        char text[80];
        uint32_t hca;

        (void)snprintf(text, sizeof(text), "%s mlx4_0", names[i]);
        hca = make_node(&fabric, TOPO_FABRIC_HCA, 0x100 + i * 0x20, text, 2);
        make_cable(&fabric, hca, 1, leaf, i + 1);
    }
    status = rack_sweep(small_rack.rack, &fabric, NULL);
    topo_fabric_clear(&fabric);
    return status == FAB_OK;
}

static bool start(void)
{
    const struct api_parts parts = {
        .settings = &settings, .ledger = small_rack.ledger, .rack = small_rack.rack};

    if (manager_create(small_rack.ledger, &ops, NULL, &manager, NULL) != FAB_OK ||
        api_create(&parts, on_answered, NULL, &small_rack.api, NULL) != FAB_OK)
        return false;
    api_set_manager(small_rack.api, manager);
    for (unsigned i = 0; i < NODES; i++)
        if (!report(i, NULL, 0))
            return false;
    return sweep() && rack_join(small_rack.rack, manager, NULL) == FAB_OK;
}

/* "root" and "reader" are there, with the password "secret". */
static bool write_accounts(void)
{
    static const char hash[] = "$6$salt$egUxKNxDs8kPfh8iPMNcosMhb2eWah6d3R44JDm5Rj/j/XWR5E33"
                               "QPd0YmHXoDHOIDR6kL5D3JcQcz0O8FHE00";
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/accounts", story_folder);
    file = fopen(path, "w");
    if (!file)
        return false;
    (void)fprintf(file,
                  "# NAME:HASH:ROLE\nroot:%s:admin\nreader:%s:readonly\nodd:%s:king\nuser:%s:"
                  "user\nbroken\n",
                  hash, hash, hash, hash);
    return fclose(file) == 0 &&
           fab_settings_set(&fabricd_schema, &settings, "api.accounts", path, NULL) == FAB_OK;
}

bool small_rack_begin(void)
{
    small_rack_end();
    small_rack.now_ms = 1000;
    for (size_t i = 0; i < SMALL_RACK_REQUESTS_MAX; i++)
        small_rack.answers[i].body = calloc(1, 1);
    return story_begin() && fab_settings_init(&fabricd_schema, &settings, NULL) == FAB_OK &&
           write_accounts() && store_open(story_store, &store, NULL) == FAB_OK &&
           ledger_open(store, small_rack.now_ms, &small_rack.ledger, NULL) == FAB_OK &&
           rack_create(&small_rack.rack, NULL) == FAB_OK && start();
}

void small_rack_end(void)
{
    api_destroy(small_rack.api);
    manager_destroy(manager);
    rack_destroy(small_rack.rack);
    ledger_close(small_rack.ledger);
    store_close(store);
    for (size_t i = 0; i < SMALL_RACK_REQUESTS_MAX; i++)
        free(small_rack.answers[i].body);
    fab_settings_clear(&fabricd_schema, &settings);
    small_rack = (struct small_rack){.api = NULL};
    settings = (struct fabricd_settings){.node = NULL};
    manager = NULL;
    store = NULL;
    command_count = 0;
    story_end();
}

unsigned small_rack_ask(const char *method, const char *path, uint32_t uid, const char *body)
{
    const uint64_t id = ++small_rack.request_count;
    struct small_answer *answer = &small_rack.answers[id % SMALL_RACK_REQUESTS_MAX];
    char *empty = calloc(1, 1);

    free(answer->body);
    *answer = (struct small_answer){.id = id, .body = empty};
    api_request(small_rack.api,
                &(struct api_request){.id = id,
                                      .method = method,
                                      .path = path,
                                      .body = body ? body : "",
                                      .body_bytes = body ? strlen(body) : 0,
                                      .node = small_rack.token ? "" : names[HOST],
                                      .uid = uid,
                                      .role = small_rack.token ? API_BY_TOKEN : API_BY_UID,
                                      .token = small_rack.token,
                                      .name = small_rack.name},
                small_rack.now_ms);
    if (!small_rack.is_held)
        small_rack_agents();
    return (unsigned)(id % SMALL_RACK_REQUESTS_MAX);
}

void small_rack_agents(void)
{
    for (size_t i = 0; i < command_count; i++) /* more may come meanwhile */
        switch (commands[i].verb) {
        case MANAGER_PREPARE:
        case MANAGER_PRESENT:
            manager_prepared(manager, commands[i].node, commands[i].system, commands[i].fence, NULL,
                             small_rack.now_ms);
            break;
        case MANAGER_RELEASE:
            for (uint32_t k = 0; k < commands[i].gpu_count; k++)
                (void)!ledger_gpu_released(small_rack.ledger, commands[i].gpus[k],
                                           commands[i].fence, small_rack.now_ms, NULL);
            manager_turn(manager, small_rack.now_ms);
            break;
        case MANAGER_WITHDRAW:
            break;
        }
    command_count = 0;
    manager_turn(manager, small_rack.now_ms);
    api_turn(small_rack.api, small_rack.now_ms);
}

void small_rack_leave(unsigned request)
{
    const unsigned last = small_rack.request_count;
    uint64_t id = last;

    while (id % SMALL_RACK_REQUESTS_MAX != request)
        id--;
    api_gone(small_rack.api, id, small_rack.now_ms);
    api_turn(small_rack.api, small_rack.now_ms);
}

void small_rack_lose(const char *node)
{
    (void)!ledger_node_lost(small_rack.ledger, node, "its connection has ended", small_rack.now_ms,
                            NULL);
    manager_turn(manager, small_rack.now_ms);
    api_turn(small_rack.api, small_rack.now_ms);
}

void small_rack_programs(const char *node, const char *system, uint32_t uid, const char *command)
{
    struct message_program program = {.uid = uid, .pid = 77, .since_ms = 5};

    (void)snprintf(program.system, sizeof(program.system), "%s", system);
    (void)snprintf(program.command, sizeof(program.command), "%s", command);
    for (unsigned i = 0; i < NODES; i++)
        if (strcmp(names[i], node) == 0)
            (void)report(i, &program, 1);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static bool is_json(const struct small_answer *answer)
{
    json_t *json = NULL;
    const bool is =
        fab_json_load(answer->body, strlen(answer->body), "answer",
                      &(struct fab_json_limits){.size_bytes = 1 << 24}, &json, NULL) == FAB_OK;

    json_decref(json);
    return is;
}

void small_rack_run(const struct small_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct small_row *row = &rows[i];
        const unsigned place = small_rack_ask(row->method, row->path, row->uid, row->body);
        const struct small_answer *answer = &small_rack.answers[place];

        CHECK_CASE("%s", row->label);
        CHECK_EQ(answer->count, 1);
        CHECK_EQ(answer->status, row->status);
        for (size_t k = 0; k < SMALL_ROW_PARTS_MAX && row->has[k]; k++)
            CHECK_HAS(answer->body, row->has[k]);
        if (row->hasnt)
            CHECK(strstr(answer->body, row->hasnt) == NULL);
        if (strstr(answer->type, "json"))
            CHECK(answer->status == 204 || is_json(answer));
        CHECK_EQ(ledger_verify(small_rack.ledger, NULL), FAB_OK);
    }
}
