// Softmax, and losses fused with their gradient (see cnnfast/kernels/loss.hpp). A team of threads works on a row: some
// lanes of a warp, or a whole block where rows are long. Rows' losses are added up in double and in a fixed order.
#include <algorithm>
#include <cmath>

#include "../runtime/steps/loss.hpp"
#include "families.hpp"
#include "reductions.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

constexpr int kLossThreads = 512;
constexpr std::int64_t kLossBlocks = 528;    // that leave a partial sum each
constexpr std::int64_t kLongRow = 512;       // from here on a row is a block's
constexpr float kProbabilityMargin = 1e-7f;  // Keras' epsilon: probabilities are kept this far from 0 and 1

__device__ inline float block_max(float value) {
  __shared__ float parts[kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const auto warp_max = [](float x) {
    for (int distance = kWarp / 2; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, distance));
    return x;
  };
  value = warp_max(value);
  __syncthreads();  // of an earlier call, all have read the parts
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  return warp_max(lane < static_cast<int>(blockDim.x) / kWarp ? parts[lane] : -INFINITY);
}

// The threads of a row: a power of two up to 32, or all of the block. Sums and maxima, which all threads of the block
// must ask for, are those of the team.
struct Team {
  int size, lane;

  __device__ explicit Team(int threads) : size(threads), lane(static_cast<int>(threadIdx.x) % threads) {}
  template <class Number>
  __device__ Number sum(Number value) const {
    if (size > kWarp) return block_sum(value);
    for (int distance = size / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kAllLanes, value, distance);
    return value;
  }
  // NaN counts for nothing.
  __device__ float max(float value) const {
    if (size > kWarp) return block_max(value);
    for (int distance = size / 2; distance > 0; distance /= 2)
      value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
    return value;
  }
};

// How a launch divides M rows among teams.
struct TeamGrid {
  int size;
  std::int64_t M, teams, blocks;  // teams of a block

  TeamGrid(std::int64_t rows, std::int64_t K, std::int64_t most_blocks) : size(kWarp), M(rows) {
    while (size > 1 && size * 2 > K) size /= 2;  // two numbers a thread or more
    if (K >= kLongRow) size = kLossThreads;
    teams = kLossThreads / size;
    blocks = std::min(ceil_div(M, teams), most_blocks);
  }
};

// Rows of this thread's team are first, first + step, ... and there are `rounds` of them, of which the last may lie
// behind the end.
struct TeamRows {
  std::int64_t first, step, rounds;
  __device__ TeamRows(std::int64_t M, int size) {
    const std::int64_t teams = blockDim.x / static_cast<unsigned>(size);
    first = blockIdx.x * teams + static_cast<int>(threadIdx.x) / size;
    step = gridDim.x * teams;
    rounds = (M - 1 - static_cast<std::int64_t>(blockIdx.x) * teams) / step + 1;
  }
};

template <class T>
__global__ void __launch_bounds__(kLossThreads)
    softmax_kernel(std::int64_t M, std::int64_t K, int size, const T* x, T* y) {
  const Team team(size);
  const TeamRows rows(M, size);
  for (std::int64_t i = 0; i < rows.rounds; ++i) {
    const std::int64_t m = rows.first + i * rows.step, end = m < M ? K : 0;
    const T* from = x + m * K;
    float top = -INFINITY, sum = 0.0f;
    for (std::int64_t k = team.lane; k < end; k += team.size) top = fmaxf(top, to_float(from[k]));
    top = team.max(top);
    for (std::int64_t k = team.lane; k < end; k += team.size) sum += expf(to_float(from[k]) - top);
    const float scale = 1.0f / team.sum(sum);
    for (std::int64_t k = team.lane; k < end; k += team.size)
      y[m * K + k] = from_float<T>(expf(to_float(from[k]) - top) * scale);
  }
}

