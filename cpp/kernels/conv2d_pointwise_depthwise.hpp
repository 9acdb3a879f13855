// A 1x1 convolution and the depthwise one behind it (see cnnfast/kernels/conv2d_pointwise_depthwise.hpp for the idea
// and the words).
#pragma once
#include <cstring>

#include "cnnfast/kernels/conv2d_pointwise_depthwise.hpp"
#include "conv2d_depthwise.hpp"
#include "parallel.hpp"
#include "stream.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// What the pixels of one panel of channels have in common: whole vectors, with zeros past the last channel.
struct PanelWeights {
  const float* packed;     // of the 1x1 convolution
  const float *b, *b_out;  // of the 1x1 and of the depthwise convolution
  const float* w;          // (R,S,kTileCols)
};

// Rows of kTileCols channels each, a window's height of them: row h of the image lies at `of(h)`. `left` pixels of
// zeros come before column 0, and zeros behind the last one.
struct RowRing {
  float* data;
  std::int64_t rows, width, left, cols;  // cols: those of the image that some window reads
  float* of(std::int64_t h) const { return data + h % rows * width * kTileCols; }
};

// Rows of the ring's memory that hold a kernel's columns and the zeros around them.
static inline RowRing pointwise_ring(const PointwiseDepthwise& conv) {
  const DepthwiseAxis& cols = conv.cols;
  const std::int64_t width = (cols.grid - 1) * cols.step + (cols.taps - 1) * cols.offset_step + 1;
  const std::int64_t left = min_of(-cols.offset, width);
  return {nullptr, (conv.rows.taps - 1) * conv.rows.offset_step + 1, width, left, min_of(cols.in, width - left)};
}

static inline void zero_borders(const RowRing& ring) {
  const std::int64_t end = ring.left + ring.cols;
  for (std::int64_t r = 0; r < ring.rows; ++r) {
    float* row = ring.of(r);
    std::memset(row, 0, sizeof(float) * ring.left * kTileCols);
    std::memset(row + end * kTileCols, 0, sizeof(float) * (ring.width - end) * kTileCols);
  }
}

// Pixels that follow each other in x -> pixels of a ring.
struct PointwiseTile {
  const float* x;
  std::int64_t C;
  const float *packed, *b;
  Epilogue epilogue;
  float* y;
  const float* ahead;  // asked for meanwhile, a line for each row of the weights

  template <int MR, int NV, bool>
  void run() const {
    Tile<MR, NV> tile;
    const float* a[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      a[i] = x + i * C;
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = vload(b + v * Vec::width);
    }
    tile_multiply<MR, NV, false, true>(tile, a, 1, packed, kTileCols, NV * Vec::width, C, ahead);
    apply_epilogue(tile, epilogue);
    store_rows<MR, NV, false>(tile, y, kTileCols, false, NV * Vec::width);
  }
};

// Windows that follow each other in a row of the output, STEP pixels apart (0: any number).
template <int STEP>
struct RingDepthwiseTile {
  const float* const* x;      // for each row of taps, the pixel that the first window's first tap reads
  std::int64_t column;        // more pixels, for the tile's first window
  std::int64_t rows, cols;    // taps
  std::int64_t step, w_step;  // pixels from window to window and from tap to tap
  const float *w, *b;
  Epilogue epilogue;
  float* y;
  std::int64_t y_step;
  bool stream;
  std::int64_t channels;

  template <int MR, int NV, bool>
  void run() const {
    Tile<MR, NV> tile;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = vload(b + v * Vec::width);
    const std::int64_t x_step = (STEP ? STEP : step) * kTileCols;
    const float* weight = w;
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* a = x[r] + column * kTileCols;
      for (std::int64_t s = 0; s < cols; ++s, a += w_step * kTileCols, weight += kTileCols) {
        Vec wv[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) wv[v] = vload(weight + v * Vec::width);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v)
            tile.acc[i][v] = vfma(vload(a + i * x_step + v * Vec::width), wv[v], tile.acc[i][v]);
      }
    }
    apply_epilogue(tile, epilogue);
    if (channels == NV * Vec::width)
      store_rows<MR, NV, false>(tile, y, y_step, stream, channels);
    else
      store_rows<MR, NV, true>(tile, y, y_step, stream, channels);
  }
};

// One panel of channels of a band of one image's output rows.
struct PointwiseDepthwiseTask {
  const PointwiseDepthwise& conv;
  RowRing ring;
  PanelWeights weights;
  const float** tap_rows;  // room for a pointer to each row of taps
  Epilogue pointwise, depthwise;
  std::int64_t channels;  // of the panel
  bool stream;

  // A tile has one or two vectors of channels.
  template <class F>
  void tiles(std::int64_t rows, const F& tile) const {
    channels > Vec::width ? dispatch_rows<kTileRows, 2, false>(rows, tile)
                          : dispatch_rows<kTileRows, 1, false>(rows, tile);
  }

