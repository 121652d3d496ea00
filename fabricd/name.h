/* SPDX-License-Identifier: Apache-2.0
 * fabricd/name.h - what may be the name of a node, a system or a user. It becomes a part of file
 * names, of URLs and of certificates.
 */
#ifndef FABRICD_NAME_H
#define FABRICD_NAME_H

#include "base/status.h"

struct fab_err;

enum { NAME_BYTES = 64 }; /* with the NUL */

/* FAB_ERR_INVALID: a `what` may not have that name. */
FAB_NODISCARD enum fab_status name_check(const char *what, const char *name, struct fab_err *err);

#endif /* FABRICD_NAME_H */
