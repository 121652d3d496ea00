/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/abi_check.c - what the rest relies on, asked from the compiler.
 *
 * Sizes that compiled programs have been built with, and records and numbers of the two APIs that
 * are passed through unchanged. No code.
 */
#include <assert.h>

#include "cuda-runtime/crt_int.h"

static_assert(CUDART_VERSION / 1000 == 13, "this library is libcudart.so.13");

static_assert(sizeof(struct cudaDeviceProp) == 1008, "record of compiled programs");
static_assert(sizeof(cudaLaunchAttribute) == 72, "record of compiled programs");
static_assert(sizeof(struct cudaFuncAttributes) == 144, "record of compiled programs");
static_assert(sizeof(cudaLaunchConfig_t) == 56, "record of compiled programs");
static_assert(sizeof(struct cudaMemcpy3DParms) == 160, "record of compiled programs");
static_assert(sizeof(struct cudaTextureDesc) == 72, "record of compiled programs");
static_assert(sizeof(struct cudaResourceDesc) == 144, "record of compiled programs");
static_assert(sizeof(cudaIpcMemHandle_t) == 64, "record of compiled programs");
static_assert(sizeof(cudaIpcEventHandle_t) == 64, "record of compiled programs");
static_assert(sizeof(struct cudaPointerAttributes) == 88, "record of compiled programs");
static_assert(sizeof(struct cudaKernelNodeParams) == 56, "record of compiled programs");
static_assert(sizeof(struct cudaGraphNodeParams) == 256, "record of compiled programs");
static_assert(sizeof(struct cudaMemPoolProps) == 88, "record of compiled programs");

#define SAME_SIZE(a, b) static_assert(sizeof(a) == sizeof(b), #a " is " #b)
#define SAME_FIELD(a, fa, b, fb) static_assert(offsetof(a, fa) == offsetof(b, fb), #fa " is " #fb)
#define SAME_NUMBER(a, b) static_assert((int)(a) == (int)(b), #a " is " #b)

