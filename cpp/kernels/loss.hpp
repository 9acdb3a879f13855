// Softmax, and losses fused with their gradient (see cnnfast/kernels/loss.hpp).
#pragma once
#include "cnnfast/kernels/loss.hpp"
#include "parallel.hpp"
#include "vmath.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Keras' epsilon: probabilities are kept this far from 0 and 1 before their logarithm is taken.
static constexpr float kProbabilityMargin = 1e-7f;

static constexpr float kLaneNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// The vector at p; past `lanes`, what `missing` says.
static inline Vec load_row(const float* p, std::int64_t lanes, Vec missing) {
  if (lanes >= Vec::width) return vload(p);
  return vselect_gt(vset(static_cast<float>(lanes)), vload(kLaneNumbers), vload_first(p, lanes), missing);
}
static inline void store_row(float* p, std::int64_t lanes, Vec a) {
  if (lanes >= Vec::width) return vstore(p, a);
  vstore_first(p, a, lanes);
}

// f(begin, lanes) over a row of K.
template <class F>
static inline void for_row(std::int64_t K, const F& f) {
  for (std::int64_t k = 0; k < K; k += Vec::width) f(k, K - k);
}

static inline float row_max(std::int64_t K, const float* x) {
  Vec top = vset(-kInfinity);
  for_row(K, [&](std::int64_t k, std::int64_t lanes) { top = vmax(top, load_row(x + k, lanes, vset(-kInfinity))); });
  float lane[Vec::width];
  vstore(lane, top);
  float best = lane[0];
  for (int i = 1; i < Vec::width; ++i) best = lane[i] > best ? lane[i] : best;
  return best;
}

// y = exp(x - max x); returns the sum. The largest term is 1, so nothing overflows and the sum is at least 1.
static inline float row_exp(std::int64_t K, const float* x, float top, float* y) {
  Vec sum = vzero();
  for_row(K, [&](std::int64_t k, std::int64_t lanes) {
    const Vec e = vexp(load_row(x + k, lanes, vset(-kInfinity)) - vset(top));
    store_row(y + k, lanes, e);
    sum = sum + e;
  });
  return vsum(sum);
}

static inline std::int64_t rows_per_block(std::int64_t K) { return K >= 4096 ? 1 : 4096 / K; }
static std::int64_t loss_blocks(std::int64_t M, std::int64_t K) {
  return (M + rows_per_block(K) - 1) / rows_per_block(K);
}

template <class F>
static inline void for_each_row(std::int64_t M, std::int64_t K, const F& f) {
  const std::int64_t rows = rows_per_block(K);
  parallel(loss_blocks(M, K), [&](std::int64_t block, int worker) {
    const std::int64_t end = (block + 1) * rows < M ? (block + 1) * rows : M;
    for (std::int64_t m = block * rows; m < end; ++m) f(m, block, worker);
  });
}

static void softmax(std::int64_t M, std::int64_t K, const float* x, float* y) {
  for_each_row(M, K, [&](std::int64_t m, std::int64_t, int) {
    float* to = y + m * K;
    const Vec scale = vset(1.0f / row_exp(K, x + m * K, row_max(K, x + m * K), to));
    for_row(K, [&](std::int64_t k, std::int64_t lanes) {
      store_row(to + k, lanes, load_row(to + k, lanes, vzero()) * scale);
    });
  });
}

// dx = y * (dy - sum of dy * y)
static void softmax_backward(std::int64_t M, std::int64_t K, const float* dy, const float* y, float* dx) {
  for_each_row(M, K, [&](std::int64_t m, std::int64_t, int) {
    const float *g = dy + m * K, *p = y + m * K;
    Vec dot = vzero();
    for_row(K, [&](std::int64_t k, std::int64_t lanes) {
      dot = vfma(load_row(g + k, lanes, vzero()), load_row(p + k, lanes, vzero()), dot);
    });
    const Vec mean = vset(vsum(dot));
    for_row(K, [&](std::int64_t k, std::int64_t lanes) {
      store_row(dx + m * K + k, lanes, load_row(p + k, lanes, vzero()) * (load_row(g + k, lanes, vzero()) - mean));
    });
  });
}

