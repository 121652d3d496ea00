/* SPDX-License-Identifier: Apache-2.0
 * fabricd/http.c - libmicrohttpd with an external epoll descriptor: no thread of its own.
 *
 * A request whose answer is not there yet is suspended, and resumed by http_answer(). Source: the
 * libmicrohttpd manual, "Suspending" and "External select".
 */
#include "fabricd/http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "fabricd/http_int.h"
#include "fabricd/loop.h"

enum {
    BACKLOG = 128,
    IDLE_S = 120,
    NS_PER_MS = 1000000,
    MEMORY_BYTES = 32 * 1024,
    BLOCK_BYTES = 4096
};

/* One request; libmicrohttpd's connection context. */
struct exchange {
    struct fab_list node;
    struct http *http;
    struct MHD_Connection *connection;
    struct loop_watch *hangup; /* while suspended: libmicrohttpd does not look then */
    uint64_t id;
    int fd; /* the connection's */
    uid_t uid;
    pid_t pid;
    char name[HTTP_NAME_BYTES]; /* in the client's certificate */
    char *path;                 /* with its query */
    char *body;
    size_t body_bytes;
    bool is_too_long, is_handed_over, is_suspended, is_answered, is_gone;
    unsigned status;
    struct MHD_Response *response;
    /* An answer in parts: what is not sent yet. */
    bool is_stream, is_complete;
    char *parts;
    size_t parts_bytes, parts_sent;
};

struct http {
    struct loop *loop;
    struct loop_watch *watch;
    struct MHD_Daemon *daemon;
    char *path;               /* of the unix socket, or the address */
    struct http_files *files; /* HTTPS; NULL: the unix socket */
    int fd;
    http_handler handler;
    http_gone gone;
    void *user;
    uint64_t last_id;
    bool has_resumed; /* libmicrohttpd does not count that as a reason to run */
    struct fab_list exchanges;
};

/* ---- one request ------------------------------------------------------------------------------
 */

/* libmicrohttpd's first call of a request: the only one that sees the query as it was sent. */
static void *on_uri(void *user, const char *uri, struct MHD_Connection *connection)
{
    struct exchange *exchange = fab_alloc_zeroed(1, sizeof(*exchange));

    (void)user;
    (void)connection;
    if (!exchange)
        return NULL;
    fab_list_init(&exchange->node);
    exchange->path = fab_alloc_text(uri);
    if (!exchange->path) {
        free(exchange);
        return NULL;
    }
    return exchange;
}

static bool begin(struct http *http, struct exchange *exchange, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t peer_bytes = sizeof(peer);

    /* Over TCP the kernel says "nobody". */
    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) != 0)
        return false;
    if (http->files) {
        const union MHD_ConnectionInfo *secure =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

        if (!secure || !http_peer_name(http->files, secure->tls_session, exchange->name))
            return false;
    }
    exchange->http = http;
    exchange->connection = connection;
    exchange->id = ++http->last_id;
    exchange->fd = info->connect_fd;
    exchange->uid = peer.uid;
    exchange->pid = peer.pid;
    fab_list_append(&http->exchanges, &exchange->node);
    return true;
}

static bool add_body(struct exchange *exchange, const char *data, size_t bytes)
{
    char *body;

    if (exchange->is_too_long || exchange->body_bytes + bytes > HTTP_BODY_BYTES) {
        exchange->is_too_long = true; /* read to its end and refused then */
        return true;
    }
    body = fab_alloc_resize(exchange->body, exchange->body_bytes + bytes + 1, 1);
    if (!body)
        return false;
    memcpy(body + exchange->body_bytes, data, bytes);
    exchange->body = body;
    exchange->body_bytes += bytes;
    body[exchange->body_bytes] = '\0';
    return true;
}

static enum MHD_Result too_long(struct MHD_Connection *connection)
{
    static char text[] =
        "{\"error\":{\"code\":\"Base.1.0.GeneralError\",\"message\":\"the body is too "
        "long\"}}\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_NO;

    if (response) {
        (void)MHD_add_response_header(response, "Content-Type", "application/json");
        result = MHD_queue_response(connection, MHD_HTTP_CONTENT_TOO_LARGE, response);
        MHD_destroy_response(response);
    }
    return result;
}

static void resume(struct exchange *exchange)
{
    loop_unwatch(exchange->hangup);
    exchange->hangup = NULL;
    exchange->is_suspended = false;
    MHD_resume_connection(exchange->connection);
    exchange->http->has_resumed = true;
}

