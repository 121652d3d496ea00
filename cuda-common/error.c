/* SPDX-License-Identifier: Apache-2.0
 * cuda-common/error.c - names and texts of CUresult, in our own words.
 */
#include "cuda-common/error.h"

#include <stddef.h>

#include "base/compiler.h"

struct error_row {
    CUresult number;
    const char *name, *text;
};
#define ROW(number, text)                                                                          \
    {                                                                                              \
        number, #number, text                                                                      \
    }

/* By number, ascending. */
static const struct error_row rows[] = {
    ROW(CUDA_SUCCESS, "no error"),
    ROW(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ROW(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ROW(CUDA_ERROR_NOT_INITIALIZED, "the driver is not initialised in this process"),
    ROW(CUDA_ERROR_DEINITIALIZED, "the driver is shutting down"),
    ROW(CUDA_ERROR_PROFILER_DISABLED, "the profiler is not available in this process"),
    ROW(CUDA_ERROR_PROFILER_NOT_INITIALIZED, "the profiler was not set up before use"),
    ROW(CUDA_ERROR_PROFILER_ALREADY_STARTED, "the profiler runs already"),
    ROW(CUDA_ERROR_PROFILER_ALREADY_STOPPED, "the profiler is stopped already"),
    ROW(CUDA_ERROR_STUB_LIBRARY, "a link-time stub is loaded instead of a driver"),
    ROW(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "the call needs a newer driver"),
    ROW(CUDA_ERROR_DEVICE_UNAVAILABLE, "the device is busy or unavailable"),
    ROW(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is present"),
    ROW(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ROW(CUDA_ERROR_DEVICE_NOT_LICENSED, "the device has no valid licence"),
    ROW(CUDA_ERROR_INVALID_IMAGE, "the code image is invalid"),
    ROW(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ROW(CUDA_ERROR_CONTEXT_ALREADY_CURRENT, "the context is current already"),
    ROW(CUDA_ERROR_MAP_FAILED, "mapping failed"),
    ROW(CUDA_ERROR_UNMAP_FAILED, "unmapping failed"),
    ROW(CUDA_ERROR_ARRAY_IS_MAPPED, "the array is mapped"),
    ROW(CUDA_ERROR_ALREADY_MAPPED, "the resource is mapped already"),
    ROW(CUDA_ERROR_NO_BINARY_FOR_GPU, "the code holds no image that this device can run"),
    ROW(CUDA_ERROR_ALREADY_ACQUIRED, "the resource is acquired already"),
    ROW(CUDA_ERROR_NOT_MAPPED, "the resource is not mapped"),
    ROW(CUDA_ERROR_NOT_MAPPED_AS_ARRAY, "the resource is not mapped as an array"),
    ROW(CUDA_ERROR_NOT_MAPPED_AS_POINTER, "the resource is not mapped as a pointer"),
    ROW(CUDA_ERROR_ECC_UNCORRECTABLE, "a memory error that could not be corrected"),
    ROW(CUDA_ERROR_UNSUPPORTED_LIMIT, "the device does not have this limit"),
    ROW(CUDA_ERROR_CONTEXT_ALREADY_IN_USE, "another thread uses the context exclusively"),
    ROW(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "these devices have no direct access to each other"),
    ROW(CUDA_ERROR_INVALID_PTX, "the PTX code could not be compiled"),
    ROW(CUDA_ERROR_INVALID_GRAPHICS_CONTEXT, "invalid graphics context"),
    ROW(CUDA_ERROR_NVLINK_UNCORRECTABLE, "an NVLink error that could not be corrected"),
    ROW(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "the PTX compiler library was not found"),
    ROW(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the PTX version is newer than this driver"),
    ROW(CUDA_ERROR_JIT_COMPILATION_DISABLED, "compiling PTX is switched off"),
    ROW(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY,
        "the device does not support this execution affinity"),
    ROW(CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC,
        "the code synchronises on the device in an unsupported way"),
    ROW(CUDA_ERROR_CONTAINED, "an error that was contained on the device"),
    ROW(CUDA_ERROR_INVALID_SOURCE, "invalid source of device code"),
    ROW(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    ROW(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "a symbol of a shared library was not found"),
    ROW(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "a shared library did not initialise"),
    ROW(CUDA_ERROR_OPERATING_SYSTEM, "a call to the operating system failed"),
    ROW(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    ROW(CUDA_ERROR_ILLEGAL_STATE, "the object is in the wrong state for this"),
    ROW(CUDA_ERROR_LOSSY_QUERY, "the answer would lose information"),
    ROW(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    ROW(CUDA_ERROR_NOT_READY, "not finished yet"),
    ROW(CUDA_ERROR_ILLEGAL_ADDRESS, "a kernel accessed an illegal memory address"),
    ROW(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for the launch"),
    ROW(CUDA_ERROR_LAUNCH_TIMEOUT, "a kernel ran too long and was ended"),
    ROW(CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING, "the launch uses an incompatible texturing mode"),
    ROW(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is enabled already"),
    ROW(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access is not enabled"),
    ROW(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "the primary context is active already"),
    ROW(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the context is destroyed"),
    ROW(CUDA_ERROR_ASSERT, "an assertion in a kernel failed"),
    ROW(CUDA_ERROR_TOO_MANY_PEERS, "no more peers can be enabled"),
    ROW(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "the host memory is registered already"),
    ROW(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "the host memory is not registered"),
    ROW(CUDA_ERROR_HARDWARE_STACK_ERROR, "a kernel exceeded its stack"),
    ROW(CUDA_ERROR_ILLEGAL_INSTRUCTION, "a kernel executed an illegal instruction"),
    ROW(CUDA_ERROR_MISALIGNED_ADDRESS, "a kernel accessed a misaligned address"),
    ROW(CUDA_ERROR_INVALID_ADDRESS_SPACE, "a kernel used an address of the wrong space"),
    ROW(CUDA_ERROR_INVALID_PC, "a kernel jumped to an invalid address"),
    ROW(CUDA_ERROR_LAUNCH_FAILED, "a kernel failed"),
    ROW(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "more blocks than a cooperative launch can hold"),
    ROW(CUDA_ERROR_TENSOR_MEMORY_LEAK, "a kernel ended without freeing its tensor memory"),
    ROW(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    ROW(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    ROW(CUDA_ERROR_SYSTEM_NOT_READY, "the system is not ready yet"),
    ROW(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "the parts of the driver do not match"),
    ROW(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
        "the device does not support forward compatibility"),
    ROW(CUDA_ERROR_MPS_CONNECTION_FAILED, "no connection to the MPS server"),
    ROW(CUDA_ERROR_MPS_RPC_FAILURE, "the connection to the MPS server failed"),
    ROW(CUDA_ERROR_MPS_SERVER_NOT_READY, "the MPS server is not ready"),
    ROW(CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, "the MPS server has no room for another client"),
    ROW(CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED, "the MPS server has no device connection left"),
    ROW(CUDA_ERROR_MPS_CLIENT_TERMINATED, "the MPS client was ended by the server"),
    ROW(CUDA_ERROR_CDP_NOT_SUPPORTED,
        "the module uses dynamic parallelism, which is not supported"),
    ROW(CUDA_ERROR_CDP_VERSION_MISMATCH,
        "the module uses an unsupported version of dynamic parallelism"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "not permitted while the stream is being captured"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
        "the capture of the stream was invalidated by an error"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_MERGE, "this would merge two captures"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture did not begin in this stream"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "the capture has work that was not joined"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
        "this would make a captured stream depend on work outside"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
        "this would depend on the default stream while capturing"),
    ROW(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a captured stream"),
    ROW(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture belongs to another thread"),
    ROW(CUDA_ERROR_TIMEOUT, "the time is over"),
    ROW(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the graph can not be updated: its shape changed"),
    ROW(CUDA_ERROR_EXTERNAL_DEVICE, "an error outside of the GPU"),
    ROW(CUDA_ERROR_INVALID_CLUSTER_SIZE, "invalid cluster size"),
    ROW(CUDA_ERROR_FUNCTION_NOT_LOADED, "the function is not loaded"),
    ROW(CUDA_ERROR_INVALID_RESOURCE_TYPE, "invalid type of device resource"),
    ROW(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION, "invalid configuration of device resources"),
    ROW(CUDA_ERROR_KEY_ROTATION, "encryption keys are being exchanged"),
    ROW(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef ROW

static const struct error_row *row_find(CUresult error)
{
    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++)
        if (rows[i].number == error)
            return &rows[i];
    return NULL;
}

CUresult cuc_error_name(CUresult error, const char **name_out)
{
    const struct error_row *row = row_find(error);

    if (!name_out)
        return CUDA_ERROR_INVALID_VALUE;
    *name_out = row ? row->name : NULL;
    return row ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuc_error_text(CUresult error, const char **text_out)
{
    const struct error_row *row = row_find(error);

    if (!text_out)
        return CUDA_ERROR_INVALID_VALUE;
    *text_out = row ? row->text : NULL;
    return row ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
