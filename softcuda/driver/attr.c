/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/attr.c - device attributes: what the model says, what softcuda can, and the
 * limits that are the same for every device.
 *
 * Each attribute of cuda.h has a row: a test compares. Source: CUDA Driver API, Device Management;
 * limits by compute capability: CUDA C++ Programming Guide, "Compute Capabilities".
 */
#include "softcuda/driver/attr.h"

#include <limits.h>

#include "generated/cuda-api/softcuda_impl.h"
#include "softcuda/driver/device.h"

enum { ATTRIBUTE_END = CU_DEVICE_ATTRIBUTE_MAX };

/* Rows that do not depend on the device. */
struct row {
    bool known;
    int value;
};
#define IS(attribute, number) [CU_DEVICE_ATTRIBUTE_##attribute] = {.known = true, .value = (number)}

static const struct row fixed[ATTRIBUTE_END] = {
    IS(MAX_THREADS_PER_BLOCK, 1024),
    IS(MAX_BLOCK_DIM_X, 1024),
    IS(MAX_BLOCK_DIM_Y, 1024),
    IS(MAX_BLOCK_DIM_Z, 64),
    IS(MAX_GRID_DIM_X, INT_MAX),
    IS(MAX_GRID_DIM_Y, 65535),
    IS(MAX_GRID_DIM_Z, 65535),
    IS(TOTAL_CONSTANT_MEMORY, 65536),
    IS(WARP_SIZE, 32),
    IS(MAX_PITCH, INT_MAX),
    IS(TEXTURE_ALIGNMENT, 512),
    IS(TEXTURE_PITCH_ALIGNMENT, 32),
    IS(SURFACE_ALIGNMENT, 512),
    IS(GPU_OVERLAP, 1),
    IS(KERNEL_EXEC_TIMEOUT, 0),
    IS(INTEGRATED, 0),
    IS(CAN_MAP_HOST_MEMORY, 1),
    IS(COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT),
    IS(CONCURRENT_KERNELS, 1),
    IS(ECC_ENABLED, 0),
    IS(TCC_DRIVER, 0),
    IS(ASYNC_ENGINE_COUNT, 2),
    IS(UNIFIED_ADDRESSING, 1),
    IS(STREAM_PRIORITIES_SUPPORTED, 1),
    IS(GLOBAL_L1_CACHE_SUPPORTED, 1),
    IS(LOCAL_L1_CACHE_SUPPORTED, 1),
    IS(MANAGED_MEMORY, 1),
    IS(MULTI_GPU_BOARD, 0),
    IS(HOST_NATIVE_ATOMIC_SUPPORTED, 1),
    IS(CONCURRENT_MANAGED_ACCESS, 1),
    IS(DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, 1),
    IS(COMPUTE_PREEMPTION_SUPPORTED, 1),
    IS(CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 0), /* an alias, once remote */
    IS(CAN_USE_STREAM_MEM_OPS_V1, 1),
    IS(CAN_USE_64_BIT_STREAM_MEM_OPS_V1, 1),
    IS(CAN_USE_STREAM_WAIT_VALUE_NOR_V1, 1),
    IS(CAN_USE_64_BIT_STREAM_MEM_OPS, 1),
    IS(CAN_USE_STREAM_WAIT_VALUE_NOR, 1),
    IS(COOPERATIVE_LAUNCH, 1),
    IS(COOPERATIVE_MULTI_DEVICE_LAUNCH, 0),
    IS(CAN_FLUSH_REMOTE_WRITES, 0),
    IS(HOST_REGISTER_SUPPORTED, 1),
    IS(READ_ONLY_HOST_REGISTER_SUPPORTED, 1),
    IS(VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1),
    IS(HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1),
    IS(HANDLE_TYPE_WIN32_HANDLE_SUPPORTED, 0),
    IS(HANDLE_TYPE_WIN32_KMT_HANDLE_SUPPORTED, 0),
    IS(HANDLE_TYPE_FABRIC_SUPPORTED, 0),
    IS(GENERIC_COMPRESSION_SUPPORTED, 0),
    IS(MAX_PERSISTING_L2_CACHE_SIZE, 0),
    IS(MAX_ACCESS_POLICY_WINDOW_SIZE, 0),
    IS(GPU_DIRECT_RDMA_SUPPORTED, 0),
    IS(GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, 0),
    IS(GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS, 0),
    IS(GPU_DIRECT_RDMA_WRITES_ORDERING, CU_GPU_DIRECT_RDMA_WRITES_ORDERING_NONE),
    IS(DMA_BUF_SUPPORTED, 0),
    IS(SPARSE_CUDA_ARRAY_SUPPORTED, 0),
    IS(DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED, 0),
    IS(TIMELINE_SEMAPHORE_INTEROP_SUPPORTED, 0),
    IS(MEMORY_POOLS_SUPPORTED, 1),
    IS(MEMPOOL_SUPPORTED_HANDLE_TYPES, CU_MEM_HANDLE_TYPE_NONE),
    IS(CLUSTER_LAUNCH, 0),
    IS(IPC_EVENT_SUPPORTED, 0),
    IS(MEM_SYNC_DOMAIN_COUNT, 1),
    IS(TENSOR_MAP_ACCESS_SUPPORTED, 0),
    IS(UNIFIED_FUNCTION_POINTERS, 0),
    IS(NUMA_CONFIG, CU_DEVICE_NUMA_CONFIG_NONE),
    IS(NUMA_ID, -1),
    IS(MULTICAST_SUPPORTED, 0),
    IS(MPS_ENABLED, 0),
    IS(D3D12_CIG_SUPPORTED, 0),
    IS(VULKAN_CIG_SUPPORTED, 0),
    IS(MEM_DECOMPRESS_ALGORITHM_MASK, 0),
    IS(MEM_DECOMPRESS_MAXIMUM_LENGTH, 0),
    IS(GPU_PCI_DEVICE_ID, 0), /* no vendor made it */
    IS(GPU_PCI_SUBSYSTEM_ID, 0),
    IS(HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1),
    IS(HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1),
    IS(HOST_NUMA_MEMORY_POOLS_SUPPORTED, 0),
    IS(HOST_NUMA_MULTINODE_IPC_SUPPORTED, 0),
    IS(HOST_MEMORY_POOLS_SUPPORTED, 0),
    IS(HOST_ALLOC_DMA_BUF_SUPPORTED, 0),
    IS(ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED, 0),
    /* Textures and surfaces: the limits of the compute capability. */
    IS(CAN_TEX2D_GATHER, 1),
    IS(MAXIMUM_TEXTURE1D_WIDTH, 131072),
    IS(MAXIMUM_TEXTURE1D_LINEAR_WIDTH, ATTR_TEXTURE1D_LINEAR_MAX),
    IS(MAXIMUM_TEXTURE1D_MIPMAPPED_WIDTH, 32768),
    IS(MAXIMUM_TEXTURE1D_LAYERED_WIDTH, 32768),
    IS(MAXIMUM_TEXTURE1D_LAYERED_LAYERS, 2048),
    IS(MAXIMUM_TEXTURE2D_WIDTH, 131072),
    IS(MAXIMUM_TEXTURE2D_HEIGHT, 65536),
    IS(MAXIMUM_TEXTURE2D_LINEAR_WIDTH, 131072),
    IS(MAXIMUM_TEXTURE2D_LINEAR_HEIGHT, 65000),
    IS(MAXIMUM_TEXTURE2D_LINEAR_PITCH, 2097120),
    IS(MAXIMUM_TEXTURE2D_MIPMAPPED_WIDTH, 32768),
    IS(MAXIMUM_TEXTURE2D_MIPMAPPED_HEIGHT, 32768),
    IS(MAXIMUM_TEXTURE2D_GATHER_WIDTH, 32768),
    IS(MAXIMUM_TEXTURE2D_GATHER_HEIGHT, 32768),
    IS(MAXIMUM_TEXTURE2D_LAYERED_WIDTH, 32768),
    IS(MAXIMUM_TEXTURE2D_LAYERED_HEIGHT, 32768),
    IS(MAXIMUM_TEXTURE2D_LAYERED_LAYERS, 2048),
    IS(MAXIMUM_TEXTURE3D_WIDTH, 16384),
    IS(MAXIMUM_TEXTURE3D_HEIGHT, 16384),
    IS(MAXIMUM_TEXTURE3D_DEPTH, 16384),
    IS(MAXIMUM_TEXTURE3D_WIDTH_ALTERNATE, 8192),
    IS(MAXIMUM_TEXTURE3D_HEIGHT_ALTERNATE, 8192),
    IS(MAXIMUM_TEXTURE3D_DEPTH_ALTERNATE, 32768),
    IS(MAXIMUM_TEXTURECUBEMAP_WIDTH, 32768),
    IS(MAXIMUM_TEXTURECUBEMAP_LAYERED_WIDTH, 32768),
    IS(MAXIMUM_TEXTURECUBEMAP_LAYERED_LAYERS, 2046),
    IS(MAXIMUM_SURFACE1D_WIDTH, 32768),
    IS(MAXIMUM_SURFACE1D_LAYERED_WIDTH, 32768),
    IS(MAXIMUM_SURFACE1D_LAYERED_LAYERS, 2048),
    IS(MAXIMUM_SURFACE2D_WIDTH, 131072),
    IS(MAXIMUM_SURFACE2D_HEIGHT, 65536),
    IS(MAXIMUM_SURFACE2D_LAYERED_WIDTH, 32768),
    IS(MAXIMUM_SURFACE2D_LAYERED_HEIGHT, 32768),
    IS(MAXIMUM_SURFACE2D_LAYERED_LAYERS, 2048),
    IS(MAXIMUM_SURFACE3D_WIDTH, 16384),
    IS(MAXIMUM_SURFACE3D_HEIGHT, 16384),
    IS(MAXIMUM_SURFACE3D_DEPTH, 16384),
    IS(MAXIMUM_SURFACECUBEMAP_WIDTH, 32768),
    IS(MAXIMUM_SURFACECUBEMAP_LAYERED_WIDTH, 32768),
    IS(MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS, 2046),
};

