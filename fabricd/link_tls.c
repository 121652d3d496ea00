/* SPDX-License-Identifier: Apache-2.0
 * fabricd/link_tls.c - see link_int.h. GnuTLS: TLS 1.3 only, both ends prove themselves.
 *
 * A node's certificate has the node's name as common name and is for servers (extended key usage):
 * what is only for clients is a user's, for the API, and no daemon.
 */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/file.h"
#include "fabricd/certificate.h"
#include "fabricd/link_int.h"
#include "fabricd/name.h"

enum { FILE_BYTES = 1 << 20, PURPOSE_BYTES = 64 };

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3"

/* What was read from the files; sessions use it until they end, also after a reload. */
struct keys {
    unsigned uses;
    gnutls_certificate_credentials_t credentials;
    char name[NAME_BYTES];
};

struct link_tls {
    struct keys *keys;
    gnutls_priority_t priority;
};

struct link_secure {
    gnutls_session_t session;
    struct keys *keys; /* of the session */
    bool is_up;
    bool has_pending;        /* a record that the socket did not take */
    char wanted[NAME_BYTES]; /* "": any */
    char peer[NAME_BYTES];
    struct fab_err refusal; /* why we do not accept the peer */
};

static enum fab_status gnutls_failed(struct fab_err *err, int result, const char *what)
{
    return fab_err_foreign(err, result == GNUTLS_E_MEMORY_ERROR ? FAB_ERR_NOMEM : FAB_ERR_FORMAT,
                           "gnutls", result, "%s: %s", what, gnutls_strerror(result));
}

/* ---- our own certificate ----------------------------------------------------------------------
 */

static gnutls_datum_t datum(char *text, size_t bytes)
{
    return (gnutls_datum_t){.data = (unsigned char *)text, .size = (unsigned)bytes};
}

/* The common name, which must be a node's. */
static enum fab_status common_name(gnutls_x509_crt_t certificate, char *name, struct fab_err *err)
{
    size_t bytes = NAME_BYTES;
    int result =
        gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &bytes);

    if (result < 0)
        return gnutls_failed(err, result, "the name in a certificate");
    return name_check("node", name, err);
}

static enum fab_status own_name(gnutls_datum_t pem, const char *path, char *name,
                                struct fab_err *err)
{
    gnutls_x509_crt_t certificate;
    enum fab_status status;
    int result = gnutls_x509_crt_init(&certificate);

    if (result < 0)
        return gnutls_failed(err, result, path);
    result = gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM);
    status = result < 0 ? gnutls_failed(err, result, path) : common_name(certificate, name, err);
    if (result >= 0 && status != FAB_OK)
        fab_err_context(err, "%s", path);
    gnutls_x509_crt_deinit(certificate);
    return status;
}

struct pem_files {
    char *ca, *certificate, *key, *revoked;
    size_t ca_bytes, certificate_bytes, key_bytes;
};

static void keys_put(struct keys *keys)
{
    if (!keys || --keys->uses > 0)
        return;
    if (keys->credentials)
        gnutls_certificate_free_credentials(keys->credentials);
    free(keys);
}

static enum fab_status set_revoked(struct keys *keys, const struct pem_files *pem, const char *path,
                                   struct fab_err *err)
{
    struct certificate_lists lists;
    enum fab_status status;
    int result;

    if (!pem->revoked)
        return FAB_OK;
    status = certificate_read_lists(path, pem->ca, pem->revoked, &lists, err);
    if (status != FAB_OK)
        return status;
    result = gnutls_certificate_set_x509_crl(keys->credentials, lists.items, (int)lists.count);
    certificate_free_lists(&lists);
    return result < 0 ? gnutls_failed(err, result, path) : FAB_OK;
}

