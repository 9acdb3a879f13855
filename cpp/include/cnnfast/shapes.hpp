// Shapes of the kernels: plain data, filled by the functions in runtime/shapes.cpp, the only home of output-size
// formulas. Nothing here is inline code: instruction-set sources include this header (see docs/architecture.md).
#pragma once
#include <cstdint>

namespace cnnfast {

// One spatial axis of a sliding window: out = floor((in + pad_lo + pad_hi - ((kernel-1)*dilation + 1)) / stride) + 1.
std::int64_t window_output_size(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                                std::int64_t pad_lo, std::int64_t pad_hi);

// Keras' "same": out = ceil(in / stride), the odd pixel of padding goes to the far side (bottom, right).
void same_padding(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                  std::int64_t& pad_lo, std::int64_t& pad_hi);

// x (N,H,W,C), w (R,S,C/groups,K), y (N,P,Q,K).
struct Conv2dShape {
  std::int64_t N, H, W, C, K, R, S, P, Q;
  std::int64_t stride_h, stride_w, dilation_h, dilation_w;
  std::int64_t pad_top, pad_bottom, pad_left, pad_right;
  std::int64_t groups;
};

// x (N,H,W,C), y (N,P,Q,C), window R x S.
struct Pool2dShape {
  std::int64_t N, H, W, C, R, S, P, Q;
  std::int64_t stride_h, stride_w;
  std::int64_t pad_top, pad_bottom, pad_left, pad_right;
};

// y (M,N) = a (M,K) times b (K,N).
struct MatmulShape {
  std::int64_t M, N, K;
};

}  // namespace cnnfast
