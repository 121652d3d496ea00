/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_sessions.c - sessions of network clients: a password once, then a token.
 *
 * Accounts are lines NAME:HASH:ROLE of a file (api.accounts), read at each login. After a failed
 * login the next one is not looked at for a second, whoever it is: guessing is slow, and hashing
 * does not hold up the daemon. Sessions live in memory and end 30 minutes after their last use.
 */
#include <crypt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/file.h"
#include "fabricd/api_int.h"

enum {
    TOKEN_BYTES = 16,
    NAME_BYTES = 64,
    PASSWORD_MAX = 256,
    SESSIONS_MAX = 1024,
    ACCOUNTS_BYTES = 1 << 20,
    LIFE_MS = 30 * 60 * 1000,
    FAILED_MS = 1000
};

struct api_session {
    char id[2 * TOKEN_BYTES + 1];    /* its place, which is no secret */
    char token[2 * TOKEN_BYTES + 1]; /* which is */
    char name[NAME_BYTES];
    enum api_role role;
    uint32_t uid;
    uint64_t until_ms;
};

void api_sessions_init(struct api *api)
{
    fab_vec_init(&api->sessions, sizeof(struct api_session));
}

void api_sessions_fini(struct api *api)
{
    if (api->sessions.count)
        explicit_bzero(api->sessions.items, api->sessions.count * sizeof(struct api_session));
    fab_vec_fini(&api->sessions);
}