static enum fab_status set_keys(struct keys *keys, const struct pem_files *pem,
                                const struct link_tls_files *paths, struct fab_err *err)
{
    const gnutls_datum_t trusted = datum(pem->ca, pem->ca_bytes);
    const gnutls_datum_t own = datum(pem->certificate, pem->certificate_bytes);
    const gnutls_datum_t secret = datum(pem->key, pem->key_bytes);
    enum fab_status status;
    int result = gnutls_certificate_allocate_credentials(&keys->credentials);

    if (result < 0)
        return gnutls_failed(err, result, "TLS");
    result =
        gnutls_certificate_set_x509_trust_mem(keys->credentials, &trusted, GNUTLS_X509_FMT_PEM);
    if (result < 0)
        return gnutls_failed(err, result, paths->ca);
    if (result == 0)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s: no certificate in it", paths->ca);
    status = set_revoked(keys, pem, paths->revoked, err);
    if (status == FAB_OK)
        status = own_name(own, paths->certificate, keys->name, err);
    if (status != FAB_OK)
        return status;
    result =
        gnutls_certificate_set_x509_key_mem(keys->credentials, &own, &secret, GNUTLS_X509_FMT_PEM);
    if (result == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not the key of %s", paths->key,
                           paths->certificate);
    return result < 0 ? gnutls_failed(err, result, paths->key) : FAB_OK;
}

static enum fab_status keys_read(const struct link_tls_files *paths, struct keys **keys_out,
                                 struct fab_err *err)
{
    struct pem_files pem = {0};
    struct keys *keys = fab_alloc_zeroed(1, sizeof(*keys));
    enum fab_status status;

    if (!keys)
        return fab_err_set(err, FAB_ERR_NOMEM, "TLS");
    keys->uses = 1;
    status = fab_file_read(paths->ca, FILE_BYTES, &pem.ca, &pem.ca_bytes, err);
    if (status == FAB_OK)
        status = fab_file_read(paths->certificate, FILE_BYTES, &pem.certificate,
                               &pem.certificate_bytes, err);
    if (status == FAB_OK)
        status = certificate_read_key(paths->key, &pem.key, &pem.key_bytes, err);
    if (status == FAB_OK && paths->revoked && paths->revoked[0])
        status = fab_file_read(paths->revoked, FILE_BYTES, &pem.revoked, NULL, err);
    if (status == FAB_OK)
        status = set_keys(keys, &pem, paths, err);
    free(pem.ca);
    free(pem.certificate);
    free(pem.revoked);
    certificate_free_key(pem.key, pem.key_bytes);
    if (status == FAB_OK)
        *keys_out = keys;
    else
        keys_put(keys);
    return status;
}

enum fab_status link_tls_create(const struct link_tls_files *files, struct link_tls **tls_out,
                                struct fab_err *err)
{
    struct link_tls *tls = fab_alloc_zeroed(1, sizeof(*tls));
    enum fab_status status;
    int result;

    if (!tls)
        return fab_err_set(err, FAB_ERR_NOMEM, "TLS");
    status = keys_read(files, &tls->keys, err);
    result = status == FAB_OK ? gnutls_priority_init(&tls->priority, PRIORITY, NULL) : 0;
    if (result < 0)
        status = gnutls_failed(err, result, "TLS 1.3");
    if (status != FAB_OK) {
        link_tls_destroy(tls);
        return status;
    }
    *tls_out = tls;
    return FAB_OK;
}

enum fab_status link_tls_reload(struct link_tls *tls, const struct link_tls_files *files,
                                struct fab_err *err)
{
    struct keys *keys = NULL;
    enum fab_status status = keys_read(files, &keys, err);

    if (status != FAB_OK)
        return status;
    if (strcmp(keys->name, tls->keys->name) != 0) {
        status = fab_err_set(err, FAB_ERR_INVALID, "%s is of node %s, not of %s",
                             files->certificate, keys->name, tls->keys->name);
        keys_put(keys);
        return status;
    }
    keys_put(tls->keys);
    tls->keys = keys;
    return FAB_OK;
}

void link_tls_destroy(struct link_tls *tls)
{
    if (!tls)
        return;
    keys_put(tls->keys);
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    free(tls);
}

const char *link_tls_name(const struct link_tls *tls)
{
    return tls->keys->name;
}

/* ---- the peer's -------------------------------------------------------------------------------
 */

