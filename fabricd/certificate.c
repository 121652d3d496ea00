/* SPDX-License-Identifier: Apache-2.0
 * fabricd/certificate.c - see certificate.h. GnuTLS makes and signs; profile of RFC 5280.
 */
#include "fabricd/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "fabricd/name.h"

enum {
    FILE_BYTES = 1 << 20,
    PATH_BYTES = 4096,
    SERIAL_BYTES = 16,
    KEY_ID_BYTES = 64,
    HOST_BYTES = 254,
    DAY_S = 24 * 60 * 60,
    SKEW_S = 60 * 60 /* clocks of nodes may differ by so much */
};

/* What a certificate is made of. All of it is freed by issue_fini(). */
struct issue {
    gnutls_x509_privkey_t key, ca_key; /* ca_key NULL: it signs itself */
    gnutls_x509_crt_t certificate, ca;
    gnutls_datum_t key_pem, certificate_pem;
};

static enum fab_status failed(struct fab_err *err, int result, const char *what)
{
    return fab_err_foreign(err, result == GNUTLS_E_MEMORY_ERROR ? FAB_ERR_NOMEM : FAB_ERR_FORMAT,
                           "gnutls", result, "%s: %s", what, gnutls_strerror(result));
}

/* ---- files ------------------------------------------------------------------------------------
 */

static enum fab_status path_of(const char *folder, const char *name, const char *ending,
                               char path[PATH_BYTES], struct fab_err *err)
{
    const int bytes = snprintf(path, PATH_BYTES, "%s/%s%s", folder, name, ending);

    if (bytes < 0 || bytes >= PATH_BYTES)
        return fab_err_set(err, FAB_ERR_LIMIT, "%.60s...: the path is too long", folder);
    return FAB_OK;
}

enum fab_status certificate_read_key(const char *path, char **text_out, size_t *bytes_out,
                                     struct fab_err *err)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return fab_err_errno(err, errno, "%s", path);
    if (info.st_mode & (S_IRWXG | S_IRWXO))
        return fab_err_set(err, FAB_ERR_DENIED, "%s is open to others (mode %04o): chmod 600", path,
                           info.st_mode & 07777u);
    return fab_file_read(path, FILE_BYTES, text_out, bytes_out, err);
}

void certificate_free_key(char *text, size_t bytes)
{
    if (text)
        gnutls_memset(text, 0, bytes);
    free(text);
}

static enum fab_status write_all(int fd, gnutls_datum_t data, const char *path, struct fab_err *err)
{
    size_t done = 0;

    while (done < data.size) {
        const ssize_t written = write(fd, data.data + done, data.size - done);

        if (written < 0 && errno != EINTR)
            return fab_err_errno(err, errno, "%s", path);
        done += written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) == 0 ? FAB_OK : fab_err_errno(err, errno, "%s", path);
}

/* A new file, or none. */
static enum fab_status put_file(const char *path, mode_t mode, gnutls_datum_t data,
                                struct fab_err *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    enum fab_status status;

    if (fd < 0 && errno == EEXIST)
        return fab_err_set(err, FAB_ERR_EXISTS, "%s is there already, and is kept", path);
    if (fd < 0)
        return fab_err_errno(err, errno, "%s", path);
    status = write_all(fd, data, path, err);
    if (close(fd) != 0 && status == FAB_OK)
        status = fab_err_errno(err, errno, "%s", path);
    if (status != FAB_OK)
        (void)unlink(path); /* ours */
    return status;
}

/* Both files or none. */
static enum fab_status put_files(const char *folder, const char *name, struct issue *issue,
                                 struct fab_err *err)
{
    char key_path[PATH_BYTES], path[PATH_BYTES];
    enum fab_status status = path_of(folder, name, ".key", key_path, err);

    if (status == FAB_OK)
        status = path_of(folder, name, ".pem", path, err);
    if (status == FAB_OK)
        status = put_file(key_path, 0600, issue->key_pem, err);
    if (status != FAB_OK)
        return status;
    status = put_file(path, 0644, issue->certificate_pem, err);
    if (status != FAB_OK)
        (void)unlink(key_path); /* ours */
    return status;
}

