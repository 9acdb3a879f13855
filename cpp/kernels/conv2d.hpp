// Convolution as a gather (see cnnfast/kernels/conv2d.hpp for the idea and the words).
#pragma once
#include <cstring>
#include <type_traits>

#include "block_moments.hpp"
#include "cnnfast/kernels/conv2d.hpp"
#include "lanes.hpp"
#include "largest.hpp"
#include "parallel.hpp"
#include "stream.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr std::int64_t kConvOwnWeights = 128 * 1024;
// A pass whose runs have no more floats, on average, is one loop over the places of all its floats, instead of one for
// each run: a loop takes longer to begin than to run then. Windows of three channels and three columns are such runs.
static constexpr std::int64_t kShortRun = 12;

static std::int64_t conv2d_packed_floats(const GatherConv& conv) {
  return ceil_div(conv.out_channels, kTileCols) * conv.depth * kTileCols;
}

// Packs as conv2d_pack does, for a convolution that makes cells of pixels.
static void conv2d_pack_cells(const GatherConv& conv, const float* w, float* packed) {
  const std::int64_t C = conv.out_c, cells = conv.cell_h * conv.cell_w;
  std::memset(packed, 0, sizeof(float) * conv2d_packed_floats(conv));
  for (std::int64_t tap = 0; tap < conv.n_taps; ++tap)
    for (std::int64_t k = 0; k < conv.out_channels; ++k) {
      const std::int64_t weight = conv.taps[tap * cells + k / C].weight;
      if (weight < 0) continue;
      const float* from = w + weight + k % C * conv.weight_out_step;
      const std::int64_t row = k / kTileCols * conv.depth + tap * conv.channels;
      float* to = packed + row * kTileCols + k % kTileCols;
      for (std::int64_t c = 0; c < conv.channels; ++c) to[c * kTileCols] = from[c * conv.weight_in_step];
    }
}

// Panels of kTileCols output channels, each (depth, kTileCols), zero-filled past the last channel.
static void conv2d_pack(const GatherConv& conv, const float* w, float* packed) {
  if (conv.makes_cells()) return conv2d_pack_cells(conv, w, packed);
  constexpr std::int64_t kLine = 16;
  const std::int64_t panels = ceil_div(conv.out_channels, kTileCols);
  parallel(panels * conv.n_taps, [&](std::int64_t task, int) {
    const std::int64_t panel = task / conv.n_taps, tap = task % conv.n_taps;
    const std::int64_t k0 = panel * kTileCols, cols = min_of(kTileCols, conv.out_channels - k0);
    const float* from = w + conv.taps[tap].weight + k0 * conv.weight_out_step;
    float* to = packed + (panel * conv.depth + tap * conv.channels) * kTileCols;
    for (std::int64_t c0 = 0; c0 < conv.channels; c0 += kLine, to += kLine * kTileCols) {
      const std::int64_t rows = min_of(kLine, conv.channels - c0);
      const float* block = from + c0 * conv.weight_in_step;
      if (conv.weight_out_step == 1) {
        for (std::int64_t c = 0; c < rows; ++c)
          for (std::int64_t k = 0; k < cols; ++k) to[c * kTileCols + k] = block[c * conv.weight_in_step + k];
      } else {  // read a line at a time: the next one may lie in the same set of the cache
        for (std::int64_t k = 0; k < cols; ++k)
          for (std::int64_t c = 0; c < rows; ++c)
            to[c * kTileCols + k] = block[c * conv.weight_in_step + k * conv.weight_out_step];
      }
      for (std::int64_t c = 0; c < rows; ++c)
        for (std::int64_t k = cols; k < kTileCols; ++k) to[c * kTileCols + k] = 0.0f;
    }
  });
}

// Whether the output is stored past the caches: not where it lies over a residual, whose lines are there already.
static inline bool conv2d_streams(const GatherConv& conv, const Ending& ending, const float* y) {
  const std::int64_t floats = conv.N * conv.out_h * conv.out_w * conv.out_c / (ending.pool ? 4 : 1);
  return ending.residual != y && conv.out_channel_first % kLineFloats == 0 && streams(y, floats, conv.out_c);
}

