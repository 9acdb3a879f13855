#include "winograd_plan.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>

#include "cnnfast/kernels.hpp"
#include "rounding.hpp"

namespace cnnfast {
namespace {

enum class ConvAlgorithm { automatic, direct, winograd, winograd4, winograd6 };
constexpr const char* kAlgorithms[] = {"auto", "direct", "winograd", "winograd4", "winograd6"};
std::atomic<ConvAlgorithm> chosen_algorithm{ConvAlgorithm::automatic};

constexpr std::int64_t kWinogradTasks = 8;   // at least, where the filters can be cut into so many ranges
constexpr std::int64_t kWinogradRange = 64;  // filters of a range
// Channels and filters of a weight gradient's block, rounded up to whole register tiles: a block's sums (36 points: 0.7
// MB) are read and written once for each block of tiles, and twice as many of each would leave a core's cache for good.
constexpr std::int64_t kWinogradBlock = 64;
constexpr std::int64_t kWinogradOwnWeights = 64 * 64, kWinogradFewTiles = 4;

constexpr WinogradForm kForms[] = {{4, 3, 1}, {6, 3, 1}, {4, 5, 1}, {4, 2, 1}, {4, 3, 2}};

// The taps are a square of neighbours, and outputs as far apart as the form says.
bool fits(const GatherConv& g, const WinogradForm& form) {
  const std::int64_t taps = form.taps;
  if (g.makes_cells()) return false;
  if (g.n_taps != taps * taps || g.row_step != form.stride || g.col_step != form.stride) return false;
  if (g.row_last - g.row_first != taps - 1 || g.col_last - g.col_first != taps - 1) return false;
  for (std::int64_t tap = 0; tap < g.n_taps; ++tap)
    if (g.row_offset[tap * g.channels] != (tap / taps * g.block_w + tap % taps) * g.block_c) return false;
  return true;
}

// Tiles of an image's rows or columns, and of the batch.
template <class Split>
void count_tiles(const GatherConv& g, const WinogradForm& form, Split& s) {
  s.form = form;
  s.tile_rows = ceil_div(g.grid_h, form.tile), s.tile_cols = ceil_div(g.grid_w, form.tile);
  s.tiles = g.N * s.tile_rows * s.tile_cols;
}

// What transforms cost in multiplications of the register tile, fitted to measurements on Zen 4: of a point of a patch
// and a channel, for small and large patches, and of a transformed weight, which comes from memory or, where all of
// them fit there, from the second-level cache.
constexpr double kSmallPatchTransform = 8.0, kLargePatchTransform = 11.0;
constexpr double kWeightTransform = 14.0, kFewWeightsTransform = 4.0, kFewWeights = 256.0 * 1024.0;
// Forms with a stride have so many points that the patches of many channels leave the cache.
constexpr double kStridedManyChannels = 1.3;
constexpr std::int64_t kManyChannels = 128;
// Large patches' transforms of both operands of a weight gradient leave the cache.
constexpr double kLargePatchGradient = 1.12;
constexpr std::int64_t kWinogradChannels = 16;  // fewer leave most lanes of a vector or most of the time to transforms

double winograd_cost(const GatherConv& g, const WinogradForm& form) {
  const auto points = static_cast<double>(form.points());
  const auto tiles = static_cast<double>(g.N * ceil_div(g.grid_h, form.tile) * ceil_div(g.grid_w, form.tile));
  const auto C = static_cast<double>(g.channels), K = static_cast<double>(g.out_channels);
  const double patch = form.patch() > 6 ? kLargePatchTransform : kSmallPatchTransform;
  const double weights = static_cast<double>(form.weights() * form.weights()) * C * K;
  const double weight = weights <= kFewWeights ? kFewWeightsTransform : kWeightTransform;
  const double spill = form.stride > 1 && g.channels > kManyChannels ? kStridedManyChannels : 1.0;
  return spill * points * tiles * (C * K + patch * (C + K)) + weight * weights;
}

double direct_cost(const GatherConv& g) {
  if (g.channels < kWinogradChannels || g.out_channels < kWinogradChannels) return 0.0;
  return static_cast<double>(g.n_taps * g.N * g.grid_h * g.grid_w) * static_cast<double>(g.channels * g.out_channels);
}

bool few_channels(const GatherConv& g) { return std::max(g.channels, g.out_channels) < 64; }

// large: how much more forms with large patches cost than the rule says.
std::optional<WinogradForm> choose(const GatherConv& g, double large) {
  const ConvAlgorithm algorithm = chosen_algorithm;
  if (algorithm == ConvAlgorithm::direct) return std::nullopt;
  double cost = algorithm == ConvAlgorithm::automatic ? direct_cost(g) : HUGE_VAL;
  std::optional<WinogradForm> best;
  for (const WinogradForm& form : kForms) {
    if (!fits(g, form)) continue;
    const bool both_tiles = form.taps == 3 && form.stride == 1;  // only these can be had with either
    if (both_tiles && algorithm == ConvAlgorithm::winograd4 && form.tile != 4) continue;
    if (both_tiles && algorithm == ConvAlgorithm::winograd6 && form.tile != 6) continue;
    // Tiles of 6 round more coarsely, and gain little where channels are few.
    if (both_tiles && form.tile == 6 && algorithm == ConvAlgorithm::automatic && few_channels(g)) continue;
    const double other = winograd_cost(g, form) * (form.patch() > 6 ? large : 1.0);
    if (other < cost) best = form, cost = other;
  }
  return best;
}

}  // namespace

const char* conv2d_algorithm() { return kAlgorithms[static_cast<std::size_t>(chosen_algorithm.load())]; }
void set_conv2d_algorithm(const std::string& name) {
  for (std::size_t i = 0; i < std::size(kAlgorithms); ++i)
    if (name == kAlgorithms[i]) {
      chosen_algorithm = static_cast<ConvAlgorithm>(i);
      return;
    }
  throw std::invalid_argument("conv2d algorithm: expected auto, direct, winograd, winograd4 or winograd6, got '" +
                              name + "'");
}

std::optional<WinogradForm> winograd_form(const GatherConv& g) { return choose(g, 1.0); }
std::optional<WinogradForm> winograd_weight_form(const GatherConv& g) { return choose(g, kLargePatchGradient); }

WinogradSplit split_winograd(const GatherConv& g, const WinogradForm& form) {
  WinogradSplit s{};
  count_tiles(g, form, s);
  // Few tiles keep their transforms in the second-level cache; many share weights that come from farther away.
  const std::int64_t largest = g.channels * g.out_channels > 256 * 256 ? 72 : 24;
  s.blocks = std::max<std::int64_t>(1, ceil_div(s.tiles, largest));
  s.block_tiles = ceil_div(ceil_div(s.tiles, s.blocks), 12) * 12;  // whole register tiles with every instruction set
  s.blocks = std::max<std::int64_t>(1, ceil_div(s.tiles, s.block_tiles));
  // Weights that fit in each core's cache may be read by all, in blocks of fewer tiles: ranges of filters would write
  // the transformed input for each other.
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

WinogradWeightSplit split_winograd_backward_weight(const GatherConv& g, const WinogradForm& form) {
  WinogradWeightSplit s{};
  count_tiles(g, form, s);
  s.block_channels = std::min(g.channels, round_up(ceil_div(g.channels, ceil_div(g.channels, kWinogradBlock)), 12));
  s.block_filters =
      std::min(g.out_channels, round_up(ceil_div(g.out_channels, ceil_div(g.out_channels, kWinogradBlock)), 32));
  const std::int64_t parts = ceil_div(g.channels, s.block_channels) * ceil_div(g.out_channels, s.block_filters);
  s.slices = std::clamp(ceil_div(16, parts), std::int64_t{1}, std::max<std::int64_t>(1, s.tiles / 32));
  s.block_tiles = std::clamp<std::int64_t>(ceil_div(s.tiles, s.slices), 1, 64);
  return s;
}

}  // namespace cnnfast
