// The transforms of Winograd's algorithm, in one dimension (see cnnfast/kernels/conv2d_winograd.hpp). For TILE outputs
// of TAPS taps there are TILE + TAPS - 1 points: infinity and the interpolation points a. With M(x) the product of x -
// a_j:
//   A (rows of TILE)   row j: 1, a_j, a_j^2...; the last 0...0,1
//   G (rows of TAPS)   row j: (1, a_j, a_j^2...) / N_j, N_j = prod over l != j of (a_j - a_l); the last 0...0,1
//   B^T (square)       row j: the coefficients of M(x) / (x - a_j); the last those of M(x)
// and y = A^T [(G w) * (B^T x)]; in two dimensions each is applied to columns, then to rows. Channels are summed before
// A^T is applied. The weight gradient is the adjoint: dw = G^T [sum over tiles of (B^T x) * (A dy)].
//
// B^T depends on the points alone, so convolutions of other sizes share it: those with 8 points have a TILE and 9 -
// TILE taps. All transforms read their vector from `from_step` apart and write it `step` apart.
#pragma once

namespace cnnfast {
namespace CNNFAST_ISA {

// The value of a polynomial with COUNT coefficients at x, its even and its odd terms apart: their sum is the value at
// x, their difference that at -x.
struct EvenOdd {
  Vec even, odd;
};
template <int COUNT>
[[gnu::always_inline]] static inline EvenOdd even_odd(const Vec* c, int step, float x) {
  EvenOdd at{c[0], vset(x) * c[step]};
  float power = x;
#pragma GCC unroll 8
  for (int i = 2; i < COUNT; ++i) {
    power *= x;
    Vec& part = i % 2 ? at.odd : at.even;
    part = vfma(vset(power), c[i * step], part);
  }
  return at;
}

// 4 outputs of 2 taps. Points 0, 1, -1, 1/2: M(x) = (x^3 - x)(x - 1/2).
struct WinogradPoints5 {
  static constexpr int tile = 4, taps = 2, stride = 1, patch = 5, weights = 5;

  static inline void input(const Vec* d, int from_step, Vec* v, int step) {
    const Vec d0 = d[0], d1 = d[from_step], d2 = d[2 * from_step], d3 = d[3 * from_step], d4 = d[4 * from_step];
    const Vec half = vset(0.5f), f1 = d3 - d1, f0 = d2 - d0, g = d2 - d1;
    v[0] = vfma(vset(-0.5f), f0, f1);
    v[step] = vfma(half, g, d3);
    v[2 * step] = vfma(vset(-0.5f), g, d3 - d2);
    v[3 * step] = f1;
    v[4 * step] = vfma(vset(-0.5f), f1, d4 - d2);
  }
  static inline void output(const Vec* m, int from_step, Vec* y, int step) {
    const Vec s = m[from_step] + m[2 * from_step], d = m[from_step] - m[2 * from_step], m3 = m[3 * from_step];
    y[0] = m[0] + s + m3;
    y[step] = vfma(vset(0.5f), m3, d);
    y[2 * step] = vfma(vset(0.25f), m3, s);
    y[3 * step] = vfma(vset(0.125f), m3, d) + m[4 * from_step];
  }
  // A dy: the adjoint of output.
  static inline void gradient(const Vec* dy, int from_step, Vec* v, int step) {
    const auto one = even_odd<4>(dy, from_step, 1.0f), half = even_odd<4>(dy, from_step, 0.5f);
    v[0] = dy[0];
    v[step] = one.even + one.odd;
    v[2 * step] = one.even - one.odd;
    v[3 * step] = half.even + half.odd;
    v[4 * step] = dy[3 * from_step];
  }
  static inline void weight(const Vec* g, int from_step, Vec* u, int step) {
    const Vec g0 = g[0], g1 = g[from_step];
    u[0] = g0 + g0;
    u[step] = g0 + g1;
    u[2 * step] = vset(-1.0f / 3.0f) * (g0 - g1);
    u[3 * step] = vset(-8.0f / 3.0f) * vfma(vset(0.5f), g1, g0);
    u[4 * step] = g1;
  }
  // G^T u: the adjoint of weight.
  static inline void weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
    const Vec u1 = u[from_step], u2 = vset(-1.0f / 3.0f) * u[2 * from_step], u3 = vset(-8.0f / 3.0f) * u[3 * from_step];
    g[0] = (u[0] + u[0]) + (u1 + u2) + u3;
    g[step] = vfma(vset(0.5f), u3, u1 - u2) + u[4 * from_step];
  }
};

// 4 outputs of 3 taps. Points 0, 1, -1, 1/2, -2: M(x) = (x^3 - x)(x^2 + 3/2 x - 1).
struct WinogradPoints6 {
  static constexpr int tile = 4, taps = 3, stride = 1, patch = 6, weights = 6;

