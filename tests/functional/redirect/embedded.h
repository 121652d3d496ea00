/* SPDX-License-Identifier: Apache-2.0
 * What a program with an embedded runtime looks like to the loader: hidden, 16-byte aligned public
 * functions, called from a constructor and later. They say "embedded" when nobody redirects them.
 */
#include <unistd.h>

#define EMBEDDED(name)                                                                             \
    __attribute__((visibility("hidden"), noinline, aligned(16))) int name(void)                    \
    {                                                                                              \
        return (int)write(1, "embedded:" #name "\n", sizeof("embedded:" #name "\n") - 1);          \
    }

EMBEDDED(__cudaRegisterFatBinary)
EMBEDDED(cudaMalloc)
EMBEDDED(cudaFree)
#ifdef MAJOR_12
EMBEDDED(cudaGetDeviceProperties_v2)
#endif
/* A name of the same kind that no runtime exports: the user's own function. */
EMBEDDED(__cudaUnregisterBinaryUtil)

#ifdef TINY_NEIGHBOUR
/* cudaFreeHost has 4 bytes before its neighbour: no room for a jump. */
__asm__(".text\n.globl cudaMemset\n.hidden cudaMemset\n.type cudaMemset,@function\n"
        "cudaMemset: ret\nnop\nnop\nnop\n.size cudaMemset,.-cudaMemset\n"
        ".type neighbour,@function\nneighbour: ret\n.size neighbour,.-neighbour\n");
#endif
#ifdef FOLDED
__asm__(".globl cudaMemset\n.hidden cudaMemset\n.set cudaMemset,cudaFree\n");
#endif

/* Mark the object as one with device code, or else as one with a runtime's texts. */
#ifdef NO_DEVICE_CODE
__attribute__((used)) static const char error_name[] = "cudaErrorInsufficientDriver";
#else
__attribute__((section(".nv_fatbin"), used)) static const char fat_binary[16] = "device code";
#endif

__attribute__((constructor)) static void at_start(void)
{
    (void)__cudaRegisterFatBinary();
}
