// Batch normalization (see cnnfast/kernels/norm.hpp). Sums over rows: a fixed number of slices as tasks, each walking
// blocks of rows that stay in cache, so that each block can be read twice at the price of once.
#pragma once
#include <type_traits>

#include "cnnfast/kernels/norm.hpp"
#include "elementwise.hpp"
#include "lanes.hpp"
#include "parallel.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kNormSlices = 32, kNormBlockFloats = 8192;
static constexpr int kNormVecs = 4;  // vectors of channels that are summed side by side
static constexpr std::int64_t kNormCols = kNormVecs * Vec::width;

static inline std::int64_t norm_slices(const BatchNormShape& s) {
  return max_of(1, min_of(min_of(kNormSlices, s.M), s.M * s.C / kNormBlockFloats));
}

// Two floats a channel for each slice and two coefficients, or four coefficients.
static std::int64_t norm_workspace(const BatchNormShape& s) { return (2 * norm_slices(s) + 2) * s.C; }

// Calls f(first row, rows, slice) for the blocks of each slice, in order.
template <class F>
static inline void for_each_norm_block(const BatchNormShape& s, const F& f) {
  const std::int64_t slices = norm_slices(s), block = max_of(kNormBlockFloats / s.C, 8);
  parallel(slices, [&](std::int64_t slice, int) {
    const std::int64_t end = (slice + 1) * s.M / slices;
    for (std::int64_t m = slice * s.M / slices; m < end; m += block) f(m, min_of(block, end - m), slice);
  });
}

// Calls strip.template run<FULL>(c, cols) for strips of kNormCols channels; the last may be narrower.
template <class Strip>
static inline void for_each_norm_strip(std::int64_t C, const Strip& strip) {
  std::int64_t c = 0;
  for (; c + kNormCols <= C; c += kNormCols) strip.template run<false>(c, kNormCols);
  if (c < C) strip.template run<true>(c, C - c);
}

// Mean and sum of squared deviations of `rows` rows, joined to those of `before` earlier rows: within the block the
// corrected two-pass algorithm, between blocks the update of Chan, Golub and LeVeque, "Algorithms for computing the
// sample variance" (1983), equations 1.7 and 2.1. Means are kept as distances from one row of x, so that they are
// exact to far less than the spread also where all x are far from 0.
struct MomentsStrip {
  const float *x, *pivot;
  std::int64_t C, rows, before;
  float *mean, *deviation;

  template <bool PARTIAL>
  void run(std::int64_t c, std::int64_t cols) const {
    const float* from = x + c;
    const Vec share = vset(1.0f / static_cast<float>(rows));
    Vec origin[kNormVecs], centre[kNormVecs], sum[kNormVecs], squares[kNormVecs];
    for (int v = 0; v < kNormVecs; ++v) {
      origin[v] = load_cols<kNormVecs, PARTIAL>(pivot + c, v, cols);
      centre[v] = sum[v] = squares[v] = vzero();
    }
    for (std::int64_t m = 0; m < rows; ++m)
      for (int v = 0; v < kNormVecs; ++v)
        centre[v] = centre[v] + (load_cols<kNormVecs, PARTIAL>(from + m * C, v, cols) - origin[v]);
    for (int v = 0; v < kNormVecs; ++v) centre[v] = centre[v] * share;
    for (std::int64_t m = 0; m < rows; ++m)
      for (int v = 0; v < kNormVecs; ++v) {
        const Vec d = load_cols<kNormVecs, PARTIAL>(from + m * C, v, cols) - origin[v] - centre[v];
        sum[v] = sum[v] + d;
        squares[v] = vfma(d, d, squares[v]);
      }
    const float total = static_cast<float>(before + rows);
    const Vec pull = vset(static_cast<float>(rows) / total);
    const Vec spread = vset(static_cast<float>(before) * (static_cast<float>(rows) / total));
    for (int v = 0; v < kNormVecs; ++v) {
      const Vec correction = sum[v] * share;  // what rounding left of the mean
      Vec m = centre[v] + correction, d = squares[v] - sum[v] * correction;
      if (before) {
        const Vec old = load_cols<kNormVecs, PARTIAL>(mean + c, v, cols), step = m - old;
        m = vfma(step, pull, old);
        d = vfma(step * step, spread, d + load_cols<kNormVecs, PARTIAL>(deviation + c, v, cols));
      }
      store_cols<kNormVecs, PARTIAL>(mean + c, v, m, cols);
      store_cols<kNormVecs, PARTIAL>(deviation + c, v, d, cols);
    }
  }
};

