#pragma once
#include "cnnfast/kernels/activation.hpp"
#include "elementwise.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static void relu(std::int64_t n, const float* x, float* y) {
  map_vectors(n, x, y, [](Vec a) { return vmax(vzero(), a); });
}

static void relu_backward(std::int64_t n, const float* dy, const float* y, float* dx) {
  map_vectors(n, dy, y, dx, [](Vec g, Vec a) { return vselect_gt(a, vzero(), g, vzero()); });
}

static constexpr ActivationKernels activation_kernels = {relu, relu_backward};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
