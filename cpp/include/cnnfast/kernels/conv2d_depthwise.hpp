// Depthwise convolution: x (N,H,W,C), w (R,S,C,M), y (N,P,Q,K) with K = C*M; output channel c*M + m reads channel c
// alone. As with conv2d, the forward pass and the input gradient are the same gather over different taps: the gradient
// is one gather for each residue of the stride.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"

namespace cnnfast {

// A kernel row (or column) `index`, which reads the input row (or column) at `offset` from the position's own.
struct DepthwiseTap {
  std::int64_t offset, index;
};

// One spatial axis: position i of the grid reads input i*step + offset of each tap that lies in [0, in), and is
// position out_first + i*out_step of the output. Offsets ascend.
struct DepthwiseAxis {
  std::int64_t in, step, grid, out, out_first, out_step;
  std::int64_t inner_first, inner_end;  // the positions all of whose taps lie in the input
  const DepthwiseTap* taps;
  std::int64_t n_taps;
};

struct DepthwiseGather {
  std::int64_t N, K, kernel_columns;
  DepthwiseAxis rows, cols;
  std::int64_t repeat;  // M where the input has C channels, each read by M working channels (forward); else 1
  std::int64_t fold;    // M where each M working channels are summed to one of the output (input gradient); else 1
  std::int64_t rows_per_task;
};

struct Conv2dDepthwiseKernels {
  // y = epilogue(gather(x, w) + b); b may be null.
  void (*gather)(const DepthwiseGather& conv, const float* x, const float* w, const float* b, Epilogue epilogue,
                 float* y);
  // dw for the forward gather `conv`; the rows of all images are cut into `slices`, whose partial sums meet in a
  // workspace of slices * R*S*K floats (none for one slice).
  void (*backward_weight)(const DepthwiseGather& conv, const float* x, const float* dy, std::int64_t slices, float* dw,
                          float* workspace);
};

}  // namespace cnnfast
