// Exponential, logarithm and their relatives on vectors, within a few units in the last place.
//
// Arguments are reduced as in Cody and Waite, "Software manual for the elementary functions" (1980): exp(x) =
// 2^n exp(r), log(2^n m) = n log 2 + log m, with log 2 in two parts so that n times the first is exact, with or
// without fused multiply-add. The polynomials are minimax fits to the relative error of the result (Lawson's
// algorithm on Chebyshev points), rounded to float. NaN gives NaN; denormals count as zero, as everywhere in the
// engine.
#pragma once
#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr float kLog2Hi = 0.693359375f, kLog2Lo = -2.12194440e-4f;  // their sum is log 2
static constexpr float kInfinity = __builtin_inff(), kLargest = 3.40282347e38f, kSmallest = 1.17549435e-38f;

// c[0] + c[1]*x + ... by Horner's rule.
template <int N>
static inline Vec vpolynomial(Vec x, const float (&c)[N]) {
  Vec sum = vset(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) sum = vfma(sum, x, vset(c[i]));
  return sum;
}

// exp(x) = 2^n (1 + q), with n in [-150, 128] and 1/sqrt(2) <= 1 + q <= sqrt(2).
struct ExpParts {
  Vec n, q;
};
static inline ExpParts vexp_parts(Vec x) {
  static constexpr float c[] = {4.999999404e-01f, 1.666651964e-01f, 4.166839272e-02f, 8.368780836e-03f,
                                1.381446724e-03f};
  x = vmax(vset(-104.0f), vmin(vset(89.0f), x));  // beyond, the result is 0 or infinite all the same
  // NaN must not reach a conversion to integers: here it becomes -150, and stays NaN in r.
  const Vec n = vmax(vround(x * vset(1.44269504f)), vset(-150.0f));
  const Vec r = vfma(n, vset(-kLog2Lo), vfma(n, vset(-kLog2Hi), x));
  return {n, vfma(r * r, vpolynomial(r, c), r)};
}

static inline Vec vexp(Vec x) {
  const ExpParts e = vexp_parts(x);
  const Vec half = vround(e.n * vset(0.5f));  // 2^n itself may not fit a float
  return (vset(1.0f) + e.q) * vpow2(half) * vpow2(e.n - half);
}

// exp(x) - 1 for x <= 88, exact near 0 where exp(x) - 1 as written loses all digits.
static inline Vec vexpm1(Vec x) {
  const ExpParts e = vexp_parts(x);
  const Vec scale = vpow2(vmax(e.n, vset(-126.0f)));
  return vfma(scale, e.q, scale - vset(1.0f));
}

// The exponent of a normal number: x = m * 2^exponent with 1 <= m < 2.
static inline Vec vexponent(Vec x) {
  // Vectors of the compiler's own (GCC, Clang) that become registers of the instruction set.
  typedef std::int32_t Bits __attribute__((vector_size(Vec::width * 4)));
  typedef float Floats __attribute__((vector_size(Vec::width * 4)));
  Bits bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const Floats exponent = __builtin_convertvector(((bits >> 23) & 255) - 127, Floats);
  __builtin_memcpy(&x, &exponent, sizeof x);
  return x;
}

// log(x): -infinity at 0, NaN below.
static inline Vec vlog(Vec x) {
  static constexpr float c[] = {3.333331347e-01f, -2.500000894e-01f, 2.000211924e-01f,
                                -1.666799635e-01f, 1.421955079e-01f, -1.240558624e-01f,
                                1.188816726e-01f, -1.167566925e-01f, 6.746650487e-02f};
  const Vec e = vexponent(x), one = vset(1.0f), root2 = vset(1.41421356f);
  const Vec m = x * vpow2(one - e) * vset(0.5f);  // in [1, 2); 2^-e itself may not fit a float
  const Vec n = vselect_gt(m, root2, e + one, e);
  const Vec f = vselect_gt(m, root2, m * vset(0.5f), m) - one;
  const Vec f2 = f * f;
  Vec y = vfma(f2 * f, vpolynomial(f, c), n * vset(kLog2Lo));
  y = vfma(f2, vset(-0.5f), y) + f;
  y = vfma(n, vset(kLog2Hi), y);
  y = vselect_gt(x, vset(kLargest), x, y);
  const Vec at_most_0 = vselect_gt(vzero(), x, vset(__builtin_nanf("")), vset(-kInfinity));
  return vselect_gt(vset(kSmallest), x, at_most_0, y);
}

// log(1 + x) for finite x >= 0. What 1 + x lost to rounding is added back to first order.
static inline Vec vlog1p(Vec x) {
  const Vec u = vset(1.0f) + x;
  return vlog(u) + (x - (u - vset(1.0f))) / u;
}

static inline Vec vsigmoid(Vec x) { return vset(1.0f) / (vset(1.0f) + vexp(vzero() - x)); }

// `magnitude` with the sign of x; zeros and NaN of x come through as they are in `otherwise`.
static inline Vec vwith_sign(Vec x, Vec magnitude, Vec otherwise) {
  return vselect_gt(x, vzero(), magnitude, vselect_gt(vzero(), x, vzero() - magnitude, otherwise));
}

static inline Vec vtanh(Vec x) {
  static constexpr float c[] = {-3.333328068e-01f, 1.333144158e-01f, -5.373971164e-02f, 2.063908055e-02f,
                                -5.704980344e-03f};
  const Vec z = x * x, t = vabs(x);
  const Vec near = vfma(x * z, vpolynomial(z, c), x);
  const Vec far = vset(1.0f) - vset(2.0f) / (vexp(t + t) + vset(1.0f));
  return vselect_gt(t, vset(0.625f), vwith_sign(x, far, near), near);
}

// The error function: x times a polynomial in x^2 up to 1, beyond it 1 - erfc(|x|) with log(erfc) a polynomial.
static inline Vec verf(Vec x) {
  static constexpr float near_c[] = {1.283791661e-01f, -3.761262596e-01f, 1.128358841e-01f, -2.685391717e-02f,
                                     5.188501906e-03f, -8.011572063e-04f, 7.858065510e-05f};
  static constexpr float far_c[] = {3.415162209e-04f, 1.270892173e-01f,  6.381447911e-01f, 1.031067893e-01f,
                                    -2.183808014e-02f, 2.947662259e-03f, -1.863795915e-04f};
  const Vec t = vmin(vset(4.0f), vabs(x));  // erf(4) rounds to 1
  const Vec near = vfma(x, vpolynomial(x * x, near_c), x);
  const Vec far = vset(1.0f) - vexp(vzero() - t - vpolynomial(t, far_c));
  return vselect_gt(t, vset(1.0f), vwith_sign(x, far, near), near);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
