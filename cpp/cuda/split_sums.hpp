// Adds up what blocks have made of parts of sums whose terms they share.
#pragma once
#include <cstdint>

#include "ending.hpp"
#include "launch.hpp"

namespace cnnfast::cuda {

constexpr int kSplitSumThreads = 256;

// Of `vectors` vectors of V numbers, each is made by SLICES threads that share the splits.
template <class Y, int V, int SLICES>
__global__ void __launch_bounds__(kSplitSumThreads)
    split_sums_kernel(std::int64_t vectors, std::int64_t cols, int splits, const float* partial, ConvEnding ending,
                      Y* y) {
  constexpr int kVectors = kSplitSumThreads / SLICES;
  __shared__ float slices[SLICES][V][kVectors];
  const int lane = static_cast<int>(threadIdx.x) % kVectors, slice = static_cast<int>(threadIdx.x) / kVectors;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kVectors + lane;
  float sums[V] = {};
  if (i < vectors) {
#pragma unroll 8
    for (int split = slice; split < splits; split += SLICES) {
      float x[V];
      load<V>(partial + (split * vectors + i) * V, x);
#pragma unroll
      for (int v = 0; v < V; ++v) sums[v] += x[v];
    }
  }
  if constexpr (SLICES > 1) {
#pragma unroll
    for (int v = 0; v < V; ++v) slices[slice][v][lane] = sums[v];
    __syncthreads();
    if (slice > 0) return;
#pragma unroll
    for (int other = 1; other < SLICES; ++other)
#pragma unroll
      for (int v = 0; v < V; ++v) sums[v] += slices[other][v][lane];
  }
  if (i >= vectors) return;
  finish<Y, V>(ending, i * V % cols, i * V, sums);
  store<V>(y + i * V, sums);
}

template <int V, class Y>
void launch_split_sums(std::int64_t rows, std::int64_t cols, int splits, const float* partial, const ConvEnding& ending,
                       Y* y, cudaStream_t stream) {
  const std::int64_t vectors = rows * cols / V;
  const auto run = [&](auto kernel, int slices) {
    const std::int64_t blocks = (vectors * slices + kSplitSumThreads - 1) / kSplitSumThreads;
    launch(kernel, static_cast<unsigned>(blocks), kSplitSumThreads, 0, stream, vectors, cols, splits, partial, ending,
           y);
  };
  if (splits >= 16)
    run(split_sums_kernel<Y, V, 8>, 8);
  else
    run(split_sums_kernel<Y, V, 1>, 1);
}

// y (rows, cols) = what the ending makes of the sums of partial (splits, rows, cols).
template <class Y>
void sum_splits(std::int64_t rows, std::int64_t cols, int splits, const float* partial, const ConvEnding& ending, Y* y,
                cudaStream_t stream) {
  // 4 numbers of y are 16 bytes or 8.
  if (has_vectors<float>(partial, cols) && has_vectors<Y>(ending, y, 8 * cols))
    launch_split_sums<4>(rows, cols, splits, partial, ending, y, stream);
  else
    launch_split_sums<1>(rows, cols, splits, partial, ending, y, stream);
}

}  // namespace cnnfast::cuda
