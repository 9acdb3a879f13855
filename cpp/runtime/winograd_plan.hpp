// Which convolutions go through Winograd's algorithm (see cnnfast/kernels/conv2d_winograd.hpp), and how they are cut.
#pragma once
#include <optional>

#include "cnnfast/kernels/conv2d_winograd.hpp"

namespace cnnfast {

// The form of Winograd's algorithm by which a convolution or its weight gradient is cheapest, or which was asked for
// (see cnnfast/kernels.hpp) and fits; none: the direct algorithm.
std::optional<WinogradForm> winograd_form(const GatherConv& conv);
std::optional<WinogradForm> winograd_weight_form(const GatherConv& conv);
WinogradSplit split_winograd(const GatherConv& conv, const WinogradForm& form);
WinogradWeightSplit split_winograd_backward_weight(const GatherConv& conv, const WinogradForm& form);

}  // namespace cnnfast
