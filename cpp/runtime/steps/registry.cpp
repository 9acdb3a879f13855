// The ops a Program can be made of. Each family's file adds its own.
#include <stdexcept>

#include "families.hpp"

namespace cnnfast {
namespace {

const StepRegistry& registry() {
  static const StepRegistry all = [] {
    StepRegistry r;
    add_activation_steps(r);
    add_arithmetic_steps(r);
    add_conv2d_depthwise_steps(r);
    add_conv2d_steps(r);
    add_dense_steps(r);
    add_dropout_steps(r);
    add_layout_steps(r);
    add_loss_steps(r);
    add_norm_steps(r);
    add_optimizer_steps(r);
    add_pool2d_steps(r);
    add_reduce_steps(r);
    add_resize_steps(r);
    return r;
  }();
  return all;
}

}  // namespace

Step make_step(const OpSpec& spec) {
  const auto it = registry().find(spec.op);
  if (it == registry().end()) throw std::invalid_argument("op: no kernel is named '" + spec.op + "'");
  Step step = it->second(spec);
  step.op = spec.op;
  return step;
}

}  // namespace cnnfast
