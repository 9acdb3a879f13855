// Vec for AVX-512 (F, BW, DQ, VL): sixteen floats, masks in registers of their own.
#include <immintrin.h>

#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Vec {
  static constexpr int width = 16;
  static constexpr int tile_rows = 12;  // register tile of the multiply: 12 x 2 accumulators of 32 registers
  __m512 v;
};

static inline Vec vload(const float* p) { return {_mm512_loadu_ps(p)}; }
static inline void vstore(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
// Past the caches; p is aligned to 64 bytes.
static inline void vstream(float* p, Vec a) { _mm512_stream_ps(p, a.v); }
static inline Vec vset(float a) { return {_mm512_set1_ps(a)}; }
static inline Vec vzero() { return {_mm512_setzero_ps()}; }
static inline __mmask16 vmask_first(std::int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
// The first n lanes; the others read as 0 and are not touched in memory. 0 <= n <= width.
static inline Vec vload_first(const float* p, std::int64_t n) { return {_mm512_maskz_loadu_ps(vmask_first(n), p)}; }
static inline void vstore_first(float* p, Vec a, std::int64_t n) { _mm512_mask_storeu_ps(p, vmask_first(n), a.v); }
static inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline Vec vfma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }  // a*b + c
// The second operand where either is NaN: vmax(x, zero) turns NaN into 0, vmax(zero, x) keeps it.
static inline Vec vmax(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
// NaN where either is.
static inline Vec vmax_nan(Vec a, Vec b) {
  return {_mm512_mask_mov_ps(_mm512_max_ps(a.v, b.v), _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), a.v)};
}
static inline Vec vmin(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
static inline Vec vsqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
static inline Vec vabs(Vec a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
// Nearest integer (ties to even), as a float. The immediate's upper half, the number of fraction bits kept, is 0.
static inline Vec vround(Vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
// 2^n for integer-valued n in [-126, 127].
static inline Vec vpow2(Vec n) {
  const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(e, 23))};
}
// a > b ? yes : no, lane by lane; false where either is NaN.
static inline Vec vselect_gt(Vec a, Vec b, Vec yes, Vec no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ), no.v, yes.v)};
}
static inline float vsum(Vec a) {
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