/* Takes as long wherever they differ. */
static bool is_same(const char *a, const char *b)
{
    const size_t bytes = strlen(a);
    unsigned char differs = bytes != strlen(b);

    for (size_t i = 0; !differs && i < bytes; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return !differs;
}

static struct api_session *find(struct api_call *call, const char *text, bool by_token)
{
    struct fab_vec *all = &call->api->sessions;

    for (size_t i = all->count; i > 0; i--) {
        struct api_session *session = fab_vec_at(all, struct api_session, i - 1);

        if (session->until_ms <= call->now_ms)
            fab_vec_remove_swap(all, i - 1);
        else if (is_same(by_token ? session->token : session->id, text))
            return session;
    }
    return NULL;
}

void api_take_token(struct api_call *call, const char *token)
{
    struct api_session *session = find(call, token, true);

    if (!session)
        return;
    session->until_ms = call->now_ms + LIFE_MS;
    call->role = session->role;
    call->uid = session->uid;
}

/* ---- logging in -------------------------------------------------------------------------------
 */

static bool matches(const char *password, const char *hash)
{
    struct crypt_data *data = fab_alloc_zeroed(1, sizeof(*data));
    const char *made = data ? crypt_r(password, hash, data) : NULL;
    const bool is_same_hash = made && made[0] != '*' && is_same(made, hash);

    if (data)
        explicit_bzero(data, sizeof(*data));
    free(data);
    return is_same_hash;
}

/* "NAME:HASH:ROLE" of that name; cuts the line. */
static bool find_account(char *accounts, const char *name, char **hash_out, char **role_out)
{
    char *rest = NULL;

    for (char *line = strtok_r(accounts, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *hash = strchr(line, ':'), *role = hash ? strchr(hash + 1, ':') : NULL;

        if (!role || line[0] == '#')
            continue;
        *hash++ = '\0';
        *role++ = '\0';
        if (strcmp(line, name) == 0) {
            *hash_out = hash;
            *role_out = role;
            return true;
        }
    }
    return false;
}

static bool take_role(const char *name, const char *role, struct api_session *session)
{
    const bool is_local = api_uid_of(name, &session->uid);

    if (strcmp(role, "admin") == 0) {
        session->role = API_ADMIN;
        if (!is_local)
            session->uid = 0;
        return true;
    }
    if (!is_local)
        session->uid = API_NO_UID;
    session->role = strcmp(role, "user") == 0 ? API_USER : API_READER;
    return strcmp(role, "user") == 0 || strcmp(role, "readonly") == 0;
}

/* FAB_ERR_AUTH: not with this name and password. */
static enum fab_status log_in(const struct api *api, const char *name, const char *password,
                              struct api_session *session, struct fab_err *err)
{
    char *accounts = NULL, *hash, *role;
    enum fab_status status = FAB_ERR_AUTH;

    if (!api->parts.settings->api_accounts[0])
        return fab_err_set(err, FAB_ERR_AUTH,
                           "there are no accounts here (api.accounts): show a certificate");
    if (fab_file_read(api->parts.settings->api_accounts, ACCOUNTS_BYTES, &accounts, NULL, NULL) !=
        FAB_OK)
        return fab_err_set(err, FAB_ERR_IO, "the file of accounts cannot be read");
    if (find_account(accounts, name, &hash, &role) && matches(password, hash) &&
        take_role(name, role, session))
        status = FAB_OK;
    else
        (void)fab_err_set(err, status, "name or password is wrong");
    explicit_bzero(accounts, strlen(accounts));
    free(accounts);
    return status;
}

static bool make_secret(char text[2 * TOKEN_BYTES + 1])
{
    unsigned char bytes[TOKEN_BYTES];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static json_t *session_json(const struct api_session *session)
{
    char uri[API_URI_BYTES];
    json_t *json;

    (void)snprintf(uri, sizeof(uri), "SessionService/Sessions/%s", session->id);
    json = api_resource(uri, "Session.v1_7_0.Session", session->id, "Session");
    if (json && json_object_set_new(json, "UserName", api_text(session->name)) != 0) {
        json_decref(json);
        return NULL; /* the reply says that there is no memory */
    }
    return json;
}

void api_post_session(struct api_call *call)
{
    static const char *const known[] = {"UserName", "Password", NULL};
    const char *name, *password;
    struct api_session session = {.until_ms = call->now_ms + LIFE_MS};
    struct fab_err err = {0};
    char location[API_URI_BYTES];
    enum fab_status status;

    if (!call->body || api_check_members(call->body, "the body", known, &err) != FAB_OK ||
        fab_json_get_string(call->body, "UserName", &name, &err) != FAB_OK ||
        fab_json_get_string(call->body, "Password", &password, &err) != FAB_OK ||
        strlen(name) >= NAME_BYTES || strlen(password) > PASSWORD_MAX) {
        api_fail_status(call, FAB_ERR_INVALID,
                        err.text[0] ? err.text : "set UserName and Password");
        return;
    }
    (void)find(call, "", false); /* those whose time is over go */
    if (call->now_ms < call->api->login_ms || call->api->sessions.count >= SESSIONS_MAX) {
        api_fail(call, 503, "TryLater", "a login has failed just now: try again in a second");
        return;
    }
    status = log_in(call->api, name, password, &session, &err);
    if (status != FAB_OK) {
        call->api->login_ms = call->now_ms + FAILED_MS;
        api_fail(call, status == FAB_ERR_AUTH ? 401 : 500, "LoginFailed", "%s", err.text);
        return;
    }
    (void)snprintf(session.name, sizeof(session.name), "%s", name);
    if (!make_secret(session.id) || !make_secret(session.token) ||
        fab_vec_push(&call->api->sessions, &session) != FAB_OK) {
        api_fail_status(call, FAB_ERR_NOMEM, "");
        return;
    }
    (void)snprintf(location, sizeof(location), API_ROOT "/SessionService/Sessions/%s", session.id);
    api_reply_session(call, session_json(&session), location, session.token);
}

/* ---- looking, logging out ---------------------------------------------------------------------
 */

void api_get_session_service(struct api_call *call)
{
    json_t *json = api_resource("SessionService", "SessionService.v1_1_9.SessionService",
                                "SessionService", "Session service");

    api_put(call, json, "ServiceEnabled", json_true());
    api_put(call, json, "SessionTimeout", json_integer(LIFE_MS / 1000));
    api_put(call, json, "Sessions", api_link("SessionService/Sessions"));
    api_reply(call, 200, json);
}

static bool may_see(const struct api_call *call, const struct api_session *session)
{
    return call->role == API_ADMIN ||
           (call->request->role == API_BY_TOKEN && is_same(session->token, call->request->token));
}

void api_get_sessions(struct api_call *call)
{
    const struct api_collection all = api_collection(call, "SessionCollection", "Sessions");
    const struct fab_vec *sessions = &call->api->sessions;

    (void)find(call, "", false); /* those whose time is over go */
    for (size_t i = 0; i < sessions->count; i++) {
        const struct api_session *session = fab_vec_at(sessions, struct api_session, i);

        if (may_see(call, session))
            api_add(call, all.members,
                    call->is_expanded ? session_json(session)
                                      : api_link("SessionService/Sessions/%s", session->id));
    }
    api_reply_collection(call, &all);
}

/* NULL: the call has failed. */
static struct api_session *own_session(struct api_call *call)
{
    struct api_session *session = find(call, call->parts[0], false);

    if (session && may_see(call, session))
        return session;
    api_fail(call, 404, "ResourceNotFound", "there is no session %s of yours", call->parts[0]);
    return NULL;
}

void api_get_session(struct api_call *call)
{
    const struct api_session *session = own_session(call);

    if (session)
        api_reply(call, 200, session_json(session));
}

void api_delete_session(struct api_call *call)
{
    struct api_session *session = own_session(call);

    if (!session)
        return;
    session->until_ms = 0; /* gone at the next look */
    api_reply_nothing(call);
}
