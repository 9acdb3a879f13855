// Pooling (see cnnfast/kernels/pool2d.hpp). Vectors run along C. The backward kernels gather: each element of dx sums
// what its windows send back, so it is written once, by one task, in a fixed order, whether windows overlap or not.
#pragma once
#include "cnnfast/kernels/pool2d.hpp"
#include "lanes.hpp"
#include "largest.hpp"
#include "parallel.hpp"
#include "stream.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Floats a task should read and write: enough to be worth handing out, few enough to spread small batches.
static constexpr std::int64_t kPoolTaskFloats = 8 * 1024;

// Positions [first, last) on one axis.
struct PoolSpan {
  std::int64_t first, last;
  std::int64_t count() const { return last - first; }
};

// The input positions of window `out`.
static inline PoolSpan pool_window(std::int64_t out, std::int64_t stride, std::int64_t pad, std::int64_t window,
                                   std::int64_t size) {
  const std::int64_t start = out * stride - pad;
  return {max_of(start, 0), min_of(start + window, size)};
}

// The windows that hold input position `in`.
static inline PoolSpan pool_windows_over(std::int64_t in, std::int64_t stride, std::int64_t pad, std::int64_t window,
                                         std::int64_t out_size) {
  const std::int64_t at = in + pad;
  return {at < window ? 0 : (at - window) / stride + 1, min_of(at / stride + 1, out_size)};
}

// Calls f(n, row, worker) for all rows of N grids; a row reads and writes about `floats` floats (an estimate, which may
// be larger than any integer: a stride or window may reach far beyond the image).
template <class F>
static inline void for_each_row(std::int64_t N, std::int64_t rows, double floats, const F& f) {
  const std::int64_t per_task = max_of(static_cast<std::int64_t>(kPoolTaskFloats / floats), 1);
  parallel(ceil_div(N * rows, per_task), [&](std::int64_t task, int worker) {
    const std::int64_t last = min_of((task + 1) * per_task, N * rows);
    for (std::int64_t i = task * per_task; i < last; ++i) f(i / rows, i % rows, worker);
  });
}

// One pixel of the output, from its window cut at the edges of the image. WINDOW > 0: the window is uncut and its size,
// WINDOW x WINDOW, is known to the compiler.
template <bool POSITIONS, int WINDOW>
struct MaxPoolPixel {
  std::int64_t rows, cols, row_pitch, col_pitch, window_cols;
  const float* x;               // first element of the cut window
  std::int64_t first_position;  // where that lies in the whole window
  float* y;
  float* positions;

  template <class Full>
  void operator()(Full full, std::int64_t c, std::int64_t lanes) const {
    Largest<POSITIONS> largest;
    largest.where = vset(static_cast<float>(first_position));
#pragma GCC unroll 3
    for (std::int64_t r = 0; r < (WINDOW ? WINDOW : rows); ++r) {
#pragma GCC unroll 3
      for (std::int64_t s = 0; s < (WINDOW ? WINDOW : cols); ++s) {
        const Vec a = load_lanes(full, x + r * row_pitch + s * col_pitch + c, lanes);
        largest.meet(a, WINDOW ? r * WINDOW + s : first_position + r * window_cols + s);
      }
    }
    store_lanes(full, y + c, largest.value, lanes);
    if (POSITIONS) store_lanes(full, positions + c, largest.where, lanes);
  }
};

