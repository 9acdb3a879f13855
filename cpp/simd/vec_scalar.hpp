// Vec in plain C++: four floats that any compiler can keep in whatever registers the baseline has.
#include <cmath>
#include <cstdint>
#include <cstring>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Vec {
  static constexpr int width = 4;
  static constexpr int tile_rows = 4;
  float v[4];
};

template <class F>
static inline Vec vmap(F f) {
  Vec r;
  for (int i = 0; i < Vec::width; ++i) r.v[i] = f(i);
  return r;
}
static inline Vec vload(const float* p) {
  Vec r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
static inline void vstore(float* p, Vec a) { std::memcpy(p, a.v, sizeof a.v); }
static inline void vstream(float* p, Vec a) { vstore(p, a); }  // there is no such store in plain C++
static inline Vec vset(float a) { return {{a, a, a, a}}; }
static inline Vec vzero() { return vset(0.0f); }
static inline Vec vload_first(const float* p, std::int64_t n) {
  return vmap([=](int i) { return i < n ? p[i] : 0.0f; });
}
static inline void vstore_first(float* p, Vec a, std::int64_t n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
static inline Vec operator+(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] + b.v[i]; });
}
static inline Vec operator-(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] - b.v[i]; });
}
static inline Vec operator*(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] * b.v[i]; });
}
static inline Vec operator/(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] / b.v[i]; });
}
static inline Vec vfma(Vec a, Vec b, Vec c) {
  return vmap([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
static inline Vec vmax(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
// NaN where either is.
static inline Vec vmax_nan(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] > b.v[i] || a.v[i] != a.v[i] ? a.v[i] : b.v[i]; });
}
static inline Vec vmin(Vec a, Vec b) {
  return vmap([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
static inline Vec vsqrt(Vec a) {
  return vmap([&](int i) { return ::sqrtf(a.v[i]); });
}
static inline Vec vabs(Vec a) {
  return vmap([&](int i) { return ::fabsf(a.v[i]); });
}
static inline Vec vround(Vec a) {
  return vmap([&](int i) { return ::nearbyintf(a.v[i]); });
}
static inline Vec vpow2(Vec n) {
  return vmap([&](int i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(static_cast<int>(n.v[i]) + 127) << 23;
    float f;
    std::memcpy(&f, &bits, sizeof f);
    return f;
  });
}
static inline Vec vselect_gt(Vec a, Vec b, Vec yes, Vec no) {
  return vmap([&](int i) { return a.v[i] > b.v[i] ? yes.v[i] : no.v[i]; });
}
static inline float vsum(Vec a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
