// Batch normalization (see cnnfast/kernels/norm.hpp): a reading of x for its moments and a pass that normalizes; for
// the gradients a reading of dy and x for dgamma and dbeta, and a pass for dx. How they are launched: channel_sums.hpp.
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "../runtime/steps/epilogue.hpp"
#include "../runtime/steps/norm.hpp"
#include "channel_sums.hpp"
#include "ending.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

// Of numbers whose vectors need no bytes more than one, so many more rows are under way.
template <int V>
constexpr int together(int vectors) {
  return V > 1 ? vectors : 2 * vectors;
}

__device__ inline float inverse_sigma(float variance, float epsilon) { return 1.0f / sqrtf(variance + epsilon); }

// V floats of `from` on, or as many times what stands for them where they are not given.
template <int V>
__device__ inline void load_or(const float* from, float missing, float (&x)[V]) {
  if (from) return load_floats<V>(from, x);
#pragma unroll
  for (int v = 0; v < V; ++v) x[v] = missing;
}
__device__ inline const float* at_channel(const float* from, std::int64_t channel) {
  return from ? from + channel : nullptr;
}

// gamma / sigma of the V channels that `variance` points to, of which `channel` is the first.
template <int V>
__device__ inline void load_scale(const float* gamma, std::int64_t channel, const float* variance, float epsilon,
                                  float (&scale)[V]) {
  float variances[V];
  load_floats<V>(variance, variances);
  load_or<V>(at_channel(gamma, channel), 1.0f, scale);
#pragma unroll
  for (int v = 0; v < V; ++v) scale[v] *= inverse_sigma(variances[v], epsilon);
}

// The gradient's kernels compute it too, to see what the epilogue let through: the same bits everywhere.
__device__ inline float normalized(float centred, float scale, float shift) { return fmaf(centred, scale, shift); }

__device__ inline float median(float a, float b, float c) { return fmaxf(fminf(a, b), fminf(fmaxf(a, b), c)); }

// Mean and biased variance from the sums of d = x - origin and of d^2, in which little is lost if the origin is at most
// some standard deviations from the mean (Chan, Golub and LeVeque, "Algorithms for computing the sample variance",
// 1983, section 3). Each chunk's origin is the median of three of its rows, so that it is no outlier that only one of
// them is.
template <class T, int V>
struct Moments {
  static constexpr int kVector = V, kTogether = together<V>(4), kParts = 3;
  const T* x;
  float *first, *second;  // mean, variance

  struct Thread {
    const T* x;
    float sum[2 * V] = {}, shift[V] = {};

    __device__ explicit Thread(const Moments& m) : x(m.x) {}
    __device__ void begin(const ChannelGrid& g, const ChannelPlace<V>& place) {
      const std::int64_t runs = (g.M - 1) / g.lanes - blockIdx.y, last = runs / gridDim.y;  // of this chunk
      float row[3][V];
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        const std::int64_t run = blockIdx.y + (i == 0 ? 0 : i == 1 ? last / 2 : last) * gridDim.y;
        load<V>(x + run * g.lanes * g.C + place.channel, row[i]);
      }
#pragma unroll
      for (int v = 0; v < V; ++v) shift[v] = median(row[0][v], row[1][v], row[2][v]);
    }
    template <bool WHOLE>
    __device__ void run(std::int64_t at, std::int64_t pitch, int present) {
      Vector<T, V> rows[kTogether];
      load_rows<WHOLE>(x, at, pitch, present, rows);
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
        if (WHOLE || u < present)
#pragma unroll
          for (int v = 0; v < V; ++v) {
            const float d = to_float(rows[u].at[v]) - shift[v];
            sum[v] += d;
            sum[V + v] = fmaf(d, d, sum[V + v]);
          }
    }
    __device__ float origin(int v) const { return shift[v]; }
    __device__ float part(int i, int v) const { return i < 2 ? sum[i * V + v] : shift[v]; }
  };

  __device__ float origin(const float* part, std::int64_t pitch) const { return part[2 * pitch]; }
  // From the chunk's own origin to the common one.
  __device__ void add(const float* part, std::int64_t pitch, double n, float origin, double (&sum)[2]) const {
    const double s = part[0], step = static_cast<double>(part[2 * pitch]) - origin;
    sum[0] += s + n * step;
    sum[1] += part[pitch] + step * (2.0 * s + n * step);
  }
  __device__ ChannelPair pair(const ChannelGrid& g, std::int64_t, const double (&sum)[2], float origin) const {
    const double centre = sum[0] / static_cast<double>(g.M);
    const double variance = (sum[1] - sum[0] * centre) / static_cast<double>(g.M);
    return {static_cast<float>(origin + centre), variance < 0.0 ? 0.0f : static_cast<float>(variance)};  // NaN stays
  }
  __device__ void store(std::int64_t channel, const ChannelPair& p) const {
    first[channel] = p.first, second[channel] = p.second;
  }
};

