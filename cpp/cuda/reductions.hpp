// Sums over the threads of a warp and of a block, always in the same order.
#pragma once
#include <cuda_runtime.h>

#include "launch.hpp"

namespace cnnfast::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

// The sum over the 32 lanes, in every lane. All of them must call it.
template <class T>
__device__ inline T warp_sum_of(T value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}
__device__ inline float warp_sum(float value) { return warp_sum_of(value); }
__device__ inline double warp_sum(double value) { return warp_sum_of(value); }

// The sum over all threads of a block, in every thread. The block is one row of a multiple of 32 threads, up to 1024,
// and all of them must call it.
template <class T>
__device__ inline T block_sum(T value) {
  __shared__ T parts[kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  value = warp_sum(value);
  if (blockDim.x == kWarp) return value;
  __syncthreads();  // of an earlier call, all have read the parts
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  return warp_sum(lane < static_cast<int>(blockDim.x) / kWarp ? parts[lane] : T(0));
}

}  // namespace cnnfast::cuda
