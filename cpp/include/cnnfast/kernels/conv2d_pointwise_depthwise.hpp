// A 1x1 convolution and the depthwise one behind it in one pass, for inference: what lies between them, the largest
// tensors of a MobileNet, exists a few rows at a time. A task computes kTileCols channels of a band of output rows: it
// keeps as many rows of the 1x1 convolution's result as a window spans, in a ring with their padding around them.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "cnnfast/kernels/epilogue.hpp"

namespace cnnfast {

struct PointwiseDepthwise {
  std::int64_t N, C, K;      // x (N, rows.in, cols.in, C), y (N, rows.out, cols.out, K)
  DepthwiseAxis rows, cols;  // of the depthwise part: a forward gather without repeated channels
  std::int64_t band_rows;    // output rows of a task
};

struct Conv2dPointwiseDepthwiseKernels {
  // y = epilogue(depthwise(epilogue(pointwise(x))), each with a bias that may be null. `packed` are the pointwise
  // weights as Conv2dKernels::pack leaves them, w the depthwise ones (R,S,K,1).
  void (*run)(const PointwiseDepthwise& conv, const float* x, const float* packed, const Ending& pointwise,
              const float* w, const Ending& depthwise, float* y);
};

}  // namespace cnnfast
