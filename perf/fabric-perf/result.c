/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/result.c - results as files: one table writes and reads them.
 */
#include "perf/fabric-perf/fp.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json_struct.h"

enum { FILE_BYTES_MAX = 32 << 20 };

const char *const fp_test_names[] = {"h2d",    "d2h",         "both", "d2d",    "p2p",   "p2p-both",
                                     "launch", "launch-sync", "sync", "memcpy", "limit", NULL};
const char *const fp_call_names[] = {"none", "sync", "async", "kernel", NULL};
const char *const fp_memory_names[] = {"none", "pageable", "pinned", "mapped", "managed", NULL};
const char *const fp_link_names[] = {"none", "direct", "staged", NULL};

/* ---- the tables --------------------------------------------------------------------------------
 */

static enum fab_status encode_real(const void *from, json_t **json_out, struct fab_err *err)
{
    const double value = *(const double *)from;

    *json_out = value > 0 ? json_real(value) : json_null();
    return *json_out ? FAB_OK : fab_err_set(err, FAB_ERR_NOMEM, "no memory for a number");
}

static enum fab_status decode_real(const json_t *json, void *to, struct fab_err *err)
{
    const double value = json_is_null(json) ? 0 : json_number_value(json);

    if (!json_is_null(json) && (!json_is_number(json) || !isfinite(value) || value <= 0))
        return fab_err_set(err, FAB_ERR_INVALID, "a time or rate is neither positive nor null");
    *(double *)to = value;
    return FAB_OK;
}

static const struct fab_json_own real = {encode_real, decode_real};

