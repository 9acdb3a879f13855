// Depthwise convolution, vectorised over channels, blocked in registers over output columns (see
// cnnfast/kernels/conv2d_depthwise.hpp for the idea and the words).
#pragma once
#include <cstring>

#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "elementwise.hpp"
#include "parallel.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

struct Range {
  std::int64_t begin, end;
};

// The taps of position i that lie in the input.
static inline Range depthwise_taps(const DepthwiseAxis& axis, std::int64_t i) {
  Range taps{0, axis.n_taps};
  while (taps.begin < taps.end && i * axis.step + axis.taps[taps.begin].offset < 0) ++taps.begin;
  while (taps.begin < taps.end && i * axis.step + axis.taps[taps.end - 1].offset >= axis.in) --taps.end;
  return taps;
}

// The positions whose tap `offset` lies in the input.
static inline Range depthwise_positions(const DepthwiseAxis& axis, std::int64_t offset) {
  const std::int64_t begin = min_of(offset < 0 ? ceil_div(-offset, axis.step) : 0, axis.grid);
  const std::int64_t end = offset < axis.in ? min_of((axis.in - 1 - offset) / axis.step + 1, axis.grid) : 0;
  return {begin, max_of(begin, end)};
}

// Input rows of one image as the loops below read them: row h, column w, channel k at data[((h - row0) * W + w) * K + k].
struct DepthwiseRows {
  const float* data;
  std::int64_t row0;
};

// The input of grid rows [i0, i1): x itself or, if M channels read each channel of it, a copy with channels repeated.
static inline DepthwiseRows depthwise_input(const DepthwiseGather& conv, const float* x, std::int64_t n,
                                            std::int64_t i0, std::int64_t i1, int worker) {
  const DepthwiseAxis& rows = conv.rows;
  const std::int64_t channels = conv.K / conv.repeat;
  const float* image = x + n * rows.in * conv.cols.in * channels;
  if (conv.repeat == 1 || rows.n_taps == 0) return {image, 0};
  const std::int64_t h0 = max_of(i0 * rows.step + rows.taps[0].offset, 0);
  const std::int64_t h1 = min_of((i1 - 1) * rows.step + rows.taps[rows.n_taps - 1].offset + 1, rows.in);
  const std::int64_t count = max_of(h1 - h0, 0) * conv.cols.in * channels;
  float* to = worker_scratch(worker, 0, count * conv.repeat);
  const float* from = image + h0 * conv.cols.in * channels;
  for (std::int64_t c = 0; c < count; ++c)
    for (std::int64_t m = 0; m < conv.repeat; ++m) to[c * conv.repeat + m] = from[c];
  return {to, h0};
}

struct DepthwiseTile {
  const DepthwiseGather& conv;
  const float* x;
  std::int64_t at;  // where in x the first position's own row, column and channel lie; in the padding it is outside
  Range rows, cols;  // taps
  const float* w;
  const float* b;
  Epilogue epilogue;
  float* y;
  std::int64_t y_step, channels;

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    Tile<MR, NV> tile;
    for (int i = 0; i < MR; ++i)
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = b ? load_cols<NV, PARTIAL>(b, v, channels) : vzero();
    const std::int64_t x_step = conv.cols.step * conv.K;
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const DepthwiseTap row = conv.rows.taps[r];
      for (std::int64_t s = cols.begin; s < cols.end; ++s) {
        const DepthwiseTap col = conv.cols.taps[s];
        const float* a = x + (at + (row.offset * conv.cols.in + col.offset) * conv.K);
        const float* weight = w + (row.index * conv.kernel_columns + col.index) * conv.K;
        Vec wv[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) wv[v] = load_cols<NV, PARTIAL>(weight, v, channels);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v)
            tile.acc[i][v] = vfma(load_cols<NV, PARTIAL>(a + i * x_step, v, channels), wv[v], tile.acc[i][v]);
      }
    }
    for (int i = 0; i < MR; ++i)
      for (int v = 0; v < NV; ++v)
        store_cols<NV, PARTIAL>(y + i * y_step, v, apply_epilogue(tile.acc[i][v], epilogue), channels);
  }
};

