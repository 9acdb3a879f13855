#pragma once
#include <algorithm>
#include <cmath>

#include "cnnfast/kernels/dropout.hpp"
#include "cnnfast/program.hpp"

namespace cnnfast {

// From attributes "rate" and "salt".
inline DropoutSettings dropout_settings(const Attributes& a, std::uint64_t seed) {
  const double rate = a.real("rate");
  const double threshold = std::min(std::round(rate * 4294967296.0), 4294967295.0);
  return {static_cast<std::uint32_t>(threshold), rate < 1.0 ? static_cast<float>(1.0 / (1.0 - rate)) : 0.0f, seed,
          static_cast<std::uint64_t>(a.integer("salt"))};
}

}  // namespace cnnfast