/* ---- making -----------------------------------------------------------------------------------
 */

static void issue_fini(struct issue *issue)
{
    if (issue->key)
        gnutls_x509_privkey_deinit(issue->key);
    if (issue->ca_key)
        gnutls_x509_privkey_deinit(issue->ca_key);
    if (issue->certificate)
        gnutls_x509_crt_deinit(issue->certificate);
    if (issue->ca)
        gnutls_x509_crt_deinit(issue->ca);
    if (issue->key_pem.data)
        gnutls_memset(issue->key_pem.data, 0, issue->key_pem.size);
    gnutls_free(issue->key_pem.data);
    gnutls_free(issue->certificate_pem.data);
}

/* A random number above 0 of 127 bits at most, as RFC 5280 4.1.2.2 wants it. */
static int set_serial(gnutls_x509_crt_t certificate)
{
    uint8_t serial[SERIAL_BYTES];
    int result = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

    if (result < 0)
        return result;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    return gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
}

static int set_key(struct issue *issue)
{
    const unsigned bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    int result = gnutls_x509_privkey_init(&issue->key);

    if (result >= 0)
        result = gnutls_x509_privkey_generate(issue->key, GNUTLS_PK_ECDSA, bits, 0);
    if (result >= 0)
        result = gnutls_x509_crt_init(&issue->certificate);
    if (result >= 0)
        result = gnutls_x509_crt_set_key(issue->certificate, issue->key);
    return result;
}

static int set_key_id(struct issue *issue)
{
    uint8_t id[KEY_ID_BYTES];
    size_t bytes = sizeof(id);
    int result = gnutls_x509_crt_get_key_id(issue->certificate, 0, id, &bytes);

    return result < 0 ? result : gnutls_x509_crt_set_subject_key_id(issue->certificate, id, bytes);
}

static int set_issuer_key_id(struct issue *issue)
{
    uint8_t id[KEY_ID_BYTES];
    size_t bytes = sizeof(id);
    int result = gnutls_x509_crt_get_key_id(issue->ca, 0, id, &bytes);

    return result < 0 ? result
                      : gnutls_x509_crt_set_authority_key_id(issue->certificate, id, bytes);
}

/* All that every certificate has. */
static int set_subject(struct issue *issue, const char *name, time_t from, time_t until)
{
    gnutls_x509_crt_t certificate = issue->certificate;
    int result = gnutls_x509_crt_set_version(certificate, 3);

    if (result >= 0)
        result = set_serial(certificate);
    if (result >= 0)
        result = gnutls_x509_crt_set_activation_time(certificate, from);
    if (result >= 0)
        result = gnutls_x509_crt_set_expiration_time(certificate, until);
    if (result >= 0)
        result = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                               (unsigned)strlen(name));
    if (result >= 0)
        result = set_key_id(issue);
    return result;
}

static int sign(struct issue *issue)
{
    gnutls_x509_crt_t signer = issue->ca_key ? issue->ca : issue->certificate;
    gnutls_x509_privkey_t key = issue->ca_key ? issue->ca_key : issue->key;
    int result = gnutls_x509_crt_sign2(issue->certificate, signer, key, GNUTLS_DIG_SHA256, 0);

    if (result >= 0)
        result = gnutls_x509_crt_export2(issue->certificate, GNUTLS_X509_FMT_PEM,
                                         &issue->certificate_pem);
    if (result >= 0)
        result = gnutls_x509_privkey_export2_pkcs8(issue->key, GNUTLS_X509_FMT_PEM, NULL,
                                                   GNUTLS_PKCS_PLAIN, &issue->key_pem);
    return result;
}

static enum fab_status check_days(uint32_t days, struct fab_err *err)
{
    if (days <= CERTIFICATE_DAYS_MAX)
        return FAB_OK;
    return fab_err_set(err, FAB_ERR_RANGE, "%u days (allowed: 1 .. %d)", days,
                       CERTIFICATE_DAYS_MAX);
}

