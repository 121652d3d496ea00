/* SPDX-License-Identifier: Apache-2.0
 * tests/rack/rack_link.h - cuts the links of a rack (rack.sh) from inside a program on host 1.
 */
#ifndef TESTS_RACK_RACK_LINK_H
#define TESTS_RACK_RACK_LINK_H

#include <stdbool.h>

/* The port of a host's link on its switch: for both ends the wire is cut, no interface of theirs
 * changes but for the carrier on the host's own side. Forks. */
bool rack_set_link(unsigned rail, unsigned host, bool up);

/* Waits until this host has an answer from the other one. After a long cut that takes a second and
 * more: the kernel looks for neighbours once a second. */
bool rack_reach(unsigned rail, unsigned host);

#endif /* TESTS_RACK_RACK_LINK_H */