static bool is_for_servers(gnutls_x509_crt_t certificate)
{
    for (unsigned i = 0;; i++) {
        char purpose[PURPOSE_BYTES];
        size_t bytes = sizeof(purpose);
        unsigned critical;
        int result =
            gnutls_x509_crt_get_key_purpose_oid(certificate, i, purpose, &bytes, &critical);

        if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (result >= 0 && strcmp(purpose, GNUTLS_KP_TLS_WWW_SERVER) == 0)
            return true;
        if (result < 0 && result != GNUTLS_E_SHORT_MEMORY_BUFFER)
            return false;
    }
}

static enum fab_status check_identity(struct link_secure *secure, gnutls_x509_crt_t certificate)
{
    struct fab_err *err = &secure->refusal;

    if (common_name(certificate, secure->peer, err) != FAB_OK)
        return fab_err_set(err, FAB_ERR_AUTH, "its certificate has no node's name");
    if (!is_for_servers(certificate))
        return fab_err_set(err, FAB_ERR_AUTH, "the certificate of %s is a user's, not a node's",
                           secure->peer);
    if (secure->wanted[0] && strcmp(secure->wanted, secure->peer) != 0)
        return fab_err_set(err, FAB_ERR_AUTH, "it is %s, not %s", secure->peer, secure->wanted);
    return FAB_OK;
}

static enum fab_status check_chain(struct link_secure *secure)
{
    gnutls_datum_t text = {0};
    unsigned problems = 0;
    int result = gnutls_certificate_verify_peers2(secure->session, &problems);

    if (result < 0)
        return fab_err_foreign(&secure->refusal, FAB_ERR_AUTH, "gnutls", result,
                               "its certificate: %s", gnutls_strerror(result));
    if (problems == 0)
        return FAB_OK;
    result = gnutls_certificate_verification_status_print(problems, GNUTLS_CRT_X509, &text, 0);
    (void)fab_err_set(&secure->refusal, FAB_ERR_AUTH, "its certificate: %s",
                      result < 0 ? "not trusted" : (const char *)text.data);
    gnutls_free(text.data);
    return FAB_ERR_AUTH;
}

/* In the handshake; not 0 ends it. */
static int verify(gnutls_session_t session)
{
    struct link_secure *secure = gnutls_session_get_ptr(session);
    const gnutls_datum_t *peers;
    gnutls_x509_crt_t certificate;
    enum fab_status status = check_chain(secure);
    unsigned count = 0;

    if (status != FAB_OK)
        return -1;
    peers = gnutls_certificate_get_peers(session, &count);
    if (!peers || count == 0 || gnutls_x509_crt_init(&certificate) < 0)
        return -1;
    if (gnutls_x509_crt_import(certificate, &peers[0], GNUTLS_X509_FMT_DER) < 0)
        status = FAB_ERR_AUTH;
    else
        status = check_identity(secure, certificate);
    gnutls_x509_crt_deinit(certificate);
    return status == FAB_OK ? 0 : -1;
}

/* ---- sessions ---------------------------------------------------------------------------------
 */

static int set_up(struct link_secure *secure, struct link_tls *tls, int fd, bool is_listener)
{
    /* A certificate is sent also to who did not name its CA: that end can say what is wrong. */
    const unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS |
                           (is_listener ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT);
    int result = gnutls_init(&secure->session, flags);

    if (result < 0) {
        secure->session = NULL;
        return result;
    }
    gnutls_session_set_ptr(secure->session, secure);
    gnutls_transport_set_int(secure->session, fd);
    gnutls_session_set_verify_function(secure->session, verify);
    if (is_listener)
        gnutls_certificate_server_set_request(secure->session, GNUTLS_CERT_REQUIRE);
    result = gnutls_priority_set(secure->session, tls->priority);
    if (result < 0)
        return result;
    secure->keys = tls->keys;
    secure->keys->uses++;
    return gnutls_credentials_set(secure->session, GNUTLS_CRD_CERTIFICATE,
                                  secure->keys->credentials);
}

enum fab_status link_secure_open(struct link_tls *tls, int fd, bool is_listener, const char *peer,
                                 struct link_secure **secure_out, struct fab_err *err)
{
    struct link_secure *secure = fab_alloc_zeroed(1, sizeof(*secure));
    int result;

