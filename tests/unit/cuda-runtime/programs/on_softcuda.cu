/* SPDX-License-Identifier: Apache-2.0
 * The runtime's functions with a driver that really runs kernels (softcuda, two devices): what a
 * program can see of each group. Every failed check prints its line; the exit status counts.
 */
#include <cstdio>
#include <cstring>
#include <vector>

#include <cuda.h>
#include <cuda_runtime.h>

static int failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::printf("line %d: %s\n", __LINE__, #condition);                                    \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)
#define CHECK_STATUS(call, wanted)                                                                 \
    do {                                                                                           \
        cudaError_t status_ = (call);                                                              \
        if (status_ != (wanted)) {                                                                 \
            std::printf("line %d: %s is %s\n", __LINE__, #call, cudaGetErrorName(status_));        \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)
#define TRY(call) CHECK_STATUS(call, cudaSuccess)

__device__ int counters[4];
__constant__ int weights[4] = {1, 10, 100, 1000};
__managed__ int shared_total = 5;

__global__ void fill(int *out, int count, int value)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        out[i] = value + i;
}

__global__ void weigh(int *out)
{
    atomicAdd(&counters[threadIdx.x], weights[threadIdx.x]);
    out[threadIdx.x] = counters[threadIdx.x];
    if (threadIdx.x == 0)
        shared_total += 1;
}

__global__ void use_shared(int *out)
{
    extern __shared__ int scratch[];

    scratch[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = scratch[blockDim.x - 1 - threadIdx.x];
}

__global__ void touch(int *address)
{
    *address = 1;
}

static const char library_ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                                  ".visible .global .align 4 .u32 answer = 42;\n"
                                  ".visible .entry seven(.param .u64 out)\n{\n"
                                  ".reg .b64 %a; .reg .b32 %v;\n"
                                  "ld.param.u64 %a, [out];\ncvta.to.global.u64 %a, %a;\n"
                                  "mov.u32 %v, 7;\nst.global.u32 [%a], %v;\nret;\n}\n";

static void devices()
{
    int count = 0, device = -1, value = 0, found = -1, least = 0, greatest = 0;
    cudaDeviceProp prop;
    char bus[32];

    TRY(cudaGetDeviceCount(&count));
    CHECK(count == 2);
    TRY(cudaGetDeviceProperties(&prop, 1));
    CHECK(prop.name[0] && prop.warpSize == 32 && prop.totalGlobalMem > 0 && prop.major >= 7);
    TRY(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 1));
    CHECK(value == prop.multiProcessorCount && value > 0);
    TRY(cudaDeviceGetPCIBusId(bus, sizeof(bus), 1));
    TRY(cudaDeviceGetByPCIBusId(&found, bus));
    CHECK(found == 1);
    CHECK_STATUS(cudaSetDevice(2), cudaErrorInvalidDevice);
    CHECK_STATUS(cudaGetLastError(), cudaErrorInvalidDevice);
    TRY(cudaSetDevice(1));
    TRY(cudaGetDevice(&device));
    CHECK(device == 1);
    TRY(cudaSetDevice(0));
    TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    CHECK(greatest <= least);
    size_t stack = 0;
    TRY(cudaDeviceSetLimit(cudaLimitStackSize, 4096));
    TRY(cudaDeviceGetLimit(&stack, cudaLimitStackSize));
    CHECK(stack >= 4096);
}

static void CUDART_CB on_log(void *, cudaLogLevel, char *, size_t)
{
}

static void logs()
{
    cudaLogsCallbackHandle handle;
    cudaLogIterator position;
    char text[64] = "unchanged";
    size_t bytes = sizeof(text);

    TRY(cudaLogsRegisterCallback(on_log, nullptr, &handle));
    TRY(cudaLogsUnregisterCallback(handle));
    TRY(cudaLogsCurrent(&position, 0));
    TRY(cudaLogsDumpToMemory(&position, text, &bytes, 0));
    CHECK(bytes <= sizeof(text));
}

static void own_context()
{
    cudaDriverEntryPointQueryResult found;
    void *entry = nullptr;
    int device = -1;

    TRY(cudaGetDriverEntryPointByVersion("cuCtxSetCurrent", &entry, 4000, cudaEnableDefault,
                                         &found));
    auto set_current = reinterpret_cast<CUresult (*)(CUcontext)>(entry);
    TRY(cudaGetDriverEntryPointByVersion("cuCtxCreate", &entry, 3020, cudaEnableDefault, &found));
    auto create = reinterpret_cast<CUresult (*)(CUcontext *, unsigned, CUdevice)>(entry);
    TRY(cudaGetDriverEntryPointByVersion("cuCtxDestroy", &entry, 4000, cudaEnableDefault, &found));
    auto destroy = reinterpret_cast<CUresult (*)(CUcontext)>(entry);
    CHECK(set_current && create && destroy);
    if (!set_current || !create || !destroy)
        return;

    CUcontext context;
    int *memory, value = 0;
    CHECK(create(&context, 0, 1) == CUDA_SUCCESS);
    TRY(cudaGetDevice(&device));
    CHECK(device == 1); /* the program's own context says where we are */
    TRY(cudaMalloc(&memory, sizeof(int)));
    fill<<<1, 1>>>(memory, 1, 9);
    TRY(cudaMemcpy(&value, memory, sizeof(int), cudaMemcpyDeviceToHost));
    CHECK(value == 9);
    TRY(cudaFree(memory));
    CHECK(destroy(context) == CUDA_SUCCESS);
    TRY(cudaSetDevice(0));
    CHECK(set_current(nullptr) == CUDA_SUCCESS);
    TRY(cudaFree(nullptr)); /* the primary context is back */
    TRY(cudaGetDevice(&device));
    CHECK(device == 0);
}

static void copies()
{
    const cudaMemcpyKind kinds[] = {cudaMemcpyHostToHost, cudaMemcpyDefault};
    int *device, *other, host[64], back[64];

    for (int i = 0; i < 64; i++)
        host[i] = i;
    TRY(cudaMalloc(&device, sizeof(host)));
    TRY(cudaMalloc(&other, sizeof(host)));
    for (cudaMemcpyKind kind : kinds) { /* between places that CUDA does not know */
        std::memset(back, 0, sizeof(back));
        TRY(cudaMemcpy(back, host, sizeof(host), kind));
        CHECK(std::memcmp(back, host, sizeof(host)) == 0);
        std::memset(back, 0, sizeof(back));
        TRY(cudaMemcpyAsync(back, host, sizeof(host), kind, cudaStreamPerThread));
        TRY(cudaStreamSynchronize(cudaStreamPerThread));
        CHECK(std::memcmp(back, host, sizeof(host)) == 0);
    }
    TRY(cudaMemcpy(device, host, sizeof(host), cudaMemcpyDefault));
    TRY(cudaMemcpy(other, device, sizeof(host), cudaMemcpyDeviceToDevice));
    TRY(cudaMemcpy(back, other, sizeof(host), cudaMemcpyDefault));
    CHECK(std::memcmp(back, host, sizeof(host)) == 0);
    CHECK_STATUS(cudaMemcpy(back, other, 4, static_cast<cudaMemcpyKind>(7)),
                 cudaErrorInvalidMemcpyDirection);

    /* 4 x 2 x 2 bytes out of the middle of 16 x 4 x 4. */
    cudaPitchedPtr cube;
    std::vector<unsigned char> all(16 * 4 * 4), part(16);
    cudaMemcpy3DParms copy = {};
    TRY(cudaMalloc3D(&cube, make_cudaExtent(16, 4, 4)));
    TRY(cudaMemset3D(cube, 1, make_cudaExtent(16, 4, 4)));
    TRY(cudaMemset3D(cube, 2, make_cudaExtent(8, 2, 4))); /* one call a slice */
    copy.srcPtr = cube;
    copy.srcPos = make_cudaPos(6, 1, 2);
    copy.dstPtr = make_cudaPitchedPtr(part.data(), 4, 4, 2);
    copy.extent = make_cudaExtent(4, 2, 2);
    copy.kind = cudaMemcpyDeviceToHost;
    TRY(cudaMemcpy3D(&copy));
    const unsigned char wanted[16] = {2, 2, 1, 1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1};
    CHECK(std::memcmp(part.data(), wanted, 16) == 0);
    std::memset(part.data(), 0, 16);
    TRY(cudaMemcpy3DAsync(&copy, 0));
    TRY(cudaStreamSynchronize(0));
    CHECK(std::memcmp(part.data(), wanted, 16) == 0);

    const void *from[] = {host, host + 32};
    void *to[] = {device + 32, device};
    size_t sizes[] = {128, 128}, first[] = {0};
    cudaMemcpyAttributes order = {};
    order.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    cudaStream_t stream;
    TRY(cudaStreamCreate(&stream));
    TRY(cudaMemcpyBatchAsync(to, from, sizes, 2, &order, first, 1, stream));
    TRY(cudaStreamSynchronize(stream));
    TRY(cudaMemcpy(back, device, sizeof(back), cudaMemcpyDeviceToHost));
    CHECK(back[0] == 32 && back[32] == 0 && back[63] == 31);
    TRY(cudaStreamDestroy(stream));
    TRY(cudaFree(cube.ptr));
    TRY(cudaFree(device));
    TRY(cudaFree(other));
    (void)cudaGetLastError();
}

static void CUDART_CB add_ten(cudaStream_t, cudaError_t status, void *value)
{
    *static_cast<int *>(value) += status == cudaSuccess ? 10 : 1000;
}

static void CUDART_CB times_two(void *value)
{
    *static_cast<int *>(value) *= 2;
}

static void streams()
{
    cudaStream_t a, b;
    cudaEvent_t event, timed;
    int *memory, value = 1, got = 0, priority = 77, device = -1;
    unsigned flags = 77;
    unsigned long long id_a = 0, id_b = 0;
    float ms = -1;

    TRY(cudaMalloc(&memory, sizeof(int)));
    TRY(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    TRY(cudaStreamCreateWithPriority(&b, cudaStreamDefault, 0));
    TRY(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    TRY(cudaEventCreate(&timed));
    TRY(cudaEventRecord(timed, b));
    fill<<<1, 1, 0, a>>>(memory, 1, 123);
    TRY(cudaEventRecord(event, a));
    TRY(cudaStreamWaitEvent(b, event, 0));
    TRY(cudaMemcpyAsync(&got, memory, sizeof(int), cudaMemcpyDeviceToHost, b));
    TRY(cudaStreamSynchronize(b));
    CHECK(got == 123);
    TRY(cudaStreamQuery(b));
    TRY(cudaEventQuery(event));
    TRY(cudaEventRecord(timed, b));
    TRY(cudaEventSynchronize(timed));
    CHECK_STATUS(cudaEventElapsedTime(&ms, event, timed), cudaErrorInvalidResourceHandle);
    TRY(cudaStreamAddCallback(a, add_ten, &value, 0));
    TRY(cudaLaunchHostFunc(a, times_two, &value));
    TRY(cudaStreamSynchronize(a));
    CHECK(value == 22);
    TRY(cudaStreamGetFlags(a, &flags));
    CHECK(flags == cudaStreamNonBlocking);
    TRY(cudaStreamGetPriority(b, &priority));
    CHECK(priority == 0);
    TRY(cudaStreamGetId(a, &id_a));
    TRY(cudaStreamGetId(b, &id_b));
    CHECK(id_a != id_b);
    TRY(cudaStreamGetDevice(a, &device));
    CHECK(device == 0);
    TRY(cudaStreamDestroy(a));
    TRY(cudaStreamDestroy(b));
    TRY(cudaEventDestroy(event));
    TRY(cudaEventDestroy(timed));
    TRY(cudaFree(memory));
    (void)cudaGetLastError();
}

static void memory_kinds()
{
    cudaPointerAttributes attributes;
    cudaMemPool_t pool, own;
    cudaMemPoolProps props = {};
    cudaMemLocation here = {};
    int *managed, *pinned, *mapped, *async, *fixed, plain[1024], preferred = -9;
    size_t left, total, used = 0;

    here.type = cudaMemLocationTypeDevice;
    here.id = 0;
    TRY(cudaMemGetInfo(&left, &total));
    CHECK(left <= total && left > 0);
    TRY(cudaMallocManaged(&managed, 4096));
    TRY(cudaMemAdvise(managed, 4096, cudaMemAdviseSetPreferredLocation, here));
    TRY(cudaMemRangeGetAttribute(&preferred, sizeof(preferred),
                                 cudaMemRangeAttributePreferredLocation, managed, 4096));
    CHECK(preferred == 0);
    TRY(cudaMemPrefetchAsync(managed, 4096, here, 0, 0));
    fill<<<2, 64>>>(managed, 1024, 0);
    TRY(cudaDeviceSynchronize());
    CHECK(managed[1023] == 1023);
    TRY(cudaPointerGetAttributes(&attributes, managed));
    CHECK(attributes.type == cudaMemoryTypeManaged && attributes.devicePointer == managed);

    TRY(cudaMallocHost(&pinned, 4096));
    TRY(cudaPointerGetAttributes(&attributes, pinned));
    CHECK(attributes.type == cudaMemoryTypeHost && attributes.hostPointer == pinned);
    fill<<<1, 32>>>(pinned, 8, 50); /* unified addressing: usable as it is */
    TRY(cudaDeviceSynchronize());
    CHECK(pinned[7] == 57);
    TRY(cudaHostRegister(plain, sizeof(plain), cudaHostRegisterMapped));
    CHECK_STATUS(cudaHostRegister(plain, sizeof(plain), 0), cudaErrorHostMemoryAlreadyRegistered);
    TRY(cudaHostGetDevicePointer(&mapped, plain, 0));
    fill<<<1, 32>>>(mapped, 1024, 7);
    TRY(cudaDeviceSynchronize());
    CHECK(plain[1000] == 1007);
    TRY(cudaHostUnregister(plain));
    CHECK_STATUS(cudaHostUnregister(plain), cudaErrorHostMemoryNotRegistered);
    TRY(cudaPointerGetAttributes(&attributes, plain));
    CHECK(attributes.type == cudaMemoryTypeUnregistered);

    TRY(cudaDeviceGetDefaultMemPool(&pool, 0));
    TRY(cudaMallocAsync(&async, 4096, 0));
    fill<<<1, 32>>>(async, 1024, 0);
    TRY(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    CHECK(used >= 4096);
    TRY(cudaFreeAsync(async, 0));
    props.allocType = cudaMemAllocationTypePinned;
    props.location = here;
    TRY(cudaMemPoolCreate(&own, &props));
    TRY(cudaMallocFromPoolAsync(&async, 4096, own, 0));
    TRY(cudaFreeAsync(async, 0));
    TRY(cudaDeviceSynchronize());
    TRY(cudaMemPoolTrimTo(own, 0));
    TRY(cudaMemPoolDestroy(own));

    TRY(cudaMalloc(&fixed, 16));
    TRY(cudaPointerGetAttributes(&attributes, fixed + 2));
    CHECK(attributes.type == cudaMemoryTypeDevice && attributes.device == 0);
    TRY(cudaFree(fixed));
    CHECK_STATUS(cudaFree(plain), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMalloc(&fixed, SIZE_MAX / 2), cudaErrorMemoryAllocation);
    TRY(cudaFree(managed));
    TRY(cudaFreeHost(pinned));
    (void)cudaGetLastError();
}

static void peers()
{
    int can = 0, *near, *far, got[4];

    TRY(cudaDeviceCanAccessPeer(&can, 0, 1));
    CHECK(can == 1);
    TRY(cudaMalloc(&near, sizeof(got)));
    TRY(cudaSetDevice(1));
    TRY(cudaMalloc(&far, sizeof(got)));
    fill<<<1, 4>>>(far, 4, 300);
    TRY(cudaDeviceSynchronize());
    TRY(cudaSetDevice(0));
    TRY(cudaMemcpyPeer(near, 0, far, 1, sizeof(got)));
    TRY(cudaMemcpy(got, near, sizeof(got), cudaMemcpyDeviceToHost));
    CHECK(got[3] == 303);
    CHECK_STATUS(cudaDeviceDisablePeerAccess(1), cudaErrorPeerAccessNotEnabled);
    TRY(cudaDeviceEnablePeerAccess(1, 0));
    CHECK_STATUS(cudaDeviceEnablePeerAccess(1, 0), cudaErrorPeerAccessAlreadyEnabled);
    CHECK_STATUS(cudaGetLastError(), cudaErrorPeerAccessAlreadyEnabled);
    fill<<<1, 4>>>(far, 4, 500); /* device 0 writes memory of device 1 */
    TRY(cudaDeviceSynchronize());
    TRY(cudaMemcpy(got, far, sizeof(got), cudaMemcpyDeviceToHost));
    CHECK(got[0] == 500);
    TRY(cudaDeviceDisablePeerAccess(1));
    TRY(cudaFree(near));
    TRY(cudaFree(far));
    (void)cudaGetLastError();
}

static void symbols()
{
    int start[4] = {1, 2, 3, 4}, got[4], *out;
    const int more[2] = {7, 8};
    void *address = nullptr;
    size_t bytes = 0;

    TRY(cudaMalloc(&out, sizeof(got)));
    TRY(cudaMemcpyToSymbol(counters, start, sizeof(start)));
    TRY(cudaMemcpyToSymbol(weights, more, sizeof(more), 2 * sizeof(int)));
    weigh<<<1, 4>>>(out);
    TRY(cudaMemcpyFromSymbol(got, counters, sizeof(got)));
    CHECK(got[0] == 2 && got[1] == 12 && got[2] == 10 && got[3] == 12);
    CHECK(shared_total == 6);
    TRY(cudaGetSymbolAddress(&address, counters));
    TRY(cudaGetSymbolSize(&bytes, counters));
    CHECK(bytes == sizeof(counters));
    TRY(cudaMemcpy(got, static_cast<int *>(address) + 3, sizeof(int), cudaMemcpyDeviceToHost));
    CHECK(got[0] == 12);
    CHECK_STATUS(cudaMemcpyToSymbol(weights, start, sizeof(start), 4), cudaErrorInvalidValue);
    /* Another device has variables of its own. */
    TRY(cudaSetDevice(1));
    TRY(cudaMemcpyFromSymbol(got, counters, sizeof(got)));
    CHECK(got[0] == 0);
    TRY(cudaSetDevice(0));
    TRY(cudaFree(out));
    (void)cudaGetLastError();
}

static void kernels()
{
    cudaFuncAttributes attributes;
    cudaLibrary_t library;
    cudaKernel_t kernel;
    const char *name = nullptr;
    size_t offset = 77, size = 77, bytes = 0;
    unsigned count = 0;
    int *out, got[64], blocks = 0, minimum = 0, best = 0;
    void *answer = nullptr;

    TRY(cudaMalloc(&out, sizeof(got)));
    void *args[] = {&out};
    TRY(cudaFuncGetAttributes(&attributes, use_shared));
    CHECK(attributes.maxThreadsPerBlock > 0 && attributes.maxDynamicSharedSizeBytes >= 48 << 10);
    TRY(cudaFuncSetAttribute(use_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10));
    use_shared<<<1, 64, 60 << 10>>>(out);
    TRY(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
    CHECK(got[0] == 63 && got[63] == 0);
    TRY(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill, 256, 0));
    CHECK(blocks > 0);
    TRY(cudaOccupancyMaxPotentialBlockSize(&minimum, &best, fill, 0, 0));
    CHECK(minimum > 0 && best > 0);
    TRY(cudaFuncGetName(&name, reinterpret_cast<const void *>(use_shared)));
    CHECK(name && std::strstr(name, "use_shared"));
    TRY(cudaFuncGetParamInfo(reinterpret_cast<const void *>(fill), 1, &offset, &size));
    CHECK(offset == 8 && size == 4);

    TRY(cudaLibraryLoadData(&library, library_ptx, nullptr, nullptr, 0, nullptr, nullptr, 0));
    TRY(cudaLibraryGetKernelCount(&count, library));
    CHECK(count == 1);
    TRY(cudaLibraryGetKernel(&kernel, library, "seven"));
    TRY(cudaLaunchKernel(reinterpret_cast<const void *>(kernel), dim3(1), dim3(1), args, 0, 0));
    TRY(cudaMemcpy(got, out, sizeof(int), cudaMemcpyDeviceToHost));
    CHECK(got[0] == 7);
    TRY(cudaLibraryGetGlobal(&answer, &bytes, library, "answer"));
    TRY(cudaMemcpy(got, answer, sizeof(int), cudaMemcpyDeviceToHost));
    CHECK(got[0] == 42 && bytes == 4);
    CHECK_STATUS(cudaLibraryGetKernel(&kernel, library, "eight"), cudaErrorSymbolNotFound);
    TRY(cudaLibraryUnload(library));

    TRY(cudaGetKernel(&kernel, reinterpret_cast<const void *>(use_shared)));
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(1);
    config.blockDim = dim3(8);
    config.dynamicSmemBytes = 32;
    TRY(cudaLaunchKernelEx(&config, use_shared, out));
    TRY(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
    CHECK(got[0] == 7 && got[7] == 0);
    TRY(cudaFree(out));
    (void)cudaGetLastError();
}

/* Wrong arguments: refused as the documentation says, nothing else happens. */
static void edges()
{
    cudaStream_t stream = nullptr;
    cudaEvent_t event;
    cudaFuncAttributes attributes;
    cudaMemLocation here = {};
    cudaPointerAttributes pointer;
    void *memory = nullptr;
    int value = 0, plain = 0;
    float ms;

    here.type = cudaMemLocationTypeDevice;
    TRY(cudaEventCreate(&event));
    TRY(cudaMalloc(&memory, 256));
    CHECK_STATUS(cudaStreamCreate(nullptr), cudaErrorInvalidValue);
    CHECK_STATUS(cudaStreamCreateWithFlags(&stream, 99), cudaErrorInvalidValue);
    CHECK_STATUS(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaEventCreate(nullptr), cudaErrorInvalidValue);
    CHECK_STATUS(cudaEventCreateWithFlags(&event, 0x80), cudaErrorInvalidValue);
    CHECK_STATUS(cudaEventDestroy(nullptr), cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaEventRecord(nullptr, nullptr), cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaStreamWaitEvent(nullptr, nullptr, 0), cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaEventElapsedTime(&ms, event, event), cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaMalloc(static_cast<void **>(nullptr), 4), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMallocManaged(&memory, 256, 0), cudaErrorInvalidValue);
    CHECK_STATUS(cudaHostAlloc(&memory, 256, 0x100), cudaErrorInvalidValue);
    CHECK_STATUS(cudaHostRegister(nullptr, 256, 0), cudaErrorInvalidValue);
    CHECK_STATUS(cudaHostUnregister(memory), cudaErrorHostMemoryNotRegistered);
    CHECK_STATUS(cudaFreeHost(&plain), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemset(&plain, 0, 4), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemset(nullptr, 0, 4), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemcpy(memory, nullptr, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemcpy(&plain, &plain, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemcpy(&plain, &plain, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemcpy(memory, &plain, 4, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemcpy2D(memory, 8, &plain, 4, 8, 1, cudaMemcpyHostToDevice),
                 cudaErrorInvalidPitchValue);
    CHECK_STATUS(cudaMemPrefetchAsync(memory, 256, here, 0, 0), cudaErrorInvalidValue);
    CHECK_STATUS(cudaMemAdvise(memory, 256, cudaMemAdviseSetReadMostly, here),
                 cudaErrorInvalidValue);
    CHECK_STATUS(cudaPointerGetAttributes(nullptr, memory), cudaErrorInvalidValue);
    TRY(cudaPointerGetAttributes(&pointer, nullptr));
    CHECK(pointer.type == cudaMemoryTypeUnregistered);
    CHECK_STATUS(cudaFuncGetAttributes(&attributes, memory), cudaErrorInvalidDeviceFunction);
    CHECK_STATUS(cudaFuncSetAttribute(use_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      1 << 20),
                 cudaErrorInvalidValue);
    CHECK_STATUS(cudaFuncSetAttribute(use_shared, static_cast<cudaFuncAttribute>(99), 1),
                 cudaErrorInvalidValue);
    CHECK_STATUS(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, fill, 0, 0),
                 cudaErrorInvalidValue);
    CHECK_STATUS(cudaDeviceGetAttribute(&value, static_cast<cudaDeviceAttr>(9999), 0),
                 cudaErrorInvalidValue);
    CHECK_STATUS(cudaDeviceGetAttribute(nullptr, cudaDevAttrWarpSize, 0), cudaErrorInvalidValue);
    CHECK_STATUS(cudaSetDeviceFlags(0x4000), cudaErrorInvalidValue);
    CHECK_STATUS(cudaDeviceSetLimit(static_cast<cudaLimit>(99), 1), cudaErrorInvalidValue);
    CHECK_STATUS(cudaDeviceEnablePeerAccess(0, 0), cudaErrorInvalidDevice);
    CHECK_STATUS(cudaDeviceEnablePeerAccess(1, 1), cudaErrorInvalidValue);
    CHECK_STATUS(cudaGetDeviceProperties(nullptr, 0), cudaErrorInvalidValue);
    CHECK_STATUS(cudaDeviceCanAccessPeer(&value, 0, 7), cudaErrorInvalidDevice);
    CHECK_STATUS(cudaLaunchHostFunc(nullptr, nullptr, nullptr), cudaErrorInvalidValue);
    TRY(cudaFree(memory));
    TRY(cudaEventDestroy(event));
    (void)cudaGetLastError();
    TRY(cudaDeviceSynchronize());
}

static void errors()
{
    int *memory;

    TRY(cudaMalloc(&memory, 64));
    fill<<<0, 1>>>(memory, 1, 1);
    CHECK_STATUS(cudaGetLastError(), cudaErrorInvalidValue);
    fill<<<1, 2048>>>(memory, 1, 1);
    CHECK_STATUS(cudaGetLastError(), cudaErrorInvalidValue);
    fill<<<1, 1, 1 << 20>>>(memory, 1, 1);
    CHECK_STATUS(cudaGetLastError(), cudaErrorInvalidValue);
    CHECK_STATUS(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(memory)),
                 cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaGetLastError(), cudaErrorInvalidResourceHandle);
    CHECK_STATUS(cudaGetLastError(), cudaSuccess);

    touch<<<1, 1>>>(nullptr);
    CHECK_STATUS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    CHECK_STATUS(cudaGetLastError(), cudaErrorIllegalAddress);
    CHECK_STATUS(cudaGetLastError(), cudaSuccess);
    CHECK_STATUS(cudaMemset(memory, 0, 4), cudaErrorIllegalAddress);
    TRY(cudaDeviceReset());
    TRY(cudaGetLastError());
    TRY(cudaMalloc(&memory, 64));
    fill<<<1, 16>>>(memory, 16, 4);
    int got[16];
    TRY(cudaMemcpy(got, memory, sizeof(got), cudaMemcpyDeviceToHost));
    CHECK(got[15] == 19);
    TRY(cudaFree(memory));
    TRY(cudaDeviceReset());
}

int main()
{
    devices();
    logs();
    own_context();
    copies();
    streams();
    memory_kinds();
    peers();
    symbols();
    kernels();
    edges();
    errors();
    std::printf("done: %d failed\n", failures);
    return failures ? 1 : 0;
}
