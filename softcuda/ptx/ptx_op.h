/* SPDX-License-Identifier: Apache-2.0
 * softcuda/ptx/ptx_op.h - one PTX operation, decoded: family, types and modifiers.
 *
 * A spelling such as "ld.global.nc.L1::no_allocate.v4.f32" is never looked up as a whole: the
 * family comes from the first word, every modifier lands in the field it belongs to, and what
 * only hints (cache operators, .uni, .aligned, eviction priorities) is checked and dropped.
 */
#ifndef SOFTCUDA_PTX_PTX_OP_H
#define SOFTCUDA_PTX_PTX_OP_H

#include <stdbool.h>
#include <stdint.h>

/* enum name, spelling */
/* clang-format off */
#define PTX_FAMILY_LIST(X)                                                                        \
    X(ADD, "add") X(SUB, "sub") X(MUL, "mul") X(MAD, "mad") X(FMA, "fma") X(MUL24, "mul24")       \
    X(MAD24, "mad24") X(SAD, "sad") X(DIV, "div") X(REM, "rem") X(ABS, "abs") X(NEG, "neg")       \
    X(MIN, "min") X(MAX, "max") X(POPC, "popc") X(CLZ, "clz") X(BFIND, "bfind") X(FNS, "fns")     \
    X(BREV, "brev") X(BFE, "bfe") X(BFI, "bfi") X(SZEXT, "szext") X(BMSK, "bmsk") X(DP4A, "dp4a") \
    X(DP2A, "dp2a") X(ADDC, "addc") X(SUBC, "subc") X(MADC, "madc") X(TESTP, "testp")             \
    X(COPYSIGN, "copysign") X(RCP, "rcp") X(SQRT, "sqrt") X(RSQRT, "rsqrt") X(SIN, "sin")         \
    X(COS, "cos") X(LG2, "lg2") X(EX2, "ex2") X(TANH, "tanh") X(SET, "set") X(SETP, "setp")       \
    X(SELP, "selp") X(SLCT, "slct") X(AND, "and") X(OR, "or") X(XOR, "xor") X(NOT, "not")         \
    X(CNOT, "cnot") X(LOP3, "lop3") X(SHF, "shf") X(SHL, "shl") X(SHR, "shr") X(MOV, "mov")       \
    X(SHFL, "shfl") X(PRMT, "prmt") X(LD, "ld") X(LDU, "ldu") X(ST, "st") X(PREFETCH, "prefetch") \
    X(PREFETCHU, "prefetchu") X(ISSPACEP, "isspacep") X(CVTA, "cvta") X(CVT, "cvt")               \
    X(MAPA, "mapa") X(GETCTARANK, "getctarank") X(CP_ASYNC, "cp.async")                           \
    X(CP_ASYNC_COMMIT, "cp.async.commit_group") X(CP_ASYNC_WAIT, "cp.async.wait_group")           \
    X(CP_ASYNC_WAIT_ALL, "cp.async.wait_all")                                                     \
    X(CP_ASYNC_MBARRIER_ARRIVE, "cp.async.mbarrier.arrive") X(BRA, "bra") X(BRX, "brx")           \
    X(CALL, "call") X(RET, "ret") X(EXIT, "exit") X(BAR, "bar") X(BARRIER, "barrier")             \
    X(MEMBAR, "membar") X(FENCE, "fence") X(ATOM, "atom") X(RED, "red") X(VOTE, "vote")           \
    X(MATCH, "match") X(ACTIVEMASK, "activemask") X(REDUX, "redux") X(ELECT, "elect")             \
    X(GRIDDEPCONTROL, "griddepcontrol") X(MBARRIER, "mbarrier") X(BRKPT, "brkpt")                 \
    X(PMEVENT, "pmevent") X(TRAP, "trap") X(NANOSLEEP, "nanosleep") X(STACKSAVE, "stacksave")     \
    X(STACKRESTORE, "stackrestore") X(ALLOCA, "alloca") X(VADD, "vadd") X(VSUB, "vsub")           \
    X(VABSDIFF, "vabsdiff") X(VABSDIFF4, "vabsdiff4") X(DISCARD, "discard")                       \
    X(APPLYPRIORITY, "applypriority") X(CREATEPOLICY, "createpolicy") X(TEX, "tex")               \
    X(SULD, "suld") X(SUST, "sust") X(WMMA, "wmma") X(MMA, "mma") X(LDMATRIX, "ldmatrix")         \
    X(STMATRIX, "stmatrix")
/* clang-format on */

