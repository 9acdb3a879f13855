// Warps that read the nearest pixel (order 0) or mix the nearest four (order 1). Whatever the fill mode, an outer
// coordinate becomes an inner one first, so that all pixels are read alike.
#pragma once
#include "image_coordinates.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Pixel (row, column) of the image as row * W + column, and how much of it, of its neighbours to the right and below.
struct Reads {
  alignas(64) std::int32_t pixel[kChunk];
  alignas(64) float up[kChunk], down[kChunk], left[kChunk], right[kChunk];
  bool outside[kChunk];  // takes the constant
  bool any_outside;
};

// Makes c inner coordinates; where the fill mode is constant, marks those outside.
static inline void bring_inside(FillMode fill, std::int64_t size, std::int64_t count, double* c, Reads& reads) {
  const double last = static_cast<double>(size - 1);
  if (all_inside(c, count, last)) return;
  if (fill == FillMode::constant) {
    if (!reads.any_outside)
      for (std::int64_t i = 0; i < count; ++i) reads.outside[i] = false;
    reads.any_outside = true;
    for (std::int64_t i = 0; i < count; ++i) reads.outside[i] |= !is_inside(c[i], last);
  }
  if (fill == FillMode::reflect || fill == FillMode::wrap)
    for (std::int64_t i = 0; i < count; ++i) c[i] = inner_coordinate(fill, c[i], static_cast<double>(size));
  for (std::int64_t i = 0; i < count; ++i) c[i] = clamp_coordinate(c[i], last);
}

// lo[i] and how much of it and of its successor; the last pixel is all of the successor of the one before it. Loops of
// one kind of number each: compilers vectorize these.
static inline void split(std::int64_t size, std::int64_t count, double* __restrict c, std::int32_t* __restrict lo,
                         float* __restrict w_lo, float* __restrict w_hi) {
  const auto last = static_cast<std::int32_t>(max_of(size - 2, 0));
  const int n = static_cast<int>(count);
  for (int i = 0; i < n; ++i) {
    const auto whole = static_cast<std::int32_t>(c[i]);
    lo[i] = whole < last ? whole : last;
  }
  for (int i = 0; i < n; ++i) c[i] -= lo[i];
  for (int i = 0; i < n; ++i) w_hi[i] = static_cast<float>(c[i]);
  for (int i = 0; i < n; ++i) w_lo[i] = 1.0f - w_hi[i];
}

static inline void read_plan(const WarpArgs& a, int order, const double* m, std::int64_t p, std::int64_t q,
                             std::int64_t count, Reads& reads) {
  alignas(64) double c[kChunk];
  alignas(64) std::int32_t row[kChunk], col[kChunk];
  reads.any_outside = false;
  const auto plan = [&](const double* line, std::int64_t size, std::int32_t* lo, float* w_lo, float* w_hi) {
    coordinates(line, p, q, count, c);
    bring_inside(a.fill, size, count, c, reads);
    if (order == 0)
      for (std::int64_t i = 0; i < count; ++i) lo[i] = static_cast<std::int32_t>(c[i] + 0.5);
    else
      split(size, count, c, lo, w_lo, w_hi);
  };
  plan(m, a.H, row, reads.up, reads.down);
  plan(m + 3, a.W, col, reads.left, reads.right);
  const auto W = static_cast<std::int32_t>(a.W);
  for (std::int64_t i = 0; i < count; ++i) reads.pixel[i] = row[i] * W + col[i];
}

// One image: its pixels, how many values can be read from there on, and where neighbours are.
template <class T>
struct Source {
  const T* x;
  std::int64_t values, down, right;
};

// Whether eight values can be read from every pixel (and from that below): an octet takes two pixels and up to two
// values more.
template <class T>
static inline bool octets_fit(const Source<T>& s, const Reads& reads, std::int64_t count, std::int64_t C) {
  std::int32_t most = 0;
  for (std::int64_t i = 0; i < count; ++i) most = reads.pixel[i] > most ? reads.pixel[i] : most;
  return most * C + s.down + 8 <= s.values;
}

