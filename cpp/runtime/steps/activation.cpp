#include "activation.hpp"

#include "cnnfast/kernels.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

// x -> y
template <ActivationForward ActivationKernels::*Kernel>
Step forward(const OpSpec& spec) {
  return {"", 0, [n = spec.in[0].count(), p = parameter_of(spec.attributes)](const StepArgs& a) {
            (kernels().activation.*Kernel)(n, a.input(0), a.output(0), p);
          }};
}

// dy, x or y -> dx
template <ActivationBackward ActivationKernels::*Kernel>
Step backward(const OpSpec& spec) {
  return {"", 0, [n = spec.in[0].count(), p = parameter_of(spec.attributes)](const StepArgs& a) {
            (kernels().activation.*Kernel)(n, a.input(0), a.input(1), a.output(0), p);
          }};
}

// dy (..., K), y (..., K) -> dz (..., K), db (K)
Step relu_backward_bias(const OpSpec& spec) {
  const std::int64_t K = spec.out[1].shape[0], M = spec.in[0].count() / K;
  const Epilogue activation = epilogue_of(spec.attributes);
  return {"", kernels().activation.relu_backward_bias_workspace(M, K) * 4, [=](const StepArgs& a) {
            kernels().activation.relu_backward_bias(M, K, activation, a.input(0), a.input(1), a.output(0), a.output(1),
                                                    a.scratch());
          }};
}

}  // namespace

void add_activation_steps(StepRegistry& registry) {
  using K = ActivationKernels;
  registry["relu"] = forward<&K::relu>;
  registry["relu6"] = forward<&K::relu6>;
  registry["leaky_relu"] = forward<&K::leaky_relu>;
  registry["sigmoid"] = forward<&K::sigmoid>;
  registry["tanh"] = forward<&K::tanh>;
  registry["silu"] = forward<&K::silu>;
  registry["gelu"] = forward<&K::gelu>;
  registry["gelu_tanh"] = forward<&K::gelu_tanh>;
  registry["elu"] = forward<&K::elu>;
  registry["softplus"] = forward<&K::softplus>;
  registry["relu_backward"] = backward<&K::relu_backward>;
  registry["relu6_backward"] = backward<&K::relu6_backward>;
  registry["leaky_relu_backward"] = backward<&K::leaky_relu_backward>;
  registry["sigmoid_backward"] = backward<&K::sigmoid_backward>;
  registry["tanh_backward"] = backward<&K::tanh_backward>;
  registry["silu_backward"] = backward<&K::silu_backward>;
  registry["gelu_backward"] = backward<&K::gelu_backward>;
  registry["gelu_tanh_backward"] = backward<&K::gelu_tanh_backward>;
  registry["elu_backward"] = backward<&K::elu_backward>;
  registry["softplus_backward"] = backward<&K::softplus_backward>;
  registry["relu_backward_bias"] = relu_backward_bias;
}

}  // namespace cnnfast
