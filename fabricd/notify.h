/* SPDX-License-Identifier: Apache-2.0
 * fabricd/notify.h - telling systemd how the service is: sd_notify(3)'s protocol, one datagram.
 */
#ifndef FABRICD_NOTIFY_H
#define FABRICD_NOTIFY_H

/* "READY=1", "STOPPING=1" ... to the socket that NOTIFY_SOCKET names. Nothing happens without one,
 * and a service manager that does not listen is not our problem. */
void notify_send(const char *state);

#endif /* FABRICD_NOTIFY_H */