    if (!secure)
        return fab_err_set(err, FAB_ERR_NOMEM, "a TLS session");
    (void)snprintf(secure->wanted, sizeof(secure->wanted), "%s", peer ? peer : "");
    result = set_up(secure, tls, fd, is_listener);
    if (result < 0) {
        link_secure_close(secure);
        return gnutls_failed(err, result, "a TLS session");
    }
    *secure_out = secure;
    return FAB_OK;
}

void link_secure_close(struct link_secure *secure)
{
    if (!secure)
        return;
    if (secure->is_up && !secure->has_pending)
        (void)gnutls_bye(secure->session, GNUTLS_SHUT_WR); /* a courtesy */
    if (secure->session)
        gnutls_deinit(secure->session);
    keys_put(secure->keys);
    free(secure);
}

static bool is_later(int result)
{
    return result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED ||
           result == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

static enum fab_status failed(struct link_secure *secure, ssize_t result, struct fab_err *err)
{
    const int number = (int)result;

    switch (number) {
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return fab_err_foreign(err, FAB_ERR_AUTH, "gnutls", number, "it refused us: %s",
                               gnutls_alert_get_name(gnutls_alert_get(secure->session)));
    case GNUTLS_E_NO_CERTIFICATE_FOUND:
    case GNUTLS_E_CERTIFICATE_REQUIRED:
        return fab_err_foreign(err, FAB_ERR_AUTH, "gnutls", number, "it has no certificate");
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return fab_err_foreign(err, FAB_ERR_PEER_LOST, "gnutls", number, "closed by the peer");
    case GNUTLS_E_MEMORY_ERROR:
        return fab_err_set(err, FAB_ERR_NOMEM, "TLS");
    default:
        return fab_err_foreign(err, FAB_ERR_PROTOCOL, "gnutls", number, "TLS: %s",
                               gnutls_strerror(number));
    }
}

enum fab_status link_secure_handshake(struct link_secure *secure, bool *wants_write_out,
                                      struct fab_err *err)
{
    int result = gnutls_handshake(secure->session);

    if (result == GNUTLS_E_SUCCESS) {
        secure->is_up = true;
        return FAB_OK;
    }
    if (is_later(result)) {
        *wants_write_out = gnutls_record_get_direction(secure->session) == 1;
        return FAB_ERR_AGAIN;
    }
    (void)gnutls_alert_send_appropriate(secure->session, result); /* a courtesy */
    if (secure->refusal.status == FAB_OK)
        return failed(secure, result, err);
    if (err)
        *err = secure->refusal;
    return secure->refusal.status;
}

const char *link_secure_peer(const struct link_secure *secure)
{
    return secure->peer;
}

enum fab_status link_secure_read(struct link_secure *secure, void *bytes, size_t count,
                                 size_t *count_out, struct fab_err *err)
{
    const ssize_t got = gnutls_record_recv(secure->session, bytes, count);

    if (got == 0)
        return fab_err_set(err, FAB_ERR_PEER_LOST, "closed by the peer");
    if (got < 0)
        return is_later((int)got) ? FAB_ERR_AGAIN : failed(secure, got, err);
    *count_out = (size_t)got;
    return FAB_OK;
}

enum fab_status link_secure_write(struct link_secure *secure, const void *bytes, size_t count,
                                  size_t *count_out, struct fab_err *err)
{
    /* What did not go out is kept, encrypted, in the session, which goes on with it. */
    const ssize_t sent = secure->has_pending ? gnutls_record_send(secure->session, NULL, 0)
                                             : gnutls_record_send(secure->session, bytes, count);

    secure->has_pending = sent < 0 && is_later((int)sent);
    if (sent < 0)
        return secure->has_pending ? FAB_ERR_AGAIN : failed(secure, sent, err);
    *count_out = (size_t)sent;
    return FAB_OK;
}

bool link_secure_has_more(const struct link_secure *secure)
{
    return gnutls_record_check_pending(secure->session) > 0;
}
