// The weight gradient of a gather, band by band of pixels: dy is packed, and so are the windows of x that it meets, or
// they are read where they lie if they are long and meet few filters.
#pragma once
#include <cstring>

#include "conv2d.hpp"
#include "lanes.hpp"
#include "parallel.hpp"
#include "tile.hpp"
#include "unpool.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// How far apart packed panels of a weight gradient lie: each with the pixels of a band and a line more, for what whole
// vectors store behind the last pixel, and since panels a power of two apart would share a few sets of the cache.
static inline std::int64_t conv2d_panel_pitch(std::int64_t pixels, std::int64_t width) {
  return pixels * width + kLineFloats;
}

// Copies `channels` channels of pixels of dy as panels of kTileCols, packed[panel][pixel][channel], zero-filled past
// the last channel: in place they may lie a power of two apart and share a few cache sets.
static inline void conv2d_pack_dy(const float* dy, std::int64_t pixels, std::int64_t pitch, std::int64_t channels,
                                  std::int64_t panel_pitch, float* packed) {
  const std::int64_t whole = channels / kTileCols * kTileCols;
  for (std::int64_t p = 0; p < pixels; ++p, dy += pitch, packed += kTileCols) {
    float* to = packed;
    for (std::int64_t k = 0; k < whole; k += kTileCols, to += panel_pitch)
      for (int v = 0; v < kTileVecs; ++v) vstore(to + v * Vec::width, vload(dy + k + v * Vec::width));
    if (whole < channels)
      for (int v = 0; v < kTileVecs; ++v)
        vstore(to + v * Vec::width, load_cols<kTileVecs, true>(dy + whole, v, channels - whole));
  }
}

// One panel of rows [first, end) of pixels, counted through all images, and channels from k0 on, of a gradient that a
// max-pooling sends back.
static inline void conv2d_pack_unpooled_dy(const GatherConv& conv, const ConvInput& dy, std::int64_t first,
                                           std::int64_t end, std::int64_t k0, std::int64_t cols, float* panel) {
  std::memset(panel, 0, sizeof(float) * (end - first) * conv.grid_w * kTileCols);
  for (std::int64_t row = first; row < end; ++row, panel += conv.grid_w * kTileCols) {
    const std::int64_t n = row / conv.grid_h, i = row % conv.grid_h;
    if (i >= conv.out_h / 2 * 2) continue;
    for (std::int64_t j = 0; j + 1 < conv.grid_w; j += 2) {
      const std::int64_t at = unpooled_at(n, i, j, conv.out_h, conv.out_w, conv.out_c) + conv.out_channel_first + k0;
      for_each_lanes(cols, [&](auto full, std::int64_t k, std::int64_t lanes) {
        const UnpooledWindow window(full, dy, at + k, lanes);
        for (int s = 0; s < 2; ++s) store_lanes(full, panel + (j + s) * kTileCols + k, window.at(i % 2 * 2 + s), lanes);
      });
    }
  }
}

// A task's block of weights.
struct WeightBlock {
  std::int64_t m0, m1, k0, k1;  // weight rows and filters
};

// Panels, dy_pitch apart, of rows [first, end) of pixels and the filters of a block.
static inline void conv2d_pack_block_dy(const GatherConv& conv, const ConvInput& dy, const WeightBlock& block,
                                        std::int64_t first, std::int64_t end, std::int64_t dy_pitch, float* packed) {
  if (!dy.argmax) {
    const float* from = dy.data + first * conv.grid_w * conv.out_c + conv.out_channel_first + block.k0;
    conv2d_pack_dy(from, (end - first) * conv.grid_w, conv.out_c, block.k1 - block.k0, dy_pitch, packed);
    return;
  }
  for (std::int64_t k = block.k0; k < block.k1; k += kTileCols, packed += dy_pitch)
    conv2d_pack_unpooled_dy(conv, dy, first, end, k, min_of(kTileCols, block.k1 - k), packed);
}

