/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/site.c - see site.h.
 */
#include "tests/unit/fabricd/site.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabricd/certificate.h"
#include "fabricd/link.h"
#include "tests/support/check.h"

enum { PATHS = 8, PATH_BYTES = 128, OPEN_FOLDERS = 4 };

static char folder[] = "/tmp/test-site-XXXXXX";

const char *site_path(const char *name)
{
    static char paths[PATHS][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % PATHS];

    (void)snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static void fill(const char *in)
{
    static const struct certificate_wish wishes[] = {
        {.name = "c4130-1"}, {.name = "r730-1"}, {.name = "anna", .is_user = true}};

    assert_int_equal(certificate_make_ca(in, "site", 0, NULL), FAB_OK);
    for (size_t i = 0; i < FAB_ARRAY_LEN(wishes); i++)
        assert_int_equal(certificate_make(in, &wishes[i], NULL), FAB_OK);
}

void site_init(void)
{
    assert_non_null(mkdtemp(folder));
    fill(folder);
    assert_int_equal(mkdir(site_path("other"), 0700), 0);
    fill(site_path("other"));
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

void site_fini(void)
{
    CHECK_EQ(nftw(folder, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS), 0);
}

struct link_tls *site_tls(const char *ca, const char *name)
{
    struct link_tls *tls = NULL;
    char pem[PATH_BYTES], key[PATH_BYTES];

    (void)snprintf(pem, sizeof(pem), "%s.pem", name);
    (void)snprintf(key, sizeof(key), "%s.key", name);
    assert_int_equal(link_tls_create(&(struct link_tls_files){site_path(ca), site_path(pem),
                                                              site_path(key), NULL},
                                     &tls, NULL),
                     FAB_OK);
    return tls;
}