enum fab_status certificate_make_ca(const char *folder, const char *name, uint32_t days,
                                    struct fab_err *err)
{
    const time_t now = time(NULL);
    const time_t life = (time_t)(days ? days : CERTIFICATE_CA_DAYS) * DAY_S;
    struct issue issue = {0};
    enum fab_status status = name_check("CA", name, err);
    int result;

    if (status == FAB_OK)
        status = check_days(days, err);
    if (status != FAB_OK)
        return status;
    result = set_key(&issue);
    if (result >= 0)
        result = set_subject(&issue, name, now - SKEW_S, now + life);
    if (result >= 0)
        result = gnutls_x509_crt_set_basic_constraints(issue.certificate, 1, 0);
    if (result >= 0)
        result = gnutls_x509_crt_set_key_usage(issue.certificate,
                                               GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (result >= 0)
        result = sign(&issue);
    status = result < 0 ? failed(err, result, "making a CA") : put_files(folder, "ca", &issue, err);
    issue_fini(&issue);
    return status;
}

/* ---- the folder's CA --------------------------------------------------------------------------
 */

static enum fab_status load_ca_certificate(struct issue *issue, const char *path,
                                           struct fab_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    enum fab_status status = fab_file_read(path, FILE_BYTES, &text, &bytes, err);
    gnutls_datum_t pem;
    int result;

    if (status != FAB_OK)
        return status;
    pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)bytes};
    result = gnutls_x509_crt_init(&issue->ca);
    if (result >= 0)
        result = gnutls_x509_crt_import(issue->ca, &pem, GNUTLS_X509_FMT_PEM);
    free(text);
    if (result < 0)
        return failed(err, result, path);
    if (gnutls_x509_crt_get_ca_status(issue->ca, NULL) <= 0)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is no CA's certificate", path);
    return FAB_OK;
}

static enum fab_status load_ca_key(struct issue *issue, const char *path, struct fab_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    enum fab_status status = certificate_read_key(path, &text, &bytes, err);
    gnutls_datum_t pem;
    int result;

    if (status != FAB_OK)
        return status;
    pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)bytes};
    result = gnutls_x509_privkey_init(&issue->ca_key);
    if (result >= 0)
        result = gnutls_x509_privkey_import2(issue->ca_key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    certificate_free_key(text, bytes);
    return result < 0 ? failed(err, result, path) : FAB_OK;
}

static bool is_its_key(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
    uint8_t a[KEY_ID_BYTES], b[KEY_ID_BYTES];
    size_t a_bytes = sizeof(a), b_bytes = sizeof(b);

    return gnutls_x509_crt_get_key_id(certificate, 0, a, &a_bytes) >= 0 &&
           gnutls_x509_privkey_get_key_id(key, 0, b, &b_bytes) >= 0 && a_bytes == b_bytes &&
           memcmp(a, b, a_bytes) == 0;
}

static enum fab_status load_ca(struct issue *issue, const char *folder, struct fab_err *err)
{
    char path[PATH_BYTES];
    enum fab_status status = path_of(folder, "ca", ".pem", path, err);

    if (status == FAB_OK)
        status = load_ca_certificate(issue, path, err);
    if (status == FAB_OK)
        status = path_of(folder, "ca", ".key", path, err);
    if (status == FAB_OK)
        status = load_ca_key(issue, path, err);
    if (status == FAB_OK && !is_its_key(issue->ca, issue->ca_key))
        status = fab_err_set(err, FAB_ERR_FORMAT, "%s is not the key of ca.pem beside it", path);
    return status;
}

/* ---- a node's or a user's ---------------------------------------------------------------------
 */

static bool is_host(const char *text)
{
    const size_t length = strnlen(text, HOST_BYTES);

    return length > 0 && length < HOST_BYTES && text[0] != '.' && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
               length;
}

