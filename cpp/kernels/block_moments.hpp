// The moments of what a convolution makes, block by block, taken while the results are in registers: batch
// normalization then need not read them for its mean and variance (see cnnfast/kernels/norm.hpp for how it joins them).
#pragma once
#include "cnnfast/kernels/norm.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// The rows of one block, `pitch` floats apart. Sums are of differences from the block's first result, so that they are
// exact also where results are far from 0: one of n numbers is at most sqrt(n) standard deviations from their mean
// (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983, section 3).
struct BlockMoments {
  float* rows;  // null: not wanted
  std::int64_t pitch;

  BlockMoments of(std::int64_t block) const { return at(kMomentRows * block * pitch); }
  BlockMoments at(std::int64_t channel) const { return {rows ? rows + channel : nullptr, pitch}; }
};

// Adds a tile of a block's results; the first result of the block's first tile is the shift.
template <int MR, int NV, bool PARTIAL>
[[gnu::always_inline]] static inline void add_moments(const Tile<MR, NV>& tile, const BlockMoments& moments, bool first,
                                                      std::int64_t cols) {
  float *shifts = moments.rows, *sums = shifts + moments.pitch, *squares = sums + moments.pitch;
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    const Vec shift = first ? tile.acc[0][v] : load_cols<NV, PARTIAL>(shifts, v, cols);
    Vec sum = vzero(), square = vzero();
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec d = tile.acc[i][v] - shift;
      sum = sum + d;
      square = vfma(d, d, square);
    }
    if (first) {
      store_cols<NV, PARTIAL>(shifts, v, shift, cols);
    } else {
      sum = sum + load_cols<NV, PARTIAL>(sums, v, cols);
      square = square + load_cols<NV, PARTIAL>(squares, v, cols);
    }
    store_cols<NV, PARTIAL>(sums, v, sum, cols);
    store_cols<NV, PARTIAL>(squares, v, square, cols);
  }
}

// The last row: how many results of each channel were added.
static inline void count_moments(const BlockMoments& moments, std::int64_t pixels, std::int64_t channels) {
  float* counts = moments.rows + 3 * moments.pitch;
  for (std::int64_t k = 0; k < channels; ++k) counts[k] = static_cast<float>(pixels);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
