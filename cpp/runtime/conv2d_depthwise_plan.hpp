// Turns a depthwise convolution's shape into gathers (see cnnfast/kernels/conv2d_depthwise.hpp).
#pragma once
#include <vector>

#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "cnnfast/kernels/conv2d_pointwise_depthwise.hpp"
#include "cnnfast/program.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast {

// K = C*M and groups = C: depthwise is the ordinary convolution with a group a channel, and w (R,S,C,M) lies in memory
// as (R,S,1,K).
Conv2dShape depthwise_shape(const TensorSpec& x, const TensorSpec& w, const TensorSpec& y, const Attributes& a);

DepthwiseGather plan_depthwise_forward(const Conv2dShape& shape);
// One gather a residue of the stride; together they write every pixel of dx.
std::vector<DepthwiseGather> plan_depthwise_backward_input(const Conv2dShape& shape);

// `shape` is the depthwise convolution's, C the channels of the 1x1 convolution before it.
PointwiseDepthwise plan_pointwise_depthwise(const Conv2dShape& shape, std::int64_t C);

}  // namespace cnnfast
