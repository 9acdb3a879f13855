// Optimizers. The formulas are Keras 3's, as on the CPU: weight decay is decoupled and comes first (Loshchilov and
// Hutter, 2019).
#include "../runtime/steps/optimizer.hpp"
#include "elementwise.hpp"
#include "families.hpp"
#include "fast_divisor.hpp"
#include "reductions.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

// Each optimizer's rule makes of a weight, after decay, and its gradient, after clipping, the new weight. slot[k] is
// what a.slots[k] has for it, if there is such a slot, and becomes what it will have. See OptimizerKernels for a.hyper.
struct Sgd {
  bool nesterov;
  bool operator==(const Sgd& other) const { return nesterov == other.nesterov; }
  __device__ float operator()(const OptimizerArgs& a, float w, float g, float (&slot)[3]) const {
    const float move = -a.hyper[1] * g, momentum = a.hyper[2];
    if (!a.slots[0]) return w + move;
    slot[0] = fmaf(momentum, slot[0], move);
    return w + (nesterov ? fmaf(momentum, slot[0], move) : slot[0]);
  }
};

// Kingma and Ba (2015), with epsilon added before the bias correction (end of their section 2); amsgrad: Reddi et al.
// (2018).
struct Adam {
  bool operator==(const Adam&) const { return true; }
  __device__ float operator()(const OptimizerArgs& a, float w, float g, float (&slot)[3]) const {
    slot[0] = fmaf(g - slot[0], a.hyper[2], slot[0]);
    slot[1] = fmaf(g * g - slot[1], a.hyper[3], slot[1]);
    float v = slot[1];
    if (a.slots[2]) v = slot[2] = slot[2] > v ? slot[2] : v;
    return w - slot[0] * a.hyper[1] / (sqrtf(v) + a.hyper[4]);
  }
};

// Tieleman and Hinton (2012); with the mean subtracted: Graves (2013), section 4.2.
struct Rmsprop {
  bool operator==(const Rmsprop&) const { return true; }
  __device__ float operator()(const OptimizerArgs& a, float w, float g, float (&slot)[3]) const {
    const float rho = a.hyper[2], gain = 1.0f - rho;
    slot[0] = fmaf(rho, slot[0], gain * g * g);
    float spread = slot[0] + a.hyper[4];
    if (a.slots[2]) {
      slot[2] = fmaf(rho, slot[2], gain * g);
      spread -= slot[2] * slot[2];
    }
    float move = a.hyper[1] * g / sqrtf(spread);
    if (a.slots[1]) move = slot[1] = fmaf(a.hyper[3], slot[1], move);
    return w - move;
  }
};

// NaN stays.
__device__ inline float clipped(float g, float limit) { return -limit > g ? -limit : limit < g ? limit : g; }

// Weights [i, i + N).
template <int N, class Rule>
__device__ inline void update_at(const OptimizerArgs& a, const Rule& rule, std::int64_t i) {
  float w[N], g[N], slot[3][N] = {};
  load<N>(a.w + i, w);
  load<N>(a.dw + i, g);
#pragma unroll
  for (int k = 0; k < 3; ++k)
    if (a.slots[k]) load<N>(a.slots[k] + i, slot[k]);
  const float decay = -a.hyper[0], scale = a.grad_scale ? *a.grad_scale : 1.0f;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const float scaled = g[j] * scale;
    float own[3] = {slot[0][j], slot[1][j], slot[2][j]};
    // Not w * (1 - decay): that factor's rounding is a good part of a small decay, the same for every weight.
    w[j] = rule(a, fmaf(decay, w[j], w[j]), a.clip_value > 0.0f ? clipped(scaled, a.clip_value) : scaled, own);
#pragma unroll
    for (int k = 0; k < 3; ++k) slot[k][j] = own[k];
  }
  store<N>(a.w + i, w);
#pragma unroll
  for (int k = 0; k < 3; ++k)
    if (a.slots[k]) store<N>(a.slots[k] + i, slot[k]);
}

