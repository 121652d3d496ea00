/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api.h - the API (Redfish, docs/api.md): a request in, an answer out, now or later.
 *
 * It reads ledger, rack and manager, and changes things by them alone. Where a request came from
 * (an agent's message, a socket of this process, HTTPS) is the hub's business; here it is who asks
 * and from which node. Thread: the manager's loop.
 */
#ifndef FABRICD_API_H
#define FABRICD_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fabricd/manager.h"

struct api;
struct fab_err;
struct fabricd_settings;
struct ledger;
struct rack;

enum api_role {
    API_BY_UID,   /* in a request: what the settings' groups say of its uid */
    API_BY_TOKEN, /* in a request: its token's session, or the name in its certificate */
    API_NOBODY,   /* may read the service root */
    API_READER,   /* may read */
    API_USER,     /* may have systems of its own */
    API_ADMIN
};

struct api_request {
    uint64_t id; /* to be answered by; not 0, never used again */
    const char *method;
    const char *path; /* as it came, with its query */
    const char *body; /* ends with NUL */
    size_t body_bytes;
    const char *node; /* from where it comes; "": from nowhere in the rack */
    uint32_t uid;     /* as whom systems are owned */
    enum api_role role;
    const char *token, *name; /* of API_BY_TOKEN; "": none */
};

/* Borrowed for the call. */
struct api_answer {
    unsigned status; /* HTTP's */
    const char *type, *body;
    size_t body_bytes;
    const char *location; /* "": none */
    const char *adhoc;    /* "", or the ad hoc system that ends with who asked */
    const char *allow;    /* "", or the methods that the path has (405) */
    const char *token;    /* NULL, or a new session's */
    bool is_more;         /* a stream: further answers of this id follow */
};

/* May be called inside any call below. */
typedef void (*api_answered)(void *user, uint64_t id, const struct api_answer *answer);

struct api_parts {
    const struct fabricd_settings *settings;
    struct ledger *ledger;
    struct rack *rack;
};

/* What the parts point to is kept. */
FAB_NODISCARD enum fab_status api_create(const struct api_parts *parts, api_answered answered,
                                         void *user, struct api **api_out, struct fab_err *err);
/* Takes NULL. What has no answer gets none. */
void api_destroy(struct api *api);
/* Before the first request: the manager, whose answers are the API's (manager_ops.answer). */
void api_set_manager(struct api *api, struct manager *manager);
void api_take_answer(struct api *api, uint64_t request_id, enum fab_status status,
                     const struct ledger_system *system, const struct fab_err *err);

void api_request(struct api *api, const struct api_request *request, uint64_t now_ms);
/* Who asked has gone: a create is undone, a stream ends. */
void api_gone(struct api *api, uint64_t id, uint64_t now_ms);
/* After any change: streams and those who wait for a state get their answers. */
void api_turn(struct api *api, uint64_t now_ms);
/* Settings have changed: groups are looked up again. */
void api_reload(struct api *api);

#endif /* FABRICD_API_H */
