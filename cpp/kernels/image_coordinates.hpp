// Where the pixels of an output row come from, and what lies outside an image.
#pragma once
#include <cmath>
#include <cstdint>

#include "cnnfast/kernels/image_warp.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Output pixels are computed some at a time: what is known of them stays in the first-level cache.
static constexpr std::int64_t kChunk = 64;

static inline std::int64_t min_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
static inline std::int64_t max_of(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// c[i] = the coordinate of output pixel (p, q + i): a row of the matrix times it. Summed and rounded in SciPy's
// order: which pixel is the nearest, or whether one is outside, may hang on the last bit.
static inline void coordinates(const double* m, std::int64_t p, std::int64_t q, std::int64_t count, double* c) {
  const double start = m[2] + static_cast<double>(p) * m[0];
  for (std::int64_t i = 0; i < count; ++i)
    c[i] = start + static_cast<double>(static_cast<std::int32_t>(q + i)) * m[1];
}

static inline bool is_inside(double c, double last) { return c >= 0.0 && c <= last; }

// Coordinates along a row rise or fall throughout: the first and the last speak for all.
static inline bool all_inside(const double* c, std::int64_t count, double last) {
  return is_inside(c[0], last) && is_inside(c[count - 1], last);
}

// What is not a number becomes 0.
static inline double clamp_coordinate(double c, double last) {
  c = c > 0.0 ? c : 0.0;
  return c < last ? c : last;
}

// A coordinate outside [0, size - 1] of an image, moved to where the same content is: with `reflect` into (-1, size),
// where the first half pixel and the last are constant, with `wrap` into [0, size - 1].
static inline double reflect_coordinate(double c, double size) {
  if (size <= 1.0) return 0.0;
  const double period = 2.0 * size;
  if (c < 0.0) {
    if (c < -period) c = period * ::trunc(-c / period) + c;
    return c < -size ? c + period : -c - 1.0;
  }
  c -= period * ::trunc(c / period);
  return c >= size ? period - c - 1.0 : c;
}
static inline double wrap_coordinate(double c, double size) {
  if (size <= 1.0) return 0.0;
  const double period = size - 1.0;
  return c < 0.0 ? c + period * (::trunc(-c / period) + 1.0) : c - period * ::trunc(c / period);
}

static inline double inner_coordinate(FillMode fill, double c, double size) {
  if (is_inside(c, size - 1.0)) return c;
  if (fill == FillMode::reflect) return reflect_coordinate(c, size);
  return fill == FillMode::wrap ? wrap_coordinate(c, size) : clamp_coordinate(c, size - 1.0);
}

// A matrix of whole numbers maps pixels to pixels: no order of interpolation makes a difference.
static inline bool maps_to_pixels(const double* m) {
  for (int i = 0; i < 6; ++i)
    if (m[i] != ::floor(m[i]) || ::fabs(m[i]) > 0x1p40) return false;
  return true;
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
