// Warps by B-splines of orders 2 to 5, in double: coefficients whose spline passes through the pixels, found by
// recursive filters along columns and rows, then (order + 1)^2 of them weighted for each output pixel (Unser, Aldroubi
// and Eden, "Fast B-spline transforms for continuous image representation and interpolation", 1991).
#pragma once
#include "image_coordinates.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Edge pixels repeated before the filter, as SciPy does for its mode "nearest": the filter itself knows mirrored
// images only.
static constexpr std::int64_t kNearestPad = 12;

static SplineShape spline_shape(const WarpArgs& a) {
  const std::int64_t pad = a.fill == FillMode::nearest ? kNearestPad : 0;
  return {pad, a.H + 2 * pad, a.W + 2 * pad};
}

// How coefficients go on past an edge: mirrored about the edge pixel's centre, or (`half`) about its outer border; or
// the last one repeated.
enum class Past { mirror, half_mirror, last };

static inline Past past_of(FillMode fill) {
  if (fill == FillMode::nearest) return Past::last;
  return fill == FillMode::reflect ? Past::half_mirror : Past::mirror;
}

static inline std::int64_t inner_index(Past past, std::int64_t i, std::int64_t size) {
  if (size == 1) return 0;
  if (past == Past::last) return max_of(0, min_of(i, size - 1));
  const std::int64_t period = past == Past::mirror ? 2 * size - 2 : 2 * size;
  i = (i % period + period) % period;
  if (i < size) return i;
  return past == Past::mirror ? period - i : period - 1 - i;
}

struct Poles {
  int count;
  double z[2];
};

// Inside the unit circle: the roots of the polynomial of the spline's values at whole numbers.
static inline Poles poles_of(int order) {
  if (order == 2) return {1, {::sqrt(8.0) - 3.0, 0.0}};
  if (order == 3) return {1, {::sqrt(3.0) - 2.0, 0.0}};
  if (order == 4)
    return {2,
            {::sqrt(664.0 - ::sqrt(438976.0)) + ::sqrt(304.0) - 19.0,
             ::sqrt(664.0 + ::sqrt(438976.0)) - ::sqrt(304.0) - 19.0}};
  return {2,
          {::sqrt(67.5 - ::sqrt(4436.25)) + ::sqrt(26.25) - 6.5, ::sqrt(67.5 + ::sqrt(4436.25)) - ::sqrt(26.25) - 6.5}};
}

// Lines to filter at once: `groups` times `lanes`, value i of one is at c[i * step + group * group_step + lane].
struct Lines {
  double* c;
  std::int64_t size, step, lanes, groups, group_step;

  // f(value i, value k) of every line.
  template <class F>
  void each(std::int64_t i, std::int64_t k, const F& f) const {
    for (std::int64_t g = 0; g < groups; ++g) {
      double* __restrict to = c + g * group_step + i * step;
      const double* __restrict from = c + g * group_step + k * step;
      for (std::int64_t lane = 0; lane < lanes; ++lane) to[lane] = f(to[lane], from[lane]);
    }
  }
  template <class F>
  void each(std::int64_t i, const F& f) const {
    for (std::int64_t g = 0; g < groups; ++g) {
      double* to = c + g * group_step + i * step;
      for (std::int64_t lane = 0; lane < lanes; ++lane) to[lane] = f(to[lane]);
    }
  }
};

// The first value of the causal filter, as if the line had begun long before: sum of z^k x[-k]. The image past its edge
// is periodic, so the sum is that of one period over 1 - z^period; from where z^k is below a double's last bit it is
// over.
static inline void begin_causal(const Lines& l, Past past, double z) {
  constexpr std::int64_t kBlock = 64;
  constexpr double kNegligible = 1e-20;
  const std::int64_t period = past == Past::mirror ? 2 * l.size - 2 : 2 * l.size;
  for (std::int64_t g = 0; g < l.groups; ++g)
    for (std::int64_t first = 0; first < l.lanes; first += kBlock) {
      const std::int64_t lanes = min_of(kBlock, l.lanes - first);
      double* line = l.c + g * l.group_step + first;
      double sum[kBlock] = {}, power = 1.0;
      std::int64_t k = 0;
      for (; k<period&& ::fabs(power)> kNegligible; ++k, power *= z) {
        const double* x = line + inner_index(past, -k, l.size) * l.step;
        for (std::int64_t i = 0; i < lanes; ++i) sum[i] += power * x[i];
      }
      const double whole = k == period ? 1.0 / (1.0 - power) : 1.0;
      for (std::int64_t i = 0; i < lanes; ++i) line[i] = sum[i] * whole;
    }
}

