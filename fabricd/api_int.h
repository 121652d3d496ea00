/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_int.h - inside the API: one request on its way through a handler.
 *
 * A handler answers once by an api_reply...() or api_fail...(), or puts the request among those
 * that wait (api_wait.c). JSON is made by api_put() and api_add(), which note that memory ended;
 * the reply is an error then, so handlers do not look.
 */
#ifndef FABRICD_API_INT_H
#define FABRICD_API_INT_H

#include "base/compiler.h"
#include "base/json.h"
#include "base/vec.h"
#include "fabricd/api.h"
#include "fabricd/rack.h"
#include "fabricd/settings.h"

#define API_ROOT "/redfish/v1"

#define API_NO_UID UINT32_MAX

enum { API_PARTS_MAX = 3, API_URI_BYTES = 256, API_QUERY_BYTES = 128, API_ALLOW_BYTES = 40 };

struct api {
    struct api_parts parts;
    struct manager *manager;
    api_answered answered;
    void *user;
    struct fab_vec waits;       /* struct api_wait *: creates, deletes and streams */
    struct fab_vec known_users; /* struct api_user: roles of uids, for a while */
    struct fab_vec sessions;    /* struct api_session */
    uint64_t login_ms;          /* before it no login is looked at: one has failed */
};

struct api_call {
    struct api *api;
    const struct api_request *request;
    uint64_t now_ms;
    enum api_role role; /* of who asks: API_NOBODY and above */
    uint32_t uid;       /* as whom systems are owned; API_NO_UID */
    const struct api_route *route;
    char path[MESSAGE_PATH_BYTES];                /* decoded, without query and trailing slash */
    char parts[API_PARTS_MAX][LEDGER_NAME_BYTES]; /* what stands for the pattern's stars */
    char query[MESSAGE_PATH_BYTES];               /* behind '?', as it came */
    bool is_expanded;                             /* ?$expand: members whole */
    json_t *body;                                 /* an object; NULL if there is none */
    bool has_no_memory;
};

typedef void (*api_handler)(struct api_call *call);

enum api_method { API_GET, API_POST, API_PATCH, API_DELETE, API_METHODS };

struct api_route {
    const char *pattern;              /* '*' stands for one part */
    api_handler handler[API_METHODS]; /* NULL: not for this path */
    enum api_role role[API_METHODS];  /* that is needed; API_BY_UID: none */
};

/* ---- answers (api_error.c) --------------------------------------------------------------------
 */

/* `json` is given. */
void api_reply(struct api_call *call, unsigned status, json_t *json);
/* With a Location, and the name of an ad hoc system ("": none). */
void api_reply_made(struct api_call *call, unsigned status, json_t *json, const char *location,
                    const char *adhoc);
/* 201 of a new session. */
void api_reply_session(struct api_call *call, json_t *json, const char *location,
                       const char *token);
void api_reply_text(struct api_call *call, const char *type, const char *text, size_t bytes);
void api_reply_nothing(struct api_call *call); /* 204 */
/* Redfish's extended error; `code` is without "Fabric.1.0.". */
void api_fail(struct api_call *call, unsigned status, const char *code, const char *format, ...)
    FAB_PRINTF(4, 5);
void api_fail_status(struct api_call *call, enum fab_status status, const char *text);
/* "GET, POST": returns `text`. */
const char *api_allow(const struct api_route *route, char text[API_ALLOW_BYTES]);

/* ---- JSON (api_json.c) ------------------------------------------------------------------------
 */

/* `value` is given; NULL notes that there is no memory. */
void api_put(struct api_call *call, json_t *object, const char *name, json_t *value);
void api_add(struct api_call *call, json_t *array, json_t *value);
/* A text from outside: what is not UTF-8 becomes '?'. */
json_t *api_text(const char *text);
json_t *api_link(const char *format, ...) FAB_PRINTF(1, 2); /* {"@odata.id": ...} */
/* What every resource begins with; `uri` is below API_ROOT, `type` as "Chassis.v1_25_2.Chassis". */
json_t *api_resource(const char *uri, const char *type, const char *id, const char *name);
/* Puts {"Fabric": oem} under "Oem". `oem` is given. */
void api_put_oem(struct api_call *call, json_t *object, json_t *oem);

/* A collection that is filled member by member and then replied. `make` (may be NULL: links only)
 * makes the whole of a member for ?$expand. */
struct api_collection {
    json_t *json, *members;
};
struct api_collection api_collection(struct api_call *call, const char *type, const char *name);
void api_reply_collection(struct api_call *call, const struct api_collection *collection);

/* ---- the request (api.c) ----------------------------------------------------------------------
 */

/* A value of the query, decoded; NULL: not there (or too long for text). */
const char *api_query(const struct api_call *call, const char *name, char text[API_QUERY_BYTES]);
/* ?after=N; 0 if it is not there. False: it is no number, and the call has failed. */
bool api_query_after(struct api_call *call, uint64_t *after_out);
/* NULL is an empty object. FAB_ERR_INVALID: it is none, or has a name that `known` does not list.
 */
