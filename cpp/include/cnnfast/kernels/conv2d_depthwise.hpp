// Depthwise convolution: x (N,H,W,C), w (R,S,C,M), y (N,P,Q,K) with K = C*M; output channel c*M + m reads channel c
// alone. As with conv2d, the forward pass and the input gradient are the same gather over different taps: the gradient
// is one gather for each residue of the stride.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"

namespace cnnfast {

// One spatial axis. Position i of the grid is position out_first + i*out_step of the output. Its tap t reads the input
// at i*step + offset + t*offset_step, if that lies in [0, in), and multiplies with kernel row (column) index +
// t*index_step.
struct DepthwiseAxis {
  std::int64_t in, grid, step;
  std::int64_t out, out_first, out_step;
  std::int64_t taps, offset, offset_step, index, index_step;
  std::int64_t inner_first, inner_end;  // the positions all of whose taps lie in the input
};

struct DepthwiseGather {
  std::int64_t N, K, kernel_columns;
  DepthwiseAxis rows, cols;
  std::int64_t repeat;  // M where the input has C channels, each read by M working channels (forward); else 1
  std::int64_t fold;    // M where each M working channels are summed to one of the output (input gradient); else 1
  std::int64_t rows_per_task;
};

struct Conv2dDepthwiseKernels {
  // y = epilogue(gather(x, w) + b) of all gathers of an op, which write different pixels of y; the first has as many
  // rows as any, and where there are several, each channel is read once (repeat 1). b may be null. moments, if not
  // null, gets the moments of y (see cnnfast/kernels/norm.hpp) of each of the blocks; there is one gather then, and its
  // fold is 1.
  std::int64_t (*moment_blocks)(const DepthwiseGather& conv);
  void (*gather)(const DepthwiseGather* gathers, std::int64_t count, const float* x, const float* w, const float* b,
                 Epilogue epilogue, float* y, float* moments);
  // dw for the forward gather `conv`; the rows of all images are cut into `slices`, whose partial sums meet in a
  // workspace of slices * R*S*K floats (none for one slice).
  void (*backward_weight)(const DepthwiseGather& conv, const float* x, const float* dy, std::int64_t slices, float* dw,
                          float* workspace);
};

}  // namespace cnnfast
