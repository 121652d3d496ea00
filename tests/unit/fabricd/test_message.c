/* SPDX-License-Identifier: Apache-2.0
 * Messages between daemons: each kind there and back, what is refused, and every lack of memory.
 */
#include "fabricd/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "tests/support/check.h"
#include "tests/support/faults.h"
#include "tests/unit/fabricd/samples.h"

enum { MOST_BYTES = 1 << 20 };

/* Of the samples of all kinds, with the version in them. */
#define SAMPLES_SUM UINT64_C(0x22575f3738e023b)

/* The fuzz target begins with the samples, as they are. UPDATE_EXPECTED=1 writes them. */
static void check_corpus(enum message_kind kind, const char *text, size_t bytes)
{
    char path[512], *kept = NULL;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", CORPUS, message_kind_name(kind));
    if (getenv("UPDATE_EXPECTED")) {
        file = fopen(path, "w");
        assert_non_null(file);
        CHECK_EQ(fwrite(text, 1, bytes, file), bytes);
        CHECK_EQ(fclose(file), 0);
    }
    if (CHECK_EQ(fab_file_read(path, MOST_BYTES, &kept, NULL, NULL), FAB_OK))
        CHECK_STR(kept, text);
    free(kept);
}

static void test_there_and_back(void)
{
    uint64_t sum = FAB_HASH_START;

    for (enum message_kind kind = 0; kind < MESSAGE_KINDS; kind++) {
        static struct message sample, read;
        char *text = NULL, *again = NULL;
        size_t bytes = 0, again_bytes = 0;
        struct fab_err err = {0};

        CHECK_CASE("%s", message_kind_name(kind));
        sample_message(kind, &sample);
        CHECK_EQ(message_check(&sample, &err), FAB_OK);
        if (!CHECK_EQ(message_write(&sample, MOST_BYTES, &text, &bytes, &err), FAB_OK))
            continue;
        CHECK_EQ(bytes, strlen(text));
        CHECK(!strchr(text, '\n'));
        check_corpus(kind, text, bytes);
        sum = fab_hash_text(sum, text);
        CHECK_EQ(message_read(text, bytes, &read, &err), FAB_OK);
        CHECK_STR(err.text, "");
        CHECK_EQ(read.kind, kind);
        CHECK_EQ(message_write(&read, bytes, &again, &again_bytes, &err), FAB_OK);
        CHECK_STR(again, text);
        free(again);
        message_clear(&read);
        CHECK_EQ(read.kind, MESSAGE_PING);
        CHECK_EQ(message_write(&sample, bytes - 1, &again, &again_bytes, &err), FAB_ERR_LIMIT);
        free(text);
    }
    /* Old and new daemons would misunderstand each other, or end their links without a reason. */
    CHECK_CASE("a message changed: raise MESSAGE_VERSION, then write the new sum here");
    CHECK_EQ(sum, SAMPLES_SUM);
}

/* Values that a sample shows, so that a pair of errors in both directions is seen. */
static void test_values(void)
{
    static const char started[] =
        "{\"kind\":\"worker_started\",\"channel\":3,\"pid\":99,\"node\":{\"id\":"
        "\"0001feff000000000000000000000000\",\"name\":\"c4130-1\",\"rails\":[{\"device\":"
        "\"mlx5_0:1\",\"wire\":\"ucx\",\"numa_node\":-1,\"number\":0},{\"device\":"
        "\"ib1\",\"wire\":\"ucx\",\"numa_node\":1,\"number\":1}]}}";
    static struct message message;
    const struct ses_node *node = &message.worker_started.node;

    CHECK_CASE("values");
    CHECK_EQ(message_read(started, strlen(started), &message, NULL), FAB_OK);
    CHECK_EQ(message.worker_started.channel, 3);
    CHECK_EQ(node->id[2], 0xfe);
    CHECK_STR(node->name, "c4130-1");
    CHECK_EQ(node->rail_count, 2);
    CHECK_STR(node->rails[1].device, "ib1");
    CHECK_EQ(node->rails[0].numa_node, -1);
    message_clear(&message);
}

static void test_prose(void)
{
    static struct message message;
    char *text = NULL;
    size_t bytes = 0;

    CHECK_CASE("what people read becomes ASCII");
    sample_message(MESSAGE_WORKER_ENDED, &message);
    (void)snprintf(message.worker_ended.why, SES_TEXT_BYTES, "not \xff\n \xc3\xa4 ascii");
    CHECK_EQ(message_write(&message, MOST_BYTES, &text, &bytes, NULL), FAB_OK);
    CHECK_HAS(text, "\"not ?? ?? ascii\"");
    free(text);
}

