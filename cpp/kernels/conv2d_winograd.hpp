// Winograd's algorithm (see cnnfast/kernels/conv2d_winograd.hpp): transform, multiply at each point, transform back.
#pragma once
#include <cstring>

#include "cnnfast/kernels/conv2d_winograd.hpp"
#include "conv2d.hpp"
#include "conv2d_backward_weight.hpp"
#include "lanes.hpp"
#include "parallel.hpp"
#include "stream.hpp"
#include "tile.hpp"
#include "unpool.hpp"
#include "winograd_transforms.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Output channels whose products are kept before they are transformed back.
static constexpr std::int64_t kWinogradFilters = 64;
// Channels summed in one go. Partial sums keep the rounding error of many channels that of few: it is what limits forms
// with 8 points. And their weights stay in the first-level cache.
static inline std::int64_t winograd_depth(const WinogradForm& form) { return form.weights() > 6 ? 64 : 128; }

// Products are kept a row of channels a tile, rows apart by an odd number of vectors: not a power of two.
static inline std::int64_t winograd_pitch(std::int64_t channels) {
  return (ceil_div(channels, Vec::width) | 1) * Vec::width;
}
// Points are apart by `floats` of rows and a vector: where they were a multiple of 4 KiB apart, the stores of a patch
// would meet in one set of the first-level cache.
static inline std::int64_t winograd_apart(std::int64_t floats) { return floats + Vec::width; }
static inline std::int64_t winograd_panels(std::int64_t filters) { return ceil_div(filters, kTileCols); }

struct WinogradTile {
  std::int64_t n, i, j;  // image, first output row and column
};
template <class Split>
static inline WinogradTile winograd_tile(const Split& split, std::int64_t tile) {
  const std::int64_t n = tile / (split.tile_rows * split.tile_cols), at = tile % (split.tile_rows * split.tile_cols);
  return {n, at / split.tile_cols * split.form.tile, at % split.tile_cols * split.form.tile};
}

// Calls f with the transforms of a form.
template <class F>
static inline void with_winograd(const WinogradForm& form, const F& f) {
  if (form.stride == 2) return f(WinogradStrided());
  if (form.taps == 2) return f(WinogradPoints5());
  if (form.taps == 5) return f(WinogradPoints8<4>());
  form.tile == 6 ? f(WinogradPoints8<6>()) : f(WinogradPoints6());
}

// The weights of a point of a patch. In forms with a stride several points have the same.
static inline std::int64_t winograd_weight_of(const WinogradForm& form, std::int64_t point) {
  const std::int64_t last = form.weights() - 1, i = point / form.patch(), j = point % form.patch();
  return min_of(i, last) * form.weights() + min_of(j, last);
}

// SIZE x SIZE pixels of an image (h, w, pitch), from (row, col) on, zero outside: calls f(c, pixel) for each vector of
// channels; pixel(i, j) is one. `zeros` are as many as there are channels.
template <int SIZE, class F>
static inline void winograd_patch(const float* image, std::int64_t h, std::int64_t w, std::int64_t pitch,
                                  std::int64_t row, std::int64_t col, std::int64_t channels, const float* zeros,
                                  const F& f) {
  const float* corner = image + (row * w + col) * pitch;
  if (row >= 0 && col >= 0 && row + SIZE <= h && col + SIZE <= w) {
    for_each_lanes(channels, [&](auto full, std::int64_t c, std::int64_t lanes) {
      f(c, [&](int i, int j) { return load_lanes(full, corner + (i * w + j) * pitch + c, lanes); });
    });
    return;
  }
  const float* pixels[SIZE * SIZE];
  for (int i = 0; i < SIZE; ++i)
    for (int j = 0; j < SIZE; ++j) {
      const bool there = row + i >= 0 && row + i < h && col + j >= 0 && col + j < w;
      pixels[i * SIZE + j] = there ? corner + (i * w + j) * pitch : zeros;
    }
  for_each_lanes(channels, [&](auto full, std::int64_t c, std::int64_t lanes) {
    f(c, [&](int i, int j) { return load_lanes(full, pixels[i * SIZE + j] + c, lanes); });
  });
}

