/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/print.h - results as text: tables in the manner of the OSU tests, CSV.
 */
#ifndef PERF_FABRIC_PERF_PRINT_H
#define PERF_FABRIC_PERF_PRINT_H

#include <stdio.h>

#include "perf/fabric-perf/fp.h"

enum { FP_TITLE_BYTES = 160, FP_NUMBER_BYTES = 32 };

/* "Host to device, cudaMemcpyAsync, pinned memory, GPU 0": all but the size. */
const char *fp_title(const struct fp_key *key, char text[FP_TITLE_BYTES]);
/* The same without what most rows share: for a picture. */
const char *fp_short_title(const struct fp_key *key, char text[FP_TITLE_BYTES]);
/* 4 digits, or "-" for 0. */
const char *fp_number(double value, char text[FP_NUMBER_BYTES]);
/* "2.00x"; empty for 0. */
const char *fp_ratio(double ratio, char text[FP_NUMBER_BYTES]);
const char *fp_size_text(uint64_t size, char text[FP_NUMBER_BYTES]); /* "64 KiB" */

/* A line of the table, behind a head where the row is not like the one before (NULL: none). */
void fp_print_row(FILE *file, const struct fp_row *row, const struct fp_row *before);
/* The pairs of a matrix: one table a size, MB/s or us. Nothing where there are none. */
void fp_print_matrix(FILE *file, const struct fp_result *result);

void fp_print_csv(FILE *file, const struct fp_result *results, uint32_t count);

/* ---- several results ---------------------------------------------------------------------------
 */

/* The row of a result that measures the same; NULL: none. */
const struct fp_row *fp_find(const struct fp_result *result, const struct fp_key *key);
/* Side by side, and the ratio of each to the first. */
void fp_print_beside(FILE *file, const struct fp_result *results, uint32_t count);

#endif /* PERF_FABRIC_PERF_PRINT_H */
