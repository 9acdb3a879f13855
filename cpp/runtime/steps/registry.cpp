// The ops a Program can be made of. Each family's file adds its own.
#include <algorithm>
#include <limits>
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
    add_conv2d_pointwise_depthwise_steps(r);
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

// Kernels read float32. These inputs may have other types too, or all tensors of the op one common type.
bool other_type_allowed(const OpSpec& spec, std::size_t input) {
  using Rule = bool (*)(const OpSpec&, std::size_t);
  const Rule any = [](const OpSpec&, std::size_t) { return true; };
  const Rule common = [](const OpSpec& s, std::size_t i) { return s.in[i].dtype == s.out.at(0).dtype; };
  const Rule second = [](const OpSpec&, std::size_t i) { return i == 1; };
  const Rule classes = [](const OpSpec& s, std::size_t i) { return i == 1 && s.in[i].dtype == Dtype::int32; };
  const Rule argmax = [](const OpSpec& s, std::size_t i) {
    return i == (s.op == "conv2d_backward_input" ? 4u : 2u) && s.in[i].dtype == Dtype::uint8;
  };
  static const std::map<std::string, Rule> rules = {
      {"conv2d_backward_input", argmax},
      {"conv2d_backward_weight", argmax},
      {"cast", any},
      {"concatenate", common},
      {"slice", common},
      {"slice_backward", common},
      {"zero_pad2d", common},
      {"crop2d", common},
      {"max_pool2d_backward", second},
      {"global_max_pool2d_backward", second},
      {"softmax_crossentropy", classes},
      {"categorical_crossentropy", classes},
  };
  const auto rule = rules.find(spec.op);
  return rule != rules.end() && rule->second(spec, input);
}

// count() throws where a size is out of range.
void check_sizes(const OpSpec& spec) {
  for (const TensorSpec& t : spec.in) t.count();
  for (const TensorSpec& t : spec.out) t.count();
}

// What windows and factors are made of: no sum or product of two wraps around.
void check_settings(const OpSpec& spec) {
  const auto check = [&](const char* name, std::int64_t least) {
    if (!spec.attributes.has(name)) return;
    for (const std::int64_t v : spec.attributes.list(name))
      if (v < least || v > std::numeric_limits<std::int32_t>::max())
        throw std::invalid_argument(spec.op + ": " + name + " must lie in [" + std::to_string(least) +
                                    ", 2^31 - 1], got " + std::to_string(v));
  };
  for (const char* name : {"strides", "dilation", "pool_size"}) check(name, 1);
  check("padding", 0);
}

void check_types(const OpSpec& spec) {
  const auto halved = [](const TensorSpec& t) { return t.dtype == Dtype::bfloat16; };
  if (std::any_of(spec.in.begin(), spec.in.end(), halved) || std::any_of(spec.out.begin(), spec.out.end(), halved))
    throw std::invalid_argument(spec.op + ": bfloat16 is not for the CPU");
  static const char* const names[] = {"float32", "int32", "uint8", "bfloat16"};
  for (std::size_t i = 0; i < spec.in.size(); ++i)
    if (spec.has_in(i) && spec.in[i].dtype != Dtype::float32 && !other_type_allowed(spec, i))
      throw std::invalid_argument(spec.op + ": input " + std::to_string(i) + " must be float32, got " +
                                  names[static_cast<int>(spec.in[i].dtype)]);
}

}  // namespace

Step make_registered_step(const StepRegistry& registry, const OpSpec& spec) {
  const auto it = registry.find(spec.op);
  if (it == registry.end()) throw std::invalid_argument("op: no kernel is named '" + spec.op + "'");
  check_sizes(spec);
  check_settings(spec);
  Step step = it->second(spec);
  step.op = spec.op;
  return step;
}

Step make_step(const OpSpec& spec) {
  check_types(spec);
  return make_registered_step(registry(), spec);
}

}  // namespace cnnfast
