/* SPDX-License-Identifier: Apache-2.0
 * fabricd/hub_int.h - inside the hub: what it asks of the system, and its HTTP side.
 */
#ifndef FABRICD_HUB_INT_H
#define FABRICD_HUB_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_answer;
struct http;
struct hub;

uint64_t hub_wall_ms(void);
/* Of this machine; "" where the kernel does not say it. */
void hub_boot_id(char *text, size_t text_bytes);

void hub_join_rack(struct hub *hub);
/* `is_stream`: parts of it have gone before. */
void hub_http_answer(struct http *http, uint64_t id, const struct api_answer *answer,
                     bool is_stream);

#endif /* FABRICD_HUB_INT_H */