// Row and column of x that a tap reads for a pixel, from (i*row_step, j*col_step) on. A row of a block is as wide as
// windows reach, so that offsets in it give both back.
struct TapPlace {
  std::int64_t row, col;
};
static inline TapPlace conv2d_tap_place(const GatherConv& conv, std::int64_t tap) {
  const std::int64_t offset = conv.row_offset[tap * conv.channels], row_pitch = conv.block_w * conv.block_c;
  return {offset / row_pitch + conv.row_first, offset % row_pitch / conv.block_c + conv.col_first};
}

// Floats that follow each other in a row of a pixel's window and in its row of a packed panel: copied as whole vectors,
// so that what is stored behind them must be written after them.
struct WindowCopy {
  std::int64_t row, at;  // of x: a row, and a place in it, from the window's pixel (i*row_step, j*col_step) on
  std::int64_t from;     // both: floats from that pixel on
  std::int64_t to, floats;
};
static constexpr std::int64_t kCopyVecs = (kTileRows + Vec::width - 1) / Vec::width;
static_assert(kCopyVecs * Vec::width <= kLineFloats);

// What meets weight rows [m0, m1), in panels of kTileRows, and how far it reaches.
struct WindowCopies {
  WindowCopy* copies;  // at most m1 - m0
  std::int64_t count = 0;
  std::int64_t row_first = 0, row_last = 0, at_first = 0, at_last = 0, reach = 0;

  WindowCopies(const GatherConv& conv, std::int64_t m0, std::int64_t m1, std::int64_t panel_pitch, WindowCopy* memory)
      : copies(memory) {
    const std::int64_t row_floats = conv.in_w * conv.in_c;
    for (std::int64_t m = m0, end; m < m1; m = end) {
      const std::int64_t tap = m / conv.channels;
      const TapPlace place = conv2d_tap_place(conv, tap);
      end = min_of((tap + 1) * conv.channels, m1);
      std::int64_t at = place.col * conv.in_c + conv.channel_first + m - tap * conv.channels;
      for (std::int64_t k = m; k < end; ++k, ++at) {
        const std::int64_t i = (k - m0) % kTileRows;
        const bool follows =
            i > 0 && copies[count - 1].row == place.row && copies[count - 1].at + copies[count - 1].floats == at;
        if (follows)
          ++copies[count - 1].floats;
        else
          copies[count++] = {place.row, at, place.row * row_floats + at, (k - m0) / kTileRows * panel_pitch + i, 1};
      }
    }
    row_first = row_last = copies->row, at_first = at_last = copies->at;
    for (const WindowCopy* copy = copies; copy < copies + count; ++copy) {
      row_first = min_of(row_first, copy->row), row_last = max_of(row_last, copy->row);
      at_first = min_of(at_first, copy->at), at_last = max_of(at_last, copy->at + copy->floats - 1);
      reach = max_of(reach, copy->from + kCopyVecs * Vec::width);
    }
  }
};

// Copies `floats` floats from place `at` of a row of x on, as whole vectors; those outside the row become zeros.
static inline void conv2d_copy_inside(const float* from, std::int64_t at, std::int64_t row_floats, std::int64_t floats,
                                      float* to) {
  constexpr std::int64_t kWhole = kCopyVecs * Vec::width;
  if (at >= 0 && at + kWhole <= row_floats) {
    for (std::int64_t v = 0; v < kWhole; v += Vec::width) vstore(to + v, vload(from + v));
    return;
  }
  for (std::int64_t v = 0; v < kWhole; v += Vec::width) vstore(to + v, vzero());
  const std::int64_t end = min_of(floats, row_floats - at);
  for (std::int64_t v = max_of(-at, 0); v < end; v += Vec::width) {
    const std::int64_t lanes = min_of(Vec::width, end - v);
    vstore_first(to + v, vload_first(from + v, lanes), lanes);
  }
}

