// The shape of a convolution from those of its tensors and the attributes of its op.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "cnnfast/program.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast {

// The convolution of an x of shape (N,H,W,C) with a w of shape (R,S,C/groups,K).
inline Conv2dShape conv2d_shape(const std::vector<std::int64_t>& x, const std::vector<std::int64_t>& w,
                                const Attributes& a) {
  const auto &stride = a.list("strides"), &dilation = a.list("dilation"), &pad = a.list("padding");
  Conv2dShape s{};
  s.N = x[0], s.H = x[1], s.W = x[2], s.C = x[3];
  s.R = w[0], s.S = w[1], s.K = w[3];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.dilation_h = dilation[0], s.dilation_w = dilation[1];
  s.pad_top = pad[0], s.pad_bottom = pad[1], s.pad_left = pad[2], s.pad_right = pad[3];
  s.P = window_output_size(s.H, s.R, s.stride_h, s.dilation_h, s.pad_top, s.pad_bottom);
  s.Q = window_output_size(s.W, s.S, s.stride_w, s.dilation_w, s.pad_left, s.pad_right);
  if (s.P < 1 || s.Q < 1) {
    const auto size = [](std::int64_t h, std::int64_t w) { return std::to_string(h) + "x" + std::to_string(w); };
    throw std::invalid_argument(
        "convolution: a window of " + size((s.R - 1) * s.dilation_h + 1, (s.S - 1) * s.dilation_w + 1) +
        " does not fit in an image of " + size(s.H + s.pad_top + s.pad_bottom, s.W + s.pad_left + s.pad_right) +
        ", its padding included");
  }
  s.groups = a.integer("groups", 1);
  return s;
}

}  // namespace cnnfast
