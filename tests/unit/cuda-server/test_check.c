/* SPDX-License-Identifier: Apache-2.0
 * The check of a GPU on softcuda: it passes, and every way in which a device can be broken is told.
 */
#include "cuda-server/check.h"

#include <stdio.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_check_device)};
    struct fab_err err = {.status = FAB_OK};

    if (cudas_driver_load(SOFTCUDA_LIBRARY, &good, &err) != FAB_OK) {
        printf("%s\n", err.text);
        return 1;
    }
    return check_run(tests);
}
