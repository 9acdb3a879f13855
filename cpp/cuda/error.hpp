// Errors of the CUDA runtime and of NVIDIA's libraries as exceptions.
#pragma once
#include <cuda_runtime_api.h>

#include <string>

#include "cnnfast/backend.hpp"

namespace cnnfast::cuda {

// Throws DeviceError: which call failed, on which device, for what.
[[noreturn]] void fail(cudaError_t status, const char* call, const std::string& what);

// Throws DeviceError unless `status`, the result of `call`, is success. `what` says for which op or how many bytes.
inline void check(cudaError_t status, const char* call, const std::string& what = "") {
  if (status != cudaSuccess) fail(status, call, what);
}

}  // namespace cnnfast::cuda
