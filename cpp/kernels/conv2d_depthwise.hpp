// Depthwise convolution, vectorised over channels, blocked in registers over output columns (see
// cnnfast/kernels/conv2d_depthwise.hpp for the idea and the words).
#pragma once
#include <cstring>

#include "block_moments.hpp"
#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "elementwise.hpp"
#include "parallel.hpp"
#include "stream.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

struct Range {
  std::int64_t begin, end;
};

// The taps of position i that lie in the input.
static inline Range depthwise_taps(const DepthwiseAxis& axis, std::int64_t i) {
  Range taps{0, axis.taps};
  const std::int64_t at = i * axis.step + axis.offset;
  while (taps.begin < taps.end && at + taps.begin * axis.offset_step < 0) ++taps.begin;
  while (taps.begin < taps.end && at + (taps.end - 1) * axis.offset_step >= axis.in) --taps.end;
  return taps;
}

// The first row of the input behind all that position i - 1 reads.
static inline std::int64_t depthwise_new_row(const DepthwiseAxis& rows, std::int64_t i) {
  return (i - 1) * rows.step + rows.offset + (rows.taps - 1) * rows.offset_step + 1;
}

// Input rows of one image as the loops below read them: row h, column w, channel k at
// data[((h - row0) * W + w) * K + k].
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
  if (conv.repeat == 1) return {image, 0};
  const std::int64_t h0 = max_of(i0 * rows.step + rows.offset, 0);
  const std::int64_t last = rows.offset + (rows.taps - 1) * rows.offset_step;
  const std::int64_t h1 = min_of((i1 - 1) * rows.step + last + 1, rows.in);
  const std::int64_t count = max_of(h1 - h0, 0) * conv.cols.in * channels;
  float* to = worker_scratch(worker, 0, count * conv.repeat);
  const float* from = image + h0 * conv.cols.in * channels;
  for (std::int64_t c = 0; c < count; ++c)
    for (std::int64_t m = 0; m < conv.repeat; ++m) to[c * conv.repeat + m] = from[c];
  return {to, h0};
}

// Row i of a tile goes to y + i * y_step.
template <int MR, int NV, bool PARTIAL>
[[gnu::always_inline]] static inline void store_rows(const Tile<MR, NV>& tile, float* y, std::int64_t y_step,
                                                     bool stream, std::int64_t cols) {
  if (!PARTIAL && stream)
    for_tile<MR, NV>([&](int i, int v) { vstream(y + i * y_step + v * Vec::width, tile.acc[i][v]); });
  else
    for_tile<MR, NV>([&](int i, int v) { store_cols<NV, PARTIAL>(y + i * y_step, v, tile.acc[i][v], cols); });
}

// Whether a row's tiles ask for what the next row's read: where it comes from memory, line after line takes half as
// long as the order of tiles, which read a few channels of some pixels and then the next few.
static inline bool depthwise_asks_ahead(const DepthwiseGather& conv) {
  return conv.repeat == 1 && conv.N * conv.rows.in * conv.cols.in * conv.K >= kStreamFloats;
}

struct DepthwiseTile {
  const float* x;                                               // of the first tap at the first position
  const float* w;                                               // of the first tap
  std::int64_t rows, cols;                                      // taps
  std::int64_t x_row_step, x_col_step, w_row_step, w_col_step;  // from tap to tap
  std::int64_t x_step, y_step;                                  // from position to position
  const float* b;
  Epilogue epilogue;
  float* y;
  bool stream;
  BlockMoments moments;
  bool opens_block;
  std::int64_t channels;

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    Tile<MR, NV> tile;
    for_tile<MR, NV>([&](int i, int v) { tile.acc[i][v] = b ? load_cols<NV, PARTIAL>(b, v, channels) : vzero(); });
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t s = 0; s < cols; ++s) {
        const float* a = x + r * x_row_step + s * x_col_step;
        const float* weight = w + r * w_row_step + s * w_col_step;
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
    apply_epilogue(tile, epilogue);
    if (moments.rows) add_moments<MR, NV, PARTIAL>(tile, moments, opens_block, channels);
    store_rows<MR, NV, PARTIAL>(tile, y, y_step, stream, channels);
  }
};

