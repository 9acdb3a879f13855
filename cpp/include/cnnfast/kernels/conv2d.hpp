// Convolution as a gather: each output pixel sums, over a list of taps, a run of input floats times a block of weights.
// The forward pass is one such gather per group; the input gradient is one per group and per residue of the stride
// (the sub-pixel decomposition of a transposed convolution), so no zeros are ever multiplied. Where the result has so
// few channels that they leave most lanes of a vector empty, one gather makes cells of several pixels instead, whose
// channels lie side by side as those of one pixel; a tap that some pixel of the cell has no use for meets zeros there.
// What is not finite makes NaN of all pixels of the cells it reaches, then, as with Winograd's algorithm.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"

namespace cnnfast {

// `length` consecutive floats of the input block, from `offset`, meet the weight rows from `depth` on.
struct ConvRun {
  std::int64_t offset, depth, length;
};

// Runs [begin, end): together so few weight rows that a panel of them stays in the first-level cache. They are the
// `rows` from `depth` on.
struct ConvPass {
  std::int64_t begin, end, depth, rows;
};

struct ConvTap {
  std::int64_t weight;  // index of the tap's first weight in w; negative: zeros
};

struct GatherConv {
  // Read: output pixel (i,j) reads rows i*row_step + [row_first, row_last], columns j*col_step + [col_first, col_last],
  // channels [channel_first, channel_first + channels) of a tensor (N, in_h, in_w, in_c).
  std::int64_t N, in_h, in_w, in_c, channel_first, channels;
  std::int64_t row_step, col_step, row_first, row_last, col_first, col_last;
  bool padded;                    // some tap leaves the tensor: a gather copies rows into a zero-padded block first
  std::int64_t block_w, block_c;  // columns and channels of the block that is read (the tensor itself if not padded)
  // Write: pixel (i,j) of the grid is pixel (out_row_first + i*out_row_step, ...) of a tensor (N, out_h, out_w, out_c).
  std::int64_t grid_h, grid_w, out_h, out_w, out_c, out_channel_first, out_channels;
  std::int64_t out_row_first, out_col_first, out_row_step, out_col_step;
  // Or, if this is not 1 x 1, the cell of pixels from (i*cell_h, j*cell_w) on, as far as they lie within that tensor:
  // out_channels are then those of all pixels of a cell, and all the tensor's.
  std::int64_t cell_h = 1, cell_w = 1;
  bool makes_cells() const { return cell_h * cell_w > 1; }
  // Reduce.
  std::int64_t depth;   // taps * channels
  const ConvTap* taps;  // n_taps, each with one weight for each pixel of a cell
  std::int64_t n_taps;
  const ConvRun* runs;
  const ConvPass* passes;
  std::int64_t n_passes;
  const std::int64_t* row_offset;                // for each weight row, where in the block its input float lies
  std::int64_t weight_in_step, weight_out_step;  // steps in w between input and between output channels
  // Work: a task is rows_per_task rows of one image or, when that is all of them, images_per_task images, and
  // channels_per_task output channels, a multiple of 32.
  std::int64_t rows_per_task, images_per_task, channels_per_task;
};

// How a weight gradient is cut: rows of output pixels, counted through all images, into slices with a partial sum each,
// weight rows into row_splits, filters into filter_splits; a task walks its rows of pixels in bands of band_rows.
struct WeightSplit {
  std::int64_t slices, row_splits, filter_splits, band_rows;
};

// A tensor that a convolution reads. With argmax it is the gradient that a max-pooling of 2x2 sends back: data and
// argmax have a pixel for each 2x2, whose value goes to that of the four (0 to 3) which argmax says, 0 to the others
// and to rows and columns past the last whole four.
struct ConvInput {
  const float* data;
  const std::uint8_t* argmax = nullptr;
};

struct Conv2dKernels {
  std::int64_t (*packed_floats)(const GatherConv& conv);
  void (*pack)(const GatherConv& conv, const float* w, float* packed);
  // Blocks whose moments an Ending may want are those of pixels that tasks are cut into.
  std::int64_t (*moment_blocks)(const GatherConv& conv);
  void (*gather)(const GatherConv& conv, const float* x, const float* packed, const Ending& ending, float* y);
  // dw[row, k] for the forward gather `conv`; dw has row pitch dw_pitch. The partial sums of split.slices > 1 meet in
  // workspace, of slices * depth * out_channels floats.
  void (*backward_weight)(const GatherConv& conv, const WeightSplit& split, const float* x, const ConvInput& dy,
                          float* dw, std::int64_t dw_pitch, float* workspace);
};

}  // namespace cnnfast
