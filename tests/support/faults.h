/* SPDX-License-Identifier: Apache-2.0
 * tests/support/faults.h - a scenario must survive every single failure.
 *
 * Runs the scenario with the 1st, 2nd, ... n-th fault site failing until none is left.
 * Each run in which a site failed must return a status other than FAB_OK, the last
 * one FAB_OK. The scenario sets its objects up, checks that they are unchanged after
 * a failure and frees them; leaks are found by the address sanitizer preset.
 * Add faults.c and check.c to SOURCES.
 */
#ifndef TESTS_SUPPORT_FAULTS_H
#define TESTS_SUPPORT_FAULTS_H

#include "base/status.h"

/* Returns the number of sites that were made to fail; 0 is reported as a failed check. */
unsigned faults_run(const char *label, enum fab_status (*scenario)(void));

#endif /* TESTS_SUPPORT_FAULTS_H */
