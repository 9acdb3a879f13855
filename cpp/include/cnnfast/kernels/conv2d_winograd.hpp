// Winograd's F(4x4,3x3) and F(6x6,3x3) for the gathers of conv2d.hpp whose nine taps are the 3x3 neighbours of a pixel:
// each tile of 4x4 of the output comes from a 6x6 patch of the input with 36 multiplications per pair of channels instead
// of 144, a tile of 6x6 from an 8x8 patch with 64 instead of 324 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015, section 4). Interpolation points 0, 1, -1, 1/2, -2 and infinity, which lose less precision than 0, +-1,
// +-2; and 0, +-1, +-2, +-1/2 and infinity.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/conv2d.hpp"

namespace cnnfast {

// How the work is cut. The transformed input of a block of tiles stays in a worker's scratch if one task uses it
// (filter_ranges == 1), else it is made once for all tasks, in the workspace.
struct WinogradSplit {
  std::int64_t tile;                          // rows and columns of one: 4 or 6
  std::int64_t tile_rows, tile_cols, tiles;   // of one image; of the batch
  std::int64_t block_tiles, blocks;           // tiles of a task
  std::int64_t filter_ranges, range_filters;  // output channels of a task
};

// The weight gradient's: tiles into slices with a partial sum each, channels into blocks.
struct WinogradWeightSplit {
  std::int64_t tile;
  std::int64_t tile_rows, tile_cols, tiles;
  std::int64_t block_tiles, slices;
  std::int64_t block_channels, block_filters;
};

struct Conv2dWinogradKernels {
  std::int64_t (*packed_floats)(const GatherConv& conv, const WinogradSplit& split);
  void (*pack)(const GatherConv& conv, const WinogradSplit& split, const float* w, float* packed);
  std::int64_t (*workspace_floats)(const GatherConv& conv, const WinogradSplit& split);
  void (*gather)(const GatherConv& conv, const WinogradSplit& split, const float* x, const float* packed,
                 const Ending& ending, float* y, float* workspace);
  // dw[row, k] as in Conv2dKernels; with several slices their sums meet in workspace, of slices * depth * out_channels
  // floats.
  void (*backward_weight)(const GatherConv& conv, const WinogradWeightSplit& split, const float* x, const float* dy,
                          float* dw, std::int64_t dw_pitch, float* workspace);
};

}  // namespace cnnfast