// dx = y * (dy - sum of dy * y)
template <class T>
__global__ void __launch_bounds__(kLossThreads)
    softmax_backward_kernel(std::int64_t M, std::int64_t K, int size, const T* dy, const T* y, T* dx) {
  const Team team(size);
  const TeamRows rows(M, size);
  for (std::int64_t i = 0; i < rows.rounds; ++i) {
    const std::int64_t m = rows.first + i * rows.step, end = m < M ? K : 0;
    float dot = 0.0f;
    for (std::int64_t k = team.lane; k < end; k += team.size)
      dot = fmaf(to_float(dy[m * K + k]), to_float(y[m * K + k]), dot);
    dot = team.sum(dot);
    for (std::int64_t k = team.lane; k < end; k += team.size)
      dx[m * K + k] = from_float<T>(to_float(y[m * K + k]) * (to_float(dy[m * K + k]) - dot));
  }
}

// Tensors of a loss, as in LossArgs of the CPU's kernels.
template <class T>
struct LossTensors {
  std::int64_t M, K;
  const T* x;
  const float* targets;        // or null where labels are used
  const std::int32_t* labels;  // or null
  const float* weights;        // or null
  LossSettings settings;
  T* dx;  // or null
  DeviceRun* run;
};

// One row as losses see it. K is 0 where there is none, or where it has no class.
template <class T>
struct LossRow {
  std::int64_t K;
  const T* x;
  const float* targets;  // or null
  std::int64_t label;
  LossSettings settings;
  T* dx;         // or null
  float weight;  // of the row's loss, M taken into account

  __device__ float at(std::int64_t k) const { return to_float(x[k]); }
  __device__ void set(std::int64_t k, double gradient) const { dx[k] = from_float<T>(static_cast<float>(gradient)); }
  // Given or one-hot, smoothed towards `even`.
  __device__ float target(std::int64_t k, float even) const {
    const float t = targets ? targets[k] : k == label ? 1.0f : 0.0f;
    return settings.smoothing == 0.0f ? t : fmaf(t, 1.0f - settings.smoothing, settings.smoothing * even);
  }
  __device__ double exact_target(std::int64_t k, float even) const {
    if (!targets) return k == label ? 1.0 : 0.0;
    return targets[k] * (1.0 - settings.smoothing) + settings.smoothing * even;
  }
};

// Each loss has of(row, team): the row's loss, whose gradient it stores if wanted. All threads of a block call it.

// loss = sum of t * (log of the sum of exp x - x); dx = p * sum of t - t.
struct SoftmaxCrossentropy {
  template <class T>
  static __device__ double of(const LossRow<T>& row, const Team& team) {
    const float even = 1.0f / static_cast<float>(row.K);
    float top = -INFINITY, sum = 0.0f;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) top = fmaxf(top, row.at(k));
    top = team.max(top);
    for (std::int64_t k = team.lane; k < row.K; k += team.size) sum += expf(row.at(k) - top);
    sum = team.sum(sum);
    const double log_sum = static_cast<double>(top) + logf(sum);
    double loss = 0.0, total = 0.0;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      const double t = row.exact_target(k, even);
      if (t != 0.0) loss += t * (log_sum - row.at(k));
      total += t;
    }
    loss = team.sum(loss);
    total = team.sum(total);
    if (!row.dx) return loss;
    const float all = row.weight / sum * static_cast<float>(total);
    for (std::int64_t k = team.lane; k < row.K; k += team.size)
      row.set(k, expf(row.at(k) - top) * all - row.weight * row.target(k, even));
    return loss;
  }
};