// y (count, C) = the pixels of the plan. Channels: C where the compiler knows it, else 0.
template <int Channels, class T>
static inline void nearest_any(const Source<T>& s, const Reads& reads, std::int64_t count, std::int64_t C, float* y) {
  if (Channels > 0) C = Channels;
  for (std::int64_t i = 0; i < count; ++i) {
    const T* x = s.x + reads.pixel[i] * C;
    for (std::int64_t c = 0; c < C; ++c) y[i * C + c] = static_cast<float>(x[c]);
  }
}
template <int Channels, class T>
static inline void linear_any(const Source<T>& s, const Reads& reads, std::int64_t count, std::int64_t C, float* y) {
  if (Channels > 0) C = Channels;
  for (std::int64_t i = 0; i < count; ++i) {
    const T *x = s.x + reads.pixel[i] * C, *below = x + s.down;
    const float up = reads.up[i], down = reads.down[i], left = reads.left[i], right = reads.right[i];
    for (std::int64_t c = 0; c < C; ++c) {
      const float a = mix_one(static_cast<float>(x[c]), static_cast<float>(below[c]), up, down);
      const float b = mix_one(static_cast<float>(x[c + s.right]), static_cast<float>(below[c + s.right]), up, down);
      y[i * C + c] = mix_one(a, b, left, right);
    }
  }
}

// The same, by octets: y has room for a value more.
template <int C, class T>
static inline void nearest_octets(const Source<T>& s, const Reads& reads, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i)
    ostore_pixel<C>(y + i * C, oload(s.x + static_cast<std::int64_t>(reads.pixel[i]) * C));
}
template <int C, class T>
static inline void linear_octets(const Source<T>& s, const Reads& reads, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T* x = s.x + static_cast<std::int64_t>(reads.pixel[i]) * C;
    ostore_mixed<C>(y + i * C, omix(oload(x), oload(x + s.down), reads.up[i], reads.down[i]), reads.left[i],
                    reads.right[i]);
  }
}

template <int Channels, class T>
static inline void read_pixels(const Source<T>& s, int order, const Reads& reads, std::int64_t count, std::int64_t C,
                               float* y) {
  if constexpr (Channels == 3 || Channels == 4) {
    if (s.right > 0 && octets_fit(s, reads, count, C))
      return order == 0 ? nearest_octets<Channels>(s, reads, count, y) : linear_octets<Channels>(s, reads, count, y);
  }
  order == 0 ? nearest_any<Channels>(s, reads, count, C, y) : linear_any<Channels>(s, reads, count, C, y);
}

// y (count, C) = output pixels (p, q) to (p, q + count - 1) of image n.
template <class T>
static inline void linear_chunk(const WarpArgs& a, int order, std::int64_t n, std::int64_t p, std::int64_t q,
                                std::int64_t count, float* y) {
  Reads reads;
  read_plan(a, order, a.matrices + 6 * n, p, q, count, reads);
  const std::int64_t C = a.C, values = a.H * a.W * C;
  const Source<T> s{static_cast<const T*>(a.x) + n * values, (a.N - n) * values, a.H > 1 ? a.W * C : 0,
                    a.W > 1 ? C : 0};
  if (C == 1)
    read_pixels<1>(s, order, reads, count, C, y);
  else if (C == 3)
    read_pixels<3>(s, order, reads, count, C, y);
  else if (C == 4)
    read_pixels<4>(s, order, reads, count, C, y);
  else
    read_pixels<0>(s, order, reads, count, C, y);
  if (!reads.any_outside) return;
  for (std::int64_t i = 0; i < count; ++i)
    if (reads.outside[i])
      for (std::int64_t c = 0; c < C; ++c) y[i * C + c] = a.cval;
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
