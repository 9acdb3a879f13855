// Elementwise activations. A backward kernel takes what its formula reads: the output y where that suffices, else x.
#pragma once
#include <cstdint>

namespace cnnfast {

struct ActivationKernels {
  void (*relu)(std::int64_t n, const float* x, float* y);
  void (*relu_backward)(std::int64_t n, const float* dy, const float* y, float* dx);
};

}  // namespace cnnfast
