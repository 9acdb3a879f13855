// y[i] = f(x[i], ...) for long arrays. A thread reads several vectors before it writes the first: memory answers late,
// and enough must be under way.
#pragma once
#include <cstdint>
#include <utility>

#include "launch.hpp"
#include "numbers.hpp"

namespace cnnfast::cuda {

constexpr int kTogether = 4;  // vectors a thread has under way
constexpr int kBlock = 256;   // threads of a block, at most

constexpr int smaller(int a, int b) { return a < b ? a : b; }

// Numbers in a vector of several tensors, none of which takes more than 16 bytes.
template <class T, class... More>
constexpr int kCommonVector = smaller(kVector<T>, kCommonVector<More...>);
template <class T>
constexpr int kCommonVector<T> = kVector<T>;

// Threads of a block where `threads` have work: fewer than kBlock if some multiprocessors would else have none.
inline int block_for(std::int64_t threads) {
  constexpr std::int64_t blocks_wanted = 264;  // two for each multiprocessor of the largest devices
  int block = kBlock;
  while (block > kWarp && threads < block * blocks_wanted) block /= 2;
  return block;
}

// The first numbers of this thread's vectors lie `step` apart.
template <int N>
struct Share {
  std::int64_t first, step;
  __device__ Share()
      : first((static_cast<std::int64_t>(blockIdx.x) * blockDim.x * kTogether + threadIdx.x) * N),
        step(static_cast<std::int64_t>(blockDim.x) * N) {}
  __device__ std::int64_t at(int u) const { return first + u * step; }
  __device__ bool whole(int u, std::int64_t n) const { return at(u) + N <= n; }  // all of the vector is below n
};

// For some threads of the first block one of the numbers behind the last whole vector, else n.
template <int N>
__device__ inline std::int64_t rest_of(std::int64_t n) {
  const int rest = static_cast<int>(n % N);
  return blockIdx.x == 0 && static_cast<int>(threadIdx.x) < rest ? n - rest + threadIdx.x : n;
}

// A vector of each of several tensors, as it lies in memory: fewer registers than floats where numbers are small.
template <std::size_t K, int N, class X>
struct Operand {
  Vector<X, N> x;
};
template <int N, class Numbers, class... X>
struct OperandsOf;
template <int N, std::size_t... K, class... X>
struct OperandsOf<N, std::index_sequence<K...>, X...> : Operand<K, N, X>... {
  __device__ void read(std::int64_t i, const X*... from) {
    ((Operand<K, N, X>::x = *reinterpret_cast<const Vector<X, N>*>(from + i)), ...);
  }
  template <class F>
  __device__ float of(const F& f, int j) const {
    return f(to_float(Operand<K, N, X>::x.at[j])...);
  }
};
template <int N, class... X>
using Operands = OperandsOf<N, std::index_sequence_for<X...>, X...>;

template <class F, class Y, class... X>
__global__ void __launch_bounds__(kBlock) map_kernel(std::int64_t n, F f, Y* y, const X*... x) {
  constexpr int N = kCommonVector<Y, X...>;
  const Share<N> share;
  Operands<N, X...> operands[kTogether];
#pragma unroll
  for (int u = 0; u < kTogether; ++u)
    if (share.whole(u, n)) operands[u].read(share.at(u), x...);
#pragma unroll
  for (int u = 0; u < kTogether; ++u) {
    if (!share.whole(u, n)) continue;
    float result[N];
#pragma unroll
    for (int j = 0; j < N; ++j) result[j] = operands[u].of(f, j);
    store<N>(y + share.at(u), result);
  }
  const std::int64_t i = rest_of<N>(n);
  if (i < n) y[i] = from_float<Y>(f(to_float(x[i])...));
}

// y may be one of the x of its own type.
template <class F, class Y, class... X>
void map(std::int64_t n, const F& f, cudaStream_t stream, Y* y, const X*... x) {
  const std::int64_t threads = (n + kCommonVector<Y, X...> * kTogether - 1) / (kCommonVector<Y, X...> * kTogether);
  const int block = block_for(threads);
  launch(map_kernel<F, Y, X...>, grid_for(threads, block, INT32_MAX), block, 0, stream, n, f, y, x...);
}

}  // namespace cnnfast::cuda