// Packs the windows of rows [first, end) of pixels, counted through all images: packed[panel][pixel][kTileRows].
static inline void conv2d_pack_x(const GatherConv& conv, const float* x, std::int64_t first, std::int64_t end,
                                 const WindowCopies& windows, float* packed) {
  const std::int64_t row_floats = conv.in_w * conv.in_c, step = conv.col_step * conv.in_c, count = windows.count;
  const WindowCopy* copies = windows.copies;
  // Pixels [left, right) of a row have whole windows, if all rows of those lie within x.
  const std::int64_t left = min_of(max_of(ceil_div(-windows.at_first, step), 0), conv.grid_w);
  const std::int64_t right = min_of(max_of(row_floats - windows.at_last + step - 1, 0) / step, conv.grid_w);
  const float* x_end = x + conv.N * conv.in_h * row_floats;
  std::int64_t n = first / conv.grid_h, i = first % conv.grid_h;
  for (std::int64_t row = first; row < end; ++row) {
    const std::int64_t h = i * conv.row_step;
    const float* x_row = x + (n * conv.in_h + h) * row_floats;
    const auto copy_edge = [&](std::int64_t j_first, std::int64_t j_end) {
      for (std::int64_t j = j_first; j < j_end; ++j, packed += kTileRows)
        for (std::int64_t c = 0; c < count; ++c) {
          const bool there = h + copies[c].row >= 0 && h + copies[c].row < conv.in_h;
          conv2d_copy_inside(x_row + j * step + copies[c].from, j * step + copies[c].at, there ? row_floats : 0,
                             copies[c].floats, packed + copies[c].to);
        }
    };
    const bool rows_inside = h + windows.row_first >= 0 && h + windows.row_last < conv.in_h;
    std::int64_t whole = rows_inside ? right : left;
    while (whole > left && x_end - (x_row + (whole - 1) * step) < windows.reach) --whole;
    copy_edge(0, left);
    const float* from = x_row + left * step;
    for (std::int64_t j = left; j < whole; ++j, from += step, packed += kTileRows)
      for (std::int64_t c = 0; c < count; ++c)
        for (std::int64_t v = 0; v < kCopyVecs * Vec::width; v += Vec::width)
          vstore(packed + copies[c].to + v, vload(from + copies[c].from + v));
    copy_edge(max_of(left, whole), conv.grid_w);
    if (++i == conv.grid_h) i = 0, ++n;
  }
}

// Where the windows of a band lie if they are packed: the columns of a panel.
struct PackedColumns {
  const float* panel;
  const float* operator()(std::int64_t pixel) const { return panel + pixel * kTileRows; }
};

// Or in place, from a channel on.
struct PixelColumns {
  const float* const* pixels;
  std::int64_t channel;
  const float* operator()(std::int64_t pixel) const { return pixels[pixel] + channel; }
};

// Where a tap's first channel lies for each pixel of rows [first, end), counted through all images; outside of x:
// zeros.
static inline void conv2d_point_at(const GatherConv& conv, const float* x, std::int64_t first, std::int64_t end,
                                   std::int64_t tap, const float* zeros, const float** pixels) {
  const TapPlace place = conv2d_tap_place(conv, tap);
  const std::int64_t step = conv.col_step * conv.in_c;
  std::int64_t n = first / conv.grid_h, i = first % conv.grid_h;
  for (std::int64_t row = first; row < end; ++row) {
    const std::int64_t h = i * conv.row_step + place.row;
    const bool row_inside = h >= 0 && h < conv.in_h;
    const float* from = x + ((n * conv.in_h + h) * conv.in_w + place.col) * conv.in_c + conv.channel_first;
    for (std::int64_t j = 0, w = place.col; j < conv.grid_w; ++j, w += conv.col_step, from += step)
      *pixels++ = row_inside && w >= 0 && w < conv.in_w ? from : zeros;
    if (++i == conv.grid_h) i = 0, ++n;
  }
}