static void norm_moments(const BatchNormShape& s, const float* x, float* mean, float* variance, float* workspace) {
  const std::int64_t slices = norm_slices(s);
  for_each_norm_block(s, [&](std::int64_t m, std::int64_t rows, std::int64_t slice) {
    float* partial = workspace + slice * 2 * s.C;
    for_each_norm_strip(s.C, MomentsStrip{x + m * s.C, x, s.C, rows, m - slice * s.M / slices, partial, partial + s.C});
  });
  for (std::int64_t c = 0; c < s.C; ++c) {  // the same update, between slices
    double count = 0, centre = 0, deviation = 0;
    for (std::int64_t i = 0; i < slices; ++i) {
      const double rows = static_cast<double>((i + 1) * s.M / slices - i * s.M / slices);
      const double step = workspace[i * 2 * s.C + c] - centre;
      deviation += workspace[(i * 2 + 1) * s.C + c] + step * step * count * rows / (count + rows);
      count += rows;
      centre += step * rows / count;
    }
    mean[c] = static_cast<float>(x[c] + centre);
    variance[c] = static_cast<float>(deviation / count);
  }
}

// For some channels side by side: the mean, then the squares of what the x of each block differ from it,
// sum (x - mean)^2 = sum (x - shift)^2 + 2 d sum (x - shift) + n d^2 with d = shift - mean.
static void norm_join_moments(const BatchNormShape& s, std::int64_t blocks, const float* moments, float* mean,
                              float* variance) {
  constexpr std::int64_t kSide = 16;
  const double share = 1.0 / static_cast<double>(s.M);
  parallel(ceil_div(s.C, kSide), [&](std::int64_t task, int) {
    const std::int64_t c0 = task * kSide, channels = min_of(kSide, s.C - c0);
    double centre[kSide] = {}, squares[kSide] = {};
    const auto each_block = [&](const auto& f) {
      for (std::int64_t i = 0; i < blocks; ++i) {
        const float* rows = moments + kMomentRows * i * s.C + c0;
        for (std::int64_t c = 0; c < channels; ++c)
          f(c, double{rows[c]}, double{rows[s.C + c]}, double{rows[2 * s.C + c]}, double{rows[3 * s.C + c]});
      }
    };
    each_block(
        [&](std::int64_t c, double shift, double sum, double, double n) { centre[c] += (n * shift + sum) * share; });
    each_block([&](std::int64_t c, double shift, double sum, double square, double n) {
      const double d = shift - centre[c];
      squares[c] += square + d * (2 * sum + n * d);
    });
    for (std::int64_t c = 0; c < channels; ++c) {
      mean[c0 + c] = static_cast<float>(centre[c]);
      variance[c0 + c] = squares[c] < 0 ? 0.0f : static_cast<float>(squares[c] * share);  // NaN stays
    }
  });
}

// gamma / sqrt(variance + epsilon) of the channels from c.
template <class Full>
static inline Vec norm_scale(Full full, const BatchNormShape& s, const float* gamma, const float* variance,
                             std::int64_t c, std::int64_t lanes) {
  const Vec g = gamma ? load_lanes(full, gamma + c, lanes) : vset(1.0f);
  return g / vsqrt(load_lanes(full, variance + c, lanes) + vset(s.epsilon));
}

// Calls f(full, index, channel, lanes) for all vectors of (M,C).
template <class F>
static inline void for_each_norm_vector(const BatchNormShape& s, const F& f) {
  const std::int64_t per_task = max_of(kElementwiseBlock / s.C, 1);
  parallel(ceil_div(s.M, per_task), [&](std::int64_t task, int) {
    const std::int64_t end = min_of((task + 1) * per_task, s.M);
    for (std::int64_t m = task * per_task; m < end; ++m)
      for_each_lanes(s.C, [&](auto full, std::int64_t c, std::int64_t lanes) { f(full, m * s.C + c, c, lanes); });
  });
}

