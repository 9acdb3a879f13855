#include <memory>

#include "../conv2d_plan.hpp"
#include "cnnfast/kernels.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

Conv2dShape conv2d_shape(const TensorSpec& x, const std::vector<std::int64_t>& w, const TensorSpec& y,
                         const Attributes& a) {
  const auto &stride = a.list("strides"), &dilation = a.list("dilation"), &pad = a.list("padding");
  Conv2dShape s{};
  s.N = x.shape[0], s.H = x.shape[1], s.W = x.shape[2], s.C = x.shape[3];
  s.R = w[0], s.S = w[1], s.K = w[3];
  s.P = y.shape[1], s.Q = y.shape[2];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.dilation_h = dilation[0], s.dilation_w = dilation[1];
  s.pad_top = pad[0], s.pad_bottom = pad[1], s.pad_left = pad[2], s.pad_right = pad[3];
  s.groups = a.integer("groups", 1);
  return s;
}

// Packs the weights, then runs every gather.
Step gather_step(GatherPlans made, Epilogue epilogue) {
  auto plans = std::make_shared<GatherPlans>(std::move(made));
  std::int64_t floats = 0;
  for (GatherPlan& plan : *plans) {
    plan.packed_offset = floats;
    floats += kernels().conv2d.packed_floats(plan.conv);
  }
  return {"", floats * 4, [plans, epilogue](const StepArgs& a) {
            for (const GatherPlan& plan : *plans) {
              float* packed = a.scratch() + plan.packed_offset;
              const float* b = a.input(2) ? a.input(2) + plan.conv.out_channel_first : nullptr;
              kernels().conv2d.pack(plan.conv, a.input(1), packed);
              kernels().conv2d.gather(plan.conv, a.input(0), packed, b, epilogue, a.output(0));
            }
          }};
}

// x, w, b or missing -> y
Step conv2d(const OpSpec& spec) {
  return gather_step(plan_conv2d_forward(conv2d_shape(spec.in[0], spec.in[1].shape, spec.out[0], spec.attributes)),
                     epilogue_of(spec.attributes));
}

// dy, w, b or missing -> dx; also the forward pass of a transposed convolution, which is why it takes a bias
Step conv2d_backward_input(const OpSpec& spec) {
  return gather_step(
      plan_conv2d_backward_input(conv2d_shape(spec.out[0], spec.in[1].shape, spec.in[0], spec.attributes)),
      epilogue_of(spec.attributes));
}

// dy, x -> dw
Step conv2d_backward_weight(const OpSpec& spec) {
  const Conv2dShape shape = conv2d_shape(spec.in[1], spec.out[0].shape, spec.in[0], spec.attributes);
  auto plans = std::make_shared<GatherPlans>(plan_conv2d_forward(shape));
  const WeightSplit split = split_conv2d_backward_weight(plans->front().conv);
  const GatherConv& first = plans->front().conv;
  const std::int64_t floats = split.slices > 1 ? split.slices * first.depth * first.out_channels : 0;
  return {"", floats * 4, [plans, split, K = shape.K](const StepArgs& a) {
            for (const GatherPlan& plan : *plans)
              kernels().conv2d.backward_weight(plan.conv, split, a.input(1), a.input(0),
                                               a.output(0) + plan.conv.out_channel_first, K, a.scratch());
          }};
}

}  // namespace

void add_conv2d_steps(StepRegistry& registry) {
  registry["conv2d"] = conv2d;
  registry["conv2d_backward_input"] = conv2d_backward_input;
  registry["conv2d_backward_weight"] = conv2d_backward_weight;
}

}  // namespace cnnfast
