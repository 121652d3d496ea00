/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/site.h - a folder with a CA and certificates, and another site's beside it.
 */
#ifndef TESTS_UNIT_FABRICD_SITE_H
#define TESTS_UNIT_FABRICD_SITE_H

struct link_tls;

/* A folder of its own under /tmp with a CA, nodes c4130-1 and r730-1 and the user anna; "other"
 * below it has the same of another CA of the same name. */
void site_init(void);
void site_fini(void); /* removes all that is in it */

/* "FOLDER/NAME"; eight of them hold at a time. */
const char *site_path(const char *name);
/* The files as link_tls_create() wants them: "ca.pem" or "other/ca.pem", "c4130-1" ... */
struct link_tls *site_tls(const char *ca, const char *name);

#endif /* TESTS_UNIT_FABRICD_SITE_H */