// The part of x that one task reads: where it lies, and how far apart its images and rows are.
struct ConvBlock {
  const float* data;
  std::int64_t image_pitch, row_pitch;
};

// Copies rows [row0, row0 + rows) of images [n0, n0 + images) with their padding, or points into x if there is none.
static inline ConvBlock conv2d_block(const GatherConv& conv, const float* x, std::int64_t n0, std::int64_t images,
                                     std::int64_t row0, std::int64_t rows, int worker) {
  const std::int64_t row_pitch = conv.block_w * conv.block_c;
  if (!conv.padded) {
    const float* data = x + ((n0 * conv.in_h + row0) * conv.in_w + conv.col_first) * conv.in_c + conv.channel_first;
    return {data, conv.in_h * conv.in_w * conv.in_c, row_pitch};
  }
  float* block = worker_scratch(worker, 0, images * rows * row_pitch);
  const std::int64_t left = conv.col_first < 0 ? min_of(-conv.col_first, conv.block_w) : 0;
  const std::int64_t col0 = max_of(conv.col_first, 0);
  const std::int64_t cols = max_of(min_of(conv.in_w - col0, conv.block_w - left), 0);
  for (std::int64_t n = 0; n < images; ++n) {
    for (std::int64_t r = 0; r < rows; ++r) {
      float* to = block + (n * rows + r) * row_pitch;
      const std::int64_t h = row0 + r;
      if (h < 0 || h >= conv.in_h || cols == 0) {
        std::memset(to, 0, sizeof(float) * row_pitch);
        continue;
      }
      const float* from = x + (((n0 + n) * conv.in_h + h) * conv.in_w + col0) * conv.in_c + conv.channel_first;
      std::memset(to, 0, sizeof(float) * left * conv.block_c);
      to += left * conv.block_c;
      if (conv.channels == conv.in_c) {
        std::memcpy(to, from, sizeof(float) * cols * conv.channels);
      } else {
        for (std::int64_t q = 0; q < cols; ++q)
          std::memcpy(to + q * conv.channels, from + q * conv.in_c, sizeof(float) * conv.channels);
      }
      std::memset(to + cols * conv.block_c, 0, sizeof(float) * (conv.block_w - left - cols) * conv.block_c);
    }
  }
  return {block, rows * row_pitch, row_pitch};
}

// Tiles of a panel of weights in one pass.
struct ConvForwardTile {
  const GatherConv& conv;
  const ConvPass pass;
  // From the panel's first column on, b, residual and gate of the ending too:
  float* y;
  Ending ending;
  BlockMoments moments;
  const float* panel;
  std::int64_t cols;
  bool first, last;
  bool stream;      // see stream.hpp
  bool short_runs;  // one loop for all runs, which asks for nothing meanwhile
  // Of each tile:
  const float* const* x = nullptr;       // one pointer a pixel
  const std::int64_t* at = nullptr;      // where in y, residual and gate each pixel lies
  const float* const* next_x = nullptr;  // those of the tile behind it, or null
  const std::int64_t* next = nullptr;
  const float* ahead = nullptr;  // memory to ask for meanwhile, a line for each weight row of the pass; or null
  bool opens_block = false;