constexpr int kTogetherWeights = kVector<float>;

// The share of thread `thread` in an update, of kTogetherWeights weights.
template <class Rule>
__device__ inline void update(const OptimizerArgs& a, const Rule& rule, std::int64_t thread) {
  std::int64_t i = thread * kTogetherWeights;
  if (i + kTogetherWeights <= a.n) return update_at<kTogetherWeights>(a, rule, i);
  for (; i < a.n; ++i) update_at<1>(a, rule, i);
}

// Updates of several weights, a row of blocks for each. They fit in the 4 KB that a kernel's parameters may take.
constexpr int kUpdates = 48;
struct Updates {
  OptimizerArgs of[kUpdates];
  int end[kUpdates];  // of each update's blocks
};

template <class Rule>
__global__ void __launch_bounds__(kBlock) update_kernel(Updates updates, Rule rule, const float* guard) {
  int k = 0;
  while (updates.end[k] <= static_cast<int>(blockIdx.x)) ++k;
  const std::int64_t block = static_cast<int>(blockIdx.x) - (k > 0 ? updates.end[k - 1] : 0);
  if (may_update(guard)) update(updates.of[k], rule, block * blockDim.x + threadIdx.x);
}

// The update of one weight, or in one launch those of many by the same rule.
template <class Rule>
class Update : public Joinable {
 public:
  Update(const OpSpec& spec, const Rule& rule)
      : rule_(rule), n_(spec.in[0].count()), clip_(spec.attributes.real("clip_value")), slots_(slots_of(spec)) {}
  bool joins(const Joinable& other) const override {
    const auto* update = dynamic_cast<const Update*>(&other);
    return update && update->rule_ == rule_;
  }
  void run(const std::vector<Call>& calls) const override {
    for (std::size_t first = 0; first < calls.size(); first += kUpdates)
      run_some(calls, first, std::min(calls.size(), first + kUpdates));
  }

 private:
  void run_some(const std::vector<Call>& calls, std::size_t first, std::size_t end) const {
    std::int64_t most = 0, blocks = 0;
    for (std::size_t i = first; i < end; ++i) most = std::max(most, of(calls[i]).threads());
    const int block = block_for(most);
    Updates updates{};
    for (std::size_t i = first; i < end; ++i) {
      blocks += ceil_div(of(calls[i]).threads(), block);
      updates.of[i - first] = of(calls[i]).args(calls[i].args);
      updates.end[i - first] = index_count(blocks);
    }
    launch(update_kernel<Rule>, static_cast<unsigned>(blocks), block, 0, stream_of(calls[first].args), updates, rule_,
           calls[first].args.guard);
  }
  static const Update& of(const Call& call) { return static_cast<const Update&>(*call.step); }
  std::int64_t threads() const { return std::max(ceil_div(n_, kTogetherWeights), std::int64_t{1}); }
  OptimizerArgs args(const StepArgs& a) const { return optimizer_args(a, n_, clip_, slots_); }

  Rule rule_;
  std::int64_t n_;
  float clip_;
  int slots_;
};

template <class Rule>
Step update_step(const OpSpec& spec, const Rule& rule) {
  const auto update = std::make_shared<Update<Rule>>(spec, rule);
  Step step{"", 0, [update](const StepArgs& a) { update->run({{update.get(), a}}); }};
  step.joinable = update;
  return step;
}

Step sgd_update(const OpSpec& spec) { return update_step(spec, Sgd{spec.attributes.integer("nesterov", 0) != 0}); }
Step adam_update(const OpSpec& spec) { return update_step(spec, Adam{}); }
Step rmsprop_update(const OpSpec& spec) { return update_step(spec, Rmsprop{}); }

// Tensors whose squares one launch adds up: a sum for each run of kSquares numbers. They and the sizes fit in the 4 KB
// that a kernel's parameters may take.
constexpr int kTensors = 128;
constexpr std::int64_t kSquares = 8192;
struct Tensors {
  const float* x[kTensors];
  std::int64_t n[kTensors];
  int end[kTensors];  // of each tensor's blocks
};