// Row i of the grid; y is its first pixel, y_step floats before the next. Its moments are added to those of a block,
// which it may open.
static inline void depthwise_row(const DepthwiseGather& conv, DepthwiseRows x, std::int64_t i, const float* w,
                                 const float* b, Epilogue epilogue, bool asks_ahead, float* y, bool stream,
                                 std::int64_t y_step, const BlockMoments& moments = {}, bool opens_block = false) {
  const DepthwiseAxis &rows = conv.rows, &cols = conv.cols;
  const Range row_taps = depthwise_taps(rows, i);
  const std::int64_t x_pitch = cols.in * conv.K, w_pitch = conv.kernel_columns * conv.K;
  const std::int64_t h = i * rows.step + rows.offset + row_taps.begin * rows.offset_step - x.row0;
  const float* w_row = w + (rows.index + row_taps.begin * rows.index_step) * w_pitch;
  const float* ahead = asks_ahead ? x.data + depthwise_new_row(rows, i + 1) * x_pitch : nullptr;
  for (std::int64_t j = 0; j < cols.grid;) {
    const bool inner = cols.inner_first <= j && j < cols.inner_end;
    const std::int64_t count = inner ? min_of(kTileRows, cols.inner_end - j) : 1;
    const Range taps = inner ? Range{0, cols.taps} : depthwise_taps(cols, j);
    const bool empty = row_taps.begin == row_taps.end || taps.begin == taps.end;
    const std::int64_t first_col = j * cols.step + cols.offset + taps.begin * cols.offset_step;
    const float* x_at = empty ? x.data : x.data + h * x_pitch + first_col * conv.K;
    const float* w_at = empty ? w : w_row + (cols.index + taps.begin * cols.index_step) * conv.K;
    for (std::int64_t k = 0; k < conv.K; k += kTileCols) {
      const std::int64_t channels = min_of(kTileCols, conv.K - k);
      const DepthwiseTile tile{x_at + k,
                               w_at + k,
                               empty ? 0 : row_taps.end - row_taps.begin,
                               taps.end - taps.begin,
                               rows.offset_step * x_pitch,
                               cols.offset_step * conv.K,
                               rows.index_step * w_pitch,
                               cols.index_step * conv.K,
                               cols.step * conv.K,
                               y_step,
                               b ? b + k : nullptr,
                               epilogue,
                               y + j * y_step + k,
                               stream,
                               moments.at(k),
                               opens_block && j == 0,
                               channels};
      if (ahead)  // as much of the next row as this tile has
        for (std::int64_t r = 0; r < rows.step; ++r)
          for (std::int64_t at = 0; at < count * channels * cols.step; at += kLineFloats)
            __builtin_prefetch(ahead + r * x_pitch + (j * conv.K + count * k) * cols.step + at);
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

static std::int64_t conv2d_depthwise_moment_blocks(const DepthwiseGather& conv) {
  return ceil_div(conv.N * conv.rows.grid, conv.rows_per_task);
}

static void conv2d_depthwise_gather(const DepthwiseGather* gathers, std::int64_t count, const float* x, const float* w,
                                    const float* b, Epilogue epilogue, float* y, float* moments) {
  const DepthwiseGather& first = gathers[0];  // has as many rows as any
  const std::int64_t all_rows = first.N * first.rows.grid, channels = first.K / first.fold;
  const bool stream = streams(y, first.N * first.rows.out * first.cols.out * channels, channels);
  const bool asks_ahead = depthwise_asks_ahead(first);
  parallel(conv2d_depthwise_moment_blocks(first), [&](std::int64_t task, int worker) {
    const std::int64_t begin = task * first.rows_per_task, end = min_of(begin + first.rows_per_task, all_rows);
    const BlockMoments own = BlockMoments{moments, channels}.of(task);
    bool opens_block = true;
    const auto run = [&](const DepthwiseGather& conv, std::int64_t n, std::int64_t i, DepthwiseRows in) {
      const std::int64_t row = n * conv.rows.out + conv.rows.out_first + i * conv.rows.out_step;
      float* to = y + (row * conv.cols.out + conv.cols.out_first) * channels;
      const std::int64_t to_step = conv.cols.out_step * channels;
      const bool asks = asks_ahead && &conv == gathers;  // the others read the same rows
      if (conv.fold == 1) {
        depthwise_row(conv, in, i, w, b, epilogue, asks, to, stream, to_step, own, opens_block);
        opens_block = false;
        return;
      }
      float* unfolded = worker_scratch(worker, 1, conv.cols.grid * conv.K);
      depthwise_row(conv, in, i, w, b, epilogue, asks, unfolded, false, conv.K);
      for (std::int64_t j = 0; j < conv.cols.grid; ++j)
        depthwise_fold(channels, conv.fold, unfolded + j * conv.K, to + j * to_step);
    };
    using At = std::int64_t;
    depthwise_bands(first, x, begin, end, worker, [&](At n, At i0, At i1, DepthwiseRows in) {
      for (At i = i0; i < i1; ++i)
        for (const DepthwiseGather* conv = gathers; conv < gathers + count; ++conv)
          if (i < conv->rows.grid) run(*conv, n, i, in);
    });
    if (own.rows) count_moments(own, (end - begin) * first.cols.grid, channels);
  });
}

// Adds the products of a block of positions to the weights of MR taps: those from (row, col) on, counted through.
struct DepthwiseWeightTile {
  const DepthwiseGather& conv;
  const float* x;
  std::int64_t row0;  // as in DepthwiseRows
  std::int64_t row, col;
  Range rows, cols;  // positions
  const float* dy;
  std::int64_t channels;
  float* dw;

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    const std::int64_t K = conv.K, x_pitch = conv.cols.in * K, x_step = conv.cols.step * K;
    const std::int64_t h = rows.begin * conv.rows.step + conv.rows.offset - row0;
    const std::int64_t column = cols.begin * conv.cols.step + conv.cols.offset;
    float* weight = dw + (row * conv.cols.taps + col) * K;
    const float* a[MR];
    Tile<MR, NV> tile;
    std::int64_t r = row, s = col;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      a[i] = x + (h + r * conv.rows.offset_step) * x_pitch + (column + s * conv.cols.offset_step) * K;
      if (++s == conv.cols.taps) ++r, s = 0;
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = load_cols<NV, PARTIAL>(weight + i * K, v, channels);
    }
    for (std::int64_t p = rows.begin; p < rows.end; ++p) {
      const float* g = dy + ((p - rows.begin) * conv.cols.grid + cols.begin) * K;
      std::int64_t at = (p - rows.begin) * conv.rows.step * x_pitch;
      for (std::int64_t q = cols.begin; q < cols.end; ++q, g += K, at += x_step) {
        Vec gv[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) gv[v] = load_cols<NV, PARTIAL>(g, v, channels);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v)
            tile.acc[i][v] = vfma(load_cols<NV, PARTIAL>(a[i] + at, v, channels), gv[v], tile.acc[i][v]);
      }
    }
    for_tile<MR, NV>([&](int i, int v) { store_cols<NV, PARTIAL>(weight + i * K, v, tile.acc[i][v], channels); });
  }
};

