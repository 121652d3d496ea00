/* SPDX-License-Identifier: Apache-2.0
 * fabricd/link_tls.c - see link_int.h.
 */
#include "fabricd/link_int.h"

#include "base/err.h"

enum fab_status link_secure_open(struct link_tls *tls, int fd, bool is_listener, const char *peer,
                                 struct link_secure **secure_out, struct fab_err *err)
{
    (void)tls;
    (void)fd;
    (void)is_listener;
    (void)peer;
    (void)secure_out;
    return fab_err_set(err, FAB_ERR_UNSUPPORTED, "TLS");
}
void link_secure_close(struct link_secure *secure)
{
    (void)secure;
}
enum fab_status link_secure_handshake(struct link_secure *secure, bool *w, struct fab_err *err)
{
    (void)secure;
    (void)w;
    return fab_err_set(err, FAB_ERR_UNSUPPORTED, "TLS");
}
const char *link_secure_peer(const struct link_secure *secure)
{
    (void)secure;
    return "";
}
enum fab_status link_secure_read(struct link_secure *secure, void *bytes, size_t count,
                                 size_t *count_out, struct fab_err *err)
{
    (void)secure;
    (void)bytes;
    (void)count;
    (void)count_out;
    return fab_err_set(err, FAB_ERR_UNSUPPORTED, "TLS");
}
enum fab_status link_secure_write(struct link_secure *secure, const void *bytes, size_t count,
                                  size_t *count_out, struct fab_err *err)
{
    (void)secure;
    (void)bytes;
    (void)count;
    (void)count_out;
    return fab_err_set(err, FAB_ERR_UNSUPPORTED, "TLS");
}
bool link_secure_has_more(const struct link_secure *secure)
{
    (void)secure;
    return false;
}