  // Asks for what the tile behind this one adds to its sums or reads besides: alone it would wait for each line.
  template <int MR>
  [[gnu::always_inline]] void ask_for_next() const {
    const float* residual = first ? ending.residual : nullptr;
    const float* gate = last ? ending.gate : nullptr;
    if (next && (residual || gate))
      for (int i = 0; i < MR; ++i)
        for (std::int64_t k = 0; k < cols; k += kLineFloats) {
          if (residual) __builtin_prefetch(residual + next[i] + k);
          if (gate) __builtin_prefetch(gate + next[i] + k);
        }
  }

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    Tile<MR, NV> tile;
    ask_for_next<MR>();
    for_tile<MR, NV>([&](int i, int v) {
      tile.acc[i][v] = !first     ? load_cols<NV, PARTIAL>(y + at[i], v, cols)
                       : ending.b ? load_cols<NV, PARTIAL>(ending.b, v, cols)
                                  : vzero();
    });
    if (first && ending.residual)
      for_tile<MR, NV>([&](int i, int v) {
        tile.acc[i][v] = tile.acc[i][v] + load_cols<NV, PARTIAL>(ending.residual + at[i], v, cols);
      });
    if (short_runs)
      tile_multiply_at(tile, x, conv.row_offset + pass.depth, panel + pass.depth * kTileCols, pass.rows);
    else
      multiply_runs<MR, NV>(tile);
    if (last && ending.gate)
      for_tile<MR, NV>([&](int i, int v) {
        tile.acc[i][v] =
            apply_ending(tile.acc[i][v], ending, [&] { return load_cols<NV, PARTIAL>(ending.gate + at[i], v, cols); });
      });
    else if (last)
      apply_epilogue(tile, ending.epilogue);
    if (last && moments.rows) add_moments<MR, NV, PARTIAL>(tile, moments, opens_block, cols);
    store<MR, NV, PARTIAL>(tile);
  }

  template <int MR, int NV>
  [[gnu::always_inline]] void multiply_runs(Tile<MR, NV>& tile) const {
    for (std::int64_t r = pass.begin; r < pass.end; ++r) {
      const ConvRun& run = conv.runs[r];
      const float* a[MR];
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) a[i] = x[i] + run.offset;
      const float* b = panel + run.depth * kTileCols;
      // The panel is padded to full vectors: whole loads, whatever `cols`.
      if (ahead) {
        tile_multiply<MR, NV, false, true>(tile, a, 1, b, kTileCols, cols, run.length,
                                           ahead + (run.depth - pass.depth) * kLineFloats);
        continue;
      }
      if (next_x) {
        const float* next_a[MR];
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) next_a[i] = next_x[i] + run.offset;
        tile_multiply_asking(tile, a, b, run.length, next_a);
        continue;
      }
      tile_multiply<MR, NV, false>(tile, a, 1, b, kTileCols, cols, run.length);
    }
  }

  template <int MR, int NV, bool PARTIAL>
  [[gnu::always_inline]] void store(const Tile<MR, NV>& tile) const {
    float* to[MR];  // at first: what is stored might be a field of this, to be read again for each vector
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) to[i] = y + at[i];
    if (!PARTIAL && stream)
      for_tile<MR, NV>([&](int i, int v) { vstream(to[i] + v * Vec::width, tile.acc[i][v]); });
    else
      for_tile<MR, NV>([&](int i, int v) { store_cols<NV, PARTIAL>(to[i], v, tile.acc[i][v], cols); });
  }
};

// What a tile adds, reads and does besides, from channel k0 on.
static inline Ending conv2d_ending_from(Ending ending, std::int64_t k0) {
  if (ending.b) ending.b += k0;
  if (ending.residual) ending.residual += k0;
  if (ending.gate) ending.gate += k0;
  return ending;
}

// Cache lines of a row of a panel.
static constexpr std::int64_t kPanelLines = kTileCols / kLineFloats;

// What the `tile`-th tile over a pass of weights asks for, if anything, a line for each of the pass's rows. The weights
// at `next`, of the next pass or panel, come from memory where a network is large, and slower than a tile takes them:
// as many tiles as a row has lines ask for a part of them, tile 0 for the first; others, and negative ones, for
// nothing.
static inline const float* conv2d_ahead(const float* next, std::int64_t rows, std::int64_t tile) {
  return 0 <= tile && tile < kPanelLines ? next + rows * tile * kLineFloats : nullptr;
}

// Whether the caches are too small to hold pixels between layers.
static inline bool conv2d_reads_from_memory(const GatherConv& conv) {
  return conv.N * conv.in_h * conv.in_w * conv.in_c >= kStreamFloats;
}

// Whether tiles ask for the pixels of the next one: those of 1x1 convolutions, which no tile has read before, where
// they are long (shorter ones if there are so many that they come from memory) and if both tiles' pixels, x_step floats
// apart, leave a quarter of the ways of a first-level cache (32 KiB, 8 ways) to the weights: lines 4 KiB apart share a
// set.
static inline bool conv2d_asks_for_pixels(const GatherConv& conv, std::int64_t x_step) {
  constexpr std::int64_t kLong = 128, kLongFromMemory = 32, kSetFloats = 1024, kWays = 6;
  std::int64_t sets = 1;  // that pixels lie in, if they are a power of two apart
  while (sets < kSetFloats && x_step * sets % kSetFloats != 0) sets *= 2;
  const bool are_long = conv.channels >= (conv2d_reads_from_memory(conv) ? kLongFromMemory : kLong);
  return conv.n_taps == 1 && are_long && 2 * kTileRows <= kWays * sets;
}