enum ptx_family {
#define PTX_FAMILY_ENUM(name, text) PTX_##name,
    PTX_FAMILY_LIST(PTX_FAMILY_ENUM)
#undef PTX_FAMILY_ENUM
        PTX_FAMILY_COUNT
};

/* enum name, spelling, bytes (0: has no size) */
/* clang-format off */
#define PTX_TYPE_LIST(X)                                                                          \
    X(NOTYPE, "", 0) X(PRED, "pred", 0) X(B8, "b8", 1) X(B16, "b16", 2) X(B32, "b32", 4)          \
    X(B64, "b64", 8) X(B128, "b128", 16) X(U8, "u8", 1) X(U16, "u16", 2) X(U32, "u32", 4)         \
    X(U64, "u64", 8) X(S8, "s8", 1) X(S16, "s16", 2) X(S32, "s32", 4) X(S64, "s64", 8)            \
    X(F16, "f16", 2) X(F16X2, "f16x2", 4) X(BF16, "bf16", 2) X(BF16X2, "bf16x2", 4)               \
    X(F32, "f32", 4) X(F32X2, "f32x2", 8) X(TF32, "tf32", 4) X(F64, "f64", 8)                     \
    X(U16X2, "u16x2", 4) X(S16X2, "s16x2", 4) X(E4M3X2, "e4m3x2", 2) X(E5M2X2, "e5m2x2", 2)
/* clang-format on */

enum ptx_type {
#define PTX_TYPE_ENUM(name, text, bytes) PTX_##name,
    PTX_TYPE_LIST(PTX_TYPE_ENUM)
#undef PTX_TYPE_ENUM
        PTX_TYPE_COUNT
};

enum ptx_space {
    PTX_SPACE_GENERIC,
    PTX_SPACE_REG,
    PTX_SPACE_GLOBAL,
    PTX_SPACE_CONST,
    PTX_SPACE_SHARED, /* .shared::cta, and .shared::cluster: a cluster is one block here */
    PTX_SPACE_LOCAL,
    PTX_SPACE_PARAM,
};

/* add, sub, mul and mad of floating point without one are RN. */
enum ptx_round {
    PTX_ROUND_NONE,
    PTX_ROUND_RN,
    PTX_ROUND_RZ,
    PTX_ROUND_RM,
    PTX_ROUND_RP,
    PTX_ROUND_RNA,
    PTX_ROUND_RNI, /* to an integer value (cvt) */
    PTX_ROUND_RZI,
    PTX_ROUND_RMI,
    PTX_ROUND_RPI,
};

enum ptx_cmp {
    PTX_CMP_NONE,
    PTX_CMP_EQ,
    PTX_CMP_NE,
    PTX_CMP_LT,
    PTX_CMP_LE,
    PTX_CMP_GT,
    PTX_CMP_GE,
    PTX_CMP_LO, /* unsigned */
    PTX_CMP_LS,
    PTX_CMP_HI,
    PTX_CMP_HS,
    PTX_CMP_EQU, /* true if either is NaN */
    PTX_CMP_NEU,
    PTX_CMP_LTU,
    PTX_CMP_LEU,
    PTX_CMP_GTU,
    PTX_CMP_GEU,
    PTX_CMP_NUM,
    PTX_CMP_NAN,
};

enum ptx_boolop { PTX_BOOL_NONE, PTX_BOOL_AND, PTX_BOOL_OR, PTX_BOOL_XOR };

/* What else the family can be asked to do; each value belongs to the families named. bar.red has
 * AND, OR or POPC (and its type), which bar and barrier have nowhere else. */
