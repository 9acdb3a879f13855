#pragma once
#include "cnnfast/kernels/norm.hpp"
#include "cnnfast/program.hpp"

namespace cnnfast {

inline BatchNormShape batch_norm_shape(const TensorSpec& x, const Attributes& a) {
  const std::int64_t C = x.shape.back();
  return {x.count() / C, C, a.real("epsilon")};
}

}  // namespace cnnfast
