/* SPDX-License-Identifier: Apache-2.0
 * softcuda's NVML, which does not answer when asked for load while the file of TEST_NVML_HANGS is
 * there. Everything else is the library's that this one is linked to.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cuda-common/nvml.h"

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    const char *file = getenv("TEST_NVML_HANGS");

    (void)device;
    while (file && access(file, F_OK) == 0)
        (void)pause();
    *utilization = (nvmlUtilization_t){.gpu = 42};
    return NVML_SUCCESS;
}