static inline void filter(const Lines& l, Past past, const Poles& poles) {
  if (l.size == 1) return;
  double gain = 1.0;
  for (int i = 0; i < poles.count; ++i) gain *= (1.0 - poles.z[i]) * (1.0 - 1.0 / poles.z[i]);
  for (std::int64_t i = 0; i < l.size; ++i) l.each(i, [=](double c) { return c * gain; });
  for (int pole = 0; pole < poles.count; ++pole) {
    const double z = poles.z[pole];
    const std::int64_t end = l.size - 1;
    begin_causal(l, past, z);
    for (std::int64_t i = 1; i < l.size; ++i) l.each(i, i - 1, [=](double c, double before) { return c + z * before; });
    if (past == Past::mirror)
      l.each(end, end - 1, [=](double c, double before) { return (z * before + c) * z / (z * z - 1.0); });
    else
      l.each(end, [=](double c) { return c * z / (z - 1.0); });
    for (std::int64_t i = end - 1; i >= 0; --i)
      l.each(i, i + 1, [=](double c, double after) { return z * (after - c); });
  }
}

template <class T>
static inline void copy_padded(const WarpArgs& a, const SplineShape& s, const T* x, double* c) {
  for (std::int64_t i = 0; i < s.rows; ++i) {
    const T* line = x + max_of(0, min_of(i - s.pad, a.H - 1)) * a.W * a.C;
    for (std::int64_t j = 0; j < s.cols; ++j) {
      const T* pixel = line + max_of(0, min_of(j - s.pad, a.W - 1)) * a.C;
      for (std::int64_t k = 0; k < a.C; ++k) *c++ = static_cast<double>(pixel[k]);
    }
  }
}

static void spline_prefilter(const WarpArgs& a, std::int64_t n, double* coefficients) {
  if (maps_to_pixels(a.matrices + 6 * n)) return;
  const SplineShape s = spline_shape(a);
  const std::int64_t values = a.H * a.W * a.C, pitch = s.cols * a.C;
  if (a.x_is_uint8)
    copy_padded(a, s, static_cast<const std::uint8_t*>(a.x) + n * values, coefficients);
  else
    copy_padded(a, s, static_cast<const float*>(a.x) + n * values, coefficients);
  // A padded image is filtered as a mirrored one: the pad is about as long as the filter's memory.
  const Past past = a.fill == FillMode::nearest ? Past::half_mirror : past_of(a.fill);
  const Poles poles = poles_of(a.order);
  filter({coefficients, s.rows, pitch, pitch, 1, 0}, past, poles);
  constexpr std::int64_t kRows = 8;  // each waits for its own last result: several at once hide that
  for (std::int64_t i = 0; i < s.rows; i += kRows)
    filter({coefficients + i * pitch, s.cols, a.C, a.C, min_of(kRows, s.rows - i), pitch}, past, poles);
}

// Weights of the order + 1 coefficients around a coordinate: t from the one at `order / 2` (the middle one, or of two
// the lower), 0 <= t < 1 where the order is odd, else -1/2 <= t < 1/2. By the recursion of B-splines over their degree
// (de Boor, "A Practical Guide to Splines", 1978, chapter X).
template <int Order>
static inline void spline_weights(double t, double* w) {
  const double u = Order % 2 ? t : t + 0.5;  // from the knot below
  w[0] = 1.0;
  for (int k = 1; k <= Order; ++k) {
    const double part = 1.0 / k;
    w[k] = u * w[k - 1] * part;
    for (int j = k - 1; j > 0; --j) w[j] = ((u + (k - j)) * w[j - 1] + (j + 1 - u) * w[j]) * part;
    w[0] = (1.0 - u) * w[0] * part;
  }
}

// The coefficients that an output pixel reads along one axis.
template <int Order>
struct Support {
  std::int64_t first;
  bool inner;  // first to first + Order are all there
  double w[Order + 1];

  Support(double c, std::int64_t size) {
    const double middle = ::floor(Order % 2 ? c : c + 0.5);
    first = static_cast<std::int64_t>(middle) - Order / 2;
    inner = first >= 0 && first + Order < size;
    spline_weights<Order>(c - middle, w);
  }
};

