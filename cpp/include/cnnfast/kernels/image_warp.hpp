// Affine warps of images (N,H,W,C): output pixel (p,q) is the input at (row, column) = M (p, q, 1), in pixels whose
// first has its centre at (0,0). Orders of interpolation and fill modes are those of scipy.ndimage.affine_transform.
#pragma once
#include <cstdint>

namespace cnnfast {

// What lies outside an image: its nearest pixel | a constant | its mirror image, the edge pixel repeated |
// the image again with a period of size - 1.
enum class FillMode : int { nearest = 0, constant = 1, reflect = 2, wrap = 3 };

struct WarpArgs {
  std::int64_t N, H, W, C, P, Q;  // at least one pixel to read; H * W below 2^31
  int order;                      // of the spline, 0 to 5
  FillMode fill;
  float cval;              // of FillMode::constant
  const double* matrices;  // (N,2,3)
  bool x_is_uint8, y_is_uint8;
  const void* x;
  void* y;                      // (N,P,Q,C), rounded and clipped where uint8
  const float *scale, *offset;  // (N,C): y = scale * result + offset; both null: not wanted
};

// The coefficients of a batch's splines, of orders from 2: an image is padded where its fill mode needs it.
struct SplineShape {
  std::int64_t pad, rows, cols;
  std::int64_t values(std::int64_t C) const { return rows * cols * C; }
};

struct ImageWarpKernels {
  // Bytes that `rows` needs of its own, aligned to 64.
  std::int64_t (*scratch_bytes)(const WarpArgs& args);
  // Output rows [first, last) of image n. coefficients: of this image, for orders from 2.
  void (*rows)(const WarpArgs& args, std::int64_t n, std::int64_t first, std::int64_t last, const double* coefficients,
               void* scratch);
  SplineShape (*spline_shape)(const WarpArgs& args);
  // The coefficients of image n.
  void (*prefilter)(const WarpArgs& args, std::int64_t n, double* coefficients);
};

}  // namespace cnnfast
