// Sums along axes, of the numbers themselves, their magnitudes or their squares.
#pragma once
#include <cstdint>

namespace cnnfast {

enum class Summand : int { value = 0, magnitude = 1, square = 2 };

struct ReduceKernels {
  // y (A,B) = scale * the sum of x (A,R,B) over R; workspace of sum_workspace floats.
  std::int64_t (*sum_workspace)(std::int64_t A, std::int64_t R, std::int64_t B);
  void (*sum)(std::int64_t A, std::int64_t R, std::int64_t B, Summand summand, float scale, const float* x, float* y,
              float* workspace);
  // dx = dy * scale * sign(x), and dx = dy * 2 * scale * x, for one number dy.
  void (*sum_abs_backward)(std::int64_t n, float dy, float scale, const float* x, float* dx);
  void (*sum_squares_backward)(std::int64_t n, float dy, float scale, const float* x, float* dx);
};

}  // namespace cnnfast
