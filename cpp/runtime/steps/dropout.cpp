#include "dropout.hpp"

#include <algorithm>

#include "broadcast.hpp"
#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

// x -> y, or dy -> dx; attributes "rate", "salt" and perhaps "noise_shape", where a size of 1 shares what is dropped
Step dropout(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  const Attributes attributes = spec.attributes;
  if (!attributes.has("noise_shape"))
    return {"", 0, [=](const StepArgs& a) {
              kernels().dropout.dropout(n, dropout_settings(attributes, a.seed), a.input(0), a.output(0));
            }};
  const TensorSpec noise{Dtype::float32, attributes.list("noise_shape")};
  const BroadcastShape shape = broadcast_shape(spec.in[0].shape, noise.shape, spec.out[0].shape);
  return {"", noise.bytes(), [=, count = noise.count()](const StepArgs& a) {
            std::fill_n(a.scratch(), count, 1.0f);
            kernels().dropout.dropout(count, dropout_settings(attributes, a.seed), a.scratch(), a.scratch());
            kernels().arithmetic.multiply(shape, a.input(0), a.scratch(), a.output(0));
          }};
}

}  // namespace

void add_dropout_steps(StepRegistry& registry) { registry["dropout"] = dropout; }

}  // namespace cnnfast
