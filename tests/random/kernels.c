/* SPDX-License-Identifier: Apache-2.0
 * tests/random/kernels.c - the kernels of random programs: each changes all words of a buffer.
 */
#include "tests/random/world.h"

#define HEAD                                                                                       \
    ".version 6.3\n"                                                                               \
    ".target sm_75\n"                                                                              \
    ".address_size 64\n"
/* %r1 = global index, leaves when it is not below the parameter `count`; %rd2 = &at[%r1]. */
#define INDEX                                                                                      \
    "  .reg .b64 %rd<6>; .reg .b32 %r<8>; .reg .pred %p<2>;\n"                                     \
    "  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;\n"                        \
    "  mad.lo.u32 %r1, %r2, %r3, %r4; ld.param.u32 %r5, [count];\n"                                \
    "  setp.ge.u32 %p1, %r1, %r5; @%p1 bra end;\n"                                                 \
    "  mul.wide.u32 %rd1, %r1, 4; ld.param.u64 %rd2, [at]; add.u64 %rd2, %rd2, %rd1;\n"

const char random_ptx[] = HEAD
    ".visible .global .align 4 .u32 state[64];\n"
    ".visible .const .align 4 .u32 factor = 3;\n"
    ".visible .global .align 8 .u64 other = state;\n"

    ".visible .entry fill(.param .u64 at, .param .u32 count, .param .u32 value) {\n" INDEX
    "  ld.param.u32 %r6, [value]; add.u32 %r6, %r6, %r1; st.global.u32 [%rd2], %r6;\n"
    "end: ret; }\n"

    ".visible .entry add(.param .u64 at, .param .u64 from, .param .u32 count) {\n" INDEX
    "  ld.param.u64 %rd3, [from]; add.u64 %rd3, %rd3, %rd1;\n"
    "  ld.global.u32 %r6, [%rd3]; ld.global.u32 %r7, [%rd2];\n"
    "  mad.lo.u32 %r7, %r6, 3, %r7; add.u32 %r7, %r7, 1; st.global.u32 [%rd2], %r7;\n"
    "end: ret; }\n"

    /* A parameter of mixed sizes: {u8, u16, u32, u64}. */
    ".visible .entry mix(.param .align 8 .b8 pack[16], .param .u64 at, .param .u32 count) {\n" INDEX
    "  .reg .b16 %h<3>;\n"
    "  ld.param.u8 %h1, [pack]; ld.param.u16 %h2, [pack+2]; ld.param.u32 %r6, [pack+4];\n"
    "  ld.param.u64 %rd4, [pack+8]; cvt.u32.u64 %r7, %rd4; xor.b32 %r6, %r6, %r7;\n"
    "  cvt.u32.u16 %r7, %h1; add.u32 %r6, %r6, %r7; cvt.u32.u16 %r7, %h2; add.u32 %r6, %r6, %r7;\n"
    "  ld.global.u32 %r7, [%rd2]; mad.lo.u32 %r7, %r7, %r6, %r1; st.global.u32 [%rd2], %r7;\n"
    "end: ret; }\n"

    /* The module's own state: reads and changes it. */
    ".visible .entry stir(.param .u64 at, .param .u32 count) {\n" INDEX
    "  and.b32 %r6, %r1, 63; mul.wide.u32 %rd3, %r6, 4; mov.u64 %rd4, state;\n"
    "  add.u64 %rd3, %rd3, %rd4; ld.global.u32 %r7, [%rd3]; ld.const.u32 %r6, [factor];\n"
    "  ld.global.u32 %r4, [%rd2]; mad.lo.u32 %r4, %r7, %r6, %r4; st.global.u32 [%rd2], %r4;\n"
    "  setp.ge.u32 %p1, %r1, 64; @%p1 bra end;\n"
    "  add.u32 %r7, %r7, %r1; st.global.u32 [%rd3], %r7;\n"
    "end: ret; }\n"

    ".visible .entry shared(.param .u64 at, .param .u32 count) {\n"
    "  .shared .align 4 .b8 tile[1024];\n" INDEX
    "  mul.wide.u32 %rd3, %r4, 4; mov.u64 %rd4, tile; add.u64 %rd3, %rd3, %rd4;\n"
    "  ld.global.u32 %r6, [%rd2]; st.shared.u32 [%rd3], %r6; ld.shared.u32 %r7, [%rd3];\n"
    "  add.u32 %r7, %r7, %r3; st.global.u32 [%rd2], %r7;\n"
    "end: ret; }\n"

    ".visible .entry empty() { ret; }\n";

const char random_ptx_small[] =
    HEAD ".visible .global .align 4 .u32 lonely = 7;\n"
         ".visible .entry one(.param .u64 at) {\n"
         "  .reg .b64 %rd<2>; .reg .b32 %r<2>;\n"
         "  ld.param.u64 %rd1, [at]; mov.u32 %r1, 1; st.global.u32 [%rd1], %r1; ret; }\n";
