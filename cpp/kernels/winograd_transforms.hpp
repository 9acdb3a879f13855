// The transforms of Winograd's algorithm F(MxM,3x3) (see cnnfast/kernels/conv2d_winograd.hpp). With a the interpolation
// points, all but infinity, and M(x) the product of x - a_j:
//   A (rows of M)   row j: 1, a_j, a_j^2...; the last 0...0,1
//   G (rows of 3)   row j: (1, a_j, a_j^2) / N_j, N_j = prod over l != j of (a_j - a_l); the last 0,0,1
//   B^T (square)    row j: the coefficients of M(x) / (x - a_j); the last those of M(x)
// and y = A^T [(G w G^T) * (B^T x B)] A, summed over channels before A^T is applied. The weight gradient is the
// adjoint: dw = G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.
#pragma once

namespace cnnfast {
namespace CNNFAST_ISA {

// One dimension: each transform reads its vector from `from_step` apart and writes it `step` apart.
template <int M>
struct Winograd;

// Points 0, 1, -1, 1/2, -2: M(x) = (x^3 - x)(x^2 + 3/2 x - 1).
template <>
struct Winograd<4> {
  static constexpr int tile = 4, patch = 6, points = 36;

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

  // A dy: the adjoint of output.
  static inline void gradient(const Vec* dy, int from_step, Vec* v, int step) {
    const Vec d0 = dy[0], d1 = dy[from_step], d2 = dy[2 * from_step], d3 = dy[3 * from_step];
    const Vec even = d0 + d2, odd = d1 + d3;
    v[0] = d0;
    v[step] = even + odd;
    v[2 * step] = even - odd;
    v[3 * step] = vfma(vset(0.125f), d3, vfma(vset(0.25f), d2, vfma(vset(0.5f), d1, d0)));
    v[4 * step] = vfma(vset(-8.0f), d3, vfma(vset(4.0f), d2, vfma(vset(-2.0f), d1, d0)));
    v[5 * step] = d3;
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

  // G^T u: the adjoint of weight.
  static inline void weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
    const Vec third = vset(1.0f / 3.0f), even = (u[from_step] - u[2 * from_step]) * third;
    const Vec odd = (u[from_step] + u[2 * from_step]) * third;
    const Vec u3 = u[3 * from_step] * vset(-16.0f / 15.0f), u4 = u[4 * from_step] * vset(1.0f / 15.0f);
    g[0] = u[0] + even + (u3 + u4);
    g[step] = odd + vfma(vset(0.5f), u3, vset(-2.0f) * u4);
    g[2 * step] = even + u[5 * from_step] + vfma(vset(0.25f), u3, vset(4.0f) * u4);
  }
};

// Points 0, 1, -1, 2, -2, 1/2, -1/2: M(x) = x (x^2 - 1)(x^2 - 4)(x^2 - 1/4). Points come in pairs of a sign, so that
// a pair's rows are the sum and the difference of an even and an odd part.
template <>
struct Winograd<6> {
  static constexpr int tile = 6, patch = 8, points = 64;

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
    const Vec s1 = m[from_step] + m[2 * from_step], d1 = m[from_step] - m[2 * from_step];
    const Vec s2 = m[3 * from_step] + m[4 * from_step], d2 = m[3 * from_step] - m[4 * from_step];
    const Vec s3 = m[5 * from_step] + m[6 * from_step], d3 = m[5 * from_step] - m[6 * from_step];
    y[0] = (m[0] + s1) + (s2 + s3);
    y[step] = vfma(vset(0.5f), d3, vfma(vset(2.0f), d2, d1));
    y[2 * step] = vfma(vset(0.25f), s3, vfma(vset(4.0f), s2, s1));
    y[3 * step] = vfma(vset(0.125f), d3, vfma(vset(8.0f), d2, d1));
    y[4 * step] = vfma(vset(0.0625f), s3, vfma(vset(16.0f), s2, s1));
    y[5 * step] = vfma(vset(0.03125f), d3, vfma(vset(32.0f), d2, d1 + m[7 * from_step]));
  }

