/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/fake_worker.c - see fake_worker.h.
 */
#include "fake_worker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuda.h>

#include "base/clock.h"
#include "cuda-common/layout.h"
#include "generated/cuda-api/wire.h"
#include "session/ses.h"
#include "ucx-transport/xp.h"
#include "ucx-transport/xp_backend.h"

enum { OPS_MAX = 256, KEPT_MAX = 64, REPLY_MAX = 1024, ROOM_BYTES = 300000 };

static struct {
    struct xp_conn *conn;
    struct ses_worker *session;
    const struct ses_prepare *prepare;
    uint64_t count[OPS_MAX];
    uint64_t last_flag, last_peer, last_ctx, tell_count, told_event, last_tell;
    bool is_busy, cannot_tell, talks_nonsense;
    uint64_t copies; /* FAKE_FAIL_COPIES, FAKE_REFUSE_COPIES, or 0: nobody looks at them */
    struct {
        uint64_t object, position;
    } watched[KEPT_MAX];
    uint64_t tokens[KEPT_MAX];
    uint32_t watched_count, token_count;
} fake;

static void send(uint32_t op, const struct wire_parts *parts)
{
    if (xp_signal(fake.conn, op, parts->part, parts->count) != FAB_OK)
        exit(3);
}

static void reply_parts(uint64_t number, int32_t result, const struct wire_parts *parts)
{
    size_t count = fake.talks_nonsense && parts->count ? parts->count - 1 : parts->count;

    if (xp_reply(fake.conn, number, result, parts->part, count, NULL) != FAB_OK)
        exit(4);
}

/* ---- what it says of its devices ------------------------------------------------------------ */

static void describe(struct wire_device *device, uint32_t i)
{
    memset(device, 0, sizeof(*device));
    device->vgpu = fake.prepare->vgpu_index[i];
    device->total_bytes = UINT64_C(1) << 30;
    device->uuid[0] = (uint8_t)(i + 1); /* the same on every node */
    (void)snprintf((char *)device->name, sizeof(device->name), "Fake GPU %u", i);
    (void)snprintf((char *)device->pci_bus_id, sizeof(device->pci_bus_id), "0000:%02x:00.0", i + 1);
    for (uint32_t a = 0; a < sizeof(device->attributes) / sizeof(device->attributes[0]); a++)
        device->attributes[a] = INT32_MIN;
    device->attributes[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT] = 10;
    device->attributes[CU_DEVICE_ATTRIBUTE_CLOCK_RATE] = 1000;
    device->attributes[CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID] = 0;
    device->attributes[CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID] = (int32_t)i;
    device->attributes[CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS] = 1;
}

static void hello(uint64_t number)
{
    static struct wire_device devices[SES_VGPUS_MAX];
    struct wire_hello_reply m = {.protocol = WIRE_PROTOCOL,
                                 .driver_version = 13000,
                                 .worker_pid = (uint32_t)getpid(),
                                 .devices = devices,
                                 .devices_count = fake.prepare->vgpu_count};
    struct wire_parts parts;

    bool is_other = getenv("FAKE_IS_OF_ANOTHER_VERSION") != NULL; /* as cuda-server refuses */

    for (uint32_t i = 0; i < m.devices_count; i++)
        describe(&devices[i], i);
    if (is_other)
        m.devices_count = 0;
    wire_put_hello_reply(&m, &parts);
    reply_parts(number, is_other ? CUDA_ERROR_SYSTEM_DRIVER_MISMATCH : CUDA_SUCCESS, &parts);
}

/* ---- orders --------------------------------------------------------------------------------- */

static void reach(uint64_t object, uint64_t position, int32_t result)
{
    const struct wire_reached m = {.object = object, .position = position, .result = result};
    struct wire_parts parts;

    wire_put_reached(&m, &parts);
    send(WIRE_REACHED, &parts);
}

