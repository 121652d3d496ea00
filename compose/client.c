/* SPDX-License-Identifier: Apache-2.0
 * compose/client.c - requests by libcurl, over a unix socket or HTTPS.
 *
 * Nothing of libcurl is seen outside. Proxies of the environment are not used: the socket is local,
 * and a rack's manager is not behind one. Redirects are not followed.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/vec.h"
#include "compose/client.h"

enum {
    CONNECT_LIMIT_MS = 5000,
    GET_LIMIT_MS = 60000, /* nothing that only reads takes longer */
    LINE_BYTES = 64 * 1024
};
#define TICK_NS UINT64_C(900000000)

static const char https[] = "https://";

struct compose {
    CURL *curl; /* kept: its connection is used again */
    char *api;  /* socket or URL, without a slash at its end */
    char *ca, *certificate, *key, *token;
    int (*tick)(void *user);
    void *user;
    uint64_t ticked_ns; /* or begun */
};

/* What one request collects, or hands on line by line (events). */
struct reply {
    struct fab_vec bytes; /* char */
    bool is_too_long, has_no_memory;
    CURL *curl;
    /* events only */
    int (*take)(void *user, uint64_t number, const char *json);
    void *user;
    uint64_t number; /* of the event whose lines are read */
    bool has_ended;  /* `take` wants no more */
};

static bool is_https(const struct compose *compose)
{
    return strncmp(compose->api, https, strlen(https)) == 0;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void start_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure shows in curl_easy_init() */
}

static bool copy_text(const char *text, char **copy_out)
{
    *copy_out = text ? strdup(text) : NULL;
    return !text || *copy_out;
}

static enum compose_status check_api(struct compose *compose, struct compose_error *error)
{
    if (strncmp(compose->api, "http://", 7) == 0)
        return compose_error_set(error, COMPOSE_MISUSED,
                                 "%s is not encrypted: give https://HOST:PORT, or a unix socket",
                                 compose->api);
    if (!is_https(compose) && compose->api[0] != '/')
        return compose_error_set(error, COMPOSE_MISUSED,
                                 "'%s' is neither a socket's absolute path nor https://HOST:PORT",
                                 compose->api);
    if ((compose->certificate != NULL) != (compose->key != NULL))
        return compose_error_set(error, COMPOSE_MISUSED,
                                 "a certificate and its key are given together, or neither");
    return COMPOSE_OK;
}

static enum compose_status check_files(const struct compose *compose, struct compose_error *error)
{
    const char *const files[] = {compose->ca, compose->certificate, compose->key};
    static const char *const names[] = {"CA certificate", "certificate", "key"};

    for (size_t i = 0; i < FAB_ARRAY_LEN(files); i++)
        if (files[i] && access(files[i], R_OK) != 0)
            return compose_error_set(error, COMPOSE_MISUSED,
                                     "the %s %s cannot be read: %s; see 'compose cert'", names[i],
                                     files[i], strerror(errno));
    return COMPOSE_OK;
}

enum compose_status compose_open(const struct compose_options *options,
                                 struct compose **compose_out, struct compose_error *error)
{
    static const struct compose_options none;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct compose_options *from = options ? options : &none;
    const char *named = getenv("FABRIC_API"), *api = from->api;
    struct compose *compose = calloc(1, sizeof(*compose));
    enum compose_status status;

    (void)pthread_once(&once, start_curl);
    if (!api)
        api = named && named[0] ? named : COMPOSE_SOCKET;
    if (!compose || !copy_text(api, &compose->api) || !copy_text(from->ca, &compose->ca) ||
        !copy_text(from->certificate, &compose->certificate) ||
        !copy_text(from->key, &compose->key) || !copy_text(from->token, &compose->token) ||
        !(compose->curl = curl_easy_init())) {
        compose_close(compose);
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    }
    compose->tick = from->tick;
    compose->user = from->user;
    for (size_t end = strlen(compose->api); end > 1 && compose->api[end - 1] == '/'; end--)
        compose->api[end - 1] = '\0';
    status = check_api(compose, error);
    if (status == COMPOSE_OK)
        status = check_files(compose, error);
    if (status != COMPOSE_OK) {
        compose_close(compose);
        return status;
    }
    *compose_out = compose;
    return COMPOSE_OK;
}

