#include <stdexcept>

#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

Pool2dShape pool2d_shape(const TensorSpec& x, const TensorSpec& y, const Attributes& a) {
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
Pool2dShape global_shape(const TensorSpec& x) {
  Pool2dShape s{};
  s.N = x.shape[0], s.H = s.R = x.shape[1], s.W = s.S = x.shape[2], s.C = x.shape[3];
  s.P = s.Q = s.stride_h = s.stride_w = 1;
  return s;
}

// Kernels keep positions in float lanes.
void check_positions(const Pool2dShape& s) {
  constexpr std::int64_t kExact = 1 << 24;
  if (s.R > kExact / s.S)
    throw std::invalid_argument("max_pool2d: a window may have up to 2^24 positions, got " + std::to_string(s.R) +
                                " x " + std::to_string(s.S));
}

Step max_step(const Pool2dShape& s, const std::vector<TensorSpec>& out) {
  if (out.size() < 2)
    return {"", 0, [s](const StepArgs& a) { kernels().pool2d.max(s, a.input(0), a.output(0)); }};
  check_positions(s);
  if (out[1].dtype == Dtype::uint8) {
    if (s.R * s.S > 256)
      throw std::invalid_argument("max_pool2d: a window of " + std::to_string(s.R * s.S) +
                                  " positions needs an int32 argmax, got uint8");
    return {"", 0, [s](const StepArgs& a) {
              kernels().pool2d.max_u8(s, a.input(0), a.output(0), a.output<std::uint8_t>(1));
            }};
  }
  return {"", 0, [s](const StepArgs& a) {
            kernels().pool2d.max_i32(s, a.input(0), a.output(0), a.output<std::int32_t>(1));
          }};
}

Step max_backward_step(const Pool2dShape& s, Dtype argmax) {
  check_positions(s);
  if (argmax == Dtype::uint8)
    return {"", 0, [s](const StepArgs& a) {
              kernels().pool2d.max_backward_u8(s, a.input(0), a.input<std::uint8_t>(1), a.output(0));
            }};
  return {"", 0, [s](const StepArgs& a) {
            kernels().pool2d.max_backward_i32(s, a.input(0), a.input<std::int32_t>(1), a.output(0));
          }};
}

Step average_step(const Pool2dShape& s) {
  return {"", 0, [s](const StepArgs& a) { kernels().pool2d.average(s, a.input(0), a.output(0)); }};
}

Step average_backward_step(const Pool2dShape& s) {
  return {"", 0, [s](const StepArgs& a) { kernels().pool2d.average_backward(s, a.input(0), a.output(0)); }};
}

// x -> y [, argmax]
Step max_pool2d(const OpSpec& spec) {
  return max_step(pool2d_shape(spec.in[0], spec.out[0], spec.attributes), spec.out);
}

// dy, argmax -> dx
Step max_pool2d_backward(const OpSpec& spec) {
  return max_backward_step(pool2d_shape(spec.out[0], spec.in[0], spec.attributes), spec.in[1].dtype);
}

// x -> y
Step average_pool2d(const OpSpec& spec) {
  return average_step(pool2d_shape(spec.in[0], spec.out[0], spec.attributes));
}

// dy -> dx
Step average_pool2d_backward(const OpSpec& spec) {
  return average_backward_step(pool2d_shape(spec.out[0], spec.in[0], spec.attributes));
}

// The same for x (N,H,W,C) -> y (N,C); argmax is h*W + w.
Step global_max_pool2d(const OpSpec& spec) { return max_step(global_shape(spec.in[0]), spec.out); }
Step global_max_pool2d_backward(const OpSpec& spec) {
  return max_backward_step(global_shape(spec.out[0]), spec.in[1].dtype);
}
Step global_average_pool2d(const OpSpec& spec) { return average_step(global_shape(spec.in[0])); }
Step global_average_pool2d_backward(const OpSpec& spec) { return average_backward_step(global_shape(spec.out[0])); }

}  // namespace

void add_pool2d_steps(StepRegistry& registry) {
  registry["max_pool2d"] = max_pool2d;
  registry["max_pool2d_backward"] = max_pool2d_backward;
  registry["average_pool2d"] = average_pool2d;
  registry["average_pool2d_backward"] = average_pool2d_backward;
  registry["global_max_pool2d"] = global_max_pool2d;
  registry["global_max_pool2d_backward"] = global_max_pool2d_backward;
  registry["global_average_pool2d"] = global_average_pool2d;
  registry["global_average_pool2d_backward"] = global_average_pool2d_backward;
}

}  // namespace cnnfast
