#pragma once
#include "cnnfast/kernels/resize.hpp"
#include "cnnfast/program.hpp"

namespace cnnfast {

// x is the small image; attribute "size".
inline UpsampleShape upsample_shape(const TensorSpec& x, const Attributes& a) {
  const auto& factor = a.list("size");
  return {x.shape[0], x.shape[1], x.shape[2], x.shape[3], factor[0], factor[1]};
}

}  // namespace cnnfast
