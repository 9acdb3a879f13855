// In place of NVIDIA's header of this name: the runtime, its templates, and what kernels call.
#pragma once
#include "cuda_runtime_api.h"
#include "device_functions.hpp"

template <class T>
cudaError_t cudaMalloc(T** to, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(to), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** to, std::size_t bytes, unsigned flags = 0) {
  return cudaHostAlloc(reinterpret_cast<void**>(to), bytes, flags);
}
template <class T>
cudaError_t cudaHostAlloc(T** to, std::size_t bytes, unsigned flags) {
  return cudaHostAlloc(reinterpret_cast<void**>(to), bytes, flags);
}
template <class T>
cudaError_t cudaFuncSetAttribute(T* function, cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(function), attribute, value);
}
