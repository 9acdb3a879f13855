// Elementary functions on Vec, at most 2 units in the last place off. NaN stays NaN.
// Polynomials: weighted least squares on Chebyshev nodes, reweighted towards the least maximum error (Lawson 1961).
#pragma once
#include <cstdint>
#include <cstring>

namespace cnnfast {
namespace CNNFAST_ISA {

// ln 2 in two parts; the first has 12 bits, so that small integers times it are exact.
static constexpr float kLn2Hi = 0.693115234375f, kLn2Lo = 3.194618329871446e-05f;

// e^x = 2^n e^r, n = round(x / ln 2). Inf above 88.73, 0 (or a denormal) below -87.34.
static inline Vec vexp(Vec x) {
  // Operand order: a NaN in x becomes a number in n and stays NaN in r.
  const Vec n = vround(vmin(vmax(x, vset(-104.0f)), vset(89.0f)) * vset(1.44269504088896341f));
  const Vec clamped = vmax(vset(-104.0f), vmin(vset(89.0f), x));
  const Vec r = vfma(n, vset(-kLn2Lo), vfma(n, vset(-kLn2Hi), clamped));
  Vec q = vset(0.0013950540451332927f);
  q = vfma(q, r, vset(0.008368917740881443f));
  q = vfma(q, r, vset(0.04166620597243309f));
  q = vfma(q, r, vset(0.166665181517601f));
  q = vfma(q, r, vset(0.5f));
  const Vec e = vset(1.0f) + vfma(r * r, q, r);
  // 2^n in two factors: n reaches 128 and -150, past what one float's exponent holds.
  const Vec half = vround(n * vset(0.5f));
  return e * vpow2(half) * vpow2(n - half);
}

// x = m 2^e with m in [sqrt(1/2), sqrt(2)), for normal positive x.
static inline void vsplit_exponent(Vec x, Vec& m, Vec& e) {
  float value[Vec::width], mantissa[Vec::width], exponent[Vec::width];
  vstore(value, x);
  for (int i = 0; i < Vec::width; ++i) {
    constexpr std::uint32_t kSqrtHalf = 0x3f3504f3;
    std::uint32_t bits;
    std::memcpy(&bits, value + i, sizeof bits);
    const std::int32_t shift = static_cast<std::int32_t>(bits - kSqrtHalf) >> 23;
    exponent[i] = static_cast<float>(shift);
    bits -= static_cast<std::uint32_t>(shift) << 23;
    std::memcpy(mantissa + i, &bits, sizeof bits);
  }
  m = vload(mantissa), e = vload(exponent);
}

// ln x = e ln 2 + ln m; with f = m - 1 and s = f / (2 + f), ln m = f - f^2/2 + s (f^2/2 + s^2 P(s^2)), where the large
// term f is exact. -inf for 0, NaN below.
static inline Vec vlog(Vec x) {
  constexpr float kSmallestNormal = 1.17549435e-38f;
  const Vec tiny = vselect_gt(vset(kSmallestNormal), x, vset(1.0f), vzero());
  Vec m, e;
  vsplit_exponent(vselect_gt(tiny, vzero(), x * vset(8388608.0f), x), m, e);
  e = e - tiny * vset(23.0f);
  const Vec f = m - vset(1.0f), s = f / (vset(2.0f) + f), z = s * s, half = vset(0.5f) * f * f;
  Vec p = vset(0.298730731010437f);
  p = vfma(p, z, vset(0.399774968624115f));
  p = vfma(p, z, vset(0.6666677594184875f));
  const Vec small = vfma(s, vfma(p, z, half), e * vset(kLn2Lo));
  const Vec y = vfma(e, vset(kLn2Hi), f - (half - small));
  // Inf, NaN and what is not positive: x + x is right for the first two.
  const Vec nan = vset(__builtin_nanf("")), inf = vset(__builtin_inff());
  const Vec bottom = vselect_gt(vzero(), x, nan, vzero() - inf);
  return vselect_gt(x, vzero(), vselect_gt(inf, x, y, x + x), vselect_gt(vset(1.0f), x, bottom, x + x));
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