enum ptx_sub {
    PTX_SUB_NONE,
    PTX_SUB_LO, /* mul, mad, mul24, mad24, madc, dp2a */
    PTX_SUB_HI,
    PTX_SUB_WIDE,
    PTX_SUB_ADD, /* atom, red, redux */
    PTX_SUB_AND,
    PTX_SUB_OR,
    PTX_SUB_XOR,
    PTX_SUB_MIN,
    PTX_SUB_MAX,
    PTX_SUB_INC,
    PTX_SUB_DEC,
    PTX_SUB_EXCH,
    PTX_SUB_CAS,
    PTX_SUB_POPC,
    PTX_SUB_UP, /* shfl */
    PTX_SUB_DOWN,
    PTX_SUB_BFLY,
    PTX_SUB_IDX,
    PTX_SUB_ALL, /* vote, match (ALL, ANY) */
    PTX_SUB_ANY,
    PTX_SUB_UNI,
    PTX_SUB_BALLOT,
    PTX_SUB_SYNC, /* bar, barrier */
    PTX_SUB_ARRIVE,
    PTX_SUB_RED,
    PTX_SUB_WARP_SYNC, /* bar.warp.sync */
    PTX_SUB_CLUSTER_ARRIVE,
    PTX_SUB_CLUSTER_WAIT,
    PTX_SUB_L, /* shf.l / shf.r */
    PTX_SUB_R,
    PTX_SUB_F4E, /* prmt modes; NONE is the generic one */
    PTX_SUB_B4E,
    PTX_SUB_RC8,
    PTX_SUB_ECL,
    PTX_SUB_ECR,
    PTX_SUB_RC16,
    PTX_SUB_FINITE, /* testp */
    PTX_SUB_INFINITE,
    PTX_SUB_NUMBER,
    PTX_SUB_NOTANUMBER,
    PTX_SUB_NORMAL,
    PTX_SUB_SUBNORMAL,
    PTX_SUB_INIT, /* mbarrier (ARRIVE above) */
    PTX_SUB_INVAL,
    PTX_SUB_ARRIVE_DROP,
    PTX_SUB_TEST_WAIT,
    PTX_SUB_TRY_WAIT,
    PTX_SUB_PENDING_COUNT,
    PTX_SUB_EXPECT_TX,
    PTX_SUB_COMPLETE_TX,
};

/* Where nothing is written: ld and st are WEAK, atom and red RELAXED at GPU scope, mbarrier RELEASE
 * or ACQUIRE (waits) at CTA scope, membar and proxy fences SC (at SYS if no scope is named). */
enum ptx_sem {
    PTX_SEM_WEAK,
    PTX_SEM_VOLATILE,
    PTX_SEM_RELAXED,
    PTX_SEM_ACQUIRE,
    PTX_SEM_RELEASE,
    PTX_SEM_ACQ_REL,
    PTX_SEM_SC,
};

enum ptx_scope { PTX_SCOPE_NONE, PTX_SCOPE_CTA, PTX_SCOPE_CLUSTER, PTX_SCOPE_GPU, PTX_SCOPE_SYS };

enum ptx_flag {
    PTX_F_FTZ = 1u << 0,
    PTX_F_SAT = 1u << 1,
    PTX_F_APPROX = 1u << 2,
    PTX_F_FULL = 1u << 3,
    PTX_F_CC = 1u << 4,      /* writes the carry flag */
    PTX_F_WRAP = 1u << 5,    /* shf.wrap, bmsk.wrap (else clamp) */
    PTX_F_NAN = 1u << 6,     /* min.NaN, max.NaN */
    PTX_F_XORSIGN = 1u << 7, /* min/max.xorsign.abs */
    PTX_F_SATFINITE = 1u << 8,
    PTX_F_RELU = 1u << 9,
    PTX_F_SHIFTAMT = 1u << 10, /* bfind.shiftamt */
    PTX_F_TO = 1u << 11,       /* cvta.to.space */
    PTX_F_NOINC = 1u << 12,    /* cp.async.mbarrier.arrive.noinc */
    PTX_F_PARITY = 1u << 13,   /* mbarrier.*_wait.parity */
    PTX_F_NOCOMPLETE = 1u << 14,
    PTX_F_SIGNED2 = 1u << 15, /* dp4a, dp2a: second operand is signed (type2) */
    PTX_F_UNI = 1u << 16,     /* bra.uni, call.uni, ret.uni: a promise we may use */
    PTX_F_SYNC = 1u << 17,    /* shfl.sync, vote.sync ...; absent in the pre-Volta forms */
    PTX_F_OOB = 1u << 18,
    PTX_F_EXPECT_TX = 1u << 19, /* mbarrier.arrive.expect_tx, arrive_drop.expect_tx */
};

struct ptx_op {
    uint16_t family; /* enum ptx_family */
    uint8_t type;    /* enum ptx_type: the instruction's type; result type where there are two */
    uint8_t type2;   /* enum ptx_type: source type of cvt, set, slct, dp4a...; else NOTYPE */
    uint8_t sub;     /* enum ptx_sub */
    uint8_t cmp;     /* enum ptx_cmp */
    uint8_t boolop;  /* enum ptx_boolop */
    uint8_t round;   /* enum ptx_round */
    uint8_t space;   /* enum ptx_space: of memory operands and cvta/isspacep; cp.async: SHARED */
    uint8_t vec;     /* elements of ld/st: 1, 2, 4 or 8; 0 elsewhere */
    uint8_t sem;     /* enum ptx_sem */
    uint8_t scope;   /* enum ptx_scope */
    uint32_t flags;  /* enum ptx_flag */
};