// Sums row_loss(m, weight of row m / M, worker) over all rows, in double and in a fixed order.
template <class F>
static inline double sum_rows_loss(const LossArgs& a, const F& row_loss) {
  const std::int64_t blocks = loss_blocks(a.M, a.K);
  for (std::int64_t b = 0; b < blocks; ++b) a.partial[b] = 0.0;
  for_each_row(a.M, a.K, [&](std::int64_t m, std::int64_t block, int worker) {
    const double weight = (a.weights ? a.weights[m] : 1.0) / static_cast<double>(a.M);
    // A weight of 0 leaves a sample out, even one whose loss is not finite.
    const double loss = row_loss(m, static_cast<float>(weight), worker);
    if (weight != 0.0) a.partial[block] += weight * loss;
  });
  double total = 0.0;
  for (std::int64_t b = 0; b < blocks; ++b) total += a.partial[b];
  return total;
}

// The target of lanes k...: given or one-hot, smoothed towards `even`.
static inline Vec target_lanes(const LossArgs& a, std::int64_t m, std::int64_t k, std::int64_t lanes, float even) {
  const Vec t = a.targets ? load_row(a.targets + m * a.K + k, lanes, vzero()) : vzero();
  if (a.smoothing == 0.0f) return t;
  return vfma(t, vset(1.0f - a.smoothing), vset(a.smoothing * even));
}

// loss = sum of t * (log of the sum of exp x - x); dx = p * sum of t - t.
static double softmax_crossentropy(const LossArgs& a) {
  return sum_rows_loss(a, [&](std::int64_t m, float weight, int worker) {
    const float* x = a.x + m * a.K;
    float* p = a.dx ? a.dx + m * a.K : worker_scratch(worker, 0, a.K);
    const float top = row_max(a.K, x);
    const float sum = row_exp(a.K, x, top, p);
    float lane[Vec::width];
    vstore(lane, vlog(vset(sum)));
    const double log_sum = static_cast<double>(top) + lane[0];
    const Vec scale = vset(weight / sum);
    if (a.labels) {
      const std::int32_t label = a.labels[m];
      const double loss = log_sum - x[label];
      if (a.dx) {
        for_row(a.K, [&](std::int64_t k, std::int64_t lanes) {
          store_row(p + k, lanes, load_row(p + k, lanes, vzero()) * scale);
        });
        p[label] -= weight;
      }
      return loss;
    }
    double loss = 0.0, total = 0.0;
    const float even = 1.0f / static_cast<float>(a.K);
    for (std::int64_t k = 0; k < a.K; ++k) {
      const double t = a.targets[m * a.K + k] * (1.0 - a.smoothing) + a.smoothing * even;
      if (t != 0.0) loss += t * (log_sum - x[k]);
      total += t;
    }
    if (a.dx) {
      const Vec all = scale * vset(static_cast<float>(total)), w = vset(weight);
      for_row(a.K, [&](std::int64_t k, std::int64_t lanes) {
        const Vec t = target_lanes(a, m, k, lanes, even);
        store_row(p + k, lanes, load_row(p + k, lanes, vzero()) * all - w * t);
      });
    }
    return loss;
  });
}

// p = x / sum of x, kept off 0 and 1; loss = -sum of t log p. Where the margin holds p fast, it has no gradient.
static double categorical_crossentropy(const LossArgs& a) {
  return sum_rows_loss(a, [&](std::int64_t m, float weight, int) {
    const float* x = a.x + m * a.K;
    const float even = 1.0f / static_cast<float>(a.K);
    double sum = 0.0, loss = 0.0, dot = 0.0;
    for (std::int64_t k = 0; k < a.K; ++k) sum += x[k];
    const auto target = [&](std::int64_t k) {
      if (a.labels) return k == a.labels[m] ? 1.0 : 0.0;
      return a.targets[m * a.K + k] * (1.0 - a.smoothing) + a.smoothing * even;
    };
    const double low = kProbabilityMargin, high = 1.0 - low;
    for (std::int64_t k = 0; k < a.K; ++k) {
      const double t = target(k), p = x[k] / sum, kept = p < low ? low : p > high ? high : p;
      if (t != 0.0) loss -= t * __builtin_log(kept);
      if (p > low && p < high) dot += t;  // dot = -sum of p * d loss / d p
    }
    if (a.dx) {
      for (std::int64_t k = 0; k < a.K; ++k) {
        const double p = x[k] / sum, g = p > low && p < high ? -target(k) / p : 0.0;
        a.dx[m * a.K + k] = static_cast<float>(weight * (g + dot) / sum);
      }
    }
    return loss;
  });
}

