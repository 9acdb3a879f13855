// Enlarging images by whole factors: x (N,H,W,C), y (N,P,Q,C) with P = H * factor_h, Q = W * factor_w.
#pragma once
#include <cstdint>

namespace cnnfast {

struct UpsampleShape {
  std::int64_t N, H, W, C, factor_h, factor_w;
};

struct ResizeKernels {
  void (*upsample_nearest)(const UpsampleShape& s, const float* x, float* y);
  void (*upsample_nearest_backward)(const UpsampleShape& s, const float* dy, float* dx);
  // Bilinear, between pixel centres: output p looks at (p + 1/2) / factor - 1/2, clamped to the image.
  void (*upsample_bilinear)(const UpsampleShape& s, const float* x, float* y);
  void (*upsample_bilinear_backward)(const UpsampleShape& s, const float* dy, float* dx);
};

}  // namespace cnnfast