// Where in y or argmax the output pixel that has the largest of sums (i, j) to (i + 1, j + 1) begins.
static inline std::int64_t conv2d_pooled_at(const GatherConv& conv, std::int64_t n, std::int64_t i, std::int64_t j) {
  return ((n * (conv.out_h / 2) + i / 2) * (conv.out_w / 2) + j / 2) * conv.out_c + conv.out_channel_first;
}

// Gives `store` the largest of 2x2 vectors sum(i, j), and stores which it was if that is wanted.
template <class Sum, class Store>
static inline void conv2d_store_largest(std::int64_t lanes, const Ending& ending, std::int64_t at, const Sum& sum,
                                        const Store& store) {
  const auto find = [&](auto positions) {
    Largest<decltype(positions)::value> largest;
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) largest.meet(sum(i, j), i * 2 + j);
    store(largest.value);
    if (positions) store_positions(ending.argmax + at, largest.where, lanes);
  };
  ending.argmax ? find(std::true_type{}) : find(std::false_type{});
}

// The same of a band of sums, channels [k0, k0 + channels), as one task keeps them.
static inline void conv2d_pool_band(const GatherConv& conv, const Ending& ending, const float* sums, std::int64_t pitch,
                                    std::int64_t n0, std::int64_t images, std::int64_t i0, std::int64_t band,
                                    std::int64_t k0, std::int64_t channels, float* y) {
  const bool stream = conv2d_streams(conv, ending, y);
  for (std::int64_t n = 0; n < images; ++n)
    for (std::int64_t i = 0; i < band; i += 2)
      for (std::int64_t j = 0; j < conv.grid_w; j += 2) {
        const float* corner = sums + ((n * band + i) * conv.grid_w + j) * pitch;
        const std::int64_t at = conv2d_pooled_at(conv, n0 + n, i0 + i, j) + k0;
        for_each_lanes(channels, [&](auto full, std::int64_t k, std::int64_t lanes) {
          const auto sum = [&](int r, int s) {
            return load_lanes(full, corner + (r * conv.grid_w + s) * pitch + k, lanes);
          };
          conv2d_store_largest(lanes, ending, at + k, sum, [&](Vec largest) {
            if (full && stream)
              vstream(y + at + k, largest);
            else
              store_lanes(full, y + at + k, largest, lanes);
          });
        });
      }
}

// The bias of each channel of a cell, written to `to`.
static inline const float* conv2d_cell_bias(const GatherConv& conv, const float* b, float* to) {
  for (std::int64_t k = 0; k < conv.out_channels; ++k) to[k] = b[k % conv.out_c];
  return to;
}

// Stores the cells of a band of sums, as one task keeps them.
static inline void conv2d_spread_cells(const GatherConv& conv, const Ending& ending, const float* sums,
                                       std::int64_t pitch, std::int64_t n0, std::int64_t images, std::int64_t i0,
                                       std::int64_t band, float* y) {
  const std::int64_t C = conv.out_c, row_floats = conv.cell_w * C;
  for (std::int64_t n = 0; n < images; ++n)
    for (std::int64_t h = i0 * conv.cell_h; h < min_of((i0 + band) * conv.cell_h, conv.out_h); ++h) {
      const std::int64_t i = h / conv.cell_h - i0, a = h % conv.cell_h;
      const float* from = sums + (n * band + i) * conv.grid_w * pitch + a * row_floats;
      const std::int64_t row = ((n0 + n) * conv.out_h + h) * conv.out_w * C;
      for (std::int64_t j = 0; j < conv.grid_w; ++j, from += pitch) {
        const std::int64_t at = row + j * row_floats, left = conv.out_w * C - j * row_floats;
        for_each_lanes(min_of(row_floats, left), [&](auto full, std::int64_t k, std::int64_t lanes) {
          Vec sum = load_lanes(full, from + k, lanes);
          if (ending.residual) sum = sum + load_lanes(full, ending.residual + at + k, lanes);
          const auto gate = [&] { return load_lanes(full, ending.gate + at + k, lanes); };
          store_lanes(full, y + at + k, apply_ending(sum, ending, gate), lanes);
        });
      }
    }
}