// A row of the output; positions (Q,C) may be null.
template <bool POSITIONS>
static inline void max_pool2d_row(const Pool2dShape& s, std::int64_t n, std::int64_t p, const float* x, float* y,
                                  float* positions) {
  const PoolSpan rows = pool_window(p, s.stride_h, s.pad_top, s.R, s.H);
  const std::int64_t cut_above = rows.first - (p * s.stride_h - s.pad_top);
  y += (n * s.P + p) * s.Q * s.C;
  for (std::int64_t q = 0; q < s.Q; ++q, y += s.C, positions += POSITIONS ? s.C : 0) {
    const PoolSpan cols = pool_window(q, s.stride_w, s.pad_left, s.S, s.W);
    const std::int64_t cut_left = cols.first - (q * s.stride_w - s.pad_left);
    const float* window = x + ((n * s.H + rows.first) * s.W + cols.first) * s.C;
    const auto run = [&](auto size) {
      for_each_lanes(
          s.C, MaxPoolPixel<POSITIONS, decltype(size)::value>{rows.count(), cols.count(), s.W * s.C, s.C, s.S, window,
                                                              cut_above * s.S + cut_left, y, positions});
    };
    const bool whole = rows.count() == s.R && cols.count() == s.S;
    if (whole && s.R == 2 && s.S == 2)
      run(std::integral_constant<int, 2>{});
    else if (whole && s.R == 3 && s.S == 3)
      run(std::integral_constant<int, 3>{});
    else
      run(std::integral_constant<int, 0>{});
  }
}

static void max_pool2d_plain(const Pool2dShape& s, const float* x, float* y) {
  for_each_row(s.N, s.P, 1.0 * s.Q * s.C * (1.0 * s.R * s.S + 1.0),
               [&](std::int64_t n, std::int64_t p, int) { max_pool2d_row<false>(s, n, p, x, y, nullptr); });
}

template <class Index>
static void max_pool2d(const Pool2dShape& s, const float* x, float* y, Index* argmax) {
  for_each_row(s.N, s.P, 1.0 * s.Q * s.C * (1.0 * s.R * s.S + 1.0), [&](std::int64_t n, std::int64_t p, int worker) {
    float* positions = worker_scratch(worker, 0, s.Q * s.C);
    max_pool2d_row<true>(s, n, p, x, y, positions);
    convert_positions(s.Q * s.C, positions, argmax + (n * s.P + p) * s.Q * s.C);
  });
}

struct AveragePoolPixel {
  const Pool2dShape& s;
  const float* x;
  PoolSpan rows, cols;
  float* y;

  template <class Full>
  void operator()(Full full, std::int64_t c, std::int64_t lanes) const {
    Vec sum = vzero();
    for (std::int64_t h = rows.first; h < rows.last; ++h) {
      const float* from = x + (h * s.W + cols.first) * s.C + c;
      Vec row_sum = vzero();  // rows apart: the rounding error of a large window grows with R + S, not R * S
      for (std::int64_t w = cols.first; w < cols.last; ++w, from += s.C)
        row_sum = row_sum + load_lanes(full, from, lanes);
      sum = sum + row_sum;
    }
    store_lanes(full, y + c, sum * vset(1.0f / static_cast<float>(rows.count() * cols.count())), lanes);
  }
};

static void average_pool2d(const Pool2dShape& s, const float* x, float* y) {
  for_each_row(s.N, s.P, 1.0 * s.Q * s.C * (1.0 * s.R * s.S + 1.0), [&](std::int64_t n, std::int64_t p, int) {
    const PoolSpan rows = pool_window(p, s.stride_h, s.pad_top, s.R, s.H);
    for (std::int64_t q = 0; q < s.Q; ++q) {
      const PoolSpan cols = pool_window(q, s.stride_w, s.pad_left, s.S, s.W);
      for_each_lanes(s.C,
                     AveragePoolPixel{s, x + n * s.H * s.W * s.C, rows, cols, y + ((n * s.P + p) * s.Q + q) * s.C});
    }
  });
}

// What windows send back to their elements. rows(n, span, worker) makes rows `span` of windows ready; window() is one
// vector of one of them; to(position) is the share of the element at that position of the window. kOutside stands for
// an element between windows, where the stride is larger.
static constexpr std::int64_t kOutside = -1;

