/* SPDX-License-Identifier: Apache-2.0
 * A worker's memory, copies and transfers, by the wire.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "tests/unit/driver/support.h"

static struct rig rig;

static void fill(uint8_t *bytes, size_t size_bytes, uint32_t seed)
{
    for (size_t i = 0; i < size_bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

static struct wire_mem_info_reply mem_info(void)
{
    struct wire_mem_info_reply info = {.free_bytes = 0};

    CHECK_EQ(RIG_CALL(&rig, mem_info, WIRE_MEM_INFO, .ctx = RIG_CTX), CUDA_SUCCESS);
    CHECK(wire_get_mem_info_reply(rig.reply, rig.reply_bytes, &info));
    return info;
}

static CUresult mem_free(uint64_t offset, uint64_t bytes)
{
    const struct wire_range range = {.address = rig_address(0, offset), .bytes = bytes};

    return RIG_CALL(&rig, mem_free, WIRE_MEM_FREE, .ctx = RIG_CTX, .wait = 1, .ranges = &range,
                    .ranges_count = 1);
}

static void test_mapping(void)
{
    uint64_t before;

    rig_open(&rig, false);
    rig_world(&rig);
    before = mem_info().free_bytes;
    CHECK_CASE("blocks and pieces");
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
    CHECK_EQ(rig_map(&rig, 0, 2 * RIG_MIB, 70 * RIG_MIB), CUDA_SUCCESS);
    CHECK_EQ(before - mem_info().free_bytes, 72 * RIG_MIB);
    CHECK_EQ(rig_stats(&rig).charged_bytes, 72 * RIG_MIB);
    CHECK_CASE("refused");
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_ERROR_ALREADY_MAPPED);
    CHECK_EQ(rig_map(&rig, 0, 100, 2 * RIG_MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(rig_map(&rig, 0, UINT64_C(1) << 39, 2 * RIG_MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(rig_map(&rig, 7, 0, 2 * RIG_MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(rig_map(&rig, 0, 128 * RIG_MIB, before - before % (2 * RIG_MIB)),
             CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_CASE("nothing is left of what did not fit");
    CHECK_EQ(before - mem_info().free_bytes, 72 * RIG_MIB);
    CHECK_CASE("whole extents only");
    CHECK_EQ(mem_free(2 * RIG_MIB, 2 * RIG_MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(mem_free(2 * RIG_MIB, 70 * RIG_MIB), CUDA_SUCCESS);
    CHECK_EQ(mem_free(0, 2 * RIG_MIB), CUDA_SUCCESS);
    CHECK_EQ(mem_info().free_bytes, before);
    CHECK_EQ(rig_stats(&rig).charged_bytes, 0);
    rig_close(&rig);
}

static void test_physical(void)
{
    const struct wire_access access = {.vgpu = 0, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    const struct cuc_layout *layout = cuc_layout_row((uint32_t)__builtin_ctz(cuc_layout_suits()));
    const uint64_t address = layout->reserve.base; /* the client's reservation */
    uint64_t word = 5, back = 0;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(
        RIG_CALL(&rig, phys_create, WIRE_PHYS_CREATE, .phys = 600, .bytes = 2 * RIG_MIB, .vgpu = 0),
        CUDA_SUCCESS);
    CHECK_EQ(
        RIG_CALL(&rig, phys_create, WIRE_PHYS_CREATE, .phys = 601, .bytes = 2 * RIG_MIB, .vgpu = 8),
        CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(RIG_CALL(&rig, phys_map, WIRE_PHYS_MAP, .address = address, .bytes = 2 * RIG_MIB,
                      .phys = 600),
             CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, phys_map, WIRE_PHYS_MAP, .address = address, .bytes = 2 * RIG_MIB,
                      .phys = 600),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(RIG_CALL(&rig, mem_access, WIRE_MEM_ACCESS, .address = address, .bytes = 2 * RIG_MIB,
                      .access = &access, .access_count = 1),
             CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, phys_release, WIRE_PHYS_RELEASE, .phys = 600), CUDA_SUCCESS);
    CHECK_CASE("the mapping keeps it");
    CHECK_EQ(rig_write(&rig, address, &word, sizeof(word)), CUDA_SUCCESS);
    CHECK_EQ(rig_read(&rig, address, &back, sizeof(back)), CUDA_SUCCESS);
    CHECK_EQ(back, word);
    CHECK_EQ(RIG_CALL(&rig, phys_unmap, WIRE_PHYS_UNMAP, .address = address, .bytes = RIG_MIB),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(RIG_CALL(&rig, phys_unmap, WIRE_PHYS_UNMAP, .address = address, .bytes = 2 * RIG_MIB),
             CUDA_SUCCESS);
    CHECK_EQ(rig_write(&rig, address, &word, sizeof(word)), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(rig_stats(&rig).charged_bytes, 0);
    rig_close(&rig);
}

static void test_host_memory(void)
{
    const struct cuc_layout *layout = cuc_layout_row((uint32_t)__builtin_ctz(cuc_layout_suits()));
    const uint64_t address = layout->pinned.base;
    struct wire_host_map_reply reply;
    uint64_t word = 9, back = 0;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(RIG_CALL(&rig, host_map, WIRE_HOST_MAP, .address = address, .bytes = 8192),
             CUDA_SUCCESS);
    CHECK(wire_get_host_map_reply(rig.reply, rig.reply_bytes, &reply));
    CHECK_EQ(reply.same_memory, 0); /* nothing is shared with a client on another host */
    CHECK_EQ(rig_write(&rig, address + 4096, &word, sizeof(word)), CUDA_SUCCESS);
    CHECK_EQ(rig_read(&rig, address + 4096, &back, sizeof(back)), CUDA_SUCCESS);
    CHECK_EQ(back, word);
    CHECK_EQ(RIG_CALL(&rig, host_map, WIRE_HOST_MAP, .address = address + 1, .bytes = 8192),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(RIG_CALL(&rig, host_unmap, WIRE_HOST_UNMAP, .address = address, .bytes = 4096),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(RIG_CALL(&rig, host_unmap, WIRE_HOST_UNMAP, .address = address, .bytes = 8192),
             CUDA_SUCCESS);
    CHECK_EQ(rig_write(&rig, address, &word, sizeof(word)), CUDA_ERROR_INVALID_VALUE);
    rig_close(&rig);
}

/* In the order of its stream, and while another one waits. */
static void test_host_memory_in_order(void)
{
    enum { OTHER = 201 };
    const struct cuc_layout *layout = cuc_layout_row((uint32_t)__builtin_ctz(cuc_layout_suits()));
    const uint64_t address = layout->pinned.base;
    const uint32_t word = 77, rows[2] = {78, 79};
    const struct wire_box apart = {.address = address + 1024,
                                   .width = sizeof(word),
                                   .height = 2,
                                   .depth = 1,
                                   .pitch = 64,
                                   .layer = 128};
    struct wire_copy_out_wait_reply reply;
    uint32_t got = 1;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(RIG_CALL(&rig, host_map, WIRE_HOST_MAP, .address = address, .bytes = 8192),
             CUDA_SUCCESS);
    RIG_POST(&rig, stream_create, WIRE_STREAM_CREATE, .stream = OTHER, .ctx = RIG_CTX,
             .flags = CU_STREAM_NON_BLOCKING, .is_own = 1);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    RIG_POST(&rig, copy_in, WIRE_COPY_IN, .ctx = RIG_CTX, .stream = RIG_STREAM,
             .to = rig_line(address, sizeof(word)), .flags = WIRE_COPY_INLINE, .data = &word,
             .data_count = sizeof(word));
    RIG_POST(&rig, copy_in, WIRE_COPY_IN, .ctx = RIG_CTX, .stream = RIG_STREAM, .to = apart,
             .flags = WIRE_COPY_INLINE, .data = (const uint8_t *)rows, .data_count = sizeof(rows));
    CHECK_CASE("by another stream, before");
    CHECK_EQ(RIG_CALL(&rig, copy_out, WIRE_COPY_OUT_WAIT, .ctx = RIG_CTX, .stream = OTHER,
                      .from = rig_line(address, sizeof(got)), .flags = WIRE_COPY_INLINE),
             CUDA_SUCCESS);
    if (CHECK(wire_get_copy_out_wait_reply(rig.reply, rig.reply_bytes, &reply)) &&
        CHECK_EQ(reply.data_count, sizeof(got)))
        memcpy(&got, reply.data, sizeof(got));
    CHECK_EQ(got, 0);
    CHECK_CASE("then");
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 400);
    CHECK_EQ(rig_read(&rig, address, &got, sizeof(got)), CUDA_SUCCESS);
    CHECK_EQ(got, word);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_CASE("row %u", i);
        CHECK_EQ(rig_read(&rig, apart.address + i * apart.pitch, &got, sizeof(got)), CUDA_SUCCESS);
        CHECK_EQ(got, rows[i]);
    }
    CHECK_EQ(RIG_CALL(&rig, host_unmap, WIRE_HOST_UNMAP, .address = address, .bytes = 8192),
             CUDA_SUCCESS);
    rig_close(&rig);
}

/* ---- copies in messages ---------------------------------------------------------------------- */

static void test_inline_copies(void)
{
    enum { WIDTH = 24, HEIGHT = 5, DEPTH = 3, BYTES = WIDTH * HEIGHT * DEPTH };
    uint8_t in[BYTES], out[BYTES], one = 0;
    struct wire_box box;
    struct wire_copy_out_wait_reply reply;
    struct wire_out_data data;
    struct rig_signal signal;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
    fill(in, sizeof(in), 1);
    box = (struct wire_box){.address = rig_address(0, 512),
                            .width = WIDTH,
                            .height = HEIGHT,
                            .depth = DEPTH,
                            .pitch = 100,
                            .layer = 733}; /* no whole number of rows */
    CHECK_CASE("a box");
    RIG_POST(&rig, copy_in, WIRE_COPY_IN, .ctx = RIG_CTX, .stream = RIG_STREAM, .to = box,
             .flags = WIRE_COPY_INLINE, .data = in, .data_count = BYTES);
    CHECK_EQ(RIG_CALL(&rig, copy_out, WIRE_COPY_OUT_WAIT, .ctx = RIG_CTX, .stream = RIG_STREAM,
                      .from = box, .flags = WIRE_COPY_INLINE),
             CUDA_SUCCESS);
    if (CHECK(wire_get_copy_out_wait_reply(rig.reply, rig.reply_bytes, &reply)) &&
        CHECK_EQ(reply.data_count, BYTES))
        CHECK_MEM(reply.data, in, BYTES);
    CHECK_CASE("a row of it, by its address");
    CHECK_EQ(rig_read(&rig, box.address + 2 * 733 + 4 * 100, out, WIDTH), CUDA_SUCCESS);
    CHECK_MEM(out, in + (2 * HEIGHT + 4) * WIDTH, WIDTH);
    CHECK_CASE("posted: the bytes come by themselves");
    RIG_POST(&rig, copy_out, WIRE_COPY_OUT, .ctx = RIG_CTX, .stream = RIG_STREAM, .transfer = 700,
             .from = box, .flags = WIRE_COPY_INLINE);
    xp_flush(rig.conn);
    signal = rig_wait_signal(&rig, WIRE_OUT_DATA);
    CHECK(wire_get_out_data(signal.bytes, signal.size_bytes, &data));
    CHECK_EQ(data.transfer, 700);
    if (CHECK_EQ(data.data_count, BYTES))
        CHECK_MEM(data.data, in, BYTES);
    free(signal.bytes);
    CHECK_CASE("on the device, and set");
    CHECK_EQ(RIG_CALL(&rig, copy_device, WIRE_COPY_DEVICE_WAIT, .ctx = RIG_CTX,
                      .stream = RIG_STREAM, .to = rig_line(rig_address(0, RIG_MIB), WIDTH),
                      .from = rig_line(box.address, WIDTH)),
             CUDA_SUCCESS);
    CHECK_EQ(rig_read(&rig, rig_address(0, RIG_MIB), out, WIDTH), CUDA_SUCCESS);
    CHECK_MEM(out, in, WIDTH);
    box.layer = 1000;
    CHECK_EQ(RIG_CALL(&rig, set, WIRE_SET_WAIT, .ctx = RIG_CTX, .stream = RIG_STREAM, .to = box,
                      .value = 0x01020304, .value_bytes = 4),
             CUDA_SUCCESS);
    CHECK_EQ(rig_read(&rig, box.address + 2000 + 400 + 5, &one, 1), CUDA_SUCCESS);
    CHECK_EQ(one, 3);
    CHECK_EQ(rig_read(&rig, box.address + 24, &one, 1), CUDA_SUCCESS);
    CHECK_EQ(one, 0); /* between the rows */
    CHECK_CASE("what nobody mapped");
    CHECK_EQ(rig_read(&rig, rig_address(0, 64 * RIG_MIB), out, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    rig_close(&rig);
}

/* ---- transfers ------------------------------------------------------------------------------- */

static void bulk_done(void *user, enum fab_status status)
{
    (void)pthread_mutex_lock(&rig.lock);
    *(int *)user = (int)status;
    (void)pthread_cond_broadcast(&rig.changed);
    (void)pthread_mutex_unlock(&rig.lock);
}

static const struct xp_bulk_ops bulk_ops = {.done = bulk_done};
enum { RUNNING = 1 };

static int wait_bulk(int *status)
{
    (void)pthread_mutex_lock(&rig.lock);
    while (*status == RUNNING)
        (void)pthread_cond_wait(&rig.changed, &rig.lock);
    (void)pthread_mutex_unlock(&rig.lock);
    return *status;
}

static void start_bulk(bool send, uint64_t id, void *bytes, uint64_t size_bytes, int *status)
{
    struct xp_bulk bulk = {
        .id = id, .size_bytes = size_bytes, .ops = &bulk_ops, .user = status, .base = bytes};
    struct xp_transfer *transfer;

    *status = RUNNING;
    CHECK_EQ(send ? xp_bulk_send(rig.conn, &bulk, &transfer, NULL)
                  : xp_bulk_receive(rig.conn, &bulk, &transfer, NULL),
             FAB_OK);
}

enum { LARGE = 9 * RIG_MIB + 1234, ROWS = 900, ROW_BYTES = 5000, PITCH = 5120 };

static const struct {
    const char *label;
    uint64_t bytes;
    bool is_box;
} transfer_cases[] = {
    {"one chunk", 70000, false},
    {"many chunks", LARGE, false},
    {"rows with gaps", (uint64_t)ROWS *ROW_BYTES, true},
};

static struct wire_box transfer_box(size_t i)
{
    const struct wire_box rows = {.address = rig_address(0, 256),
                                  .width = ROW_BYTES,
                                  .height = ROWS / 3,
                                  .depth = 3,
                                  .pitch = PITCH,
                                  .layer = PITCH * 400};

    return transfer_cases[i].is_box ? rows : rig_line(rig_address(0, 256), transfer_cases[i].bytes);
}

static void transfers(bool direct)
{
    uint8_t *in = malloc(LARGE), *out = calloc(1, LARGE);
    struct wire_stats_reply stats;
    int sent, received;

    rig_open(&rig, direct);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, 16 * RIG_MIB), CUDA_SUCCESS);
    for (size_t i = 0; i < FAB_ARRAY_LEN(transfer_cases); i++) {
        const uint64_t bytes = transfer_cases[i].bytes;

        CHECK_CASE("%s", transfer_cases[i].label);
        fill(in, bytes, (uint32_t)i + 1);
        start_bulk(true, 800 + i, in, bytes, &sent);
        CHECK_EQ(RIG_CALL(&rig, copy_in, WIRE_COPY_IN_WAIT, .ctx = RIG_CTX, .stream = RIG_STREAM,
                          .transfer = 800 + i, .to = transfer_box(i), .flags = WIRE_COPY_TRANSFER),
                 CUDA_SUCCESS);
        CHECK_EQ(wait_bulk(&sent), FAB_OK);
        memset(out, 0, LARGE);
        start_bulk(false, 900 + i, out, bytes, &received);
        CHECK_EQ(RIG_CALL(&rig, copy_out, WIRE_COPY_OUT_WAIT, .ctx = RIG_CTX, .stream = RIG_STREAM,
                          .transfer = 900 + i, .from = transfer_box(i),
                          .flags = WIRE_COPY_TRANSFER),
                 CUDA_SUCCESS);
        CHECK_EQ(wait_bulk(&received), FAB_OK);
        CHECK_MEM(out, in, bytes);
    }
    stats = rig_stats(&rig);
    CHECK_CASE("what went which way");
    CHECK_EQ(stats.bytes_direct, direct ? 2 * (70000 + LARGE) : 0);
    CHECK_EQ(stats.bytes_in, ROWS * ROW_BYTES + (direct ? 0 : 70000 + LARGE));
    CHECK_EQ(stats.late_errors, 0);
    rig_close(&rig);
    free(in);
    free(out);
}

static void test_staged_transfers(void)
{
    transfers(/* direct */ false);
}

static void test_direct_transfers(void)
{
    transfers(/* direct */ true);
}

/* A stream does not pass a copy out before its bytes are safe; `landed` names what is on its way.
 */
static void test_capture(void)
{
    enum { BYTES = 3 * RIG_MIB };
    struct wire_stream_sync_reply reply;
    uint8_t *in = malloc(BYTES), *out = calloc(1, BYTES);
    int sent, received;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, 4 * RIG_MIB), CUDA_SUCCESS);
    fill(in, BYTES, 4);
    start_bulk(true, 800, in, BYTES, &sent);
    RIG_POST(&rig, copy_in, WIRE_COPY_IN, .ctx = RIG_CTX, .stream = RIG_STREAM, .transfer = 800,
             .to = rig_line(rig_address(0, 0), BYTES), .flags = WIRE_COPY_TRANSFER);
    RIG_POST(&rig, copy_out, WIRE_COPY_OUT, .ctx = RIG_CTX, .stream = RIG_STREAM, .transfer = 900,
             .from = rig_line(rig_address(0, 0), BYTES), .flags = WIRE_COPY_TRANSFER);
    RIG_POST(&rig, set, WIRE_SET, .ctx = RIG_CTX, .stream = RIG_STREAM,
             .to = rig_line(rig_address(0, 0), BYTES), .value = 0, .value_bytes = 1);
    CHECK_CASE("captured, and nobody takes it");
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK(wire_get_stream_sync_reply(rig.reply, rig.reply_bytes, &reply));
    if (CHECK_EQ(reply.landed_count, 1))
        CHECK_EQ(reply.landed[0], 900);
    start_bulk(false, 900, out, BYTES, &received);
    CHECK_EQ(wait_bulk(&received), FAB_OK);
    CHECK_EQ(wait_bulk(&sent), FAB_OK);
    CHECK_MEM(out, in, BYTES);
    rig_close(&rig);
    free(in);
    free(out);
}