// y = epilogue(gamma (x - mean) / sigma + beta + residual), the last only if SUMMED.
template <class T, int V, bool SUMMED>
struct Normalize {
  static constexpr int kVector = V, kTogether = together<V>(SUMMED ? 2 : 4), kBlocks = 3;
  const T *x, *residual;
  const float *gamma, *beta;
  float epsilon;
  Epilogue epilogue;
  T* y;

  struct Thread {
    const Normalize& map;
    float mean[V], scale[V], shift[V];

    __device__ explicit Thread(const Normalize& m) : map(m) {}
    __device__ void begin(const ChannelGrid&, const ChannelPlace<V>& place, const float* means,
                          const float* variances) {
      load_floats<V>(means, mean);
      load_scale<V>(map.gamma, place.channel, variances, map.epsilon, scale);
      load_or<V>(at_channel(map.beta, place.channel), 0.0f, shift);
    }
    template <bool WHOLE>
    __device__ void run(std::int64_t at, std::int64_t pitch, int present) {
      Vector<T, V> x[kTogether], residual[SUMMED ? kTogether : 1];
      load_rows<WHOLE>(map.x, at, pitch, present, x);
      if constexpr (SUMMED) load_rows<WHOLE>(map.residual, at, pitch, present, residual);
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
        if (WHOLE || u < present) {
          float y[V];
#pragma unroll
          for (int v = 0; v < V; ++v) {
            y[v] = normalized(to_float(x[u].at[v]) - mean[v], scale[v], shift[v]);
            if constexpr (SUMMED) y[v] += to_float(residual[u].at[v]);
            y[v] = with_epilogue(y[v], map.epilogue);
          }
          store<V>(map.y + at + u * pitch, y);
        }
    }
  };
};

// What the gradients are made from. MASKED: dy counts where the epilogue, which is not none, let y through.
template <class T>
struct GradientInputs {
  const T *dy, *x;
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
  Epilogue epilogue;
};

// Of V channels: what gives x - mean and the part of dy that counts.
template <class T, int V, bool MASKED>
struct GradientChannels {
  float mean[V] = {}, scale[V] = {}, shift[MASKED ? V : 1] = {};

  __device__ void begin(const GradientInputs<T>& in, std::int64_t channel) {
    load_floats<V>(in.mean + channel, mean);
    load_scale<V>(in.gamma, channel, in.variance + channel, in.epsilon, scale);
    if constexpr (MASKED) load_or<V>(at_channel(in.beta, channel), 0.0f, shift);
  }
  __device__ float let_through(float dy, float centred, int v, Epilogue epilogue) const {
    if constexpr (MASKED)
      return epilogue_gradient(dy, normalized(centred, scale[v], shift[v]), epilogue);
    else
      return dy;
  }
};

// dbeta = sum of dz and dgamma = sum of dz (x - mean) / sigma, where dz is what counts of dy.
template <class T, int V, bool MASKED>
struct ScaleGradients {
  static constexpr int kVector = V, kTogether = together<V>(2), kParts = 2;
  GradientInputs<T> in;
  float *first, *second;  // dbeta, dgamma

  struct Thread {
    const ScaleGradients& sums;
    GradientChannels<T, V, MASKED> channels;
    float sum[2 * V] = {};