// p = x / sum of x, kept off 0 and 1; loss = -sum of t log p. Where the margin holds p fast, it has no gradient.
struct CategoricalCrossentropy {
  template <class T>
  static __device__ double of(const LossRow<T>& row, const Team& team) {
    const double low = kProbabilityMargin, high = 1.0 - low;
    const float even = 1.0f / static_cast<float>(row.K);
    double sum = 0.0, loss = 0.0, dot = 0.0;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) sum += row.at(k);
    sum = team.sum(sum);
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      const double t = row.exact_target(k, even), p = row.at(k) / sum, kept = p < low ? low : p > high ? high : p;
      if (t != 0.0) loss -= t * log(kept);
      if (p > low && p < high) dot += t;  // dot = -sum of p * d loss / d p
    }
    loss = team.sum(loss);
    dot = team.sum(dot);
    if (!row.dx) return loss;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      const double p = row.at(k) / sum, g = p > low && p < high ? -row.exact_target(k, even) / p : 0.0;
      row.set(k, row.weight * (g + dot) / sum);
    }
    return loss;
  }
};

// As CategoricalCrossentropy, each term times alpha (1 - p)^gamma.
struct CategoricalFocalCrossentropy {
  template <class T>
  static __device__ double of(const LossRow<T>& row, const Team& team) {
    const double low = kProbabilityMargin, high = 1.0 - low, gamma = row.settings.gamma;
    const float even = static_cast<float>(1.0 / static_cast<double>(row.K));
    double sum = 0.0, loss = 0.0, dot = 0.0;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) sum += row.at(k);
    sum = team.sum(sum);
    // The loss of class k and its slope over p.
    const auto term = [&](std::int64_t k, double& slope) {
      const double t = row.exact_target(k, even), p = row.at(k) / sum;
      const double kept = p < low ? low : p > high ? high : p, q = 1.0 - kept, log_p = log(kept);
      const double focus = row.settings.alpha * t * pow(q, gamma);
      slope = p > low && p < high ? focus * (gamma * log_p / q - 1.0 / kept) : 0.0;
      return -focus * log_p;
    };
    double slope = 0.0;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      loss += term(k, slope);
      dot += slope * (row.at(k) / sum);
    }
    loss = team.sum(loss);
    dot = team.sum(dot);
    if (!row.dx) return loss;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      term(k, slope);
      row.set(k, row.weight * (slope - dot) / sum);
    }
    return loss;
  }
};

// max(1 + largest of (1 - t) x - sum of t x, 0); where several are the largest, they share the gradient.
struct CategoricalHinge {
  template <class T>
  static __device__ double of(const LossRow<T>& row, const Team& team) {
    const auto other = [&](std::int64_t k) { return (1.0f - row.targets[k]) * row.at(k); };
    double right = 0.0;
    float wrong = -INFINITY, shared = 0.0f;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      right += static_cast<double>(row.targets[k]) * row.at(k);
      wrong = fmaxf(wrong, other(k));
    }
    right = team.sum(right);
    wrong = team.max(wrong);
    for (std::int64_t k = team.lane; k < row.K; k += team.size) shared += other(k) == wrong ? 1.0f : 0.0f;
    shared = team.sum(shared);
    const double margin = 1.0 + wrong - right;
    if (row.dx) {
      const float active = margin > 0.0 ? row.weight : 0.0f;
      for (std::int64_t k = team.lane; k < row.K; k += team.size) {
        const float t = row.targets[k];
        row.set(k, active * ((other(k) == wrong ? (1.0f - t) / shared : 0.0f) - t));
      }
    }
    return margin < 0.0 ? 0.0 : margin;
  }
};

// A number's loss and its slope.
struct Term {
  float loss, slope;
};

// Losses that are the mean over the row (or the sum) of F::of(x, t, settings), number by number.
template <class F, bool MEAN = true>
struct Elements {
  template <class T>
  static __device__ double of(const LossRow<T>& row, const Team& team) {
    const double factor = MEAN ? 1.0 / static_cast<double>(row.K) : 1.0;
    const float scale = static_cast<float>(row.weight * factor);
    double loss = 0.0;
    for (std::int64_t k = team.lane; k < row.K; k += team.size) {
      const Term term = F::of(row.at(k), row.target(k, 0.5f), row.settings);
      loss += term.loss;
      if (row.dx) row.set(k, term.slope * scale);
    }
    return team.sum(loss) * factor;
  }
};