// Memory that the tiles of a band ask for while they multiply, or the next band would wait for each of its lines: a
// part a tile, a line of it at each of the band's pixels.
struct WeightAsk {
  const float* data = nullptr;
  std::int64_t parts = 0, part_step = 0, line_step = 0;

  // Floats that follow each other.
  static WeightAsk for_span(const float* data, std::int64_t floats, std::int64_t pixels) {
    return {data, ceil_div(floats, pixels * kLineFloats), pixels * kLineFloats, kLineFloats};
  }
  // `floats` floats of each pixel.
  static WeightAsk for_pixels(const float* data, std::int64_t floats, std::int64_t pitch) {
    return {data, ceil_div(floats, kLineFloats), kLineFloats, pitch};
  }
};
// Tensors of fewer floats are likely to be in a cache already (half of kStreamFloats: they are read, not written).
static constexpr std::int64_t kAskFloats = std::int64_t{1} << 20;

// How many rows of x, counted through all images, rows of pixels up to and with `row` read.
static inline std::int64_t conv2d_rows_read(const GatherConv& conv, std::int64_t row) {
  const std::int64_t end = row % conv.grid_h * conv.row_step + conv.row_last + 1;
  return row / conv.grid_h * conv.in_h + min_of(max_of(end, 0), conv.in_h);
}

// What rows [next, next_end) of pixels read of x that those before have not, while a band of `pixels` is multiplied.
static inline WeightAsk conv2d_ask_for_x(const GatherConv& conv, const WeightBlock& block, const float* x,
                                         std::int64_t next, std::int64_t next_end, std::int64_t pixels) {
  const std::int64_t row_floats = conv.in_w * conv.in_c;
  const bool skips_rows = conv.row_last - conv.row_first + 1 < conv.row_step;
  if (next >= next_end || skips_rows || conv.N * conv.in_h * row_floats < kAskFloats) return {};
  const std::int64_t read = conv2d_rows_read(conv, next - 1), end = conv2d_rows_read(conv, next_end - 1);
  const bool some_channels = conv.n_taps == 1 && block.m1 - block.m0 < conv.in_c;
  if (some_channels)
    return WeightAsk::for_pixels(x + read * row_floats + conv.channel_first + block.m0, block.m1 - block.m0,
                                 conv.col_step * conv.in_c);
  return WeightAsk::for_span(x + read * row_floats, (end - read) * row_floats, pixels);
}
static inline WeightAsk conv2d_ask_for_dy(const GatherConv& conv, const WeightBlock& block, const ConvInput& dy,
                                          std::int64_t next, std::int64_t next_end) {
  if (next >= next_end || dy.argmax || conv.N * conv.out_h * conv.out_w * conv.out_c < kAskFloats) return {};
  const float* data = dy.data + next * conv.grid_w * conv.out_c + conv.out_channel_first + block.k0;
  return WeightAsk::for_pixels(data, block.k1 - block.k0, conv.out_c);
}

// Adds to a tile of weights what a band of pixels gives.
template <class Columns>
struct ConvWeightTile {
  Columns x;
  const float* dy;
  std::int64_t pixels, cols;
  bool first;
  float* dw;
  std::int64_t dw_pitch;
  const float* ahead;
  std::int64_t ahead_step;

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    Tile<MR, NV> tile;
    for_tile<MR, NV>(
        [&](int i, int v) { tile.acc[i][v] = first ? vzero() : load_cols<NV, PARTIAL>(dw + i * dw_pitch, v, cols); });
    tile_multiply_columns(tile, x, dy, pixels, ahead, ahead_step);
    for_tile<MR, NV>([&](int i, int v) { store_cols<NV, PARTIAL>(dw + i * dw_pitch, v, tile.acc[i][v], cols); });
  }
};

// A band of `pixels`, of which dy is packed in panels dy_pitch apart.
struct WeightBand {
  const WeightBlock& block;
  const float* dy;
  std::int64_t dy_pitch, pixels;
  bool first;
  float* sums;
  std::int64_t sums_pitch;
  WeightAsk x_ask, dy_ask;
  std::int64_t tiles = 0;  // so far

