/* SPDX-License-Identifier: Apache-2.0
 * A worker's modules, libraries, functions and launches, by the wire.
 */
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda-server/image_store.h"
#include "rig.h"
#include "tests/unit/driver/support.h"

static const char ptx[] = ".version 8.0\n.target sm_75\n.address_size 64\n"
                          ".visible .global .align 4 .u32 answer = 42;\n"
                          ".visible .entry store(.param .u64 to, .param .u32 value) {\n"
                          "  .reg .b64 %rd<2>; .reg .b32 %r<2>;\n"
                          "  ld.param.u64 %rd1, [to]; ld.param.u32 %r1, [value];\n"
                          "  st.global.u32 [%rd1], %r1; ret;\n}\n"
                          ".visible .entry nothing() { ret; }\n";

enum { IMAGE = 1000, FUNCTIONS = 1100, LIBRARY = 2000, KERNELS = 2100, MODULE = 2200 };

static struct rig rig;

static void hash_of(const char *text, uint8_t hash_out[CUDAS_HASH_BYTES])
{
    struct sha256_ctx state;

    sha256_init(&state);
    sha256_update(&state, strlen(text) + 1, (const uint8_t *)text);
    sha256_digest(&state, CUDAS_HASH_BYTES, hash_out);
}

static CUresult load(const char *text, uint64_t image, uint64_t ctx, uint64_t first)
{
    struct wire_image_load m = {
        .image = image, .ctx = ctx, .bytes = strlen(text) + 1, .first_function = first};
    struct wire_parts parts;

    m.log_bytes = 1000;
    hash_of(text, m.hash);
    wire_put_image_load(&m, &parts);
    return rig_call(&rig, WIRE_IMAGE_LOAD, &parts);
}

static void send_code(const char *text)
{
    enum { PIECE = 100 };
    struct wire_image_bytes m = {.bytes = strlen(text) + 1};
    struct wire_parts parts;

    hash_of(text, m.hash);
    for (m.offset = 0; m.offset < m.bytes; m.offset += PIECE) {
        m.data = text + m.offset;
        m.data_count = (uint32_t)(m.bytes - m.offset < PIECE ? m.bytes - m.offset : PIECE);
        wire_put_image_bytes(&m, &parts);
        rig_post(&rig, WIRE_IMAGE_BYTES, &parts);
    }
}

/* The function of that name in the last load's reply. */
static const struct wire_function *find(const struct wire_image_load_reply *reply, const char *name)
{
    for (uint32_t i = 0; i < reply->functions_count; i++) {
        const struct wire_function *function = &reply->functions[i];

        if (function->name_bytes == strlen(name) &&
            memcmp((const char *)reply->names + function->name_at, name, function->name_bytes) == 0)
            return function;
    }
    return NULL;
}

static void launch_store(uint64_t function, uint64_t to, uint32_t value)
{
    struct {
        uint64_t to;
        uint32_t value;
    } params = {to, value};

    RIG_POST(&rig, launch, WIRE_LAUNCH, .ctx = RIG_CTX, .stream = RIG_STREAM, .function = function,
             .grid = {1, 1, 1}, .block = {1, 1, 1}, .params = &params, .params_count = 12);
}

