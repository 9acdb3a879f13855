// Kernel launches whose status is checked, and sizes of grids.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "error.hpp"

namespace cnnfast::cuda {

constexpr int kWarp = 32;

#ifdef CNNFAST_EMULATED_CUDA  // cpp/tests/emulated_cuda: kernels run on the host, a thread after the other
template <class T>
__device__ T* dynamic_shared() {
  return static_cast<T*>(emulated_cuda::dynamic_shared());
}
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Args... args) {
  emulated_cuda::launch(grid, block, shared_bytes, stream, [=] { kernel(args...); });
}
#else
// The shared memory that a launch asked for.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char memory[];
  return reinterpret_cast<T*>(memory);
}

// kernel<<<grid, block, shared_bytes, stream>>>(args...)
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Args... args) {
  if (shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute", std::to_string(shared_bytes) + " bytes of shared memory");
  // clang-format off
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Params>(args)...);
  // clang-format on
  check(cudaGetLastError(), "kernel launch",
        "grid " + std::to_string(grid.x) + "x" + std::to_string(grid.y) + "x" + std::to_string(grid.z) + ", block " +
            std::to_string(block.x) + "x" + std::to_string(block.y) + "x" + std::to_string(block.z));
}
#endif

// Blocks of `block` threads that together have at least n threads, but not more than `most`: the kernel goes on from
// there in steps of the whole grid.
inline unsigned grid_for(std::int64_t n, int block, std::int64_t most = 1 << 20) {
  const std::int64_t blocks = (n + block - 1) / block;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

// For grid-stride loops: this thread's first element, and the threads of the grid.
__device__ inline std::int64_t grid_first() { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline std::int64_t grid_step() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

}  // namespace cnnfast::cuda
