// F(4x4,3x3) (see cnnfast/kernels/conv2d_winograd.hpp). With a the points and M(x) = x(x-1)(x+1)(x-1/2)(x+2):
//   A (6x4)  row j: 1, a_j, a_j^2, a_j^3; the last 0,0,0,1
//   G (6x3)  row j: (1, a_j, a_j^2) / N_j, N_j = prod over l != j of (a_j - a_l); the last 0,0,1
//   B^T (6x6) row j: the coefficients of M(x) / (x - a_j); the last those of M(x)
// and y = A^T [(G w G^T) * (B^T x B)] A, summed over channels before A^T is applied. The weight gradient is the
// adjoint: dw = G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.
#pragma once
#include "cnnfast/kernels/conv2d_winograd.hpp"
#include "conv2d.hpp"
#include "lanes.hpp"
#include "parallel.hpp"
#include "stream.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kWinogradTile = 4, kWinogradPatch = 6, kWinogradPoints = 36;
// Output channels whose products are kept before they are transformed back.
static constexpr std::int64_t kWinogradFilters = 64;

// The one-dimensional transforms, from `step` apart to `step` apart.

static inline void winograd_input(const Vec* d, int from_step, Vec* v, int step) {
  const Vec d0 = d[0], d1 = d[from_step], d2 = d[2 * from_step], d3 = d[3 * from_step], d4 = d[4 * from_step],
            d5 = d[5 * from_step];
  // M(x) = (x^3 - x)(x^2 + 3/2 x - 1): e carries the second factor, f the first without its x.
  const Vec three_halves = vset(1.5f);
  const Vec e0 = vfma(three_halves, d1, d2 - d0), e1 = vfma(three_halves, d2, d3 - d1);
  const Vec e2 = vfma(three_halves, d3, d4 - d2), e3 = vfma(three_halves, d4, d5 - d3);
  const Vec f1 = d3 - d1, f2 = d4 - d2;
  v[0] = e2 - e0;
  v[step] = e2 + e1;
  v[2 * step] = e2 - e1;
  v[3 * step] = vfma(vset(2.0f), f1, f2);
  v[4 * step] = vfma(vset(-0.5f), f1, f2);
  v[5 * step] = e3 - e1;
}

static inline void winograd_output(const Vec* m, int from_step, Vec* y, int step) {
  const Vec m3 = m[3 * from_step], m4 = m[4 * from_step];
  const Vec s = m[from_step] + m[2 * from_step], d = m[from_step] - m[2 * from_step];
  y[0] = m[0] + s + (m3 + m4);
  y[step] = vfma(vset(0.5f), m3, vfma(vset(-2.0f), m4, d));
  y[2 * step] = vfma(vset(0.25f), m3, vfma(vset(4.0f), m4, s));
  y[3 * step] = vfma(vset(0.125f), m3, vfma(vset(-8.0f), m4, d)) + m[5 * from_step];
}

// A dy: the adjoint of winograd_output.
static inline void winograd_gradient(const Vec* dy, int from_step, Vec* v, int step) {
  const Vec d0 = dy[0], d1 = dy[from_step], d2 = dy[2 * from_step], d3 = dy[3 * from_step];
  const Vec even = d0 + d2, odd = d1 + d3;
  v[0] = d0;
  v[step] = even + odd;
  v[2 * step] = even - odd;
  v[3 * step] = vfma(vset(0.125f), d3, vfma(vset(0.25f), d2, vfma(vset(0.5f), d1, d0)));
  v[4 * step] = vfma(vset(-8.0f), d3, vfma(vset(4.0f), d2, vfma(vset(-2.0f), d1, d0)));
  v[5 * step] = d3;
}

static inline void winograd_weight(const Vec* g, int from_step, Vec* u, int step) {
  const Vec g0 = g[0], g1 = g[from_step], g2 = g[2 * from_step];
  const Vec third = vset(1.0f / 3.0f), sum = (g0 + g2) * third, odd = g1 * third;
  u[0] = g0;
  u[step] = sum + odd;
  u[2 * step] = odd - sum;
  u[3 * step] = vset(-16.0f / 15.0f) * vfma(vset(0.25f), g2, vfma(vset(0.5f), g1, g0));
  u[4 * step] = vset(1.0f / 15.0f) * vfma(vset(4.0f), g2, vfma(vset(-2.0f), g1, g0));
  u[5 * step] = g2;
}