// Row i of the grid; y is its first pixel, y_step floats before the next.
static inline void depthwise_row(const DepthwiseGather& conv, DepthwiseRows x, std::int64_t i, const float* w,
                                 const float* b, Epilogue epilogue, float* y, std::int64_t y_step) {
  const DepthwiseAxis& cols = conv.cols;
  const Range rows = depthwise_taps(conv.rows, i);
  const std::int64_t row_at = (i * conv.rows.step - x.row0) * cols.in;
  for (std::int64_t j = 0; j < cols.grid;) {
    const bool inner = cols.inner_first <= j && j < cols.inner_end;
    const std::int64_t count = inner ? min_of(kTileRows, cols.inner_end - j) : 1;
    const Range taps = inner ? Range{0, cols.n_taps} : depthwise_taps(cols, j);
    for (std::int64_t k = 0; k < conv.K; k += kTileCols) {
      const std::int64_t channels = min_of(kTileCols, conv.K - k);
      const DepthwiseTile tile{conv,     x.data,
                               (row_at + j * cols.step) * conv.K + k,
                               rows,     taps,
                               w + k,    b ? b + k : nullptr,
                               epilogue, y + j * y_step + k,
                               y_step,   channels};
      dispatch_tile(count, channels, tile);
    }
    j += count;
  }
}

// to[c] = the sum of from[c*fold ... c*fold + fold-1].
static inline void depthwise_fold(std::int64_t channels, std::int64_t fold, const float* from, float* to) {
  for (std::int64_t c = 0; c < channels; ++c, from += fold) {
    float sum = from[0];
    for (std::int64_t m = 1; m < fold; ++m) sum += from[m];
    to[c] = sum;
  }
}

// Calls f(n, i0, i1, input) for the parts of the grid rows [begin, end) of all images, counted through: parts of one
// image and of at most rows_per_task rows.
template <class F>
static inline void depthwise_bands(const DepthwiseGather& conv, const float* x, std::int64_t begin, std::int64_t end,
                                   int worker, const F& f) {
  while (begin < end) {
    const std::int64_t n = begin / conv.rows.grid, i0 = begin % conv.rows.grid;
    const std::int64_t i1 = i0 + min_of(conv.rows_per_task, min_of(end - begin, conv.rows.grid - i0));
    f(n, i0, i1, depthwise_input(conv, x, n, i0, i1, worker));
    begin += i1 - i0;
  }
}

static void conv2d_depthwise_gather(const DepthwiseGather& conv, const float* x, const float* w, const float* b,
                                    Epilogue epilogue, float* y) {
  const std::int64_t all_rows = conv.N * conv.rows.grid, channels = conv.K / conv.fold;
  parallel(ceil_div(all_rows, conv.rows_per_task), [&](std::int64_t task, int worker) {
    const std::int64_t begin = task * conv.rows_per_task, end = min_of(begin + conv.rows_per_task, all_rows);
    depthwise_bands(conv, x, begin, end, worker, [&](std::int64_t n, std::int64_t i0, std::int64_t i1, DepthwiseRows in) {
      for (std::int64_t i = i0; i < i1; ++i) {
        const std::int64_t row = n * conv.rows.out + conv.rows.out_first + i * conv.rows.out_step;
        float* to = y + (row * conv.cols.out + conv.cols.out_first) * channels;
        const std::int64_t to_step = conv.cols.out_step * channels;
        if (conv.fold == 1) {
          depthwise_row(conv, in, i, w, b, epilogue, to, to_step);
          continue;
        }
        float* unfolded = worker_scratch(worker, 1, conv.cols.grid * conv.K);
        depthwise_row(conv, in, i, w, b, epilogue, unfolded, conv.K);
        for (std::int64_t j = 0; j < conv.cols.grid; ++j)
          depthwise_fold(channels, conv.fold, unfolded + j * conv.K, to + j * to_step);
      }
    });
  });
}

