#include "norm.hpp"

#include "cnnfast/kernels.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

std::int64_t workspace_bytes(const BatchNormShape& s) { return kernels().norm.workspace(s) * 4; }

// x, gamma or missing, beta or missing, residual or missing, moments of blocks of x or missing -> y, mean, variance
// (biased), both of the batch
Step batch_norm(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  const std::int64_t blocks = spec.has_in(4) ? spec.in[4].shape[0] : 0;
  return {"", workspace_bytes(s), [=, summed = spec.has_in(3)](const StepArgs& a) {
            const NormKernels& k = kernels().norm;
            if (blocks)
              k.join_moments(s, blocks, a.input(4), a.output(1), a.output(2));
            else
              k.moments(s, a.input(0), a.output(1), a.output(2), a.scratch());
            k.normalize(s, a.input(0), {a.input(1), a.input(2)}, a.output(1), a.output(2),
                        summed ? a.input(3) : nullptr, epilogue, a.output(0), a.scratch());
          }};
}

// dy, x, gamma or missing, mean, variance, beta or missing -> dx, dgamma, dbeta. dy is the gradient of what the
// epilogue made of batch_norm's result; beta counts only where there is one.
Step batch_norm_backward(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", workspace_bytes(s), [=, shifted = spec.has_in(5)](const StepArgs& a) {
            const NormKernels& k = kernels().norm;
            const Affine affine{a.input(2), shifted ? a.input(5) : nullptr};
            k.backward_scale(s, a.input(0), a.input(1), affine, a.input(3), a.input(4), epilogue, a.output(1),
                             a.output(2), a.scratch());
            k.backward_batch(s, a.input(0), a.input(1), affine, a.input(3), a.input(4), epilogue, a.output(1),
                             a.output(2), a.output(0), a.scratch());
          }};
}

// x, gamma or missing, beta or missing, mean, variance -> y
Step batch_norm_inference(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", workspace_bytes(s), [=](const StepArgs& a) {
            kernels().norm.normalize(s, a.input(0), {a.input(1), a.input(2)}, a.input(3), a.input(4), nullptr, epilogue,
                                     a.output(0), a.scratch());
          }};
}

// dy, gamma or missing, variance -> dx
Step batch_norm_inference_backward_input(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  return {"", workspace_bytes(s), [=](const StepArgs& a) {
            kernels().norm.backward_constant(s, a.input(0), a.input(1), a.input(2), a.output(0), a.scratch());
          }};
}

// dy, x, mean, variance -> dgamma, dbeta
Step batch_norm_backward_scale(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  return {"", workspace_bytes(s), [=](const StepArgs& a) {
            kernels().norm.backward_scale(s, a.input(0), a.input(1), {nullptr, nullptr}, a.input(2), a.input(3),
                                          Epilogue::none, a.output(0), a.output(1), a.scratch());
          }};
}

// moving (changed in place), value ->
Step moving_average_update(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  const float momentum = spec.attributes.real("momentum");
  return {"", 0, [=](const StepArgs& a) { kernels().norm.moving_average(n, momentum, a.input(1), a.updated(0)); }};
}

}  // namespace

void add_norm_steps(StepRegistry& registry) {
  registry["batch_norm"] = batch_norm;
  registry["batch_norm_backward"] = batch_norm_backward;
  registry["batch_norm_inference"] = batch_norm_inference;
  registry["batch_norm_inference_backward_input"] = batch_norm_inference_backward_input;
  registry["batch_norm_backward_scale"] = batch_norm_backward_scale;
  registry["moving_average_update"] = moving_average_update;
}

}  // namespace cnnfast