// G^T u: the adjoint of winograd_weight.
static inline void winograd_weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
  const Vec third = vset(1.0f / 3.0f), even = (u[from_step] - u[2 * from_step]) * third;
  const Vec odd = (u[from_step] + u[2 * from_step]) * third;
  const Vec u3 = u[3 * from_step] * vset(-16.0f / 15.0f), u4 = u[4 * from_step] * vset(1.0f / 15.0f);
  g[0] = u[0] + even + (u3 + u4);
  g[step] = odd + vfma(vset(0.5f), u3, vset(-2.0f) * u4);
  g[2 * step] = even + u[5 * from_step] + vfma(vset(0.25f), u3, vset(4.0f) * u4);
}

// Both dimensions: T applied to the FROM columns of a FROM x FROM matrix, then to the TO rows of that. load(i, j) gives
// an element, store(i, j, a) takes one of the TO x TO result: what is on the way fits in registers and few lines.
template <int FROM, int TO, class T, class Load, class Store>
static inline void winograd_2d(const T& transform, const Load& load, const Store& store) {
  Vec half[TO * FROM];
#pragma GCC unroll 6
  for (int j = 0; j < FROM; ++j) {
    Vec column[FROM];
#pragma GCC unroll 6
    for (int i = 0; i < FROM; ++i) column[i] = load(i, j);
    transform(column, 1, half + j, FROM);
  }
#pragma GCC unroll 6
  for (int i = 0; i < TO; ++i) {
    Vec row[TO];
    transform(half + i * FROM, 1, row, 1);
#pragma GCC unroll 6
    for (int j = 0; j < TO; ++j) store(i, j, row[j]);
  }
}

// Products are kept a row of channels a tile, rows apart by an odd number of vectors: not a power of two.
static inline std::int64_t winograd_pitch(std::int64_t channels) {
  return (ceil_div(channels, Vec::width) | 1) * Vec::width;
}
static inline std::int64_t winograd_panels(std::int64_t filters) { return ceil_div(filters, kTileCols); }

struct WinogradTile {
  std::int64_t n, i, j;  // image, first output row and column
};
template <class Split>
static inline WinogradTile winograd_tile(const Split& split, std::int64_t tile) {
  const std::int64_t n = tile / (split.tile_rows * split.tile_cols), at = tile % (split.tile_rows * split.tile_cols);
  return {n, at / split.tile_cols * kWinogradTile, at % split.tile_cols * kWinogradTile};
}

// SIZE x SIZE pixels of an image (h, w, pitch), from (row, col) on, zero outside: calls f(c, pixel) for each vector of
// channels; pixel(i, j) is one.
template <int SIZE, class F>
static inline void winograd_patch(const float* image, std::int64_t h, std::int64_t w, std::int64_t pitch,
                                  std::int64_t row, std::int64_t col, std::int64_t channels, const F& f) {
  const bool inside = row >= 0 && col >= 0 && row + SIZE <= h && col + SIZE <= w;
  const float* corner = image + (row * w + col) * pitch;
  for_each_lanes(channels, [&](auto full, std::int64_t c, std::int64_t lanes) {
    const auto pixel = [&](int i, int j) { return load_lanes(full, corner + (i * w + j) * pitch + c, lanes); };
    if (inside) {
      f(c, pixel);
    } else {
      f(c, [&](int i, int j) {
        const bool there = row + i >= 0 && row + i < h && col + j >= 0 && col + j < w;
        return there ? pixel(i, j) : vzero();
      });
    }
  });
}

// v[point][tile][channel] of `tiles` tiles from `first` on, channels [c0, c0 + channels) of the gather's.
template <class Split>
static inline void winograd_transform_input(const GatherConv& conv, const Split& split, const float* x,
                                            std::int64_t first, std::int64_t tiles, std::int64_t c0,
                                            std::int64_t channels, float* v) {
  const std::int64_t pitch = winograd_pitch(channels), point = split.block_tiles * pitch;
  for (std::int64_t t = 0; t < tiles; ++t, v += pitch) {
    const WinogradTile tile = winograd_tile(split, first + t);
    const float* image = x + tile.n * conv.in_h * conv.in_w * conv.in_c + conv.channel_first + c0;
    winograd_patch<6>(image, conv.in_h, conv.in_w, conv.in_c, tile.i + conv.row_first, tile.j + conv.col_first,
                      channels, [&](std::int64_t c, const auto& pixel) {
                        winograd_2d<6, 6>(winograd_input, pixel, [&](int i, int j, Vec a) {
                          vstore(v + (i * 6 + j) * point + c, a);
                        });
                      });
  }
}

