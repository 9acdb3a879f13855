// Optimizers (see cnnfast/kernels/optimizer.hpp). The formulas are Keras 3's, so that the same hyper-parameters mean the
// same steps: weight decay is decoupled and comes first (Loshchilov and Hutter, 2019).
#pragma once
#include "cnnfast/kernels/optimizer.hpp"
#include "elementwise.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Loads and stores of a block's last, partial vector.
struct Lanes {
  std::int64_t at, count;
  Vec load(const float* p) const { return count == Vec::width ? vload(p + at) : vload_first(p + at, count); }
  void store(float* p, Vec a) const { count == Vec::width ? vstore(p + at, a) : vstore_first(p + at, a, count); }
};

// w = step(lanes, w after decay, gradient after clipping), everywhere.
template <class F>
static inline void update_weights(const OptimizerArgs& a, const F& step) {
  const Vec decay = vset(-a.hyper[0]);
  const Vec scale = vset(a.grad_scale ? *a.grad_scale : 1.0f);
  const Vec limit = vset(a.clip_value);
  for_each_vector(a.n, [&](std::int64_t i, std::int64_t count) {
    const Lanes lanes{i, count};
    Vec g = lanes.load(a.dw) * scale;
    if (a.clip_value > 0.0f) g = vmin(limit, vmax(vzero() - limit, g));
    const Vec w = lanes.load(a.w);
    // Not w * (1 - decay): that factor's rounding is a good part of a small decay, the same for every weight.
    lanes.store(a.w, step(lanes, vfma(decay, w, w), g));
  });
}

static void optimizer_sgd(const OptimizerArgs& a, bool nesterov) {
  const Vec rate = vset(a.hyper[1]), momentum = vset(a.hyper[2]);
  update_weights(a, [&](const Lanes& lanes, Vec w, Vec g) {
    const Vec move = vzero() - rate * g;
    if (!a.slots[0]) return w + move;
    const Vec velocity = vfma(momentum, lanes.load(a.slots[0]), move);
    lanes.store(a.slots[0], velocity);
    return w + (nesterov ? vfma(momentum, velocity, move) : velocity);
  });
}

// Kingma and Ba (2015), with epsilon added before the bias correction (end of their section 2); amsgrad: Reddi et al. (2018).
static void optimizer_adam(const OptimizerArgs& a) {
  const Vec rate = vset(a.hyper[1]), gain1 = vset(a.hyper[2]), gain2 = vset(a.hyper[3]), epsilon = vset(a.hyper[4]);
  update_weights(a, [&](const Lanes& lanes, Vec w, Vec g) {
    const Vec m0 = lanes.load(a.slots[0]), v0 = lanes.load(a.slots[1]);
    const Vec m = vfma(g - m0, gain1, m0);
    Vec v = vfma(g * g - v0, gain2, v0);
    lanes.store(a.slots[0], m);
    lanes.store(a.slots[1], v);
    if (a.slots[2]) {
      v = vmax(lanes.load(a.slots[2]), v);
      lanes.store(a.slots[2], v);
    }
    return w - m * rate / (vsqrt(v) + epsilon);
  });
}

// Tieleman and Hinton (2012); with the mean subtracted: Graves (2013), section 4.2.
static void optimizer_rmsprop(const OptimizerArgs& a) {
  const Vec rate = vset(a.hyper[1]), rho = vset(a.hyper[2]), momentum = vset(a.hyper[3]), epsilon = vset(a.hyper[4]);
  const Vec gain = vset(1.0f) - rho;
  update_weights(a, [&](const Lanes& lanes, Vec w, Vec g) {
    const Vec square = vfma(rho, lanes.load(a.slots[0]), gain * g * g);
    lanes.store(a.slots[0], square);
    Vec spread = square + epsilon;
    if (a.slots[2]) {
      const Vec mean = vfma(rho, lanes.load(a.slots[2]), gain * g);
      lanes.store(a.slots[2], mean);
      spread = spread - mean * mean;
    }
    Vec move = rate * g / vsqrt(spread);
    if (a.slots[1]) {
      move = vfma(momentum, lanes.load(a.slots[1]), move);
      lanes.store(a.slots[1], move);
    }
    return w - move;
  });
}

static std::int64_t square_sum_blocks(std::int64_t n) { return (n + kElementwiseBlock - 1) / kElementwiseBlock; }

static double square_sum(std::int64_t n, const float* x, double* partial) {
  const std::int64_t blocks = square_sum_blocks(n);
  parallel(blocks, [&](std::int64_t block, int) {
    const std::int64_t begin = block * kElementwiseBlock;
    const std::int64_t end = begin + kElementwiseBlock < n ? begin + kElementwiseBlock : n;
    double lanes[8] = {};  // independent sums: one alone would wait for itself at every addition
    std::int64_t i = begin;
    for (; i + 8 <= end; i += 8)
      for (int l = 0; l < 8; ++l) lanes[l] += static_cast<double>(x[i + l]) * x[i + l];
    for (; i < end; ++i) lanes[0] += static_cast<double>(x[i]) * x[i];
    double sum = 0.0;
    for (int l = 0; l < 8; ++l) sum += lanes[l];
    partial[block] = sum;
  });
  double total = 0.0;
  for (std::int64_t block = 0; block < blocks; ++block) total += partial[block];
  return total;
}

static constexpr OptimizerKernels optimizer_kernels = {optimizer_sgd, optimizer_adam, optimizer_rmsprop,
                                                       square_sum_blocks, square_sum};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