  // A dy: the adjoint of output.
  static inline void gradient(const Vec* dy, int from_step, Vec* v, int step) {
    const Vec d0 = dy[0], d1 = dy[from_step], d2 = dy[2 * from_step], d3 = dy[3 * from_step], d4 = dy[4 * from_step],
              d5 = dy[5 * from_step];
    v[0] = d0;
    v[7 * step] = d5;
    const Vec even1 = d0 + d2 + d4, odd1 = d1 + d3 + d5;
    v[step] = even1 + odd1;
    v[2 * step] = even1 - odd1;
    const Vec even2 = vfma(vset(16.0f), d4, vfma(vset(4.0f), d2, d0));
    const Vec odd2 = vfma(vset(16.0f), d5, vfma(vset(4.0f), d3, d1));
    v[3 * step] = vfma(vset(2.0f), odd2, even2);
    v[4 * step] = vfma(vset(-2.0f), odd2, even2);
    const Vec even3 = vfma(vset(0.0625f), d4, vfma(vset(0.25f), d2, d0));
    const Vec odd3 = vfma(vset(0.0625f), d5, vfma(vset(0.25f), d3, d1));
    v[5 * step] = vfma(vset(0.5f), odd3, even3);
    v[6 * step] = vfma(vset(-0.5f), odd3, even3);
  }

  static inline void weight(const Vec* g, int from_step, Vec* u, int step) {
    const Vec g0 = g[0], g1 = g[from_step], g2 = g[2 * from_step];
    const Vec even1 = vset(-2.0f / 9.0f) * (g0 + g2), odd1 = vset(-2.0f / 9.0f) * g1;
    const Vec even2 = vset(1.0f / 90.0f) * vfma(vset(4.0f), g2, g0), odd2 = vset(1.0f / 45.0f) * g1;
    const Vec even3 = vset(32.0f / 45.0f) * vfma(vset(0.25f), g2, g0), odd3 = vset(16.0f / 45.0f) * g1;
    u[0] = vzero() - g0;
    u[step] = even1 + odd1;
    u[2 * step] = even1 - odd1;
    u[3 * step] = even2 + odd2;
    u[4 * step] = even2 - odd2;
    u[5 * step] = even3 + odd3;
    u[6 * step] = even3 - odd3;
    u[7 * step] = g2;
  }

  // G^T u: the adjoint of weight.
  static inline void weight_gradient(const Vec* u, int from_step, Vec* g, int step) {
    const Vec s1 = vset(-2.0f / 9.0f) * (u[from_step] + u[2 * from_step]);
    const Vec d1 = vset(-2.0f / 9.0f) * (u[from_step] - u[2 * from_step]);
    const Vec s2 = vset(1.0f / 90.0f) * (u[3 * from_step] + u[4 * from_step]);
    const Vec d2 = vset(1.0f / 45.0f) * (u[3 * from_step] - u[4 * from_step]);
    const Vec s3 = vset(32.0f / 45.0f) * (u[5 * from_step] + u[6 * from_step]);
    const Vec d3 = vset(16.0f / 45.0f) * (u[5 * from_step] - u[6 * from_step]);
    g[0] = (s1 - u[0]) + (s2 + s3);
    g[step] = d1 + (d2 + d3);
    g[2 * step] = vfma(vset(0.25f), s3, vfma(vset(4.0f), s2, s1 + u[7 * from_step]));
  }
};

// Both dimensions: T applied to the FROM columns of a FROM x FROM matrix, then to the TO rows of that. load(i, j) gives
// an element, store(i, j, a) takes one of the TO x TO result: what is on the way fits in registers and few lines.
template <int FROM, int TO, class T, class Load, class Store>
static inline void winograd_2d(const T& transform, const Load& load, const Store& store) {
  Vec half[TO * FROM];
#pragma GCC unroll 8
  for (int j = 0; j < FROM; ++j) {
    Vec column[FROM];
#pragma GCC unroll 8
    for (int i = 0; i < FROM; ++i) column[i] = load(i, j);
    transform(column, 1, half + j, FROM);
  }
#pragma GCC unroll 8
  for (int i = 0; i < TO; ++i) {
    Vec row[TO];
    transform(half + i * FROM, 1, row, 1);
#pragma GCC unroll 8
    for (int j = 0; j < TO; ++j) store(i, j, row[j]);
  }
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