static std::int64_t winograd_packed_floats(const GatherConv& conv) {
  return kWinogradPoints * winograd_panels(conv.out_channels) * conv.channels * kTileCols;
}

// packed[point][panel][channel][kTileCols], zero-filled past the last filter.
static void winograd_pack(const GatherConv& conv, const float* w, float* packed) {
  constexpr std::int64_t kChannels = 16;
  const bool stream = streams(packed, winograd_packed_floats(conv), 16);
  const std::int64_t panels = winograd_panels(conv.out_channels), chunks = ceil_div(conv.channels, kChannels);
  parallel(panels * chunks, [&](std::int64_t task, int) {
    const std::int64_t panel = task / chunks, c0 = task % chunks * kChannels;
    const std::int64_t channels = min_of(kChannels, conv.channels - c0), k0 = panel * kTileCols;
    const std::int64_t cols = min_of(kTileCols, conv.out_channels - k0);
    float taps[kChannels][9][kTileCols] = {};
    for (std::int64_t tap = 0; tap < 9; ++tap) {
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
    for (std::int64_t c = 0; c < channels; ++c)
      for (int v = 0; v < kTileVecs; ++v) {
        float* to = packed + (panel * conv.channels + c0 + c) * kTileCols + v * Vec::width;
        winograd_2d<3, 6>(
            winograd_weight, [&](int i, int j) { return vload(taps[c][i * 3 + j] + v * Vec::width); },
            [&](int i, int j, Vec a) {
              float* at = to + (i * 6 + j) * panels * conv.channels * kTileCols;
              stream ? vstream(at, a) : vstore(at, a);
            });
      }
  });
}

// acc (MR x NV vectors, pitch y_pitch) = or += a (rows at a[i], steps a_step apart) * b (panel of kTileCols columns).
struct WinogradProduct {
  const float* const* a;
  std::int64_t a_step;
  const float* b;
  std::int64_t length;
  bool first;
  float* y;
  std::int64_t y_pitch;

  template <int MR, int NV, bool>
  void run() const {
    Tile<MR, NV> tile;
    for (int i = 0; i < MR; ++i)
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = first ? vzero() : vload(y + i * y_pitch + v * Vec::width);
    tile_multiply<MR, NV, false>(tile, a, a_step, b, kTileCols, kTileCols, length);
    for (int i = 0; i < MR; ++i)
      for (int v = 0; v < NV; ++v) vstore(y + i * y_pitch + v * Vec::width, tile.acc[i][v]);
  }
};
// Whole vectors: columns past the last are multiplied too, with zeros.
static inline void winograd_multiply(std::int64_t rows, std::int64_t cols, const WinogradProduct& product) {
  if (cols > Vec::width) return dispatch_rows<kTileRows, 2, false>(rows, product);
  return dispatch_rows<kTileRows, 1, false>(rows, product);
}

static std::int64_t winograd_workspace_floats(const GatherConv& conv, const WinogradSplit& split) {
  if (split.filter_ranges == 1) return 0;
  return split.blocks * kWinogradPoints * split.block_tiles * winograd_pitch(conv.channels);
}

// m[point][tile][filter] = v * packed for filters [k0, k0 + filters).
static inline void winograd_products(const GatherConv& conv, const WinogradSplit& split, std::int64_t tiles,
                                     std::int64_t k0, std::int64_t filters, const float* v, const float* packed,
                                     float* m) {
  const std::int64_t pitch = winograd_pitch(conv.channels), panels = winograd_panels(conv.out_channels);
  const std::int64_t m_pitch = winograd_pitch(kWinogradFilters);
  for (std::int64_t p = 0; p < kWinogradPoints; ++p) {
    const float* vp = v + p * split.block_tiles * pitch;
    float* mp = m + p * split.block_tiles * m_pitch;
    for (std::int64_t k = 0; k < filters; k += kTileCols) {
      const float* panel = packed + (p * panels + (k0 + k) / kTileCols) * conv.channels * kTileCols;
      for (std::int64_t t = 0; t < tiles; t += kTileRows) {
        const std::int64_t rows = min_of(kTileRows, tiles - t);
        const float* a[kTileRows];
        for (std::int64_t i = 0; i < rows; ++i) a[i] = vp + (t + i) * pitch;
        winograd_multiply(rows, filters - k, {a, 1, panel, conv.channels, true, mp + t * m_pitch + k, m_pitch});
      }
    }
  }
}

static inline void winograd_transform_output(const GatherConv& conv, const WinogradSplit& split, std::int64_t first,
                                             std::int64_t tiles, std::int64_t k0, std::int64_t filters, const float* m,
                                             const Ending& ending, float* y) {
  const std::int64_t m_pitch = winograd_pitch(kWinogradFilters), point = split.block_tiles * m_pitch;
  const bool stream = conv2d_streams(conv, y);
  for (std::int64_t t = 0; t < tiles; ++t, m += m_pitch) {
    const WinogradTile tile = winograd_tile(split, first + t);
    const std::int64_t rows = min_of(kWinogradTile, conv.grid_h - tile.i);
    const std::int64_t cols = min_of(kWinogradTile, conv.grid_w - tile.j);
    const std::int64_t pixel = (tile.n * conv.out_h + tile.i) * conv.out_w + tile.j;
    const std::int64_t corner = pixel * conv.out_c + conv.out_channel_first + k0;
    for_each_lanes(filters, [&](auto full, std::int64_t k, std::int64_t lanes) {
      const Vec bias = ending.b ? load_lanes(full, ending.b + k0 + k, lanes) : vzero();
      winograd_2d<6, 4>(
          winograd_output, [&](int i, int j) { return vload(m + (i * 6 + j) * point + k); },
          [&](int i, int j, Vec sum) {
            if (i >= rows || j >= cols) return;
            const std::int64_t at = corner + (i * conv.out_w + j) * conv.out_c + k;
            sum = sum + bias;
            if (ending.residual) sum = sum + load_lanes(full, ending.residual + at, lanes);
            sum = apply_epilogue(sum, ending.epilogue);
            full && stream ? vstream(y + at, sum) : store_lanes(full, y + at, sum, lanes);
          });
    });
  }
}

static void winograd_gather(const GatherConv& conv, const WinogradSplit& split, const float* x, const float* packed,
                            const Ending& ending, float* y, float* workspace) {
  const std::int64_t block_floats = kWinogradPoints * split.block_tiles * winograd_pitch(conv.channels);
  const bool shared = split.filter_ranges > 1;
  if (shared) {
    parallel(split.blocks, [&](std::int64_t block, int) {
      const std::int64_t first = block * split.block_tiles;
      winograd_transform_input(conv, split, x, first, min_of(split.block_tiles, split.tiles - first), 0, conv.channels,
                               workspace + block * block_floats);
    });
  }
  // Ranges of filters outermost: their transformed weights are used by all blocks while they are in the cache.
  parallel(split.blocks * split.filter_ranges, [&](std::int64_t task, int worker) {
    const std::int64_t block = task % split.blocks, first = block * split.block_tiles;
    const std::int64_t tiles = min_of(split.block_tiles, split.tiles - first);
    const float* v = workspace + block * block_floats;
    if (!shared) {
      float* own = worker_scratch(worker, 0, block_floats);
      winograd_transform_input(conv, split, x, first, tiles, 0, conv.channels, own);
      v = own;
    }
    float* m = worker_scratch(worker, 1, kWinogradPoints * split.block_tiles * winograd_pitch(kWinogradFilters));
    const std::int64_t begin = task / split.blocks * split.range_filters;
    const std::int64_t end = min_of(begin + split.range_filters, conv.out_channels);
    for (std::int64_t k0 = begin; k0 < end; k0 += kWinogradFilters) {
      const std::int64_t filters = min_of(kWinogradFilters, end - k0);
      winograd_products(conv, split, tiles, k0, filters, v, packed, m);
      winograd_transform_output(conv, split, first, tiles, k0, filters, m, ending, y);
    }
  });
}

// d[point][panel][tile][kTileCols]: A dy A^T of `tiles` tiles, filters [k0, k0 + filters).
static inline void winograd_transform_gradient(const GatherConv& conv, const WinogradWeightSplit& split,
                                               const float* dy, std::int64_t first, std::int64_t tiles,
                                               std::int64_t k0, std::int64_t filters, float* d) {
  const std::int64_t panel = split.block_tiles * kTileCols, point = winograd_panels(filters) * panel;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const WinogradTile tile = winograd_tile(split, first + t);
    const float* image = dy + tile.n * conv.out_h * conv.out_w * conv.out_c + conv.out_channel_first + k0;
    winograd_patch<4>(image, conv.out_h, conv.out_w, conv.out_c, tile.i, tile.j, filters,
                      [&](std::int64_t k, const auto& pixel) {
                        float* to = d + k / kTileCols * panel + t * kTileCols + k % kTileCols;
                        winograd_2d<4, 6>(winograd_gradient, pixel,
                                          [&](int i, int j, Vec a) { vstore(to + (i * 6 + j) * point, a); });
                      });
  }
}

