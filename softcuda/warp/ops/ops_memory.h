/* SPDX-License-Identifier: Apache-2.0
 * softcuda/warp/ops/ops_memory.h - addresses of a warp, checked: what all memory handlers share.
 *
 * Resolving turns the address operand of an instruction into 32 host addresses, each checked for
 * alignment and range; after that an access is a plain load or store. The check comes first, so
 * a fault of the host's memory system during the access is always about legal memory.
 */
#ifndef SOFTCUDA_WARP_OPS_OPS_MEMORY_H
#define SOFTCUDA_WARP_OPS_OPS_MEMORY_H

#include "softcuda/warp/ops/ops_int.h"

/* Where an address operand points to. .const and entry .param memory are device ranges. */
enum ops_window { OPS_DEVICE, OPS_GENERIC, OPS_SHARED, OPS_LOCAL, OPS_WINDOWS };

/* False for a space that has no addresses here. */
bool ops_window_of(uint8_t space, enum ops_window *window_out);

/* The address operand `operand` plus in->imm, of all lanes. */
void ops_addresses(const struct warp *w, const struct warp_insn *in, u32 operand,
                   u64 at[WARP_LANES]);

struct ops_access {
    enum ops_window window;
    u32 bytes, align; /* of each lane's access */
    bool write;
};

/* Checks the addresses at[] of the lanes in `mask` and makes them host addresses; the other lanes'
 * are left in an unknown state. False after a fault: the handler returns WARP_STOP_FAULT. */
bool ops_check(struct warp *w, const struct warp_insn *in, u32 mask,
               const struct ops_access *access, u64 at[WARP_LANES]);

/* Both at once for the active lanes, with `bytes` as the alignment. */
bool ops_resolve(struct warp *w, const struct warp_insn *in, u32 operand, enum ops_window window,
                 u32 bytes, bool write, u64 at[WARP_LANES]);

/* What an element in memory becomes in a register: name, bytes there, bytes here, sign-extended. */
#define OPS_ELEMENT_LIST(X)                                                                        \
    X(U8_U16, 1, 2, false)                                                                         \
    X(U8_U32, 1, 4, false)                                                                         \
    X(U8_U64, 1, 8, false)                                                                         \
    X(S8_S16, 1, 2, true)                                                                          \
    X(S8_S32, 1, 4, true)                                                                          \
    X(S8_S64, 1, 8, true)                                                                          \
    X(U16_U16, 2, 2, false)                                                                        \
    X(U16_U32, 2, 4, false)                                                                        \
    X(U16_U64, 2, 8, false)                                                                        \
    X(S16_S32, 2, 4, true)                                                                         \
    X(S16_S64, 2, 8, true)                                                                         \
    X(U32_U32, 4, 4, false)                                                                        \
    X(U32_U64, 4, 8, false)                                                                        \
    X(S32_S64, 4, 8, true)                                                                         \
    X(U64_U64, 8, 8, false)                                                                        \
    X(B128, 16, 16, false)
enum ops_element {
#define OPS_ELEMENT_ENUM(name, memory, reg, is_signed) OPS_ELEMENT_##name,
    OPS_ELEMENT_LIST(OPS_ELEMENT_ENUM)
#undef OPS_ELEMENT_ENUM
};

/* A form of ld or st as a number below 256: window, element, log2 of the vector's length. */
enum { OPS_FORM_COUNT_SHIFT = 2, OPS_FORM_ELEMENT_SHIFT = 4, OPS_FORM_ORDERED = 1 << 8 };
static inline unsigned ops_form(enum ops_window window, enum ops_element element,
                                unsigned count_log2)
{
    return (unsigned)window | count_log2 << OPS_FORM_COUNT_SHIFT |
           (unsigned)element << OPS_FORM_ELEMENT_SHIFT;
}

/* The form of an operation in *form_out; register_bytes 0: the type's own. False: there is none. */
bool ops_form_of(const struct ptx_op *op, u32 register_bytes, bool is_store, unsigned *form_out);

/* The general handlers, for forms that a faster one could not serve. */
const struct warp_insn *ops_load(struct warp *w, const struct warp_insn *in, unsigned form);
const struct warp_insn *ops_store(struct warp *w, const struct warp_insn *in, unsigned form);

OPS_INLINE void *ops_host(u64 address)
{
    return (void *)(uintptr_t)address;
}

#endif /* SOFTCUDA_WARP_OPS_OPS_MEMORY_H */
