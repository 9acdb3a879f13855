// In place of NVIDIA's header of this name: products of small matrices by the threads of a warp, of bfloat16 or
// TensorFloat-32 numbers with float sums. Each lane has an equal share of each matrix, as on a device; which one is
// nobody's business. The last lane that comes to an operation does it for all of them.
#pragma once
#include <cstdint>
#include <type_traits>

#include "cuda_bf16.h"
#include "cuda_runtime.h"

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32;
}

// Rounds to 10 bits after the first one, ties away from zero.
inline float __float_to_tf32(float x) {
  return std::isnan(x) ? x : __uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu);
}

namespace emulated {

template <class Use, int M, int N, int K>
constexpr int kRows = std::is_same_v<Use, matrix_b> ? K : M;
template <class Use, int M, int N, int K>
constexpr int kColumns = std::is_same_v<Use, matrix_a> ? K : N;

template <class Use, int M, int N, int K, class T>
constexpr bool kSupported = std::is_same_v<Use, accumulator>
                                ? std::is_same_v<T, float>&& M* N == 256 && (K == 16 || (K == 8 && M == 16))
                                : (std::is_same_v<T, __nv_bfloat16>&& K == 16 && M * N == 256 &&
                                   (M == 8 || M == 16 || M == 32)) ||
                                      (std::is_same_v<T, precision::tf32> && M == 16 && N == 16 && K == 8);

template <class T>
using Stored = std::conditional_t<std::is_same_v<T, precision::tf32>, float, T>;

// What a product is made of: of a float only the bits of TensorFloat-32.
inline float factor(__nv_bfloat16 x) { return __bfloat162float(x); }
inline float factor(float x) { return __uint_as_float(__float_as_uint(x) & ~0x1fffu); }

}  // namespace emulated

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment {
  static_assert(emulated::kSupported<Use, M, N, K, T>, "matrices of a kind that is not emulated");
  using element_type = emulated::Stored<T>;
  static constexpr int rows = emulated::kRows<Use, M, N, K>, columns = emulated::kColumns<Use, M, N, K>;
  static constexpr int num_elements = rows * columns / 32;
  static constexpr bool is_factor = !std::is_same_v<Use, accumulator>;
  element_type x[num_elements];  // of the matrix, row after row, those from lane * num_elements
};

namespace emulated {

template <class Fragment, class T>
struct Transfer {
  Fragment* fragment;
  T* memory;
  unsigned stride;
  bool row_major;
};

// Calls f(element, its place in memory) for all elements of the matrix.
template <class Fragment, class T, class F>
void for_elements(void* const* lanes, F f) {
  using Of = Transfer<Fragment, T>;
  const Of first = *static_cast<const Of*>(lanes[0]);
  constexpr unsigned kAligned = 16 / sizeof(T);
  if (reinterpret_cast<std::uintptr_t>(first.memory) % 32 != 0)
    emulated_cuda::die("a matrix that is not 32-byte aligned");
  if (first.stride % kAligned != 0) emulated_cuda::die("a matrix whose rows are not 16-byte aligned");
  for (int lane = 0; lane < 32; ++lane) {
    const Of& of = *static_cast<const Of*>(lanes[lane]);
    if (of.memory != first.memory || of.stride != first.stride || of.row_major != first.row_major)
      emulated_cuda::die("lanes of a warp that load or store different matrices");
    for (int i = 0; i < Fragment::num_elements; ++i) {
      const int e = lane * Fragment::num_elements + i, row = e / Fragment::columns, column = e % Fragment::columns;
      const std::size_t stride = first.stride;
      f(of.fragment->x[i], first.row_major ? first.memory[row * stride + column] : first.memory[column * stride + row]);
    }
  }
}

template <class Fragment, class T>
void load(Fragment& fragment, const T* memory, unsigned stride, bool row_major) {
  Transfer<Fragment, const T> mine{&fragment, memory, stride, row_major};
  emulated_cuda::together(emulated_cuda::WarpOp::load_matrix, &mine, [](void* const* lanes) {
    for_elements<Fragment, const T>(lanes, [](T& element, const T& at) { element = at; });
  });
}

// N floats that compilers compute with as vectors even where they optimize little.
template <int N>
struct Row {
  typedef float type __attribute__((vector_size(N * sizeof(float))));  // GCC 12 ignores the attribute after `using`
};

template <class Fragment>
void gather(const Fragment* const* lanes, float* matrix) {
  using T = typename Fragment::element_type;
  for (int lane = 0; lane < 32; ++lane)
    for (const T& x : lanes[lane]->x) *matrix++ = Fragment::is_factor ? factor(x) : static_cast<float>(x);
}

}  // namespace emulated

