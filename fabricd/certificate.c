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

/* *certificate_out is the caller's to free, also after a failure. */
static enum fab_status load_certificate(const char *path, gnutls_x509_crt_t *certificate_out,
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
    result = gnutls_x509_crt_init(certificate_out);
    if (result >= 0)
        result = gnutls_x509_crt_import(*certificate_out, &pem, GNUTLS_X509_FMT_PEM);
    free(text);
    return result < 0 ? failed(err, result, path) : FAB_OK;
}

static enum fab_status load_ca_certificate(struct issue *issue, const char *path,
                                           struct fab_err *err)
{
    enum fab_status status = load_certificate(path, &issue->ca, err);

    if (status == FAB_OK && gnutls_x509_crt_get_ca_status(issue->ca, NULL) <= 0)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is no CA's certificate", path);
    return status;
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
    if (strcmp(wish->name, "ca") == 0 || strcmp(wish->name, "revoked") == 0)
        return fab_err_set(err, FAB_ERR_INVALID, "no %s may be named %s: %s.pem is the CA's", what,
                           wish->name, wish->name);
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

/* ---- what is not accepted any more ------------------------------------------------------------
 */

struct revocation {
    struct issue issue; /* the CA's two */
    gnutls_x509_crt_t certificate;
    gnutls_x509_crl_t list;
    gnutls_datum_t pem;
};

static void revocation_fini(struct revocation *revocation)
{
    issue_fini(&revocation->issue);
    if (revocation->certificate)
        gnutls_x509_crt_deinit(revocation->certificate);
    if (revocation->list)
        gnutls_x509_crl_deinit(revocation->list);
    gnutls_free(revocation->pem.data);
}

static enum fab_status load_revoked(struct revocation *revocation, const char *path,
                                    struct fab_err *err)
{
    enum fab_status status = load_certificate(path, &revocation->certificate, err);

