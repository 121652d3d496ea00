/* SPDX-License-Identifier: Apache-2.0
 * Certificates: what is in them, who may read keys, what is refused, and that nothing is replaced.
 */
#include "fabricd/certificate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "tests/support/check.h"
#include "tests/unit/fabricd/site.h"

enum { DAY_S = 86400, HOUR_S = 3600 };

static gnutls_x509_crt_t load(const char *name)
{
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem;
    char *text = NULL;
    size_t bytes = 0;

    assert_int_equal(fab_file_read(site_path(name), 1 << 16, &text, &bytes, NULL), FAB_OK);
    pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)bytes};
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM), 0);
    free(text);
    return certificate;
}

static unsigned mode_of(const char *name)
{
    struct stat info = {0};

    CHECK_EQ(stat(site_path(name), &info), 0);
    return info.st_mode & 07777u;
}

static bool has_purpose(gnutls_x509_crt_t certificate, const char *wanted)
{
    for (unsigned i = 0;; i++) {
        char purpose[64];
        size_t bytes = sizeof(purpose);
        unsigned critical;

        if (gnutls_x509_crt_get_key_purpose_oid(certificate, i, purpose, &bytes, &critical) < 0)
            return false;
        if (!strcmp(purpose, wanted))
            return true;
    }
}

static bool is_signed_by(gnutls_x509_crt_t certificate, gnutls_x509_crt_t ca)
{
    unsigned problems = ~0u;

    return gnutls_x509_crt_verify(certificate, &ca, 1, 0, &problems) == 0 && problems == 0;
}

static void check_life(gnutls_x509_crt_t certificate, unsigned days)
{
    const time_t now = time(NULL), until = gnutls_x509_crt_get_expiration_time(certificate);

    CHECK(gnutls_x509_crt_get_activation_time(certificate) <= now - HOUR_S);
    CHECK(until <= now + (time_t)days * DAY_S);
    CHECK(until > now + (time_t)(days - 1) * DAY_S);
}

