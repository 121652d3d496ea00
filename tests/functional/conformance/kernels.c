/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/kernels.c - the PTX that the conformance rows load and launch.
 */
#include "tests/functional/conformance/kernels.h"

#define HEAD                                                                                       \
    ".version 6.3\n"                                                                               \
    ".target sm_75\n"                                                                              \
    ".address_size 64\n"

const char kernels_ptx[] = HEAD
    ".visible .global .align 4 .u32 counter = 41;\n"
    ".visible .const .align 4 .u32 table[4] = {10, 20, 30, 40};\n"
    ".visible .global .align 8 .u64 pointer = counter;\n"
    ".extern .shared .align 4 .b8 words[];\n"

    ".extern .func (.param .b32 count) vprintf(.param .b64 format, .param .b64 values);\n"
    ".global .align 1 .b8 format[10] = {114, 111, 117, 110, 100, 32, 37, 117, 10, 0};\n"

    ".visible .entry empty() { ret; }\n"

    ".visible .entry store(.param .u64 to, .param .u32 value) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<2>;\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1;\n"
    "  ld.param.u32 %r1, [value]; st.global.u32 [%rd2], %r1; ret; }\n"

    ".visible .entry count(.param .u64 to) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<2>;\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1;\n"
    "  atom.global.add.u32 %r1, [%rd2], 1; ret; }\n"

    ".visible .entry wait_flag(.param .u64 at) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<2>; .reg .pred %p<2>;\n"
    "  ld.param.u64 %rd1, [at]; cvta.to.global.u64 %rd2, %rd1;\n"
    "again: ld.volatile.global.u32 %r1, [%rd2]; setp.eq.u32 %p1, %r1, 0;\n"
    "  @%p1 bra again; ret; }\n"

    ".visible .entry fault() {\n"
    "  .reg .b64 %rd<2>; .reg .b32 %r<2>;\n"
    "  mov.u64 %rd1, 64; mov.u32 %r1, 1; st.global.u32 [%rd1], %r1; ret; }\n"

    ".visible .entry misaligned(.param .u64 at) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<2>;\n"
    "  ld.param.u64 %rd1, [at]; cvta.to.global.u64 %rd2, %rd1; mov.u32 %r1, 1;\n"
    "  st.global.u32 [%rd2+1], %r1; ret; }\n"

    ".visible .entry stop() { trap; ret; }\n"

    ".visible .entry sum(.param .align 4 .b8 in[1000], .param .u64 to) {\n"
    "  .reg .b64 %rd<5>; .reg .b32 %r<5>; .reg .pred %p<2>;\n"
    "  mov.u32 %r1, 0; mov.u32 %r2, 0; mov.b64 %rd3, in;\n"
    "more: cvt.u64.u32 %rd1, %r2; add.s64 %rd2, %rd3, %rd1; ld.param.u32 %r3, [%rd2];\n"
    "  add.u32 %r1, %r1, %r3; add.u32 %r2, %r2, 4; setp.lt.u32 %p1, %r2, 1000;\n"
    "  @%p1 bra more;\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1; st.global.u32 [%rd2], %r1; ret; }\n"

    ".visible .entry dynamic(.param .u64 to) {\n"
    "  .reg .b64 %rd<3>; .reg .b32 %r<6>;\n"
    "  mov.u32 %r1, %dynamic_smem_size; mov.u32 %r2, words; add.u32 %r3, %r2, %r1;\n"
    "  st.shared.u32 [%r3+-4], %r1; ld.shared.u32 %r4, [%r3+-4];\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1; st.global.u32 [%rd2], %r4; ret; }\n"

    ".visible .entry exact() .reqntid 32, 2, 1 { ret; }\n"
    ".visible .entry at_most() .maxntid 64, 1, 1 { ret; }\n"

    ".visible .entry read_table(.param .u64 to, .param .u32 index) {\n"
    "  .reg .b64 %rd<6>; .reg .b32 %r<3>;\n"
    "  ld.param.u64 %rd1, [to]; cvta.to.global.u64 %rd2, %rd1; ld.param.u32 %r1, [index];\n"
    "  mul.wide.u32 %rd3, %r1, 4; mov.u64 %rd4, table; add.s64 %rd5, %rd4, %rd3;\n"
    "  ld.const.u32 %r2, [%rd5]; st.global.u32 [%rd2], %r2; ret; }\n"

    ".visible .entry say(.param .u32 round) {\n"
    "  .local .align 8 .b8 values[8]; .reg .b64 %rd<5>; .reg .b32 %r<3>;\n"
    "  ld.param.u32 %r1, [round]; mov.u64 %rd1, values; st.local.u32 [%rd1], %r1;\n"
    "  cvta.local.u64 %rd2, %rd1; mov.u64 %rd3, format; cvta.global.u64 %rd4, %rd3;\n"
    "  { .param .b64 p0; st.param.b64 [p0+0], %rd4; .param .b64 p1; st.param.b64 [p1+0], %rd2;\n"
    "  .param .b32 count; call.uni (count), vprintf, (p0, p1); ld.param.b32 %r2, [count+0]; }\n"
    "  ret; }\n";

const char kernels_bad_ptx[] =
    HEAD ".visible .entry good() { ret; }\n"
         ".visible .entry bad() { .reg .b32 %r<3>;\n  frobnicate.u32 %r1, %r2; ret; }\n";