    __device__ explicit Thread(const ScaleGradients& s) : sums(s) {}
    __device__ void begin(const ChannelGrid&, const ChannelPlace<V>& place) { channels.begin(sums.in, place.channel); }
    template <bool WHOLE>
    __device__ void run(std::int64_t at, std::int64_t pitch, int present) {
      Vector<T, V> dy[kTogether], x[kTogether];
      load_rows<WHOLE>(sums.in.dy, at, pitch, present, dy);
      load_rows<WHOLE>(sums.in.x, at, pitch, present, x);
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
        if (WHOLE || u < present)
#pragma unroll
          for (int v = 0; v < V; ++v) {
            const float centred = to_float(x[u].at[v]) - channels.mean[v];
            const float dz = channels.let_through(to_float(dy[u].at[v]), centred, v, sums.in.epilogue);
            sum[v] += dz;
            sum[V + v] = fmaf(dz, centred, sum[V + v]);
          }
    }
    __device__ float origin(int) const { return 0.0f; }
    __device__ float part(int i, int v) const { return sum[i * V + v]; }
  };

  __device__ float origin(const float*, std::int64_t) const { return 0.0f; }
  __device__ void add(const float* part, std::int64_t pitch, double, float, double (&sum)[2]) const {
    sum[0] += part[0];
    sum[1] += part[pitch];
  }
  __device__ ChannelPair pair(const ChannelGrid&, std::int64_t channel, const double (&sum)[2], float) const {
    return {static_cast<float>(sum[0]), static_cast<float>(sum[1]) * inverse_sigma(in.variance[channel], in.epsilon)};
  }
  __device__ void store(std::int64_t channel, const ChannelPair& p) const {
    first[channel] = p.first, second[channel] = p.second;
  }
};

// dx = gamma / sigma (dz - dbeta / M - (x - mean) / sigma dgamma / M) (Ioffe and Szegedy 2015, section 3, collected).
template <class T, int V, bool MASKED>
struct InputGradient {
  static constexpr int kVector = V, kTogether = together<V>(2), kBlocks = 3;
  GradientInputs<T> in;
  T* dx;

  struct Thread {
    const InputGradient& map;
    GradientChannels<T, V, MASKED> channels;
    float offset[V], slope[V];

    __device__ explicit Thread(const InputGradient& m) : map(m) {}
    __device__ void begin(const ChannelGrid& g, const ChannelPlace<V>& place, const float* dbeta, const float* dgamma) {
      channels.begin(map.in, place.channel);
      const float share = 1.0f / static_cast<float>(g.M);
      float variance[V];
      load_floats<V>(map.in.variance + place.channel, variance);
      load_floats<V>(dbeta, offset);
      load_floats<V>(dgamma, slope);
#pragma unroll
      for (int v = 0; v < V; ++v) {
        offset[v] *= share;
        slope[v] *= share * inverse_sigma(variance[v], map.in.epsilon);
      }
    }
    template <bool WHOLE>
    __device__ void run(std::int64_t at, std::int64_t pitch, int present) {
      Vector<T, V> dy[kTogether], x[kTogether];
      load_rows<WHOLE>(map.in.dy, at, pitch, present, dy);
      load_rows<WHOLE>(map.in.x, at, pitch, present, x);
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
        if (WHOLE || u < present) {
          float dx[V];
#pragma unroll
          for (int v = 0; v < V; ++v) {
            const float centred = to_float(x[u].at[v]) - channels.mean[v];
            const float dz = channels.let_through(to_float(dy[u].at[v]), centred, v, map.in.epilogue);
            dx[v] = fmaf(-centred, slope[v], dz - offset[v]) * channels.scale[v];
          }
          store<V>(map.dx + at + u * pitch, dx);
        }
    }
  };
};

// dx = dy gamma / sigma: the moments are constants.
template <class T, int V>
struct ConstantGradient {
  static constexpr int kVector = V, kTogether = together<V>(4), kBlocks = 3;
  const T* dy;
  const float* gamma;
  float epsilon;
  T* dx;

  struct Thread {
    const ConstantGradient& map;
    float scale[V];

