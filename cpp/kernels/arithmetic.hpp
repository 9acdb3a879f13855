// Elementwise arithmetic (see cnnfast/kernels/arithmetic.hpp).
#pragma once
#include "cnnfast/kernels/arithmetic.hpp"
#include "elementwise.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

struct Add {
  static Vec of(Vec a, Vec b) { return a + b; }
};
struct Subtract {
  static Vec of(Vec a, Vec b) { return a - b; }
};
struct Multiply {
  static Vec of(Vec a, Vec b) { return a * b; }
};

// One run along the last axis; an operand that does not move there is one number.
template <class Operation, bool A_MOVES, bool B_MOVES>
static inline void broadcast_run(std::int64_t begin, std::int64_t end, const float* a, const float* b, float* y) {
  const Vec a0 = vset(*a), b0 = vset(*b);
  for_each_vector_in(begin, end, [=](std::int64_t i, std::int64_t lanes) {
    const Vec av = A_MOVES ? vload_lanes(a + i, lanes) : a0, bv = B_MOVES ? vload_lanes(b + i, lanes) : b0;
    vstore_lanes(y + i, Operation::of(av, bv), lanes);
  });
}

// A task is a block of a long run, or several short runs.
template <class Operation>
static void broadcast(const BroadcastShape& s, const float* a, const float* b, float* y) {
  const int last = s.rank - 1;
  const std::int64_t length = s.size[last];
  std::int64_t runs = 1;
  for (int d = 0; d < last; ++d) runs *= s.size[d];
  const std::int64_t blocks = ceil_div(length, kElementwiseBlock), together = max_of(1, kElementwiseBlock / length);
  parallel(ceil_div(runs, together) * blocks, [&](std::int64_t task, int) {
    const std::int64_t begin = task % blocks * kElementwiseBlock, end = min_of(begin + kElementwiseBlock, length);
    const std::int64_t first = task / blocks * together, stop = min_of(first + together, runs);
    for (std::int64_t run = first; run < stop; ++run) {
      const float *ap = a, *bp = b;
      std::int64_t rest = run;
      for (int d = last - 1; d >= 0; rest /= s.size[d--]) {
        ap += rest % s.size[d] * s.a_step[d];
        bp += rest % s.size[d] * s.b_step[d];
      }
      float* yp = y + run * length;
      if (s.a_step[last] && s.b_step[last])
        broadcast_run<Operation, true, true>(begin, end, ap, bp, yp);
      else if (s.a_step[last])
        broadcast_run<Operation, true, false>(begin, end, ap, bp, yp);
      else if (s.b_step[last])
        broadcast_run<Operation, false, true>(begin, end, ap, bp, yp);
      else
        broadcast_run<Operation, false, false>(begin, end, ap, bp, yp);
    }
  });
}

static void scale(std::int64_t n, const float* x, float factor, float offset, float* y) {
  const Vec f = vset(factor), o = vset(offset);
  map_vectors(n, x, y, [=](Vec a) { return vfma(a, f, o); });
}

// A plain loop: compilers turn it into conversions of whole vectors.
template <class T>
static void cast(std::int64_t n, const T* x, float factor, float offset, float* y) {
  parallel(ceil_div(n, kElementwiseBlock), [&](std::int64_t task, int) {
    const std::int64_t end = min_of((task + 1) * kElementwiseBlock, n);
    for (std::int64_t i = task * kElementwiseBlock; i < end; ++i) y[i] = static_cast<float>(x[i]) * factor + offset;
  });
}

static constexpr ArithmeticKernels arithmetic_kernels = {
    broadcast<Add>, broadcast<Subtract>, broadcast<Multiply>, scale, cast<std::uint8_t>, cast<std::int32_t>};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
