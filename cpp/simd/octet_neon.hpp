// Octet for NEON as every 64-bit ARM has it: two vectors of four floats.
#include <arm_neon.h>

#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Octet {
  float32x4_t lo, hi;
};

static inline Octet oload(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
static inline Octet oload(const std::uint8_t* p) {
  const uint16x8_t wide = vmovl_u8(vld1_u8(p));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(wide)))};
}
// wa * a + wb * b
static inline Octet omix(Octet a, Octet b, float wa, float wb) {
  return {vfmaq_n_f32(vmulq_n_f32(a.lo, wa), b.lo, wb), vfmaq_n_f32(vmulq_n_f32(a.hi, wa), b.hi, wb)};
}
// The same of single floats, rounded as in an octet: pixels that are read one by one get the same bits.
static inline float mix_one(float a, float b, float wa, float wb) { return __builtin_fmaf(b, wb, a * wa); }
// The first pixel, of C channels, and one lane more if it has three.
template <int C>
static inline void ostore_pixel(float* p, Octet a) {
  vst1q_f32(p, a.lo);
}
// w0 * the first pixel + w1 * the second, stored likewise.
template <int C>
static inline void ostore_mixed(float* p, Octet a, float w0, float w1) {
  static_assert(C == 3 || C == 4, "two pixels fill an octet");
  const float32x4_t second = C == 4 ? a.hi : vextq_f32(a.lo, a.hi, 3);
  vst1q_f32(p, vfmaq_n_f32(vmulq_n_f32(a.lo, w0), second, w1));
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