  // Row h of the 1x1 convolution's result; x is the image.
  void expand_row(const float* x, std::int64_t h) const {
    float* row = ring.of(h) + ring.left * kTileCols;
    // The next task has the panel behind this one: two rows ask for half of it each, the others for what is at hand.
    const float* ahead = weights.packed + (h % ring.rows < 2 ? kTileCols + h % ring.rows * kLineFloats : 0) * conv.C;
    even_tiles(ring.cols, [&](std::int64_t w, std::int64_t count) {
      tiles(count, PointwiseTile{x + (h * conv.cols.in + w) * conv.C, conv.C, weights.packed, weights.b, pointwise,
                                 row + w * kTileCols, ahead});
    });
  }

  // Row p of the output; y is its first channel of the panel.
  template <int STEP>
  void filter_row(std::int64_t p, Range taps, float* y) const {
    const DepthwiseAxis &rows = conv.rows, &cols = conv.cols;
    for (std::int64_t r = taps.begin; r < taps.end; ++r)
      tap_rows[r - taps.begin] = ring.of(p * rows.step + rows.offset + r * rows.offset_step);
    even_tiles(cols.grid, [&](std::int64_t q, std::int64_t count) {
      tiles(count, RingDepthwiseTile<STEP>{tap_rows, q * cols.step, taps.end - taps.begin, cols.taps, cols.step,
                                           cols.offset_step, weights.w + taps.begin * cols.taps * kTileCols,
                                           weights.b_out, depthwise, y + q * conv.K, conv.K, stream, channels});
    });
  }

  // Output rows [begin, end); y is the image's first channel of the panel.
  void run(const float* x, std::int64_t begin, std::int64_t end, float* y) const {
    std::int64_t made = 0;  // rows before this one are in the ring, or no window reads them any more
    for (std::int64_t p = begin; p < end; ++p) {
      const Range taps = depthwise_taps(conv.rows, p);
      const std::int64_t first = p * conv.rows.step + conv.rows.offset;
      if (taps.begin < taps.end) {
        const std::int64_t last = first + (taps.end - 1) * conv.rows.offset_step;
        for (made = max_of(made, max_of(first, 0)); made <= last; ++made) expand_row(x, made);
      }
      float* row = y + p * conv.cols.out * conv.K;
      conv.cols.step == 1   ? filter_row<1>(p, taps, row)
      : conv.cols.step == 2 ? filter_row<2>(p, taps, row)
                            : filter_row<0>(p, taps, row);
    }
  }
};

// Copies `channels` floats of each of `rows` rows, `pitch` floats apart, into whole vectors; zeros if there are none.
static inline void copy_panel(const float* from, std::int64_t rows, std::int64_t pitch, std::int64_t channels,
                              float* to) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (int v = 0; v < kTileVecs; ++v)
      vstore(to + r * kTileCols + v * Vec::width,
             from ? load_cols<kTileVecs, true>(from + r * pitch, v, channels) : vzero());
}

static void pointwise_depthwise_run(const PointwiseDepthwise& conv, const float* x, const float* packed,
                                    const Ending& pointwise, const float* w, const Ending& depthwise, float* y) {
  const DepthwiseAxis &rows = conv.rows, &cols = conv.cols;
  const bool stream = streams(y, conv.N * rows.out * cols.out * conv.K, conv.K);
  const std::int64_t panels = ceil_div(conv.K, kTileCols), bands = ceil_div(rows.grid, conv.band_rows);
  const std::int64_t taps = rows.taps * cols.taps;
  const RowRing shape = pointwise_ring(conv);
  // Panels innermost: the band of x that they share stays in the cache.
  parallel(conv.N * bands * panels, [&](std::int64_t task, int worker) {
    const std::int64_t k = task % panels * kTileCols, n = task / panels / bands;
    const std::int64_t begin = task / panels % bands * conv.band_rows, channels = min_of(kTileCols, conv.K - k);
    RowRing ring = shape;
    ring.data = worker_scratch(worker, 0, ring.rows * ring.width * kTileCols);
    zero_borders(ring);
    float* small = worker_scratch(worker, 1, (2 + taps) * kTileCols);
    copy_panel(pointwise.b ? pointwise.b + k : nullptr, 1, 0, channels, small);
    copy_panel(depthwise.b ? depthwise.b + k : nullptr, 1, 0, channels, small + kTileCols);
    copy_panel(w + k, taps, conv.K, channels, small + 2 * kTileCols);
    const float** tap_rows = reinterpret_cast<const float**>(worker_scratch(worker, 2, 2 * rows.taps));
    const PanelWeights weights{packed + k * conv.C, small, small + kTileCols, small + 2 * kTileCols};
    const PointwiseDepthwiseTask part{conv,     ring,  weights, tap_rows, pointwise.epilogue, depthwise.epilogue,
                                      channels, stream};
    part.run(x + n * rows.in * cols.in * conv.C, begin, min_of(begin + conv.band_rows, rows.grid),
             y + n * rows.out * cols.out * conv.K + k);
  });
}

static constexpr Conv2dPointwiseDepthwiseKernels conv2d_pointwise_depthwise_kernels = {pointwise_depthwise_run};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
