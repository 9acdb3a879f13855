// Vec for NEON as every 64-bit ARM has it: four floats.
#include <arm_neon.h>

#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Vec {
  static constexpr int width = 4;
  static constexpr int tile_rows = 8;  // register tile of the multiply: 8 x 2 accumulators of 32 registers
  float32x4_t v;
};

static inline Vec vload(const float* p) { return {vld1q_f32(p)}; }
static inline void vstore(float* p, Vec a) { vst1q_f32(p, a.v); }
static inline void vstream(float* p, Vec a) { vstore(p, a); }  // there is no such store of one vector
static inline Vec vset(float a) { return {vdupq_n_f32(a)}; }
static inline Vec vzero() { return vset(0.0f); }
// The first n lanes; the others read as 0 and are not touched in memory. 0 <= n <= width.
static inline Vec vload_first(const float* p, std::int64_t n) {
  if (n == Vec::width) return vload(p);
  float32x4_t v = vdupq_n_f32(0.0f);
  if (n > 0) v = vld1q_lane_f32(p, v, 0);
  if (n > 1) v = vld1q_lane_f32(p + 1, v, 1);
  if (n > 2) v = vld1q_lane_f32(p + 2, v, 2);
  return {v};
}
static inline void vstore_first(float* p, Vec a, std::int64_t n) {
  if (n == Vec::width) return vstore(p, a);
  if (n > 0) vst1q_lane_f32(p, a.v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, a.v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, a.v, 2);
}
static inline Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
static inline Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
static inline Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
static inline Vec operator/(Vec a, Vec b) { return {vdivq_f32(a.v, b.v)}; }
static inline Vec vfma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }  // a*b + c
// The second operand where either is NaN: vmax(x, zero) turns NaN into 0, vmax(zero, x) keeps it. A comparison and a
// choice, because NEON's own maximum is NaN in both cases.
static inline Vec vmax(Vec a, Vec b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
static inline Vec vmax_nan(Vec a, Vec b) { return {vmaxq_f32(a.v, b.v)}; }  // NaN where either is
static inline Vec vmin(Vec a, Vec b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
static inline Vec vsqrt(Vec a) { return {vsqrtq_f32(a.v)}; }
static inline Vec vabs(Vec a) { return {vabsq_f32(a.v)}; }
// Nearest integer (ties to even), as a float.
static inline Vec vround(Vec a) { return {vrndnq_f32(a.v)}; }
// 2^n for integer-valued n in [-126, 127].
static inline Vec vpow2(Vec n) {
  const int32x4_t e = vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127));
  return {vreinterpretq_f32_s32(vshlq_n_s32(e, 23))};
}
// a > b ? yes : no, lane by lane; false where either is NaN.
static inline Vec vselect_gt(Vec a, Vec b, Vec yes, Vec no) { return {vbslq_f32(vcgtq_f32(a.v, b.v), yes.v, no.v)}; }
static inline float vsum(Vec a) {
  const float32x2_t s = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(vpadd_f32(s, s), 0);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
