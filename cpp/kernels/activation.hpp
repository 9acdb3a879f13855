// Activations and their gradients (see cnnfast/kernels/activation.hpp).
#pragma once
#include "cnnfast/kernels/activation.hpp"
#include "elementwise.hpp"
#include "row_sums.hpp"
#include "vmath.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// The standard normal distribution (Hendrycks and Gimpel, "Gaussian error linear units", 2016: gelu = x * cdf(x)).
static inline Vec normal_cdf(Vec x) { return vfma(verf(x * vset(0.707106781f)), vset(0.5f), vset(0.5f)); }
static inline Vec normal_density(Vec x) { return vexp(x * x * vset(-0.5f)) * vset(0.398942280f); }

// The argument of tanh in gelu's approximation, sqrt(2/pi) (x + 0.044715 x^3), and its derivative.
static inline Vec gelu_inner(Vec x) { return x * vfma(x * x, vset(0.0356774081f), vset(0.797884561f)); }
static inline Vec gelu_inner_slope(Vec x) { return vfma(x * x, vset(0.107032224f), vset(0.797884561f)); }

// Each activation as a pair: value(x) and slope(dy, x or y), with the parameter of those that have one.
struct Relu {
  static Vec value(Vec x, Vec) { return vmax(vzero(), x); }
  static Vec slope(Vec dy, Vec y, Vec) { return relu_gradient(dy, y); }
};
struct Relu6 {
  static Vec value(Vec x, Vec) { return vmin(vset(6.0f), vmax(vzero(), x)); }
  static Vec slope(Vec dy, Vec y, Vec) { return relu6_gradient(dy, y); }
};
struct LeakyRelu {
  static Vec value(Vec x, Vec a) { return vselect_gt(x, vzero(), x, x * a); }
  static Vec slope(Vec dy, Vec y, Vec a) { return vselect_gt(y, vzero(), dy, dy * a); }
};
struct Sigmoid {
  static Vec value(Vec x, Vec) { return vsigmoid(x); }
  static Vec slope(Vec dy, Vec y, Vec) { return dy * y * (vset(1.0f) - y); }
};
struct Tanh {
  static Vec value(Vec x, Vec) { return vtanh(x); }
  static Vec slope(Vec dy, Vec y, Vec) { return dy * (vset(1.0f) - y * y); }
};
struct Silu {
  static Vec value(Vec x, Vec) { return x * vsigmoid(x); }
  static Vec slope(Vec dy, Vec x, Vec) {
    const Vec s = vsigmoid(x);
    return dy * vfma(x * s, vset(1.0f) - s, s);
  }
};
struct Gelu {
  static Vec value(Vec x, Vec) { return x * normal_cdf(x); }
  static Vec slope(Vec dy, Vec x, Vec) { return dy * vfma(x, normal_density(x), normal_cdf(x)); }
};
struct GeluTanh {
  static Vec value(Vec x, Vec) { return x * vfma(vtanh(gelu_inner(x)), vset(0.5f), vset(0.5f)); }
  static Vec slope(Vec dy, Vec x, Vec) {
    const Vec t = vtanh(gelu_inner(x)), half = vset(0.5f);
    return dy * vfma(x * half * (vset(1.0f) - t * t), gelu_inner_slope(x), vfma(t, half, half));
  }
};
struct Elu {
  static Vec value(Vec x, Vec a) { return vselect_gt(x, vzero(), x, a * vexpm1(vmin(vzero(), x))); }
  static Vec slope(Vec dy, Vec x, Vec a) { return vselect_gt(x, vzero(), dy, dy * a * vexp(x)); }
};
struct Softplus {  // log(1 + exp(x)), without overflow
  static Vec value(Vec x, Vec) { return vmax(vzero(), x) + vlog1p(vexp(vzero() - vabs(x))); }
  static Vec slope(Vec dy, Vec x, Vec) { return dy * vsigmoid(x); }
};

template <class Activation>
static void activation_forward(std::int64_t n, const float* x, float* y, float parameter) {
  const Vec p = vset(parameter);
  map_vectors(n, x, y, [p](Vec a) { return Activation::value(a, p); });
}

template <class Activation>
static void activation_backward(std::int64_t n, const float* dy, const float* x_or_y, float* dx, float parameter) {
  const Vec p = vset(parameter);
  map_vectors(n, dy, x_or_y, dx, [p](Vec g, Vec a) { return Activation::slope(g, a, p); });
}

static std::int64_t relu_backward_bias_workspace(std::int64_t M, std::int64_t K) {
  return RowSums(1, M, K).workspace();
}

static void relu_backward_bias(std::int64_t M, std::int64_t K, Epilogue activation, const float* dy, const float* y,
                               float* dz, float* db, float* workspace) {
  const auto pass = [=](auto gradient) {
    sum_rows_of(RowSums(1, M, K), 1.0f, db, workspace, [=](std::int64_t i, std::int64_t lanes) {
      const Vec g = gradient(vload_lanes(dy + i, lanes), vload_lanes(y + i, lanes));
      vstore_lanes(dz + i, g, lanes);
      return g;
    });
  };
  with_epilogue_gradient(activation, pass);
}

static constexpr ActivationKernels activation_kernels = {
    activation_forward<Relu>,      activation_forward<Relu6>,     activation_forward<LeakyRelu>,
    activation_forward<Sigmoid>,   activation_forward<Tanh>,      activation_forward<Silu>,
    activation_forward<Gelu>,      activation_forward<GeluTanh>,  activation_forward<Elu>,
    activation_forward<Softplus>,  activation_backward<Relu>,     activation_backward<Relu6>,
    activation_backward<LeakyRelu>, activation_backward<Sigmoid>, activation_backward<Tanh>,
    activation_backward<Silu>,     activation_backward<Gelu>,     activation_backward<GeluTanh>,
    activation_backward<Elu>,      activation_backward<Softplus>, relu_backward_bias_workspace,
    relu_backward_bias};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