static void test_modules(void)
{
    struct wire_image_load_reply reply;
    struct wire_function_load_reply loaded;
    const struct wire_function *store;
    struct wire_global_find_reply global;
    uint32_t value = 0;
    uint64_t id;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
    CHECK_CASE("the worker does not have it");
    CHECK_EQ(load(ptx, IMAGE, RIG_CTX, FUNCTIONS), CUDA_ERROR_NOT_FOUND);
    CHECK(wire_get_image_load_reply(rig.reply, rig.reply_bytes, &reply));
    CHECK_EQ(reply.known, 0);
    send_code(ptx);
    CHECK_CASE("sent");
    CHECK_EQ(load(ptx, IMAGE, RIG_CTX, FUNCTIONS), CUDA_SUCCESS);
    if (!CHECK(wire_get_image_load_reply(rig.reply, rig.reply_bytes, &reply)))
        return;
    CHECK_EQ(reply.known, 1);
    CHECK_EQ(reply.complete, 1);
    CHECK_EQ(reply.functions_count, 2);
    store = find(&reply, "store");
    if (!CHECK(store != NULL) || !CHECK(find(&reply, "nothing") != NULL))
        return;
    CHECK(store->id >= FUNCTIONS && store->id < FUNCTIONS + 2);
    CHECK_EQ(store->param_count, 2);
    CHECK_EQ(store->param_bytes, 12);
    CHECK_EQ(reply.params[store->param_at + 1].offset, 8);
    CHECK_EQ(reply.params[store->param_at + 1].bytes, 4);
    CHECK(store->attributes[CU_FUNC_ATTRIBUTE_NUM_REGS] > 0);
    CHECK_EQ(store->attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK], INT32_MIN);
    id = store->id;
    CHECK_CASE("loaded: only then all is known");
    CHECK_EQ(RIG_CALL(&rig, function_load, WIRE_FUNCTION_LOAD, .function = id), CUDA_SUCCESS);
    if (CHECK(wire_get_function_load_reply(rig.reply, rig.reply_bytes, &loaded)))
        CHECK(loaded.attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] > 0);
    CHECK_CASE("launched");
    launch_store(id, rig_address(0, 64), 77);
    CHECK_EQ(rig_read(&rig, rig_address(0, 64), &value, sizeof(value)), CUDA_SUCCESS);
    CHECK_EQ(value, 77);
    CHECK_EQ(rig_stats(&rig).launches, 1);
    CHECK(rig_stats(&rig).gpu_ns > 0);
    CHECK_CASE("a variable");
    CHECK_EQ(RIG_CALL(&rig, global_find, WIRE_GLOBAL_FIND, .image = IMAGE, .name = "answer",
                      .name_count = 6),
             CUDA_SUCCESS);
    CHECK(wire_get_global_find_reply(rig.reply, rig.reply_bytes, &global));
    CHECK_EQ(global.bytes, 4);
    CHECK_EQ(global.managed, 0);
    CHECK_EQ(rig_read(&rig, global.address, &value, sizeof(value)), CUDA_SUCCESS);
    CHECK_EQ(value, 42);
    CHECK_EQ(RIG_CALL(&rig, global_find, WIRE_GLOBAL_FIND, .image = IMAGE, .name = "other",
                      .name_count = 5),
             CUDA_ERROR_NOT_FOUND);
    CHECK_CASE("attributes");
    CHECK_EQ(RIG_CALL(&rig, function_set, WIRE_FUNCTION_SET, .function = id,
                      .what = WIRE_FUNCTION_SET_ATTRIBUTE,
                      .attribute = CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, .value = 30),
             CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, function_load, WIRE_FUNCTION_LOAD, .function = 1),
             CUDA_ERROR_INVALID_HANDLE);
    CHECK_CASE("by name");
    CHECK_EQ(RIG_CALL(&rig, function_find, WIRE_FUNCTION_FIND, .image = IMAGE, .function = 1500,
                      .name = "store", .name_count = 5),
             CUDA_SUCCESS);
    launch_store(1500, rig_address(0, 64), 78);
    CHECK_EQ(rig_read(&rig, rig_address(0, 64), &value, sizeof(value)), CUDA_SUCCESS);
    CHECK_EQ(value, 78);
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    CHECK_CASE("unloaded");
    CHECK_EQ(RIG_CALL(&rig, image_unload, WIRE_IMAGE_UNLOAD, .image = IMAGE), CUDA_SUCCESS);
    launch_store(id, rig_address(0, 64), 79);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_SUCCESS);
    CHECK_EQ(rig_stats(&rig).late_errors, 1);
    rig_close(&rig);
}

static void test_libraries(void)
{
    struct wire_image_load_reply reply;
    struct wire_library_module_reply module;
    const struct wire_function *store;
    uint32_t value = 0;
    uint64_t kernel;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(rig_map(&rig, 0, 0, 2 * RIG_MIB), CUDA_SUCCESS);
    send_code(ptx);
    CHECK_EQ(load(ptx, LIBRARY, 0, KERNELS), CUDA_SUCCESS);
    if (!CHECK(wire_get_image_load_reply(rig.reply, rig.reply_bytes, &reply)))
        return;
    store = find(&reply, "store");
    if (!CHECK(store != NULL))
        return;
    kernel = store->id;
    CHECK_EQ(store->param_bytes, 12);
    CHECK_CASE("in a context");
    CHECK_EQ(RIG_CALL(&rig, library_module, WIRE_LIBRARY_MODULE, .image = LIBRARY, .ctx = RIG_CTX,
                      .module = MODULE, .first_function = MODULE + 10),
             CUDA_SUCCESS);
    CHECK(wire_get_library_module_reply(rig.reply, rig.reply_bytes, &module));
    CHECK_EQ(module.function_count, 2);
    launch_store(MODULE + 10 + (kernel - KERNELS), rig_address(0, 0), 5);
    CHECK_EQ(rig_read(&rig, rig_address(0, 0), &value, sizeof(value)), CUDA_SUCCESS);
    CHECK_EQ(value, 5);
    CHECK_CASE("a library's module goes with the library");
    CHECK_EQ(RIG_CALL(&rig, image_unload, WIRE_IMAGE_UNLOAD, .image = MODULE),
             CUDA_ERROR_INVALID_HANDLE);
    CHECK_EQ(RIG_CALL(&rig, image_unload, WIRE_IMAGE_UNLOAD, .image = LIBRARY), CUDA_SUCCESS);
    CHECK_EQ(RIG_CALL(&rig, image_unload, WIRE_IMAGE_UNLOAD, .image = LIBRARY),
             CUDA_ERROR_INVALID_HANDLE);
    rig_close(&rig);
}