/* The source is asked for when the stream gets there, not before. */
static void test_pull(void)
{
    enum { BYTES = 200000 };
    struct rig_signal signal;
    struct wire_pull pull;
    static uint8_t in[BYTES], out[BYTES];
    int sent;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    RIG_POST(&rig, copy_in, WIRE_COPY_IN, .ctx = RIG_CTX, .stream = RIG_STREAM, .transfer = 800,
             .to = rig_line(rig_address(0, 0), BYTES),
             .flags = WIRE_COPY_TRANSFER | WIRE_COPY_PULL);
    CHECK_EQ(rig_sync(&rig, 0), CUDA_SUCCESS);
    CHECK(!rig_has_signal(&rig, WIRE_PULL));
    fill(in, BYTES, 5);
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 400);
    signal = rig_wait_signal(&rig, WIRE_PULL);
    CHECK(wire_get_pull(signal.bytes, signal.size_bytes, &pull));
    CHECK_EQ(pull.transfer, 800);
    free(signal.bytes);
    start_bulk(true, 800, in, BYTES, &sent);
    CHECK_EQ(wait_bulk(&sent), FAB_OK);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    for (uint32_t at = 0; at < BYTES; at += 50000)
        CHECK_EQ(rig_read(&rig, rig_address(0, at), out + at, 50000), CUDA_SUCCESS);
    CHECK_MEM(out, in, BYTES);
    rig_close(&rig);
}

