// Numbers in memory are float32 or bfloat16; all arithmetic is float32. Vectors of them move 16 bytes at a time.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "cnnfast/program.hpp"

namespace cnnfast::cuda {

using bf16 = __nv_bfloat16;

__host__ __device__ inline float to_float(float x) { return x; }
__host__ __device__ inline float to_float(bf16 x) { return __bfloat162float(x); }
__host__ __device__ inline float to_float(std::uint8_t x) { return static_cast<float>(x); }
__host__ __device__ inline float to_float(std::int32_t x) { return static_cast<float>(x); }

// Rounded to the nearest, ties to even.
template <class T>
__host__ __device__ inline T from_float(float x);
template <>
__host__ __device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ inline bf16 from_float<bf16>(float x) {
  return __float2bfloat16(x);
}

// Numbers of type T in 16 bytes.
template <class T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));

template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T at[N];
};

// N numbers from an address that is a multiple of their size.
template <int N, class T>
__device__ inline void load(const T* from, float (&x)[N]) {
  const Vector<T, N> v = *reinterpret_cast<const Vector<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = to_float(v.at[i]);
}
template <int N, class T>
__device__ inline void store(T* to, const float (&x)[N]) {
  Vector<T, N> v;
#pragma unroll
  for (int i = 0; i < N; ++i) v.at[i] = from_float<T>(x[i]);
  *reinterpret_cast<Vector<T, N>*>(to) = v;
}

// Calls f with a number of the C++ type of `dtype`: with_number(d, [&](auto number) { using T = decltype(number); ...
// }).
template <class F>
decltype(auto) with_number(Dtype dtype, const F& f) {
  switch (dtype) {
    case Dtype::float32:
      return f(float{});
    case Dtype::bfloat16:
      return f(bf16{});
    default:
      throw std::invalid_argument("cuda: expected float32 or bfloat16 numbers");
  }
}

// The same with the numbers a thread should move at once, as a second argument: 16 bytes, or one number where rows of
// `length` do not divide into such. with_vector(d, C, [&](auto number, auto vector) { constexpr int V = vector; ... }).
template <class F>
decltype(auto) with_vector(Dtype dtype, std::int64_t length, const F& f) {
  return with_number(dtype, [&](auto number) {
    using T = decltype(number);
    return length % kVector<T> == 0 ? f(number, std::integral_constant<int, kVector<T>>{})
                                    : f(number, std::integral_constant<int, 1>{});
  });
}

}  // namespace cnnfast::cuda
