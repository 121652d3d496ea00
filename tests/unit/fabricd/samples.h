/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fabricd/samples.h - a message of each kind, full of values.
 */
#ifndef TESTS_UNIT_FABRICD_SAMPLES_H
#define TESTS_UNIT_FABRICD_SAMPLES_H

#include "fabricd/message.h"

/* What it points to is static; never clear it. */
void sample_message(enum message_kind kind, struct message *message_out);
void samples_fini(void);

#endif /* TESTS_UNIT_FABRICD_SAMPLES_H */
