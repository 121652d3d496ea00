/* SPDX-License-Identifier: Apache-2.0
 * fabricd/hub_system.c - what the hub asks of the system, and how an answer leaves as HTTP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "fabricd/api.h"
#include "fabricd/http.h"
#include "fabricd/hub_int.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, BOOT_ID_BYTES = 128 };

uint64_t hub_wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

void hub_boot_id(char *text, size_t text_bytes)
{
    char *read = NULL;

    text[0] = '\0';
    if (fab_file_read("/proc/sys/kernel/random/boot_id", BOOT_ID_BYTES, &read, NULL, NULL) !=
        FAB_OK)
        return;
    read[strcspn(read, "\n")] = '\0';
    (void)snprintf(text, text_bytes, "%s", read);
    free(read);
}

void hub_http_answer(struct http *http, uint64_t id, const struct api_answer *answer,
                     bool is_stream)
{
    if (is_stream || answer->is_more)
        http_stream(http, id, answer->status, answer->type, answer->body, answer->body_bytes,
                    !answer->is_more);
    else
        http_answer_head(http, id,
                         &(struct http_head){.status = answer->status,
                                             .type = answer->type,
                                             .location = answer->location,
                                             .allow = answer->allow,
                                             .token = answer->token},
                         answer->body, answer->body_bytes);
}
