// Walks long arrays: fixed blocks as tasks, whole vectors inside, one partial vector at the end.
#pragma once
#include "parallel.hpp"
#include "stream.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kElementwiseBlock = 16384;

// `lanes` floats at p, most often a whole vector.
static inline Vec vload_lanes(const float* p, std::int64_t lanes) {
  return lanes == Vec::width ? vload(p) : vload_first(p, lanes);
}
static inline void vstore_lanes(float* p, Vec a, std::int64_t lanes) {
  lanes == Vec::width ? vstore(p, a) : vstore_first(p, a, lanes);
}

// f(i, lanes) for the consecutive vectors of [begin, end); lanes == width but for the last.
template <class F>
static inline void for_each_vector_in(std::int64_t begin, std::int64_t end, const F& f) {
  std::int64_t i = begin;
  for (; i + Vec::width <= end; i += Vec::width) f(i, static_cast<std::int64_t>(Vec::width));
  if (i < end) f(i, end - i);
}

// The same for [0, n), on all workers.
template <class F>
static inline void for_each_vector(std::int64_t n, const F& f) {
  parallel((n + kElementwiseBlock - 1) / kElementwiseBlock, [&](std::int64_t task, int) {
    const std::int64_t begin = task * kElementwiseBlock;
    for_each_vector_in(begin, begin + kElementwiseBlock < n ? begin + kElementwiseBlock : n, f);
  });
}

// y[i] = f(x[i]), and the same with two inputs; y may be one of them.
template <class F>
static inline void map_vectors(std::int64_t n, const float* x, float* y, const F& f) {
  const bool stream = x != y && streams(y, n, 16);
  for_each_vector(n, [&](std::int64_t i, std::int64_t lanes) {
    const Vec v = f(vload_lanes(x + i, lanes));
    stream && lanes == Vec::width ? vstream(y + i, v) : vstore_lanes(y + i, v, lanes);
  });
}
template <class F>
static inline void map_vectors(std::int64_t n, const float* a, const float* b, float* y, const F& f) {
  const bool stream = a != y && b != y && streams(y, n, 16);
  for_each_vector(n, [&](std::int64_t i, std::int64_t lanes) {
    const Vec v = f(vload_lanes(a + i, lanes), vload_lanes(b + i, lanes));
    stream && lanes == Vec::width ? vstream(y + i, v) : vstore_lanes(y + i, v, lanes);
  });
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
