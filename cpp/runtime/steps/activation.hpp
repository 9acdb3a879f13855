#pragma once
#include "cnnfast/program.hpp"

namespace cnnfast {

// The attribute "negative_slope" of leaky_relu or "alpha" of elu.
inline float parameter_of(const Attributes& attributes) {
  for (const char* name : {"negative_slope", "alpha"})
    if (attributes.has(name)) return attributes.real(name);
  return 0.0f;
}

}  // namespace cnnfast