__global__ void __launch_bounds__(kBlock) square_sums_kernel(Tensors t, double* sums) {
  const int block = static_cast<int>(blockIdx.x);
  int k = 0, beyond = kTensors - 1;  // the first tensor whose blocks end behind this one; the unused end there as well
  while (k < beyond) {
    const int middle = (k + beyond) / 2;
    if (t.end[middle] > block)
      beyond = middle;
    else
      k = middle + 1;
  }
  const std::int64_t before = static_cast<std::int64_t>(block - (k > 0 ? t.end[k - 1] : 0)) * kSquares;
  const float* x = t.x[k] + before;
  const int n = static_cast<int>(t.n[k] - before < kSquares ? t.n[k] - before : kSquares);
  constexpr int N = kVector<float>, step = kBlock * N;
  double sum = 0.0;
  int i = static_cast<int>(threadIdx.x) * N;
#pragma unroll 4
  for (; i + N <= n; i += step) {
    float v[N];
    load<N>(x + i, v);
#pragma unroll
    for (int j = 0; j < N; ++j) sum += static_cast<double>(v[j]) * v[j];
  }
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[block] = sum;
}

__global__ void __launch_bounds__(1024)
    clip_scale_kernel(std::int64_t n, const double* sums, double norm, float* scale) {
  double sum = 0.0;
#pragma unroll 4
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += sums[i];
  const double root = sqrt(block_sum(sum));
  if (threadIdx.x == 0) *scale = static_cast<float>(norm / (norm < root ? root : norm));
}

// The tensors of one launch, all but their addresses; where its sums lie.
struct SquareLaunch {
  Tensors tensors;
  int first, count, blocks;
  std::int64_t sums;
};

std::vector<SquareLaunch> square_launches(const std::vector<TensorSpec>& in) {
  std::vector<SquareLaunch> launches;
  std::int64_t sums = 0;
  for (std::size_t first = 0; first < in.size(); first += kTensors) {
    SquareLaunch l{
        {}, static_cast<int>(first), static_cast<int>(std::min<std::size_t>(in.size() - first, kTensors)), 0, sums};
    for (int k = 0; k < kTensors; ++k) {
      if (k < l.count) {
        l.tensors.n[k] = in[first + static_cast<std::size_t>(k)].count();
        l.blocks += static_cast<int>(ceil_div(l.tensors.n[k], kSquares));
      }
      l.tensors.end[k] = l.blocks;
    }
    sums += l.blocks;
    launches.push_back(l);
  }
  return launches;
}

// gradients... -> the factor that brings their common norm down to attribute "norm" (1 if it is not larger)
Step clip_scale(const OpSpec& spec) {
  const std::vector<SquareLaunch> launches = square_launches(spec.in);
  const std::int64_t sums = launches.back().sums + launches.back().blocks;
  return {"", sums * 8, [launches, sums, norm = spec.attributes.real("norm")](const StepArgs& a) {
            double* const all = static_cast<double*>(a.workspace);
            for (const SquareLaunch& l : launches) {
              Tensors tensors = l.tensors;
              for (int k = 0; k < l.count; ++k) tensors.x[k] = a.input(l.first + k);
              launch(square_sums_kernel, l.blocks, kBlock, 0, stream_of(a), tensors, all + l.sums);
            }
            launch(clip_scale_kernel, 1, sums > kBlock ? 1024 : kBlock, 0, stream_of(a), sums, all, norm, a.output(0));
          }};
}

}  // namespace

void add_optimizer_steps(StepRegistry& registry) {
  registry["sgd_update"] = sgd_update;
  registry["adam_update"] = adam_update;
  registry["rmsprop_update"] = rmsprop_update;
  registry["clip_scale"] = clip_scale;
}

}  // namespace cnnfast::cuda