    __device__ explicit Thread(const ConstantGradient& m) : map(m) {}
    __device__ void begin(const ChannelGrid&, const ChannelPlace<V>& place, const float* variance, const float*) {
      load_scale<V>(map.gamma, place.channel, variance, map.epsilon, scale);
    }
    template <bool WHOLE>
    __device__ void run(std::int64_t at, std::int64_t pitch, int present) {
      Vector<T, V> dy[kTogether];
      load_rows<WHOLE>(map.dy, at, pitch, present, dy);
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
        if (WHOLE || u < present) {
          float dx[V];
#pragma unroll
          for (int v = 0; v < V; ++v) dx[v] = to_float(dy[u].at[v]) * scale[v];
          store<V>(map.dx + at + u * pitch, dx);
        }
    }
  };
};

// Where only the sums are wanted.
template <class T, int V>
struct NoPass {
  static constexpr int kTogether = 1;
  struct Thread {
    __device__ explicit Thread(const NoPass&) {}
    __device__ void begin(const ChannelGrid&, const ChannelPlace<V>&, const float*, const float*) {}
    template <bool WHOLE>
    __device__ void run(std::int64_t, std::int64_t, int) {}
  };
};

template <class T, int V>
ChannelPlan plan_for(const BatchNormShape& s) {
  return ChannelPlan(s.M, s.C, V, static_cast<int>(sizeof(T)));
}

// Which tensors come as which inputs: cpp/runtime/steps/norm.cpp.
template <class T, int V, bool SUMMED>
Step batch_norm_step(const BatchNormShape& s, Epilogue epilogue) {
  const ChannelPlan plan = plan_for<T, V>(s);
  return {"", plan.workspace_bytes(Moments<T, V>::kParts), [=](const StepArgs& a) {
            const T* x = a.input<T>(0);
            const Normalize<T, V, SUMMED> normalize{
                x, SUMMED ? a.input<T>(3) : nullptr, a.input(1), a.input(2), s.epsilon, epilogue, a.output<T>(0)};
            sum_and_pass(plan, Moments<T, V>{x, a.output(1), a.output(2)}, normalize, a.scratch(), stream_of(a));
          }};
}

Step batch_norm(const OpSpec& spec) {
  if (spec.has_in(4)) throw std::invalid_argument("batch_norm: on cuda it takes its moments from x alone");
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  const bool summed = spec.has_in(3);
  const Dtype dtype =
      common_type(spec, {spec.in[0].dtype, spec.out[0].dtype, summed ? spec.in[3].dtype : spec.in[0].dtype});
  return with_vector(dtype, s.C, [&](auto number, auto vector) {
    using T = decltype(number);
    constexpr int V = decltype(vector)::value;
    return summed ? batch_norm_step<T, V, true>(s, epilogue) : batch_norm_step<T, V, false>(s, epilogue);
  });
}

template <class T, int V, bool MASKED>
Step batch_norm_backward_step(const BatchNormShape& s, Epilogue epilogue, bool shifted) {
  const ChannelPlan plan = plan_for<T, V>(s);
  using Sums = ScaleGradients<T, V, MASKED>;
  return {"", plan.workspace_bytes(Sums::kParts), [=](const StepArgs& a) {
            const GradientInputs<T> in{a.input<T>(0), a.input<T>(1), a.input(2), shifted ? a.input(5) : nullptr,
                                       a.input(3),    a.input(4),    s.epsilon,  epilogue};
            sum_and_pass(plan, Sums{in, a.output(2), a.output(1)}, InputGradient<T, V, MASKED>{in, a.output<T>(0)},
                         a.scratch(), stream_of(a));
          }};
}

Step batch_norm_backward(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  const bool shifted = spec.has_in(5);
  return with_vector(common_type(spec, {spec.in[0].dtype, spec.in[1].dtype, spec.out[0].dtype}), s.C,
                     [&](auto number, auto vector) {
                       using T = decltype(number);
                       constexpr int V = decltype(vector)::value;
                       return epilogue == Epilogue::none ? batch_norm_backward_step<T, V, false>(s, epilogue, shifted)
                                                         : batch_norm_backward_step<T, V, true>(s, epilogue, shifted);
                     });
}

