/* SPDX-License-Identifier: Apache-2.0
 * Devices, primary contexts and a program's own context, entry points, versions.
 */
#include <stdlib.h>
#include <string.h>

#include "compiled.h"
#include "fake_cuda.h"
#include "tests/support/check.h"

static const struct fake_cuda *fake;

static void test_questions_need_no_context(void)
{
    int count = 0, device = 7, value = 0, can = 7;

    CHECK_CASE("only the driver is initialised");
    CHECK_EQ(cudaGetDeviceCount(&count), cudaSuccess);
    CHECK_EQ(count, 2);
    CHECK_EQ(cudaGetDevice(&device), cudaSuccess);
    CHECK_EQ(device, 0);
    CHECK_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 1), cudaSuccess);
    CHECK_EQ(value, 10);
    CHECK_STR(fake->take_log(), "cuInit flags=0\n");
    CHECK_CASE("ordinals are checked, the output stays");
    CHECK_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 2), cudaErrorInvalidDevice);
    CHECK_EQ(cudaDeviceCanAccessPeer(&can, 0, -1), cudaErrorInvalidDevice);
    CHECK_EQ(value, 10);
    CHECK_EQ(can, 7);
    (void)cudaGetLastError();
}

static void test_properties(void)
{
    struct cudaDeviceProp prop;

    CHECK_CASE("every field has its attribute");
    CHECK_EQ(cudaGetDeviceProperties(&prop, 1), cudaSuccess);
    CHECK_STR(prop.name, "Fake GPU 1");
    CHECK_EQ(prop.totalGlobalMem, (size_t)2 << 30);
    CHECK_EQ(prop.uuid.bytes[15], 'b');
    CHECK_EQ(prop.warpSize, 10);
    CHECK_EQ(prop.sharedMemPerBlock, 8);
    CHECK_EQ(prop.major, 75);
    CHECK_EQ(prop.minor, 76);
    CHECK_EQ(prop.multiProcessorCount, 16);
    CHECK_EQ(prop.maxGridSize[1], FAKE_MAX_GRID_YZ);
    CHECK_EQ(prop.maxSurfaceCubemapLayered[1], 68);
    CHECK_EQ(prop.reservedSharedMemPerBlock, 111);
    CHECK_EQ(prop.hostNumaMultinodeIpcSupported, 143);
    CHECK_EQ(prop.luidDeviceNodeMask, 0);
    CHECK_CASE("no such device");
    CHECK_EQ(cudaGetDeviceProperties(&prop, 2), cudaErrorInvalidDevice);
    CHECK_CASE("the best of two");
    int chosen = -1;
    struct cudaDeviceProp wanted;

    memset(&wanted, 0, sizeof(wanted));
    wanted.totalGlobalMem = (size_t)3 << 29;
    CHECK_EQ(cudaChooseDevice(&chosen, &wanted), cudaSuccess);
    CHECK_EQ(chosen, 1);
    (void)fake->take_log();
    (void)cudaGetLastError();
}

static void test_valid_devices(void)
{
    int list[] = {1, 0}, wrong[] = {0, 2}, device = 7;

    CHECK_CASE("the first of the list is used until a choice");
    CHECK_EQ(cudaSetValidDevices(list, 2), cudaSuccess);
    CHECK_EQ(cudaGetDevice(&device), cudaSuccess);
    CHECK_EQ(device, 1);
    CHECK_CASE("a list with a wrong one changes nothing");
    CHECK_EQ(cudaSetValidDevices(wrong, 2), cudaErrorInvalidDevice);
    CHECK_EQ(cudaGetDevice(&device), cudaSuccess);
    CHECK_EQ(device, 1);
    CHECK_CASE("an empty one restores the default");
    CHECK_EQ(cudaSetValidDevices(NULL, 0), cudaSuccess);
    CHECK_EQ(cudaGetDevice(&device), cudaSuccess);
    CHECK_EQ(device, 0);
    CHECK_STR(fake->take_log(), "");
    (void)cudaGetLastError();
}

