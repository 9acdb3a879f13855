// Where the elements of an implicit GEMM's operands and result lie. An operand is a matrix of outer indices (its rows)
// and inner ones, along which neighbours lie side by side in memory; an element's address is the sum of what its outer
// and its inner index say. Elements outside are zeros.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "fast_divisor.hpp"

namespace cnnfast::cuda::implicit_gemm {

constexpr int kOutside = -(1 << 30);  // a row that stays outside whatever is added to it once

// One axis of the windows: tap t at position i reads i * step + offset + t * offset_step of `in`.
struct WindowAxis {
  int in, step, offset, offset_step;

  WindowAxis() = default;
  explicit WindowAxis(const DepthwiseAxis& a)
      : in(static_cast<int>(a.in)),
        step(static_cast<int>(a.step)),
        offset(static_cast<int>(a.offset)),
        offset_step(static_cast<int>(a.offset_step)) {}
};

// Pixels of the result (outer) by taps and channels (inner): what each pixel's window reads of a tensor.
struct Window {
  struct Place {
    std::int64_t offset;
    int h, w;
  };
  WindowAxis rows, cols;
  FastDivisor image, row;          // pixels of the result in an image, in a row
  FastDivisor channels, tap_cols;  // inner indices of a tap, taps of a row
  int outer_count, inner_count;
  std::int64_t pixel_step;  // of the tensor read

  __device__ Place outer(int i) const {
    if (i >= outer_count) return {0, kOutside, 0};
    int n = i, p = image.split(n);
    const int q = row.split(p);
    const int h = p * rows.step + rows.offset, w = q * cols.step + cols.offset;
    return {((static_cast<std::int64_t>(n) * rows.in + h) * cols.in + w) * pixel_step, h, w};
  }
  __device__ Place inner(int j) const {
    if (j >= inner_count) return {0, kOutside, 0};
    int r = j;
    const int c = channels.split(r), s = tap_cols.split(r);
    const int h = r * rows.offset_step, w = s * cols.offset_step;
    return {(static_cast<std::int64_t>(h) * cols.in + w) * pixel_step + c, h, w};
  }
  __device__ bool inside(const Place& a, const Place& b) const {
    return static_cast<unsigned>(a.h + b.h) < static_cast<unsigned>(rows.in) &&
           static_cast<unsigned>(a.w + b.w) < static_cast<unsigned>(cols.in);
  }
};

// A matrix whose rows lie outer_step apart, and whose inner indices are those of one tap after the other.
struct Taps {
  struct Place {
    std::int64_t offset;
    bool inside;
  };
  int outer_count, inner_count;
  std::int64_t outer_step;
  FastDivisor channels, tap_cols;  // inner indices of a tap, taps of a row
  // Of tap 0, from row to row of taps, from tap to tap
  std::int64_t tap_first, tap_row_step, tap_col_step;

  __device__ Place outer(int i) const { return {i * outer_step, i < outer_count}; }
  __device__ Place inner(int j) const {
    int r = j;
    const int c = channels.split(r), s = tap_cols.split(r);
    return {tap_first + r * tap_row_step + s * tap_col_step + c, j < inner_count};
  }
  __device__ bool inside(const Place& a, const Place& b) const { return a.inside && b.inside; }
};

// Where the rows of the result lie, which are pixels.
struct Pixels {
  FastDivisor image, row;
  std::int64_t first, image_step, row_step, col_step;

  __device__ std::int64_t offset(int i) const {
    int n = i, p = image.split(n);
    const int q = row.split(p);
    return first + n * image_step + p * row_step + q * col_step;
  }
};

// One product: (m,k) times (k,n).
struct Product {
  int m, n, k;
  Window a;
  Taps b;
  Pixels y;
};

}  // namespace cnnfast::cuda::implicit_gemm