static void winograd_backward_weight(const GatherConv& conv, const WinogradWeightSplit& split, const float* x,
                                     const float* dy, float* dw, std::int64_t dw_pitch, float* workspace) {
  const std::int64_t C = conv.channels, K = conv.out_channels, partial_floats = conv.depth * K;
  const std::int64_t channel_blocks = ceil_div(C, split.block_channels);
  const std::int64_t filter_blocks = ceil_div(K, split.block_filters);
  parallel(split.slices * channel_blocks * filter_blocks, [&](std::int64_t task, int worker) {
    const std::int64_t slice = task / (channel_blocks * filter_blocks), part = task % (channel_blocks * filter_blocks);
    const std::int64_t c0 = part / filter_blocks * split.block_channels;
    const std::int64_t k0 = part % filter_blocks * split.block_filters;
    const std::int64_t channels = min_of(split.block_channels, C - c0), filters = min_of(split.block_filters, K - k0);
    const std::int64_t v_pitch = winograd_pitch(channels), panels = winograd_panels(filters);
    const std::int64_t sum_pitch = panels * kTileCols, sum_floats = channels * sum_pitch;
    float* v = worker_scratch(worker, 0, kWinogradPoints * split.block_tiles * v_pitch);
    float* d = worker_scratch(worker, 1, kWinogradPoints * split.block_tiles * sum_pitch);
    float* sums = worker_scratch(worker, 2, kWinogradPoints * sum_floats);
    const std::int64_t begin = slice * split.tiles / split.slices, end = (slice + 1) * split.tiles / split.slices;
    for (std::int64_t first = begin; first < end; first += split.block_tiles) {
      const std::int64_t tiles = min_of(split.block_tiles, end - first);
      winograd_transform_input(conv, split, x, first, tiles, c0, channels, v);
      winograd_transform_gradient(conv, split, dy, first, tiles, k0, filters, d);
      for (std::int64_t p = 0; p < kWinogradPoints; ++p) {
        const float* vp = v + p * split.block_tiles * v_pitch;
        for (std::int64_t k = 0; k < filters; k += kTileCols) {
          const float* panel = d + (p * panels + k / kTileCols) * split.block_tiles * kTileCols;
          for (std::int64_t c = 0; c < channels; c += kTileRows) {
            const std::int64_t rows = min_of(kTileRows, channels - c);
            const float* a[kTileRows];
            for (std::int64_t i = 0; i < rows; ++i) a[i] = vp + c + i;
            winograd_multiply(rows, filters - k, {a, v_pitch, panel, tiles, first == begin,
                                                  sums + p * sum_floats + c * sum_pitch + k, sum_pitch});
          }
        }
      }
    }
    float* partial = split.slices == 1 ? dw : workspace + slice * partial_floats;
    const std::int64_t pitch = split.slices == 1 ? dw_pitch : K;
    for (std::int64_t c = 0; c < channels; ++c)
      for_each_lanes(filters, [&](auto full, std::int64_t k, std::int64_t lanes) {
        winograd_2d<6, 3>(
            winograd_weight_gradient,
            [&](int i, int j) { return vload(sums + (i * 6 + j) * sum_floats + c * sum_pitch + k); },
            [&](int i, int j, Vec a) {
              store_lanes(full, partial + ((i * 3 + j) * C + c0 + c) * pitch + k0 + k, a, lanes);
            });
      });
  });
  if (split.slices > 1) conv2d_add_slices(conv, split.slices, workspace, dw, dw_pitch);
}

static constexpr Conv2dWinogradKernels conv2d_winograd_kernels = {winograd_packed_floats, winograd_pack,
                                                                  winograd_workspace_floats, winograd_gather,
                                                                  winograd_backward_weight};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