// The larger and the smaller of a bound and x; NaN stays.
__device__ inline float at_least(float low, float x) { return low > x ? low : x; }
__device__ inline float at_most(float high, float x) { return high < x ? high : x; }
// `magnitude` with the sign of x; x itself where that is 0 or NaN.
__device__ inline float with_sign(float x, float magnitude) { return x > 0.0f ? magnitude : x < 0.0f ? -magnitude : x; }

struct BinaryCrossentropy {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float low = kProbabilityMargin, high = 1.0f - kProbabilityMargin, p = at_most(high, at_least(low, x));
    const float inside = x > low && x < high ? 1.0f : 0.0f;
    return {-(t * logf(p) + (1.0f - t) * logf(1.0f - p)), inside * (p - t) / (p * (1.0f - p))};
  }
};

// max(x,0) - x t + log(1 + exp(-|x|)): no overflow, no cancellation.
struct BinaryCrossentropyWithLogits {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float e = expf(-fabsf(x));
    return {at_least(0.0f, x) - x * t + log1pf(e), (x < 0.0f ? e : 1.0f) / (1.0f + e) - t};
  }
};

struct MeanSquaredError {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float d = x - t;
    return {d * d, d + d};
  }
};

struct MeanAbsoluteError {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float d = x - t;
    return {fabsf(d), with_sign(d, 1.0f)};
  }
};

struct MeanAbsolutePercentageError {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float d = x - t, percent = 100.0f / at_least(kProbabilityMargin, fabsf(t));
    return {fabsf(d) * percent, with_sign(d, percent)};
  }
};

struct MeanSquaredLogarithmicError {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float low = kProbabilityMargin, p = at_least(low, x), d = log1pf(p) - log1pf(at_least(low, t));
    return {d * d, low > x ? 0.0f : (d + d) / (1.0f + p)};
  }
};

// Quadratic up to delta, then linear with the slope that it has there (Huber 1964).
struct Huber {
  static __device__ Term of(float x, float t, const LossSettings& s) {
    const float d = x - t, size = fabsf(d);
    if (size > s.delta) return {s.delta * (size - 0.5f * s.delta), with_sign(d, s.delta)};
    return {0.5f * d * d, d};
  }
};

// log(cosh d) = |d| + log(1 + exp(-2|d|)) - log 2; near 0, where that cancels, its Taylor series.
struct LogCosh {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float d = x - t, size = fabsf(d), z = d * d;
    const float near = z * fmaf(z, fmaf(z, fmaf(z, -17.0f / 2520.0f, 1.0f / 45.0f), -1.0f / 12.0f), 0.5f);
    return {size > 0.25f ? size + (log1pf(expf(-2.0f * size)) - 0.693147181f) : near, tanhf(d)};
  }
};

// max(1 - t x, 0) for targets of -1 and 1.
struct Hinge {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float margin = 1.0f - t * x;
    return {at_least(0.0f, margin), margin > 0.0f ? -t : 0.0f};
  }
};

struct SquaredHinge {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float margin = at_least(0.0f, 1.0f - t * x);
    return {margin * margin, -2.0f * t * margin};
  }
};

struct Poisson {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float p = x + kProbabilityMargin;
    return {x - t * logf(p), 1.0f - t / p};
  }
};

// t log(t / x), both kept in [margin, 1].
struct KlDivergence {
  static __device__ Term of(float x, float t, const LossSettings&) {
    const float low = kProbabilityMargin, p = at_most(1.0f, at_least(low, x)), q = at_most(1.0f, at_least(low, t));
    return {q * logf(q / p), low > x || x > 1.0f ? 0.0f : -q / p};
  }
};

