/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_access.c - what a caller may do. Of the unix sockets: by uid and group, as this node
 * knows them; answers are kept for a minute, because the user database may be far away. Of HTTPS:
 * by session or certificate.
 */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fabricd/api_int.h"

enum { KEPT_MS = 60000, KEPT_MAX = 4096, NAMES_BYTES = 16384, GROUPS_MAX = 1024 };

struct api_user {
    uint32_t uid;
    enum api_role role;
    uint64_t until_ms;
};

void api_access_init(struct api *api)
{
    fab_vec_init(&api->known_users, sizeof(struct api_user));
}

static bool is_member(uint32_t uid, const char *group_name, char *names)
{
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;
    gid_t first, wanted;

    if (getgrnam_r(group_name, &group, names, NAMES_BYTES, &found_group) != 0 || !found_group)
        return false;
    wanted = group.gr_gid;
    if (getpwuid_r(uid, &user, names, NAMES_BYTES, &found_user) != 0 || !found_user)
        return false;
    first = user.pw_gid;
    if (getgrouplist(user.pw_name, first, groups, &count) < 0)
        return false; /* in more groups than we look at */
    for (int i = 0; i < count; i++)
        if (groups[i] == wanted)
            return true;
    return false;
}

static enum api_role look_up(const struct api *api, uint32_t uid)
{
    const char *admins = api->parts.settings->admin_group;
    const char *users = api->parts.settings->user_group;
    enum api_role role = API_NOBODY;
    char *names;

    if (uid == 0)
        return API_ADMIN;
    if (!admins[0] && !users[0])
        return API_USER;
    names = fab_alloc(NAMES_BYTES);
    if (names && admins[0] && is_member(uid, admins, names))
        role = API_ADMIN;
    else if (names && (!users[0] || is_member(uid, users, names)))
        role = API_USER;
    free(names);
    return role;
}

enum api_role api_role_of_uid(struct api *api, uint32_t uid, uint64_t now_ms)
{
    struct api_user user = {.uid = uid, .until_ms = now_ms + KEPT_MS};

    for (size_t i = api->known_users.count; i > 0; i--) {
        const struct api_user *known = fab_vec_at(&api->known_users, struct api_user, i - 1);

        if (known->until_ms <= now_ms || known->until_ms > now_ms + KEPT_MS)
            fab_vec_remove_swap(&api->known_users, i - 1);
        else if (known->uid == uid)
            return known->role;
    }
    user.role = look_up(api, uid);
    if (api->known_users.count < KEPT_MAX) /* or it is looked up again each time */
        (void)!fab_vec_push(&api->known_users, &user);
    return user.role;
}

bool api_uid_of(const char *name, uint32_t *uid_out)
{
    struct passwd user, *found = NULL;
    char *names = fab_alloc(NAMES_BYTES);
    const bool is_found =
        names && getpwnam_r(name, &user, names, NAMES_BYTES, &found) == 0 && found;

    if (is_found)
        *uid_out = user.pw_uid;
    free(names);
    return is_found;
}

/* A node's certificate is an administrator's: its holder could say any uid over a link, too. A
 * user's is that of the local user of its name. */
static void take_certificate(struct api_call *call)
{
    const char *name = call->request->name;

    if (ledger_find_node(call->api->parts.ledger, name)) {
        call->role = API_ADMIN;
        call->uid = 0;
    } else if (api_uid_of(name, &call->uid)) {
        call->role = api_role_of_uid(call->api, call->uid, call->now_ms);
    } else {
        call->role = API_READER;
        call->uid = API_NO_UID;
    }
}

void api_take_caller(struct api_call *call)
{
    const struct api_request *request = call->request;

    call->role = request->role;
    call->uid = request->uid;
    if (request->role == API_BY_UID) {
        call->role = api_role_of_uid(call->api, request->uid, call->now_ms);
    } else if (request->role == API_BY_TOKEN) {
        call->role = API_NOBODY;
        call->uid = API_NO_UID;
        if (request->token[0])
            api_take_token(call, request->token);
        else if (request->name[0])
            take_certificate(call);
    }
}

void api_reload(struct api *api)
{
    fab_vec_clear(&api->known_users);
}