FAB_NODISCARD enum fab_status api_check_members(const json_t *object, const char *what,
                                                const char *const *known, struct fab_err *err);

/* ---- access (api_access.c) --------------------------------------------------------------------
 */

void api_access_init(struct api *api);
enum api_role api_role_of_uid(struct api *api, uint32_t uid, uint64_t now_ms);
/* A user of this node; false: there is none of that name. */
bool api_uid_of(const char *name, uint32_t *uid_out);
/* Sets role and uid of who asks. */
void api_take_caller(struct api_call *call);

/* ---- sessions (api_sessions.c) ----------------------------------------------------------------
 */

void api_sessions_init(struct api *api);
void api_sessions_fini(struct api *api);
/* The session's role and uid; a token that is none changes nothing. */
void api_take_token(struct api_call *call, const char *token);
void api_get_session_service(struct api_call *call);
void api_get_sessions(struct api_call *call);
void api_post_session(struct api_call *call);
void api_get_session(struct api_call *call);
void api_delete_session(struct api_call *call);

/* ---- waiting (api_wait.c) ---------------------------------------------------------------------
 */

enum api_wait_kind {
    API_WAIT_CREATE, /* the manager answers */
    API_WAIT_DELETE, /* the manager answers */
    API_WAIT_MADE,   /* the same was asked for before: until it is composed */
    API_WAIT_GONE,   /* until the system is gone */
    API_WAIT_EVENTS  /* a stream */
};

struct api_wait {
    uint64_t id; /* of the request */
    enum api_wait_kind kind;
    char system[LEDGER_NAME_BYTES]; /* "": the manager finds a name */
    uint64_t created_ms;            /* of the system that is waited for */
    uint64_t after;                 /* a stream: the last event sent */
    json_t *body;                   /* a create's, to compare with */
    char node[LEDGER_NAME_BYTES];   /* from where it came */
    uint32_t uid;
    enum api_role role;
};

/* NULL: no memory, and the call has failed. Not answered yet. */
struct api_wait *api_wait_add(struct api_call *call, enum api_wait_kind kind, const char *system);
struct api_wait *api_wait_find(const struct api *api, uint64_t id);
void api_wait_end(struct api *api, struct api_wait *wait); /* frees it */

/* ---- handlers ---------------------------------------------------------------------------------
 */

void api_get_versions(struct api_call *call);
void api_get_root(struct api_call *call);
void api_get_odata(struct api_call *call);
void api_get_metadata(struct api_call *call);

void api_get_systems(struct api_call *call);
void api_post_system(struct api_call *call);
void api_get_system(struct api_call *call);
void api_patch_system(struct api_call *call);
void api_delete_system(struct api_call *call);
void api_get_processors(struct api_call *call);
void api_get_processor(struct api_call *call);
/* The system as JSON; for ?$expand and late answers. */
json_t *api_system_json(struct api_call *call, const struct ledger_system *system);
/* Whether a create's body asks for what the system is. */
bool api_is_same_system(const struct ledger_system *system, const json_t *body, uint32_t uid,
                        const char *node);

/* Reads Drained and Reason, and does it. */
FAB_NODISCARD enum fab_status api_drain(struct api_call *call, const char *name,
                                        const json_t *fabric, struct fab_err *err);
/* A PATCH's Oem.Fabric with its members checked; NULL: it is malformed, err says how. */
const json_t *api_patch_body(const json_t *body, const char *const *known, struct fab_err *err);

void api_get_composition(struct api_call *call);
void api_get_blocks(struct api_call *call);
void api_get_block(struct api_call *call);
void api_patch_block(struct api_call *call);
void api_get_zones(struct api_call *call);
void api_get_zone(struct api_call *call);

void api_get_all_chassis(struct api_call *call);
void api_get_chassis(struct api_call *call);
void api_get_fabrics(struct api_call *call);
void api_get_fabric(struct api_call *call);
void api_get_switches(struct api_call *call);
void api_get_switch(struct api_call *call);
void api_get_ports(struct api_call *call);
void api_get_port(struct api_call *call);
void api_get_topology(struct api_call *call);
void api_get_findings(struct api_call *call);

void api_get_events(struct api_call *call);
void api_get_event_service(struct api_call *call);
void api_get_stream(struct api_call *call);
void api_turn_stream(struct api *api, struct api_wait *wait);

void api_get_metrics(struct api_call *call);

/* What a GPU is to those who look: used by systems, blocks and processors. */
json_t *api_gpu_json(struct api_call *call, const struct ledger_gpu *gpu);
/* What its node measured last; NULL: nothing, or the node is lost. */
const struct topo_gpu_gauge *api_gpu_gauge(const struct api_call *call,
                                           const struct ledger_gpu *gpu);
const char *api_composition_state(enum ledger_state state);
/* {"State": ..., "Health": ...} of Redfish. */
json_t *api_status_json(enum ledger_state state);

#endif /* FABRICD_API_INT_H */
