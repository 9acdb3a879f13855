#include <memory>
#include <stdexcept>
#include <string>

#include "../conv2d_depthwise_plan.hpp"
#include "../conv2d_plan.hpp"
#include "cnnfast/kernels.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

// x, pointwise w and b or missing, depthwise w and b or missing -> y. With the attribute "kernel_shape", the pointwise
// weights come packed. "pointwise_epilogue" is what happens between the two convolutions.
Step pointwise_depthwise(const OpSpec& spec) {
  const bool is_packed = spec.attributes.has("kernel_shape");
  const auto plans = std::make_shared<GatherPlans>(
      plan_pointwise(spec.in[0].shape, is_packed ? spec.attributes.list("kernel_shape") : spec.in[1].shape));
  const std::int64_t packed_floats = kernels().conv2d.packed_floats(plans->front().conv);
  if (is_packed && spec.in[1].count() != packed_floats)
    throw std::invalid_argument(spec.op + ": packed weights must have " + std::to_string(packed_floats) + " floats");
  TensorSpec between = spec.in[0];
  between.shape[3] = spec.in[3].shape[2];
  const PointwiseDepthwise conv =
      plan_pointwise_depthwise(depthwise_shape(between, spec.in[3], spec.out[0], spec.attributes), spec.in[0].shape[3]);
  const Epilogue first = epilogue_of(spec.attributes, "pointwise_epilogue"), last = epilogue_of(spec.attributes);
  return {"", is_packed ? 0 : packed_floats * 4,
          [=, first_biased = spec.has_in(2), last_biased = spec.has_in(4)](const StepArgs& a) {
            const float* packed = a.input(1);
            if (!is_packed) {
              kernels().conv2d.pack(plans->front().conv, a.input(1), a.scratch());
              packed = a.scratch();
            }
            kernels().conv2d_pointwise_depthwise.run(conv, a.input(0), packed,
                                                     {first_biased ? a.input(2) : nullptr, nullptr, first}, a.input(3),
                                                     {last_biased ? a.input(4) : nullptr, nullptr, last}, a.output(0));
          },
          packed_floats};
}

}  // namespace

void add_conv2d_pointwise_depthwise_steps(StepRegistry& registry) {
  registry["pointwise_depthwise_conv2d"] = pointwise_depthwise;
}

}  // namespace cnnfast