template <class Index>
struct MaxPoolSource {
  struct Share {
    Vec dy, where;
    // Positions are integers: equal means less than a half apart.
    Vec to(std::int64_t position) const {
      return vselect_gt(vset(0.5f), vabs(where - vset(static_cast<float>(position))), dy, vzero());
    }
  };
  struct Rows {
    const Pool2dShape& s;
    std::int64_t first;
    const float *dy, *positions;

    template <class Full>
    Share window(Full full, std::int64_t p, std::int64_t q, std::int64_t c, std::int64_t lanes) const {
      const std::int64_t at = ((p - first) * s.Q + q) * s.C + c;
      return {load_lanes(full, dy + at, lanes), load_lanes(full, positions + at, lanes)};
    }
  };

  const Pool2dShape& s;
  const float* dy;
  const Index* argmax;

  Rows rows(std::int64_t n, PoolSpan span, int worker) const {
    const std::int64_t from = (n * s.P + span.first) * s.Q * s.C, count = span.count() * s.Q * s.C;
    float* positions = worker_scratch(worker, 0, count);
    convert_positions(count, argmax + from, positions);
    return {s, span.first, dy + from, positions};
  }
};

struct AveragePoolSource {
  struct Share {
    Vec share;
    Vec to(std::int64_t position) const { return position == kOutside ? vzero() : share; }
  };
  struct Rows {
    const Pool2dShape& s;
    const float* dy;  // of the image

    template <class Full>
    Share window(Full full, std::int64_t p, std::int64_t q, std::int64_t c, std::int64_t lanes) const {
      const std::int64_t count = pool_window(p, s.stride_h, s.pad_top, s.R, s.H).count() *
                                 pool_window(q, s.stride_w, s.pad_left, s.S, s.W).count();
      return {load_lanes(full, dy + (p * s.Q + q) * s.C + c, lanes) * vset(1.0f / static_cast<float>(count))};
    }
  };

  const Pool2dShape& s;
  const float* dy;

  Rows rows(std::int64_t n, PoolSpan, int) const { return {s, dy + n * s.P * s.Q * s.C}; }
};

// Windows that do not overlap: each owns a cell of the image (its stride, and at the edges what is left over), and the
// cells tile the image. CELL > 0: the cell is a whole window of CELL x CELL.
template <class Rows, int CELL>
struct PoolCell {
  const Rows& windows;
  std::int64_t p, q;
  PoolSpan rows, cols;          // of the image
  std::int64_t row_at, col_at;  // where the cell begins in the window
  float* dx;                    // first element of the cell
  bool stream;

  template <class Full>
  void operator()(Full full, std::int64_t c, std::int64_t lanes) const {
    const Pool2dShape& s = windows.s;
    const auto share = windows.window(full, p, q, c, lanes);
    for (std::int64_t i = 0; i < (CELL ? CELL : rows.count()); ++i) {
      for (std::int64_t j = 0; j < (CELL ? CELL : cols.count()); ++j) {
        const bool inside = row_at + i < s.R && col_at + j < s.S;
        const std::int64_t position = CELL ? i * CELL + j : inside ? (row_at + i) * s.S + col_at + j : kOutside;
        float* to = dx + (i * s.W + j) * s.C + c;
        if (full && stream)
          vstream(to, share.to(position));
        else
          store_lanes(full, to, share.to(position), lanes);
      }
    }
  }
};

static inline PoolSpan pool_cell(std::int64_t out, std::int64_t out_size, std::int64_t stride, std::int64_t pad,
                                 std::int64_t size) {
  return {out == 0 ? 0 : out * stride - pad, out + 1 == out_size ? size : (out + 1) * stride - pad};
}

