// Found before the compiler's header of this name, by cpp/isa/avx512.cpp alone: AVX-512 intrinsics as plain code from
// SIMDe, so that the kernels can be tested on a CPU without it. What SIMDe 0.7.4 lacks is added here.
#pragma once
#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstring>

static inline simde__m512i emulated_cvtps_epi32(simde__m512 a) {
  float from[16];
  int to[16];
  std::memcpy(from, &a, sizeof from);
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int>(__builtin_rintf(from[i]));
  simde__m512i r;
  std::memcpy(&r, to, sizeof r);
  return r;
}
static inline __m256 emulated_extractf32x8_ps(simde__m512 a, int half) {
  float from[16];
  std::memcpy(from, &a, sizeof from);
  return _mm256_loadu_ps(from + 8 * half);
}
// Lane by lane, so that masked lanes are not touched, as on the CPU.
static inline simde__m512 emulated_maskz_loadu_ps(unsigned mask, const void* p) {
  float to[16] = {};
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) to[i] = static_cast<const volatile float*>(p)[i];
  simde__m512 r;
  std::memcpy(&r, to, sizeof r);
  return r;
}
static inline void emulated_mask_storeu_ps(void* p, unsigned mask, simde__m512 a) {
  float from[16];
  std::memcpy(from, &a, sizeof from);
  for (int i = 0; i < 16; ++i)
    if (mask >> i & 1) static_cast<volatile float*>(p)[i] = from[i];
}
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_stream_ps _mm512_storeu_ps
#define _mm512_extractf32x8_ps emulated_extractf32x8_ps
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
