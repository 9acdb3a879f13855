// What nvcc adds to C++, as far as plain C++ can say it: the words of CUDA, its vector types and the variables that
// tell a thread where it is.
#pragma once
#define CNNFAST_EMULATED_CUDA 1

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// The blocks of a launch run one after the other, and so do launches: one copy is enough.
#define __shared__ static

// The scalar type T, and a function that makes one of this vector type.
#define EMULATED_CUDA_VECTORS(name, T)                               \
  struct name##1 {                                                   \
    T x;                                                             \
  };                                                                 \
  struct alignas(2 * sizeof(T)) name##2 {                            \
    T x, y;                                                          \
  };                                                                 \
  struct name##3 {                                                   \
    T x, y, z;                                                       \
  };                                                                 \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 {  \
    T x, y, z, w;                                                    \
  };                                                                 \
  inline name##1 make_##name##1(T x) { return {x}; }                 \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATED_CUDA_VECTORS(char, signed char)
EMULATED_CUDA_VECTORS(uchar, unsigned char)
EMULATED_CUDA_VECTORS(short, short)
EMULATED_CUDA_VECTORS(ushort, unsigned short)
EMULATED_CUDA_VECTORS(int, int)
EMULATED_CUDA_VECTORS(uint, unsigned)
EMULATED_CUDA_VECTORS(longlong, long long)
EMULATED_CUDA_VECTORS(ulonglong, unsigned long long)
EMULATED_CUDA_VECTORS(float, float)
EMULATED_CUDA_VECTORS(double, double)
#undef EMULATED_CUDA_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned across = 1, unsigned down = 1, unsigned deep = 1) : x(across), y(down), z(deep) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

// Of the thread that runs now; set whenever another one goes on.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;
