// Activations and their gradients; relu_backward_bias besides sums the columns of what it lets through.
#include "../runtime/steps/activation.hpp"
#include "../runtime/steps/epilogue.hpp"
#include "column_sums.hpp"
#include "elementwise.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

// exp does not overflow: its argument is never positive.
__device__ inline float sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// The standard normal distribution (Hendrycks and Gimpel, "Gaussian error linear units", 2016: gelu = x * cdf(x)).
__device__ inline float normal_cdf(float x) { return fmaf(erff(x * 0.707106781f), 0.5f, 0.5f); }
__device__ inline float normal_density(float x) { return expf(x * x * -0.5f) * 0.398942280f; }

// The argument of tanh in gelu's approximation, sqrt(2/pi) (x + 0.044715 x^3), and its derivative.
__device__ inline float gelu_inner(float x) { return x * fmaf(x * x, 0.0356774081f, 0.797884561f); }
__device__ inline float gelu_inner_slope(float x) { return fmaf(x * x, 0.107032224f, 0.797884561f); }

// Each activation as a pair: value(x) and slope(dy, x or y), with the parameter of those that have one. Comparisons are
// written such that NaN stays.
struct Relu {
  static __device__ float value(float x, float) { return x < 0.0f ? 0.0f : x; }
  static __device__ float slope(float dy, float y, float) { return y > 0.0f ? dy : 0.0f; }
};
struct Relu6 {
  static __device__ float value(float x, float) { return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x; }
  static __device__ float slope(float dy, float y, float) { return y > 0.0f && y < 6.0f ? dy : 0.0f; }
};
struct LeakyRelu {
  static __device__ float value(float x, float a) { return x > 0.0f ? x : x * a; }
  static __device__ float slope(float dy, float y, float a) { return y > 0.0f ? dy : dy * a; }
};
struct Sigmoid {
  static __device__ float value(float x, float) { return sigmoid(x); }
  static __device__ float slope(float dy, float y, float) { return dy * y * (1.0f - y); }
};
struct Tanh {
  static __device__ float value(float x, float) { return tanhf(x); }
  static __device__ float slope(float dy, float y, float) { return dy * (1.0f - y * y); }
};
struct Silu {
  static __device__ float value(float x, float) { return x * sigmoid(x); }
  static __device__ float slope(float dy, float x, float) {
    const float s = sigmoid(x);
    return dy * fmaf(x * s, 1.0f - s, s);
  }
};
struct Gelu {
  static __device__ float value(float x, float) { return x * normal_cdf(x); }
  static __device__ float slope(float dy, float x, float) { return dy * fmaf(x, normal_density(x), normal_cdf(x)); }
};
struct GeluTanh {
  static __device__ float value(float x, float) { return x * fmaf(tanhf(gelu_inner(x)), 0.5f, 0.5f); }
  static __device__ float slope(float dy, float x, float) {
    const float t = tanhf(gelu_inner(x));
    return dy * fmaf(x * 0.5f * (1.0f - t * t), gelu_inner_slope(x), fmaf(t, 0.5f, 0.5f));
  }
};
struct Elu {
  static __device__ float value(float x, float a) { return x > 0.0f ? x : a * expm1f(x); }
  static __device__ float slope(float dy, float x, float a) { return x > 0.0f ? dy : dy * a * expf(x); }
};
struct Softplus {  // log(1 + exp(x)), without overflow
  static __device__ float value(float x, float) { return (x < 0.0f ? 0.0f : x) + log1pf(expf(-fabsf(x))); }
  static __device__ float slope(float dy, float x, float) { return dy * sigmoid(x); }
};

template <class Activation>
struct Value {
  float parameter;
  __device__ float operator()(float x) const { return Activation::value(x, parameter); }
};
template <class Activation>
struct Slope {
  float parameter;
  __device__ float operator()(float dy, float x_or_y) const { return Activation::slope(dy, x_or_y, parameter); }
};

// x -> y
template <class Activation>
Step forward(const OpSpec& spec) {
  const Value<Activation> value{parameter_of(spec.attributes)};
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [n = spec.in[0].count(), value](const StepArgs& a) {
              map(n, value, stream_of(a), a.output<T>(0), a.input<T>(0));
            }};
  });
}

// dy, x or y -> dx
template <class Activation>
Step backward(const OpSpec& spec) {
  const Slope<Activation> slope{parameter_of(spec.attributes)};
  const Dtype type = common_type(spec, {spec.in[0].dtype, spec.in[1].dtype, spec.out[0].dtype});
  return with_number(type, [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [n = spec.in[0].count(), slope](const StepArgs& a) {
              map(n, slope, stream_of(a), a.output<T>(0), a.input<T>(0), a.input<T>(1));
            }};
  });
}

// What an epilogue lets through.
struct Gate {
  bool relu, relu6;
  __device__ float operator()(float dy, float y) const {
    return (!relu || y > 0.0f) && (!relu6 || y < 6.0f) ? dy : 0.0f;
  }
};

// dy (..., K), y (..., K) -> dz (..., K), db (K)
Step relu_backward_bias(const OpSpec& spec) {
  const std::int64_t K = spec.out[1].shape[0], M = spec.in[0].count() / K;
  const Epilogue epilogue = epilogue_of(spec.attributes);
  const Gate gate{epilogue != Epilogue::none, epilogue == Epilogue::relu6};
  const Dtype type = common_type(spec, {spec.in[0].dtype, spec.in[1].dtype, spec.out[0].dtype});
  return with_number(type, [&](auto number) -> Step {
    using T = decltype(number);
    const ColumnPlan plan = column_plan(1, M, K, kCommonVector<T>);
    return {"", plan.workspace_bytes(), [=](const StepArgs& a) {
              sum_columns(plan, gate, 1.0f, a.output<T>(0), a.output(1), a.scratch(), stream_of(a), a.input<T>(0),
                          a.input<T>(1));
            }};
  });
}

}  // namespace

void add_activation_steps(StepRegistry& registry) {
  registry["relu"] = forward<Relu>;
  registry["relu6"] = forward<Relu6>;
  registry["leaky_relu"] = forward<LeakyRelu>;
  registry["sigmoid"] = forward<Sigmoid>;
  registry["tanh"] = forward<Tanh>;
  registry["silu"] = forward<Silu>;
  registry["gelu"] = forward<Gelu>;
  registry["gelu_tanh"] = forward<GeluTanh>;
  registry["elu"] = forward<Elu>;
  registry["softplus"] = forward<Softplus>;
  registry["relu_backward"] = backward<Relu>;
  registry["relu6_backward"] = backward<Relu6>;
  registry["leaky_relu_backward"] = backward<LeakyRelu>;
  registry["sigmoid_backward"] = backward<Sigmoid>;
  registry["tanh_backward"] = backward<Tanh>;
  registry["silu_backward"] = backward<Silu>;
  registry["gelu_backward"] = backward<Gelu>;
  registry["gelu_tanh_backward"] = backward<GeluTanh>;
  registry["elu_backward"] = backward<Elu>;
  registry["softplus_backward"] = backward<Softplus>;
  registry["relu_backward_bias"] = relu_backward_bias;
}

}  // namespace cnnfast::cuda