static void test_not_written(void)
{
    static const char raw[] = "/\xff";
    static struct message message;
    struct fab_err err = {0};
    char *text = NULL;
    size_t bytes = 0;

    CHECK_CASE("what may not be written");
    sample_message(MESSAGE_REQUEST, &message);
    message.request.body = raw;
    message.request.body_bytes = 2;
    CHECK_EQ(message_check(&message, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "body is not UTF-8");
    message.request.body_bytes = 3;
    CHECK_EQ(message_check(&message, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "NUL");
    message.request.body_bytes = 65537;
    CHECK_EQ(message_check(&message, &err), FAB_ERR_LIMIT);
    message.request.body = NULL;
    message.request.body_bytes = 0;
    CHECK_EQ(message_check(&message, &err), FAB_OK);
    memcpy(message.request.path, raw, sizeof(raw));
    CHECK_EQ(message_check(&message, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "path");
    memset(message.request.path, '/', sizeof(message.request.path));
    CHECK_EQ(message_check(&message, &err), FAB_ERR_LIMIT);

    sample_message(MESSAGE_COMMAND, &message);
    message.command.gpus[1].node[0] = '-';
    CHECK_EQ(message_write(&message, MOST_BYTES, &text, &bytes, &err), FAB_ERR_INVALID);
    CHECK_HAS(err.text, "message command: gpus[1]: node is not valid: \"-4130-2\"");
    message.command.verb = 7;
    CHECK_EQ(message_check(&message, &err), FAB_ERR_INVALID);
    sample_message(MESSAGE_COMMAND, &message);
    message.command.gpu_count = MESSAGE_GPU_MAX + 1;
    CHECK_EQ(message_check(&message, &err), FAB_ERR_LIMIT);
    sample_message(MESSAGE_WORKER_STARTED, &message);
    message.worker_started.node.rails[0].numa_node = -2;
    CHECK_EQ(message_check(&message, &err), FAB_ERR_RANGE);
    CHECK(!text);
}

static void test_refused(void)
{
    static const struct {
        const char *label, *text;
        enum fab_status status;
        const char *part;
    } rows[] = {
        {"nothing", "", FAB_ERR_FORMAT, "message:1:0"},
        {"no JSON", "hello", FAB_ERR_FORMAT, "message:1"},
        {"more behind", "{\"kind\":\"ping\"} x", FAB_ERR_FORMAT, "message:1"},
        {"no object", "[]", FAB_ERR_FORMAT, "without kind"},
        {"no kind", "{\"channel\":1}", FAB_ERR_FORMAT, "without kind"},
        {"a kind that is no text", "{\"kind\":1}", FAB_ERR_FORMAT, "without kind"},
        {"a kind twice", "{\"kind\":\"ping\",\"kind\":\"ping\"}", FAB_ERR_FORMAT, "kind"},
        {"an unknown kind", "{\"kind\":\"pong\"}", FAB_ERR_FORMAT, "unknown kind 'pong'"},
        {"too deep",
         "{\"kind\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
         "]]]]]]]]]]]}",
         FAB_ERR_LIMIT, "nested"},
        {"a member too many", "{\"kind\":\"ping\",\"x\":1}", FAB_ERR_INVALID, "not known"},
        {"a member missing", "{\"kind\":\"released\",\"uuid\":\"a\"}", FAB_ERR_INVALID,
         "message released: fence is missing"},
        {"a number as text", "{\"kind\":\"worker_stop\",\"channel\":\"1\"}", FAB_ERR_INVALID,
         "channel is not a whole number"},
        {"channel 0", "{\"kind\":\"worker_stop\",\"channel\":0}", FAB_ERR_RANGE, "channel"},
        {"a channel too large", "{\"kind\":\"worker_stop\",\"channel\":4294967296}", FAB_ERR_RANGE,
         "channel"},
        {"a negative id", "{\"kind\":\"request_gone\",\"id\":-1}", FAB_ERR_RANGE, "id"},
        {"a small id as text", "{\"kind\":\"request_gone\",\"id\":\"0x0000000000000001\"}",
         FAB_ERR_INVALID, "id"},
        {"an empty uuid", "{\"kind\":\"released\",\"uuid\":\"\",\"fence\":1}", FAB_ERR_INVALID,
         "uuid is not valid"},
        {"a uuid with a space", "{\"kind\":\"released\",\"uuid\":\"a b\",\"fence\":1}",
         FAB_ERR_INVALID, "uuid is not valid: \"a b\""},
        {"a uuid too long",
         "{\"kind\":\"released\",\"uuid\":\"012345678901234567890123456789012345678901234567\","
         "\"fence\":1}",
         FAB_ERR_LIMIT, "uuid: 48 bytes (allowed: 47)"},
        {"an unknown verb",
         "{\"kind\":\"done\",\"verb\":\"destroy\",\"system\":\"a\",\"fence\":1,\"reason\":\"\"}",
         FAB_ERR_INVALID, "verb"},
        {"a name with a slash",
         "{\"kind\":\"done\",\"verb\":\"prepare\",\"system\":\"../a\",\"fence\":1,"
         "\"reason\":\"\"}",
         FAB_ERR_INVALID, "system is not valid"},
        {"a control character in a reason",
         "{\"kind\":\"done\",\"verb\":\"prepare\",\"system\":\"a\",\"fence\":1,"
         "\"reason\":\"\\u001b[2J\"}",
         FAB_ERR_INVALID, "reason is not printable"},
        {"a method in small letters",
         "{\"kind\":\"request\",\"id\":1,\"method\":\"get\",\"path\":\"/\",\"body\":\"\",\"uid\":0,"
         "\"pid\":1}",
         FAB_ERR_INVALID, "method"},
        {"a path from nowhere",
         "{\"kind\":\"request\",\"id\":1,\"method\":\"GET\",\"path\":\"x\",\"body\":\"\",\"uid\":0,"
         "\"pid\":1}",
         FAB_ERR_INVALID, "path"},
        {"a body that is none",
         "{\"kind\":\"request\",\"id\":1,\"method\":\"GET\",\"path\":\"/\",\"body\":null,"
         "\"uid\":0,\"pid\":1}",
         FAB_ERR_INVALID, "body is not a string"},
        {"a body with NUL",
         "{\"kind\":\"request\",\"id\":1,\"method\":\"GET\",\"path\":\"/\",\"body\":\"\\u0000\","
         "\"uid\":0,\"pid\":1}",
         FAB_ERR_FORMAT, "message:1"},
        {"no HTTP status",
         "{\"kind\":\"answer\",\"id\":1,\"status\":42,\"type\":\"\",\"location\":\"\",\"allow\":"
         "\"\",\"adhoc\":"
         "\"\",\"body\":\"\",\"is_more\":false}",
         FAB_ERR_RANGE, "status: 42"},
        {"no devices",
         "{\"kind\":\"worker_start\",\"channel\":1,\"system\":\"a\",\"fence\":1,\"uid\":1,"
         "\"devices\":[]}",
         FAB_ERR_RANGE, "devices"},
        {"a device that is no number",
         "{\"kind\":\"worker_start\",\"channel\":1,\"system\":\"a\",\"fence\":1,\"uid\":1,"
         "\"devices\":[0,\"1\"]}",
         FAB_ERR_INVALID, "devices[1]: devices is not a whole number"},
        {"a node id too short",
         "{\"kind\":\"worker_started\",\"channel\":1,\"pid\":1,\"node\":{\"id\":\"00\",\"name\":"
         "\"a\",\"rails\":[]}}",
         FAB_ERR_INVALID, "id is not 32"},
        {"too many rails",
         "{\"kind\":\"command\",\"verb\":\"present\",\"system\":\"a\",\"owner_uid\":1,\"fence\":1,"
         "\"is_adhoc\":false,\"gpus\":[{\"uuid\":\"a\",\"node\":\"a\",\"host\":\"a\",\"address\":"
         "\"\","
         "\"index\":0,\"fence\":1,\"rails\":[1,2,3,4,5,6,7,8]}]}",
         FAB_ERR_LIMIT, "rails"},
        {"a grade of four",
         "{\"kind\":\"report\",\"machine\":{},\"gpus\":[],\"programs\":[],\"health\":[]}",
         FAB_ERR_INVALID, "name is missing"},
        {"a load that is none",
         "{\"kind\":\"gauges\",\"gauges\":{\"gpus\":[{\"uuid\":\"GPU-1\",\"load\":1.5}],"
         "\"ports\":[]}}",
         FAB_ERR_INVALID, "gpus[0]: load"},
        {"gauges of nothing", "{\"kind\":\"gauges\",\"gauges\":{}}", FAB_ERR_INVALID,
         "gpus is missing"},
        {"an older version", "{\"kind\":\"hello\",\"version\":1,\"colour\":\"red\"}",
         FAB_ERR_VERSION, "renew the fabricd that speaks 1,"},
        {"a newer version", "{\"kind\":\"welcome\",\"version\":99,\"colour\":\"red\"}",
         FAB_ERR_VERSION,
         "versions 99 and 2 of the agents' protocol do not mix: renew the fabricd that speaks 2,"},
        {"no version", "{\"kind\":\"hello\"}", FAB_ERR_INVALID, "version is missing"},
    };
    static struct message message;

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].label);
        memset(&message, 0x5a, sizeof(message));
        CHECK_EQ(message_read(rows[i].text, strlen(rows[i].text), &message, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].part);
        CHECK_EQ(message.kind, MESSAGE_PING);
        CHECK_EQ(message.gone_id, 0);
    }
}