// The same of a gradient that a max-pooling sends back, of image n and from channel c0 on.
template <int SIZE, class F>
static inline void winograd_unpooled_patch(const ConvInput& dy, std::int64_t n, std::int64_t h, std::int64_t w,
                                           std::int64_t pitch, std::int64_t c0, std::int64_t row, std::int64_t col,
                                           std::int64_t channels, const F& f) {
  for_each_lanes(channels, [&](auto full, std::int64_t c, std::int64_t lanes) {
    Vec pixels[SIZE * SIZE];
    for (Vec& pixel : pixels) pixel = vzero();
    for_each_window(row, col, SIZE, h, w, [&](std::int64_t i, std::int64_t j) {
      const UnpooledWindow window(full, dy, unpooled_at(n, i, j, h, w, pitch) + c0 + c, lanes);
      for (int r = 0; r < 2; ++r)
        for (int s = 0; s < 2; ++s) {
          const std::int64_t at_row = i + r - row, at_col = j + s - col;
          if (at_row >= 0 && at_row < SIZE && at_col >= 0 && at_col < SIZE)
            pixels[at_row * SIZE + at_col] = window.at(r * 2 + s);
        }
    });
    f(c, [&](int i, int j) { return pixels[i * SIZE + j]; });
  });
}

// Of the worker, as long as a row of channels.
static inline const float* winograd_zeros(int worker, std::int64_t channels) {
  float* zeros = worker_scratch(worker, 3, channels);
  std::memset(zeros, 0, sizeof(float) * channels);
  return zeros;
}

// v[point][tile][channel] of `tiles` tiles from `first` on, channels [c0, c0 + channels) of the gather's.
template <class W, class Split>
static inline void winograd_transform_input(const GatherConv& conv, const Split& split, const ConvInput& x,
                                            std::int64_t first, std::int64_t tiles, std::int64_t c0,
                                            std::int64_t channels, int worker, float* v) {
  const float* zeros = winograd_zeros(worker, channels);
  const std::int64_t pitch = winograd_pitch(channels), point = winograd_apart(split.block_tiles * pitch);
  for (std::int64_t t = 0; t < tiles; ++t, v += pitch) {
    const WinogradTile tile = winograd_tile(split, first + t);
    const std::int64_t row = tile.i * W::stride + conv.row_first, col = tile.j * W::stride + conv.col_first;
    const auto transform = [&](std::int64_t c, const auto& pixel) {
      winograd_2d<W::patch, W::patch>(W::input, pixel,
                                      [&](int i, int j, Vec a) { vstore(v + (i * W::patch + j) * point + c, a); });
    };
    if (x.argmax) {
      winograd_unpooled_patch<W::patch>(x, tile.n, conv.in_h, conv.in_w, conv.in_c, conv.channel_first + c0, row, col,
                                        channels, transform);
      continue;
    }
    const float* image = x.data + tile.n * conv.in_h * conv.in_w * conv.in_c + conv.channel_first + c0;
    winograd_patch<W::patch>(image, conv.in_h, conv.in_w, conv.in_c, row, col, channels, zeros, transform);
  }
}

static std::int64_t winograd_packed_floats(const GatherConv& conv, const WinogradSplit& split) {
  return split.form.weights() * split.form.weights() * winograd_panels(conv.out_channels) * conv.channels * kTileCols;
}

// packed[point][panel][channel][kTileCols], zero-filled past the last filter.
template <class W>
static inline void winograd_pack_tile(const GatherConv& conv, const float* w, float* packed, bool stream) {
  constexpr std::int64_t kChannels = 16;
  const std::int64_t panels = winograd_panels(conv.out_channels), chunks = ceil_div(conv.channels, kChannels);
  parallel(panels * chunks, [&](std::int64_t task, int) {
    const std::int64_t panel = task / chunks, c0 = task % chunks * kChannels;
    const std::int64_t channels = min_of(kChannels, conv.channels - c0), k0 = panel * kTileCols;
    const std::int64_t cols = min_of(kTileCols, conv.out_channels - k0);
    float taps[kChannels][W::taps * W::taps][kTileCols] = {};
    for (std::int64_t tap = 0; tap < W::taps * W::taps; ++tap) {
      const float* from = w + conv.taps[tap].weight + k0 * conv.weight_out_step + c0 * conv.weight_in_step;
      if (conv.weight_out_step == 1) {
        for (std::int64_t c = 0; c < channels; ++c)
          for (std::int64_t k = 0; k < cols; ++k) taps[c][tap][k] = from[c * conv.weight_in_step + k];
      } else {
        for (std::int64_t k = 0; k < cols; ++k)
          for (std::int64_t c = 0; c < channels; ++c)
            taps[c][tap][k] = from[c * conv.weight_in_step + k * conv.weight_out_step];
      }
    }
    LineStream<W::weights * W::weights> lines;
    for (std::int64_t c = 0; c < channels; ++c)
      for (int v = 0; v < kTileVecs; ++v) {
        float* to = packed + (panel * conv.channels + c0 + c) * kTileCols + v * Vec::width;
        winograd_2d<W::taps, W::weights>(
            W::weight, [&](int i, int j) { return vload(taps[c][i * W::taps + j] + v * Vec::width); },
            [&](int i, int j, Vec a) {
              const int point = i * W::weights + j;
              float* at = to + point * panels * conv.channels * kTileCols;
              if (stream)
                lines.store(point, v * Vec::width % kLineFloats, at, a);
              else
                vstore(at, a);
            });
      }
  });
}
static void winograd_pack(const GatherConv& conv, const WinogradSplit& split, const float* w, float* packed) {
  const bool stream = streams(packed, winograd_packed_floats(conv, split), kTileCols);
  with_winograd(split.form,
                [&](auto transforms) { winograd_pack_tile<decltype(transforms)>(conv, w, packed, stream); });
}

