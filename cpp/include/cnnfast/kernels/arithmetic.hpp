// Elementwise arithmetic: two tensors with broadcasting, a tensor and scalars, conversion of types.
#pragma once
#include <cstdint>

namespace cnnfast {

// What y (sizes[0], ..., sizes[rank-1], contiguous) reads of its operands: element (i, j, ...) is at i*a_step[0] + ...;
// a step of 0 repeats the operand along that axis. The last steps are 0 or 1.
struct BroadcastShape {
  static constexpr int max_rank = 8;
  int rank;
  std::int64_t size[max_rank], a_step[max_rank], b_step[max_rank];
};

using BroadcastKernel = void (*)(const BroadcastShape& shape, const float* a, const float* b, float* y);

struct ArithmeticKernels {
  BroadcastKernel add, subtract, multiply;
  void (*scale)(std::int64_t n, const float* x, float scale, float offset, float* y);  // y = x * scale + offset
  void (*cast_uint8)(std::int64_t n, const std::uint8_t* x, float scale, float offset, float* y);
  void (*cast_int32)(std::int64_t n, const std::int32_t* x, float scale, float offset, float* y);
};

}  // namespace cnnfast
