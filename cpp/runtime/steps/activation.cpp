#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

Step relu(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  return {"", 0, [n](const StepArgs& a) { kernels().activation.relu(n, a.input(0), a.output(0)); }};
}

Step relu_backward(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  return {"", 0,
          [n](const StepArgs& a) { kernels().activation.relu_backward(n, a.input(0), a.input(1), a.output(0)); }};
}

}  // namespace

void add_activation_steps(StepRegistry& registry) {
  registry["relu"] = relu;
  registry["relu_backward"] = relu_backward;
}

}  // namespace cnnfast
