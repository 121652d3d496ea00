/* SPDX-License-Identifier: Apache-2.0
 * NVML questions: every function's parameters there and back, cut at every byte; what a client may
 * ask of a worker, and what ends its session.
 */
#include <stdlib.h>
#include <string.h>

#include "cuda-common/nvml_row.h"
#include "generated/cuda-api/nvml_rows.h"
#include "rig.h"
#include "tests/unit/driver/support.h"

enum { ELEMENTS = 3, KEPT = 0x5a };

static struct rig rig;
static _Alignas(8) uint8_t client_room[CUC_NVML_PARAMS_MAX][CUC_NVML_ARRAY_MAX_BYTES];
static _Alignas(8) uint8_t worker_room[CUC_NVML_BYTES_MAX], bytes[CUC_NVML_BYTES_MAX];

/* ---- parameters -------------------------------------------------------------------------------
 */

/* Arguments as a program passes them: the array has ELEMENTS elements. */
static void fill_args(const struct cuc_nvml_row *row, union cuc_nvml_arg *args)
{
    const int array = cuc_nvml_array(row);
    const unsigned int count = ELEMENTS;

    memset(client_room, KEPT, sizeof(client_room));
    for (uint32_t i = 0; i < row->param_count; i++) {
        const bool is_count = array >= 0 && row->params[array].count_at == i;

        args[i] = (union cuc_nvml_arg){.value = is_count ? ELEMENTS : 1000 + i};
        if (row->params[i].kind != CUC_NVML_VALUE)
            args[i].pointer = client_room[i];
        if (is_count && row->params[i].kind != CUC_NVML_VALUE)
            memcpy(client_room[i], &count, sizeof(count));
    }
}

/* What a function would do: every output gets other bytes. */
static void fill_outputs(const struct cuc_nvml_row *row, const union cuc_nvml_arg *args)
{
    const int array = cuc_nvml_array(row);

    for (uint32_t i = 0; i < row->param_count; i++)
        if (row->params[i].bytes > 0 && (array < 0 || row->params[array].count_at != i))
            memset(args[i].pointer, (int)i + 1,
                   (size_t)cuc_nvml_elements(row, args, i) * row->params[i].bytes);
}

static void check_outputs(const struct cuc_nvml_row *row)
{
    const int array = cuc_nvml_array(row);

    for (uint32_t i = 0; i < row->param_count; i++) {
        const bool is_array = (int)i == array;
        const bool is_text = is_array && row->params[i].bytes == 1;
        const size_t size = (is_array ? ELEMENTS : 1) * (size_t)row->params[i].bytes;

        if (size == 0 || (array >= 0 && row->params[array].count_at == i))
            continue;
        for (size_t at = 0; at < size - is_text; at++)
            CHECK_EQ(client_room[i][at], i + 1);
        if (is_text)
            CHECK_EQ(client_room[i][size - 1], 0);
        CHECK_EQ(client_room[i][size], KEPT);
    }
}

static void check_row(const struct cuc_nvml_row *row)
{
    union cuc_nvml_arg args[CUC_NVML_PARAMS_MAX], there[CUC_NVML_PARAMS_MAX];
    size_t used, back;
    uint32_t nulls;

    fill_args(row, args);
    CHECK(cuc_nvml_request_put(row, args, bytes, sizeof(bytes), &used, &nulls));
    CHECK_EQ(nulls, 0);
    for (size_t cut = 0; cut < used; cut++)
        CHECK(!cuc_nvml_request_get(row, nulls, bytes, cut, worker_room, there));
    CHECK(!cuc_nvml_request_get(row, nulls, bytes, used + 8, worker_room, there));
    memset(worker_room, 0, sizeof(worker_room));
    CHECK(cuc_nvml_request_get(row, nulls, bytes, used, worker_room, there));
    for (uint32_t i = 0; i < row->param_count; i++) {
        if (row->params[i].kind == CUC_NVML_VALUE)
            CHECK_EQ(there[i].value, args[i].value);
        if (row->params[i].kind == CUC_NVML_INOUT)
            CHECK_MEM(there[i].pointer, args[i].pointer, row->params[i].bytes);
    }
    fill_outputs(row, there);
    back = cuc_nvml_reply_put(row, there, NVML_SUCCESS, bytes);
    for (size_t cut = 0; cut < back; cut++)
        CHECK(!cuc_nvml_reply_get(row, args, NVML_SUCCESS, bytes, cut));
    CHECK(!cuc_nvml_reply_get(row, args, NVML_SUCCESS, bytes, back + 8));
    fill_args(row, args);
    CHECK(cuc_nvml_reply_get(row, args, NVML_SUCCESS, bytes, back));
    check_outputs(row);
}

static void test_parameters(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < CUC_NVML_CALLS; i++) {
        if (!cuc_nvml_rows[i].name)
            continue;
        CHECK_CASE("%s", cuc_nvml_rows[i].name);
        check_row(&cuc_nvml_rows[i]);
        count++;
    }
    CHECK(count > 60);
}

