// Turns a convolution's shape into gathers (see cnnfast/kernels/conv2d.hpp). Done once, when a step is made.
#pragma once
#include <memory>
#include <vector>

#include "cnnfast/kernels/conv2d.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast {

// A gather and the lists it points to.
class GatherPlan {
 public:
  GatherConv conv{};
  std::vector<ConvTap> taps;
  std::vector<ConvRun> runs;
  std::vector<ConvPass> passes;
  std::vector<std::int64_t> row_offset;

  GatherPlan() = default;
  GatherPlan(GatherPlan&&) = default;
  GatherPlan(const GatherPlan&) = delete;
};

using GatherPlans = std::vector<GatherPlan>;

// One gather a group. The forward one may see pixels of several rows as one row; `windows` keeps the rows, and gives
// a task a multiple of row_unit of them.
GatherPlans plan_conv2d_forward(const Conv2dShape& shape);
GatherPlans plan_conv2d_windows(const Conv2dShape& shape, std::int64_t row_unit = 1);
// A 1x1 convolution with stride 1, or a dense layer: x (..., C), w (..., C, K).
GatherPlans plan_pointwise(const std::vector<std::int64_t>& x, const std::vector<std::int64_t>& w);
// One gather a group and residue of the stride; together they write every pixel of dx.
GatherPlans plan_conv2d_backward_input(const Conv2dShape& shape);
// The forward gathers whose weight gradient is wanted; pooled: dy is what a max-pooling sends back, row by row.
GatherPlans plan_conv2d_backward_weight(const Conv2dShape& shape, bool pooled);

WeightSplit split_conv2d_backward_weight(const GatherConv& conv);

}  // namespace cnnfast
