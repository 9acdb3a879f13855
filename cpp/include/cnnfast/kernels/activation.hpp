// Elementwise activations. A backward kernel takes what its formula reads: the output y where that suffices (relu,
// relu6, leaky_relu, sigmoid, tanh), else x. `parameter` is the slope of leaky_relu and the alpha of elu.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"

namespace cnnfast {

using ActivationForward = void (*)(std::int64_t n, const float* x, float* y, float parameter);
using ActivationBackward = void (*)(std::int64_t n, const float* dy, const float* x_or_y, float* dx, float parameter);

struct ActivationKernels {
  ActivationForward relu, relu6, leaky_relu, sigmoid, tanh, silu, gelu, gelu_tanh, elu, softplus;
  ActivationBackward relu_backward, relu6_backward, leaky_relu_backward, sigmoid_backward, tanh_backward,
      silu_backward, gelu_backward, gelu_tanh_backward, elu_backward, softplus_backward;
  // In one pass over dy and y (M, K): dz = dy where the activation let through, db (K) = the sum of its rows.
  // dz may be dy.
  std::int64_t (*relu_backward_bias_workspace)(std::int64_t M, std::int64_t K);
  void (*relu_backward_bias)(std::int64_t M, std::int64_t K, Epilogue activation, const float* dy, const float* y,
                             float* dz, float* db, float* workspace);
};

}  // namespace cnnfast