/* A worker that says more than it was asked for writes nothing beyond the program's room. */
static void test_bounds(void)
{
    const struct cuc_nvml_row *running =
        &cuc_nvml_rows[CUC_NVML_nvmlDeviceGetComputeRunningProcesses_v3];
    const struct cuc_nvml_row *fields = &cuc_nvml_rows[CUC_NVML_nvmlDeviceGetFieldValues];
    const unsigned int more = ELEMENTS + 1, most = UINT32_MAX;
    union cuc_nvml_arg args[CUC_NVML_PARAMS_MAX], there[CUC_NVML_PARAMS_MAX];
    size_t used;
    uint32_t nulls;

    CHECK_CASE("more elements than there is room for");
    fill_args(running, args);
    CHECK(cuc_nvml_request_put(running, args, bytes, sizeof(bytes), &used, &nulls));
    memset(worker_room, 0, sizeof(worker_room));
    CHECK(cuc_nvml_request_get(running, nulls, bytes, used, worker_room, there));
    memcpy(there[1].pointer, &more, sizeof(more));
    used = cuc_nvml_reply_put(running, there, NVML_SUCCESS, bytes);
    CHECK(!cuc_nvml_reply_get(running, args, NVML_SUCCESS, bytes, used));
    CHECK_EQ(client_room[2][0], KEPT);

    CHECK_CASE("room for more than goes over the wire");
    fill_args(running, args);
    memcpy(client_room[1], &most, sizeof(most));
    CHECK(cuc_nvml_request_put(running, args, bytes, sizeof(bytes), &used, &nulls));
    CHECK_EQ(cuc_nvml_elements(running, args, 2),
             CUC_NVML_ARRAY_MAX_BYTES / sizeof(nvmlProcessInfo_t));

    CHECK_CASE("input that is too long");
    fill_args(fields, args);
    args[1].value = UINT64_MAX;
    CHECK(!cuc_nvml_request_put(fields, args, bytes, sizeof(bytes), &used, &nulls));

    CHECK_CASE("NULL");
    fill_args(running, args);
    args[2].pointer = NULL;
    CHECK(cuc_nvml_request_put(running, args, bytes, sizeof(bytes), &used, &nulls));
    CHECK_EQ(nulls, 4);
    memset(worker_room, 0, sizeof(worker_room));
    CHECK(cuc_nvml_request_get(running, nulls, bytes, used, worker_room, there));
    CHECK(!there[2].pointer);
}

/* ---- questions --------------------------------------------------------------------------------
 */

/* The result, or -1: the session has ended. The answer is in `reply`. */
static int ask(const struct wire_nvml *question, struct wire_nvml_reply *reply)
{
    struct wire_parts parts;

    wire_put_nvml(question, &parts);
    if (rig_call(&rig, WIRE_NVML, &parts) != CUDA_SUCCESS)
        return -1;
    return wire_get_nvml_reply(rig.reply, rig.reply_bytes, reply) ? reply->result : -1;
}

static void test_questions(void)
{
    const uint64_t length = 96;
    struct wire_nvml question = {.api_hash = CUC_NVML_HASH,
                                 .function = CUC_NVML_nvmlDeviceGetName,
                                 .vgpu = 1,
                                 .input = &length,
                                 .input_count = sizeof(length)};
    struct wire_nvml_reply reply;

    rig_open(&rig, false);
    rig_world(&rig);
    CHECK_EQ(ask(&question, &reply), NVML_SUCCESS);
    CHECK_EQ(reply.output_count, length);
    CHECK(strncmp(reply.output, "softcuda", 8) == 0);
    question.api_hash ^= 1;
    CHECK_EQ(ask(&question, &reply), NVML_ERROR_LIB_RM_VERSION_MISMATCH);
    CHECK_EQ(reply.output_count, 0);
    question.api_hash ^= 1;
    question.nulls = 2;
    CHECK_EQ(ask(&question, &reply), NVML_ERROR_INVALID_ARGUMENT);
    rig_close(&rig);
}

static void call_done(struct xp_call *call, const struct xp_reply *reply)
{
    (void)reply;
    free(call);
}

/* Without waiting for an answer, which does not come. */
static void tell(const struct wire_nvml *question)
{
    struct xp_call *call = calloc(1, sizeof(*call));
    struct wire_parts parts;

    if (!call)
        abort();
    call->done = call_done;
    wire_put_nvml(question, &parts);
    if (xp_call_start(rig.conn, WIRE_NVML, parts.part, parts.count, call) != FAB_OK)
        free(call);
    xp_flush(rig.conn);
}

/* None of these can come from our client. */
static void test_wrong_questions(void)
{
    const uint64_t values[2] = {96, 0};
    static const struct {
        const char *label;
        uint32_t function, vgpu, other, input_count;
    } cases[] = {
        {"a GPU of another worker", CUC_NVML_nvmlDeviceGetName, 2, 0, 8},
        {"the second of another worker", CUC_NVML_nvmlDeviceGetP2PStatus, 0, 2, 8},
        {"a function that does not exist", CUC_NVML_CALLS, 0, 0, 0},
        {"a function of the client", CUC_NVML_nvmlInit, 0, 0, 0},
        {"one that a program may not use", CUC_NVML_nvmlDeviceSetComputeMode, 0, 0, 8},
        {"input missing", CUC_NVML_nvmlDeviceGetName, 0, 0, 0},
        {"input left over", CUC_NVML_nvmlDeviceGetName, 0, 0, 16},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        const struct wire_nvml question = {.api_hash = CUC_NVML_HASH,
                                           .function = cases[i].function,
                                           .vgpu = cases[i].vgpu,
                                           .other = cases[i].other,
                                           .input = values,
                                           .input_count = cases[i].input_count};

        CHECK_CASE("%s", cases[i].label);
        rig_open(&rig, false);
        rig_world(&rig);
        tell(&question);
        rig_wait_ended(&rig);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_parameters), CHECK_TEST(test_bounds),
                                       CHECK_TEST(test_questions),
                                       CHECK_TEST(test_wrong_questions)};

    support_devices(NULL, "2");
    return check_run(tests);
}
