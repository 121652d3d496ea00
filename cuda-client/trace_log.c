/* SPDX-License-Identifier: Apache-2.0
 * cuda-client/trace_log.c - cuLogs*: cuda-common/log.c keeps the lines.
 */
#include "cuda-common/log.h"

#include "generated/cuda-api/client_impl.h"

CUresult cudac_cuLogsRegisterCallback(CUlogsCallback callbackFunc, void *userData,
                                      CUlogsCallbackHandle *callback_out)
{
    return cuc_log_callback_register(callbackFunc, userData, callback_out);
}

CUresult cudac_cuLogsUnregisterCallback(CUlogsCallbackHandle callback)
{
    return cuc_log_callback_unregister(callback);
}

CUresult cudac_cuLogsCurrent(CUlogIterator *iterator_out, unsigned int flags)
{
    return cuc_log_current(iterator_out, flags);
}

CUresult cudac_cuLogsDumpToFile(CUlogIterator *iterator, const char *pathToFile, unsigned int flags)
{
    return cuc_log_dump_to_file(iterator, pathToFile, flags);
}

CUresult cudac_cuLogsDumpToMemory(CUlogIterator *iterator, char *buffer, size_t *size,
                                  unsigned int flags)
{
    return cuc_log_dump_to_memory(iterator, buffer, size, flags);
}