static void test_set_device_makes_the_context(void)
{
    int device = 0;

    CHECK_CASE("retained once, made current");
    CHECK_EQ(cudaSetDevice(1), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuDevicePrimaryCtxRetain device=1\ncuCtxSetCurrent 0xc001\n");
    CHECK_EQ(cudaSetDevice(1), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuCtxSetCurrent 0xc001\n");
    CHECK_EQ(cudaGetDevice(&device), cudaSuccess);
    CHECK_EQ(device, 1);
    CHECK_CASE("a call that needs a context uses it");
    CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuCtxSynchronize\n");
}

static void test_own_context_is_respected(void)
{
    CUresult (*set_current)(CUcontext) = NULL;
    enum cudaDriverEntryPointQueryResult found;
    int device = 0;
    void *entry = NULL;

    CHECK_CASE("a context that the program made current stays");
    CHECK_EQ(cudaGetDriverEntryPointByVersion("cuCtxSetCurrent", &entry, 4000, cudaEnableDefault,
                                              &found),
             cudaSuccess);
    CHECK_EQ(found, cudaDriverEntryPointSuccess);
    set_current = (CUresult(*)(CUcontext))(uintptr_t)entry;
    CHECK(set_current);
    if (!set_current)
        return;
    CHECK_EQ(set_current((CUcontext)(uintptr_t)0xab00), CUDA_SUCCESS); /* on device 0 */
    (void)fake->take_log();
    CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuCtxSynchronize\n");
    CHECK_EQ(cudaGetDevice(&device), cudaSuccess);
    CHECK_EQ(device, 0);
    CHECK_CASE("without any, the chosen device's primary one is back");
    CHECK_EQ(set_current(NULL), CUDA_SUCCESS);
    CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuCtxSetCurrent 0\ncuCtxSetCurrent 0xc001\ncuCtxSynchronize\n");
}

static void test_reset(void)
{
    CHECK_CASE("the reference is given up and taken again at need");
    CHECK_EQ(cudaDeviceReset(), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuDevicePrimaryCtxReset device=1\n"
                                "cuDevicePrimaryCtxRelease\n"
                                "cuCtxSetCurrent 0\n");
    CHECK_EQ(cudaDeviceSynchronize(), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuDevicePrimaryCtxRetain device=1\n"
                                "cuCtxSetCurrent 0xc001\n"
                                "cuCtxSynchronize\n");
}

static void test_flags_and_peers(void)
{
    CHECK_CASE("flags go to the primary context of the current device");
    CHECK_EQ(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync), cudaSuccess);
    CHECK_STR(fake->take_log(), "cuDevicePrimaryCtxSetFlags device=1 flags=4\n");
    CHECK_CASE("a peer is its primary context");
    CHECK_EQ(cudaDeviceEnablePeerAccess(0, 0), cudaSuccess);
    CHECK_STR(fake->take_log(),
              "cuDevicePrimaryCtxRetain device=0\ncuCtxEnablePeerAccess 0xc000 flags=0\n");
    CHECK_EQ(cudaDeviceEnablePeerAccess(5, 0), cudaErrorInvalidDevice);
    CHECK_EQ(cudaDeviceEnablePeerAccess(1, 0), cudaErrorInvalidDevice); /* itself */
    (void)cudaGetLastError();
}

static void test_entry_points(void)
{
    enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSuccess;
    void *entry = &entry, *other = NULL;

    CHECK_CASE("an unknown name: the call is well, the status tells");
    CHECK_EQ(
        cudaGetDriverEntryPointByVersion("cuNothing", &entry, 12000, cudaEnableDefault, &found),
        cudaSuccess);
    CHECK_EQ(found, cudaDriverEntryPointSymbolNotFound);
    CHECK(!entry);
    CHECK_CASE("without a place for the status it is the call's");
    CHECK_EQ(cudaGetDriverEntryPointByVersion("cuNothing", &entry, 12000, cudaEnableDefault, NULL),
             cudaErrorSymbolNotFound);
    CHECK_CASE("the per-thread form by flag");
    CHECK_EQ(cudaGetDriverEntryPointByVersion("cuMemcpyHtoD", &entry, 7000, cudaEnableLegacyStream,
                                              &found),
             cudaSuccess);
    CHECK_EQ(cudaGetDriverEntryPointByVersion("cuMemcpyHtoD", &other, 7000,
                                              cudaEnablePerThreadDefaultStream, &found),
             cudaSuccess);
    CHECK(entry && other && entry != other);
    (void)cudaGetLastError();
}

static void test_versions(void)
{
    int version = 0;

    CHECK_EQ(cudaRuntimeGetVersion(&version), cudaSuccess);
    CHECK_EQ(version, CUDART_VERSION);
    CHECK_EQ(cudaDriverGetVersion(&version), cudaSuccess);
    CHECK_EQ(version, CUDA_VERSION);
}

static void test_questions_about_capture(void)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;
    enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    unsigned long long id = 77;

    CHECK_CASE("a driver without capture captures nothing");
    CHECK_EQ(cudaStreamIsCapturing(NULL, &status), cudaSuccess);
    CHECK_EQ(status, cudaStreamCaptureStatusNone);
    status = cudaStreamCaptureStatusActive;
    CHECK_EQ(cudaStreamGetCaptureInfo(NULL, &status, &id, NULL, NULL, NULL, NULL), cudaSuccess);
    CHECK_EQ(status, cudaStreamCaptureStatusNone);
    CHECK_EQ(id, 77);
    CHECK_CASE("the mode is exchanged");
    CHECK_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaSuccess);
    CHECK_EQ(mode, cudaStreamCaptureModeGlobal);
    CHECK_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaSuccess);
    CHECK_EQ(mode, cudaStreamCaptureModeRelaxed);
    mode = (enum cudaStreamCaptureMode)3;
    CHECK_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaErrorInvalidValue);
    (void)cudaGetLastError();
    (void)fake->take_log();
}

static void test_driver_that_lacks_a_function(void)
{
    CHECK_CASE("only the calls that need it are lost (FAKE_CUDA_LACKS)");
    CHECK_EQ(cudaCtxResetPersistingL2Cache(), cudaErrorCallRequiresNewerDriver);
    CHECK_EQ(cudaGetLastError(), cudaErrorCallRequiresNewerDriver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_questions_need_no_context),
        CHECK_TEST(test_properties),
        CHECK_TEST(test_valid_devices),
        CHECK_TEST(test_set_device_makes_the_context),
        CHECK_TEST(test_own_context_is_respected),
        CHECK_TEST(test_reset),
        CHECK_TEST(test_flags_and_peers),
        CHECK_TEST(test_entry_points),
        CHECK_TEST(test_versions),
        CHECK_TEST(test_questions_about_capture),
        CHECK_TEST(test_driver_that_lacks_a_function),
    };

    if (setenv("FAKE_CUDA_LACKS",
               "cuCtxResetPersistingL2Cache cuStreamIsCapturing cuStreamGetCaptureInfo "
               "cuThreadExchangeStreamCaptureMode",
               1) != 0)
        return 1;
    fake = fake_find();
    if (!fake)
        return 1;
    return check_run(tests);
}
