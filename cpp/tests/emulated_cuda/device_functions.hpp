// The functions that nvcc knows without a header: barriers, warp operations, atomics, bits and numbers.
#pragma once
#include <math.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "execution.hpp"

// Barriers and warp operations.

inline void __syncthreads() { emulated_cuda::sync_threads(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulated_cuda::sync_warp(mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace emulated_cuda {

template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int source) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "a type that cannot be shuffled");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(op, mask, bits, source);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The first lane of this lane's part of the warp.
inline int part(int width) { return lane() & ~(width - 1); }

}  // namespace emulated_cuda

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulated_cuda::shuffle(emulated_cuda::WarpOp::shfl, mask, value,
                                emulated_cuda::part(width) + (source & (width - 1)));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = emulated_cuda::lane(), source = lane - static_cast<int>(delta);
  return emulated_cuda::shuffle(emulated_cuda::WarpOp::shfl_up, mask, value,
                                source < emulated_cuda::part(width) ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = emulated_cuda::lane(), source = lane + static_cast<int>(delta);
  return emulated_cuda::shuffle(emulated_cuda::WarpOp::shfl_down, mask, value,
                                source >= emulated_cuda::part(width) + width ? lane : source);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int lane = emulated_cuda::lane(), source = lane ^ bits;
  return emulated_cuda::shuffle(emulated_cuda::WarpOp::shfl_xor, mask, value,
                                source >= emulated_cuda::part(width) + width ? lane : source);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return emulated_cuda::vote(emulated_cuda::WarpOp::ballot, mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return emulated_cuda::vote(emulated_cuda::WarpOp::any, mask, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return emulated_cuda::vote(emulated_cuda::WarpOp::all, mask, predicate == 0) == 0;
}

// Atomics of integers: nothing else runs meanwhile. There are none of floats: their result would depend on the order.

#define EMULATED_CUDA_ATOMIC(name, result)                  \
  template <class T>                                        \
  T name(T* at, std::common_type_t<T> x) {                  \
    static_assert(std::is_integral_v<T> && sizeof(T) >= 4); \
    const T old = *at;                                      \
    *at = static_cast<T>(result);                           \
    return old;                                             \
  }
EMULATED_CUDA_ATOMIC(atomicAdd, old + x)
EMULATED_CUDA_ATOMIC(atomicSub, old - x)
EMULATED_CUDA_ATOMIC(atomicExch, x)
EMULATED_CUDA_ATOMIC(atomicMin, x < old ? x : old)
EMULATED_CUDA_ATOMIC(atomicMax, x > old ? x : old)
EMULATED_CUDA_ATOMIC(atomicAnd, old& x)
EMULATED_CUDA_ATOMIC(atomicOr, old | x)
EMULATED_CUDA_ATOMIC(atomicXor, old ^ x)
EMULATED_CUDA_ATOMIC(atomicInc, old >= x ? 0 : old + 1)
#undef EMULATED_CUDA_ATOMIC
template <class T>
T atomicCAS(T* at, std::common_type_t<T> expected, std::common_type_t<T> x) {
  const T old = *at;
  if (old == expected) *at = x;
  return old;
}

// Loads and stores with hints for the caches.

#define EMULATED_CUDA_LOAD(name) \
  template <class T>             \
  T name(const T* at) {          \
    return *at;                  \
  }
EMULATED_CUDA_LOAD(__ldg)
EMULATED_CUDA_LOAD(__ldcg)
EMULATED_CUDA_LOAD(__ldca)
EMULATED_CUDA_LOAD(__ldcs)
EMULATED_CUDA_LOAD(__ldlu)
EMULATED_CUDA_LOAD(__ldcv)
#undef EMULATED_CUDA_LOAD
#define EMULATED_CUDA_STORE(name)             \
  template <class T>                          \
  void name(T* at, std::common_type_t<T> x) { \
    *at = x;                                  \
  }
EMULATED_CUDA_STORE(__stwb)
EMULATED_CUDA_STORE(__stcg)
EMULATED_CUDA_STORE(__stcs)
EMULATED_CUDA_STORE(__stwt)
#undef EMULATED_CUDA_STORE

// Bits.

namespace emulated_cuda {
template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace emulated_cuda

inline unsigned __float_as_uint(float x) { return emulated_cuda::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return emulated_cuda::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return emulated_cuda::bit_cast<float>(x); }
inline float __int_as_float(int x) { return emulated_cuda::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return emulated_cuda::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return emulated_cuda::bit_cast<double>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<std::int64_t>(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

// Numbers.

// Two numbers of types for which CUDA has min and max: what C++ makes of both; of floats the one that is not NaN.
#define EMULATED_CUDA_MIN_MAX(A, B)                              \
  inline auto min(A a, B b) {                                    \
    using Both = std::common_type_t<A, B>;                       \
    return std::min(static_cast<Both>(a), static_cast<Both>(b)); \
  }                                                              \
  inline auto max(A a, B b) {                                    \
    using Both = std::common_type_t<A, B>;                       \
    return std::max(static_cast<Both>(a), static_cast<Both>(b)); \
  }
EMULATED_CUDA_MIN_MAX(int, int)
EMULATED_CUDA_MIN_MAX(unsigned, unsigned)
EMULATED_CUDA_MIN_MAX(int, unsigned)
EMULATED_CUDA_MIN_MAX(unsigned, int)
EMULATED_CUDA_MIN_MAX(long, long)
EMULATED_CUDA_MIN_MAX(unsigned long, unsigned long)
EMULATED_CUDA_MIN_MAX(long, unsigned long)
EMULATED_CUDA_MIN_MAX(unsigned long, long)
EMULATED_CUDA_MIN_MAX(long long, long long)
EMULATED_CUDA_MIN_MAX(unsigned long long, unsigned long long)
EMULATED_CUDA_MIN_MAX(long long, unsigned long long)
EMULATED_CUDA_MIN_MAX(unsigned long long, long long)
#undef EMULATED_CUDA_MIN_MAX
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline double min(float a, double b) { return std::fmin(static_cast<double>(a), b); }
inline double max(float a, double b) { return std::fmax(static_cast<double>(a), b); }
inline double min(double a, float b) { return std::fmin(a, static_cast<double>(b)); }
inline double max(double a, float b) { return std::fmax(a, static_cast<double>(b)); }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float __frsqrt_rn(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __float2int_rd(float x) { return static_cast<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return static_cast<int>(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return static_cast<unsigned>(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return static_cast<unsigned>(x); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

// Macros, as glibc declares (but does not have) functions of these names.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)

[[noreturn]] inline void __trap() { emulated_cuda::die("__trap"); }