/* A report whose parts are wrong one by one. */
static void test_refused_reports(void)
{
    static const struct {
        const char *label, *from, *to;
        enum fab_status status;
        const char *part;
    } rows[] = {
        {"a grade above fail", "\"grade\":2", "\"grade\":3", FAB_ERR_RANGE, "health[0]: grade"},
        {"a machine without name", "\"name\":\"c4130-1\"", "\"name\":\"\"", FAB_ERR_INVALID,
         "name"},
        {"a program of no system", "\"system\":\"train\"", "\"system\":\"\"", FAB_ERR_INVALID,
         "programs[0]: system"},
    };
    static struct message message;
    char *text = NULL;
    size_t bytes = 0;

    sample_message(MESSAGE_REPORT, &message);
    assert_int_equal(message_write(&message, MOST_BYTES, &text, &bytes, NULL), FAB_OK);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        const char *at = strstr(text, rows[i].from);
        struct fab_err err = {0};
        char *changed = NULL;

        CHECK_CASE("%s", rows[i].label);
        if (!CHECK(at))
            continue;
        assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, rows[i].to,
                             at + strlen(rows[i].from)) > 0);
        CHECK_EQ(message_read(changed, strlen(changed), &message, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].part);
        free(changed);
    }
    free(text);
}

/* ---- lack of memory (ours: jansson's lexer asserts that it has some)
 * -------------------------------------------------------
 */