void compose_close(struct compose *compose)
{
    if (!compose)
        return;
    curl_easy_cleanup(compose->curl); /* takes NULL */
    free(compose->api);
    free(compose->ca);
    free(compose->certificate);
    free(compose->key);
    free(compose->token);
    free(compose);
}

/* ---- one request ------------------------------------------------------------------------------
 */

static bool add_bytes(struct reply *reply, const char *bytes, size_t count)
{
    const size_t needed = reply->bytes.count + count;

    if (needed > COMPOSE_ANSWER_BYTES) {
        reply->is_too_long = true;
        return false;
    }
    if (needed > reply->bytes.capacity && fab_vec_reserve(&reply->bytes, 2 * needed) != FAB_OK) {
        reply->has_no_memory = true;
        return false;
    }
    memcpy(fab_vec_items(&reply->bytes, char) + reply->bytes.count, bytes, count);
    reply->bytes.count = needed;
    return true;
}

static size_t collect(char *bytes, size_t size, size_t count, void *user)
{
    return add_bytes(user, bytes, size * count) ? size * count : 0;
}

/* libcurl calls at least once a second, and at each step of a transfer. */
static int on_progress(void *user, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
                       curl_off_t up)
{
    struct compose *compose = user;
    const uint64_t now_ns = fab_clock_now_ns(fab_clock_real());

    (void)total_down, (void)down, (void)total_up, (void)up;
    if (!compose->tick || now_ns - compose->ticked_ns < TICK_NS)
        return 0;
    compose->ticked_ns = now_ns;
    return compose->tick(compose->user);
}

static void set_peer(struct compose *compose)
{
    CURL *curl = compose->curl;

    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_LIMIT_MS);
    if (!is_https(compose)) {
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, compose->api);
        return;
    }
    (void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (compose->ca)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, compose->ca);
    if (compose->certificate) {
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, compose->certificate);
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, compose->key);
    }
}

static void set_request(struct compose *compose, const char *method, const char *body)
{
    CURL *curl = compose->curl;
    const bool reads = strcmp(method, "GET") == 0;

    if (!reads)
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (body) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    /* A create waits in line, a delete for its workers' ends: the manager has limits for both. */
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(reads ? GET_LIMIT_MS : 0));
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, compose);
}

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = text ? curl_slist_append(*list, text) : NULL;

    if (longer)
        *list = longer;
    return longer != NULL;
}

/* The caller frees the list in any case. */
static bool make_headers(const struct compose *compose, bool has_body, struct curl_slist **list)
{
    char *token = NULL;
    bool is_made = add_header(list, "OData-Version: 4.0");

    if (is_made && has_body)
        is_made = add_header(list, "Content-Type: application/json");
    if (is_made && compose->token && is_https(compose)) {
        is_made = asprintf(&token, "X-Auth-Token: %s", compose->token) >= 0;
        is_made = is_made && add_header(list, token);
        free(token);
    }
    return is_made;
}

static enum compose_status not_connected(const struct compose *compose, struct compose_error *error)
{
    long number = 0;

    (void)curl_easy_getinfo(compose->curl, CURLINFO_OS_ERRNO, &number);
    if (is_https(compose))
        return compose_error_set(error, COMPOSE_AWAY,
                                 "nobody answers at %s%s%s: is the manager up, and is that its "
                                 "address?",
                                 compose->api, number ? ": " : "",
                                 number ? strerror((int)number) : "");
    if (access(compose->api, F_OK) == 0 && access(compose->api, W_OK) != 0)
        return compose_error_set(error, COMPOSE_DENIED,
                                 "you may not use %s: ask for membership in its group",
                                 compose->api);
    return compose_error_set(
        error, COMPOSE_AWAY,
        "no fabricd answers at %s: start it (systemctl start fabricd), or name "
        "its socket with --socket or FABRIC_API",
        compose->api);
}

