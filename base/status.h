/* SPDX-License-Identifier: Apache-2.0
 * base/status.h - the one status type of every function that can fail.
 *
 * Numbers are stable on the wire. The range, not the single code, decides what a
 * caller does: the call was wrong (-1..-19), a resource is short (-20..-39), the
 * peer or link broke (-40..-59), the device or node broke (-60..-79).
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#include "base/compiler.h"

/* number, name, text. One list makes the enum, the names, the texts and docs/errors.md. */
#define FAB_STATUS_LIST(X)                                                                         \
    X(0, OK, "done")                                                                               \
    X(-1, ERR_INVALID, "the request is malformed")                                                 \
    X(-2, ERR_RANGE, "a value is outside its range")                                               \
    X(-3, ERR_NOT_FOUND, "no such object")                                                         \
    X(-4, ERR_EXISTS, "it exists already")                                                         \
    X(-5, ERR_STALE, "the handle names an object that is gone")                                    \
    X(-6, ERR_UNSUPPORTED, "not supported")                                                        \
    X(-7, ERR_DENIED, "permission denied")                                                         \
    X(-8, ERR_FORMAT, "the data are not in the expected format")                                   \
    X(-9, ERR_TRUNCATED, "the data end too early")                                                 \
    X(-10, ERR_STATE, "the object is in the wrong state for this")                                 \
    X(-20, ERR_NOMEM, "out of memory")                                                             \
    X(-21, ERR_BUSY, "held by somebody else")                                                      \
    X(-22, ERR_AGAIN, "no room at the moment, try again")                                          \
    X(-23, ERR_LIMIT, "a limit is reached")                                                        \
    X(-24, ERR_IO, "the operating system refused")                                                 \
    X(-25, ERR_TIMEOUT, "the time is over")                                                        \
    X(-26, ERR_CANCELLED, "cancelled")                                                             \
    X(-40, ERR_UNREACHABLE, "the peer cannot be reached")                                          \
    X(-41, ERR_PEER_LOST, "the peer is gone")                                                      \
    X(-42, ERR_LINK_LOST, "the link is gone")                                                      \
    X(-43, ERR_PROTOCOL, "the peer broke the protocol")                                            \
    X(-44, ERR_VERSION, "the peer speaks another version")                                         \
    X(-45, ERR_AUTH, "the peer could not prove who it is")                                         \
    X(-60, ERR_DEVICE, "the device failed")                                                        \
    X(-61, ERR_DEVICE_LOST, "the device is gone")                                                  \
    X(-62, ERR_NODE_LOST, "the node is gone")

enum fab_status {
#define FAB_STATUS_ENUM(number, name, text) FAB_##name = number,
    FAB_STATUS_LIST(FAB_STATUS_ENUM)
#undef FAB_STATUS_ENUM
};

/* The name as in the enum ("FAB_ERR_BUSY") or its one-line text; "FAB_?"/"unknown status" for a
 * number outside the list. Static strings, never NULL. */
const char *fab_status_name(enum fab_status status);
const char *fab_status_text(enum fab_status status);

/* What broke, by range. */
bool fab_status_is_resource(enum fab_status status); /* waiting or freeing may help */
bool fab_status_is_link(enum fab_status status);     /* reconnecting may help */
bool fab_status_is_device(enum fab_status status);   /* draining may help */

#endif /* BASE_STATUS_H */