/* The bytes of a numeric address; returns how many, 0: it is none. */
static unsigned address_bytes(const char *text, uint8_t address[sizeof(struct in6_addr)])
{
    if (inet_pton(AF_INET, text, address) == 1)
        return sizeof(struct in_addr);
    return inet_pton(AF_INET6, text, address) == 1 ? sizeof(struct in6_addr) : 0;
}

static enum fab_status check_wish(const struct certificate_wish *wish, struct fab_err *err)
{
    const char *what = wish->is_user ? "user" : "node";
    enum fab_status status = name_check(what, wish->name, err);

    if (status == FAB_OK)
        status = check_days(wish->days, err);
    if (status != FAB_OK)
        return status;
    if (strcmp(wish->name, "ca") == 0)
        return fab_err_set(err, FAB_ERR_INVALID, "no %s may be named ca: ca.pem is the CA's", what);
    if (wish->name_count > (wish->is_user ? 0 : CERTIFICATE_NAMES_MAX))
        return fab_err_set(err, FAB_ERR_RANGE, "%zu other names of %s (allowed: %d)",
                           wish->name_count, wish->name, wish->is_user ? 0 : CERTIFICATE_NAMES_MAX);
    for (size_t i = 0; i < wish->name_count; i++) {
        uint8_t address[sizeof(struct in6_addr)];

        if (!is_host(wish->names[i]) && address_bytes(wish->names[i], address) == 0)
            return fab_err_set(err, FAB_ERR_INVALID,
                               "'%.80s' is neither a host name nor a numeric address",
                               wish->names[i]);
    }
    return FAB_OK;
}

static int add_name(gnutls_x509_crt_t certificate, const char *name)
{
    uint8_t address[sizeof(struct in6_addr)];
    const unsigned bytes = address_bytes(name, address);

    if (bytes > 0)
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, address,
                                                    bytes, GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name,
                                                (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int set_purpose(gnutls_x509_crt_t certificate, const struct certificate_wish *wish)
{
    int result = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);

    if (result >= 0)
        result = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (result >= 0)
        result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    if (wish->is_user || result < 0)
        return result;
    result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (result >= 0)
        result = add_name(certificate, wish->name);
    for (size_t i = 0; i < wish->name_count && result >= 0; i++)
        result = add_name(certificate, wish->names[i]);
    return result;
}

/* When it ends: within the CA's life. */
static enum fab_status find_end(gnutls_x509_crt_t ca, uint32_t days, time_t now, time_t *until_out,
                                struct fab_err *err)
{
    const time_t last = gnutls_x509_crt_get_expiration_time(ca);
    const time_t wanted = now + (time_t)(days ? days : CERTIFICATE_DAYS) * DAY_S;

    if (last <= now)
        return fab_err_set(err, FAB_ERR_RANGE, "the CA has expired: make a new one elsewhere");
    if (days && wanted > last)
        return fab_err_set(err, FAB_ERR_RANGE, "%u days: the CA ends before, in %lld days", days,
                           (long long)((last - now) / DAY_S));
    *until_out = wanted < last ? wanted : last;
    return FAB_OK;
}

enum fab_status certificate_make(const char *folder, const struct certificate_wish *wish,
                                 struct fab_err *err)
{
    const time_t now = time(NULL);
    time_t until = now;
    struct issue issue = {0};
    enum fab_status status = check_wish(wish, err);
    int result;

    if (status != FAB_OK)
        return status;
    status = load_ca(&issue, folder, err);
    if (status == FAB_OK)
        status = find_end(issue.ca, wish->days, now, &until, err);
    if (status == FAB_OK) {
        result = set_key(&issue);
        if (result >= 0)
            result = set_subject(&issue, wish->name, now - SKEW_S, until);
        if (result >= 0)
            result = set_issuer_key_id(&issue);
        if (result >= 0)
            result = set_purpose(issue.certificate, wish);
        if (result >= 0)
            result = sign(&issue);
        status = result < 0 ? failed(err, result, "making a certificate")
                            : put_files(folder, wish->name, &issue, err);
    }
    issue_fini(&issue);
    return status;
}
