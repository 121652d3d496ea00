/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/trace_log.c - cuLogs*: cuda-common/log.c keeps the lines.
 */
#include "cuda-common/log.h"

#include "generated/cuda-api/softcuda_impl.h"

CUresult soft_cuLogsRegisterCallback(CUlogsCallback callbackFunc, void *userData,
                                     CUlogsCallbackHandle *callback_out)
{
    return cuc_log_callback_register(callbackFunc, userData, callback_out);
}

CUresult soft_cuLogsUnregisterCallback(CUlogsCallbackHandle callback)
{
    return cuc_log_callback_unregister(callback);
}

CUresult soft_cuLogsCurrent(CUlogIterator *iterator_out, unsigned int flags)
{
    return cuc_log_current(iterator_out, flags);
}

CUresult soft_cuLogsDumpToFile(CUlogIterator *iterator, const char *pathToFile, unsigned int flags)
{
    return cuc_log_dump_to_file(iterator, pathToFile, flags);
}

CUresult soft_cuLogsDumpToMemory(CUlogIterator *iterator, char *buffer, size_t *size,
                                 unsigned int flags)
{
    return cuc_log_dump_to_memory(iterator, buffer, size, flags);
}
