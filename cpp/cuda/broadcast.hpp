// y = operation(a, b) with operands that are repeated along some axes.
#pragma once
#include "cnnfast/kernels/arithmetic.hpp"
#include "divisor.hpp"
#include "elementwise.hpp"

namespace cnnfast::cuda {

struct Product {
  __device__ float operator()(float a, float b) const { return a * b; }
};

// A BroadcastShape in vectors of y: the sizes count vectors along the last axis, the steps stay those of numbers.
template <class Index>
struct BroadcastVectors {
  int rank = 0;
  bool a_moves = false, b_moves = false;  // along the last axis; else all of a vector is one number
  Divisor<Index> size[BroadcastShape::max_rank];
  std::int64_t a_step[BroadcastShape::max_rank] = {}, b_step[BroadcastShape::max_rank] = {};

  BroadcastVectors(const BroadcastShape& s, int vector) : rank(s.rank) {
    const int last = rank - 1;
    a_moves = s.a_step[last] != 0, b_moves = s.b_step[last] != 0;
    for (int d = 0; d < rank; ++d) {
      const std::int64_t together = d == last ? vector : 1;
      // The first axis is what the others leave of an index: no number is divided by its size.
      if (d > 0) size[d] = Divisor<Index>(s.size[d] / together);
      a_step[d] = s.a_step[d] * together, b_step[d] = s.b_step[d] * together;
    }
  }

  __device__ void find(Index vector, std::int64_t& a, std::int64_t& b) const {
    a = b = 0;
    for (int d = rank - 1; d > 0; --d) {
      const std::int64_t i = size[d].split(vector);
      a += i * a_step[d];
      b += i * b_step[d];
    }
    a += vector * a_step[0];
    b += vector * b_step[0];
  }
};

// A vector of an operand, or one number for all of the vector.
template <int N, class T>
struct BroadcastOperand {
  Vector<T, N> x;
  __device__ void read(const T* from, bool moves) {
    if (moves) {
      x = *reinterpret_cast<const Vector<T, N>*>(from);
    } else {
      const T one = *from;
#pragma unroll
      for (int j = 0; j < N; ++j) x.at[j] = one;
    }
  }
};

// Only with one axis may n be no multiple of N.
template <int N, class Index, class Operation, class A, class B, class Y>
__global__ void __launch_bounds__(kBlock)
    broadcast_kernel(std::int64_t n, BroadcastVectors<Index> s, Operation operation, const A* a, const B* b, Y* y) {
  const Share<N> share;
  BroadcastOperand<N, A> left[kTogether];
  BroadcastOperand<N, B> right[kTogether];
#pragma unroll
  for (int u = 0; u < kTogether; ++u) {
    if (!share.whole(u, n)) continue;
    std::int64_t a_at, b_at;
    s.find(static_cast<Index>(share.at(u) / N), a_at, b_at);
    left[u].read(a + a_at, s.a_moves);
    right[u].read(b + b_at, s.b_moves);
  }
#pragma unroll
  for (int u = 0; u < kTogether; ++u) {
    if (!share.whole(u, n)) continue;
    float result[N];
#pragma unroll
    for (int j = 0; j < N; ++j) result[j] = operation(to_float(left[u].x.at[j]), to_float(right[u].x.at[j]));
    store<N>(y + share.at(u), result);
  }
  const std::int64_t i = rest_of<N>(n);
  if (i < n) y[i] = from_float<Y>(operation(to_float(a[s.a_moves ? i : 0]), to_float(b[s.b_moves ? i : 0])));
}

template <int N, class Operation, class A, class B, class Y>
void broadcast_vectors(const BroadcastShape& s, const Operation& operation, const A* a, const B* b, Y* y,
                       cudaStream_t stream) {
  std::int64_t n = 1;
  for (int d = 0; d < s.rank; ++d) n *= s.size[d];
  const std::int64_t threads = (n + N * kTogether - 1) / (N * kTogether);
  const int block = block_for(threads);
  with_index((n + N - 1) / N, [&](auto index) {
    using Index = decltype(index);
    launch(broadcast_kernel<N, Index, Operation, A, B, Y>, grid_for(threads, block, INT32_MAX), block, 0, stream, n,
           BroadcastVectors<Index>(s, N), operation, a, b, y);
  });
}

// y may be an operand of its own type that is not repeated.
template <class Operation, class A, class B, class Y>
void broadcast(const BroadcastShape& s, const Operation& operation, const A* a, const B* b, Y* y, cudaStream_t stream) {
  constexpr int N = kCommonVector<A, B, Y>;
  // An operand that moves along the last axis is contiguous there: its other steps are multiples of that axis' size.
  if (s.rank == 1 || s.size[s.rank - 1] % N == 0) return broadcast_vectors<N>(s, operation, a, b, y, stream);
  broadcast_vectors<1>(s, operation, a, b, y, stream);
}

}  // namespace cnnfast::cuda