static void on_hangup(void *user, uint32_t events)
{
    struct exchange *exchange = user;

    (void)events;
    exchange->is_gone = true;
    resume(exchange); /* to be closed */
}

/* Until http_answer(), or until who asked has gone. */
static enum MHD_Result suspend(struct exchange *exchange)
{
    if (loop_watch(exchange->http->loop, exchange->fd, EPOLLRDHUP, on_hangup, exchange,
                   &exchange->hangup, NULL) != FAB_OK)
        return MHD_NO;
    exchange->is_suspended = true;
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

    return value ? value : "";
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **context)
{
    struct http *http = user;
    struct exchange *exchange = *context;

    (void)version;
    (void)url; /* without the query */
    if (!exchange)
        return MHD_NO; /* no memory */
    if (exchange->id == 0)
        return begin(http, exchange, connection) ? MHD_YES : MHD_NO;
    if (*data_bytes > 0) {
        const bool is_kept = add_body(exchange, data, *data_bytes);

        *data_bytes = 0;
        return is_kept ? MHD_YES : MHD_NO;
    }
    if (exchange->is_too_long)
        return too_long(connection);
    if (!exchange->is_handed_over) {
        const struct http_request request = {.id = exchange->id,
                                             .method = method,
                                             .path = exchange->path,
                                             .body = exchange->body ? exchange->body : "",
                                             .body_bytes = exchange->body_bytes,
                                             .uid = exchange->uid,
                                             .pid = exchange->pid,
                                             .token = header(connection, "X-Auth-Token"),
                                             .name = exchange->name};

        exchange->is_handed_over = true;
        http->handler(http->user, &request);
    }
    if (exchange->is_gone)
        return MHD_NO;
    if (!exchange->is_answered)
        return suspend(exchange);
    return MHD_queue_response(connection, exchange->status, exchange->response);
}

static void on_end(void *user, struct MHD_Connection *connection, void **context,
                   enum MHD_RequestTerminationCode why)
{
    struct http *http = user;
    struct exchange *exchange = *context;

    (void)connection;
    (void)why;
    if (!exchange)
        return;
    fab_list_remove(&exchange->node);
    if (exchange->is_handed_over && !(exchange->is_answered && !exchange->is_stream) &&
        !exchange->is_complete)
        http->gone(http->user, exchange->id);
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    free(exchange->path);
    free(exchange->parts);
    free(exchange->body);
    free(exchange);
    *context = NULL;
}

static struct exchange *find(struct http *http, uint64_t id)
{
    FAB_LIST_EACH(at, after, &http->exchanges)
    {
        struct exchange *exchange = fab_list_object(at, struct exchange, node);

        if (exchange->id == id)
            return exchange;
    }
    return NULL;
}

static void set_answer(struct exchange *exchange, unsigned status, const char *type)
{
    exchange->is_answered = true;
    exchange->status = status;
    (void)MHD_add_response_header(exchange->response, "Content-Type", type);
    (void)MHD_add_response_header(exchange->response, "Cache-Control", "no-cache");
    (void)MHD_add_response_header(exchange->response, "OData-Version", "4.0");
}

/* Of a resource as it is now. Redfish wants one; nobody is told "not modified"
 * by it. */
static void set_tag(struct exchange *exchange, const char *body, size_t body_bytes)
{
    const uint64_t hash = fab_hash_bytes(FAB_HASH_START, body, body_bytes);
    char text[32];

    (void)snprintf(text, sizeof(text), "\"%016" PRIx64 "\"", hash);
    (void)MHD_add_response_header(exchange->response, "ETag", text);
}

void http_answer(struct http *http, uint64_t id, unsigned status, const char *type,
                 const char *location, const char *body, size_t body_bytes)
{
    http_answer_head(http, id,
                     &(struct http_head){.status = status, .type = type, .location = location},
                     body, body_bytes);
}

void http_answer_head(struct http *http, uint64_t id, const struct http_head *head,
                      const char *body, size_t body_bytes)
{
    const struct {
        const char *name, *value;
    } more[] = {
        {"Location", head->location}, {"Allow", head->allow}, {"X-Auth-Token", head->token}};
    struct exchange *exchange = find(http, id);
    union {
        const char *from;
        void *to; /* copied, though the type does not say so */
    } text = {.from = body};

    if (!exchange || exchange->is_answered)
        return;
    exchange->response =
        MHD_create_response_from_buffer(body_bytes, text.to, MHD_RESPMEM_MUST_COPY);
    if (!exchange->response)
        return; /* no memory: the connection's time limit ends it */
    set_answer(exchange, head->status, head->type);
    if (head->status == MHD_HTTP_OK)
        set_tag(exchange, body, body_bytes);
    for (size_t i = 0; i < FAB_ARRAY_LEN(more); i++)
        if (more[i].value && more[i].value[0])
            (void)MHD_add_response_header(exchange->response, more[i].name, more[i].value);
    if (exchange->is_suspended)
        resume(exchange);
}

