#pragma once
#include "cnnfast/program.hpp"

namespace cnnfast {

void add_activation_steps(StepRegistry& registry);
void add_conv2d_steps(StepRegistry& registry);
void add_dense_steps(StepRegistry& registry);
void add_norm_steps(StepRegistry& registry);
void add_pool2d_steps(StepRegistry& registry);

}  // namespace cnnfast