  static inline void input(const Vec* d, int from_step, Vec* v, int step) {
    const Vec d0 = d[0], d1 = d[from_step], d2 = d[2 * from_step], d3 = d[3 * from_step], d4 = d[4 * from_step],
              d5 = d[5 * from_step];
    // e carries M's second factor, f the first without its x.
    const Vec three_halves = vset(1.5f);
    const Vec e0 = vfma(three_halves, d1, d2 - d0), e1 = vfma(three_halves, d2, d3 - d1);
    const Vec e2 = vfma(three_halves, d3, d4 - d2), e3 = vfma(three_halves, d4, d5 - d3);
    const Vec f1 = d3 - d1, f2 = d4 - d2;
    v[0] = e2 - e0;
    v[step] = e2 + e1;
    v[2 * step] = e2 - e1;
    v[3 * step] = vfma(vset(2.0f), f1, f2);
    v[4 * step] = vfma(vset(-0.5f), f1, f2);
    v[5 * step] = e3 - e1;
  }
  static inline void output(const Vec* m, int from_step, Vec* y, int step) {
    const Vec m3 = m[3 * from_step], m4 = m[4 * from_step];
    const Vec s = m[from_step] + m[2 * from_step], d = m[from_step] - m[2 * from_step];
    y[0] = m[0] + s + (m3 + m4);
    y[step] = vfma(vset(0.5f), m3, vfma(vset(-2.0f), m4, d));
    y[2 * step] = vfma(vset(0.25f), m3, vfma(vset(4.0f), m4, s));
    y[3 * step] = vfma(vset(0.125f), m3, vfma(vset(-8.0f), m4, d)) + m[5 * from_step];
  }
  static inline void gradient(const Vec* dy, int from_step, Vec* v, int step) {
    const auto one = even_odd<4>(dy, from_step, 1.0f), half = even_odd<4>(dy, from_step, 0.5f);
    const auto two = even_odd<4>(dy, from_step, -2.0f);
    v[0] = dy[0];
    v[step] = one.even + one.odd;
    v[2 * step] = one.even - one.odd;
    v[3 * step] = half.even + half.odd;
    v[4 * step] = two.even + two.odd;
    v[5 * step] = dy[3 * from_step];
  }
  static inline void weight(const Vec* g, int from_step, Vec* u, int step) {
    const Vec g0 = g[0], g1 = g[from_step], g2 = g[2 * from_step];
    const Vec third = vset(1.0f / 3.0f), sum = (g0 + g2) * third, odd = g1 * third;
    u[0] = g0;
    u[step] = sum + odd;
    u[2 * step] = odd - sum;
    u[3 * step] = vset(-16.0f / 15.0f) * vfma(vset(0.25f), g2, vfma(vset(0.5f), g1, g0));
    u[4 * step] = vset(1.0f / 15.0f) * vfma(vset(4.0f), g2, vfma(vset(-2.0f), g1, g0));
    u[5 * step] = g2;
  }
  static inline void weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
    const Vec third = vset(1.0f / 3.0f), even = (u[from_step] - u[2 * from_step]) * third;
    const Vec odd = (u[from_step] + u[2 * from_step]) * third;
    const Vec u3 = u[3 * from_step] * vset(-16.0f / 15.0f), u4 = u[4 * from_step] * vset(1.0f / 15.0f);
    g[0] = u[0] + even + (u3 + u4);
    g[step] = odd + vfma(vset(0.5f), u3, vset(-2.0f) * u4);
    g[2 * step] = even + u[5 * from_step] + vfma(vset(0.25f), u3, vset(4.0f) * u4);
  }
};

