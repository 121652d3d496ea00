/* SPDX-License-Identifier: Apache-2.0
 * fabricd/http_tls.c - HTTPS: PEM files, a TCP listener, and who the client is.
 *
 * libmicrohttpd asks a client for a certificate and verifies nothing, so it is done here, at each
 * request's beginning.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/file.h"
#include "fabricd/http_int.h"

enum { PEM_BYTES = 1 << 20, ADDRESS_BYTES = 64, BACKLOG = 128 };

/* ---- files ------------------------------------------------------------------------------------
 */

static enum fab_status read_revoked(const char *path, struct http_files *files, struct fab_err *err)
{
    enum fab_status status = fab_file_read(path, PEM_BYTES, &files->revoked_text, NULL, err);

    if (status == FAB_OK)
        status = certificate_read_lists(path, files->ca, files->revoked_text, &files->revoked, err);
    return status;
}

enum fab_status http_files_read(const struct http_network *network, struct http_files **files_out,
                                struct fab_err *err)
{
    struct http_files *files = fab_alloc_zeroed(1, sizeof(*files));
    enum fab_status status;

    if (!files)
        return fab_err_set(err, FAB_ERR_NOMEM, "the API");
    (void)snprintf(files->priorities, sizeof(files->priorities),
                   "SECURE128:-VERS-ALL:+VERS-TLS1.2:"
                   "+VERS-TLS1.3");
    status = fab_file_read(network->ca, PEM_BYTES, &files->ca, NULL, err);
    if (status == FAB_OK)
        status = fab_file_read(network->certificate, PEM_BYTES, &files->certificate, NULL, err);
    if (status == FAB_OK)
        status = fab_file_read(network->key, PEM_BYTES, &files->key, NULL, err);
    if (status == FAB_OK && network->revoked && network->revoked[0])
        status = read_revoked(network->revoked, files, err);
    if (status != FAB_OK) {
        http_files_free(files);
        return status;
    }
    *files_out = files;
    return FAB_OK;
}

void http_files_free(struct http_files *files)
{
    if (!files)
        return;
    if (files->key)
        explicit_bzero(files->key, strlen(files->key));
    certificate_free_lists(&files->revoked);
    free(files->revoked_text);
    free(files->key);
    free(files->certificate);
    free(files->ca);
    free(files);
}

bool http_files_are_same(const struct http_files *a, const struct http_files *b)
{
    return strcmp(a->ca, b->ca) == 0 && strcmp(a->certificate, b->certificate) == 0 &&
           strcmp(a->key, b->key) == 0 && !a->revoked_text == !b->revoked_text &&
           (!a->revoked_text || strcmp(a->revoked_text, b->revoked_text) == 0);
}

/* ---- the socket -------------------------------------------------------------------------------
 */

static enum fab_status resolve(const char *address, struct addrinfo **info_out, struct fab_err *err)
{
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    char host[ADDRESS_BYTES];
    char *colon, *name = host;
    int result;

    (void)snprintf(host, sizeof(host), "%s", address);
    colon = strrchr(host, ':');
    if (!colon)
        return fab_err_set(err, FAB_ERR_INVALID, "%s: expected ADDRESS:PORT", address);
    *colon = '\0';
    if (host[0] == '[' && colon > host + 1 && colon[-1] == ']') {
        colon[-1] = '\0';
        name++;
    }
    result = getaddrinfo(name, colon + 1, &wanted, info_out);
    if (result != 0)
        return fab_err_set(err, FAB_ERR_INVALID, "%s: %s", address, gai_strerror(result));
    return FAB_OK;
}

enum fab_status http_listen_tcp(const char *address, int *fd_out, struct fab_err *err)
{
    struct addrinfo *info;
    enum fab_status status = resolve(address, &info, err);
    const int on = 1;
    int fd;

    if (status != FAB_OK)
        return status;
    fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        status = fab_err_errno(err, errno, "listening at %s", address);
        if (fd >= 0)
            (void)close(fd);
    } else {
        *fd_out = fd;
    }
    freeaddrinfo(info);
    return status;
}

/* ---- the client -------------------------------------------------------------------------------
 */

bool http_peer_name(const struct http_files *files, void *session, char name[HTTP_NAME_BYTES])
{
    unsigned count = 0, problems = 0;
    const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t certificate;
    size_t bytes = HTTP_NAME_BYTES;
    bool is_named;

    name[0] = '\0';
    if (!peers || count == 0)
        return true;
    if (gnutls_certificate_verify_peers2(session, &problems) != GNUTLS_E_SUCCESS || problems != 0)
        return false;
    if (gnutls_x509_crt_init(&certificate) != GNUTLS_E_SUCCESS)
        return false;
    is_named =
        gnutls_x509_crt_import(certificate, &peers[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS &&
        gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                      &bytes) == GNUTLS_E_SUCCESS &&
        name[0] != '\0' &&
        gnutls_x509_crt_check_revocation(certificate, files->revoked.items, files->revoked.count) ==
            0;
    gnutls_x509_crt_deinit(certificate);
    return is_named;
}