/* How much faster 32-bit floating point is than 64-bit, by compute capability. */
static int double_ratio(const struct device_model *model)
{
    if (model->compute_major == 8 && model->compute_minor == 0)
        return 2;
    return model->compute_major == 7 ? 32 : 64;
}

static uint32_t pci_field(const struct device_model *model, int which)
{
    uint32_t field[3] = {0, 0, 0};

    if (device_pci_parse(model->pci_bus_id, &field[0], &field[1], &field[2]) != FAB_OK)
        return 0; /* the reader of the device file wrote the text itself */
    return field[which];
}

/* Attributes that the model decides. False: none of them. */
static bool from_model(const struct device_model *model, int ordinal, CUdevice_attribute attribute,
                       int64_t *value_out)
{
    const int64_t regs_per_block_max = 65536;

    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
        *value_out = model->shared_per_block_bytes;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value_out = model->shared_per_block_optin_bytes;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
        *value_out = model->shared_per_sm_bytes;
        return true;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
        *value_out = model->compute_major >= 8 ? DEVICE_RESERVED_SHARED_BYTES : 0;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
        *value_out =
            model->regs_per_sm < regs_per_block_max ? model->regs_per_sm : regs_per_block_max;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
        *value_out = model->regs_per_sm;
        return true;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
        *value_out = model->sm_clock_khz;
        return true;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
        *value_out = model->memory_clock_khz;
        return true;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
        *value_out = model->memory_bus_bits;
        return true;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
        *value_out = model->l2_bytes;
        return true;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value_out = model->sm_count;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
        *value_out = model->threads_per_sm;
        return true;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
        *value_out = model->blocks_per_sm;
        return true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *value_out = model->compute_major;
        return true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *value_out = model->compute_minor;
        return true;
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO:
        *value_out = double_ratio(model);
        return true;
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID:
        *value_out = pci_field(model, 0);
        return true;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        *value_out = pci_field(model, 1);
        return true;
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
        *value_out = pci_field(model, 2);
        return true;
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES:
        *value_out = soft_device_models()->pageable_access;
        return true;
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID:
        *value_out = model->numa_node;
        return true;
    case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID:
        *value_out = ordinal;
        return true;
    default:
        return false;
    }
}

CUresult soft_device_attribute(const struct soft_device *device, CUdevice_attribute attribute,
                               int *value_out)
{
    int64_t value;

    if (from_model(soft_device_model(device), soft_device_ordinal(device), attribute, &value)) {
        *value_out = value > INT_MAX ? INT_MAX : (int)value;
        return CUDA_SUCCESS;
    }
    if ((unsigned)attribute >= ATTRIBUTE_END || !fixed[attribute].known)
        return CUDA_ERROR_INVALID_VALUE;
    *value_out = fixed[attribute].value;
    return CUDA_SUCCESS;
}

CUresult soft_cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
    const struct soft_device *device = soft_device_at(dev);

    if (!pi)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    return soft_device_attribute(device, attrib, pi);
}