// y (MR x NV vectors, pitch y_pitch) = or += a (rows a_pitch, steps a_step apart) * b (a panel of kTileCols columns).
struct WinogradProduct {
  const float* a;
  std::int64_t a_pitch, a_step;
  const float* b;
  std::int64_t length;  // steps
  bool first;
  float* y;
  std::int64_t y_pitch;
  const float* ahead = nullptr;  // memory to ask for meanwhile, a line a step; or null

  // A function of its own, which all tile sizes and both directions share.
  template <int MR, int NV, bool>
  [[gnu::noinline]] void run() const {
    if (!first) {  // what is added to comes from far away
      for_tile<MR, NV>([&](int i, int v) { __builtin_prefetch(y + i * y_pitch + v * Vec::width, 1); });
    }
    Tile<MR, NV> tile;
    for_tile<MR, NV>([&](int i, int v) { tile.acc[i][v] = vzero(); });
    if (ahead)
      tile_multiply_even<MR, NV, true>(tile, a, a_pitch, a_step, b, length, ahead);
    else
      tile_multiply_even<MR, NV, false>(tile, a, a_pitch, a_step, b, length, nullptr);
    if (!first) {
      for_tile<MR, NV>(
          [&](int i, int v) { tile.acc[i][v] = tile.acc[i][v] + vload(y + i * y_pitch + v * Vec::width); });
    }
    for_tile<MR, NV>([&](int i, int v) { vstore(y + i * y_pitch + v * Vec::width, tile.acc[i][v]); });
  }
};
// Whole vectors: columns past the last are multiplied too, with zeros.
static inline void winograd_multiply(std::int64_t rows, std::int64_t cols, const WinogradProduct& product) {
  if (cols > Vec::width) return dispatch_rows<kTileRows, 2, false>(rows, product);
  return dispatch_rows<kTileRows, 1, false>(rows, product);
}

static std::int64_t winograd_workspace_floats(const GatherConv& conv, const WinogradSplit& split) {
  if (split.filter_ranges == 1) return 0;
  return split.blocks * split.form.points() * winograd_apart(split.block_tiles * winograd_pitch(conv.channels));
}

