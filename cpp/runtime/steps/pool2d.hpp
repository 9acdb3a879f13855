#pragma once
#include <stdexcept>
#include <string>

#include "cnnfast/program.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast {

inline Pool2dShape pool2d_shape(const TensorSpec& x, const TensorSpec& y, const Attributes& a) {
  const auto &window = a.list("pool_size"), &stride = a.list("strides"), &pad = a.list("padding");
  Pool2dShape s{};
  s.N = x.shape[0], s.H = x.shape[1], s.W = x.shape[2], s.C = x.shape[3];
  s.R = window[0], s.S = window[1];
  s.P = y.shape[1], s.Q = y.shape[2];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.pad_top = pad[0], s.pad_bottom = pad[1], s.pad_left = pad[2], s.pad_right = pad[3];
  return s;
}

// One window as large as the image.
inline Pool2dShape global_pool2d_shape(const TensorSpec& x) {
  Pool2dShape s{};
  s.N = x.shape[0], s.H = s.R = x.shape[1], s.W = s.S = x.shape[2], s.C = x.shape[3];
  s.P = s.Q = s.stride_h = s.stride_w = 1;
  return s;
}

// Kernels keep positions in float lanes; `argmax` is the type they are stored as.
inline void check_pool2d_positions(const Pool2dShape& s, Dtype argmax) {
  constexpr std::int64_t kExact = 1 << 24;
  if (s.R > kExact / s.S)
    throw std::invalid_argument("max_pool2d: a window may have up to 2^24 positions, got " + std::to_string(s.R) +
                                " x " + std::to_string(s.S));
  if (argmax == Dtype::uint8 && s.R * s.S > 256)
    throw std::invalid_argument("max_pool2d: a window of " + std::to_string(s.R * s.S) +
                                " positions needs an int32 argmax, got uint8");
}

}  // namespace cnnfast
