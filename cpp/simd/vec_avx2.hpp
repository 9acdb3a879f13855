// Vec for AVX2 + FMA: eight floats. Every Vec has the same operations; kernels are written against them alone.
#include <immintrin.h>

#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Vec {
  static constexpr int width = 8;
  static constexpr int tile_rows = 6;  // register tile of the multiply: 6 x 2 accumulators of 16 registers
  __m256 v;
};

static inline Vec vload(const float* p) { return {_mm256_loadu_ps(p)}; }
static inline void vstore(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
// Past the caches; p is aligned to 32 bytes.
static inline void vstream(float* p, Vec a) { _mm256_stream_ps(p, a.v); }
static inline Vec vset(float a) { return {_mm256_set1_ps(a)}; }
static inline Vec vzero() { return {_mm256_setzero_ps()}; }
static inline __m256i vmask_first(std::int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first n lanes; the others read as 0 and are not touched in memory. 0 <= n <= width.
static inline Vec vload_first(const float* p, std::int64_t n) { return {_mm256_maskload_ps(p, vmask_first(n))}; }
// In pieces: _mm256_maskstore_ps takes Zen 3 a dozen cycles.
static inline void vstore_first(float* p, Vec a, std::int64_t n) {
  if (n == Vec::width) return vstore(p, a);
  __m128 rest = _mm256_castps256_ps128(a.v);
  if (n & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(a.v, 1), p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest), p += 2;
  }
  if (n & 1) _mm_store_ss(p, rest);
}
static inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
static inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
static inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
static inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
static inline Vec vfma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }  // a*b + c
// The second operand where either is NaN: vmax(x, zero) turns NaN into 0, vmax(zero, x) keeps it.
static inline Vec vmax(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
// NaN where either is.
static inline Vec vmax_nan(Vec a, Vec b) {
  return {_mm256_blendv_ps(_mm256_max_ps(a.v, b.v), a.v, _mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q))};
}
static inline Vec vmin(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
static inline Vec vsqrt(Vec a) { return {_mm256_sqrt_ps(a.v)}; }
static inline Vec vabs(Vec a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
// Nearest integer (ties to even), as a float.
static inline Vec vround(Vec a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
// 2^n for integer-valued n in [-126, 127].
static inline Vec vpow2(Vec n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(e, 23))};
}
// a > b ? yes : no, lane by lane; false where either is NaN.
static inline Vec vselect_gt(Vec a, Vec b, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.v, yes.v, _mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ))};
}
static inline float vsum(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