static void test_ca(void)
{
    gnutls_x509_crt_t ca = load("ca.pem");
    unsigned usage = 0, critical = 0, is_ca = 0;
    int depth = -1;

    CHECK_CASE("the CA");
    CHECK_EQ(gnutls_x509_crt_get_basic_constraints(ca, &critical, &is_ca, &depth), 1);
    CHECK_EQ(depth, 0);
    CHECK_EQ(gnutls_x509_crt_get_key_usage(ca, &usage, &critical), 0);
    CHECK_EQ(usage, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    CHECK(is_signed_by(ca, ca));
    check_life(ca, CERTIFICATE_CA_DAYS);
    CHECK_EQ(mode_of("ca.key"), 0600);
    gnutls_x509_crt_deinit(ca);
}

static void test_node(void)
{
    static const char *const names[] = {"gpu1.example.org", "10.0.0.1", "fd00::1"};
    const struct certificate_wish wish = {
        .name = "c4130-2", .names = names, .name_count = 3, .days = 30};
    gnutls_x509_crt_t ca = load("ca.pem"), other = load("other/ca.pem"), node;
    char name[64];
    size_t bytes = sizeof(name);
    unsigned bits = 0, is_ca = 1, critical;

    CHECK_CASE("a node");
    CHECK_EQ(certificate_make(site_path(""), &wish, NULL), FAB_OK);
    node = load("c4130-2.pem");
    CHECK_EQ(gnutls_x509_crt_get_dn_by_oid(node, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &bytes),
             0);
    CHECK_STR(name, "c4130-2");
    CHECK(gnutls_x509_crt_check_hostname(node, "c4130-2"));
    CHECK(gnutls_x509_crt_check_hostname(node, "gpu1.example.org"));
    CHECK(gnutls_x509_crt_check_hostname(node, "10.0.0.1"));
    CHECK(gnutls_x509_crt_check_hostname(node, "fd00::1"));
    CHECK(!gnutls_x509_crt_check_hostname(node, "c4130-1"));
    CHECK(has_purpose(node, GNUTLS_KP_TLS_WWW_SERVER));
    CHECK(has_purpose(node, GNUTLS_KP_TLS_WWW_CLIENT));
    CHECK_EQ(gnutls_x509_crt_get_basic_constraints(node, &critical, &is_ca, NULL), 0);
    CHECK_EQ(gnutls_x509_crt_get_pk_algorithm(node, &bits), GNUTLS_PK_ECDSA);
    CHECK_EQ(bits, 256);
    CHECK(is_signed_by(node, ca));
    CHECK(!is_signed_by(node, other));
    check_life(node, 30);
    CHECK_EQ(mode_of("c4130-2.key"), 0600);
    gnutls_x509_crt_deinit(node);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(other);
}

static void test_user(void)
{
    gnutls_x509_crt_t user = load("anna.pem");

    CHECK_CASE("a user");
    CHECK(has_purpose(user, GNUTLS_KP_TLS_WWW_CLIENT));
    CHECK(!has_purpose(user, GNUTLS_KP_TLS_WWW_SERVER));
    check_life(user, CERTIFICATE_DAYS);
    gnutls_x509_crt_deinit(user);
}

static void test_refused(void)
{
    static const char *const good[] = {"a", "b"};
    static const char *const star[] = {"*.example.org"};
    static const char *const space[] = {"a b"};
    static const struct {
        const char *label;
        struct certificate_wish wish;
        enum fab_status status;
        const char *part;
    } rows[] = {
        {"an empty name", {.name = ""}, FAB_ERR_INVALID, "no name for a node"},
        {"a path", {.name = "../x"}, FAB_ERR_INVALID, "no name for a node"},
        {"a path of a user", {.name = "a/b", .is_user = true}, FAB_ERR_INVALID, "for a user"},
        {"a hidden file", {.name = ".x"}, FAB_ERR_INVALID, "no name"},
        {"63 letters and one",
         {.name = "a123456789a123456789a123456789a123456789a123456789a123456789abcd"},
         FAB_ERR_INVALID,
         "no name"},
        {"the CA's files", {.name = "ca"}, FAB_ERR_INVALID, "named ca"},
        {"a name that is there", {.name = "r730-1"}, FAB_ERR_EXISTS, "r730-1.key is there"},
        {"names of a user",
         {.name = "x", .is_user = true, .names = good, .name_count = 2},
         FAB_ERR_RANGE,
         "other names"},
        {"too many names", {.name = "x", .names = good, .name_count = 33}, FAB_ERR_RANGE, "33"},
        {"a wildcard", {.name = "x", .names = star, .name_count = 1}, FAB_ERR_INVALID, "'*.ex"},
        {"a space", {.name = "x", .names = space, .name_count = 1}, FAB_ERR_INVALID, "'a b'"},
        {"longer than its CA", {.name = "x", .days = 3651}, FAB_ERR_RANGE, "the CA ends before"},
        {"centuries", {.name = "x", .days = 40000}, FAB_ERR_RANGE, "40000 days"},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct fab_err err = {0};

        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(certificate_make(site_path(""), &rows[i].wish, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].part);
        CHECK(access(site_path("x.pem"), F_OK) != 0);
        CHECK(access(site_path("x.key"), F_OK) != 0);
    }
}

static char *read_file(const char *name)
{
    char *text = NULL;

    CHECK_EQ(fab_file_read(site_path(name), 1 << 16, &text, NULL, NULL), FAB_OK);
    return text;
}

static void write_file(const char *name, const char *text)
{
    const int fd = open(site_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static void test_kept(void)
{
    const struct certificate_wish wish = {.name = "half"};
    char *before = read_file("ca.key"), *after;
    struct fab_err err = {0};

    CHECK_CASE("a second CA");
    CHECK_EQ(certificate_make_ca(site_path(""), "again", 0, &err), FAB_ERR_EXISTS);
    CHECK_HAS(err.text, "ca.key is there already");
    after = read_file("ca.key");
    CHECK_STR(after, before);
    free(before);
    free(after);

    CHECK_CASE("a certificate without its key is there");
    write_file("half.pem", "mine");
    CHECK_EQ(certificate_make(site_path(""), &wish, &err), FAB_ERR_EXISTS);
    after = read_file("half.pem");
    CHECK_STR(after, "mine");
    free(after);
    CHECK(access(site_path("half.key"), F_OK) != 0);
}

static void test_bad_ca(void)
{
    const struct certificate_wish wish = {.name = "x"};
    struct fab_err err = {0};
    char *ca_key = read_file("ca.key"), *ca = read_file("ca.pem");
    char *other_key = read_file("other/ca.key"), *node = read_file("r730-1.pem");

    CHECK_CASE("no CA");
    CHECK_EQ(mkdir(site_path("empty"), 0700), 0);
    CHECK_EQ(certificate_make(site_path("empty"), &wish, &err), FAB_ERR_NOT_FOUND);
    CHECK_HAS(err.text, "empty/ca.pem");
    CHECK_CASE("no folder");
    CHECK_EQ(certificate_make_ca(site_path("none"), "site", 0, &err), FAB_ERR_NOT_FOUND);
    CHECK_CASE("no name");
    CHECK_EQ(certificate_make_ca(site_path("empty"), "-", 0, &err), FAB_ERR_INVALID);
    CHECK_CASE("too long a life");
    CHECK_EQ(certificate_make_ca(site_path("empty"), "site", 36501, &err), FAB_ERR_RANGE);
    CHECK_CASE("a key of another CA");
    write_file("empty/ca.pem", ca);
    write_file("empty/ca.key", other_key);
    CHECK_EQ(certificate_make(site_path("empty"), &wish, &err), FAB_ERR_FORMAT);
    CHECK_HAS(err.text, "is not the key of ca.pem");
    CHECK_CASE("a key that others may read");
    CHECK_EQ(chmod(site_path("empty/ca.key"), 0640), 0);
    CHECK_EQ(certificate_make(site_path("empty"), &wish, &err), FAB_ERR_DENIED);
    CHECK_HAS(err.text, "mode 0640");
    CHECK_EQ(chmod(site_path("empty/ca.key"), 0600), 0);
    CHECK_CASE("a key that is none");
    write_file("empty/ca.key", "hello");
    CHECK_EQ(certificate_make(site_path("empty"), &wish, &err), FAB_ERR_FORMAT);
    CHECK_CASE("a certificate that is no CA's");
    write_file("empty/ca.key", ca_key);
    write_file("empty/ca.pem", node);
    CHECK_EQ(certificate_make(site_path("empty"), &wish, &err), FAB_ERR_FORMAT);
    CHECK_HAS(err.text, "is no CA's");
    CHECK_CASE("a certificate that is none");
    write_file("empty/ca.pem", "hello");
    CHECK_EQ(certificate_make(site_path("empty"), &wish, &err), FAB_ERR_FORMAT);
    CHECK(access(site_path("empty/x.pem"), F_OK) != 0);
    free(ca_key);
    free(ca);
    free(other_key);
    free(node);
}

static void test_short_ca(void)
{
    const struct certificate_wish wish = {.name = "x"};
    gnutls_x509_crt_t ca, node;

    CHECK_CASE("a CA that ends soon ends its certificates");
    CHECK_EQ(mkdir(site_path("short"), 0700), 0);
    CHECK_EQ(certificate_make_ca(site_path("short"), "short", 2, NULL), FAB_OK);
    CHECK_EQ(certificate_make(site_path("short"), &wish, NULL), FAB_OK);
    ca = load("short/ca.pem");
    node = load("short/x.pem");
    CHECK_EQ(gnutls_x509_crt_get_expiration_time(node), gnutls_x509_crt_get_expiration_time(ca));
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(node);
}

static bool is_revoked(const char *name)
{
    char *text = read_file("revoked.pem");
    gnutls_datum_t pem = {(unsigned char *)text, (unsigned)strlen(text)};
    gnutls_x509_crt_t certificate = load(name);
    gnutls_x509_crl_t list;
    bool is_in;

    assert_int_equal(gnutls_x509_crl_init(&list), 0);
    assert_int_equal(gnutls_x509_crl_import(list, &pem, GNUTLS_X509_FMT_PEM), 0);
    is_in = gnutls_x509_crt_check_revocation(certificate, &list, 1) == 1;
    gnutls_x509_crl_deinit(list);
    gnutls_x509_crt_deinit(certificate);
    free(text);
    return is_in;
}

static void test_revoke(void)
{
    static const struct {
        const char *label, *name;
        enum fab_status status;
        const char *part;
    } rows[] = {
        {"a node", "r730-1", FAB_OK, ""},
        {"the same again", "r730-1", FAB_ERR_EXISTS, "revoked.pem already"},
        {"a user", "anna", FAB_OK, ""},
        {"nobody", "nobody", FAB_ERR_NOT_FOUND, "nobody.pem"},
        {"the CA", "ca", FAB_ERR_INVALID, "cannot revoke itself"},
        {"no name", "../x", FAB_ERR_INVALID, ""},
        {"another CA's", "strange", FAB_ERR_FORMAT, "is not of ca.pem"},
    };
    char *strange = read_file("other/anna.pem"), *other_list, *list;
    struct fab_err err = {0};

    write_file("strange.pem", strange);
    free(strange);
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        err = (struct fab_err){0};
        CHECK_CASE("%s", rows[i].label);
        CHECK_EQ(certificate_revoke(site_path(""), rows[i].name, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].part);
    }
    CHECK_CASE("the list");
    CHECK(is_revoked("r730-1.pem"));
    CHECK(is_revoked("anna.pem"));
    CHECK(!is_revoked("c4130-1.pem"));
    CHECK(access(site_path("revoked.pem.new"), F_OK) != 0);
    CHECK_CASE("a list of another CA is kept");
    CHECK_EQ(certificate_revoke(site_path("other"), "anna", &err), FAB_OK);
    other_list = read_file("other/revoked.pem");
    write_file("revoked.pem", other_list);
    CHECK_EQ(certificate_revoke(site_path(""), "c4130-1", &err), FAB_ERR_FORMAT);
    list = read_file("revoked.pem");
    CHECK_STR(list, other_list);
    free(list);
    free(other_list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_ca),       CHECK_TEST(test_node),
                                       CHECK_TEST(test_user),     CHECK_TEST(test_refused),
                                       CHECK_TEST(test_kept),     CHECK_TEST(test_bad_ca),
                                       CHECK_TEST(test_short_ca), CHECK_TEST(test_revoke)};
    int status;

    site_init();
    status = check_run(tests);
    site_fini();
    return status;
}