static enum message_kind fault_kind;
static char *fault_text;
static size_t fault_bytes;

static enum fab_status write_one(void)
{
    static struct message message;
    char *text = NULL;
    size_t bytes = 0;
    enum fab_status status;

    sample_message(fault_kind, &message);
    status = message_write(&message, MOST_BYTES, &text, &bytes, NULL);
    CHECK_EQ(status == FAB_OK, text != NULL);
    free(text);
    return status;
}

static enum fab_status read_one(void)
{
    static struct message message;
    enum fab_status status = message_read(fault_text, fault_bytes, &message, NULL);

    CHECK_EQ(message.kind, status == FAB_OK ? fault_kind : MESSAGE_PING);
    message_clear(&message);
    return status;
}

static void test_no_memory(void)
{
    static const struct {
        enum message_kind kind;
        bool writes, reads; /* it takes memory of ours for */
    } rows[] = {{MESSAGE_DONE, true, false},
                {MESSAGE_REPORT, true, true},
                {MESSAGE_FABRIC, false, true},
                {MESSAGE_GAUGES, false, true},
                {MESSAGE_REQUEST, false, true}};

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        static struct message message;

        fault_kind = rows[i].kind;
        sample_message(fault_kind, &message);
        assert_int_equal(message_write(&message, MOST_BYTES, &fault_text, &fault_bytes, NULL),
                         FAB_OK);
        if (rows[i].writes)
            (void)faults_run(message_kind_name(fault_kind), write_one);
        if (rows[i].reads)
            (void)faults_run(message_kind_name(fault_kind), read_one);
        free(fault_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_there_and_back), CHECK_TEST(test_values),  CHECK_TEST(test_prose),
        CHECK_TEST(test_not_written),    CHECK_TEST(test_refused), CHECK_TEST(test_refused_reports),
        CHECK_TEST(test_no_memory)};
    const int status = check_run(tests);

    samples_fini();
    return status;
}