// Adds the part of dw that comes from the grid rows `block`, all of which have the same taps in the input: first the
// columns where every tap reads the input, then, one by one, those near the borders. dy is the block's first pixel.
static inline void depthwise_weight_block(const DepthwiseGather& conv, DepthwiseRows x, Range block, const float* dy,
                                          float* dw) {
  const DepthwiseAxis& cols = conv.cols;
  const Range row_taps = depthwise_taps(conv.rows, block.begin);
  for (std::int64_t k = 0; k < conv.K; k += kTileCols) {
    const std::int64_t channels = min_of(kTileCols, conv.K - k);
    const auto add = [&](std::int64_t row, std::int64_t col, std::int64_t taps, Range positions) {
      const DepthwiseWeightTile tile{conv, x.data + k, x.row0, row, col, block, positions, dy + k, channels, dw + k};
      dispatch_tile(taps, channels, tile);
    };
    if (cols.inner_first < cols.inner_end)
      for (std::int64_t tap = row_taps.begin * cols.taps; tap < row_taps.end * cols.taps; tap += kTileRows)
        add(tap / cols.taps, tap % cols.taps, min_of(kTileRows, row_taps.end * cols.taps - tap),
            {cols.inner_first, cols.inner_end});
    for (std::int64_t j = 0; j < cols.grid; ++j) {
      if (j == cols.inner_first) j = cols.inner_end;
      if (j == cols.grid) break;
      const Range taps = depthwise_taps(cols, j);
      for (std::int64_t r = row_taps.begin; r < row_taps.end; ++r)
        for (std::int64_t s = taps.begin; s < taps.end; s += kTileRows)
          add(r, s, min_of(kTileRows, taps.end - s), {j, j + 1});
    }
  }
}

// Cuts grid rows into blocks with the same taps: the inner rows together, the others one by one.
static inline void depthwise_weight_rows(const DepthwiseGather& conv, DepthwiseRows x, Range rows, const float* dy,
                                         float* dw) {
  for (std::int64_t i = rows.begin; i < rows.end;) {
    const bool inner = conv.rows.inner_first <= i && i < conv.rows.inner_end;
    const std::int64_t end = inner ? min_of(rows.end, conv.rows.inner_end) : i + 1;
    depthwise_weight_block(conv, x, {i, end}, dy + (i - rows.begin) * conv.cols.grid * conv.K, dw);
    i = end;
  }
}

static void conv2d_depthwise_backward_weight(const DepthwiseGather& conv, const float* x, const float* dy,
                                             std::int64_t slices, float* dw, float* workspace) {
  const std::int64_t all_rows = conv.N * conv.rows.grid, weights = conv.rows.taps * conv.cols.taps * conv.K;
  parallel(slices, [&](std::int64_t slice, int worker) {
    float* partial = slices == 1 ? dw : workspace + slice * weights;
    std::memset(partial, 0, sizeof(float) * weights);
    const std::int64_t begin = slice * all_rows / slices, end = (slice + 1) * all_rows / slices;
    using At = std::int64_t;
    depthwise_bands(conv, x, begin, end, worker, [&](At n, At i0, At i1, DepthwiseRows in) {
      const float* band = dy + (n * conv.rows.grid + i0) * conv.cols.grid * conv.K;
      depthwise_weight_rows(conv, in, {i0, i1}, band, partial);
    });
  });
  if (slices == 1) return;
  for_each_vector(weights, [&](std::int64_t i, std::int64_t lanes) {
    Vec sum = vload_first(workspace + i, lanes);
    for (std::int64_t s = 1; s < slices; ++s) sum = sum + vload_first(workspace + s * weights + i, lanes);
    vstore_first(dw + i, sum, lanes);
  });
}

static constexpr Conv2dDepthwiseKernels conv2d_depthwise_kernels = {
    conv2d_depthwise_moment_blocks, conv2d_depthwise_gather, conv2d_depthwise_backward_weight};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
