#include "loss.hpp"

#include <stdexcept>

#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

Step softmax(const OpSpec& spec) {
  const std::int64_t K = spec.in[0].shape.back(), M = spec.in[0].count() / K;
  return {"", 0, [=](const StepArgs& a) { kernels().loss.softmax(M, K, a.input(0), a.output(0)); }};
}

// dy, y -> dx
Step softmax_backward(const OpSpec& spec) {
  const std::int64_t K = spec.in[0].shape.back(), M = spec.in[0].count() / K;
  return {"", 0,
          [=](const StepArgs& a) { kernels().loss.softmax_backward(M, K, a.input(0), a.input(1), a.output(0)); }};
}

// Labels come from outside: one out of range would reach past the row.
void check_labels(const std::int32_t* labels, std::int64_t M, std::int64_t K) {
  for (std::int64_t m = 0; m < M; ++m)
    if (labels[m] < 0 || labels[m] >= K)
      throw std::invalid_argument("crossentropy: classes must lie in [0, " + std::to_string(K - 1) + "], got " +
                                  std::to_string(labels[m]) + " for sample " + std::to_string(m));
}

// x (..., K), targets (..., K) or labels (...), weights (...) or missing -> loss (), dx (..., K)
template <double (*LossKernels::*Kernel)(const LossArgs&)>
Step loss(const OpSpec& spec) {
  const std::int64_t K = spec.in[0].shape.back(), M = spec.in[0].count() / K;
  const bool labels = spec.in[1].dtype == Dtype::int32;
  const bool gradient = spec.out.size() > 1;
  const LossSettings settings = loss_settings(spec.attributes);
  return {"", kernels().loss.blocks(M, K) * 8, [=](const StepArgs& a) {
            if (labels) check_labels(a.input<std::int32_t>(1), M, K);
            const LossArgs args{M,
                                K,
                                a.input(0),
                                labels ? nullptr : a.input(1),
                                labels ? a.input<std::int32_t>(1) : nullptr,
                                a.input(2),
                                settings.smoothing,
                                settings.delta,
                                settings.alpha,
                                settings.gamma,
                                gradient ? a.output(1) : nullptr,
                                static_cast<double*>(a.workspace)};
            *a.output(0) = static_cast<float>((kernels().loss.*Kernel)(args));
          }};
}

}  // namespace

void add_loss_steps(StepRegistry& registry) {
  registry["softmax"] = softmax;
  registry["softmax_backward"] = softmax_backward;
  registry["softmax_crossentropy"] = loss<&LossKernels::softmax_crossentropy>;
  registry["categorical_crossentropy"] = loss<&LossKernels::categorical_crossentropy>;
  registry["binary_crossentropy"] = loss<&LossKernels::binary_crossentropy>;
  registry["binary_crossentropy_with_logits"] = loss<&LossKernels::binary_crossentropy_with_logits>;
  registry["mean_squared_error"] = loss<&LossKernels::mean_squared_error>;
  registry["mean_absolute_error"] = loss<&LossKernels::mean_absolute_error>;
  registry["mean_absolute_percentage_error"] = loss<&LossKernels::mean_absolute_percentage_error>;
  registry["mean_squared_logarithmic_error"] = loss<&LossKernels::mean_squared_logarithmic_error>;
  registry["huber"] = loss<&LossKernels::huber>;
  registry["log_cosh"] = loss<&LossKernels::log_cosh>;
  registry["hinge"] = loss<&LossKernels::hinge>;
  registry["squared_hinge"] = loss<&LossKernels::squared_hinge>;
  registry["categorical_hinge"] = loss<&LossKernels::categorical_hinge>;
  registry["poisson"] = loss<&LossKernels::poisson>;
  registry["kl_divergence"] = loss<&LossKernels::kl_divergence>;
  registry["binary_focal_crossentropy"] = loss<&LossKernels::binary_focal_crossentropy>;
  registry["categorical_focal_crossentropy"] = loss<&LossKernels::categorical_focal_crossentropy>;
}

}  // namespace cnnfast