/* The client gives a transfer up: the stream goes on. */
static void test_a_transfer_that_ends_early(void)
{
    enum { BYTES = 8 * RIG_MIB };
    uint8_t *in = calloc(1, BYTES);
    struct xp_transfer *transfer;
    int sent = RUNNING;
    const struct xp_bulk bulk = {
        .id = 800, .size_bytes = BYTES, .ops = &bulk_ops, .user = &sent, .base = in};

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, BYTES), CUDA_SUCCESS);
    RIG_POST(&rig, flag_wait, WIRE_FLAG_WAIT, .flag = 400, .ctx = RIG_CTX, .stream = RIG_STREAM);
    RIG_POST(&rig, copy_in, WIRE_COPY_IN, .ctx = RIG_CTX, .stream = RIG_STREAM, .transfer = 800,
             .to = rig_line(rig_address(0, 0), BYTES), .flags = WIRE_COPY_TRANSFER);
    CHECK_EQ(rig_sync(&rig, 0), CUDA_SUCCESS);
    CHECK_EQ(xp_bulk_send(rig.conn, &bulk, &transfer, NULL), FAB_OK);
    xp_bulk_cancel(transfer, FAB_ERR_CANCELLED);
    CHECK(wait_bulk(&sent) != FAB_OK);
    RIG_SIGNAL(&rig, flag, WIRE_FLAG, .flag = 400);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    rig_close(&rig);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_mapping),
                                       CHECK_TEST(test_physical),
                                       CHECK_TEST(test_host_memory),
                                       CHECK_TEST(test_host_memory_in_order),
                                       CHECK_TEST(test_inline_copies),
                                       CHECK_TEST(test_staged_transfers),
                                       CHECK_TEST(test_direct_transfers),
                                       CHECK_TEST(test_capture),
                                       CHECK_TEST(test_pull),
                                       CHECK_TEST(test_a_transfer_that_ends_early)};

    support_devices(NULL, "2");
    return check_run(tests);
}
