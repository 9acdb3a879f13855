#include "optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

Step sgd_update(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  const float clip = spec.attributes.real("clip_value");
  const bool nesterov = spec.attributes.integer("nesterov", 0) != 0;
  return {"", 0, [=, slots = slots_of(spec)](const StepArgs& a) {
            kernels().optimizer.sgd(optimizer_args(a, n, clip, slots), nesterov);
          }};
}

template <void (*OptimizerKernels::*Kernel)(const OptimizerArgs&)>
Step slot_update(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  const float clip = spec.attributes.real("clip_value");
  return {"", 0, [=, slots = slots_of(spec)](const StepArgs& a) {
            (kernels().optimizer.*Kernel)(optimizer_args(a, n, clip, slots));
          }};
}

// gradients... -> the factor that brings their common norm down to attribute "norm" (1 if it is not larger)
Step clip_scale(const OpSpec& spec) {
  std::vector<std::int64_t> sizes;
  std::int64_t blocks = 0;
  for (const TensorSpec& in : spec.in) {
    sizes.push_back(in.count());
    blocks = std::max(blocks, kernels().optimizer.square_sum_blocks(sizes.back()));
  }
  const double norm = spec.attributes.real("norm");
  return {"", blocks * 8, [=](const StepArgs& a) {
            double total = 0.0;
            for (std::size_t i = 0; i < sizes.size(); ++i)
              total += kernels().optimizer.square_sum(sizes[i], a.input(static_cast<int>(i)),
                                                      static_cast<double*>(a.workspace));
            *a.output(0) = static_cast<float>(norm / std::max(norm, std::sqrt(total)));
          }};
}

}  // namespace

void add_optimizer_steps(StepRegistry& registry) {
  registry["sgd_update"] = sgd_update;
  registry["adam_update"] = slot_update<&OptimizerKernels::adam>;
  registry["rmsprop_update"] = slot_update<&OptimizerKernels::rmsprop>;
  registry["clip_scale"] = clip_scale;
}

}  // namespace cnnfast
