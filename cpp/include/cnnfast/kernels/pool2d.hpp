// Pooling over windows of a tensor (N,H,W,C) to (N,P,Q,C). Padding never takes part: windows are cut at the tensor's
// edges, and each must keep at least one element (padding smaller than the window). Global pooling is a window of H x W.
#pragma once
#include <cstdint>

#include "cnnfast/shapes.hpp"

namespace cnnfast {

struct Pool2dKernels {
  // y = the largest element, NaN if the window holds one. argmax (N,P,Q,C), of type Index, is the position r*S + s of
  // the first largest element in its window; the plain version keeps none.
  void (*max)(const Pool2dShape& shape, const float* x, float* y);
  void (*max_u8)(const Pool2dShape& shape, const float* x, float* y, std::uint8_t* argmax);
  void (*max_i32)(const Pool2dShape& shape, const float* x, float* y, std::int32_t* argmax);
  void (*max_backward_u8)(const Pool2dShape& shape, const float* dy, const std::uint8_t* argmax, float* dx);
  void (*max_backward_i32)(const Pool2dShape& shape, const float* dy, const std::int32_t* argmax, float* dx);
  void (*average)(const Pool2dShape& shape, const float* x, float* y);
  void (*average_backward)(const Pool2dShape& shape, const float* dy, float* dx);
};

}  // namespace cnnfast