// m[point][tile][filter] = v * packed for filters [k0, k0 + filters).
static inline void winograd_products(const GatherConv& conv, const WinogradSplit& split, std::int64_t tiles,
                                     std::int64_t k0, std::int64_t filters, const float* v, const float* packed,
                                     float* m) {
  const std::int64_t points = split.form.points();
  const std::int64_t pitch = winograd_pitch(conv.channels), panels = winograd_panels(conv.out_channels);
  const std::int64_t m_pitch = winograd_pitch(kWinogradFilters), depth = winograd_depth(split.form);
  // The weights behind those in use come from far away, too late for the first tile that needs them: the second tile of
  // a block begins to ask for them, or the first where the others are too few.
  const std::int64_t asking = tiles > kPanelLines * kTileRows ? 1 : 0;
  const auto panel_of = [&](std::int64_t p, std::int64_t k) {
    return packed + (winograd_weight_of(split.form, p) * panels + (k0 + k) / kTileCols) * conv.channels * kTileCols;
  };
  for (std::int64_t p = 0; p < points; ++p) {
    const float* vp = v + p * winograd_apart(split.block_tiles * pitch);
    float* mp = m + p * winograd_apart(split.block_tiles * m_pitch);
    for (std::int64_t k = 0; k < filters; k += kTileCols) {
      const float* panel = panel_of(p, k);
      const float* next_panel = k + kTileCols < filters ? panel_of(p, k + kTileCols) : panel_of((p + 1) % points, 0);
      for (std::int64_t c = 0; c < conv.channels; c += depth) {
        const float* weights = panel + c * kTileCols;
        const float* next = c + depth < conv.channels ? weights + depth * kTileCols : next_panel;
        for (std::int64_t t = 0; t < tiles; t += kTileRows) {
          const std::int64_t rows = min_of(kTileRows, tiles - t), length = min_of(depth, conv.channels - c);
          winograd_multiply(rows, filters - k,
                            {vp + t * pitch + c, pitch, 1, weights, length, c == 0, mp + t * m_pitch + k, m_pitch,
                             conv2d_ahead(next, length, t / kTileRows - asking)});
        }
      }
    }
  }
}

// A^T m A of one vector of filters: sums[row][column] of a tile. A function of its own: the places of its points are
// worked out where they are used, not kept in memory for all vectors of a tile.
template <class W>
[[gnu::noinline]] static void winograd_tile_sums(const float* m, std::int64_t point, Vec bias, Vec* sums) {
  winograd_2d<W::patch, W::tile>(
      W::output, [=](int i, int j) { return vload(m + (i * W::patch + j) * point); },
      [=](int i, int j, Vec sum) { sums[i * W::tile + j] = sum + bias; });
}

template <class W>
static inline void winograd_transform_output(const GatherConv& conv, const WinogradSplit& split, std::int64_t first,
                                             std::int64_t tiles, std::int64_t k0, std::int64_t filters, const float* m,
                                             const Ending& ending, float* y) {
  const std::int64_t m_pitch = winograd_pitch(kWinogradFilters), point = winograd_apart(split.block_tiles * m_pitch);
  const bool stream = conv2d_streams(conv, ending, y);
  LineStream<W::tile * W::tile> lines;
  const std::int64_t col_floats = conv.out_col_step * conv.out_c;
  const std::int64_t row_floats = conv.out_row_step * conv.out_w * conv.out_c;
  for (std::int64_t t = 0; t < tiles; ++t, m += m_pitch) {
    const WinogradTile tile = winograd_tile(split, first + t);
    const std::int64_t rows = min_of(W::tile, conv.grid_h - tile.i);
    const std::int64_t cols = min_of(W::tile, conv.grid_w - tile.j);
    const std::int64_t row = tile.n * conv.out_h + conv.out_row_first + tile.i * conv.out_row_step;
    const std::int64_t pixel = row * conv.out_w + conv.out_col_first + tile.j * conv.out_col_step;
    const std::int64_t corner = pixel * conv.out_c + conv.out_channel_first + k0;
    const std::int64_t pooled_corner = conv2d_pooled_at(conv, tile.n, tile.i, tile.j) + k0;
    const std::int64_t pooled_row = conv.out_w / 2 * conv.out_c, pooled_col = conv.out_c;
    for_each_lanes(filters, [&](auto full, std::int64_t k, std::int64_t lanes) {
      const Vec bias = ending.b ? load_lanes(full, ending.b + k0 + k, lanes) : vzero();
      const bool whole_line = stream && k - k % kLineFloats + kLineFloats <= filters;
      const auto put = [&](std::int64_t line, float* to, Vec a) {
        if (full && whole_line)
          lines.store(line, k % kLineFloats, to, a);
        else
          store_lanes(full, to, a, lanes);
      };
      Vec sums[W::tile * W::tile];
      winograd_tile_sums<W>(m + k, point, bias, sums);
      if (ending.pool) {
        for (std::int64_t i = 0; i < rows; i += 2)
          for (std::int64_t j = 0; j < cols; j += 2) {
            const std::int64_t at = pooled_corner + i / 2 * pooled_row + j / 2 * pooled_col + k;
            const Vec* window = sums + i * W::tile + j;
            conv2d_store_largest(
                lanes, ending, at,
                [&](int r, int s) { return apply_epilogue(window[r * W::tile + s], ending.epilogue); },
                [&](Vec largest) { put(i * W::tile + j, y + at, largest); });
          }
        return;
      }
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < cols; ++j) {
          const std::int64_t at = corner + i * row_floats + j * col_floats + k;
          Vec sum = sums[i * W::tile + j];
          if (ending.residual) sum = sum + load_lanes(full, ending.residual + at, lanes);
          sum = apply_ending(sum, ending, [&] { return load_lanes(full, ending.gate + at, lanes); });
          put(i * W::tile + j, y + at, sum);
        }
    });
  }
}

