// Affine warps (see cnnfast/kernels/image_warp.hpp): chunks of an output row are interpolated into floats, then scaled,
// rounded and stored.
#pragma once
#include "image_linear.hpp"
#include "image_spline.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Of a chunk: interpolated values (an octet may write one too many), scale and offset of each, and what they make of
// it.
struct WarpScratch {
  std::int64_t pixels;  // of a chunk
  float *values, *scale, *offset, *scaled;
};

static inline std::int64_t chunk_values(const WarpArgs& a) { return (min_of(kChunk, a.Q) * a.C + 16) / 16 * 16; }

static std::int64_t warp_scratch_bytes(const WarpArgs& a) {
  return 4 * chunk_values(a) * static_cast<std::int64_t>(sizeof(float));
}

// y = values * scale + offset. The pointers are apart, which compilers must know to vectorize this.
static inline void scale_values(const float* __restrict values, const float* __restrict scale,
                                const float* __restrict offset, std::int64_t count, float* __restrict y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = values[i] * scale[i] + offset[i];
}
// To the nearest, upwards from the middle; what is not a number becomes 0.
static inline void round_values(const float* __restrict values, std::int64_t count, std::uint8_t* __restrict y) {
  for (std::int64_t i = 0; i < count; ++i) {
    float v = values[i] > 0.0f ? values[i] : 0.0f;
    v = v < 255.0f ? v + 0.5f : 255.0f;
    y[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(v));
  }
}

static inline void store(const WarpScratch& s, std::int64_t count, bool scaled, float* y) {
  if (scaled)
    scale_values(s.values, s.scale, s.offset, count, y);
  else
    for (std::int64_t i = 0; i < count; ++i) y[i] = s.values[i];
}
static inline void store(const WarpScratch& s, std::int64_t count, bool scaled, std::uint8_t* y) {
  if (!scaled) return round_values(s.values, count, y);
  scale_values(s.values, s.scale, s.offset, count, s.scaled);
  round_values(s.scaled, count, y);
}

template <class T>
static void warp_rows_to(const WarpArgs& a, std::int64_t n, std::int64_t first, std::int64_t last,
                         const double* coefficients, const WarpScratch& s, T* y) {
  const int order = maps_to_pixels(a.matrices + 6 * n) ? 0 : a.order;
  const bool scaled = a.scale != nullptr;
  const SplineChunk spline = order > 1 ? spline_chunk_of(order, a.C) : nullptr;
  for (std::int64_t p = first; p < last; ++p)
    for (std::int64_t q = 0; q < a.Q; q += s.pixels) {
      const std::int64_t count = min_of(s.pixels, a.Q - q);
      if (spline)
        spline(a, n, p, q, count, coefficients, s.values);
      else if (a.x_is_uint8)
        linear_chunk<std::uint8_t>(a, order, n, p, q, count, s.values);
      else
        linear_chunk<float>(a, order, n, p, q, count, s.values);
      store(s, count * a.C, scaled, y + ((n * a.P + p) * a.Q + q) * a.C);
    }
}

static void warp_rows(const WarpArgs& a, std::int64_t n, std::int64_t first, std::int64_t last,
                      const double* coefficients, void* scratch) {
  const std::int64_t each = chunk_values(a);
  auto* values = static_cast<float*>(scratch);
  const WarpScratch s{min_of(kChunk, a.Q), values, values + each, values + 2 * each, values + 3 * each};
  if (a.scale)
    for (std::int64_t i = 0; i < s.pixels; ++i)
      for (std::int64_t c = 0; c < a.C; ++c) {
        s.scale[i * a.C + c] = a.scale[n * a.C + c];
        s.offset[i * a.C + c] = a.offset[n * a.C + c];
      }
  if (a.y_is_uint8)
    warp_rows_to(a, n, first, last, coefficients, s, static_cast<std::uint8_t*>(a.y));
  else
    warp_rows_to(a, n, first, last, coefficients, s, static_cast<float*>(a.y));
}

extern const ImageWarpKernels image_warp_kernels;
const ImageWarpKernels image_warp_kernels = {warp_scratch_bytes, warp_rows, spline_shape, spline_prefilter};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
