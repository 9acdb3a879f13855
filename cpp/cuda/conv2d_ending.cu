#include "conv2d_ending.hpp"
#include "ending.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

constexpr int kBlock = 256;

// V neighbouring numbers of a row for each thread; V divides K.
template <class T, int V>
__global__ void ending_kernel(std::int64_t vectors, std::int64_t vectors_of_row, ConvEnding ending, T* y) {
  for (std::int64_t i = grid_first(); i < vectors; i += grid_step()) {
    float sums[V];
    load<V>(y + i * V, sums);
    finish<T, V>(ending, i % vectors_of_row * V, i * V, sums);
    store<V>(y + i * V, sums);
  }
}

constexpr int kTile = 32;
constexpr int kTileRows = 8;  // of the block's threads: each moves four numbers of a tile

// A tile of 32 x 32 for each block, through shared memory: both sides are read and written row by row.
template <class From, class To>
__global__ void transpose_kernel(std::int64_t rows, std::int64_t cols, const From* from, To* to) {
  __shared__ float tile[kTile][kTile + 1];
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.y) * kTile;
  const std::int64_t col0 = static_cast<std::int64_t>(blockIdx.x) * kTile;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  for (int i = y; i < kTile; i += kTileRows)
    if (row0 + i < rows && col0 + x < cols) tile[i][x] = to_float(from[(row0 + i) * cols + col0 + x]);
  __syncthreads();
  for (int i = y; i < kTile; i += kTileRows)
    if (col0 + i < cols && row0 + x < rows) to[(col0 + i) * rows + row0 + x] = from_float<To>(tile[x][i]);
}

__global__ void to_bfloat16_kernel(std::int64_t n, const float* from, bf16* to) {
  constexpr int V = 4;
  for (std::int64_t i = grid_first(); i < n / V; i += grid_step()) {
    float x[V];
    load<V>(from + i * V, x);
    store<V>(to + i * V, x);
  }
  const std::int64_t rest = n / V * V + grid_first();
  if (rest < n) to[rest] = from_float<bf16>(from[rest]);
}

}  // namespace

void apply_ending(std::int64_t M, std::int64_t K, Dtype dtype, const ConvEnding& ending, void* y, cudaStream_t stream) {
  if (is_empty(ending)) return;
  with_number(dtype, [&](auto number) {
    using T = decltype(number);
    constexpr int V = kVector<T>;
    constexpr std::int64_t most = 132 * 16;
    if (K % V == 0)
      launch(ending_kernel<T, V>, grid_for(M * K / V, kBlock, most), kBlock, 0, stream, M * K / V, K / V, ending,
             static_cast<T*>(y));
    else
      launch(ending_kernel<T, 1>, grid_for(M * K, kBlock, most), kBlock, 0, stream, M * K, K, ending,
             static_cast<T*>(y));
  });
}

void transpose(std::int64_t rows, std::int64_t cols, Dtype from_dtype, const void* from, Dtype to_dtype, void* to,
               cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(cols, kTile)), static_cast<unsigned>(ceil_div(rows, kTile)));
  with_number(from_dtype, [&](auto number) {
    using From = decltype(number);
    with_number(to_dtype, [&](auto other) {
      using To = decltype(other);
      launch(transpose_kernel<From, To>, grid, dim3(kTile, kTileRows), 0, stream, rows, cols,
             static_cast<const From*>(from), static_cast<To*>(to));
    });
  });
}

void to_bfloat16(std::int64_t n, const float* from, void* to, cudaStream_t stream) {
  launch(to_bfloat16_kernel, grid_for(ceil_div(n, 4), kBlock), kBlock, 0, stream, n, from, static_cast<bf16*>(to));
}

}  // namespace cnnfast::cuda
