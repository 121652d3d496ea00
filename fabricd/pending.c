/* SPDX-License-Identifier: Apache-2.0
 * fabricd/pending.c - what links between nodes lack until link_tls.c has it: refused by name. Goes
 * with the first version that has it (TODO(#5)).
 */
#include "base/err.h"
#include "fabricd/link.h"

__attribute__((weak)) enum fab_status link_tls_create(const char *ca, const char *certificate,
                                                      const char *key, struct link_tls **tls_out,
                                                      struct fab_err *err)
{
    (void)certificate;
    (void)key;
    (void)tls_out;
    return fab_err_set(err, FAB_ERR_UNSUPPORTED, "%s: TLS is not in this version", ca);
}

__attribute__((weak)) void link_tls_destroy(struct link_tls *tls)
{
    (void)tls;
}

__attribute__((weak)) enum fab_status link_dial(struct loop *loop, struct link_tls *tls,
                                                const char *address, const char *peer,
                                                const struct link_ops *ops, void *user,
                                                struct link **link_out, struct fab_err *err)
{
    (void)loop;
    (void)tls;
    (void)peer;
    (void)ops;
    (void)user;
    (void)link_out;
    return fab_err_set(err, FAB_ERR_UNSUPPORTED, "%s: dialling is not in this version", address);
}
