/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes the records of machines and fabrics as JSON, as an agent sends them. What is accepted must
 * become the same JSON again, and a model of it must answer questions.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "topology/codec.h"
#include "topology/topo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum { QUESTIONS_MAX = 24 };

static FILE *nowhere(void)
{
    static FILE *stream;

    if (!stream)
        stream = fopen("/dev/null", "w");
    fab_assert(stream);
    return stream;
}

static void ask(const struct topo *topo)
{
    topo_id count = (topo_id)topo_count(topo);
    struct topo_flow flows[QUESTIONS_MAX];
    double rates[QUESTIONS_MAX];
    struct topo_rail rail;
    struct topo_path path;

    for (topo_id i = 0; i < QUESTIONS_MAX && i < count; i++) {
        flows[i] = (struct topo_flow){i, (i * 7 + 3) % count, TOPO_NO_ID, TOPO_NO_ID};
        (void)topo_rails(topo, i, &rail, 1);
        if (topo_path(topo, i, (i * 5 + 1) % count, &path, NULL) == FAB_OK)
            fab_assert(path.class != TOPO_APART);
    }
    fab_assert(topo_fair_share(topo, flows, count < QUESTIONS_MAX ? count : QUESTIONS_MAX, rates,
                               NULL) == FAB_OK);
    for (enum topo_format format = TOPO_FORMAT_TREE; format <= TOPO_FORMAT_JSON; format++)
        fab_assert(topo_print(topo, format, nowhere(), NULL) == FAB_OK);
}

static void join(const struct topo_machine *machine, const struct topo_fabric *fabric)
{
    struct topo *topo = NULL;

    if (topo_join(&machine, machine ? 1 : 0, fabric, &topo, NULL) == FAB_OK)
        ask(topo);
    topo_free(topo);
}

static void machine(const json_t *json)
{
    static struct topo_machine record, again;
    json_t *text = NULL;

    if (topo_machine_from_json(json, &record, NULL) != FAB_OK)
        return;
    fab_assert(topo_machine_to_json(&record, &text, NULL) == FAB_OK);
    fab_assert(json_equal(text, json));
    fab_assert(topo_machine_from_json(text, &again, NULL) == FAB_OK);
    fab_assert(memcmp(&record, &again, sizeof(record)) == 0);
    json_decref(text);
    join(&record, NULL);
}

static void fabric(const json_t *json)
{
    struct topo_fabric record = {0};
    json_t *text = NULL;

    if (topo_fabric_from_json(json, &record, NULL) != FAB_OK)
        return;
    fab_assert(topo_fabric_to_json(&record, &text, NULL) == FAB_OK);
    fab_assert(json_equal(text, json));
    json_decref(text);
    join(NULL, &record);
    topo_fabric_clear(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    json_t *json = NULL;

    if (fab_json_load((const char *)data, size_bytes, "input", NULL, &json, NULL) != FAB_OK)
        return 0;
    machine(json);
    fabric(json);
    json_decref(json);
    return 0;
}
