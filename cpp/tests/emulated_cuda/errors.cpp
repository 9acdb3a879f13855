// Names and descriptions of the CUDA runtime's errors, as NVIDIA's has them.
#include "cuda_runtime_api.h"

namespace {

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};
const ErrorText* text_of(cudaError_t error) {
#define TEXT(name, text) \
  { name, #name, text }
  static const ErrorText texts[] = {
      TEXT(cudaSuccess, "no error"),
      TEXT(cudaErrorInvalidValue, "invalid argument"),
      TEXT(cudaErrorMemoryAllocation, "out of memory"),
      TEXT(cudaErrorInitializationError, "initialization error"),
      TEXT(cudaErrorInvalidConfiguration, "invalid configuration argument"),
      TEXT(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
      TEXT(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
      TEXT(cudaErrorNoDevice, "no CUDA-capable device is detected"),
      TEXT(cudaErrorInvalidDevice, "invalid device ordinal"),
      TEXT(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
      TEXT(cudaErrorInvalidResourceHandle, "invalid resource handle"),
      TEXT(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
      TEXT(cudaErrorNotReady, "device not ready"),
      TEXT(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
      TEXT(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
      TEXT(cudaErrorHostMemoryAlreadyRegistered, "part or all of the requested memory range is already mapped"),
      TEXT(cudaErrorHostMemoryNotRegistered, "pointer does not correspond to a registered memory region"),
      TEXT(cudaErrorLaunchFailure, "unspecified launch failure"),
      TEXT(cudaErrorNotPermitted, "operation not permitted"),
      TEXT(cudaErrorNotSupported, "operation not supported"),
      TEXT(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
      TEXT(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
      TEXT(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
      TEXT(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
      TEXT(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
      TEXT(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
      TEXT(cudaErrorStreamCaptureImplicit,
           "operation would make the legacy stream depend on a capturing blocking stream"),
      TEXT(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
      TEXT(cudaErrorStreamCaptureWrongThread,
           "attempt to terminate a thread-local capture sequence from another thread"),
      TEXT(cudaErrorUnknown, "unknown error")};
#undef TEXT
  for (const ErrorText& t : texts)
    if (t.error == error) return &t;
  return nullptr;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  const ErrorText* t = text_of(error);
  return t == nullptr ? "unrecognized error code" : t->name;
}
const char* cudaGetErrorString(cudaError_t error) {
  const ErrorText* t = text_of(error);
  return t == nullptr ? "unrecognized error code" : t->text;
}
