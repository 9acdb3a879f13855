// Walks long arrays: fixed blocks as tasks, whole vectors inside, one partial vector at the end.
#pragma once
#include "parallel.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kElementwiseBlock = 16384;

// f(begin, lanes) for consecutive vectors; lanes == width but for the last.
template <class F>
static inline void for_each_vector(std::int64_t n, const F& f) {
  parallel((n + kElementwiseBlock - 1) / kElementwiseBlock, [&](std::int64_t task, int) {
    std::int64_t i = task * kElementwiseBlock;
    const std::int64_t end = i + kElementwiseBlock < n ? i + kElementwiseBlock : n;
    for (; i + Vec::width <= end; i += Vec::width) f(i, static_cast<std::int64_t>(Vec::width));
    if (i < end) f(i, end - i);
  });
}

// y[i] = f(x[i]), and the same with two inputs; y may be one of them.
template <class F>
static inline void map_vectors(std::int64_t n, const float* x, float* y, const F& f) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t lanes) {
    if (lanes == Vec::width)
      vstore(y + i, f(vload(x + i)));
    else
      vstore_first(y + i, f(vload_first(x + i, lanes)), lanes);
  });
}
template <class F>
static inline void map_vectors(std::int64_t n, const float* a, const float* b, float* y, const F& f) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t lanes) {
    if (lanes == Vec::width)
      vstore(y + i, f(vload(a + i), vload(b + i)));
    else
      vstore_first(y + i, f(vload_first(a + i, lanes), vload_first(b + i, lanes)), lanes);
  });
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