// 6 outputs of 3 taps, or 4 of 5. Points 0, 1, -1, 2, -2, 1/2, -1/2: M(x) = x (x^2 - 1)(x^2 - 4)(x^2 - 1/4). They come
// in pairs of a sign, whose rows are the sum and the difference of an even and an odd part.
template <int TILE>
struct WinogradPoints8 {
  static constexpr int tile = TILE, taps = 9 - TILE, stride = 1, patch = 8, weights = 8;
  static constexpr float n1 = -2.0f / 9.0f, n2 = 1.0f / 90.0f, n3 = 32.0f / 45.0f;  // 1 / N of each pair; of 0: -1

  static inline void input(const Vec* d, int from_step, Vec* v, int step) {
    const Vec d0 = d[0], d1 = d[from_step], d2 = d[2 * from_step], d3 = d[3 * from_step], d4 = d[4 * from_step],
              d5 = d[5 * from_step], d6 = d[6 * from_step], d7 = d[7 * from_step];
    v[0] = vfma(vset(5.25f), d2 - d4, d6 - d0);
    v[7 * step] = vfma(vset(5.25f), d3 - d5, d7 - d1);
    const Vec even1 = vfma(vset(-4.25f), d4, d2 + d6), odd1 = vfma(vset(-4.25f), d3, d1 + d5);
    v[step] = even1 + odd1;
    v[2 * step] = even1 - odd1;
    const Vec even2 = vfma(vset(-1.25f), d4, vfma(vset(0.25f), d2, d6));
    const Vec odd2 = vfma(vset(-1.25f), d3, vfma(vset(0.25f), d1, d5));
    v[3 * step] = vfma(vset(2.0f), odd2, even2);
    v[4 * step] = vfma(vset(-2.0f), odd2, even2);
    const Vec even3 = vfma(vset(-5.0f), d4, vfma(vset(4.0f), d2, d6));
    const Vec odd3 = vfma(vset(-5.0f), d3, vfma(vset(4.0f), d1, d5));
    v[5 * step] = vfma(vset(0.5f), odd3, even3);
    v[6 * step] = vfma(vset(-0.5f), odd3, even3);
  }
  static inline void output(const Vec* m, int from_step, Vec* y, int step) {
    moments<TILE>(m[0], m + from_step, 1.0f, 1.0f, 1.0f, m[7 * from_step], from_step, y, step);
  }
  static inline void gradient(const Vec* dy, int from_step, Vec* v, int step) {
    v[0] = dy[0];
    v[7 * step] = dy[(TILE - 1) * from_step];
    pairs<TILE>(dy, from_step, 1.0f, 1.0f, 1.0f, v, step);
  }
  static inline void weight(const Vec* g, int from_step, Vec* u, int step) {
    u[0] = vzero() - g[0];
    u[7 * step] = g[(taps - 1) * from_step];
    pairs<taps>(g, from_step, n1, n2, n3, u, step);
  }
  static inline void weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
    moments<taps>(vzero() - u[0], u + from_step, n1, n2, n3, u[7 * from_step], from_step, g, step);
  }

 private:
  // The values of a polynomial at the pairs of points, times s.
  template <int COUNT>
  [[gnu::always_inline]] static inline void pairs(const Vec* c, int from_step, float s1, float s2, float s3, Vec* v,
                                                  int step) {
    const float point[3] = {1.0f, 2.0f, 0.5f}, scale[3] = {s1, s2, s3};
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) {
      const auto at = even_odd<COUNT>(c, from_step, point[k]);
      v[(2 * k + 1) * step] = vset(scale[k]) * (at.even + at.odd);
      v[(2 * k + 2) * step] = vset(scale[k]) * (at.even - at.odd);
    }
  }
  // Its adjoint: sum i is that of s times the point's power i times the value of each point in v, and of the values of
  // the point 0 and of infinity.
  template <int COUNT>
  [[gnu::always_inline]] static inline void moments(Vec zero, const Vec* v, float s1, float s2, float s3, Vec infinity,
                                                    int from_step, Vec* sums, int step) {
    const float scale[3] = {s1, s2, s3};
    Vec even[3], odd[3];
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) {
      even[k] = vset(scale[k]) * (v[2 * k * from_step] + v[(2 * k + 1) * from_step]);
      odd[k] = vset(scale[k]) * (v[2 * k * from_step] - v[(2 * k + 1) * from_step]);
    }
    sums[0] = (zero + even[0]) + (even[1] + even[2]);
    float two = 1.0f, half = 1.0f;
