#pragma once
#include "cnnfast/program.hpp"

namespace cnnfast {

void add_activation_steps(StepRegistry& registry);
void add_arithmetic_steps(StepRegistry& registry);
void add_conv2d_depthwise_steps(StepRegistry& registry);
void add_conv2d_pointwise_depthwise_steps(StepRegistry& registry);
void add_conv2d_steps(StepRegistry& registry);
// A dense layer as a convolution, for weights that come packed; and how many floats they then are.
Step packed_dense(const OpSpec& spec);
std::int64_t packed_dense_floats(const OpSpec& spec);

void add_dense_steps(StepRegistry& registry);
void add_dropout_steps(StepRegistry& registry);
void add_layout_steps(StepRegistry& registry);
void add_loss_steps(StepRegistry& registry);
void add_norm_steps(StepRegistry& registry);
void add_optimizer_steps(StepRegistry& registry);
void add_pool2d_steps(StepRegistry& registry);
void add_reduce_steps(StepRegistry& registry);
void add_resize_steps(StepRegistry& registry);

}  // namespace cnnfast
