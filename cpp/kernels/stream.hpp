// Results that are larger than what the caches would keep until they are read are stored past them: an ordinary store
// first reads the line that it is about to overwrite, and pushes out others that are still needed.
#pragma once
#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kLineFloats = 16;                       // of a cache line
static constexpr std::int64_t kStreamFloats = std::int64_t{2} << 20;  // 8 MiB

// Whether `floats` floats at y, in rows of `row` floats that are written in whole vectors, go past the caches. Lines
// must be written whole and at once, so rows are whole lines.
static inline bool streams(const float* y, std::int64_t floats, std::int64_t row) {
  return floats >= kStreamFloats && row % kLineFloats == 0 && reinterpret_cast<std::uintptr_t>(y) % 64 == 0;
}

// Streams lines whose vectors come one at a time, those of other lines between them: a line goes when its last vector
// is there, so all vectors of a line must come, in order. In pieces, of more lines than the processor collects stores
// for, each piece would be a write to memory.
template <int LINES>
class LineStream {
 public:
  // a is to lie at `to`, `at` floats behind the beginning of the line with this number.
  void store(int line, std::int64_t at, float* to, Vec a) {
    held_[line][at / Vec::width] = a;
    if (at + Vec::width < kLineFloats) return;
    for (std::int64_t i = 0; i < kLineFloats; i += Vec::width) vstream(to - at + i, held_[line][i / Vec::width]);
  }

 private:
  Vec held_[LINES][kLineFloats / Vec::width];
};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