// Adds the products of the positions [begin, end) of one row to the weights of MR consecutive taps.
struct DepthwiseWeightTile {
  const DepthwiseGather& conv;
  const float* x;
  std::int64_t at;  // where in x the row's first position lies, as in DepthwiseTile
  std::int64_t tap;
  Range positions;
  const float* dy;
  std::int64_t channels;
  float* dw;

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    const std::int64_t K = conv.K, x_step = conv.cols.step * K, S = conv.kernel_columns;
    const float* a[MR];
    Tile<MR, NV> tile;
    for (int i = 0; i < MR; ++i) {
      const DepthwiseTap row = conv.rows.taps[(tap + i) / S], col = conv.cols.taps[(tap + i) % S];
      a[i] = x + (at + (row.offset * conv.cols.in + col.offset) * K + positions.begin * x_step);
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = load_cols<NV, PARTIAL>(dw + (tap + i) * K, v, channels);
    }
    std::int64_t step = 0;
    for (std::int64_t j = positions.begin; j < positions.end; ++j, step += x_step) {
      Vec g[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) g[v] = load_cols<NV, PARTIAL>(dy + j * K, v, channels);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v)
          tile.acc[i][v] = vfma(load_cols<NV, PARTIAL>(a[i] + step, v, channels), g[v], tile.acc[i][v]);
    }
    for (int i = 0; i < MR; ++i)
      for (int v = 0; v < NV; ++v) store_cols<NV, PARTIAL>(dw + (tap + i) * K, v, tile.acc[i][v], channels);
  }
};

// Adds row i's part of dw: first the positions where every tap reads the input, then each tap's own near the borders.
static inline void depthwise_weight_row(const DepthwiseGather& conv, DepthwiseRows x, std::int64_t i, const float* dy,
                                        float* dw) {
  const DepthwiseAxis& cols = conv.cols;
  const Range rows = depthwise_taps(conv.rows, i), inner{cols.inner_first, cols.inner_end};
  const std::int64_t first = rows.begin * cols.n_taps, end = rows.end * cols.n_taps;
  const std::int64_t row_at = (i * conv.rows.step - x.row0) * cols.in * conv.K;
  for (std::int64_t k = 0; k < conv.K; k += kTileCols) {
    const std::int64_t channels = min_of(kTileCols, conv.K - k);
    const auto add = [&](std::int64_t tap, std::int64_t taps, Range positions) {
      if (positions.begin >= positions.end) return;
      const DepthwiseWeightTile tile{conv, x.data, row_at + k, tap, positions, dy + k, channels, dw + k};
      dispatch_tile(taps, channels, tile);
    };
    for (std::int64_t tap = first; tap < end; tap += kTileRows) add(tap, min_of(kTileRows, end - tap), inner);
    for (std::int64_t tap = first; tap < end; ++tap) {
      const Range own = depthwise_positions(cols, cols.taps[tap % cols.n_taps].offset);
      add(tap, 1, {own.begin, min_of(own.end, inner.begin)});
      add(tap, 1, {max_of(own.begin, inner.end), own.end});
    }
  }
}

static void conv2d_depthwise_backward_weight(const DepthwiseGather& conv, const float* x, const float* dy,
                                             std::int64_t slices, float* dw, float* workspace) {
  const std::int64_t all_rows = conv.N * conv.rows.grid, weights = conv.rows.n_taps * conv.cols.n_taps * conv.K;
  parallel(slices, [&](std::int64_t slice, int worker) {
    float* partial = slices == 1 ? dw : workspace + slice * weights;
    std::memset(partial, 0, sizeof(float) * weights);
    const std::int64_t begin = slice * all_rows / slices, end = (slice + 1) * all_rows / slices;
    depthwise_bands(conv, x, begin, end, worker, [&](std::int64_t n, std::int64_t i0, std::int64_t i1, DepthwiseRows in) {
      for (std::int64_t i = i0; i < i1; ++i)
        depthwise_weight_row(conv, in, i, dy + (n * conv.rows.grid + i) * conv.cols.grid * conv.K, partial);
    });
  });
  if (slices == 1) return;
  for_each_vector(weights, [&](std::int64_t i, std::int64_t lanes) {
    Vec sum = vload_first(workspace + i, lanes);
    for (std::int64_t s = 1; s < slices; ++s) sum = sum + vload_first(workspace + s * weights + i, lanes);
    vstore_first(dw + i, sum, lanes);
  });
}

static constexpr Conv2dDepthwiseKernels conv2d_depthwise_kernels = {conv2d_depthwise_gather,
                                                                    conv2d_depthwise_backward_weight};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