// scale = gamma / sigma and shift = beta of all channels.
static inline void norm_coefficients(const BatchNormShape& s, const Affine& affine, const float* variance, float* scale,
                                     float* shift) {
  for_each_lanes(s.C, [&](auto full, std::int64_t c, std::int64_t lanes) {
    store_lanes(full, scale + c, norm_scale(full, s, affine.gamma, variance, c, lanes), lanes);
    store_lanes(full, shift + c, affine.beta ? load_lanes(full, affine.beta + c, lanes) : vzero(), lanes);
  });
}

static void norm_normalize(const BatchNormShape& s, const float* x, const Affine& affine, const float* mean,
                           const float* variance, const float* residual, Epilogue epilogue, float* y,
                           float* workspace) {
  const bool stream = x != y && residual != y && streams(y, s.M * s.C, s.C);
  float *scale = workspace, *shift = workspace + s.C;
  norm_coefficients(s, affine, variance, scale, shift);
  for_each_norm_vector(s, [&](auto full, std::int64_t i, std::int64_t c, std::int64_t lanes) {
    const Vec centred = load_lanes(full, x + i, lanes) - load_lanes(full, mean + c, lanes);
    Vec a = vfma(centred, load_lanes(full, scale + c, lanes), load_lanes(full, shift + c, lanes));
    if (residual) a = a + load_lanes(full, residual + i, lanes);
    a = apply_epilogue(a, epilogue);
    if (full && stream)
      vstream(y + i, a);
    else
      store_lanes(full, y + i, a, lanes);
  });
}

// Sums of dz and of dz * (x - mean) over `rows` rows, added to those of earlier blocks; dz = gradient(dy, y) with
// y = scale * (x - mean) + shift, the bits that the forward pass gave to its epilogue.
template <class Gradient>
struct NormSumsStrip {
  const Gradient& gradient;
  const float *dy, *x, *mean, *scale, *shift;
  std::int64_t C, rows;
  bool first;
  float *sum, *product;

  template <bool PARTIAL>
  void run(std::int64_t c, std::int64_t cols) const {
    Vec centre[kNormVecs], slope[kNormVecs], offset[kNormVecs], sums[kNormVecs], products[kNormVecs];
    for (int v = 0; v < kNormVecs; ++v) {
      centre[v] = load_cols<kNormVecs, PARTIAL>(mean + c, v, cols);
      slope[v] = load_cols<kNormVecs, PARTIAL>(scale + c, v, cols);
      offset[v] = load_cols<kNormVecs, PARTIAL>(shift + c, v, cols);
      sums[v] = products[v] = vzero();
    }
    for (std::int64_t m = 0; m < rows; ++m)
      for (int v = 0; v < kNormVecs; ++v) {
        const Vec centred = load_cols<kNormVecs, PARTIAL>(x + m * C + c, v, cols) - centre[v];
        const Vec g =
            gradient(load_cols<kNormVecs, PARTIAL>(dy + m * C + c, v, cols), vfma(centred, slope[v], offset[v]));
        sums[v] = sums[v] + g;
        products[v] = vfma(g, centred, products[v]);
      }
    for (int v = 0; v < kNormVecs; ++v) {
      if (!first) {
        sums[v] = sums[v] + load_cols<kNormVecs, PARTIAL>(sum + c, v, cols);
        products[v] = products[v] + load_cols<kNormVecs, PARTIAL>(product + c, v, cols);
      }
      store_cols<kNormVecs, PARTIAL>(sum + c, v, sums[v], cols);
      store_cols<kNormVecs, PARTIAL>(product + c, v, products[v], cols);
    }
  }
};

