// Winograd's minimal filtering for the gathers of conv2d.hpp whose taps are neighbours: each tile of outputs comes from
// a patch of the input by one multiplication a point of the patch and pair of channels (Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2015, section 4). Forms, each way of a tile:
//
//   outputs  taps  stride  points   multiplications    interpolation points, besides infinity
//   4        3     1       6        36 for 144         0, 1, -1, 1/2, -2: more precise than 0, +-1, +-2
//   6        3     1       8        64 for 324         0, +-1, +-2, +-1/2
//   4        5     1       8        64 for 400         the same
//   4        2     1       5        25 for 64          0, 1, -1, 1/2
//   4        3     2       9        81 for 144         even inputs as with 2 taps, odd ones meet the middle tap
#pragma once
#include <cstdint>

#include "cnnfast/kernels/conv2d.hpp"

namespace cnnfast {

struct WinogradForm {
  std::int64_t tile, taps, stride;  // of rows as of columns

  std::int64_t patch() const { return (tile - 1) * stride + taps; }  // inputs of a tile, and points
  std::int64_t points() const { return patch() * patch(); }
  std::int64_t weights() const { return stride == 1 ? patch() : 6; }  // transformed taps: points may share them
};

// How the work is cut. The transformed input of a block of tiles stays in a worker's scratch if one task uses it
// (filter_ranges == 1), else it is made once for all tasks, in the workspace.
struct WinogradSplit {
  WinogradForm form;
  std::int64_t tile_rows, tile_cols, tiles;   // of one image; of the batch
  std::int64_t block_tiles, blocks;           // tiles of a task
  std::int64_t filter_ranges, range_filters;  // output channels of a task
};

// The weight gradient's: tiles into slices with a partial sum each, channels into blocks.
struct WinogradWeightSplit {
  WinogradForm form;
  std::int64_t tile_rows, tile_cols, tiles;
  std::int64_t block_tiles, slices;
  std::int64_t block_channels, block_filters;
};

struct Conv2dWinogradKernels {
  std::int64_t (*packed_floats)(const GatherConv& conv, const WinogradSplit& split);
  void (*pack)(const GatherConv& conv, const WinogradSplit& split, const float* w, float* packed);
  std::int64_t (*workspace_floats)(const GatherConv& conv, const WinogradSplit& split);
  void (*gather)(const GatherConv& conv, const WinogradSplit& split, const ConvInput& x, const float* packed,
                 const Ending& ending, float* y, float* workspace);
  // dw[row, k] as in Conv2dKernels; with several slices their sums meet in workspace, of slices * depth * out_channels
  // floats.
  void (*backward_weight)(const GatherConv& conv, const WinogradWeightSplit& split, const float* x, const ConvInput& dy,
                          float* dw, std::int64_t dw_pitch, float* workspace);
};

}  // namespace cnnfast
