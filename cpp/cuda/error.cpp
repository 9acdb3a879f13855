#include "error.hpp"

namespace cnnfast::cuda {

void fail(cudaError_t status, const char* call, const std::string& what) {
  cudaGetLastError();  // later calls do not report this one again
  int device = -1;
  const bool known = cudaGetDevice(&device) == cudaSuccess;
  std::string message = "cuda: " + std::string(call) + " failed";
  if (known) message += " on cuda:" + std::to_string(device);
  if (!what.empty()) message += " (" + what + ")";
  throw DeviceError(message + ": " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status));
}

}  // namespace cnnfast::cuda
