// The ops a Program on a GPU can be made of: the same names, inputs, outputs and attributes as on the CPU
// (cpp/runtime/steps). Each family's file adds its own.
#pragma once
#include "cnnfast/program.hpp"

namespace cnnfast::cuda {

void add_activation_steps(StepRegistry& registry);
void add_arithmetic_steps(StepRegistry& registry);
void add_conv2d_steps(StepRegistry& registry);
void add_conv2d_depthwise_steps(StepRegistry& registry);
void add_dense_steps(StepRegistry& registry);
void add_dropout_steps(StepRegistry& registry);
void add_layout_steps(StepRegistry& registry);
void add_loss_steps(StepRegistry& registry);
void add_norm_steps(StepRegistry& registry);
void add_optimizer_steps(StepRegistry& registry);
void add_pool2d_steps(StepRegistry& registry);
void add_reduce_steps(StepRegistry& registry);
void add_resize_steps(StepRegistry& registry);

}  // namespace cnnfast::cuda