static void test_code_that_does_not_load(void)
{
    struct wire_image_load_reply reply;

    rig_open(&rig, false);
    rig_world(&rig);
    send_code("no code");
    CHECK(load("no code", IMAGE, RIG_CTX, FUNCTIONS) != CUDA_SUCCESS);
    CHECK(wire_get_image_load_reply(rig.reply, rig.reply_bytes, &reply));
    CHECK_EQ(reply.known, 1);
    CHECK_CASE("other bytes than their hash says");
    RIG_POST(&rig, image_bytes, WIRE_IMAGE_BYTES, .hash = {1}, .bytes = 4, .data = "abc",
             .data_count = 4);
    xp_flush(rig.conn);
    rig_wait_ended(&rig);
    rig_close(&rig);
}

/* A kernel's fault is the context's, told once, with its sync. */
static void test_a_fault(void)
{
    struct wire_image_load_reply reply;
    struct wire_context_error error;
    struct rig_signal signal;
    uint64_t id;

    rig_open(&rig, false);
    rig_world(&rig);
    send_code(ptx);
    CHECK_EQ(load(ptx, IMAGE, RIG_CTX, FUNCTIONS), CUDA_SUCCESS);
    CHECK(wire_get_image_load_reply(rig.reply, rig.reply_bytes, &reply));
    id = find(&reply, "store")->id;
    launch_store(id, rig_address(0, 64 * RIG_MIB), 1);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_ERROR_ILLEGAL_ADDRESS);
    signal = rig_wait_signal(&rig, WIRE_CONTEXT_ERROR);
    CHECK(wire_get_context_error(signal.bytes, signal.size_bytes, &error));
    CHECK_EQ(error.ctx, RIG_CTX);
    CHECK_EQ(error.result, CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_EQ(error.late, 0);
    free(signal.bytes);
    launch_store(id, rig_address(0, 0), 1);
    CHECK_EQ(rig_sync(&rig, RIG_STREAM), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(!rig_has_signal(&rig, WIRE_CONTEXT_ERROR));
    CHECK_EQ(rig_stats(&rig).late_errors, 0);
    rig_close(&rig);
}

/* Code of an earlier session of the same tenant; a spoilt file is as none. */
static void test_the_folder(void)
{
    char folder[] = "/tmp/cudas-images-XXXXXX", path[200];
    uint8_t hash[CUDAS_HASH_BYTES];
    struct cudas_images *images;
    char name[2 * CUDAS_HASH_BYTES + 1];
    FILE *file;

    if (!CHECK(mkdtemp(folder) != NULL))
        return;
    hash_of(ptx, hash);
    for (int i = 0; i < CUDAS_HASH_BYTES; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", hash[i]);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    CHECK_EQ(cudas_images_create(folder, &images, NULL), FAB_OK);
    CHECK(!cudas_code_find(images, hash, sizeof(ptx)));
    CHECK_EQ(cudas_code_add(images, hash, sizeof(ptx), 0, ptx, sizeof(ptx)), FAB_OK);
    cudas_images_destroy(images);
    CHECK_CASE("a later session");
    CHECK_EQ(cudas_images_create(folder, &images, NULL), FAB_OK);
    CHECK_MEM(cudas_code_find(images, hash, sizeof(ptx)), ptx, sizeof(ptx));
    CHECK(!cudas_code_find(images, hash, sizeof(ptx) - 1));
    cudas_images_destroy(images);
    CHECK_CASE("spoilt");
    file = fopen(path, "r+");
    if (CHECK(file != NULL)) {
        (void)fputc('X', file);
        (void)fclose(file);
    }
    CHECK_EQ(cudas_images_create(folder, &images, NULL), FAB_OK);
    CHECK(!cudas_code_find(images, hash, sizeof(ptx)));
    CHECK_CASE("pieces in order");
    CHECK_EQ(cudas_code_add(images, hash, sizeof(ptx), 10, ptx + 10, 10), FAB_ERR_PROTOCOL);
    CHECK_EQ(cudas_code_add(images, hash, sizeof(ptx), 0, ptx, 10), FAB_OK);
    CHECK_EQ(cudas_code_add(images, hash, sizeof(ptx), 20, ptx, 10), FAB_ERR_PROTOCOL);
    CHECK_EQ(cudas_code_add(images, hash, sizeof(ptx), 10, ptx, sizeof(ptx)), FAB_ERR_PROTOCOL);
    CHECK(!cudas_code_find(images, hash, sizeof(ptx)));
    CHECK_EQ(cudas_code_add(images, hash, UINT64_C(1) << 40, 0, ptx, 10), FAB_ERR_PROTOCOL);
    cudas_images_destroy(images);
    (void)unlink(path);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_modules), CHECK_TEST(test_libraries),
                                       CHECK_TEST(test_code_that_does_not_load),
                                       CHECK_TEST(test_a_fault), CHECK_TEST(test_the_folder)};

    support_devices(NULL, "2");
    return check_run(tests);
}