/* ---- answers in parts -------------------------------------------------------------------------
 */

/* libmicrohttpd wants bytes; without any the connection sleeps until http_stream(). */
static ssize_t on_parts(void *user, uint64_t position, char *bytes, size_t most)
{
    struct exchange *exchange = user;
    size_t count = exchange->parts_bytes - exchange->parts_sent;

    (void)position;
    if (exchange->is_gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (count == 0 && exchange->is_complete)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (count == 0)
        return suspend(exchange) == MHD_YES ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
    if (count > most)
        count = most;
    memcpy(bytes, exchange->parts + exchange->parts_sent, count);
    exchange->parts_sent += count;
    return (ssize_t)count;
}

/* False: too much waits, or there is no memory. */
static bool add_part(struct exchange *exchange, const char *part, size_t part_bytes)
{
    const size_t left = exchange->parts_bytes - exchange->parts_sent;
    char *parts;

    if (left + part_bytes > HTTP_STREAM_BYTES)
        return false;
    if (left > 0)
        memmove(exchange->parts, exchange->parts + exchange->parts_sent, left);
    parts = fab_alloc_resize(exchange->parts, left + part_bytes + 1, 1);
    if (!parts)
        return false;
    memcpy(parts + left, part, part_bytes);
    exchange->parts = parts;
    exchange->parts_bytes = left + part_bytes;
    exchange->parts_sent = 0;
    return true;
}

void http_stream(struct http *http, uint64_t id, unsigned status, const char *type,
                 const char *part, size_t part_bytes, bool is_last)
{
    struct exchange *exchange = find(http, id);

    if (!exchange || exchange->is_gone || exchange->is_complete ||
        (exchange->is_answered && !exchange->is_stream))
        return;
    if (!exchange->is_answered) {
        exchange->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                               on_parts, exchange, NULL);
        if (!exchange->response)
            return; /* no memory: the connection's time limit ends it */
        exchange->is_stream = true;
        set_answer(exchange, status, type);
    }
    if (!add_part(exchange, part, part_bytes))
        exchange->is_gone = true;
    exchange->is_complete = is_last && !exchange->is_gone;
    if (exchange->is_suspended)
        resume(exchange);
}

/* ---- the socket -------------------------------------------------------------------------------
 */

static bool is_answered_there(const struct sockaddr_un *address)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_there =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;

    if (fd >= 0)
        (void)close(fd);
    return is_there;
}

static enum fab_status listen_at(struct http *http, mode_t mode, struct fab_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(http->path) >= sizeof(address.sun_path))
        return fab_err_set(err, FAB_ERR_RANGE, "%s: a socket's path has at most %zu bytes",
                           http->path, sizeof(address.sun_path) - 1);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", http->path);
    if (is_answered_there(&address))
        return fab_err_set(err, FAB_ERR_BUSY, "%s: another fabricd listens there", http->path);
    (void)unlink(http->path);
    http->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (http->fd < 0 || bind(http->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(http->path, mode) != 0 || listen(http->fd, BACKLOG) != 0)
        return fab_err_errno(err, errno, "listening at %s", http->path);
    return FAB_OK;
}

static void on_ready(void *user, uint32_t events)
{
    (void)events;
    (void)MHD_run(((struct http *)user)->daemon);
}

static enum fab_status start_daemon(struct http *http, struct fab_err *err)
{
    const union MHD_DaemonInfo *info;
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_MEM_TRUST, 0, http->files ? http->files->ca : NULL},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, http->files ? http->files->certificate : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, http->files ? http->files->key : NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, http->files ? http->files->priorities : NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    const int fd = fcntl(http->fd, F_DUPFD_CLOEXEC, 0); /* ended by some failures, not by others */

    if (fd < 0)
        return fab_err_errno(err, errno, "the socket of %s", http->path);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (http->files ? MHD_USE_TLS : 0U), 0, NULL, NULL,
        on_request, http, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_end, http, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES, MHD_OPTION_ARRAY,
        http->files ? secure : none, MHD_OPTION_END);
    if (!http->daemon)
        return fab_err_set(err, FAB_ERR_IO, "libmicrohttpd did not start at %s", http->path);
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        return fab_err_set(err, FAB_ERR_UNSUPPORTED, "this libmicrohttpd has no epoll");
    return loop_watch(http->loop, info->epoll_fd, EPOLLIN, on_ready, http, &http->watch, err);
}

