/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/rows.c - rows in host memory, and the same bytes packed.
 */
#include <string.h>

#include "cuda-client/transfer_int.h"

bool cudac_rows_are_dense(const struct cudac_rows *rows)
{
    return (rows->height == 1 || rows->pitch == rows->width) &&
           (rows->depth == 1 || rows->layer == rows->width * rows->height);
}

uint64_t cudac_rows_bytes(const struct cudac_rows *rows)
{
    return rows->width * rows->height * rows->depth;
}

static uint8_t *row_at(const struct cudac_rows *rows, uint64_t row)
{
    const uint64_t address =
        rows->address + row / rows->height * rows->layer + row % rows->height * rows->pitch;

    return (uint8_t *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)
}

/* The next part of the packed bytes that lies in one row. */
static uint8_t *part_at(const struct cudac_rows *rows, uint64_t offset, uint64_t left,
                        size_t *bytes_out)
{
    const uint64_t x = offset % rows->width, in_row = rows->width - x;

    *bytes_out = (size_t)(left < in_row ? left : in_row);
    return row_at(rows, offset / rows->width) + x;
}

void cudac_rows_gather(const struct cudac_rows *rows, uint64_t offset, uint64_t bytes,
                       uint8_t *packed)
{
    for (uint64_t done = 0; done < bytes;) {
        size_t part_bytes;
        const uint8_t *part = part_at(rows, offset + done, bytes - done, &part_bytes);

        memcpy(packed + done, part, part_bytes);
        done += part_bytes;
    }
}

void cudac_rows_scatter(const struct cudac_rows *rows, uint64_t offset, uint64_t bytes,
                        const uint8_t *packed)
{
    for (uint64_t done = 0; done < bytes;) {
        size_t part_bytes;
        uint8_t *part = part_at(rows, offset + done, bytes - done, &part_bytes);

        memcpy(part, packed + done, part_bytes);
        done += part_bytes;
    }
}
