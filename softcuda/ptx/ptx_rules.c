/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_rules.c - the instruction set: one row for each form of a family.
 *
 * A family without a row here is known by name and refused. To add an instruction: a name in
 * PTX_FAMILY_LIST, a row here (struct ptx_rule in ptx_int.h explains it), new modifiers in
 * ptx_decode.c. A form is refused if no row takes all its modifiers and types.
 * Source: PTX ISA 9.0, chapter 9 (Instruction Set).
 */
#include "softcuda/ptx/ptx_int.h"

#define BIT(x) (UINT64_C(1) << PTX_##x)
#define SUB(x) (UINT64_C(1) << PTX_SUB_##x)
#define ROUND(x) (1u << PTX_ROUND_##x)
#define SPACE(x) (1u << PTX_SPACE_##x)

/* Types. */
#define B_ALL (BIT(B16) | BIT(B32) | BIT(B64))
#define INT (BIT(U16) | BIT(U32) | BIT(U64) | BIT(S16) | BIT(S32) | BIT(S64))
#define INT32 (BIT(U32) | BIT(S32))
#define INT3264 (BIT(U32) | BIT(U64) | BIT(S32) | BIT(S64))
#define INT_X2 (BIT(U16X2) | BIT(S16X2))
#define INT8 (BIT(U8) | BIT(S8) | BIT(B8))
#define HALF (BIT(F16) | BIT(BF16))
#define HALF_X2 (BIT(F16X2) | BIT(BF16X2))
#define FLOAT (BIT(F32) | BIT(F64))
#define SCALAR (B_ALL | INT | INT8 | HALF | FLOAT)
#define FP8_X2 (BIT(E4M3X2) | BIT(E5M2X2))

#define RND (ROUND(RN) | ROUND(RZ) | ROUND(RM) | ROUND(RP))
#define INT_RND (ROUND(RNI) | ROUND(RZI) | ROUND(RMI) | ROUND(RPI))

#define MEMORY (SPACE(GLOBAL) | SPACE(SHARED) | SPACE(LOCAL) | SPACE(PARAM) | SPACE(CONST))
#define ORDERED (PTX_MOD_SEM | PTX_MOD_SCOPE | PTX_MOD_MMIO)
#define CACHED (PTX_MOD_HINT | PTX_MOD_POLICY)

#define RULE(name, ...)                                                                            \
    {                                                                                              \
        .family = PTX_##name, __VA_ARGS__                                                          \
    }