Step batch_norm_inference(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return with_vector(
      common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), s.C, [&](auto number, auto vector) -> Step {
        using T = decltype(number);
        constexpr int V = decltype(vector)::value;
        return {"", 0, [=, grid = pass_grid(s.M, s.C, V)](const StepArgs& a) {
                  const Normalize<T, V, false> normalize{a.input<T>(0), nullptr,  a.input(1),    a.input(2),
                                                         s.epsilon,     epilogue, a.output<T>(0)};
                  launch_pass(normalize, grid, a.input(3), a.input(4), stream_of(a));
                }};
      });
}

Step batch_norm_inference_backward_input(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  return with_vector(
      common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), s.C, [&](auto number, auto vector) -> Step {
        using T = decltype(number);
        constexpr int V = decltype(vector)::value;
        return {"", 0, [=, grid = pass_grid(s.M, s.C, V)](const StepArgs& a) {
                  const ConstantGradient<T, V> gradient{a.input<T>(0), a.input(1), s.epsilon, a.output<T>(0)};
                  launch_pass(gradient, grid, a.input(2), a.input(2), stream_of(a));
                }};
      });
}

Step batch_norm_backward_scale(const OpSpec& spec) {
  const BatchNormShape s = batch_norm_shape(spec.in[0], spec.attributes);
  return with_vector(
      common_type(spec, {spec.in[0].dtype, spec.in[1].dtype}), s.C, [&](auto number, auto vector) -> Step {
        using T = decltype(number);
        constexpr int V = decltype(vector)::value;
        using Sums = ScaleGradients<T, V, false>;
        const ChannelPlan plan = plan_for<T, V>(s);
        return {"", plan.workspace_bytes(Sums::kParts), [=](const StepArgs& a) {
                  const GradientInputs<T> in{a.input<T>(0), a.input<T>(1), nullptr,   nullptr,
                                             a.input(2),    a.input(3),    s.epsilon, Epilogue::none};
                  sum_only<NoPass<T, V>>(plan, Sums{in, a.output(1), a.output(0)}, a.scratch(), stream_of(a));
                }};
      });
}

struct Move {
  float* moving;
  const float* value;
  std::int64_t n;
  float momentum;
};
constexpr int kMoves = 100;  // in one launch: what fits in the 4 KB that a kernel's parameters may take
struct Moves {
  Move of[kMoves];
};

// moving = momentum * moving + (1 - momentum) * value; blockIdx.y tells which.
__global__ void moving_average_kernel(Moves moves, const float* guard) {
  if (!may_update(guard)) return;
  const Move& m = moves.of[blockIdx.y];
  for (std::int64_t i = grid_first(); i < m.n; i += grid_step())
    m.moving[i] = fmaf(m.moving[i], m.momentum, m.value[i] * (1.0f - m.momentum));
}

// Those of all layers follow each other: few launches do them.
class MovingAverage : public Joinable {
 public:
  explicit MovingAverage(const OpSpec& spec) : n_(spec.in[0].count()), momentum_(spec.attributes.real("momentum")) {}
  bool joins(const Joinable& other) const override { return dynamic_cast<const MovingAverage*>(&other) != nullptr; }
  void run(const std::vector<Call>& calls) const override {
    for (std::size_t first = 0; first < calls.size(); first += kMoves) {
      const std::size_t count = std::min<std::size_t>(calls.size() - first, kMoves);
      Moves moves{};
      std::int64_t longest = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const Call& call = calls[first + i];
        const auto& step = static_cast<const MovingAverage&>(*call.step);
        moves.of[i] = {call.args.updated(0), call.args.input(1), step.n_, step.momentum_};
        longest = std::max(longest, step.n_);
      }
      launch(moving_average_kernel, dim3(grid_for(longest, kChannelThreads), static_cast<unsigned>(count)),
             kChannelThreads, 0, stream_of(calls[first].args), moves, calls[first].args.guard);
    }
  }

 private:
  std::int64_t n_;
  float momentum_;
};

Step moving_average_update(const OpSpec& spec) {
  const auto average = std::make_shared<MovingAverage>(spec);
  Step step{"", 0, [average](const StepArgs& a) { average->run({{average.get(), a}}); }};
  step.joinable = average;
  return step;
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

}  // namespace cnnfast::cuda
