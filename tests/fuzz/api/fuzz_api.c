/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes requests of the API on a small rack: each line but the last is "METHOD UID PATH", the rest
 * behind it, up to the next such line, its body. A line "gone" ends the oldest waiting request.
 * Whatever comes: one whole answer a request at most, and a ledger that is sound.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "fabricd/ledger.h"
#include "tests/unit/fabricd/small_rack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

enum { INPUT_BYTES = 4096, METHOD_BYTES = 16, PATH_BYTES = 1024, REQUESTS_MAX = 8 };

static const char *const methods[] = {"GET ", "POST ", "PATCH ", "DELETE ", "PUT ", "HEAD "};

static bool begins_request(const char *line)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(methods); i++)
        if (strncmp(line, methods[i], strlen(methods[i])) == 0)
            return true;
    return false;
}

/* Cuts the request at `text`; returns where the next one begins. */
static char *send_one(char *text)
{
    char method[METHOD_BYTES], path[PATH_BYTES];
    char *body = strchr(text, '\n'), *next = NULL;
    unsigned uid = 0, place;

    if (body)
        *body++ = '\0';
    for (char *at = body; at && !next;) {
        if (begins_request(at))
            next = at;
        at = strchr(at, '\n');
        if (at)
            at++;
    }
    if (next)
        next[-1] = '\0';
    if (sscanf(text, "%15s %u %1023s", method, &uid, path) != 3)
        return next;
    small_rack.is_held = strstr(path, "hold") != NULL;
    place = small_rack_ask(method, path, uid, body && body != next ? body : NULL);
    if (strstr(path, "gone"))
        small_rack_leave(place);
    fab_assert(small_rack.answers[place].count <= 1 || small_rack.answers[place].is_more);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static char text[INPUT_BYTES];
    static unsigned rounds;
    char *at = text;

    if (size_bytes >= sizeof(text))
        return 0;
    memcpy(text, data, size_bytes);
    text[size_bytes] = '\0';
    if (rounds == 0)
        fab_assert(atexit(small_rack_end) == 0); /* its folder goes */
    /* A store on a disk a round would be too slow, and systems must go or all is full. */
    if (rounds++ % 64 == 0)
        fab_assert(small_rack_begin());
    for (unsigned i = 0; at && i < REQUESTS_MAX; i++)
        at = send_one(at);
    small_rack_agents();
    small_rack_agents();
    fab_assert(ledger_verify(small_rack.ledger, NULL) == FAB_OK);
    return 0;
}