/* What a transfer that did not end well means. */
static enum compose_status explain(const struct compose *compose, CURLcode code,
                                   const struct reply *reply, const char *text,
                                   struct compose_error *error)
{
    const char *what = text[0] ? text : curl_easy_strerror(code);

    if (reply->has_no_memory || code == CURLE_OUT_OF_MEMORY)
        return compose_error_set(error, COMPOSE_FAILED, "out of memory");
    if (reply->is_too_long)
        return compose_error_set(error, COMPOSE_FAILED, "%s answers more than %d MiB", compose->api,
                                 COMPOSE_ANSWER_BYTES >> 20);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return not_connected(compose, error);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return compose_error_set(error, COMPOSE_TIMEOUT, "given up: the request is withdrawn");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return compose_error_set(error, COMPOSE_AWAY, "%s does not answer: %s", compose->api, what);
    if (code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE)
        return compose_error_set(error, COMPOSE_MISUSED,
                                 "certificate, key or CA cannot be used (%s): make them with "
                                 "'compose cert'",
                                 what);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return compose_error_set(error, COMPOSE_DENIED,
                                 "%s could not prove who it is (%s): name its CA with --ca",
                                 compose->api, what);
    /* TLS 1.3: a server that refuses a client's certificate hangs up behind the handshake. */
    if (is_https(compose) && compose->certificate)
        return compose_error_set(error, COMPOSE_DENIED,
                                 "%s broke off (%s): is %s of the rack's CA?", compose->api, what,
                                 compose->certificate);
    return compose_error_set(error, COMPOSE_AWAY, "%s broke off (%s): see its log", compose->api,
                             what);
}

/* The reply's bytes belong to the caller; http_status is 0 where none came. */
static enum compose_status perform(struct compose *compose, const char *method, const char *path,
                                   const char *body, struct reply *reply, curl_write_callback write,
                                   unsigned *http_status_out, struct compose_error *error)
{
    struct curl_slist *list = NULL;
    char text[CURL_ERROR_SIZE] = "", *url = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long http_status = 0;

    curl_easy_reset(compose->curl); /* options only: connections stay */
    reply->curl = compose->curl;
    compose->ticked_ns = fab_clock_now_ns(fab_clock_real());
    if (make_headers(compose, body != NULL, &list) &&
        asprintf(&url, "%s%s", is_https(compose) ? compose->api : "http://fabric", path) >= 0) {
        set_peer(compose);
        set_request(compose, method, body);
        if (reply->take)
            (void)curl_easy_setopt(compose->curl, CURLOPT_TIMEOUT_MS, 0L);
        (void)curl_easy_setopt(compose->curl, CURLOPT_URL, url);
        (void)curl_easy_setopt(compose->curl, CURLOPT_HTTPHEADER, list);
        (void)curl_easy_setopt(compose->curl, CURLOPT_ERRORBUFFER, text);
        (void)curl_easy_setopt(compose->curl, CURLOPT_WRITEFUNCTION, write);
        (void)curl_easy_setopt(compose->curl, CURLOPT_WRITEDATA, reply);
        code = curl_easy_perform(compose->curl);
        (void)curl_easy_getinfo(compose->curl, CURLINFO_RESPONSE_CODE, &http_status);
        (void)curl_easy_setopt(compose->curl, CURLOPT_ERRORBUFFER, NULL); /* it is ours */
        free(url);
    }
    curl_slist_free_all(list);
    *http_status_out = (unsigned)http_status;
    if (code == CURLE_OK || reply->has_ended)
        return COMPOSE_OK;
    return explain(compose, code, reply, text, error);
}

enum compose_status compose_ask(struct compose *compose, const char *method, const char *path,
                                const char *body, struct compose_answer *answer_out,
                                struct compose_error *error)
{
    struct reply reply = {0};
    unsigned http_status = 0;
    enum compose_status status;