// q^gamma times the cross-entropy, q the probability given to what is not so (Lin et al. 2017, "Focal loss").
struct BinaryFocalCrossentropy {
  static __device__ Term of(float x, float t, const LossSettings& s) {
    const float low = kProbabilityMargin, high = 1.0f - kProbabilityMargin, p = at_most(high, at_least(low, x));
    const float not_t = 1.0f - t, entropy = -(t * logf(p) + not_t * logf(1.0f - p));
    const float q = t * (1.0f - p) + not_t * p, slope = not_t - t;  // slope: of q over p
    const float balance = s.alpha < 0.0f ? 1.0f : t * s.alpha + not_t * (1.0f - s.alpha);
    const float focus = balance * expf(s.gamma * logf(q)), inside = x > low && x < high ? 1.0f : 0.0f;
    return {focus * entropy, focus * (inside * (p - t) / (p * (1.0f - p)) + s.gamma * slope / q * entropy)};
  }
};

// What is wrong with labels is known to the host only after the run (device_run.hpp).
__device__ inline void report_label(DeviceRun* run, std::int64_t m, std::int64_t label, std::int64_t K) {
  const auto low = static_cast<std::uint32_t>(static_cast<std::int32_t>(label));
  atomicMin(&run->bad_label, static_cast<unsigned long long>(m) << 32 | low);
  run->classes = K;
}

// The sum of weight times loss over the rows of each block; of all rows, where there is one block. A label out of range
// makes it NaN.
template <class Loss, class T, class Sum>
__global__ void __launch_bounds__(kLossThreads) loss_kernel(LossTensors<T> a, int size, Sum* sums) {
  const Team team(size);
  const TeamRows rows(a.M, size);
  double total = 0.0;
  for (std::int64_t i = 0; i < rows.rounds; ++i) {
    const std::int64_t m = rows.first + i * rows.step;
    const bool present = m < a.M;
    const double weight = present ? (a.weights ? a.weights[m] : 1.0) / static_cast<double>(a.M) : 0.0;
    const std::int64_t label = present && a.labels ? a.labels[m] : 0;
    const bool bad = label < 0 || label >= a.K;
    const LossRow<T> row{present && !bad ? a.K : 0,
                         a.x + m * a.K,
                         a.targets ? a.targets + m * a.K : nullptr,
                         label,
                         a.settings,
                         a.dx ? a.dx + m * a.K : nullptr,
                         static_cast<float>(weight)};
    const double loss = Loss::of(row, team);
    if (bad && a.dx)
      for (std::int64_t k = team.lane; k < a.K; k += team.size) row.set(k, 0.0);
    if (team.lane != 0) continue;
    if (bad) {
      report_label(a.run, m, label, a.K);
      total += NAN;
    } else if (weight != 0.0) {  // a weight of 0 leaves a sample out, even one whose loss is not finite
      total += weight * loss;
    }
  }
  total = block_sum(total);
  if (threadIdx.x == 0) sums[blockIdx.x] = static_cast<Sum>(total);
}

__global__ void __launch_bounds__(kLossThreads) total_kernel(std::int64_t n, const double* partial, float* loss) {
  double total = 0.0;
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) total += partial[i];
  total = block_sum(total);
  if (threadIdx.x == 0) *loss = static_cast<float>(total);
}

Step softmax(const OpSpec& spec) {
  const std::int64_t K = spec.in[0].shape.back(), M = spec.in[0].count() / K;
  const TeamGrid grid(M, K, INT32_MAX);
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [=](const StepArgs& a) {
              launch(softmax_kernel<T>, static_cast<unsigned>(grid.blocks), kLossThreads, 0, stream_of(a), M, K,
                     grid.size, a.input<T>(0), a.output<T>(0));
            }};
  });
}

// dy, y -> dx
Step softmax_backward(const OpSpec& spec) {
  const std::int64_t K = spec.in[0].shape.back(), M = spec.in[0].count() / K;
  const TeamGrid grid(M, K, INT32_MAX);
  return with_number(common_type(spec, {spec.in[0].dtype, spec.in[1].dtype, spec.out[0].dtype}),
                     [&](auto number) -> Step {
                       using T = decltype(number);
                       return {"", 0, [=](const StepArgs& a) {
                                 launch(softmax_backward_kernel<T>, static_cast<unsigned>(grid.blocks), kLossThreads, 0,
                                        stream_of(a), M, K, grid.size, a.input<T>(0), a.input<T>(1), a.output<T>(0));
                               }};
                     });
}