/* Special registers, one number a component. */
/* clang-format off */
#define PTX_SREG_LIST(X)                                                                          \
    X(TID_X, "%tid.x") X(TID_Y, "%tid.y") X(TID_Z, "%tid.z") X(NTID_X, "%ntid.x")                 \
    X(NTID_Y, "%ntid.y") X(NTID_Z, "%ntid.z") X(CTAID_X, "%ctaid.x") X(CTAID_Y, "%ctaid.y")       \
    X(CTAID_Z, "%ctaid.z") X(NCTAID_X, "%nctaid.x") X(NCTAID_Y, "%nctaid.y")                      \
    X(NCTAID_Z, "%nctaid.z") X(LANEID, "%laneid") X(WARPID, "%warpid") X(NWARPID, "%nwarpid")     \
    X(SMID, "%smid") X(NSMID, "%nsmid") X(GRIDID, "%gridid") X(LANEMASK_EQ, "%lanemask_eq")       \
    X(LANEMASK_LE, "%lanemask_le") X(LANEMASK_LT, "%lanemask_lt") X(LANEMASK_GE, "%lanemask_ge")  \
    X(LANEMASK_GT, "%lanemask_gt") X(CLOCK, "%clock") X(CLOCK_HI, "%clock_hi")                    \
    X(CLOCK64, "%clock64") X(GLOBALTIMER, "%globaltimer") X(GLOBALTIMER_LO, "%globaltimer_lo")    \
    X(GLOBALTIMER_HI, "%globaltimer_hi") X(DYNAMIC_SMEM, "%dynamic_smem_size")                    \
    X(TOTAL_SMEM, "%total_smem_size") X(AGGR_SMEM, "%aggr_smem_size")                             \
    X(RESERVED_SMEM_BEGIN, "%reserved_smem_offset_begin")                                         \
    X(RESERVED_SMEM_END, "%reserved_smem_offset_end")                                             \
    X(RESERVED_SMEM_CAP, "%reserved_smem_offset_cap")                                             \
    X(RESERVED_SMEM_0, "%reserved_smem_offset_0") X(RESERVED_SMEM_1, "%reserved_smem_offset_1")   \
    X(CLUSTERID_X, "%clusterid.x") X(CLUSTERID_Y, "%clusterid.y") X(CLUSTERID_Z, "%clusterid.z")  \
    X(NCLUSTERID_X, "%nclusterid.x") X(NCLUSTERID_Y, "%nclusterid.y")                             \
    X(NCLUSTERID_Z, "%nclusterid.z") X(CLUSTER_CTAID_X, "%cluster_ctaid.x")                       \
    X(CLUSTER_CTAID_Y, "%cluster_ctaid.y") X(CLUSTER_CTAID_Z, "%cluster_ctaid.z")                 \
    X(CLUSTER_NCTAID_X, "%cluster_nctaid.x") X(CLUSTER_NCTAID_Y, "%cluster_nctaid.y")             \
    X(CLUSTER_NCTAID_Z, "%cluster_nctaid.z") X(CLUSTER_CTARANK, "%cluster_ctarank")               \
    X(CLUSTER_NCTARANK, "%cluster_nctarank") X(IS_EXPLICIT_CLUSTER, "%is_explicit_cluster")       \
    X(ENVREG0, "%envreg0") X(ENVREG1, "%envreg1") X(ENVREG2, "%envreg2") X(ENVREG3, "%envreg3")   \
    X(ENVREG_OTHER, "%envreg") X(PM_ANY, "%pm") X(CURRENT_GRAPH_EXEC, "%current_graph_exec")
/* clang-format on */

enum ptx_sreg {
#define PTX_SREG_ENUM(name, text) PTX_SREG_##name,
    PTX_SREG_LIST(PTX_SREG_ENUM)
#undef PTX_SREG_ENUM
        PTX_SREG_COUNT
};

const char *ptx_family_name(enum ptx_family family);
bool ptx_family_is_known(
    enum ptx_family family); /* false: named only to be refused (tex, mma...) */
const char *ptx_type_name(enum ptx_type type);
uint32_t ptx_type_bytes(enum ptx_type type); /* 0 for NOTYPE and PRED */
bool ptx_type_is_float(enum ptx_type type);
bool ptx_type_is_signed(enum ptx_type type); /* signed integers */
const char *ptx_sreg_name(enum ptx_sreg sreg);

#endif /* SOFTCUDA_PTX_PTX_OP_H */
