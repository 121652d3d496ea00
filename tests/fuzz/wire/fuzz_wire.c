/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/wire/fuzz_wire.c - the decoders of all messages between client and worker.
 *
 * An input is a row of {op, 16 bits; bit 15: its reply}{length, 16 bits}{bytes}; what a decoder
 * took must lie inside the bytes, which a sanitizer sees.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "generated/cuda-api/wire.h"

enum { REPLY = 0x8000, HEADER = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void decode(uint16_t op, const uint8_t *bytes, size_t size_bytes)
{
    const struct wire_row *row = wire_row_find(op & ~REPLY & 0xffff);
    uint8_t *copy;

    if (!row || ((op & REPLY) && !row->check_reply))
        return;
    copy = malloc(size_bytes ? size_bytes : 1); /* aligned, and no byte longer */
    if (!copy)
        return;
    if (size_bytes > 0)
        memcpy(copy, bytes, size_bytes);
    (void)(op & REPLY ? row->check_reply : row->check)(copy, size_bytes);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    while (size_bytes >= HEADER) {
        const uint16_t op = (uint16_t)(data[0] | data[1] << 8);
        size_t length = (size_t)(data[2] | data[3] << 8);

        data += HEADER;
        size_bytes -= HEADER;
        if (length > size_bytes)
            length = size_bytes;
        decode(op, data, length);
        data += length;
        size_bytes -= length;
    }
    return 0;
}