static void norm_backward_scale(const BatchNormShape& s, const float* dy, const float* x, const Affine& affine,
                                const float* mean, const float* variance, Epilogue epilogue, float* dgamma,
                                float* dbeta, float* workspace) {
  const std::int64_t slices = norm_slices(s);
  float *scale = workspace + 2 * slices * s.C, *shift = scale + s.C;
  norm_coefficients(s, affine, variance, scale, shift);
  with_epilogue_gradient(epilogue, [&](const auto& gradient) {
    using Strip = NormSumsStrip<std::decay_t<decltype(gradient)>>;
    for_each_norm_block(s, [&](std::int64_t m, std::int64_t rows, std::int64_t slice) {
      float* partial = workspace + slice * 2 * s.C;
      for_each_norm_strip(s.C, Strip{gradient, dy + m * s.C, x + m * s.C, mean, scale, shift, s.C, rows,
                                     m == slice * s.M / slices, partial, partial + s.C});
    });
  });
  for_each_lanes(s.C, [&](auto full, std::int64_t c, std::int64_t lanes) {
    Vec sum = vzero(), product = vzero();
    for (std::int64_t i = 0; i < slices; ++i) {
      sum = sum + load_lanes(full, workspace + i * 2 * s.C + c, lanes);
      product = product + load_lanes(full, workspace + (i * 2 + 1) * s.C + c, lanes);
    }
    store_lanes(full, dbeta + c, sum, lanes);
    store_lanes(full, dgamma + c, product * norm_scale(full, s, nullptr, variance, c, lanes), lanes);
  });
}

// dx = gamma/sigma (dz - dbeta/M - xhat dgamma/M), sigma = sqrt(variance + epsilon) (Ioffe and Szegedy 2015,
// section 3, collected).
static void norm_backward_batch(const BatchNormShape& s, const float* dy, const float* x, const Affine& affine,
                                const float* mean, const float* variance, Epilogue epilogue, const float* dgamma,
                                const float* dbeta, float* dx, float* workspace) {
  float *scale = workspace, *shift = scale + s.C, *offset = shift + s.C, *slope = offset + s.C;
  norm_coefficients(s, affine, variance, scale, shift);
  const Vec share = vset(1.0f / static_cast<float>(s.M));
  for_each_lanes(s.C, [&](auto full, std::int64_t c, std::int64_t lanes) {
    const Vec inverse = norm_scale(full, s, nullptr, variance, c, lanes);
    store_lanes(full, offset + c, load_lanes(full, dbeta + c, lanes) * share, lanes);
    store_lanes(full, slope + c, load_lanes(full, dgamma + c, lanes) * share * inverse, lanes);
  });
  with_epilogue_gradient(epilogue, [&](const auto& gradient) {
    for_each_norm_vector(s, [&](auto full, std::int64_t i, std::int64_t c, std::int64_t lanes) {
      const Vec centred = load_lanes(full, x + i, lanes) - load_lanes(full, mean + c, lanes);
      const Vec factor = load_lanes(full, scale + c, lanes);
      const Vec y = vfma(centred, factor, load_lanes(full, shift + c, lanes));
      const Vec g = gradient(load_lanes(full, dy + i, lanes), y) - load_lanes(full, offset + c, lanes);
      store_lanes(full, dx + i, (g - centred * load_lanes(full, slope + c, lanes)) * factor, lanes);
    });
  });
}

static void norm_backward_constant(const BatchNormShape& s, const float* dy, const float* gamma, const float* variance,
                                   float* dx, float* workspace) {
  for_each_lanes(s.C, [&](auto full, std::int64_t c, std::int64_t lanes) {
    store_lanes(full, workspace + c, norm_scale(full, s, gamma, variance, c, lanes), lanes);
  });
  for_each_norm_vector(s, [&](auto full, std::int64_t i, std::int64_t c, std::int64_t lanes) {
    store_lanes(full, dx + i, load_lanes(full, dy + i, lanes) * load_lanes(full, workspace + c, lanes), lanes);
  });
}

static void norm_moving_average(std::int64_t n, float momentum, const float* value, float* moving) {
  const Vec keep = vset(momentum), take = vset(1.0f - momentum);
  map_vectors(n, moving, value, moving, [=](Vec old, Vec now) { return vfma(old, keep, now * take); });
}

static constexpr NormKernels norm_kernels = {norm_workspace,         norm_moments,        norm_join_moments,
                                             norm_normalize,         norm_backward_scale, norm_backward_batch,
                                             norm_backward_constant, norm_moving_average};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