enum fab_status http_create(struct loop *loop, const char *path, mode_t mode, http_handler handler,
                            http_gone gone, void *user, struct http **http_out, struct fab_err *err)
{
    struct http *http = fab_alloc_zeroed(1, sizeof(*http));
    enum fab_status status;

    if (!http)
        return fab_err_set(err, FAB_ERR_NOMEM, "the API");
    *http = (struct http){.loop = loop, .fd = -1, .handler = handler, .gone = gone, .user = user};
    fab_list_init(&http->exchanges);
    http->path = fab_alloc_text(path);
    status = http->path ? listen_at(http, mode, err) : fab_err_set(err, FAB_ERR_NOMEM, "the API");
    if (status == FAB_OK)
        status = start_daemon(http, err);
    if (status != FAB_OK) {
        http_destroy(http);
        return status;
    }
    *http_out = http;
    return FAB_OK;
}

enum fab_status http_create_network(struct loop *loop, const struct http_network *network,
                                    http_handler handler, http_gone gone, void *user,
                                    struct http **http_out, struct fab_err *err)
{
    struct http *http = fab_alloc_zeroed(1, sizeof(*http));
    enum fab_status status;

    if (!http)
        return fab_err_set(err, FAB_ERR_NOMEM, "the API");
    *http = (struct http){.loop = loop, .fd = -1, .handler = handler, .gone = gone, .user = user};
    fab_list_init(&http->exchanges);
    http->path = fab_alloc_text(network->address);
    status = http->path ? http_files_read(network, &http->files, err)
                        : fab_err_set(err, FAB_ERR_NOMEM, "the API");
    if (status == FAB_OK)
        status = http_listen_tcp(network->address, &http->fd, err);
    if (status == FAB_OK)
        status = start_daemon(http, err);
    if (status != FAB_OK) {
        http_destroy(http);
        return status;
    }
    *http_out = http;
    return FAB_OK;
}

uint16_t http_port(const struct http *http)
{
    const union MHD_DaemonInfo *info =
        http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;

    return info ? info->port : 0;
}

/* Every exchange ends, and is told so. */
static void stop_daemon(struct http *http)
{
    loop_unwatch(http->watch);
    http->watch = NULL;
    FAB_LIST_EACH(at, after, &http->exchanges)
    {
        struct exchange *exchange = fab_list_object(at, struct exchange, node);

        if (exchange->is_suspended) /* or it cannot be stopped */
            resume(exchange);
    }
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    http->daemon = NULL;
}

/* Ends the server and not the socket, which its end would shut down: nobody else gets the port. */
static void stop_serving(struct http *http)
{
    const int fd = http->daemon ? MHD_quiesce_daemon(http->daemon) : -1;

    stop_daemon(http);
    if (fd >= 0)
        (void)close(fd);
}

enum fab_status http_reload_network(struct http *http, const struct http_network *network,
                                    struct fab_err *err)
{
    struct http_files *files = NULL, *earlier = http->files;
    enum fab_status status = http_files_read(network, &files, err);

    if (status != FAB_OK || (http->daemon && http_files_are_same(earlier, files))) {
        http_files_free(files);
        return status;
    }
    stop_serving(http);
    http->files = files;
    status = start_daemon(http, err);
    if (status == FAB_OK) {
        http_files_free(earlier);
        return FAB_OK;
    }
    stop_serving(http);
    http->files = earlier;
    http_files_free(files);
    (void)!start_daemon(http, NULL); /* else the next reload tries again */
    return status;
}

void http_destroy(struct http *http)
{
    bool has_socket;

    if (!http)
        return;
    has_socket = http->daemon && !http->files;
    stop_daemon(http);
    if (has_socket)
        (void)unlink(http->path);
    if (http->fd >= 0)
        (void)close(http->fd);
    http_files_free(http->files);
    free(http->path);
    free(http);
}

uint64_t http_turn(struct http *http, uint64_t now_ns)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    const bool has_resumed = http->has_resumed;

    if (!http->daemon) /* it did not start again */
        return UINT64_MAX;
    http->has_resumed = false;
    if (has_resumed || (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES && wait_ms == 0))
        (void)MHD_run(http->daemon);
    if (http->has_resumed) /* by a request that came in that run */
        return now_ns;
    return MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES ? now_ns + wait_ms * NS_PER_MS
                                                              : UINT64_MAX;
}