template <class Use, int M, int N, int K, class T, class Layout, class Number>
void fill_fragment(fragment<Use, M, N, K, T, Layout>& a, const Number& value) {
  for (auto& x : a.x) x = value;
}

template <class Use, int M, int N, int K, class T, class Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& a, const emulated::Stored<T>* memory, unsigned stride) {
  static_assert(!std::is_void_v<Layout>, "sums are loaded in a layout that is told");
  emulated::load(a, memory, stride, std::is_same_v<Layout, row_major>);
}

template <int M, int N, int K>
void load_matrix_sync(fragment<accumulator, M, N, K, float>& a, const float* memory, unsigned stride, layout_t layout) {
  emulated::load(a, memory, stride, layout == mem_row_major);
}

template <int M, int N, int K>
void store_matrix_sync(float* memory, const fragment<accumulator, M, N, K, float>& a, unsigned stride,
                       layout_t layout) {
  using Fragment = const fragment<accumulator, M, N, K, float>;
  emulated::Transfer<Fragment, float> mine{&a, memory, stride, layout == mem_row_major};
  emulated_cuda::together(emulated_cuda::WarpOp::store_matrix, &mine, [](void* const* lanes) {
    emulated::for_elements<Fragment, float>(lanes, [](const float& element, float& at) { at = element; });
  });
}

// d = a * b + c
template <int M, int N, int K, class T, class LayoutA, class LayoutB>
void mma_sync(fragment<accumulator, M, N, K, float>& d, const fragment<matrix_a, M, N, K, T, LayoutA>& a,
              const fragment<matrix_b, M, N, K, T, LayoutB>& b, const fragment<accumulator, M, N, K, float>& c) {
  using A = fragment<matrix_a, M, N, K, T, LayoutA>;
  using B = fragment<matrix_b, M, N, K, T, LayoutB>;
  using C = fragment<accumulator, M, N, K, float>;
  struct Product {
    C* d;
    const A* a;
    const B* b;
    const C* c;
  };
  Product mine{&d, &a, &b, &c};
  emulated_cuda::together(emulated_cuda::WarpOp::mma, &mine, [](void* const* lanes) {
    const A* a_of[32];
    const B* b_of[32];
    const C* c_of[32];
    for (int lane = 0; lane < 32; ++lane) {
      const Product& of = *static_cast<const Product*>(lanes[lane]);
      a_of[lane] = of.a;
      b_of[lane] = of.b;
      c_of[lane] = of.c;
    }
    using Row = typename emulated::Row<N>::type;
    float a[M * K];
    Row b[K], sums[M];
    emulated::gather(a_of, a);
    emulated::gather(b_of, reinterpret_cast<float*>(b));
    emulated::gather(c_of, reinterpret_cast<float*>(sums));
    for (int m = 0; m < M; ++m) {
      Row row = sums[m];
      for (int k = 0; k < K; ++k) row += a[m * K + k] * b[k];
      sums[m] = row;
    }
    const float* sum = reinterpret_cast<const float*>(sums);
    for (int lane = 0; lane < 32; ++lane)
      for (float& x : static_cast<const Product*>(lanes[lane])->d->x) x = *sum++;
  });
}

}  // namespace nvcuda::wmma
