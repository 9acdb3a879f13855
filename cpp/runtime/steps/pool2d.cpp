#include "pool2d.hpp"

#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

Step max_step(const Pool2dShape& s, const std::vector<TensorSpec>& out) {
  if (out.size() < 2)
    return {"", 0, [s](const StepArgs& a) { kernels().pool2d.max(s, a.input(0), a.output(0)); }};
  check_pool2d_positions(s, out[1].dtype);
  if (out[1].dtype == Dtype::uint8)
    return {"", 0, [s](const StepArgs& a) {
              kernels().pool2d.max_u8(s, a.input(0), a.output(0), a.output<std::uint8_t>(1));
            }};
  return {"", 0, [s](const StepArgs& a) {
            kernels().pool2d.max_i32(s, a.input(0), a.output(0), a.output<std::int32_t>(1));
          }};
}

Step max_backward_step(const Pool2dShape& s, Dtype argmax) {
  check_pool2d_positions(s, Dtype::int32);  // a uint8 argmax of a larger window sends nothing to what it cannot name
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
Step global_max_pool2d(const OpSpec& spec) { return max_step(global_pool2d_shape(spec.in[0]), spec.out); }
Step global_max_pool2d_backward(const OpSpec& spec) {
  return max_backward_step(global_pool2d_shape(spec.out[0]), spec.in[1].dtype);
}
Step global_average_pool2d(const OpSpec& spec) { return average_step(global_pool2d_shape(spec.in[0])); }
Step global_average_pool2d_backward(const OpSpec& spec) {
  return average_backward_step(global_pool2d_shape(spec.out[0]));
}

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
