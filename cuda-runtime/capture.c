/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/capture.c - questions about stream capture, which libraries ask all the time.
 *
 * Capture itself is not here yet. With a driver that has none the answers are known without it:
 * nothing is being captured, and the mode of a thread forbids nothing.
 */
#include "generated/cuda-runtime/crt_impl.h"

cudaError_t crt_cudaStreamIsCapturing(cudaStream_t stream,
                                      enum cudaStreamCaptureStatus *pCaptureStatus)
{
    if (!pCaptureStatus)
        return cudaErrorInvalidValue;
    if (crt_drv.StreamIsCapturing)
        return CRT_DRV(StreamIsCapturing, stream, (CUstreamCaptureStatus *)pCaptureStatus);
    *pCaptureStatus = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

/* The other outputs are only set while a capture is on. */
cudaError_t crt_cudaStreamGetCaptureInfo(cudaStream_t stream,
                                         enum cudaStreamCaptureStatus *captureStatus_out,
                                         unsigned long long *id_out, cudaGraph_t *graph_out,
                                         const cudaGraphNode_t **dependencies_out,
                                         const cudaGraphEdgeData **edgeData_out,
                                         size_t *numDependencies_out)
{
    cuuint64_t id = 0;
    cudaError_t status;

    if (!captureStatus_out)
        return cudaErrorInvalidValue;
    if (!crt_drv.StreamGetCaptureInfo) {
        *captureStatus_out = cudaStreamCaptureStatusNone;
        return cudaSuccess;
    }
    status = CRT_DRV(StreamGetCaptureInfo, stream, (CUstreamCaptureStatus *)captureStatus_out, &id,
                     graph_out, dependencies_out, (const CUgraphEdgeData **)edgeData_out,
                     numDependencies_out);
    if (status == cudaSuccess && id_out && *captureStatus_out == cudaStreamCaptureStatusActive)
        *id_out = id;
    return status;
}

cudaError_t crt_cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    enum cudaStreamCaptureMode before = crt_self.capture_mode;

    if (!mode || (unsigned)*mode > cudaStreamCaptureModeRelaxed)
        return cudaErrorInvalidValue;
    if (crt_drv.ThreadExchangeStreamCaptureMode)
        return CRT_DRV(ThreadExchangeStreamCaptureMode, (CUstreamCaptureMode *)mode);
    crt_self.capture_mode = *mode;
    *mode = before;
    return cudaSuccess;
}