static std::int64_t conv2d_moment_blocks(const GatherConv& conv) {
  return ceil_div(conv.grid_h, conv.rows_per_task) * ceil_div(conv.N, conv.images_per_task);
}

// What pixels become that no tap reaches: the bias, and what the ending adds.
static inline void conv2d_gather_nothing(const GatherConv& conv, const Ending& ending, float* y) {
  if (!ending.b && ending.residual == y && ending.epilogue == Epilogue::none) return;
  parallel(conv.N * conv.grid_h, [&](std::int64_t task, int) {
    const std::int64_t n = task / conv.grid_h, i = task % conv.grid_h;
    const std::int64_t row = n * conv.out_h + conv.out_row_first + i * conv.out_row_step;
    std::int64_t pixel = (row * conv.out_w + conv.out_col_first) * conv.out_c + conv.out_channel_first;
    for (std::int64_t j = 0; j < conv.grid_w; ++j, pixel += conv.out_col_step * conv.out_c)
      for_each_lanes(conv.out_channels, [&](auto full, std::int64_t k, std::int64_t lanes) {
        const std::int64_t at = pixel + k;
        Vec sum = ending.b ? load_lanes(full, ending.b + k, lanes) : vzero();
        if (ending.residual) sum = sum + load_lanes(full, ending.residual + at, lanes);
        const auto gate = [&] { return load_lanes(full, ending.gate + at, lanes); };
        store_lanes(full, y + at, apply_ending(sum, ending, gate), lanes);
      });
  });
}

