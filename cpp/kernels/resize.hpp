// Enlarging images (see cnnfast/kernels/resize.hpp). A task is one row of the tensor that is written, so that no two
// tasks write the same number: the gradients gather.
#pragma once
#include "cnnfast/kernels/resize.hpp"
#include "elementwise.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Output p of one axis mixes inputs lo and hi: (1 - t) x[lo] + t x[hi]. At the borders both are the border.
struct Mix {
  std::int64_t lo, hi;
  float t;
};

static inline Mix mix_of(std::int64_t p, std::int64_t factor, std::int64_t size) {
  // Twice the factor times (p + 1/2) / factor - 1/2, a whole number: no rounding decides which pixels are read.
  const std::int64_t twice = 2 * p + 1 - factor, step = 2 * factor;
  const std::int64_t lo = twice < 0 ? -1 : twice / step;
  const float t = static_cast<float>(twice - lo * step) / static_cast<float>(step);
  return {max_of(lo, 0), min_of(lo + 1, size - 1), t};
}

// Outputs [first, last) are all that may read input i.
struct Readers {
  std::int64_t first, last;
};
static inline Readers readers_of(std::int64_t i, std::int64_t factor, std::int64_t size) {
  return {max_of(0, (i - 1) * factor), min_of((i + 2) * factor, size * factor)};
}
// The weight of input i in output p.
static inline float weight_of(const Mix& m, std::int64_t i) {
  return (m.lo == i ? 1.0f - m.t : 0.0f) + (m.hi == i ? m.t : 0.0f);
}

static void upsample_nearest(const UpsampleShape& s, const float* x, float* y) {
  const std::int64_t P = s.H * s.factor_h, Q = s.W * s.factor_w;
  parallel(s.N * P, [&](std::int64_t row, int) {
    const float* from = x + (row / P * s.H + row % P / s.factor_h) * s.W * s.C;
    float* to = y + row * Q * s.C;
    for (std::int64_t j = 0; j < s.W; ++j, from += s.C)
      for (std::int64_t b = 0; b < s.factor_w; ++b, to += s.C)
        for_each_vector_in(0, s.C, [=](std::int64_t c, std::int64_t lanes) {
          vstore_lanes(to + c, vload_lanes(from + c, lanes), lanes);
        });
  });
}

static void upsample_nearest_backward(const UpsampleShape& s, const float* dy, float* dx) {
  const std::int64_t Q = s.W * s.factor_w;
  parallel(s.N * s.H, [&](std::int64_t row, int) {
    for (std::int64_t j = 0; j < s.W; ++j) {
      const float* from = dy + (row * s.factor_h * Q + j * s.factor_w) * s.C;
      for_each_vector_in(0, s.C, [=](std::int64_t c, std::int64_t lanes) {
        Vec sum = vzero();
        for (std::int64_t a = 0; a < s.factor_h; ++a)
          for (std::int64_t b = 0; b < s.factor_w; ++b) sum = sum + vload_lanes(from + (a * Q + b) * s.C + c, lanes);
        vstore_lanes(dx + (row * s.W + j) * s.C + c, sum, lanes);
      });
    }
  });
}

static void upsample_bilinear(const UpsampleShape& s, const float* x, float* y) {
  const std::int64_t P = s.H * s.factor_h, Q = s.W * s.factor_w;
  parallel(s.N * P, [&](std::int64_t row, int) {
    const Mix m = mix_of(row % P, s.factor_h, s.H);
    const float* image = x + row / P * s.H * s.W * s.C;
    const float *upper = image + m.lo * s.W * s.C, *lower = image + m.hi * s.W * s.C;
    const Vec down = vset(m.t);
    for (std::int64_t q = 0; q < Q; ++q) {
      const Mix n = mix_of(q, s.factor_w, s.W);
      const Vec right = vset(n.t);
      float* to = y + (row * Q + q) * s.C;
      for_each_vector_in(0, s.C, [=](std::int64_t c, std::int64_t lanes) {
        const auto along = [=](const float* line) {
          const Vec a = vload_lanes(line + n.lo * s.C + c, lanes), b = vload_lanes(line + n.hi * s.C + c, lanes);
          return vfma(b - a, right, a);
        };
        const Vec a = along(upper), b = along(lower);
        vstore_lanes(to + c, vfma(b - a, down, a), lanes);
      });
    }
  });
}

static void upsample_bilinear_backward(const UpsampleShape& s, const float* dy, float* dx) {
  const std::int64_t P = s.H * s.factor_h, Q = s.W * s.factor_w;
  parallel(s.N * s.H, [&](std::int64_t row, int) {
    const std::int64_t i = row % s.H;
    const Readers rows = readers_of(i, s.factor_h, s.H);
    const float* image = dy + row / s.H * P * Q * s.C;
    for (std::int64_t j = 0; j < s.W; ++j) {
      const Readers cols = readers_of(j, s.factor_w, s.W);
      for_each_vector_in(0, s.C, [&](std::int64_t c, std::int64_t lanes) {
        Vec sum = vzero();
        for (std::int64_t p = rows.first; p < rows.last; ++p) {
          Vec line = vzero();
          for (std::int64_t q = cols.first; q < cols.last; ++q)
            line = vfma(vset(weight_of(mix_of(q, s.factor_w, s.W), j)),
                        vload_lanes(image + (p * Q + q) * s.C + c, lanes), line);
          sum = vfma(vset(weight_of(mix_of(p, s.factor_h, s.H), i)), line, sum);
        }
        vstore_lanes(dx + (row * s.W + j) * s.C + c, sum, lanes);
      });
    }
  });
}

static constexpr ResizeKernels resize_kernels = {upsample_nearest, upsample_nearest_backward, upsample_bilinear,
                                                 upsample_bilinear_backward};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