// Losses that are `factor` times the sum over the row of f(x, t, loss, gradient), element by element.
template <class F>
static inline double elements_loss(const LossArgs& a, double factor, const F& f) {
  return sum_rows_loss(a, [&](std::int64_t m, float weight, int) {
    const Vec scale = vset(static_cast<float>(weight * factor));
    double total = 0.0;
    for_row(a.K, [&](std::int64_t k, std::int64_t lanes) {
      Vec loss, gradient;
      f(load_row(a.x + m * a.K + k, lanes, vset(0.5f)), target_lanes(a, m, k, lanes, 0.5f), loss, gradient);
      if (a.dx) store_row(a.dx + m * a.K + k, lanes, gradient * scale);
      float lane[Vec::width];
      vstore(lane, loss);
      for (std::int64_t i = 0; i < Vec::width && i < lanes; ++i) total += lane[i];
    });
    return total * factor;
  });
}

// The mean over the row.
template <class F>
static inline double elementwise_loss(const LossArgs& a, const F& f) {
  return elements_loss(a, 1.0 / static_cast<double>(a.K), f);
}

static double binary_crossentropy(const LossArgs& a) {
  const Vec low = vset(kProbabilityMargin), high = vset(1.0f - kProbabilityMargin), one = vset(1.0f);
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec p = vmin(high, vmax(low, x));
    loss = vzero() - (t * vlog(p) + (one - t) * vlog(one - p));
    const Vec inside = vselect_gt(x, low, vselect_gt(high, x, one, vzero()), vzero());
    gradient = inside * (p - t) / (p * (one - p));
  });
}

// max(x,0) - x t + log(1 + exp(-|x|)): no overflow, no cancellation.
static double binary_crossentropy_with_logits(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    loss = vmax(vzero(), x) - x * t + vlog1p(vexp(vzero() - vabs(x)));
    gradient = vsigmoid(x) - t;
  });
}

static double mean_squared_error(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec d = x - t;
    loss = d * d;
    gradient = d + d;
  });
}

// The gradient is the sign of d = x - t; d itself where that is 0 or NaN.
static double mean_absolute_error(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec d = x - t;
    loss = vabs(d);
    gradient = vwith_sign(d, vset(1.0f), d);
  });
}

static double mean_absolute_percentage_error(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec d = x - t, percent = vset(100.0f) / vmax(vset(kProbabilityMargin), vabs(t));
    loss = vabs(d) * percent;
    gradient = vwith_sign(d, percent, d);
  });
}

static double mean_squared_logarithmic_error(const LossArgs& a) {
  const Vec low = vset(kProbabilityMargin), one = vset(1.0f);
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec p = vmax(low, x), d = vlog1p(p) - vlog1p(vmax(low, t));
    loss = d * d;
    gradient = vselect_gt(low, x, vzero(), (d + d) / (one + p));
  });
}

// Quadratic up to delta, then linear with the slope that it has there (Huber 1964).
static double huber(const LossArgs& a) {
  const Vec delta = vset(a.delta), half = vset(0.5f);
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec d = x - t, size = vabs(d);
    loss = vselect_gt(size, delta, delta * (size - half * delta), half * d * d);
    gradient = vselect_gt(size, delta, vwith_sign(d, delta, d), d);
  });
}

// log(cosh d) = |d| + log(1 + exp(-2|d|)) - log 2; near 0, where that cancels, its Taylor series.
static double log_cosh(const LossArgs& a) {
  static constexpr float c[] = {0.5f, -1.0f / 12.0f, 1.0f / 45.0f, -17.0f / 2520.0f};
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec d = x - t, size = vabs(d), square = d * d;
    const Vec far = size + (vlog1p(vexp(vset(-2.0f) * size)) - vset(0.693147181f));
    loss = vselect_gt(size, vset(0.25f), far, square * vpolynomial(square, c));
    gradient = vtanh(d);
  });
}

// max(1 - t x, 0) for targets of -1 and 1.
static double hinge(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec margin = vset(1.0f) - t * x;
    loss = vmax(vzero(), margin);
    gradient = vselect_gt(margin, vzero(), vzero() - t, vzero());
  });
}

static double squared_hinge(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec margin = vmax(vzero(), vset(1.0f) - t * x);
    loss = margin * margin;
    gradient = vset(-2.0f) * t * margin;
  });
}

static double poisson(const LossArgs& a) {
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec p = x + vset(kProbabilityMargin);
    loss = x - t * vlog(p);
    gradient = vset(1.0f) - t / p;
  });
}

// The sum over the row of t log(t / x), both kept in [margin, 1].
static double kl_divergence(const LossArgs& a) {
  const Vec low = vset(kProbabilityMargin), one = vset(1.0f);
  return elements_loss(a, 1.0, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec p = vmin(one, vmax(low, x)), q = vmin(one, vmax(low, t));
    loss = q * vlog(q / p);
    gradient = vselect_gt(low, x, vzero(), vselect_gt(x, one, vzero(), vzero() - q / p));
  });
}

