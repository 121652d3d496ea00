// SPDX-License-Identifier: Apache-2.0
// Inline assembly: scopes with names of their own, predicated instructions, loops with labels.

__device__ __forceinline__ unsigned lane()
{
    unsigned value;

    asm("mov.u32 %0, %%laneid;" : "=r"(value));
    return value;
}

__device__ __forceinline__ unsigned wait_for(unsigned *flag)
{
    unsigned seen;

    asm volatile("{\n\t"
                 ".reg .pred done;\n\t"
                 "AGAIN:\n\t"
                 "ld.acquire.gpu.global.u32 %0, [%1];\n\t"
                 "setp.ne.u32 done, %0, 0;\n\t"
                 "@!done bra AGAIN;\n\t"
                 "}"
                 : "=r"(seen)
                 : "l"(__cvta_generic_to_global(flag))
                 : "memory");
    return seen;
}

__device__ __forceinline__ void guarded_store(float *to, float value, bool wanted)
{
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %2, 0; @p st.global.f32 [%0], %1; }" ::"l"(to),
                 "f"(value), "r"(static_cast<int>(wanted))
                 : "memory");
}

__global__ void mixed(unsigned *flags, float *f, unsigned *out)
{
    unsigned low, high, carry;

    out[0] = wait_for(flags) + lane();
    out[1] = wait_for(flags + 1); // the same names again
    guarded_store(f, 1.5f, flags[2] != 0);
    asm("add.cc.u32 %0, %3, %4; addc.cc.u32 %1, %5, %6; addc.u32 %2, 0, 0;"
        : "=r"(low), "=r"(high), "=r"(carry)
        : "r"(flags[3]), "r"(flags[4]), "r"(flags[5]), "r"(flags[6]));
    out[2] = low + high + carry;
    asm("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(out[3]) : "r"(low), "r"(high), "r"(carry));
    asm("prmt.b32 %0, %1, %2, 0x5410;" : "=r"(out[4]) : "r"(low), "r"(high));
    asm("bfe.u32 %0, %1, 3, 5; bfi.b32 %0, %1, %0, 8, 4;" : "+r"(out[5]) : "r"(low));
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(out + 6), "r"(1u) : "memory");
    asm volatile("prefetch.global.L2 [%0];" ::"l"(f));
    asm volatile("bar.warp.sync 0xffffffff; bar.sync 1, 64; membar.gl; fence.acq_rel.sys;");
    asm volatile("ld.global.L1::no_allocate.L2::128B.v2.f32 {%0, %1}, [%2];"
                 : "=f"(f[1]), "=f"(f[2])
                 : "l"(f + 4));
    asm("{ .reg .b16 a, b; mov.b32 {a, b}, %1; mov.b32 %0, {b, a}; }" : "=r"(out[7]) : "r"(low));
}
