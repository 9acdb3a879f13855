#include <algorithm>
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

// A gather with its packed weights, by one algorithm or the other.
class Gather {
 public:
  explicit Gather(GatherPlan plan) : plan_(std::move(plan)), winograd_(use_winograd(conv())) {
    if (winograd_) split_ = split_winograd(conv());
    packed_floats_ = winograd_ ? kernels().conv2d_winograd.packed_floats(conv()) : kernels().conv2d.packed_floats(conv());
    workspace_floats_ = winograd_ ? kernels().conv2d_winograd.workspace_floats(conv(), split_) : 0;
  }
  std::int64_t floats() const { return packed_floats_ + workspace_floats_; }

  void run(const float* x, const float* w, const float* b, Epilogue epilogue, float* y, float* scratch) const {
    if (b) b += conv().out_channel_first;
    if (winograd_) {
      kernels().conv2d_winograd.pack(conv(), w, scratch);
      kernels().conv2d_winograd.gather(conv(), split_, x, scratch, b, epilogue, y, scratch + packed_floats_);
    } else {
      kernels().conv2d.pack(conv(), w, scratch);
      kernels().conv2d.gather(conv(), x, scratch, b, epilogue, y);
    }
  }

 private:
  const GatherConv& conv() const { return plan_.conv; }
  GatherPlan plan_;
  bool winograd_;
  WinogradSplit split_{};
  std::int64_t packed_floats_ = 0, workspace_floats_ = 0;
};

// Runs every gather, one after the other in the same scratch.
Step gather_step(GatherPlans plans, const OpSpec& spec) {
  auto gathers = std::make_shared<std::vector<Gather>>();
  std::int64_t floats = 0;
  for (GatherPlan& plan : plans) {
    gathers->emplace_back(std::move(plan));
    floats = std::max(floats, gathers->back().floats());
  }
  return {"", floats * 4, [gathers, epilogue = epilogue_of(spec.attributes), biased = spec.has_in(2)](const StepArgs& a) {
            for (const Gather& gather : *gathers)
              gather.run(a.input(0), a.input(1), biased ? a.input(2) : nullptr, epilogue, a.output(0), a.scratch());
          }};
}

// x, w, b or missing -> y
Step conv2d(const OpSpec& spec) {
  return gather_step(plan_conv2d_forward(conv2d_shape(spec.in[0], spec.in[1].shape, spec.out[0], spec.attributes)),
                     spec);
}

// dy, w, b or missing -> dx; also the forward pass of a transposed convolution, which is why it takes a bias
Step conv2d_backward_input(const OpSpec& spec) {
  return gather_step(
      plan_conv2d_backward_input(conv2d_shape(spec.out[0], spec.in[1].shape, spec.in[0], spec.attributes)), spec);
}

// dy, x -> dw
Step conv2d_backward_weight(const OpSpec& spec) {
  const Conv2dShape shape = conv2d_shape(spec.in[1], spec.out[0].shape, spec.in[0], spec.attributes);
  auto plans = std::make_shared<GatherPlans>(plan_conv2d_forward(shape));
  const GatherConv& first = plans->front().conv;
  const bool winograd = use_winograd(first);
  const WeightSplit direct_split = split_conv2d_backward_weight(first);
  const WinogradWeightSplit winograd_split = split_winograd_backward_weight(first);
  const std::int64_t slices = winograd ? winograd_split.slices : direct_split.slices;
  const std::int64_t floats = slices > 1 ? slices * first.depth * first.out_channels : 0;
  return {"", floats * 4, [=, K = shape.K](const StepArgs& a) {
            for (const GatherPlan& plan : *plans) {
              float* dw = a.output(0) + plan.conv.out_channel_first;
              if (winograd)
                kernels().conv2d_winograd.backward_weight(plan.conv, winograd_split, a.input(1), a.input(0), dw, K,
                                                          a.scratch());
              else
                kernels().conv2d.backward_weight(plan.conv, direct_split, a.input(1), a.input(0), dw, K, a.scratch());
            }
          }};
}

}  // namespace

void add_conv2d_steps(StepRegistry& registry) {
  registry["conv2d"] = conv2d;
  registry["conv2d_backward_input"] = conv2d_backward_input;
  registry["conv2d_backward_weight"] = conv2d_backward_weight;
}

}  // namespace cnnfast
