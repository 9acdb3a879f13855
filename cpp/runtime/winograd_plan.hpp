// Which convolutions go through Winograd's algorithm (see cnnfast/kernels/conv2d_winograd.hpp), and how they are cut.
#pragma once
#include "cnnfast/kernels/conv2d_winograd.hpp"

namespace cnnfast {

// The tile of Winograd's algorithm, 4 or 6, by which a convolution or its weight gradient is cheapest, or which was asked
// for (see cnnfast/kernels.hpp) and fits; 0: the direct algorithm.
std::int64_t winograd_tile_size(const GatherConv& conv);
std::int64_t winograd_weight_tile_size(const GatherConv& conv);
WinogradSplit split_winograd(const GatherConv& conv, std::int64_t tile);
WinogradWeightSplit split_winograd_backward_weight(const GatherConv& conv, std::int64_t tile);

}  // namespace cnnfast