template <class Source>
static void pool2d_backward_apart(const Source& source, float* dx) {
  const Pool2dShape& s = source.s;
  const bool stream = streams(dx, s.N * s.H * s.W * s.C, s.C);
  for_each_row(s.N, s.P, 1.0 * s.stride_h * s.W * s.C, [&](std::int64_t n, std::int64_t p, int worker) {
    const auto windows = source.rows(n, {p, p + 1}, worker);
    using Rows = typename Source::Rows;
    const PoolSpan rows = pool_cell(p, s.P, s.stride_h, s.pad_top, s.H);
    for (std::int64_t q = 0; q < s.Q; ++q) {
      const PoolSpan cols = pool_cell(q, s.Q, s.stride_w, s.pad_left, s.W);
      const std::int64_t row_at = rows.first + s.pad_top - p * s.stride_h;
      const std::int64_t col_at = cols.first + s.pad_left - q * s.stride_w;
      float* cell = dx + ((n * s.H + rows.first) * s.W + cols.first) * s.C;
      if (rows.count() == 2 && cols.count() == 2 && s.R == 2 && s.S == 2 && row_at == 0 && col_at == 0)
        for_each_lanes(s.C, PoolCell<Rows, 2>{windows, p, q, rows, cols, row_at, col_at, cell, stream});
      else
        for_each_lanes(s.C, PoolCell<Rows, 0>{windows, p, q, rows, cols, row_at, col_at, cell, stream});
    }
  });
}

// Windows that overlap: one pixel of dx, at `position` of window (rows.first, cols.first); later windows see it
// strides earlier.
template <class Rows>
struct PoolGather {
  const Rows& windows;
  PoolSpan rows, cols;
  std::int64_t position;
  float* dx;

  template <class Full>
  void operator()(Full full, std::int64_t c, std::int64_t lanes) const {
    const Pool2dShape& s = windows.s;
    Vec sum = vzero();
    for (std::int64_t p = rows.first; p < rows.last; ++p)
      for (std::int64_t q = cols.first; q < cols.last; ++q)
        sum = sum + windows.window(full, p, q, c, lanes)
                        .to(position - (p - rows.first) * s.stride_h * s.S - (q - cols.first) * s.stride_w);
    store_lanes(full, dx + c, sum, lanes);
  }
};

template <class Source>
static void pool2d_backward_overlapping(const Source& source, float* dx) {
  const Pool2dShape& s = source.s;
  for_each_row(s.N, s.H, 3.0 * s.W * s.C, [&](std::int64_t n, std::int64_t h, int worker) {
    const PoolSpan rows = pool_windows_over(h, s.stride_h, s.pad_top, s.R, s.P);
    const auto windows = source.rows(n, rows, worker);
    float* to = dx + (n * s.H + h) * s.W * s.C;
    for (std::int64_t w = 0; w < s.W; ++w, to += s.C) {
      const PoolSpan cols = pool_windows_over(w, s.stride_w, s.pad_left, s.S, s.Q);
      const std::int64_t position =
          (h + s.pad_top - rows.first * s.stride_h) * s.S + w + s.pad_left - cols.first * s.stride_w;
      for_each_lanes(s.C, PoolGather<typename Source::Rows>{windows, rows, cols, position, to});
    }
  });
}

template <class Source>
static void pool2d_backward(const Source& source, float* dx) {
  if (source.s.R <= source.s.stride_h && source.s.S <= source.s.stride_w)
    pool2d_backward_apart(source, dx);
  else
    pool2d_backward_overlapping(source, dx);
}

template <class Index>
static void max_pool2d_backward(const Pool2dShape& s, const float* dy, const Index* argmax, float* dx) {
  pool2d_backward(MaxPoolSource<Index>{s, dy, argmax}, dx);
}

static void average_pool2d_backward(const Pool2dShape& s, const float* dy, float* dx) {
  pool2d_backward(AveragePoolSource{s, dy}, dx);
}

static constexpr Pool2dKernels pool2d_kernels = {max_pool2d_plain,
                                                 max_pool2d<std::uint8_t>,
                                                 max_pool2d<std::int32_t>,
                                                 max_pool2d_backward<std::uint8_t>,
                                                 max_pool2d_backward<std::int32_t>,
                                                 average_pool2d,
                                                 average_pool2d_backward};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