static const struct fab_json_member device_members[] = {
    FAB_JSON_MEMBER(fp_device, name, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_device, pci, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_device, memory_bytes, FAB_JSON_U64),
    FAB_JSON_MEMBER(fp_device, can_map, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(fp_device, can_manage, FAB_JSON_BOOL),
};
static const struct fab_json_struct device_table = FAB_JSON_TABLE(device_members, fp_device);

static const struct fab_json_member key_members[] = {
    FAB_JSON_NAMED(fp_key, test, fp_test_names),
    FAB_JSON_NAMED(fp_key, call, fp_call_names),
    FAB_JSON_NAMED(fp_key, memory, fp_memory_names),
    FAB_JSON_NAMED(fp_key, link, fp_link_names),
    FAB_JSON_MEMBER(fp_key, gpu, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(fp_key, peer, FAB_JSON_INDEX),
    FAB_JSON_MEMBER(fp_key, gpus, FAB_JSON_UINT),
    FAB_JSON_MEMBER(fp_key, streams, FAB_JSON_UINT),
    FAB_JSON_MEMBER(fp_key, size, FAB_JSON_U64),
};
static const struct fab_json_struct key_table = FAB_JSON_TABLE(key_members, fp_key);

static const struct fab_json_member row_members[] = {
    FAB_JSON_INSIDE(fp_row, key, key_table),
    FAB_JSON_MEMBER(fp_row, name, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_row, iterations, FAB_JSON_UINT),
    FAB_JSON_MEMBER(fp_row, repeats, FAB_JSON_UINT),
    FAB_JSON_BY_OWNER(fp_row, us, real),
    FAB_JSON_BY_OWNER(fp_row, us_low, real),
    FAB_JSON_BY_OWNER(fp_row, us_high, real),
    FAB_JSON_BY_OWNER(fp_row, mb_s, real),
    FAB_JSON_MEMBER(fp_row, is_verified, FAB_JSON_BOOL),
    FAB_JSON_MEMBER(fp_row, reason, FAB_JSON_PROSE),
};
static const struct fab_json_struct row_table = FAB_JSON_TABLE(row_members, fp_row);

static const struct fab_json_member result_members[] = {
    FAB_JSON_MEMBER(fp_result, format, FAB_JSON_TEXT),
    FAB_JSON_MEMBER(fp_result, label, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_result, date, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_result, host, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_result, cpu, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_result, system, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_result, command, FAB_JSON_PROSE),
    FAB_JSON_MEMBER(fp_result, cores, FAB_JSON_UINT),
    FAB_JSON_MEMBER(fp_result, driver_version, FAB_JSON_UINT),
    FAB_JSON_MEMBER(fp_result, runtime_version, FAB_JSON_UINT),
    FAB_JSON_MANY(fp_result, devices, FAB_JSON_LIST, device_count, FP_GPUS_MAX, &device_table),
    FAB_JSON_MANY(fp_result, rows, FAB_JSON_LIST, row_count, FP_ROWS_MAX, &row_table),
};
static const struct fab_json_struct result_table = FAB_JSON_TABLE(result_members, fp_result);

/* ---- files -------------------------------------------------------------------------------------
 */

static enum fab_status dump(const json_t *root, const char *path, struct fab_err *err)
{
    const bool is_standard = strcmp(path, "-") == 0;
    FILE *file = is_standard ? stdout : fopen(path, "we");
    int failed;

    if (!file)
        return fab_err_errno(err, errno, "writing %s", path);
    failed = json_dumpf(root, file, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0;
    failed |= fputc('\n', file) == EOF;
    failed |= (is_standard ? fflush(file) : fclose(file)) != 0;
    return failed ? fab_err_errno(err, errno ? errno : EIO, "writing %s", path) : FAB_OK;
}

enum fab_status fp_result_write(const struct fp_result *result, const char *path,
                                struct fab_err *err)
{
    json_t *root = json_object();
    enum fab_status status = root ? fab_json_encode(&result_table, result, root, err)
                                  : fab_err_set(err, FAB_ERR_NOMEM, "no memory for %s", path);

    if (status == FAB_OK)
        status = dump(root, path, err);
    json_decref(root);
    return status;
}

/* What plots and matrices are drawn by. */
static bool is_drawable(const struct fp_key *key)
{
    return key->gpu < FP_GPUS_MAX && key->peer < FP_GPUS_MAX && key->size <= FP_SIZE_MAX;
}

/* What the members' types do not say. */
static enum fab_status check(const struct fp_result *result, struct fab_err *err)
{
    if (strcmp(result->format, FP_FORMAT) != 0)
        return fab_err_set(err, FAB_ERR_VERSION, "format is '%s', this program reads '%s'",
                           result->format, FP_FORMAT);
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct fp_row *row = &result->rows[i];

        if (!is_drawable(&row->key))
            return fab_err_set(err, FAB_ERR_RANGE, "row %u: its GPU, peer or size is too large", i);
        if (row->us_low > row->us || row->us > row->us_high)
            return fab_err_set(err, FAB_ERR_INVALID, "row %u: the median is outside its interval",
                               i);
        if (row->reason[0] && (row->us > 0 || row->mb_s > 0))
            return fab_err_set(err, FAB_ERR_INVALID, "row %u has a number and a reason for none",
                               i);
    }
    return FAB_OK;
}

enum fab_status fp_result_read(struct fp_result *result_out, const char *path, struct fab_err *err)
{
    const struct fab_json_limits limits = {.size_bytes = FILE_BYTES_MAX};
    struct fp_result result = {0};
    json_t *root = NULL;
    enum fab_status status = fab_json_load_file(path, &limits, &root, err);

    if (status != FAB_OK)
        return status; /* it names the file */
    status = fab_json_decode(&result_table, root, "the result", &result, err);
    json_decref(root);
    if (status == FAB_OK)
        status = check(&result, err);
    if (status != FAB_OK) {
        fab_err_context(err, "%s", path);
        fp_result_fini(&result);
        return status;
    }
    *result_out = result;
    return FAB_OK;
}

/* ---- results -----------------------------------------------------------------------------------
 */

static void read_cpu(char text[FP_NAME_BYTES])
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    (void)snprintf(text, FP_NAME_BYTES, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        const char *value = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(text, FP_NAME_BYTES, "%.*s", FP_NAME_BYTES - 1, value + 2);
        break;
    }
    if (file)
        (void)fclose(file);
}

void fp_result_init(struct fp_result *result, const char *label, int argc, char **argv)
{
    const time_t now = time(NULL);
    struct utsname machine;
    struct tm utc;
    size_t used = 0;

    *result = (struct fp_result){.format = FP_FORMAT};
    (void)snprintf(result->label, sizeof(result->label), "%s", label);
    if (gmtime_r(&now, &utc))
        (void)strftime(result->date, sizeof(result->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (uname(&machine) == 0) {
        (void)snprintf(result->host, sizeof(result->host), "%.*s", FP_NAME_BYTES - 1,
                       machine.nodename);
        (void)snprintf(result->system, sizeof(result->system), "%.20s %.40s", machine.sysname,
                       machine.release);
    }
    read_cpu(result->cpu);
    result->cores = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < argc && used < sizeof(result->command); i++) {
        const char *word = i == 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[i];

        used += (size_t)snprintf(result->command + used, sizeof(result->command) - used, "%s%s",
                                 i ? " " : "", word);
    }
}

void fp_result_fini(struct fp_result *result)
{
    free(result->devices);
    free(result->rows);
    *result = (struct fp_result){0};
}

struct fp_row *fp_result_add(struct fp_result *result)
{
    enum { STEP = 64 };
    struct fp_row *rows = result->rows;

    if (result->row_count >= FP_ROWS_MAX)
        return NULL;
    if (result->row_count % STEP == 0) {
        rows = realloc(rows, (result->row_count + STEP) * sizeof(*rows));
        if (!rows)
            return NULL;
        result->rows = rows;
    }
    rows[result->row_count] = (struct fp_row){.key = {.gpu = -1, .peer = -1}};
    return &rows[result->row_count++];
}

bool fp_key_is_alike(const struct fp_key *one, const struct fp_key *other)
{
    /* Not the link: native GPUs all reach each other, those of two nodes do not. */
    return one->test == other->test && one->call == other->call && one->memory == other->memory &&
           one->gpu == other->gpu && one->peer == other->peer && one->gpus == other->gpus &&
           one->streams == other->streams;
}