static void conv2d_gather(const GatherConv& conv, const float* x, const float* packed, const Ending& ending, float* y) {
  if (conv.n_taps == 0 && !ending.pool && !ending.moments) return conv2d_gather_nothing(conv, ending, y);
  // A task keeps its sums until they are pooled or spread.
  const bool keeps = ending.pool || conv.makes_cells();
  const bool stream = !keeps && conv2d_streams(conv, ending, y);
  const std::int64_t bands = ceil_div(conv.grid_h, conv.rows_per_task);
  const std::int64_t blocks = conv2d_moment_blocks(conv);
  const std::int64_t ranges = ceil_div(conv.out_channels, conv.channels_per_task);
  // Where the weights stay in each core's cache, a worker has pixels with all their channels, as the kernels before and
  // behind give them to it; else ranges of channels, whose weights are used by all blocks while they are in the cache.
  const bool by_pixels = conv.depth * conv.out_channels <= kConvOwnWeights;
  parallel(blocks * ranges, [&](std::int64_t task, int worker) {
    const std::int64_t block_index = by_pixels ? task / ranges : task % blocks;
    const std::int64_t first_channel = (by_pixels ? task % ranges : task / blocks) * conv.channels_per_task;
    const std::int64_t end_channel = min_of(first_channel + conv.channels_per_task, conv.out_channels);
    const std::int64_t n0 = block_index / bands * conv.images_per_task, i0 = block_index % bands * conv.rows_per_task;
    const std::int64_t images = min_of(conv.images_per_task, conv.N - n0);
    const std::int64_t band = min_of(conv.rows_per_task, conv.grid_h - i0);
    const std::int64_t rows = (band - 1) * conv.row_step + conv.row_last - conv.row_first + 1;
    const ConvBlock block = conv2d_block(conv, x, n0, images, i0 * conv.row_step + conv.row_first, rows, worker);
    const std::int64_t pixels = images * band * conv.grid_w;

    const float** xs = reinterpret_cast<const float**>(worker_scratch(worker, 1, pixels * 4));
    std::int64_t* ys = reinterpret_cast<std::int64_t*>(xs + pixels);
    const std::int64_t own_pitch = round_up(end_channel - first_channel, Vec::width);
    float* own = keeps ? worker_scratch(worker, 2, pixels * own_pitch + conv.out_channels) : nullptr;
    Ending tile_ending = conv.makes_cells() ? Ending{} : ending;
    if (conv.makes_cells() && ending.b) tile_ending.b = conv2d_cell_bias(conv, ending.b, own + pixels * own_pitch);
    // Locals: what is stored might otherwise be a field of conv, to be read again for each pixel. A column of pixels
    // becomes one line: a loop around a single pixel costs more than the pixel.
    const bool column = conv.grid_w == 1;
    const std::int64_t lines = column ? 1 : band, line = column ? band : conv.grid_w;
    const std::int64_t x_line_step = conv.row_step * block.row_pitch;
    const std::int64_t x_step = column ? x_line_step : conv.col_step * conv.block_c;
    const std::int64_t y_line_step = own ? conv.grid_w * own_pitch : conv.out_row_step * conv.out_w * conv.out_c;
    const std::int64_t y_step = column ? y_line_step : own ? own_pitch : conv.out_col_step * conv.out_c;
    std::int64_t m = 0;
    for (std::int64_t n = 0; n < images; ++n) {
      const std::int64_t row = (n0 + n) * conv.out_h + conv.out_row_first + i0 * conv.out_row_step;
      const std::int64_t begin = own ? m * own_pitch - first_channel
                                     : conv.out_channel_first + (row * conv.out_w + conv.out_col_first) * conv.out_c;
      for (std::int64_t i = 0; i < lines; ++i) {
        const float* x_line = block.data + n * block.image_pitch + i * x_line_step;
        const std::int64_t y_line = begin + i * y_line_step;
        for (std::int64_t j = 0; j < line; ++j, ++m) xs[m] = x_line + j * x_step, ys[m] = y_line + j * y_step;
      }
    }

    const BlockMoments moments = BlockMoments{ending.moments, conv.out_c}.of(block_index).at(conv.out_channel_first);
    const bool asks_for_pixels = conv2d_asks_for_pixels(conv, x_step);
    for (std::int64_t k0 = first_channel; k0 < end_channel; k0 += kTileCols)
      for (std::int64_t p = 0; p < conv.n_passes; ++p) {
        const ConvPass& pass = conv.passes[p];
        const float* panel = packed + k0 * conv.depth;
        const float* next_weights = panel + (pass.depth + pass.rows) * kTileCols;
        const bool last = p + 1 == conv.n_passes;
        ConvForwardTile tile{conv,
                             pass,
                             (own ? own : y) + k0,
                             conv2d_ending_from(tile_ending, k0),
                             moments.at(k0),
                             panel,
                             min_of(kTileCols, end_channel - k0),
                             p == 0,
                             last,
                             stream && last,
                             pass.rows <= kShortRun * (pass.end - pass.begin)};
        // A narrow panel is done before what it asks for is there: it does so only where it is the first that reads
        // pixels from memory, and would wait for each of them.
        const bool comes_first = k0 == first_channel && conv2d_reads_from_memory(conv);
        const bool asks = asks_for_pixels && (tile.cols == kTileCols || comes_first);
        even_tiles(pixels, [&](std::int64_t first, std::int64_t tile_rows) {
          const bool follows = first + 2 * tile_rows <= pixels;  // else the first one, of the next panel
          tile.x = xs + first, tile.at = ys + first, tile.opens_block = first == 0;
          tile.next = follows ? tile.at + tile_rows : nullptr;
          tile.next_x = !asks ? nullptr : follows ? tile.x + tile_rows : xs;
          tile.ahead = by_pixels ? nullptr : conv2d_ahead(next_weights, pass.rows, ceil_div(first, kTileRows));
          dispatch_tile(tile_rows, tile.cols, tile);
        });
      }
    if (moments.rows) count_moments(moments.at(first_channel), pixels, end_channel - first_channel);
    if (conv.makes_cells())
      conv2d_spread_cells(conv, ending, own, own_pitch, n0, images, i0, band, y);
    else if (own)
      conv2d_pool_band(conv, ending, own, own_pitch, n0, images, i0, band, first_channel, end_channel - first_channel,
                       y);
  });
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
