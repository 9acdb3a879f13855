// The largest of some vectors, lane by lane, and the number of the first that has it.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace cnnfast {
namespace CNNFAST_ISA {

// Numbers are compared in float lanes (exact below 2^24). NaN is larger than all.
template <bool POSITIONS>
struct Largest {
  Vec value = vset(-INFINITY), where = vzero();

  void meet(Vec a, std::int64_t position) {
    if (POSITIONS) where = vselect_gt(a, value, vset(static_cast<float>(position)), where);
    value = vmax_nan(a, value);
  }
};

// Numbers are kept as integers in memory. A row at a time is converted, so that the loop is the compiler's to
// vectorise, whatever the number of lanes.
template <class From, class To>
static inline void convert_positions(std::int64_t n, const From* from, To* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(static_cast<std::int32_t>(from[i]));
}
static inline void store_positions(std::uint8_t* to, Vec where, std::int64_t lanes) {
  float position[Vec::width];
  std::uint8_t byte[Vec::width];
  vstore(position, where);
  convert_positions(Vec::width, position, byte);
  lanes == Vec::width ? std::memcpy(to, byte, Vec::width) : std::memcpy(to, byte, lanes);
}

static inline Vec load_positions(const std::uint8_t* from, std::int64_t lanes) {
  std::uint8_t byte[Vec::width] = {};
  float position[Vec::width];
  lanes == Vec::width ? std::memcpy(byte, from, Vec::width) : std::memcpy(byte, from, lanes);
  convert_positions(Vec::width, byte, position);
  return vload(position);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
