// Results that are larger than what the caches would keep until they are read are stored past them: an ordinary store
// first reads the line that it is about to overwrite, and pushes out others that are still needed.
#pragma once
#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kStreamFloats = std::int64_t{2} << 20;  // 8 MiB

// Whether `floats` floats at y, in rows of `row` floats that are written in whole vectors, go past the caches. Lines
// must be written whole and at once, so rows are whole lines.
static inline bool streams(const float* y, std::int64_t floats, std::int64_t row) {
  return floats >= kStreamFloats && row % 16 == 0 && reinterpret_cast<std::uintptr_t>(y) % 64 == 0;
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