#pragma GCC unroll 8
    for (int i = 1; i < COUNT; ++i) {
      two *= 2.0f, half *= 0.5f;
      const Vec* part = i % 2 ? odd : even;
      const Vec first = i + 1 < COUNT ? part[0] : part[0] + infinity;
      sums[i * step] = vfma(vset(half), part[2], vfma(vset(two), part[1], first));
    }
  }
};

// 4 outputs of 3 taps with stride 2: the even inputs meet the outer taps, a convolution of two taps with stride 1; each
// odd input meets the middle tap of one output. So 9 products for 12, and the 4 of odd inputs have one weight.
struct WinogradStrided {
  using Even = WinogradPoints5;
  static constexpr int tile = 4, taps = 3, stride = 2, patch = 9, weights = 6;

  static inline void input(const Vec* d, int from_step, Vec* v, int step) {
    Even::input(d, 2 * from_step, v, step);
#pragma GCC unroll 4
    for (int i = 0; i < tile; ++i) v[(5 + i) * step] = d[(2 * i + 1) * from_step];
  }
  static inline void output(const Vec* m, int from_step, Vec* y, int step) {
    Even::output(m, from_step, y, step);
#pragma GCC unroll 4
    for (int i = 0; i < tile; ++i) y[i * step] = y[i * step] + m[(5 + i) * from_step];
  }
  static inline void gradient(const Vec* dy, int from_step, Vec* v, int step) {
    Even::gradient(dy, from_step, v, step);
#pragma GCC unroll 4
    for (int i = 0; i < tile; ++i) v[(5 + i) * step] = dy[i * from_step];
  }
  static inline void weight(const Vec* g, int from_step, Vec* u, int step) {
    Even::weight(g, 2 * from_step, u, step);
    u[5 * step] = g[from_step];
  }
  static inline void weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
    Even::weight_gradient(u, from_step, g, 2 * step);
    g[step] = u[5 * from_step];
  }
};

// Both dimensions: T applied to the FROM columns of a FROM x FROM matrix, then to the TO rows of that. load(i, j) gives
// an element, store(i, j, a) takes one of the TO x TO result: what is on the way fits in registers and few lines.
template <int FROM, int TO, class T, class Load, class Store>
static inline void winograd_2d(const T& transform, const Load& load, const Store& store) {
  Vec half[TO * FROM];
#pragma GCC unroll 9
  for (int j = 0; j < FROM; ++j) {
    Vec column[FROM];
#pragma GCC unroll 9
    for (int i = 0; i < FROM; ++i) column[i] = load(i, j);
    transform(column, 1, half + j, FROM);
  }
#pragma GCC unroll 9
  for (int i = 0; i < TO; ++i) {
    Vec row[TO];
    transform(half + i * FROM, 1, row, 1);
#pragma GCC unroll 9
    for (int j = 0; j < TO; ++j) store(i, j, row[j]);
  }
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
