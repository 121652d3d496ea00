/* SPDX-License-Identifier: Apache-2.0
 * The check of a GPU on softcuda: it passes, and every way in which a device can be broken is told.
 * Clearing one: every byte that can be taken is set to zero before it is given back.
 */
#include "cuda-server/check.h"

#include <stdio.h>

#include "cuda-server/clear.h"

#include "base/err.h"
#include "cuda-server/driver.h"
#include "tests/support/check.h"

static struct cudas_driver good;

static CUresult refuse_create(CUmemGenericAllocationHandle *handle, size_t bytes,
                              const CUmemAllocationProp *properties, unsigned long long flags)
{
    (void)handle;
    (void)bytes;
    (void)properties;
    (void)flags;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult lose_copy_in(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    (void)from;
    return good.cuMemsetD8Async(to, 0, bytes, stream);
}

static CUresult lose_last_word(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return good.cuMemcpyDtoHAsync_v2(to, from, bytes - 4, stream);
}

static CUresult skip_launch(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                            unsigned by, unsigned bz, unsigned shared, CUstream stream,
                            void **parameters, void **extra)
{
    (void)function, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;
    (void)stream, (void)parameters, (void)extra;
    return CUDA_SUCCESS;
}

static CUresult refuse_wait(CUstream stream)
{
    (void)stream;
    return CUDA_ERROR_ILLEGAL_ADDRESS;
}

static void break_nothing(struct cudas_driver *driver)
{
    (void)driver;
}

static void break_create(struct cudas_driver *driver)
{
    driver->cuMemCreate = refuse_create;
}

static void break_copy_in(struct cudas_driver *driver)
{
    driver->cuMemcpyHtoDAsync_v2 = lose_copy_in;
}

static void break_copy_out(struct cudas_driver *driver)
{
    driver->cuMemcpyDtoHAsync_v2 = lose_last_word;
}

static void break_launch(struct cudas_driver *driver)
{
    driver->cuLaunchKernel = skip_launch;
}

static void break_wait(struct cudas_driver *driver)
{
    driver->cuStreamSynchronize = refuse_wait;
}

static void test_check_device(void)
{
    static const struct {
        const char *label;
        void (*breaks)(struct cudas_driver *driver);
        int device;
        enum fab_status status;
        const char *text;
    } rows[] = {
        {"a good device", break_nothing, 0, FAB_OK, ""},
        {"no such device", break_nothing, 63, FAB_ERR_DEVICE,
         "finding the device failed: code 101"},
        {"no memory", break_create, 0, FAB_ERR_DEVICE, "taking memory failed: code 2"},
        {"copies in that arrive as zeros", break_copy_in, 0, FAB_ERR_DEVICE,
         "word 0 of 65536 came back as 0xffffffff"},
        {"copies out that end early", break_copy_out, 0, FAB_ERR_DEVICE,
         "word 65535 of 65536 came back as 0x00000000"},
        {"kernels that do not run", break_launch, 0, FAB_ERR_DEVICE,
         "word 0 of 65536 came back as 0x5a17c0de"},
        {"a sticky error", break_wait, 0, FAB_ERR_DEVICE, "copying to the device failed: code 700"},
        {"good again", break_nothing, 0, FAB_OK, ""}, /* nothing was left behind */
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct cudas_driver driver = good;
        struct fab_err err = {.status = FAB_OK};

        CHECK_CASE("%s", rows[i].label);
        rows[i].breaks(&driver);
        CHECK_EQ(cudas_check_device(&driver, rows[i].device, &err), rows[i].status);
        CHECK_HAS(err.text, rows[i].text);
    }
}

/* ---- clearing ---------------------------------------------------------------------------------
 */

static struct {
    size_t created_bytes, zeroed_bytes, other_bytes, released_after_bytes;
    bool is_synchronized;
} counted;

static CUresult count_create(CUmemGenericAllocationHandle *handle, size_t bytes,
                             const CUmemAllocationProp *properties, unsigned long long flags)
{
    const CUresult result = good.cuMemCreate(handle, bytes, properties, flags);

    counted.created_bytes += result == CUDA_SUCCESS ? bytes : 0;
    return result;
}

static CUresult count_set(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    if (value == 0)
        counted.zeroed_bytes += bytes;
    else
        counted.other_bytes += bytes;
    return good.cuMemsetD8Async(to, value, bytes, stream);
}

static CUresult count_wait(CUstream stream)
{
    counted.is_synchronized = true;
    return good.cuStreamSynchronize(stream);
}

static CUresult count_release(CUmemGenericAllocationHandle handle)
{
    if (counted.is_synchronized)
        counted.released_after_bytes = counted.zeroed_bytes; /* all was held at once */
    return good.cuMemRelease(handle);
}

static CUresult refuse_set(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    (void)to, (void)value, (void)bytes, (void)stream;
    return CUDA_ERROR_ILLEGAL_ADDRESS;
}

static size_t free_bytes(void)
{
    size_t left = 0, total = 0;
    CUcontext context;

    CHECK_EQ(good.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    CHECK_EQ(good.cuCtxSetCurrent(context), CUDA_SUCCESS);
    CHECK_EQ(good.cuMemGetInfo_v2(&left, &total), CUDA_SUCCESS);
    CHECK_EQ(good.cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    return left;
}

static void test_clear_device(void)
{
    struct cudas_driver driver = good;
    struct fab_err err = {.status = FAB_OK};
    const size_t before = free_bytes(), granule = (size_t)2 << 20;

    driver.cuMemCreate = count_create;
    driver.cuMemsetD8Async = count_set;
    driver.cuStreamSynchronize = count_wait;
    driver.cuMemRelease = count_release;
    CHECK_EQ(cudas_clear_device(&driver, 0, &err), FAB_OK);
    CHECK_STR(err.text, "");
    CHECK_EQ(counted.zeroed_bytes, before / granule * granule);
    CHECK_EQ(counted.released_after_bytes, counted.zeroed_bytes);
    CHECK_EQ(counted.created_bytes, counted.zeroed_bytes);
    CHECK_EQ(counted.other_bytes, 0);
    CHECK_EQ(free_bytes(), before); /* all is given back */
}

static void break_set(struct cudas_driver *driver)
{
    driver->cuMemsetD8Async = refuse_set;
}

static void test_clear_fails(void)
{
    static const struct {
        const char *label;
        void (*breaks)(struct cudas_driver *driver);
        int device;
        const char *text;
    } rows[] = {
        {"no such device", break_nothing, 63, "finding the device failed: code 101"},
        {"no memory", break_create, 0, "no memory could be taken, although"},
        {"memory that is not set", break_set, 0, "taking and setting memory failed: code 700"},
        {"a sticky error", break_wait, 0, "setting memory failed: code 700"},
    };
    const size_t before = free_bytes();

    for (size_t i = 0; i < FAB_ARRAY_LEN(rows); i++) {
        struct cudas_driver driver = good;
        struct fab_err err = {.status = FAB_OK};

        CHECK_CASE("%s", rows[i].label);
        rows[i].breaks(&driver);
        CHECK_EQ(cudas_clear_device(&driver, rows[i].device, &err), FAB_ERR_DEVICE);
        CHECK_HAS(err.text, rows[i].text);
        CHECK_EQ(free_bytes(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_check_device), CHECK_TEST(test_clear_device),
                                       CHECK_TEST(test_clear_fails)};
    struct fab_err err = {.status = FAB_OK};

    if (cudas_driver_load(SOFTCUDA_LIBRARY, &good, &err) != FAB_OK) {
        printf("%s\n", err.text);
        return 1;
    }
    return check_run(tests);
}
