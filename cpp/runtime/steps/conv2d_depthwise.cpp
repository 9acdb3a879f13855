#include <algorithm>

#include "../conv2d_depthwise_plan.hpp"
#include "cnnfast/kernels.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

constexpr std::int64_t kSlices = 16;  // partial sums of a weight gradient

// x, w, b or missing -> y, moments of blocks of y if they are wanted
Step depthwise(const OpSpec& spec) {
  const DepthwiseGather gather =
      plan_depthwise_forward(depthwise_shape(spec.in[0], spec.in[1], spec.out[0], spec.attributes));
  const Epilogue epilogue = epilogue_of(spec.attributes);
  const std::int64_t moment_blocks = usable_moment_blocks(spec, kernels().conv2d_depthwise.moment_blocks(gather));
  check_moments(spec, moment_blocks);
  return {"",
          0,
          [gather, epilogue, biased = spec.has_in(2), summed = spec.out.size() > 1](const StepArgs& a) {
            kernels().conv2d_depthwise.gather(&gather, 1, a.input(0), a.input(1), biased ? a.input(2) : nullptr,
                                              epilogue, a.output(0), summed ? a.output(1) : nullptr);
          },
          0,
          {},
          moment_blocks};
}

// dy, w -> dx
Step depthwise_backward_input(const OpSpec& spec) {
  const auto gathers =
      plan_depthwise_backward_input(depthwise_shape(spec.out[0], spec.in[1], spec.in[0], spec.attributes));
  return {"", 0, [gathers](const StepArgs& a) {
            kernels().conv2d_depthwise.gather(gathers.data(), static_cast<std::int64_t>(gathers.size()), a.input(0),
                                              a.input(1), nullptr, Epilogue::none, a.output(0), nullptr);
          }};
}

// dy, x -> dw
Step depthwise_backward_weight(const OpSpec& spec) {
  const Conv2dShape s = depthwise_shape(spec.in[1], spec.out[0], spec.in[0], spec.attributes);
  const std::int64_t slices = std::clamp<std::int64_t>(s.N * s.P, 1, kSlices);
  const std::int64_t floats = slices > 1 ? slices * s.R * s.S * s.K : 0;
  return {"", floats * 4, [gather = plan_depthwise_forward(s), slices](const StepArgs& a) {
            kernels().conv2d_depthwise.backward_weight(gather, a.input(1), a.input(0), slices, a.output(0),
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
