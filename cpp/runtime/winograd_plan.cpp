#include "winograd_plan.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <stdexcept>
#include <string>

#include "cnnfast/kernels.hpp"

namespace cnnfast {
namespace {

enum class ConvAlgorithm { automatic, direct, winograd, winograd4, winograd6 };
constexpr const char* kAlgorithms[] = {"auto", "direct", "winograd", "winograd4", "winograd6"};
std::atomic<ConvAlgorithm> chosen_algorithm{ConvAlgorithm::automatic};

constexpr std::int64_t kWinogradTasks = 8;   // at least, where the filters can be cut into so many ranges
constexpr std::int64_t kWinogradRange = 64;  // filters of a range
constexpr std::int64_t kWinogradOwnWeights = 64 * 64, kWinogradFewTiles = 4;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t n, std::int64_t unit) { return ceil_div(n, unit) * unit; }

// The nine taps are the 3x3 neighbourhood, and neighbouring outputs read neighbouring inputs.
bool fits_winograd(const GatherConv& g) {
  if (g.n_taps != 9 || g.row_step != 1 || g.col_step != 1 || g.out_row_step != 1 || g.out_col_step != 1) return false;
  if (g.row_last - g.row_first != 2 || g.col_last - g.col_first != 2) return false;
  for (std::int64_t tap = 0; tap < 9; ++tap)
    if (g.row_offset[tap * g.channels] != (tap / 3 * g.block_w + tap % 3) * g.block_c) return false;
  return true;
}

// Tiles of an image's rows or columns, and of the batch.
template <class Split>
void count_tiles(const GatherConv& g, std::int64_t tile, Split& s) {
  s.tile = tile;
  s.tile_rows = ceil_div(g.grid_h, tile), s.tile_cols = ceil_div(g.grid_w, tile);
  s.tiles = g.N * s.tile_rows * s.tile_cols;
}

// What transforms cost in multiplications of the register tile, fitted to measurements on Zen 4: of a point of a patch and
// a channel, by the tile's size, and of a point of a pair of channels' weights, which come from memory or, where all of them
// fit there, from the second-level cache.
constexpr double kPatchTransform4 = 8.0, kPatchTransform6 = 11.0, kWeightTransform = 14.0, kFewWeightsTransform = 4.0;
constexpr double kFewWeights = 256.0 * 1024.0;
// The sums of a weight gradient are kept for each point: those of 64 points leave the cache.
constexpr double kWeightGradient6 = 1.12;
constexpr std::int64_t kWinogradChannels = 16;  // fewer leave most lanes of a vector or most of the time to transforms

double winograd_cost(const GatherConv& g, std::int64_t tile) {
  const auto points = static_cast<double>((tile + 2) * (tile + 2));
  const auto tiles = static_cast<double>(g.N * ceil_div(g.grid_h, tile) * ceil_div(g.grid_w, tile));
  const auto C = static_cast<double>(g.channels), K = static_cast<double>(g.out_channels);
  const double patch = tile == 6 ? kPatchTransform6 : kPatchTransform4;
  const double weight = points * C * K <= kFewWeights ? kFewWeightsTransform : kWeightTransform;
  return points * (tiles * C * K + patch * tiles * (C + K) + weight * C * K);
}

double direct_cost(const GatherConv& g) {
  if (g.channels < kWinogradChannels || g.out_channels < kWinogradChannels) return 0.0;
  return 9.0 * static_cast<double>(g.N * g.grid_h * g.grid_w) * static_cast<double>(g.channels * g.out_channels);
}

// penalty: how much more a tile of 6 costs than the rule says.
std::int64_t choose_tile(const GatherConv& g, double penalty) {
  const ConvAlgorithm algorithm = chosen_algorithm;
  if (algorithm == ConvAlgorithm::direct || !fits_winograd(g)) return 0;
  if (algorithm == ConvAlgorithm::winograd4) return 4;
  if (algorithm == ConvAlgorithm::winograd6) return 6;
  const double cost4 = winograd_cost(g, 4), cost6 = winograd_cost(g, 6) * penalty;
  if (algorithm == ConvAlgorithm::automatic && direct_cost(g) <= std::min(cost4, cost6)) return 0;
  return cost6 < cost4 ? 6 : 4;
}

}  // namespace

const char* conv2d_algorithm() { return kAlgorithms[static_cast<std::size_t>(chosen_algorithm.load())]; }
void set_conv2d_algorithm(const std::string& name) {
  for (std::size_t i = 0; i < std::size(kAlgorithms); ++i)
    if (name == kAlgorithms[i]) {
      chosen_algorithm = static_cast<ConvAlgorithm>(i);
      return;
    }
  throw std::invalid_argument("conv2d algorithm: expected auto, direct, winograd, winograd4 or winograd6, got '" + name +
                              "'");
}

std::int64_t winograd_tile_size(const GatherConv& g) { return choose_tile(g, 1.0); }
std::int64_t winograd_weight_tile_size(const GatherConv& g) { return choose_tile(g, kWeightGradient6); }

WinogradSplit split_winograd(const GatherConv& g, std::int64_t tile) {
  WinogradSplit s{};
  count_tiles(g, tile, s);
  // Few tiles keep their transforms in the second-level cache; many share weights that come from farther away.
  const std::int64_t largest = g.channels * g.out_channels > 256 * 256 ? 72 : 24;
  s.blocks = std::max<std::int64_t>(1, ceil_div(s.tiles, largest));
  s.block_tiles = ceil_div(ceil_div(s.tiles, s.blocks), 12) * 12;  // whole register tiles with every instruction set
  s.blocks = std::max<std::int64_t>(1, ceil_div(s.tiles, s.block_tiles));
  // Weights that fit in each core's cache may be read by all, in blocks of fewer tiles: ranges of filters would write the
  // transformed input for each other.
  const std::int64_t wanted = std::min(s.tiles / kWinogradFewTiles, kWinogradTasks);
  if (s.blocks < wanted && g.channels * g.out_channels <= kWinogradOwnWeights) {
    s.block_tiles = ceil_div(s.tiles, wanted);
    s.blocks = ceil_div(s.tiles, s.block_tiles);
  }
  const std::int64_t ranges = std::min(ceil_div(kWinogradTasks, s.blocks), ceil_div(g.out_channels, kWinogradRange));
  s.range_filters = ceil_div(ceil_div(g.out_channels, ranges), kWinogradRange) * kWinogradRange;
  s.filter_ranges = ceil_div(g.out_channels, s.range_filters);
  return s;
}

WinogradWeightSplit split_winograd_backward_weight(const GatherConv& g, std::int64_t tile) {
  WinogradWeightSplit s{};
  count_tiles(g, tile, s);
  s.block_channels = std::min(g.channels, round_up(ceil_div(g.channels, ceil_div(g.channels, 128)), 12));
  s.block_filters = std::min(g.out_channels, round_up(ceil_div(g.out_channels, ceil_div(g.out_channels, 128)), 32));
  const std::int64_t parts = ceil_div(g.channels, s.block_channels) * ceil_div(g.out_channels, s.block_filters);
  s.slices = std::clamp(ceil_div(16, parts), std::int64_t{1}, std::max<std::int64_t>(1, s.tiles / 32));
  s.block_tiles = std::clamp<std::int64_t>(ceil_div(s.tiles, s.slices), 1, 64);
  return s;
}

}  // namespace cnnfast
