// The gradient that a max-pooling of 2x2 sends back, read where it is needed instead of made: see ConvInput in
// cnnfast/kernels/conv2d.hpp.
#pragma once
#include "cnnfast/kernels/conv2d.hpp"
#include "lanes.hpp"
#include "largest.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// A vector of channels of 2x2 pixels.
struct UnpooledWindow {
  Vec dy, where;

  template <class Full>
  UnpooledWindow(Full full, const ConvInput& pooled, std::int64_t at, std::int64_t lanes)
      : dy(load_lanes(full, pooled.data + at, lanes)), where(load_positions(pooled.argmax + at, lanes)) {}

  // Positions are whole numbers: equal means less than a half apart.
  Vec at(std::int64_t position) const {
    return vselect_gt(vset(0.5f), vabs(where - vset(static_cast<float>(position))), dy, vzero());
  }
};

static inline std::int64_t unpooled_at(std::int64_t n, std::int64_t i, std::int64_t j, std::int64_t h, std::int64_t w,
                                       std::int64_t pitch) {
  return ((n * (h / 2) + i / 2) * (w / 2) + j / 2) * pitch;
}

// Calls f(i, j) for the first pixels of the windows that meet `size` x `size` pixels from (row, col) on of an image of
// h x w.
template <class F>
static inline void for_each_window(std::int64_t row, std::int64_t col, std::int64_t size, std::int64_t h,
                                   std::int64_t w, const F& f) {
  const std::int64_t first_row = row < 0 ? 0 : row / 2 * 2, first_col = col < 0 ? 0 : col / 2 * 2;
  for (std::int64_t i = first_row; i < row + size && i + 1 < h; i += 2)
    for (std::int64_t j = first_col; j < col + size && j + 1 < w; j += 2) f(i, j);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