  // Weight rows [m, m + rows) of the panel of filters from k on.
  template <class Columns>
  void multiply(const Columns& x, std::int64_t m, std::int64_t rows, std::int64_t k) {
    const float* panel = dy + (k - block.k0) / kTileCols * dy_pitch;
    const WeightAsk& ask = tiles < x_ask.parts ? x_ask : dy_ask;
    const std::int64_t part = tiles < x_ask.parts ? tiles : tiles - x_ask.parts;
    ++tiles;
    const bool asks = part < ask.parts;  // else for what is there already
    const std::int64_t cols = min_of(kTileCols, block.k1 - k);
    const ConvWeightTile<Columns> tile{x,
                                       panel,
                                       pixels,
                                       cols,
                                       first,
                                       sums + m * sums_pitch + k,
                                       sums_pitch,
                                       asks ? ask.data + part * ask.part_step : panel,
                                       asks ? ask.line_step : 0};
    dispatch_tile(rows, cols, tile);
  }
};

// Whether windows are read where they lie: copying them costs more than reading them from afar for each panel of
// filters, if those are few. Short ones would leave a tile a few rows for each tap.
static inline bool conv2d_reads_in_place(const GatherConv& conv, const WeightBlock& block) {
  constexpr std::int64_t kLong = 24, kPanels = 4;
  return conv.channels >= kLong && block.k1 - block.k0 <= kPanels * kTileCols;
}

// Multiplies all bands, of `most` pixels at most, with windows of x in place.
template <class Bands>
static inline void conv2d_multiply_in_place(const GatherConv& conv, const WeightBlock& block, const float* x,
                                            std::int64_t most, int worker, const Bands& for_each_band) {
  const std::int64_t C = conv.channels, tap_first = block.m0 / C, taps = ceil_div(block.m1, C) - tap_first;
  float* zeros = worker_scratch(worker, 2, round_up(C, 2) + taps * most * sizeof(float*) / sizeof(float));
  const float** pixels = reinterpret_cast<const float**>(zeros + round_up(C, 2));
  std::memset(zeros, 0, sizeof(float) * C);
  for_each_band([&](WeightBand& band, std::int64_t first, std::int64_t end) {
    for (std::int64_t tap = 0; tap < taps; ++tap)
      conv2d_point_at(conv, x, first, end, tap_first + tap, zeros, pixels + tap * most);
    for (std::int64_t k = block.k0; k < block.k1; k += kTileCols)
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::int64_t row = (tap_first + tap) * C;  // of weights, the tap's first
        const std::int64_t c0 = max_of(block.m0 - row, 0), c1 = min_of(block.m1 - row, C);
        even_tiles(c1 - c0, [&](std::int64_t c, std::int64_t rows) {
          band.multiply(PixelColumns{pixels + tap * most, c0 + c}, row + c0 + c, rows, k);
        });
      }
  });
}

// The same with windows that are packed.
template <class Bands>
static inline void conv2d_multiply_packed(const GatherConv& conv, const WeightBlock& block, const float* x,
                                          std::int64_t most, int worker, const Bands& for_each_band) {
  const std::int64_t rows = block.m1 - block.m0, pitch = conv2d_panel_pitch(most, kTileRows);
  float* packed = worker_scratch(worker, 2, ceil_div(rows, kTileRows) * pitch);
  float* memory = worker_scratch(worker, 3, rows * sizeof(WindowCopy) / sizeof(float));
  const WindowCopies windows(conv, block.m0, block.m1, pitch, reinterpret_cast<WindowCopy*>(memory));
  for_each_band([&](WeightBand& band, std::int64_t first, std::int64_t end) {
    conv2d_pack_x(conv, x, first, end, windows, packed);
    for (std::int64_t k = block.k0; k < block.k1; k += kTileCols)
      for (std::int64_t m = 0; m < rows; m += kTileRows)
        band.multiply(PackedColumns{packed + m / kTileRows * pitch}, block.m0 + m, min_of(kTileRows, rows - m), k);
  });
}

