// Octet for AVX2 + FMA: eight floats, two neighbouring pixels of three or four channels. Every Octet has the same
// operations; image kernels are written against them alone.
#include <immintrin.h>

#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Octet {
  __m256 v;
};

static inline Octet oload(const float* p) { return {_mm256_loadu_ps(p)}; }
static inline Octet oload(const std::uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
// wa * a + wb * b
static inline Octet omix(Octet a, Octet b, float wa, float wb) {
  return {_mm256_fmadd_ps(b.v, _mm256_set1_ps(wb), _mm256_mul_ps(a.v, _mm256_set1_ps(wa)))};
}
// The same of single floats, rounded as in an octet: pixels that are read one by one get the same bits.
static inline float mix_one(float a, float b, float wa, float wb) { return __builtin_fmaf(b, wb, a * wa); }
// The first pixel, of C channels, and one lane more if it has three.
template <int C>
static inline void ostore_pixel(float* p, Octet a) {
  _mm_storeu_ps(p, _mm256_castps256_ps128(a.v));
}
// w0 * the first pixel + w1 * the second, stored likewise.
template <int C>
static inline void ostore_mixed(float* p, Octet a, float w0, float w1) {
  static_assert(C == 3 || C == 4, "two pixels fill an octet");
  const __m128 first = _mm256_castps256_ps128(a.v), rest = _mm256_extractf128_ps(a.v, 1);
  const __m128 second =
      C == 4 ? rest
             : _mm_castsi128_ps(_mm_alignr_epi8(_mm_castps_si128(rest), _mm_castps_si128(first), 3 * sizeof(float)));
  _mm_storeu_ps(p, _mm_fmadd_ps(second, _mm_set1_ps(w1), _mm_mul_ps(first, _mm_set1_ps(w0))));
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
