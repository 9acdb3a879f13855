#include "reduce.hpp"

#include <algorithm>

#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

// x -> y = scale * sum over attribute "axes"
Step sum_of(const OpSpec& spec, Summand summand, const std::vector<std::int64_t>& axes) {
  const std::vector<SumPass> passes = sum_passes(spec.in[0].shape, axes);
  std::int64_t partial = 0;
  for (const SumPass& p : passes) partial = std::max(partial, kernels().reduce.sum_workspace(p.A, p.R, p.B));
  // Results of all passes but the last, two in turn.
  const std::int64_t between = passes.size() > 1 ? passes[0].A * passes[0].B : 0;
  const float scale = spec.attributes.real("scale");
  return {"", (partial + 2 * between) * 4, [=](const StepArgs& a) {
            const float* from = a.input(0);
            for (std::size_t i = 0; i < passes.size(); ++i) {
              const bool last = i + 1 == passes.size();
              float* to = last ? a.output(0) : a.scratch() + partial + (i % 2 ? between : 0);
              kernels().reduce.sum(passes[i].A, passes[i].R, passes[i].B, i ? Summand::value : summand,
                                   last ? scale : 1.0f, from, to, a.scratch());
              from = to;
            }
          }};
}

Step sum(const OpSpec& spec) { return sum_of(spec, Summand::value, spec.attributes.list("axes")); }

// x -> a scalar
template <Summand S>
Step sum_all(const OpSpec& spec) {
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < spec.in[0].shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  return sum_of(spec, S, axes);
}

// dy (a scalar), x -> dx
template <void (*ReduceKernels::*Kernel)(std::int64_t, float, float, const float*, float*)>
Step sum_all_backward(const OpSpec& spec) {
  return {"", 0, [n = spec.in[1].count(), scale = spec.attributes.real("scale")](const StepArgs& a) {
            (kernels().reduce.*Kernel)(n, *a.input(0), scale, a.input(1), a.output(0));
          }};
}

}  // namespace

void add_reduce_steps(StepRegistry& registry) {
  registry["sum"] = sum;
  registry["sum_abs"] = sum_all<Summand::magnitude>;
  registry["sum_squares"] = sum_all<Summand::square>;
  registry["sum_abs_backward"] = sum_all_backward<&ReduceKernels::sum_abs_backward>;
  registry["sum_squares_backward"] = sum_all_backward<&ReduceKernels::sum_squares_backward>;
}

}  // namespace cnnfast