static void reach_all(void)
{
    for (uint32_t i = 0; i < fake.watched_count; i++)
        reach(fake.watched[i].object, fake.watched[i].position, CUDA_SUCCESS);
    fake.watched_count = 0;
}

static void run_hosts(void)
{
    struct wire_parts parts;

    for (uint32_t i = 0; i < fake.token_count; i++) {
        const struct wire_host_run m = {.token = fake.tokens[i]};

        wire_put_host_run(&m, &parts);
        send(WIRE_HOST_RUN, &parts);
    }
    fake.token_count = 0;
}

static void fail(bool late, int32_t result)
{
    const struct wire_context_error m = {.ctx = fake.last_ctx, .result = result, .late = late};
    struct wire_parts parts;

    wire_put_context_error(&m, &parts);
    send(WIRE_CONTEXT_ERROR, &parts);
}

static void print_line(void)
{
    static const char line[] = "device text\n";
    const struct wire_text m = {.stream = 1, .bytes = line, .bytes_count = sizeof(line) - 1};
    struct wire_parts parts;

    wire_put_text(&m, &parts);
    send(WIRE_TEXT, &parts);
}

static uint64_t obey(uint64_t order)
{
    const struct wire_flag flag = {.flag = fake.last_flag};
    struct wire_parts parts = {.count = 0};

    switch (order) {
    case FAKE_LAST_FLAG:
        return fake.last_flag;
    case FAKE_LAST_PEER:
        return fake.last_peer;
    case FAKE_ASKED_TELL:
        return fake.tell_count;
    case FAKE_CANNOT_TELL:
        fake.cannot_tell = true;
        break;
    case FAKE_LAST_TELL:
        return fake.last_tell;
    case FAKE_TELL:
        reach(fake.told_event, fake.last_tell, CUDA_SUCCESS);
        break;
    case FAKE_TELL_FAULT:
        reach(fake.told_event, fake.last_tell, CUDA_ERROR_ILLEGAL_ADDRESS);
        break;
    case FAKE_BUSY:
        fake.is_busy = true;
        break;
    case FAKE_REACH:
        fake.is_busy = false;
        reach_all();
        break;
    case FAKE_SET_FLAG:
        wire_put_flag(&flag, &parts);
        send(WIRE_FLAG, &parts);
        break;
    case FAKE_RUN_HOST:
        run_hosts();
        break;
    case FAKE_PRINT:
        print_line();
        break;
    case FAKE_LATE:
        fail(true, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
        break;
    case FAKE_FAULT:
        fail(false, CUDA_ERROR_ILLEGAL_ADDRESS);
        break;
    case FAKE_NONSENSE:
        fake.talks_nonsense = true;
        break;
    case FAKE_NONSENSE_DOWN:
        send(WIRE_REACHED, &parts);
        break;
    case FAKE_FAIL_COPIES:
    case FAKE_REFUSE_COPIES:
        fake.copies = order;
        break;
    case FAKE_DIE:
        _exit(0);
    default:
        return order >= FAKE_COUNT_OF && order < FAKE_COUNT_OF + OPS_MAX
                   ? fake.count[order - FAKE_COUNT_OF]
                   : order;
    }
    return order;
}

/* ---- copies that fail ----------------------------------------------------------------------- */

static enum fab_status no_place(void *user, struct xp_chunk *chunk)
{
    (void)user, (void)chunk;
    return FAB_ERR_NOMEM;
}

static void nothing_done(void *user, enum fab_status status)
{
    (void)user, (void)status;
}

static void copy_failed(uint64_t ctx, uint64_t transfer, uint32_t flags, uint64_t bytes,
                        bool is_out)
{
    static const struct xp_bulk_ops ops = {.place = no_place, .done = nothing_done};
    const struct xp_bulk bulk = {.id = transfer, .size_bytes = bytes, .ops = &ops};
    const struct wire_out_data none = {.transfer = transfer};
    enum fab_status status = FAB_OK;
    struct xp_transfer *handle;
    struct wire_parts parts;

    fake.last_ctx = ctx;
    if (fake.copies == FAKE_REFUSE_COPIES)
        fail(true, CUDA_ERROR_OUT_OF_MEMORY);
    if (fake.copies == FAKE_REFUSE_COPIES || !(flags & WIRE_COPY_TRANSFER)) {
        wire_put_out_data(&none, &parts);
        send(WIRE_OUT_DATA, &parts);
        return;
    }
    status = is_out ? xp_bulk_send(fake.conn, &bulk, &handle, NULL)
                    : xp_bulk_receive(fake.conn, &bulk, &handle, NULL);
    if (status != FAB_OK)
        exit(6);
}

static void copies(const struct xp_message *message)
{
    struct wire_copy_out out;
    struct wire_copy_in in;

    if (fake.copies && message->op == WIRE_COPY_OUT &&
        wire_get_copy_out(message->args, message->args_bytes, &out))
        copy_failed(out.ctx, out.transfer, out.flags, out.from.width, /* is_out */ true);
    if (fake.copies && message->op == WIRE_COPY_IN &&
        wire_get_copy_in(message->args, message->args_bytes, &in))
        copy_failed(in.ctx, in.transfer, in.flags, in.to.width, /* is_out */ false);
}

/* ---- commands ------------------------------------------------------------------------------- */

static void ctx_set(const struct xp_message *message)
{
    struct wire_ctx_set m;
    struct wire_ctx_set_reply reply = {.value = 0};
    struct wire_parts parts;

    if (!wire_get_ctx_set(message->args, message->args_bytes, &m))
        exit(5);
    fake.last_ctx = m.ctx;
    if (m.what == WIRE_CTX_LIMIT)
        reply.value = obey(m.value);
    wire_put_ctx_set_reply(&reply, &parts);
    reply_parts(message->number, CUDA_SUCCESS, &parts);
}

/* False: not busy, or no room. */
static bool keep(uint64_t object, uint64_t position)
{
    if (!fake.is_busy || fake.watched_count == KEPT_MAX)
        return false;
    fake.watched[fake.watched_count].object = object;
    fake.watched[fake.watched_count++].position = position;
    return true;
}

static bool watch(const struct xp_message *message)
{
    struct wire_stream_watch stream;
    struct wire_event_watch event;

    if (message->op == WIRE_STREAM_WATCH &&
        wire_get_stream_watch(message->args, message->args_bytes, &stream))
        return keep(stream.stream ? stream.stream : stream.ctx, stream.position);
    if (message->op == WIRE_EVENT_WATCH &&
        wire_get_event_watch(message->args, message->args_bytes, &event))
        return keep(event.event, event.generation);
    return false;
}

static void event_recorded(const struct wire_event_record *record)
{
    if (record->tell == 0)
        return;
    fake.tell_count++;
    fake.told_event = record->event;
    fake.last_tell = record->tell;
    if (fake.cannot_tell)
        reach(record->event, record->tell, CUDA_ERROR_NOT_READY);
    else if (!keep(record->event, record->tell))
        reach(record->event, record->tell, CUDA_SUCCESS);
    fake.cannot_tell = false;
}

static void call(const struct xp_message *message)
{
    static const uint64_t zeros[ROOM_BYTES / sizeof(uint64_t)];
    const struct wire_row *row = wire_row_find(message->op);
    struct wire_parts parts = {.count = 0};
    bool is_busy;

    if (message->op == WIRE_HELLO) {
        hello(message->number);
        return;
    }
    if (message->op == WIRE_CTX_SET) {
        ctx_set(message);
        return;
    }
    is_busy = watch(message);
    if (row->reply_fixed_bytes > 0) {
        parts.part[0] = (struct iovec){(void *)(uintptr_t)zeros, row->reply_fixed_bytes};
        parts.count = 1;
    }
    reply_parts(message->number, is_busy ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS, &parts);
}

static void post(const struct xp_message *message)
{
    struct wire_event_record record;
    struct wire_event_notify notify;
    struct wire_flag_wait wait;
    struct wire_host_call host;
    struct wire_flag flag;

    copies(message);
    if (message->op == WIRE_EVENT_RECORD &&
        wire_get_event_record(message->args, message->args_bytes, &record))
        event_recorded(&record);
    if (message->op == WIRE_EVENT_NOTIFY &&
        wire_get_event_notify(message->args, message->args_bytes, &notify)) {
        fake.last_flag = notify.flag;
        fake.last_peer = notify.peer;
    }
    if (message->op == WIRE_FLAG_WAIT &&
        wire_get_flag_wait(message->args, message->args_bytes, &wait))
        fake.last_flag = wait.flag;
    if (message->op == WIRE_FLAG && wire_get_flag(message->args, message->args_bytes, &flag))
        fake.last_flag = flag.flag;
    if (message->op == WIRE_HOST_CALL && fake.token_count < KEPT_MAX &&
        wire_get_host_call(message->args, message->args_bytes, &host))
        fake.tokens[fake.token_count++] = host.token;
}

static void on_message(void *user, struct xp_conn *conn, const struct xp_message *message)
{
    (void)user;
    fake.conn = conn;
    if (message->op < OPS_MAX)
        fake.count[message->op]++;
    if (message->kind == XP_CALL)
        call(message);
    else
        post(message);
}

static const struct xp_handlers handlers = {.message = on_message};

/* ---- attaching ------------------------------------------------------------------------------ */

static struct xp_node *open_node(struct fab_err *err)
{
    const struct ses_node *from = &fake.prepare->node;
    struct xp_rail_config rails[SES_RAILS_MAX];
    struct xp_node_config config = {
        .rails = rails, .rail_count = from->rail_count, .clock = fab_clock_real()};
    struct xp_node *node = NULL;

    for (uint32_t i = 0; i < from->rail_count; i++)
        rails[i] = (struct xp_rail_config){
            .backend = from->rails[i].wire == SES_WIRE_SHM ? &xp_backend_shm : &xp_backend_ucx,
            .device = from->rails[i].device,
            .numa_node = -1};
    memcpy(config.node_id, from->id, sizeof(config.node_id));
    return xp_node_create(&config, &node, err) == FAB_OK ? node : NULL;
}

static bool accept_client(struct xp_node *node, struct fab_err *err)
{
    static struct ses_accept accepted;
    struct xp_conn_config config = {.handlers = &handlers};
    size_t address_bytes;
    const uint8_t *address = xp_node_address(node, &address_bytes);

    if (ses_worker_offer(fake.session, address, address_bytes, (1u << CUC_LAYOUT_COUNT) - 1,
                         &accepted, err) != FAB_OK)
        return false;
    config.session_id = accepted.link.session_id;
    memcpy(config.key, accepted.link.key, sizeof(config.key));
    config.peer_address = accepted.link.address;
    config.peer_address_bytes = accepted.link.address_bytes;
    return xp_conn_open(node, &config, &fake.conn, err) == FAB_OK &&
           ses_worker_ready(fake.session, err) == FAB_OK;
}

int fake_worker_main(void)
{
    struct fab_err err = {.status = FAB_OK};
    struct ses_event event = {.kind = SES_EVENT_NONE};
    struct xp_node *node = NULL;

    if (ses_worker_open(&fake.session, &err) == FAB_OK) {
        fake.prepare = ses_worker_prepare(fake.session);
        node = open_node(&err);
    }
    if (!node || !accept_client(node, &err)) {
        fprintf(stderr, "fake worker: %s\n", err.text);
        return 1;
    }
    while (event.kind != SES_EVENT_REVOKED) {
        struct pollfd fd = {.fd = ses_worker_fd(fake.session), .events = POLLIN};

        (void)poll(&fd, 1, -1);
        ses_worker_event(fake.session, &event);
    }
    return 0;
}
