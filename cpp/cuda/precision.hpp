// How a step multiplies float32 numbers.
#pragma once
#include "cnnfast/program.hpp"
#include "implicit_gemm.hpp"

namespace cnnfast::cuda {

// The attribute "tf32" is there where factors may be rounded to TensorFloat-32.
inline Precision precision_of(const OpSpec& spec) {
  return spec.attributes.integer("tf32", 0) != 0 ? Precision::tf32 : Precision::float32;
}

}  // namespace cnnfast::cuda
