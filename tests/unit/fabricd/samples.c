/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/samples.c - see samples.h.
 */
#include "tests/unit/fabricd/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/topology/make.h"

static struct topo_machine *machine;
static struct topo_fabric fabric;

static const struct message_gpu_report gpus[] = {
    {"GPU-1", "Tesla K80", 0, 7},
    {"GPU-2", "Tesla K80", 1, UINT64_MAX},
};
static const struct topo_gauges gauges = {
    .gpu_count = 2,
    .port_count = 1,
    .gpus = {{"GPU-1", 99, 875, 70, 149000, 12, 34567, TOPO_SLOWED_POWER_CAP},
             {"GPU-2", UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX,
              UINT64_MAX}},
    .ports = {{"mlx5_0", 1, 3, 0, UINT64_MAX}}};
static const struct message_program programs[] = {{"train", 1000, 4711, "python3", 1700000000000}};
static const struct message_health health[] = {
    {"memory-lock limit", "64 KiB", 2, "raise LimitMEMLOCK in fabricd.service"},
    {"ports", "2 active", 0, ""},
};

static const struct rails_rail rails[] = {
    {"mlx5_0:1", "mlx5_0:1", ""},
    {"ib1", "mlx5_0:2", "10.77.1.0/24"},
};

static struct message_hello hello(void)
{
    return (struct message_hello){.version = MESSAGE_VERSION,
                                  .node = "c4130-1",
                                  .boot_id = "0f9c",
                                  .instance = 4711,
                                  .address = "[fd00::1]:7000",
                                  .is_agent = true};
}

static void report(struct message_report *to)
{
    if (!machine)
        machine = make_machine("K", "c4130-1", 0x100);
    *to = (struct message_report){.machine = machine,
                                  .gpus = gpus,
                                  .gpu_count = FAB_ARRAY_LEN(gpus),
                                  .programs = programs,
                                  .program_count = FAB_ARRAY_LEN(programs),
                                  .health = health,
                                  .health_count = FAB_ARRAY_LEN(health),
                                  .rails = rails,
                                  .rail_count = FAB_ARRAY_LEN(rails)};
}

static const struct topo_fabric *some_fabric(void)
{
    if (!fabric.nodes) {
        const uint32_t leaf = make_node(&fabric, TOPO_FABRIC_SWITCH, 0x10, "leaf", 4);
        const uint32_t hca = make_node(&fabric, TOPO_FABRIC_HCA, 0x20, "r730-1 mlx4_0", 2);

        make_cable(&fabric, leaf, 1, hca, 1);
    }
    return &fabric;
}

static void command(struct message_command *to)
{
    *to = (struct message_command){
        .verb = MANAGER_PRESENT,
        .system = "train",
        .owner_uid = 1000,
        .fence = 12,
        .is_adhoc = true,
        .gpu_count = 2,
        .gpus = {{"GPU-1", "c4130-1", "r730-1", "10.0.0.1:7000", 0, 12, 2, {{1, 0}, {0, 1}}},
                 {"GPU-9", "c4130-2", "r730-1", "", 3, 12, 0, {{0}}}}};
}

static void worker_started(struct message_worker_started *to)
{
    *to = (struct message_worker_started){
        .channel = 3,
        .pid = 99,
        .node = {.id = {0, 1, 0xfe, 0xff},
                 .name = "c4130-1",
                 .rail_count = 2,
                 .rails = {{"mlx5_0:1", SES_WIRE_UCX, -1, 0}, {"ib1", SES_WIRE_UCX, 1, 1}}}};
}

static void sample_http(enum message_kind kind, struct message *to)
{
    if (kind == MESSAGE_REQUEST)
        to->request = (struct message_request){.id = 5,
                                               .method = "POST",
                                               .path = "/redfish/v1/Systems?x=1",
                                               .body = "{\"Name\": \"tr\\u00e4in\"}\r\n",
                                               .body_bytes = 24,
                                               .uid = 1000,
                                               .pid = 4711};
    else
        to->answer = (struct message_answer){.id = 5,
                                             .status = 201,
                                             .type = "application/json",
                                             .location = "/redfish/v1/Systems/train",
                                             .allow = "GET, POST",
                                             .adhoc = "",
                                             .body = "\xc3\xa4",
                                             .body_bytes = 2,
                                             .is_more = true};
}

void sample_message(enum message_kind kind, struct message *to)
{
    memset(to, 0, sizeof(*to));
    to->kind = kind;
    switch (kind) {
    case MESSAGE_REFUSE:
        (void)snprintf(to->refuse_reason, sizeof(to->refuse_reason), "another c4130-1 is here");
        break;
    case MESSAGE_HELLO:
        to->hello = hello();
        break;
    case MESSAGE_WELCOME:
        to->welcome = hello();
        break;
    case MESSAGE_REPORT:
        report(&to->report);
        break;
    case MESSAGE_GAUGES:
        to->gauges = &gauges;
        break;
    case MESSAGE_CHECKED:
        to->checked = (struct message_checked){"GPU-1", "no answer within 60 s"};
        break;
    case MESSAGE_COMMAND:
        command(&to->command);
        break;
    case MESSAGE_DONE:
        to->done = (struct message_done){MANAGER_PREPARE, "train", 12, ""};
        break;
    case MESSAGE_RELEASED:
        to->released = (struct message_released){"GPU-1", 12};
        break;
    case MESSAGE_FABRIC:
        to->fabric = some_fabric();
        break;
    case MESSAGE_REQUEST:
    case MESSAGE_ANSWER:
        sample_http(kind, to);
        break;
    case MESSAGE_REQUEST_GONE:
        to->gone_id = UINT64_MAX;
        break;
    case MESSAGE_WORKER_START:
        to->worker_start = (struct message_worker_start){.channel = 3,
                                                         .system = "train",
                                                         .fence = 12,
                                                         .uid = 1000,
                                                         .devices = {2, 0},
                                                         .device_count = 2};
        break;
    case MESSAGE_WORKER_STARTED:
        worker_started(&to->worker_started);
        break;
    case MESSAGE_WORKER_ENDED:
        to->worker_ended = (struct message_worker_ended){3, "killed by signal 9"};
        break;
    case MESSAGE_WORKER_STOP:
        to->stop_channel = 3;
        break;
    case MESSAGE_PING:
    case MESSAGE_KINDS:
        break;
    }
}

void samples_fini(void)
{
    free(machine);
    machine = NULL;
    topo_fabric_clear(&fabric);
}