template <class W>
static inline void winograd_gather_tiles(const GatherConv& conv, const WinogradSplit& split, const ConvInput& x,
                                         const float* packed, const Ending& ending, float* y, float* workspace) {
  const std::int64_t block_floats =
      split.form.points() * winograd_apart(split.block_tiles * winograd_pitch(conv.channels));
  const bool shared = split.filter_ranges > 1;
  if (shared) {
    parallel(split.blocks, [&](std::int64_t block, int worker) {
      const std::int64_t first = block * split.block_tiles;
      winograd_transform_input<W>(conv, split, x, first, min_of(split.block_tiles, split.tiles - first), 0,
                                  conv.channels, worker, workspace + block * block_floats);
    });
  }
  // Ranges of filters outermost: their transformed weights are used by all blocks while they are in the cache.
  parallel(split.blocks * split.filter_ranges, [&](std::int64_t task, int worker) {
    const std::int64_t block = task % split.blocks, first = block * split.block_tiles;
    const std::int64_t tiles = min_of(split.block_tiles, split.tiles - first);
    const float* v = workspace + block * block_floats;
    if (!shared) {
      float* own = worker_scratch(worker, 0, block_floats);
      winograd_transform_input<W>(conv, split, x, first, tiles, 0, conv.channels, worker, own);
      v = own;
    }
    float* m = worker_scratch(
        worker, 1, split.form.points() * winograd_apart(split.block_tiles * winograd_pitch(kWinogradFilters)));
    const std::int64_t begin = task / split.blocks * split.range_filters;
    const std::int64_t end = min_of(begin + split.range_filters, conv.out_channels);
    for (std::int64_t k0 = begin; k0 < end; k0 += kWinogradFilters) {
      const std::int64_t filters = min_of(kWinogradFilters, end - k0);
      winograd_products(conv, split, tiles, k0, filters, v, packed, m);
      winograd_transform_output<W>(conv, split, first, tiles, k0, filters, m, ending, y);
    }
  });
}
static void winograd_gather(const GatherConv& conv, const WinogradSplit& split, const ConvInput& x, const float* packed,
                            const Ending& ending, float* y, float* workspace) {
  with_winograd(split.form, [&](auto transforms) {
    winograd_gather_tiles<decltype(transforms)>(conv, split, x, packed, ending, y, workspace);
  });
}

// d[point][panel][tile][kTileCols]: A dy A^T of `tiles` tiles, filters [k0, k0 + filters).
template <class W>
static inline void winograd_transform_gradient(const GatherConv& conv, const WinogradWeightSplit& split,
                                               const ConvInput& dy, std::int64_t first, std::int64_t tiles,
                                               std::int64_t k0, std::int64_t filters, int worker, float* d) {
  const float* zeros = winograd_zeros(worker, filters);
  const std::int64_t panel = split.block_tiles * kTileCols, point = winograd_apart(winograd_panels(filters) * panel);
  for (std::int64_t t = 0; t < tiles; ++t) {
    const WinogradTile tile = winograd_tile(split, first + t);
    const auto transform = [&](std::int64_t k, const auto& pixel) {
      float* to = d + k / kTileCols * panel + t * kTileCols + k % kTileCols;
      winograd_2d<W::tile, W::patch>(W::gradient, pixel,
                                     [&](int i, int j, Vec a) { vstore(to + (i * W::patch + j) * point, a); });
    };
    if (dy.argmax) {
      winograd_unpooled_patch<W::tile>(dy, tile.n, conv.out_h, conv.out_w, conv.out_c, conv.out_channel_first + k0,
                                       tile.i, tile.j, filters, transform);
      continue;
    }
    const float* image = dy.data + tile.n * conv.out_h * conv.out_w * conv.out_c + conv.out_channel_first + k0;
    winograd_patch<W::tile>(image, conv.out_h, conv.out_w, conv.out_c, tile.i, tile.j, filters, zeros, transform);
  }
}