// x (..., K), targets (..., K) or labels (...), weights (...) or missing -> loss (), dx (..., K)
template <class Loss>
Step loss(const OpSpec& spec) {
  const std::int64_t K = spec.in[0].shape.back(), M = spec.in[0].count() / K;
  const bool labels = spec.in[1].dtype == Dtype::int32, gradient = spec.out.size() > 1;
  const LossSettings settings = loss_settings(spec.attributes);
  const Dtype dtype = common_type(spec, {spec.in[0].dtype, gradient ? spec.out[1].dtype : spec.in[0].dtype});
  const TeamGrid grid(M, K, kLossBlocks);
  constexpr std::int64_t kFewRounds = 4;  // of one block: a second launch takes as long as some of them
  const bool together = ceil_div(M, grid.teams) <= kFewRounds;
  return with_number(dtype, [&](auto number) -> Step {
    using T = decltype(number);
    return {"", together ? 0 : grid.blocks * static_cast<std::int64_t>(sizeof(double)), [=](const StepArgs& a) {
              const LossTensors<T> tensors{M,
                                           K,
                                           a.input<T>(0),
                                           labels ? nullptr : a.input(1),
                                           labels ? a.input<std::int32_t>(1) : nullptr,
                                           a.input(2),
                                           settings,
                                           gradient ? a.output<T>(1) : nullptr,
                                           a.run};
              if (together)
                return launch(loss_kernel<Loss, T, float>, 1, kLossThreads, 0, stream_of(a), tensors, grid.size,
                              a.output(0));
              double* partial = static_cast<double*>(a.workspace);
              launch(loss_kernel<Loss, T, double>, static_cast<unsigned>(grid.blocks), kLossThreads, 0, stream_of(a),
                     tensors, grid.size, partial);
              launch(total_kernel, 1, kLossThreads, 0, stream_of(a), grid.blocks, partial, a.output(0));
            }};
  });
}

}  // namespace

void add_loss_steps(StepRegistry& registry) {
  registry["softmax"] = softmax;
  registry["softmax_backward"] = softmax_backward;
  registry["softmax_crossentropy"] = loss<SoftmaxCrossentropy>;
  registry["categorical_crossentropy"] = loss<CategoricalCrossentropy>;
  registry["binary_crossentropy"] = loss<Elements<BinaryCrossentropy>>;
  registry["binary_crossentropy_with_logits"] = loss<Elements<BinaryCrossentropyWithLogits>>;
  registry["mean_squared_error"] = loss<Elements<MeanSquaredError>>;
  registry["mean_absolute_error"] = loss<Elements<MeanAbsoluteError>>;
  registry["mean_absolute_percentage_error"] = loss<Elements<MeanAbsolutePercentageError>>;
  registry["mean_squared_logarithmic_error"] = loss<Elements<MeanSquaredLogarithmicError>>;
  registry["huber"] = loss<Elements<Huber>>;
  registry["log_cosh"] = loss<Elements<LogCosh>>;
  registry["hinge"] = loss<Elements<Hinge>>;
  registry["squared_hinge"] = loss<Elements<SquaredHinge>>;
  registry["categorical_hinge"] = loss<CategoricalHinge>;
  registry["poisson"] = loss<Elements<Poisson>>;
  registry["kl_divergence"] = loss<Elements<KlDivergence, false>>;
  registry["binary_focal_crossentropy"] = loss<Elements<BinaryFocalCrossentropy>>;
  registry["categorical_focal_crossentropy"] = loss<CategoricalFocalCrossentropy>;
}

}  // namespace cnnfast::cuda