// Channels: C where the compiler knows it, else 0.
template <int Order, int Channels>
static inline void inner_pixel(const double* c, std::int64_t pitch, std::int64_t C, const double* w_row,
                               const double* w_col, float* y) {
  if constexpr (Channels > 0) {
    constexpr int kRun = (Order + 1) * Channels;  // neighbours in memory
    double sum[kRun] = {};
    for (int r = 0; r <= Order; ++r, c += pitch)
      for (int i = 0; i < kRun; ++i) sum[i] += w_row[r] * c[i];
    for (int k = 0; k < Channels; ++k) {
      double all = 0.0;
      for (int s = 0; s <= Order; ++s) all += w_col[s] * sum[s * Channels + k];
      y[k] = static_cast<float>(all);
    }
  } else {
    for (std::int64_t k = 0; k < C; ++k) {
      double all = 0.0;
      for (int r = 0; r <= Order; ++r) {
        double along = 0.0;
        for (int s = 0; s <= Order; ++s) along += w_col[s] * c[r * pitch + s * C + k];
        all += w_row[r] * along;
      }
      y[k] = static_cast<float>(all);
    }
  }
}

template <int Order>
static inline void edge_pixel(const WarpArgs& a, const SplineShape& shape, const double* c, const Support<Order>& row,
                              const Support<Order>& col, float* y) {
  const Past past = past_of(a.fill);
  std::int64_t rows[Order + 1], cols[Order + 1];
  for (int i = 0; i <= Order; ++i) {
    rows[i] = inner_index(past, row.first + i, shape.rows) * shape.cols * a.C;
    cols[i] = inner_index(past, col.first + i, shape.cols) * a.C;
  }
  for (std::int64_t k = 0; k < a.C; ++k) {
    double all = 0.0;
    for (int r = 0; r <= Order; ++r) {
      double along = 0.0;
      for (int s = 0; s <= Order; ++s) along += col.w[s] * c[rows[r] + cols[s] + k];
      all += row.w[r] * along;
    }
    y[k] = static_cast<float>(all);
  }
}

// Where the spline is evaluated. With `nearest` it goes on past the padded edge, as SciPy's does, until all
// coefficients are the last one. Numbers too large for their remainder to mean anything stay within a pixel of the
// image.
template <int Order>
static inline double spline_coordinate(FillMode fill, double c, double size) {
  if (fill == FillMode::nearest) return clamp_coordinate(c + Order, size + 2 * Order) - Order;
  c = inner_coordinate(fill, c, size);
  return c > -1.0 ? (c < size ? c : size - 1.0) : 0.0;
}

template <int Order, int Channels>
static void spline_chunk(const WarpArgs& a, std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t count,
                         const double* coefficients, float* y) {
  const SplineShape shape = spline_shape(a);
  const double* m = a.matrices + 6 * n;
  const auto rows = static_cast<double>(shape.rows), cols = static_cast<double>(shape.cols);
  const auto pad = static_cast<double>(shape.pad);
  const std::int64_t pitch = shape.cols * a.C;
  double row[kChunk], col[kChunk];
  coordinates(m, p, q, count, row);
  coordinates(m + 3, p, q, count, col);
  for (std::int64_t i = 0; i < count; ++i, y += a.C) {
    if (a.fill == FillMode::constant && !(is_inside(row[i], rows - 1.0) && is_inside(col[i], cols - 1.0))) {
      for (std::int64_t k = 0; k < a.C; ++k) y[k] = a.cval;
      continue;
    }
    const auto inner = [&](double c, double size) { return spline_coordinate<Order>(a.fill, c + pad, size); };
    const Support<Order> r(inner(row[i], rows), shape.rows), s(inner(col[i], cols), shape.cols);
    if (r.inner && s.inner)
      inner_pixel<Order, Channels>(coefficients + r.first * pitch + s.first * a.C, pitch, a.C, r.w, s.w, y);
    else
      edge_pixel<Order>(a, shape, coefficients, r, s, y);
  }
}

using SplineChunk = void (*)(const WarpArgs&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const double*,
                             float*);

template <int Order>
static inline SplineChunk spline_chunk_of(std::int64_t C) {
  if (C == 1) return spline_chunk<Order, 1>;
  return C == 3 ? spline_chunk<Order, 3> : spline_chunk<Order, 0>;
}
static inline SplineChunk spline_chunk_of(int order, std::int64_t C) {
  if (order == 2) return spline_chunk_of<2>(C);
  if (order == 3) return spline_chunk_of<3>(C);
  return order == 4 ? spline_chunk_of<4>(C) : spline_chunk_of<5>(C);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