template <class W>
static inline void winograd_backward_weight_tiles(const GatherConv& conv, const WinogradWeightSplit& split,
                                                  const float* x, const ConvInput& dy, float* dw, std::int64_t dw_pitch,
                                                  float* workspace) {
  const std::int64_t C = conv.channels, K = conv.out_channels, partial_floats = conv.depth * K;
  const std::int64_t channel_blocks = ceil_div(C, split.block_channels);
  const std::int64_t filter_blocks = ceil_div(K, split.block_filters);
  parallel(split.slices * channel_blocks * filter_blocks, [&](std::int64_t task, int worker) {
    const std::int64_t slice = task / (channel_blocks * filter_blocks), part = task % (channel_blocks * filter_blocks);
    const std::int64_t c0 = part / filter_blocks * split.block_channels;
    const std::int64_t k0 = part % filter_blocks * split.block_filters;
    const std::int64_t channels = min_of(split.block_channels, C - c0), filters = min_of(split.block_filters, K - k0);
    const std::int64_t v_pitch = winograd_pitch(channels), panels = winograd_panels(filters);
    const std::int64_t sum_pitch = panels * kTileCols, sum_floats = winograd_apart(channels * sum_pitch);
    const std::int64_t v_point = winograd_apart(split.block_tiles * v_pitch);
    const std::int64_t d_point = winograd_apart(split.block_tiles * sum_pitch);
    float* v = worker_scratch(worker, 0, split.form.points() * v_point);
    float* d = worker_scratch(worker, 1, split.form.points() * d_point);
    float* sums = worker_scratch(worker, 2, W::weights * W::weights * sum_floats);
    const std::int64_t begin = slice * split.tiles / split.slices, end = (slice + 1) * split.tiles / split.slices;
    for (std::int64_t first = begin; first < end; first += split.block_tiles) {
      const std::int64_t tiles = min_of(split.block_tiles, end - first);
      winograd_transform_input<W>(conv, split, ConvInput{x}, first, tiles, c0, channels, worker, v);
      winograd_transform_gradient<W>(conv, split, dy, first, tiles, k0, filters, worker, d);
      for (std::int64_t p = 0; p < split.form.points(); ++p) {
        const float* vp = v + p * v_point;
        const std::int64_t weight = winograd_weight_of(split.form, p);
        const bool fresh = first == begin && p == weight / W::weights * W::patch + weight % W::weights;
        for (std::int64_t k = 0; k < filters; k += kTileCols) {
          const float* panel = d + p * d_point + k * split.block_tiles;
          for (std::int64_t c = 0; c < channels; c += kTileRows) {
            const std::int64_t rows = min_of(kTileRows, channels - c);
            winograd_multiply(
                rows, filters - k,
                {vp + c, 1, v_pitch, panel, tiles, fresh, sums + weight * sum_floats + c * sum_pitch + k, sum_pitch});
          }
        }
      }
    }
    float* partial = split.slices == 1 ? dw : workspace + slice * partial_floats;
    const std::int64_t pitch = split.slices == 1 ? dw_pitch : K;
    for (std::int64_t c = 0; c < channels; ++c)
      for_each_lanes(filters, [&](auto full, std::int64_t k, std::int64_t lanes) {
        winograd_2d<W::weights, W::taps>(
            W::weight_gradient,
            [&](int i, int j) { return vload(sums + (i * W::weights + j) * sum_floats + c * sum_pitch + k); },
            [&](int i, int j, Vec a) {
              store_lanes(full, partial + ((i * W::taps + j) * C + c0 + c) * pitch + k0 + k, a, lanes);
            });
      });
  });
  if (split.slices > 1) conv2d_add_slices(conv, split.slices, workspace, dw, dw_pitch);
}
static void winograd_backward_weight(const GatherConv& conv, const WinogradWeightSplit& split, const float* x,
                                     const ConvInput& dy, float* dw, std::int64_t dw_pitch, float* workspace) {
  with_winograd(split.form, [&](auto transforms) {
    winograd_backward_weight_tiles<decltype(transforms)>(conv, split, x, dy, dw, dw_pitch, workspace);
  });
}

static constexpr Conv2dWinogradKernels conv2d_winograd_kernels = {
    winograd_packed_floats, winograd_pack, winograd_workspace_floats, winograd_gather, winograd_backward_weight};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