// dw = the sum of the slices' partial sums, which lie one after the other.
static inline void conv2d_add_slices(const GatherConv& conv, std::int64_t slices, const float* partial, float* dw,
                                     std::int64_t dw_pitch) {
  const std::int64_t K = conv.out_channels;
  parallel(conv.depth, [&](std::int64_t row, int) {
    for (std::int64_t k = 0; k < K; k += Vec::width) {
      const std::int64_t n = min_of(Vec::width, K - k);
      Vec sum = vload_first(partial + row * K + k, n);
      for (std::int64_t s = 1; s < slices; ++s) sum = sum + vload_first(partial + (s * conv.depth + row) * K + k, n);
      vstore_first(dw + row * dw_pitch + k, sum, n);
    }
  });
}

static void conv2d_backward_weight(const GatherConv& conv, const WeightSplit& split, const float* x,
                                   const ConvInput& dy, float* dw, std::int64_t dw_pitch, float* workspace) {
  const std::int64_t K = conv.out_channels, partial_floats = conv.depth * K, slices = split.slices;
  const std::int64_t split_rows = round_up(ceil_div(conv.depth, split.row_splits), kTileRows);
  const std::int64_t split_filters = round_up(ceil_div(K, split.filter_splits), kTileCols);
  const std::int64_t pixel_rows = conv.N * conv.grid_h;  // through all images: their pixels follow each other in dy
  parallel(slices * split.row_splits * split.filter_splits, [&](std::int64_t task, int worker) {
    const std::int64_t slice = task / (split.row_splits * split.filter_splits);
    const std::int64_t m0 = task / split.filter_splits % split.row_splits * split_rows;
    const std::int64_t k0 = task % split.filter_splits * split_filters;
    const WeightBlock block{m0, min_of(m0 + split_rows, conv.depth), k0, min_of(k0 + split_filters, K)};
    if (block.m0 >= block.m1 || block.k0 >= block.k1) return;
    const std::int64_t begin = slice * pixel_rows / slices, end = (slice + 1) * pixel_rows / slices;
    const std::int64_t most = split.band_rows * conv.grid_w;  // pixels
    const std::int64_t dy_pitch = conv2d_panel_pitch(most, kTileCols);
    float* ys = worker_scratch(worker, 1, ceil_div(block.k1 - block.k0, kTileCols) * dy_pitch);
    float* sums = slices == 1 ? dw : workspace + slice * partial_floats;
    // Calls multiply(band, row, band_end) for each band of rows of pixels.
    const auto for_each_band = [&](const auto& multiply) {
      for (std::int64_t row = begin, band_end; row < end; row = band_end) {
        band_end = min_of(row + split.band_rows, end);
        const std::int64_t next_end = min_of(band_end + split.band_rows, end), pixels = (band_end - row) * conv.grid_w;
        conv2d_pack_block_dy(conv, dy, block, row, band_end, dy_pitch, ys);
        WeightBand band{block,
                        ys,
                        dy_pitch,
                        pixels,
                        row == begin,
                        sums,
                        slices == 1 ? dw_pitch : K,
                        conv2d_ask_for_x(conv, block, x, band_end, next_end, pixels),
                        conv2d_ask_for_dy(conv, block, dy, band_end, next_end)};
        multiply(band, row, band_end);
      }
    };
    if (conv2d_reads_in_place(conv, block))
      conv2d_multiply_in_place(conv, block, x, most, worker, for_each_band);
    else
      conv2d_multiply_packed(conv, block, x, most, worker, for_each_band);
  });
  if (slices > 1) conv2d_add_slices(conv, slices, workspace, dw, dw_pitch);
}

// The gather and its gradient.
static constexpr Conv2dKernels conv2d_kernels = {conv2d_packed_floats, conv2d_pack, conv2d_moment_blocks, conv2d_gather,
                                                 conv2d_backward_weight};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
