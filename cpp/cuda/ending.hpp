// What kernels do to the sums of a convolution just before they store them.
#pragma once
#include "implicit_gemm.hpp"
#include "numbers.hpp"

namespace cnnfast::cuda {

// Keeps NaN, so that a broken value stays visible.
__device__ inline float with_epilogue(float x, Epilogue epilogue) {
  if (epilogue == Epilogue::none) return x;
  x = x < 0.0f ? 0.0f : x;
  return epilogue == Epilogue::relu6 && x > 6.0f ? 6.0f : x;
}

// dy where 0 < y (< 6), else 0.
__device__ inline float epilogue_gradient(float dy, float y, Epilogue epilogue) {
  return y > 0.0f && (epilogue != Epilogue::relu6 || y < 6.0f) ? dy : 0.0f;
}

// V floats, 4 at a time if V allows.
template <int V>
__device__ inline void load_floats(const float* from, float (&x)[V]) {
  constexpr int kPiece = V % 4 == 0 ? 4 : 1;
#pragma unroll
  for (int v = 0; v < V; v += kPiece) {
    float piece[kPiece];
    load<kPiece>(from + v, piece);
#pragma unroll
    for (int i = 0; i < kPiece; ++i) x[v + i] = piece[i];
  }
}

// The V sums x of element `at` of y on, the first of which belongs to channel `channel`.
template <class Y, int V>
__device__ inline void finish(const ConvEnding& ending, std::int64_t channel, std::int64_t at, float (&x)[V]) {
  float other[V];
  if (ending.b) {
    load_floats<V>(ending.b + channel, other);
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] += other[v];
  }
  if (ending.residual) {
    load<V>(static_cast<const Y*>(ending.residual) + at, other);
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] += other[v];
  }
  if (ending.gate) {
    load<V>(static_cast<const Y*>(ending.gate) + at, other);
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] = epilogue_gradient(x[v], other[v], ending.epilogue);
  } else {
#pragma unroll
    for (int v = 0; v < V; ++v) x[v] = with_epilogue(x[v], ending.epilogue);
  }
}

// Whether numbers of T at this address, and at multiples of `unit` from there, can be read 16 bytes at a time.
template <class T>
inline bool has_vectors(const void* address, std::int64_t unit) {
  return unit % kVector<T> == 0 && reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

template <class T>
inline bool has_vectors(const ConvEnding& ending, const void* y, std::int64_t unit) {
  return has_vectors<T>(y, unit) && has_vectors<T>(ending.b, unit) && has_vectors<T>(ending.residual, unit) &&
         has_vectors<T>(ending.gate, unit);
}

}  // namespace cnnfast::cuda
