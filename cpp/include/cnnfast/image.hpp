// Work on images outside of any Program.
#pragma once
#include "cnnfast/kernels/image_warp.hpp"

namespace cnnfast {

// Warps a batch on all workers, or on the calling thread alone, which then waits for nobody: several threads may do so
// at once. The same bits either way.
void warp_images(const WarpArgs& args, bool alone);

}  // namespace cnnfast
