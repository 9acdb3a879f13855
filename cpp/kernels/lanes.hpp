// Walks one axis in vectors, the last of which may be partial; which of the two it is, the compiler knows.
#pragma once
#include <cstdint>
#include <type_traits>

namespace cnnfast {
namespace CNNFAST_ISA {

// Calls f(full, i, lanes) for i = 0, width, 2 width... below n; `full` is std::true_type where lanes == width.
template <class F>
static inline void for_each_lanes(std::int64_t n, const F& f) {
  std::int64_t i = 0;
  for (; i + Vec::width <= n; i += Vec::width) f(std::true_type{}, i, static_cast<std::int64_t>(Vec::width));
  if (i < n) f(std::false_type{}, i, n - i);
}

static inline Vec load_lanes(std::true_type, const float* p, std::int64_t) { return vload(p); }
static inline Vec load_lanes(std::false_type, const float* p, std::int64_t lanes) { return vload_first(p, lanes); }
static inline void store_lanes(std::true_type, float* p, Vec a, std::int64_t) { vstore(p, a); }
static inline void store_lanes(std::false_type, float* p, Vec a, std::int64_t lanes) { vstore_first(p, a, lanes); }

// a, with `filling` in the lanes past the first `lanes`.
static inline Vec fill_lanes(std::true_type, Vec a, std::int64_t, float) { return a; }
static inline Vec fill_lanes(std::false_type, Vec a, std::int64_t lanes, float filling) {
  static constexpr float kNumber[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  static_assert(Vec::width <= 16, "kNumber has a number for each lane");
  return vselect_gt(vset(static_cast<float>(lanes)), vload(kNumber), a, vset(filling));
}

// The largest lane; where one is NaN, any of them.
static inline float max_lane(Vec a) {
  float lane[Vec::width];
  vstore(lane, a);
  float best = lane[0];
  for (int i = 1; i < Vec::width; ++i) best = lane[i] > best ? lane[i] : best;
  return best;
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