    fab_vec_init(&reply.bytes, sizeof(char));
    status = perform(compose, method, path, body, &reply, collect, &http_status, error);
    if (status == COMPOSE_OK && fab_vec_push(&reply.bytes, "") != FAB_OK)
        status = compose_error_set(error, COMPOSE_FAILED, "out of memory");
    if (status == COMPOSE_OK && (http_status < 200 || http_status > 299))
        status =
            compose_error_from_answer(error, http_status, reply.bytes.items, reply.bytes.count - 1);
    if (status != COMPOSE_OK) {
        fab_vec_fini(&reply.bytes);
        return status;
    }
    *answer_out = (struct compose_answer){
        .http_status = http_status, .body = reply.bytes.items, .body_bytes = reply.bytes.count - 1};
    return COMPOSE_OK;
}

void compose_answer_clear(struct compose_answer *answer)
{
    free(answer->body);
    *answer = (struct compose_answer){0};
}

/* ---- events -----------------------------------------------------------------------------------
 */

/* One line of the stream, without its end. False: nobody wants more. */
static bool take_line(struct reply *reply, char *line)
{
    int64_t number;

    if (strncmp(line, "id:", 3) == 0) {
        const char *text = line + 3 + (line[3] == ' ');

        if (fab_parse_int(text, &number) == FAB_OK && number >= 0)
            reply->number = (uint64_t)number;
    } else if (strncmp(line, "data:", 5) == 0) {
        const char *json = line + 5 + (line[5] == ' ');

        reply->has_ended = reply->take(reply->user, reply->number, json) != 0;
    }
    return !reply->has_ended; /* other fields, comments: not for us */
}

/* Lines of an error's body stay together for the one who reads it. */
static size_t take_bytes(char *bytes, size_t size, size_t count, void *user)
{
    struct reply *reply = user;
    char *start = bytes, *end;
    long http_status = 0;

    (void)curl_easy_getinfo(reply->curl, CURLINFO_RESPONSE_CODE, &http_status);
    if (http_status != 200)
        return collect(bytes, size, count, user);
    while ((end = memchr(start, '\n', size * count - (size_t)(start - bytes)))) {
        *end = '\0';
        if (end > start && end[-1] == '\r')
            end[-1] = '\0';
        if (!add_bytes(reply, start, (size_t)(end - start) + 1) ||
            !take_line(reply, reply->bytes.items))
            return 0;
        reply->bytes.count = 0;
        start = end + 1;
    }
    if (reply->bytes.count > LINE_BYTES) {
        reply->is_too_long = true;
        return 0;
    }
    return add_bytes(reply, start, (size_t)(bytes + size * count - start)) ? size * count : 0;
}

enum compose_status compose_follow(struct compose *compose, uint64_t after,
                                   int (*take)(void *user, uint64_t number, const char *json),
                                   void *user, struct compose_error *error)
{
    struct reply reply = {.take = take, .user = user};
    unsigned http_status = 0;
    enum compose_status status;
    char path[128];

    if (after == COMPOSE_FROM_NOW)
        (void)snprintf(path, sizeof(path), "/redfish/v1/EventService/SSE");
    else
        (void)snprintf(path, sizeof(path), "/redfish/v1/EventService/SSE?after=%llu",
                       (unsigned long long)after);
    fab_vec_init(&reply.bytes, sizeof(char));
    status = perform(compose, "GET", path, NULL, &reply, take_bytes, &http_status, error);
    if (status == COMPOSE_OK && http_status != 200)
        status =
            compose_error_from_answer(error, http_status, reply.bytes.items, reply.bytes.count);
    else if (status == COMPOSE_OK && !reply.has_ended)
        status =
            compose_error_set(error, COMPOSE_AWAY, "%s ended the stream of events", compose->api);
    fab_vec_fini(&reply.bytes);
    return status;
}