    if (status == FAB_OK &&
        gnutls_x509_crt_check_issuer(revocation->certificate, revocation->issue.ca) != 1)
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not of ca.pem beside it", path);
    return status;
}

/* Another CA may have the same name. */
static bool is_signed(gnutls_x509_crl_t list, gnutls_x509_crt_t ca)
{
    unsigned problems = 0;

    return gnutls_x509_crl_verify(list, &ca, 1, 0, &problems) >= 0 && problems == 0;
}

static enum fab_status check_signed(const char *path, const struct certificate_lists *lists,
                                    const gnutls_x509_crt_t *authorities, unsigned count,
                                    struct fab_err *err)
{
    for (unsigned i = 0; i < lists->count; i++) {
        unsigned k = 0;

        while (k < count && !is_signed(lists->items[i], authorities[k]))
            k++;
        if (k == count)
            return fab_err_set(err, FAB_ERR_FORMAT, "%s: list %u in it is not of this CA", path,
                               i + 1);
    }
    return FAB_OK;
}

enum fab_status certificate_read_lists(const char *path, const char *ca, const char *text,
                                       struct certificate_lists *lists_out, struct fab_err *err)
{
    const gnutls_datum_t ca_pem = {(unsigned char *)(uintptr_t)ca, (unsigned)strlen(ca)};
    const gnutls_datum_t pem = {(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
    struct certificate_lists lists = {0};
    gnutls_x509_crt_t *authorities = NULL;
    unsigned count = 0;
    enum fab_status status;
    int result =
        gnutls_x509_crt_list_import2(&authorities, &count, &ca_pem, GNUTLS_X509_FMT_PEM, 0);

    if (result >= 0)
        result =
            gnutls_x509_crl_list_import2(&lists.items, &lists.count, &pem, GNUTLS_X509_FMT_PEM, 0);
    status = result < 0 ? failed(err, result, path)
                        : check_signed(path, &lists, authorities, count, err);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(authorities[i]);
    gnutls_free(authorities);
    if (status == FAB_OK)
        *lists_out = lists;
    else
        certificate_free_lists(&lists);
    return status;
}

void certificate_free_lists(struct certificate_lists *lists)
{
    for (unsigned i = 0; i < lists->count; i++)
        gnutls_x509_crl_deinit(lists->items[i]);
    gnutls_free(lists->items);
    *lists = (struct certificate_lists){0};
}

/* The list that is there, or an empty one. */
static enum fab_status load_list(struct revocation *revocation, const char *path,
                                 struct fab_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    enum fab_status status = fab_file_read(path, FILE_BYTES, &text, &bytes, err);
    gnutls_datum_t pem;
    int result = gnutls_x509_crl_init(&revocation->list);

    if (status == FAB_OK && result >= 0) {
        pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)bytes};
        result = gnutls_x509_crl_import(revocation->list, &pem, GNUTLS_X509_FMT_PEM);
    }
    free(text);
    if (status != FAB_OK && status != FAB_ERR_NOT_FOUND)
        return status;
    if (result < 0)
        return failed(err, result, path);
    if (status == FAB_OK && !is_signed(revocation->list, revocation->issue.ca))
        return fab_err_set(err, FAB_ERR_FORMAT, "%s is not of ca.pem beside it", path);
    if (status == FAB_OK &&
        gnutls_x509_crt_check_revocation(revocation->certificate, &revocation->list, 1) == 1)
        return fab_err_set(err, FAB_ERR_EXISTS, "it stands in %s already", path);
    return FAB_OK;
}

/* Version 2 with a number that grows (RFC 5280 5.2.3), which is the time. */
static int sign_list(struct revocation *revocation, time_t now)
{
    const struct issue *issue = &revocation->issue;
    gnutls_x509_crl_t list = revocation->list;
    uint8_t number[sizeof(uint64_t)], id[KEY_ID_BYTES];
    size_t id_bytes = sizeof(id);
    int result = gnutls_x509_crl_set_crt(list, revocation->certificate, now);

    for (size_t i = 0; i < sizeof(number); i++)
        number[i] = (uint8_t)((uint64_t)now >> (8 * (sizeof(number) - 1 - i)));
    if (result >= 0)
        result = gnutls_x509_crl_set_version(list, 2);
    if (result >= 0)
        result = gnutls_x509_crl_set_this_update(list, now - SKEW_S);
    if (result >= 0)
        result =
            gnutls_x509_crl_set_next_update(list, gnutls_x509_crt_get_expiration_time(issue->ca));
    if (result >= 0)
        result = gnutls_x509_crl_set_number(list, number, sizeof(number));
    if (result >= 0)
        result = gnutls_x509_crt_get_key_id(issue->ca, 0, id, &id_bytes);
    if (result >= 0)
        result = gnutls_x509_crl_set_authority_key_id(list, id, id_bytes);
    if (result >= 0)
        result = gnutls_x509_crl_sign2(list, issue->ca, issue->ca_key, GNUTLS_DIG_SHA256, 0);
    if (result >= 0)
        result = gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_PEM, &revocation->pem);
    return result;
}

/* Beside it first: daemons may read it at any time. */
static enum fab_status replace_file(const char *path, gnutls_datum_t data, struct fab_err *err)
{
    char fresh[PATH_BYTES + sizeof(".new")];
    enum fab_status status;

    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    (void)unlink(fresh); /* of one that did not end */
    status = put_file(fresh, 0644, data, err);
    if (status == FAB_OK && rename(fresh, path) != 0) {
        status = fab_err_errno(err, errno, "%s", path);
        (void)unlink(fresh);
    }
    return status;
}

enum fab_status certificate_revoke(const char *folder, const char *name, struct fab_err *err)
{
    char path[PATH_BYTES], list_path[PATH_BYTES];
    struct revocation revocation = {.certificate = NULL};
    enum fab_status status = name_check("certificate", name, err);
    int result;

    if (status == FAB_OK && strcmp(name, "ca") == 0)
        status = fab_err_set(err, FAB_ERR_INVALID,
                             "a CA cannot revoke itself: give all nodes another ca.pem");
    if (status == FAB_OK)
        status = path_of(folder, name, ".pem", path, err);
    if (status == FAB_OK)
        status = path_of(folder, "revoked", ".pem", list_path, err);
    if (status == FAB_OK)
        status = load_ca(&revocation.issue, folder, err);
    if (status == FAB_OK)
        status = load_revoked(&revocation, path, err);
    if (status == FAB_OK)
        status = load_list(&revocation, list_path, err);
    if (status == FAB_OK) {
        result = sign_list(&revocation, time(NULL));
        status = result < 0 ? failed(err, result, "making the list")
                            : replace_file(list_path, revocation.pem, err);
    }
    revocation_fini(&revocation);
    return status;
}
