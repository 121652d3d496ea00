/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes requests of the API on a small rack: "METHOD WHO PATH" is a line, the rest behind it, up
 * to the next such line, its body. WHO is a local uid; or who comes from the network: "@TOKEN"
 * ("@": the session that was opened last), "=NAME" of a certificate. PATH "!" is what was made
 * last; a path with "gone" is left by its asker, one with "hold" finds agents that do not answer.
 * What else happens: "LOSE 0 NODE", "WAIT MS -", "RUN UID SYSTEM" (a program of it is reported).
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

enum {
    INPUT_BYTES = 4096,
    METHOD_BYTES = 16,
    WHO_BYTES = 128,
    PATH_BYTES = 1024,
    REQUESTS_MAX = 8,
    HOUR_MS = 3600000
};

static const char *const methods[] = {"GET ",  "POST ", "PATCH ", "DELETE ", "PUT ",
                                      "HEAD ", "LOSE ", "WAIT ",  "RUN "};

static bool begins_request(const char *line)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(methods); i++)
        if (strncmp(line, methods[i], strlen(methods[i])) == 0)
            return true;
    return false;
}

/* False: it is a request, not an event. */
static bool happens(const char *what, const char *who, const char *path)
{
    if (strcmp(what, "LOSE") == 0)
        small_rack_lose(path);
    else if (strcmp(what, "WAIT") == 0)
        small_rack.now_ms += strtoul(who, NULL, 10) % HOUR_MS;
    else if (strcmp(what, "RUN") == 0)
        small_rack_programs("r730-1", path, (uint32_t)strtoul(who, NULL, 10), "a.out");
    else
        return false;
    return true;
}

static unsigned send_as(const char *who, const char *method, const char *path, const char *body)
{
    static char token[sizeof(small_rack.answers[0].token)];
    static char location[sizeof(small_rack.answers[0].location)];
    unsigned place;

    small_rack.token = *who == '@' ? who[1] ? who + 1 : token : *who == '=' ? "" : NULL;
    small_rack.name = *who == '=' ? who + 1 : "";
    if (strcmp(path, "!") == 0)
        path = location;
    place = small_rack_ask(method, path, (uint32_t)strtoul(who, NULL, 10), body);
    if (small_rack.answers[place].token[0])
        memcpy(token, small_rack.answers[place].token, sizeof(token));
    if (small_rack.answers[place].location[0])
        memcpy(location, small_rack.answers[place].location, sizeof(location));
    return place;
}

/* Cuts the request at `text`; returns where the next one begins. */
static char *send_one(char *text)
{
    char method[METHOD_BYTES], who[WHO_BYTES], path[PATH_BYTES];
    char *body = strchr(text, '\n'), *next = NULL;
    unsigned place;

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
    if (sscanf(text, "%15s %127s %1023s", method, who, path) != 3 || happens(method, who, path))
        return next;
    small_rack.is_held = strstr(path, "hold") != NULL;
    place = send_as(who, method, path, body && body != next ? body : NULL);
    if (strstr(path, "gone"))
        small_rack_leave(place);
    fab_assert(small_rack.answers[place].count <= 1 || small_rack.answers[place].is_more);
    return next;
}

/* Nodes are back and systems gone, or the next input would find a full rack. */
static void tidy(void)
{
    static const char *const nodes[] = {"r730-1", "c4130-1", "c4130-2"};
    char path[PATH_BYTES];

    small_rack.is_held = false;
    small_rack.token = NULL;
    for (size_t i = ledger_system_count(small_rack.ledger); i > 0; i--) {
        (void)snprintf(path, sizeof(path), "/redfish/v1/Systems/%s",
                       ledger_system(small_rack.ledger, i - 1)->name);
        (void)small_rack_ask("DELETE", path, 0, NULL);
    }
    for (size_t i = 0; i < FAB_ARRAY_LEN(nodes); i++)
        small_rack_programs(nodes[i], "none", 0, "");
    small_rack_agents();
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
    tidy();
    return 0;
}
