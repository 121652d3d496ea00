/* SPDX-License-Identifier: Apache-2.0
 * tests/functional/conformance/group_peer.c - kernels of one device in the memory of another.
 */
#include "tests/functional/conformance/memory.h"

static struct memory_world world;

static void accesses(CUdeviceptr other, CUdeviceptr *later)
{
    uint32_t word = 0;

    ROW("a kernel here writes there", memory_poke(&world, 0, other, 11), CUDA_SUCCESS, true);
    ROW("a kernel there reads it", memory_peek(&world, 1, other, &word), CUDA_SUCCESS, word == 11);
    ROW("memory made later", cu.cuMemAlloc(later, 40 * MIB), CUDA_SUCCESS, true);
    ROW("a kernel here writes there", memory_poke(&world, 0, *later + 39 * MIB, 12), CUDA_SUCCESS,
        memory_peek(&world, 1, *later + 39 * MIB, &word) == CUDA_SUCCESS && word == 12);
}

void group_peer(void)
{
    CUdeviceptr other = 0, later = 0;
    uint32_t word = 0;
    int can = 0;

    memory_world_open(&world);
    ROW("itself", cu.cuDeviceCanAccessPeer(&can, 0, 0), CUDA_SUCCESS, can == 0);
    ROW("itself as a peer", cu.cuCtxEnablePeerAccess(world.context[0], 0),
        conformance_checks ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, true);
    if (world.device_count < 2 || cu.cuDeviceCanAccessPeer(&can, 0, 1) != CUDA_SUCCESS || !can)
        return; /* a second device that is no peer, or none, has nothing more to show */
    ROW("memory there", cu.cuCtxSetCurrent(world.context[1]), CUDA_SUCCESS,
        cu.cuMemAlloc(&other, MIB) == CUDA_SUCCESS);
    ROW("back", cu.cuCtxSetCurrent(world.context[0]), CUDA_SUCCESS, true);
    ROW("not enabled", cu.cuCtxDisablePeerAccess(world.context[1]),
        CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, true);
    ROW("flags", cu.cuCtxEnablePeerAccess(world.context[1], 1), CUDA_ERROR_INVALID_VALUE, true);
    ROW("enable", cu.cuCtxEnablePeerAccess(world.context[1], 0), CUDA_SUCCESS, true);
    ROW("twice", cu.cuCtxEnablePeerAccess(world.context[1], 0),
        CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, true);
    accesses(other, &later);
    ROW("freed from here", cu.cuMemFree(later), CUDA_SUCCESS, true);
    ROW("back", cu.cuCtxSetCurrent(world.context[0]), CUDA_SUCCESS, true);
    ROW("disable", cu.cuCtxDisablePeerAccess(world.context[1]), CUDA_SUCCESS, true);
    /* Last: the error stays. */
    ROW("a kernel here writes there", memory_poke(&world, 0, other, 13), CUDA_ERROR_ILLEGAL_ADDRESS,
        true);
    ROW("the other device is not touched by that", memory_peek(&world, 1, other, &word),
        CUDA_SUCCESS, word == 11);
}
