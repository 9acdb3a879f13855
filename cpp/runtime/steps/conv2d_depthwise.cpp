#include <algorithm>
#include <memory>

#include "cnnfast/kernels.hpp"
#include "cnnfast/shapes.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

// Products a task should do at least, so that it is worth handing out; and partial sums of a weight gradient.
constexpr std::int64_t kTaskProducts = 256 * 1024;
constexpr std::int64_t kSlices = 16;

// A gather and the lists it points to.
struct DepthwisePlan {
  DepthwiseGather conv{};
  std::vector<DepthwiseTap> row_taps, col_taps;
};
using DepthwisePlans = std::vector<std::unique_ptr<DepthwisePlan>>;

// K = C*M and groups = C: depthwise is the ordinary convolution with a group a channel, and w (R,S,C,M) lies in memory
// as (R,S,1,K).
Conv2dShape depthwise_shape(const TensorSpec& x, const TensorSpec& w, const TensorSpec& y, const Attributes& a) {
  const auto &stride = a.list("strides"), &dilation = a.list("dilation"), &pad = a.list("padding");
  Conv2dShape s{};
  s.N = x.shape[0], s.H = x.shape[1], s.W = x.shape[2], s.C = s.groups = x.shape[3];
  s.R = w.shape[0], s.S = w.shape[1], s.K = w.shape[2] * w.shape[3];
  s.P = y.shape[1], s.Q = y.shape[2];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.dilation_h = dilation[0], s.dilation_w = dilation[1];
  s.pad_top = pad[0], s.pad_bottom = pad[1], s.pad_left = pad[2], s.pad_right = pad[3];
  return s;
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// One axis of a convolution: `in` positions read by `out` windows.
struct Axis {
  std::int64_t in, out, kernel, stride, dilation, pad;
};

void finish(DepthwiseAxis& axis, const std::vector<DepthwiseTap>& taps) {
  axis.taps = taps.data();
  axis.n_taps = static_cast<std::int64_t>(taps.size());
  axis.inner_first = 0, axis.inner_end = axis.grid;
  if (taps.empty()) return;
  const std::int64_t before = std::max<std::int64_t>(-taps.front().offset, 0), room = axis.in - 1 - taps.back().offset;
  axis.inner_first = std::min(ceil_div(before, axis.step), axis.grid);
  axis.inner_end = std::clamp(room < 0 ? 0 : room / axis.step + 1, axis.inner_first, axis.grid);
}

DepthwiseAxis forward_axis(const Axis& a, std::vector<DepthwiseTap>& taps) {
  for (std::int64_t r = 0; r < a.kernel; ++r) taps.push_back({r * a.dilation - a.pad, r});
  DepthwiseAxis axis{a.in, a.stride, a.out, a.out, 0, 1, 0, 0, nullptr, 0};
  finish(axis, taps);
  return axis;
}

// dx[h] sums dy[p] w[r] over h = p*stride + r*dilation - pad. For h = residue + stride*i: p = i + (residue + pad -
// r*dilation) / stride, for those r that the stride divides.
DepthwiseAxis backward_axis(const Axis& a, std::int64_t residue, std::vector<DepthwiseTap>& taps) {
  for (std::int64_t r = a.kernel - 1; r >= 0; --r) {
    const std::int64_t distance = residue + a.pad - r * a.dilation;
    if (distance % a.stride == 0) taps.push_back({distance / a.stride, r});
  }
  DepthwiseAxis axis{a.out, 1, ceil_div(a.in - residue, a.stride), a.in, residue, a.stride, 0, 0, nullptr, 0};
  finish(axis, taps);
  return axis;
}

Axis row_axis(const Conv2dShape& s) { return {s.H, s.P, s.R, s.stride_h, s.dilation_h, s.pad_top}; }
Axis col_axis(const Conv2dShape& s) { return {s.W, s.Q, s.S, s.stride_w, s.dilation_w, s.pad_left}; }

void set_task_size(DepthwiseGather& g) {
  const std::int64_t row_products = g.cols.grid * g.K * g.rows.n_taps * g.cols.n_taps;
  g.rows_per_task = std::max<std::int64_t>(1, kTaskProducts / std::max<std::int64_t>(1, row_products));
}

std::unique_ptr<DepthwisePlan> forward_plan(const Conv2dShape& s) {
  auto plan = std::make_unique<DepthwisePlan>();
  plan->conv = {s.N, s.K, s.S, forward_axis(row_axis(s), plan->row_taps), forward_axis(col_axis(s), plan->col_taps),
                s.K / s.C, 1, 1};
  set_task_size(plan->conv);
  return plan;
}

DepthwisePlans backward_input_plans(const Conv2dShape& s) {
  DepthwisePlans plans;
  for (std::int64_t a = 0; a < std::min(s.stride_h, s.H); ++a) {
    for (std::int64_t b = 0; b < std::min(s.stride_w, s.W); ++b) {
      auto plan = std::make_unique<DepthwisePlan>();
      plan->conv = {s.N, s.K, s.S, backward_axis(row_axis(s), a, plan->row_taps),
                    backward_axis(col_axis(s), b, plan->col_taps), 1, s.K / s.C, 1};
      set_task_size(plan->conv);
      plans.push_back(std::move(plan));
    }
  }
  return plans;
}

// x, w, b or missing -> y
Step depthwise(const OpSpec& spec) {
  const std::shared_ptr<DepthwisePlan> plan =
      forward_plan(depthwise_shape(spec.in[0], spec.in[1], spec.out[0], spec.attributes));
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", 0, [plan, epilogue, biased = spec.has_in(2)](const StepArgs& a) {
            kernels().conv2d_depthwise.gather(plan->conv, a.input(0), a.input(1), biased ? a.input(2) : nullptr,
                                              epilogue, a.output(0));
          }};
}

// dy, w -> dx
Step depthwise_backward_input(const OpSpec& spec) {
  const auto plans = std::make_shared<DepthwisePlans>(
      backward_input_plans(depthwise_shape(spec.out[0], spec.in[1], spec.in[0], spec.attributes)));
  return {"", 0, [plans](const StepArgs& a) {
            for (const auto& plan : *plans)
              kernels().conv2d_depthwise.gather(plan->conv, a.input(0), a.input(1), nullptr, Epilogue::none,
                                                a.output(0));
          }};
}

// dy, x -> dw
Step depthwise_backward_weight(const OpSpec& spec) {
  const Conv2dShape s = depthwise_shape(spec.in[1], spec.out[0], spec.in[0], spec.attributes);
  const std::shared_ptr<DepthwisePlan> plan = forward_plan(s);
  const std::int64_t slices = std::clamp<std::int64_t>(s.N * s.P, 1, kSlices);
  const std::int64_t floats = slices > 1 ? slices * s.R * s.S * s.K : 0;
  return {"", floats * 4, [plan, slices](const StepArgs& a) {
            kernels().conv2d_depthwise.backward_weight(plan->conv, a.input(1), a.input(0), slices, a.output(0),
                                                       a.scratch());
          }};
}

}  // namespace

void add_conv2d_depthwise_steps(StepRegistry& registry) {
  registry["depthwise_conv2d"] = depthwise;
  registry["depthwise_conv2d_backward_input"] = depthwise_backward_input;
  registry["depthwise_conv2d_backward_weight"] = depthwise_backward_weight;
}

}  // namespace cnnfast