/* clang-format off */
const struct ptx_rule ptx_rules[] = {
    /* Arithmetic. */
    RULE(ADD, .types = INT | INT_X2, .flags = PTX_F_SAT | PTX_F_CC, .operands = "T=TT"),
    RULE(ADD, .types = FLOAT | HALF | HALF_X2, .rounds = RND, .flags = PTX_F_FTZ | PTX_F_SAT, .operands = "T=TT"),
    RULE(SUB, .types = INT | INT_X2, .flags = PTX_F_SAT | PTX_F_CC, .operands = "T=TT"),
    RULE(SUB, .types = FLOAT | HALF | HALF_X2, .rounds = RND, .flags = PTX_F_FTZ | PTX_F_SAT, .operands = "T=TT"),
    RULE(ADDC, .types = INT3264, .flags = PTX_F_CC, .operands = "T=TT"),
    RULE(SUBC, .types = INT3264, .flags = PTX_F_CC, .operands = "T=TT"),
    RULE(MUL, .types = INT, .subs = SUB(LO) | SUB(HI), .need = PTX_MOD_SUB, .operands = "T=TT"),
    RULE(MUL, .types = INT & ~(BIT(U64) | BIT(S64)), .subs = SUB(WIDE), .need = PTX_MOD_SUB, .operands = "W=TT"),
    RULE(MUL, .types = FLOAT | HALF | HALF_X2, .rounds = RND, .flags = PTX_F_FTZ | PTX_F_SAT, .operands = "T=TT"),
    RULE(MAD, .types = INT, .subs = SUB(LO) | SUB(HI), .need = PTX_MOD_SUB, .flags = PTX_F_SAT | PTX_F_CC, .operands = "T=TTT"),
    RULE(MAD, .types = INT & ~(BIT(U64) | BIT(S64)), .subs = SUB(WIDE), .need = PTX_MOD_SUB, .operands = "W=TTW"),
    RULE(MAD, .types = FLOAT, .rounds = RND, .flags = PTX_F_FTZ | PTX_F_SAT, .operands = "T=TTT"),
    RULE(MADC, .types = INT3264, .subs = SUB(LO) | SUB(HI), .need = PTX_MOD_SUB, .flags = PTX_F_CC, .operands = "T=TTT"),
    RULE(FMA, .types = FLOAT, .rounds = RND, .need = PTX_MOD_ROUND, .flags = PTX_F_FTZ | PTX_F_SAT, .operands = "T=TTT"),
    RULE(FMA, .types = HALF | HALF_X2, .rounds = ROUND(RN), .need = PTX_MOD_ROUND, .flags = PTX_F_FTZ | PTX_F_SAT | PTX_F_RELU | PTX_F_OOB, .operands = "T=TTT"),
    RULE(MUL24, .types = INT32, .subs = SUB(LO) | SUB(HI), .need = PTX_MOD_SUB, .operands = "T=TT"),
    RULE(MAD24, .types = INT32, .subs = SUB(LO) | SUB(HI), .need = PTX_MOD_SUB, .flags = PTX_F_SAT, .operands = "T=TTT"),
    RULE(SAD, .types = INT, .operands = "T=TTT"),
    RULE(DIV, .types = INT, .operands = "T=TT"),
    RULE(DIV, .types = FLOAT, .rounds = RND, .need = PTX_MOD_ROUND, .flags = PTX_F_FTZ, .operands = "T=TT"),
    RULE(DIV, .types = BIT(F32), .flags = PTX_F_FTZ | PTX_F_APPROX | PTX_F_FULL, .need_flags = PTX_F_APPROX | PTX_F_FULL, .operands = "T=TT"),
    RULE(REM, .types = INT, .operands = "T=TT"),
    RULE(ABS, .types = BIT(S16) | BIT(S32) | BIT(S64), .operands = "T=T"),
    RULE(ABS, .types = FLOAT | HALF | HALF_X2, .flags = PTX_F_FTZ, .operands = "T=T"),
    RULE(NEG, .types = BIT(S16) | BIT(S32) | BIT(S64), .operands = "T=T"),
    RULE(NEG, .types = FLOAT | HALF | HALF_X2, .flags = PTX_F_FTZ, .operands = "T=T"),
    RULE(MIN, .types = INT | INT_X2, .flags = PTX_F_RELU, .operands = "T=TT"),
    RULE(MIN, .types = FLOAT | HALF | HALF_X2, .flags = PTX_F_FTZ | PTX_F_NAN | PTX_F_XORSIGN, .operands = "T=TT"),
    RULE(MAX, .types = INT | INT_X2, .flags = PTX_F_RELU, .operands = "T=TT"),
    RULE(MAX, .types = FLOAT | HALF | HALF_X2, .flags = PTX_F_FTZ | PTX_F_NAN | PTX_F_XORSIGN, .operands = "T=TT"),
    RULE(DP4A, .types = INT32, .types2 = INT32, .operands = "R=RRR"),
    RULE(DP2A, .types = INT32, .types2 = INT32, .subs = SUB(LO) | SUB(HI), .need = PTX_MOD_SUB, .operands = "R=RRR"),

    /* Bits. */
    RULE(POPC, .types = BIT(B32) | BIT(B64), .operands = "R=T"),
    RULE(CLZ, .types = BIT(B32) | BIT(B64), .operands = "R=T"),
    RULE(BFIND, .types = INT3264, .flags = PTX_F_SHIFTAMT, .operands = "R=T"),
    RULE(FNS, .types = BIT(B32), .operands = "R=RRR"),
    RULE(BREV, .types = BIT(B32) | BIT(B64), .operands = "T=T"),
    RULE(BFE, .types = INT3264, .operands = "T=TRR"),
    RULE(BFI, .types = BIT(B32) | BIT(B64), .operands = "T=TTRR"),
    RULE(SZEXT, .types = INT32, .flags = PTX_F_WRAP, .mods = PTX_MOD_CLAMP, .operands = "R=RR"),
    RULE(BMSK, .types = BIT(B32), .flags = PTX_F_WRAP, .mods = PTX_MOD_CLAMP, .operands = "R=RR"),
    RULE(AND, .types = BIT(PRED) | B_ALL, .operands = "T=TT"),
    RULE(OR, .types = BIT(PRED) | B_ALL, .operands = "T=TT"),
    RULE(XOR, .types = BIT(PRED) | B_ALL, .operands = "T=TT"),
    RULE(NOT, .types = BIT(PRED) | B_ALL, .operands = "T=T"),
    RULE(CNOT, .types = B_ALL, .operands = "T=T"),
    RULE(LOP3, .types = BIT(B32), .operands = "T=TTTI"),
    RULE(LOP3, .types = BIT(B32), .mods = PTX_MOD_BOOL, .need = PTX_MOD_BOOL, .operands = "T|P=TTTIP"),
    RULE(SHF, .types = BIT(B32), .subs = SUB(L) | SUB(R), .need = PTX_MOD_SUB, .flags = PTX_F_WRAP, .mods = PTX_MOD_CLAMP, .operands = "T=TTR"),
    RULE(SHL, .types = B_ALL, .operands = "T=TR"),
    RULE(SHR, .types = B_ALL | INT, .operands = "T=TR"),
    RULE(PRMT, .types = BIT(B32), .subs = SUB(F4E) | SUB(B4E) | SUB(RC8) | SUB(ECL) | SUB(ECR) | SUB(RC16), .operands = "T=TTT"),

    /* Floating point. */
    RULE(TESTP, .types = FLOAT, .subs = SUB(FINITE) | SUB(INFINITE) | SUB(NUMBER) | SUB(NOTANUMBER) | SUB(NORMAL) | SUB(SUBNORMAL), .need = PTX_MOD_SUB, .operands = "P=T"),
    RULE(COPYSIGN, .types = FLOAT, .operands = "T=TT"),
    RULE(RCP, .types = FLOAT, .rounds = RND, .need = PTX_MOD_ROUND, .flags = PTX_F_FTZ, .operands = "T=T"),
    RULE(RCP, .types = FLOAT, .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(SQRT, .types = FLOAT, .rounds = RND, .need = PTX_MOD_ROUND, .flags = PTX_F_FTZ, .operands = "T=T"),
    RULE(SQRT, .types = BIT(F32), .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(RSQRT, .types = FLOAT, .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(SIN, .types = BIT(F32), .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(COS, .types = BIT(F32), .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(LG2, .types = BIT(F32), .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(EX2, .types = BIT(F32) | HALF | HALF_X2, .flags = PTX_F_FTZ | PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),
    RULE(TANH, .types = BIT(F32) | HALF | HALF_X2, .flags = PTX_F_APPROX, .need_flags = PTX_F_APPROX, .operands = "T=T"),

    /* Comparison and selection. */
    RULE(SET, .types = INT32 | BIT(F32) | HALF | HALF_X2 | BIT(U16) | BIT(S16), .types2 = B_ALL | INT | FLOAT | HALF | HALF_X2, .mods = PTX_MOD_CMP, .need = PTX_MOD_CMP, .flags = PTX_F_FTZ, .operands = "T=UU"),
    RULE(SET, .types = INT32 | BIT(F32) | HALF | HALF_X2 | BIT(U16) | BIT(S16), .types2 = B_ALL | INT | FLOAT | HALF | HALF_X2, .mods = PTX_MOD_CMP | PTX_MOD_BOOL, .need = PTX_MOD_CMP | PTX_MOD_BOOL, .flags = PTX_F_FTZ, .operands = "T=UUP"),
    RULE(SETP, .types = B_ALL | INT | FLOAT | HALF | HALF_X2, .mods = PTX_MOD_CMP, .need = PTX_MOD_CMP, .flags = PTX_F_FTZ, .operands = "P=TT P|P=TT"),
    RULE(SETP, .types = B_ALL | INT | FLOAT | HALF | HALF_X2, .mods = PTX_MOD_CMP | PTX_MOD_BOOL, .need = PTX_MOD_CMP | PTX_MOD_BOOL, .flags = PTX_F_FTZ, .operands = "P=TTP P|P=TTP"),
    RULE(SELP, .types = B_ALL | INT | FLOAT, .operands = "T=TTP"),
    RULE(SLCT, .types = B_ALL | INT | FLOAT, .types2 = BIT(S32) | BIT(F32), .flags = PTX_F_FTZ, .operands = "T=TTU"),

    /* Data movement. */
    RULE(MOV, .types = BIT(PRED) | B_ALL | BIT(B128) | INT | FLOAT | HALF | HALF_X2, .operands = "X=X"),
    RULE(LD, .types = SCALAR | BIT(B128), .spaces = MEMORY, .mods = ORDERED | CACHED | PTX_MOD_VEC, .operands = "v=A"),
    RULE(LDU, .types = SCALAR | BIT(B128), .spaces = SPACE(GLOBAL), .mods = PTX_MOD_VEC, .operands = "v=A"),
    RULE(ST, .types = SCALAR | BIT(B128), .spaces = MEMORY, .mods = ORDERED | CACHED | PTX_MOD_VEC, .operands = "=Av"),
    RULE(PREFETCH, .spaces = SPACE(GLOBAL) | SPACE(LOCAL), .mods = PTX_MOD_HINT, .need = PTX_MOD_HINT, .operands = "=A"),
    RULE(PREFETCHU, .mods = PTX_MOD_HINT, .need = PTX_MOD_HINT, .operands = "=A"),
    RULE(DISCARD, .spaces = SPACE(GLOBAL), .mods = PTX_MOD_HINT, .operands = "=AI"),
    RULE(APPLYPRIORITY, .spaces = SPACE(GLOBAL), .mods = PTX_MOD_HINT, .operands = "=AI"),
    RULE(CREATEPOLICY, .types = BIT(B64), .spaces = SPACE(GLOBAL), .mods = PTX_MOD_HINT, .operands = "Q= Q=* Q=** Q=***"),
    RULE(ISSPACEP, .spaces = MEMORY, .need = PTX_MOD_SPACE, .operands = "P=Q"),
    RULE(CVTA, .types = BIT(U64), .spaces = MEMORY, .need = PTX_MOD_SPACE, .flags = PTX_F_TO, .operands = "T=T"),
    RULE(MAPA, .types = BIT(U32) | BIT(U64), .spaces = SPACE(SHARED), .operands = "T=TR"),
    RULE(GETCTARANK, .types = BIT(U32) | BIT(U64), .spaces = SPACE(SHARED), .operands = "R=T"),
    RULE(CVT, .types = INT8 | INT | HALF | FLOAT, .types2 = INT8 | INT | HALF | FLOAT, .rounds = RND | INT_RND, .flags = PTX_F_FTZ | PTX_F_SAT | PTX_F_RELU | PTX_F_SATFINITE, .operands = "D=S"),
    RULE(CVT, .types = HALF_X2, .types2 = BIT(F32), .rounds = ROUND(RN) | ROUND(RZ), .need = PTX_MOD_ROUND, .flags = PTX_F_RELU | PTX_F_SATFINITE, .operands = "T=UU"),
    RULE(CVT, .types = BIT(TF32), .types2 = BIT(F32), .rounds = ROUND(RNA) | ROUND(RN) | ROUND(RZ), .need = PTX_MOD_ROUND, .flags = PTX_F_RELU | PTX_F_SATFINITE, .operands = "T=U"),
    RULE(CVT, .types = FP8_X2, .types2 = BIT(F32), .rounds = ROUND(RN), .need = PTX_MOD_ROUND, .flags = PTX_F_RELU | PTX_F_SATFINITE, .need_flags = PTX_F_SATFINITE, .operands = "T=UU"),
    RULE(CVT, .types = FP8_X2, .types2 = BIT(F16X2), .rounds = ROUND(RN), .need = PTX_MOD_ROUND, .flags = PTX_F_RELU | PTX_F_SATFINITE, .need_flags = PTX_F_SATFINITE, .operands = "T=U"),
    RULE(CVT, .types = BIT(F16X2), .types2 = FP8_X2, .rounds = ROUND(RN), .need = PTX_MOD_ROUND, .flags = PTX_F_RELU, .operands = "T=U"),
    RULE(CP_ASYNC, .spaces = SPACE(SHARED), .need = PTX_MOD_SPACE | PTX_MOD_SOURCE | PTX_MOD_HINT, .mods = PTX_MOD_SOURCE | CACHED, .operands = "=AGI =AGIF"),
    RULE(CP_ASYNC_COMMIT, .operands = "="),
    RULE(CP_ASYNC_WAIT, .operands = "=I"),
    RULE(CP_ASYNC_WAIT_ALL, .operands = "="),
    RULE(CP_ASYNC_MBARRIER_ARRIVE, .types = BIT(B64), .spaces = SPACE(SHARED), .flags = PTX_F_NOINC, .operands = "=A"),

    /* Control. */
    RULE(BRA, .flags = PTX_F_UNI, .operands = "=L"),
    RULE(BRX, .flags = PTX_F_UNI, .mods = PTX_MOD_IDX, .need = PTX_MOD_IDX, .operands = "=RL"),
    RULE(CALL, .flags = PTX_F_UNI, .operands = ""),
    RULE(RET, .flags = PTX_F_UNI, .operands = "="),
    RULE(EXIT, .operands = "="),
    RULE(TRAP, .operands = "="),
    RULE(BRKPT, .operands = "="),
    RULE(PMEVENT, .mods = PTX_MOD_HINT, .operands = "=I"),
    RULE(NANOSLEEP, .types = BIT(U32), .operands = "=R"),
    RULE(GRIDDEPCONTROL, .mods = PTX_MOD_HINT, .need = PTX_MOD_HINT, .operands = "="),
    RULE(STACKSAVE, .types = BIT(U32) | BIT(U64), .operands = "T="),
    RULE(STACKRESTORE, .types = BIT(U32) | BIT(U64), .operands = "=T"),
    RULE(ALLOCA, .types = BIT(U32) | BIT(U64), .operands = "T=T T=TI"),

    /* Barriers and fences. */
    RULE(BAR, .subs = SUB(SYNC), .need = PTX_MOD_SUB, .mods = PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "=R =RR"),
    RULE(BAR, .subs = SUB(ARRIVE), .need = PTX_MOD_SUB, .mods = PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "=RR"),
    RULE(BAR, .types = BIT(U32), .subs = SUB(POPC), .need = PTX_MOD_SUB | PTX_MOD_RED, .mods = PTX_MOD_RED | PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "R=RP R=RRP"),
    RULE(BAR, .types = BIT(PRED), .subs = SUB(AND) | SUB(OR), .need = PTX_MOD_SUB | PTX_MOD_RED, .mods = PTX_MOD_RED | PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "P=RP P=RRP"),
    RULE(BAR, .subs = SUB(WARP_SYNC), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "=R"),
    RULE(BARRIER, .subs = SUB(SYNC), .need = PTX_MOD_SUB, .mods = PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "=R =RR"),
    RULE(BARRIER, .subs = SUB(ARRIVE), .need = PTX_MOD_SUB, .mods = PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "=RR"),
    RULE(BARRIER, .types = BIT(U32), .subs = SUB(POPC), .need = PTX_MOD_SUB | PTX_MOD_RED, .mods = PTX_MOD_RED | PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "R=RP R=RRP"),
    RULE(BARRIER, .types = BIT(PRED), .subs = SUB(AND) | SUB(OR), .need = PTX_MOD_SUB | PTX_MOD_RED, .mods = PTX_MOD_RED | PTX_MOD_HINT | PTX_MOD_SCOPE, .operands = "P=RP P=RRP"),
    RULE(BARRIER, .subs = SUB(CLUSTER_ARRIVE) | SUB(CLUSTER_WAIT), .need = PTX_MOD_SUB | PTX_MOD_SCOPE, .mods = PTX_MOD_HINT | PTX_MOD_SCOPE | PTX_MOD_SEM, .operands = "="),
    RULE(MEMBAR, .mods = PTX_MOD_SCOPE, .need = PTX_MOD_SCOPE, .operands = "="),
    RULE(MEMBAR, .mods = PTX_MOD_PROXY | PTX_MOD_HINT, .need = PTX_MOD_PROXY, .operands = "="),
    RULE(FENCE, .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .need = PTX_MOD_SEM | PTX_MOD_SCOPE, .operands = "="),
    RULE(FENCE, .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | PTX_MOD_PROXY | PTX_MOD_HINT, .spaces = MEMORY, .need = PTX_MOD_PROXY, .operands = "="),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(INIT), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .operands = "=AR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(INVAL), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .operands = "=A"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(EXPECT_TX) | SUB(COMPLETE_TX), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .operands = "=AR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(ARRIVE) | SUB(ARRIVE_DROP), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .operands = "Q=A Q=AR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(ARRIVE) | SUB(ARRIVE_DROP), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .flags = PTX_F_NOCOMPLETE | PTX_F_EXPECT_TX, .need_flags = PTX_F_NOCOMPLETE | PTX_F_EXPECT_TX, .operands = "Q=AR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(TEST_WAIT), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .operands = "P=AQ"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(TEST_WAIT), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .flags = PTX_F_PARITY, .need_flags = PTX_F_PARITY, .operands = "P=AR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(TRY_WAIT), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .operands = "P=AQ P=AQR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(TRY_WAIT), .need = PTX_MOD_SUB, .spaces = SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE, .flags = PTX_F_PARITY, .need_flags = PTX_F_PARITY, .operands = "P=AR P=ARR"),
    RULE(MBARRIER, .types = BIT(B64), .subs = SUB(PENDING_COUNT), .need = PTX_MOD_SUB, .operands = "R=Q"),

    /* Atomics. */
    RULE(ATOM, .types = INT32 | BIT(U64) | HALF | HALF_X2 | FLOAT, .subs = SUB(ADD), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "T=AT"),
    RULE(ATOM, .types = INT3264 | HALF | HALF_X2, .subs = SUB(MIN) | SUB(MAX), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "T=AT"),
    RULE(ATOM, .types = BIT(B32) | BIT(B64), .subs = SUB(AND) | SUB(OR) | SUB(XOR), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "T=AT"),
    RULE(ATOM, .types = BIT(U32), .subs = SUB(INC) | SUB(DEC), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "T=AT"),
    RULE(ATOM, .types = BIT(B32) | BIT(B64) | BIT(B128), .subs = SUB(EXCH), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "T=AT"),
    RULE(ATOM, .types = B_ALL | BIT(B128), .subs = SUB(CAS), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "T=ATT"),
    RULE(RED, .types = INT32 | BIT(U64) | HALF | HALF_X2 | FLOAT, .subs = SUB(ADD), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "=AT"),
    RULE(RED, .types = INT3264 | HALF | HALF_X2, .subs = SUB(MIN) | SUB(MAX), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "=AT"),
    RULE(RED, .types = BIT(B32) | BIT(B64), .subs = SUB(AND) | SUB(OR) | SUB(XOR), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "=AT"),
    RULE(RED, .types = BIT(U32), .subs = SUB(INC) | SUB(DEC), .need = PTX_MOD_SUB, .spaces = SPACE(GLOBAL) | SPACE(SHARED), .mods = PTX_MOD_SEM | PTX_MOD_SCOPE | CACHED, .operands = "=AT"),

    /* Within a warp. */
    RULE(SHFL, .types = BIT(B32), .subs = SUB(UP) | SUB(DOWN) | SUB(BFLY) | SUB(IDX), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "T=TRRR T|P=TRRR"),
    RULE(SHFL, .types = BIT(B32), .subs = SUB(UP) | SUB(DOWN) | SUB(BFLY) | SUB(IDX), .need = PTX_MOD_SUB, .operands = "T=TRR T|P=TRR"),
    RULE(VOTE, .types = BIT(PRED), .subs = SUB(ALL) | SUB(ANY) | SUB(UNI), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "P=PR"),
    RULE(VOTE, .types = BIT(B32), .subs = SUB(BALLOT), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "R=PR"),
    RULE(VOTE, .types = BIT(PRED), .subs = SUB(ALL) | SUB(ANY) | SUB(UNI), .need = PTX_MOD_SUB, .operands = "P=P"),
    RULE(VOTE, .types = BIT(B32), .subs = SUB(BALLOT), .need = PTX_MOD_SUB, .operands = "R=P"),
    RULE(MATCH, .types = BIT(B32) | BIT(B64), .subs = SUB(ANY), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "R=TR"),
    RULE(MATCH, .types = BIT(B32) | BIT(B64), .subs = SUB(ALL), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "R=TR R|P=TR"),
    RULE(ACTIVEMASK, .types = BIT(B32), .operands = "R="),
    RULE(REDUX, .types = INT32, .subs = SUB(ADD) | SUB(MIN) | SUB(MAX), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "T=TR"),
    RULE(REDUX, .types = BIT(B32), .subs = SUB(AND) | SUB(OR) | SUB(XOR), .need = PTX_MOD_SUB, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "T=TR"),
    RULE(ELECT, .flags = PTX_F_SYNC, .need_flags = PTX_F_SYNC, .operands = "R|P=R"),
};
/* clang-format on */

const size_t ptx_rule_count = FAB_ARRAY_LEN(ptx_rules);
