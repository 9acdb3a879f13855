// What the machine can do at most: multiply-adds in registers, and passes over memory. For the floors of benchmarks.
#pragma once
#include <cstdint>

namespace cnnfast {

inline constexpr std::int64_t kPeakBlock = 1 << 18;  // floats of a task: long enough for the prefetcher

struct PeakKernels {
  // At least `rounds` rounds of one fused multiply-add of a whole vector in each of as many accumulators as the register
  // tile has. Returns the floating-point operations done: two for each lane.
  std::int64_t (*multiply_add)(std::int64_t rounds);
  // Passes over arrays of n floats: sums[i] = the sum of the i-th block of kPeakBlock floats of x; y = 1; y = a + b/2.
  void (*read)(std::int64_t n, const float* x, float* sums);
  void (*write)(std::int64_t n, float* y);
  void (*triad)(std::int64_t n, const float* a, const float* b, float* y);
};

}  // namespace cnnfast
