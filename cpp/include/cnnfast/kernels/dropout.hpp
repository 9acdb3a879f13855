// Inverted dropout (Srivastava et al., "Dropout", 2014, section 10). Nothing is stored: the gradient is the same kernel
// with the same seed and salt, applied to dy.
#pragma once
#include <cstdint>

namespace cnnfast {

struct DropoutSettings {
  std::uint32_t threshold;   // an element is dropped if its 32 random bits are below: rate * 2^32
  float scale;               // what the others are multiplied with: 1 / (1 - rate)
  std::uint64_t seed, salt;  // of the run and of the place in the graph
};

struct DropoutKernels {
  // y may be x. Element i gets the same bits whatever the instruction set and the number of threads.
  void (*dropout)(std::int64_t n, const DropoutSettings& settings, const float* x, float* y);
};

}  // namespace cnnfast