SAME_SIZE(cudaLaunchAttribute, CUlaunchAttribute);
SAME_SIZE(cudaLaunchAttributeValue, CUlaunchAttributeValue);
SAME_FIELD(cudaLaunchAttribute, val, CUlaunchAttribute, value);
SAME_FIELD(struct cudaAccessPolicyWindow, missProp, CUaccessPolicyWindow, missProp);
SAME_NUMBER(cudaLaunchAttributeAccessPolicyWindow, CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW);
SAME_NUMBER(cudaLaunchAttributeCooperative, CU_LAUNCH_ATTRIBUTE_COOPERATIVE);
SAME_NUMBER(cudaLaunchAttributeSynchronizationPolicy, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY);
SAME_NUMBER(cudaLaunchAttributeClusterDimension, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
SAME_NUMBER(cudaLaunchAttributePriority, CU_LAUNCH_ATTRIBUTE_PRIORITY);

SAME_SIZE(struct cudaMemLocation, CUmemLocation);
SAME_FIELD(struct cudaMemLocation, id, CUmemLocation, id);
SAME_NUMBER(cudaMemLocationTypeDevice, CU_MEM_LOCATION_TYPE_DEVICE);
SAME_NUMBER(cudaMemLocationTypeHost, CU_MEM_LOCATION_TYPE_HOST);
SAME_NUMBER(cudaMemLocationTypeHostNuma, CU_MEM_LOCATION_TYPE_HOST_NUMA);
SAME_NUMBER(cudaMemAdviseSetReadMostly, CU_MEM_ADVISE_SET_READ_MOSTLY);
SAME_NUMBER(cudaMemAdviseUnsetAccessedBy, CU_MEM_ADVISE_UNSET_ACCESSED_BY);
SAME_NUMBER(cudaMemRangeAttributeReadMostly, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY);
SAME_NUMBER(cudaMemRangeAttributeLastPrefetchLocation,
            CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION);

SAME_SIZE(struct cudaMemPoolProps, CUmemPoolProps);
SAME_FIELD(struct cudaMemPoolProps, maxSize, CUmemPoolProps, maxSize);
SAME_SIZE(struct cudaMemAccessDesc, CUmemAccessDesc);
SAME_FIELD(struct cudaMemAccessDesc, flags, CUmemAccessDesc, flags);
SAME_NUMBER(cudaMemPoolAttrReleaseThreshold, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD);
SAME_NUMBER(cudaMemPoolAttrUsedMemHigh, CU_MEMPOOL_ATTR_USED_MEM_HIGH);
SAME_NUMBER(cudaMemAllocationTypePinned, CU_MEM_ALLOCATION_TYPE_PINNED);
SAME_NUMBER(cudaMemAccessFlagsProtReadWrite, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);

SAME_SIZE(struct cudaMemcpyAttributes, CUmemcpyAttributes);
SAME_FIELD(struct cudaMemcpyAttributes, flags, CUmemcpyAttributes, flags);
SAME_SIZE(struct cudaMemcpy3DBatchOp, CUDA_MEMCPY3D_BATCH_OP);
SAME_FIELD(struct cudaMemcpy3DBatchOp, flags, CUDA_MEMCPY3D_BATCH_OP, flags);
SAME_SIZE(void *, CUdeviceptr);

SAME_NUMBER(cudaFuncAttributeMaxDynamicSharedMemorySize,
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME_NUMBER(cudaFuncAttributePreferredSharedMemoryCarveout,
            CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT);
SAME_NUMBER(cudaFuncAttributeClusterSchedulingPolicyPreference,
            CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE);
SAME_NUMBER(cudaFuncCachePreferEqual, CU_FUNC_CACHE_PREFER_EQUAL);
SAME_NUMBER(cudaDevAttrMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME_NUMBER(cudaDevAttrComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_NUMBER(cudaDevAttrCooperativeLaunch, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH);
SAME_NUMBER(cudaDevAttrMemoryPoolsSupported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED);
SAME_NUMBER(cudaDevP2PAttrAccessSupported, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED);
SAME_NUMBER(cudaLimitStackSize, CU_LIMIT_STACK_SIZE);
SAME_NUMBER(cudaLimitPersistingL2CacheSize, CU_LIMIT_PERSISTING_L2_CACHE_SIZE);
SAME_NUMBER(cudaDeviceScheduleBlockingSync, CU_CTX_SCHED_BLOCKING_SYNC);
SAME_NUMBER(cudaDeviceMapHost, CU_CTX_MAP_HOST);

SAME_NUMBER(cudaJitMaxRegisters, CU_JIT_MAX_REGISTERS);
SAME_NUMBER(cudaJitLogVerbose, CU_JIT_LOG_VERBOSE);
SAME_NUMBER(cudaJitOptimizationLevel, CU_JIT_OPTIMIZATION_LEVEL);
SAME_NUMBER(cudaLibraryBinaryIsPreserved, CU_LIBRARY_BINARY_IS_PRESERVED);

SAME_NUMBER(cudaEnableLegacyStream, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
SAME_NUMBER(cudaEnablePerThreadDefaultStream, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
SAME_NUMBER(cudaDriverEntryPointSymbolNotFound, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
SAME_NUMBER(cudaDriverEntryPointVersionNotSufficent, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);

SAME_NUMBER(cudaStreamNonBlocking, CU_STREAM_NON_BLOCKING);
SAME_NUMBER(cudaEventDisableTiming, CU_EVENT_DISABLE_TIMING);
SAME_NUMBER(cudaEventBlockingSync, CU_EVENT_BLOCKING_SYNC);
SAME_NUMBER(cudaHostAllocWriteCombined, CU_MEMHOSTALLOC_WRITECOMBINED);
SAME_NUMBER(cudaHostAllocMapped, CU_MEMHOSTALLOC_DEVICEMAP);
SAME_NUMBER(cudaHostRegisterReadOnly, CU_MEMHOSTREGISTER_READ_ONLY);
SAME_NUMBER(cudaMemAttachGlobal, CU_MEM_ATTACH_GLOBAL);
SAME_NUMBER(cudaMemAttachSingle, CU_MEM_ATTACH_SINGLE);
SAME_NUMBER(cudaStreamCaptureStatusNone, CU_STREAM_CAPTURE_STATUS_NONE);
SAME_NUMBER(cudaStreamCaptureStatusActive, CU_STREAM_CAPTURE_STATUS_ACTIVE);
SAME_NUMBER(cudaStreamCaptureModeRelaxed, CU_STREAM_CAPTURE_MODE_RELAXED);
SAME_NUMBER(cudaStreamCaptureModeGlobal, 0);
SAME_SIZE(cudaGraphEdgeData, CUgraphEdgeData);

SAME_SIZE(cudaAsyncNotificationInfo_t, CUasyncNotificationInfo);
SAME_FIELD(cudaAsyncNotificationInfo_t, info, CUasyncNotificationInfo, info);
SAME_NUMBER(cudaAsyncNotificationTypeOverBudget, CU_ASYNC_NOTIFICATION_TYPE_OVER_BUDGET);
SAME_NUMBER(cudaLogLevelError, CU_LOG_LEVEL_ERROR);
SAME_NUMBER(cudaLogLevelWarning, CU_LOG_LEVEL_WARNING);