// q^gamma times the cross-entropy, q the probability given to what is not so (Lin et al. 2017, "Focal loss").
static double binary_focal_crossentropy(const LossArgs& a) {
  const Vec low = vset(kProbabilityMargin), high = vset(1.0f - kProbabilityMargin), one = vset(1.0f);
  const Vec gamma = vset(a.gamma), alpha = vset(a.alpha);
  return elementwise_loss(a, [&](Vec x, Vec t, Vec& loss, Vec& gradient) {
    const Vec p = vmin(high, vmax(low, x)), not_t = one - t;
    const Vec entropy = vzero() - (t * vlog(p) + not_t * vlog(one - p));
    const Vec q = t * (one - p) + not_t * p, slope = not_t - t;  // slope: of q over p
    const Vec balance = a.alpha < 0.0f ? one : t * alpha + not_t * (one - alpha);
    const Vec focus = balance * vexp(gamma * vlog(q));
    loss = focus * entropy;
    const Vec inside = vselect_gt(x, low, vselect_gt(high, x, one, vzero()), vzero());
    gradient = focus * (inside * (p - t) / (p * (one - p)) + gamma * slope / q * entropy);
  });
}

// As categorical_crossentropy, each term times alpha (1 - p)^gamma.
static double categorical_focal_crossentropy(const LossArgs& a) {
  return sum_rows_loss(a, [&](std::int64_t m, float weight, int) {
    const float* x = a.x + m * a.K;
    const double low = kProbabilityMargin, high = 1.0 - low, gamma = a.gamma, even = 1.0 / static_cast<double>(a.K);
    double sum = 0.0, loss = 0.0, dot = 0.0;
    for (std::int64_t k = 0; k < a.K; ++k) sum += x[k];
    // The loss of class k and its slope over p.
    const auto term = [&](std::int64_t k, double& slope) {
      const double t = a.targets[m * a.K + k] * (1.0 - a.smoothing) + a.smoothing * even, p = x[k] / sum;
      const double kept = p < low ? low : p > high ? high : p, q = 1.0 - kept, log_p = __builtin_log(kept);
      const double focus = a.alpha * t * __builtin_pow(q, gamma);
      slope = p > low && p < high ? focus * (gamma * log_p / q - 1.0 / kept) : 0.0;
      return -focus * log_p;
    };
    for (std::int64_t k = 0; k < a.K; ++k) {
      double slope = 0.0;
      loss += term(k, slope);
      dot += slope * (x[k] / sum);
    }
    for (std::int64_t k = 0; a.dx && k < a.K; ++k) {
      double slope = 0.0;
      term(k, slope);
      a.dx[m * a.K + k] = static_cast<float>(weight * (slope - dot) / sum);
    }
    return loss;
  });
}

// max(1 + largest of (1 - t) x - sum of t x, 0); where several are the largest, they share the gradient.
static double categorical_hinge(const LossArgs& a) {
  return sum_rows_loss(a, [&](std::int64_t m, float weight, int) {
    const float *x = a.x + m * a.K, *t = a.targets + m * a.K;
    double right = 0.0;
    float wrong = -kInfinity;
    std::int64_t shared = 0;
    for (std::int64_t k = 0; k < a.K; ++k) {
      const float other = (1.0f - t[k]) * x[k];
      right += static_cast<double>(t[k]) * x[k];
      if (!(other <= wrong)) wrong = other, shared = 0;
      shared += other == wrong;
    }
    const double margin = 1.0 + wrong - right;
    const float active = margin > 0.0 ? weight : 0.0f;
    for (std::int64_t k = 0; a.dx && k < a.K; ++k) {
      const bool largest = (1.0f - t[k]) * x[k] == wrong;
      a.dx[m * a.K + k] = active * ((largest ? (1.0f - t[k]) / static_cast<float>(shared) : 0.0f) - t[k]);
    }
    return margin < 0.0 ? 0.0 : margin;
  });
}

static constexpr LossKernels loss_kernels = {
    softmax,
    softmax_backward,
    loss_blocks,
    softmax_crossentropy,
    categorical_crossentropy,
    binary_crossentropy,
    binary_crossentropy_with_logits,
    mean_squared_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
    huber,
    log_cosh,
    hinge,
    squared_hinge,
    categorical_hinge,
    poisson,
    kl_divergence,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
