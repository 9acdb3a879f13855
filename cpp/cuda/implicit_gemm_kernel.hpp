// The tiled matrix product of an implicit GEMM. A block makes a tile of the result: pieces of both operands, `depth` of
// the sums' terms long, pass through shared memory, several of them on their way while one is multiplied.
#pragma once
#include <cuda_pipeline_primitives.h>
#include <mma.h>

#include <type_traits>

#include "ending.hpp"
#include "implicit_gemm_operands.hpp"
#include "launch.hpp"

namespace cnnfast::cuda::implicit_gemm {

constexpr int kStages = 3;        // pieces in shared memory
constexpr int kMostProducts = 4;  // of one launch

// Of float32: each product is exact in its sum. Of both types: on tensor cores.
struct ExactMath {
  using Number = float;
  static constexpr int kDepth = 16;
};
struct Tf32Math {
  using Number = float;
  using Fragment = nvcuda::wmma::precision::tf32;
  static constexpr int kDepth = 16, kStep = 8;
};
struct Bf16Math {
  using Number = bf16;
  using Fragment = bf16;
  static constexpr int kDepth = 32, kStep = 16;
};

// A warp makes 32 rows of the tile, and of its columns as many as make all warps busy.
template <int ROWS, int COLS, int WARPS, int RESIDENT>
struct Tile {
  static constexpr int kRows = ROWS, kCols = COLS, kThreads = WARPS * kWarp, kResident = RESIDENT;
  static constexpr int kWarpRows = 32, kWarpCols = COLS * (ROWS / kWarpRows) / WARPS;
  static constexpr int kPitch = COLS + 4;  // floats of a row of the result in shared memory
  static __device__ int first_row() { return static_cast<int>(threadIdx.x) / kWarp % (ROWS / kWarpRows) * kWarpRows; }
  static __device__ int first_col() { return static_cast<int>(threadIdx.x) / kWarp / (ROWS / kWarpRows) * kWarpCols; }
};
using LargeTile = Tile<128, 128, 8, 2>;
using MediumTile = Tile<64, 64, 4, 4>;
using NarrowTile = Tile<128, 32, 4, 4>;

// A piece of an operand: SIDE rows or columns of it, whose terms lie side by side (BY_TERM) or a row of them apart. The
// rows are as far apart as keeps the threads of a warp in different banks.
template <class Math, int SIDE, bool BY_TERM>
struct Piece {
  using T = typename Math::Number;
  static constexpr int kOuter = BY_TERM ? SIDE : Math::kDepth, kInner = BY_TERM ? Math::kDepth : SIDE;
  static constexpr int kPitch = kInner + (sizeof(T) == 4 && BY_TERM ? 4 : 8);
  static constexpr int kNumbers = kOuter * kPitch;
};

template <class Math, class Tile, bool A_BY_TERM, bool B_BY_TERM>
struct Pieces {
  using A = Piece<Math, Tile::kRows, A_BY_TERM>;
  using B = Piece<Math, Tile::kCols, B_BY_TERM>;
  static constexpr int kStageBytes = (A::kNumbers + B::kNumbers) * static_cast<int>(sizeof(typename Math::Number));
  static constexpr int kResultBytes = Tile::kRows * Tile::kPitch * static_cast<int>(sizeof(float));
  static constexpr int kTableBytes = A_BY_TERM ? Tile::kRows * static_cast<int>(sizeof(Window::Place)) : 0;
  static constexpr int kBytes =
      kTableBytes + (kStages * kStageBytes > kResultBytes ? kStages * kStageBytes : kResultBytes);
};

// V numbers, or zeros if they are not inside.
template <int V, class T>
__device__ inline void copy_to_shared(T* to, const T* from, bool inside) {
  constexpr std::size_t bytes = V * sizeof(T);
  if constexpr (bytes >= 4)
    __pipeline_memcpy_async(to, from, bytes, inside ? 0 : bytes);
  else
    *to = inside ? *from : from_float<T>(0.0f);
}

// Fills a piece, V numbers at a time. outer(i) is the place of its row i; `inner` its first inner index.
template <class Piece, int V, int THREADS, class T, class Operand, class Outer>
__device__ inline void load_piece(const Operand& operand, const T* data, const Outer& outer, int inner, T* to) {
  constexpr int kColumns = Piece::kInner / V, kRows = THREADS / kColumns;
  static_assert(THREADS % kColumns == 0 && Piece::kOuter % kRows == 0, "threads share a piece evenly");
  constexpr int kPasses = Piece::kOuter / kRows;
  const int column = static_cast<int>(threadIdx.x) % kColumns * V, first = static_cast<int>(threadIdx.x) / kColumns;
  const auto place = operand.inner(inner + column);
#pragma unroll(kPasses < 8 ? kPasses : 8)
  for (int pass = 0; pass < kPasses; ++pass) {
    const int i = first + pass * kRows;
    const auto row = outer(i);
    const bool inside = operand.inside(row, place);
    copy_to_shared<V>(to + i * Piece::kPitch + column, inside ? data + (row.offset + place.offset) : data, inside);
  }
}
template <class Piece, int THREADS, class T, class Operand, class Outer>
__device__ inline void load_piece(const Operand& operand, const T* data, bool vectors, const Outer& outer, int inner,
                                  T* to) {
  if (vectors)
    load_piece<Piece, kVector<T>, THREADS>(operand, data, outer, inner, to);
  else
    load_piece<Piece, 1, THREADS>(operand, data, outer, inner, to);
}

// The sums of a warp on tensor cores, 16 x 16 at a time.
template <class Math, class Tile, class A, class B, bool A_BY_TERM, bool B_BY_TERM>
class TensorSums {
  static constexpr int kRows = Tile::kWarpRows / 16, kCols = Tile::kWarpCols / 16, kStep = Math::kStep;
  template <class Use, bool ROW_MAJOR>
  using Operand =
      nvcuda::wmma::fragment<Use, 16, 16, kStep, typename Math::Fragment,
                             std::conditional_t<ROW_MAJOR, nvcuda::wmma::row_major, nvcuda::wmma::col_major>>;

  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, kStep, float> sums_[kRows][kCols];

  template <class F, class T>
  static __device__ void load_rounded(F& fragment, const T* from, int pitch) {
    nvcuda::wmma::load_matrix_sync(fragment, from, pitch);
    if constexpr (sizeof(T) == 4) {
#pragma unroll
      for (int i = 0; i < fragment.num_elements; ++i) fragment.x[i] = nvcuda::wmma::__float_to_tf32(fragment.x[i]);
    }
  }

 public:
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kCols; ++j) nvcuda::wmma::fill_fragment(sums_[i][j], 0.0f);
  }
  template <class T>
  __device__ void add(const T* a, const T* b) {
    const int row = Tile::first_row(), col = Tile::first_col();
#pragma unroll
    for (int k = 0; k < Math::kDepth; k += kStep) {
      Operand<nvcuda::wmma::matrix_a, A_BY_TERM> a_part[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        const int m = row + i * 16;
        load_rounded(a_part[i], a + (A_BY_TERM ? m * A::kPitch + k : k * A::kPitch + m), A::kPitch);
      }
#pragma unroll
      for (int j = 0; j < kCols; ++j) {
        const int n = col + j * 16;
        Operand<nvcuda::wmma::matrix_b, !B_BY_TERM> b_part;
        load_rounded(b_part, b + (B_BY_TERM ? n * B::kPitch + k : k * B::kPitch + n), B::kPitch);
#pragma unroll
        for (int i = 0; i < kRows; ++i) nvcuda::wmma::mma_sync(sums_[i][j], a_part[i], b_part, sums_[i][j]);
      }
    }
  }
  __device__ void store(float* result) const {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kCols; ++j)
        nvcuda::wmma::store_matrix_sync(
            result + (Tile::first_row() + i * 16) * Tile::kPitch + Tile::first_col() + j * 16, sums_[i][j],
            Tile::kPitch, nvcuda::wmma::mem_row_major);
  }
};

// The sums of a warp in float32: those of a thread are of 8 rows and 8 (or 4) columns. Lanes are 4 x 8; each has 4
// neighbouring rows out of 16 or, where terms lie side by side, every fourth row, so that a warp reads from all banks.
template <class Tile, class A, class B, bool A_BY_TERM, bool B_BY_TERM>
class ExactSums {
  static constexpr int kRows = Tile::kWarpRows / 4, kCols = Tile::kWarpCols / 8;
  static constexpr int kStep = B_BY_TERM ? 2 : 4;  // terms read at once
  float sums_[kRows][kCols];

  static __device__ int row_of(int i) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp / 8;
    return Tile::first_row() + (A_BY_TERM ? lane + 4 * i : lane * 4 + i % 4 + 16 * (i / 4));
  }
  static __device__ int col_of(int j) {
    const int lane = static_cast<int>(threadIdx.x) % 8;
    return Tile::first_col() + (B_BY_TERM ? lane + 8 * j : lane * 4 + j % 4 + 32 * (j / 4));
  }
  // x[t][i]: term k + t of row (or column) at(i).
  template <bool BY_TERM, int COUNT, class At>
  static __device__ void read(const float* piece, int pitch, int k, const At& at, float (&x)[kStep][COUNT]) {
    if constexpr (BY_TERM) {
#pragma unroll
      for (int i = 0; i < COUNT; ++i) {
        float terms[kStep];
        load<kStep>(piece + at(i) * pitch + k, terms);
#pragma unroll
        for (int t = 0; t < kStep; ++t) x[t][i] = terms[t];
      }
    } else {
#pragma unroll
      for (int t = 0; t < kStep; ++t)
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
          float side[4];
          load<4>(piece + (k + t) * pitch + at(i), side);
#pragma unroll
          for (int v = 0; v < 4; ++v) x[t][i + v] = side[v];
        }
    }
  }

 public:
  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kCols; ++j) sums_[i][j] = 0.0f;
  }
  __device__ void add(const float* a, const float* b) {
#pragma unroll
    for (int k = 0; k < ExactMath::kDepth; k += kStep) {
      float a_part[kStep][kRows], b_part[kStep][kCols];
      read<A_BY_TERM>(a, A::kPitch, k, row_of, a_part);
      read<B_BY_TERM>(b, B::kPitch, k, col_of, b_part);
#pragma unroll
      for (int t = 0; t < kStep; ++t)
#pragma unroll
        for (int i = 0; i < kRows; ++i)
#pragma unroll
          for (int j = 0; j < kCols; ++j) sums_[i][j] = fmaf(a_part[t][i], b_part[t][j], sums_[i][j]);
    }
  }
  __device__ void store(float* result) const {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kCols; ++j) result[row_of(i) * Tile::kPitch + col_of(j)] = sums_[i][j];
  }
};

template <class Math, class Tile, bool A_BY_TERM, bool B_BY_TERM>
struct SumsOf {
  using P = Pieces<Math, Tile, A_BY_TERM, B_BY_TERM>;
  using type = TensorSums<Math, Tile, typename P::A, typename P::B, A_BY_TERM, B_BY_TERM>;
};
template <class Tile, bool A_BY_TERM, bool B_BY_TERM>
struct SumsOf<ExactMath, Tile, A_BY_TERM, B_BY_TERM> {
  using P = Pieces<ExactMath, Tile, A_BY_TERM, B_BY_TERM>;
  using type = ExactSums<Tile, typename P::A, typename P::B, A_BY_TERM, B_BY_TERM>;
};

// What a launch computes: products of the same operands, each for all groups, the terms of each sum cut into `splits`.
template <class T>
struct Products {
  Product product[kMostProducts];
  const T *a, *b;
  std::int64_t a_group, b_group;  // numbers from group to group
  bool a_vectors, b_vectors;      // they can be read 16 bytes at a time
  int col_tiles, splits;
  void* y;
  bool y_is_float, y_vectors;
  std::int64_t y_split;  // floats from split to split, which are stored as they are; 0: there is one
  ConvEnding ending;     // none if there are several
};

// Stores a tile of the result; channels of y from `group` on belong to this product.
template <class Y, int V, class Tile>
__device__ inline void store_tile(const float* result, const Product& p, int m0, int n0, std::int64_t group,
                                  const ConvEnding& ending, Y* y) {
  constexpr int kPieces = Tile::kCols / V;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows * kPieces; i += Tile::kThreads) {
    const int row = i / kPieces, col = i % kPieces * V;
    if (m0 + row >= p.m || n0 + col >= p.n) continue;
    float x[V];
    load_floats<V>(result + row * Tile::kPitch + col, x);
    const std::int64_t channel = group + n0 + col, at = p.y.offset(m0 + row) + channel;
    finish<Y, V>(ending, channel, at, x);
    store<V>(y + at, x);
  }
}
template <class Y, class Tile>
__device__ inline void store_tile(bool vectors, const float* result, const Product& p, int m0, int n0,
                                  std::int64_t group, const ConvEnding& ending, Y* y) {
  if (vectors)
    store_tile<Y, kVector<Y>, Tile>(result, p, m0, n0, group, ending, y);
  else
    store_tile<Y, 1, Tile>(result, p, m0, n0, group, ending, y);
}

// Grid: tiles of the largest product, groups, splits of one product after the other.
template <class Math, class Tile, bool A_BY_TERM, bool B_BY_TERM>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kResident)
    product_kernel(const __grid_constant__ Products<typename Math::Number> all) {
  using T = typename Math::Number;
  using P = Pieces<Math, Tile, A_BY_TERM, B_BY_TERM>;
  using A = typename P::A;
  using B = typename P::B;
  constexpr int kDepth = Math::kDepth, kThreads = Tile::kThreads;
  // Only backward to the input there are several; elsewhere the compiler knows where the product is.
  const Product& p = all.product[A_BY_TERM && B_BY_TERM ? static_cast<int>(blockIdx.z) / all.splits : 0];
  const int split = static_cast<int>(blockIdx.z) % all.splits;
  const int m0 = static_cast<int>(blockIdx.x) / all.col_tiles * Tile::kRows;
  const int n0 = static_cast<int>(blockIdx.x) % all.col_tiles * Tile::kCols;
  if (m0 >= p.m) return;  // the whole block

  unsigned char* memory = dynamic_shared<unsigned char>();
  Window::Place* table = reinterpret_cast<Window::Place*>(memory);  // of the tile's rows
  T* pieces = reinterpret_cast<T*>(memory + P::kTableBytes);
  if constexpr (A_BY_TERM) {
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows; i += kThreads) table[i] = p.a.outer(m0 + i);
    __syncthreads();
  }
  const T* a = all.a + static_cast<std::int64_t>(blockIdx.y) * all.a_group;
  const T* b = all.b + static_cast<std::int64_t>(blockIdx.y) * all.b_group;
  const std::int64_t all_steps = (static_cast<std::int64_t>(p.k) + kDepth - 1) / kDepth;
  const int first = static_cast<int>(all_steps * split / all.splits);
  const int steps = static_cast<int>(all_steps * (split + 1) / all.splits) - first;

  const auto fetch = [&](int step) {
    if (step < steps) {
      const int k0 = (first + step) * kDepth;
      T* a_piece = pieces + step % kStages * (A::kNumbers + B::kNumbers);
      T* b_piece = a_piece + A::kNumbers;
      if constexpr (A_BY_TERM)
        load_piece<A, kThreads>(
            p.a, a, all.a_vectors, [&](int i) { return table[i]; }, k0, a_piece);
      else
        load_piece<A, kThreads>(
            p.a, a, all.a_vectors, [&](int i) { return p.a.outer(k0 + i); }, m0, a_piece);
      const int b_outer = B_BY_TERM ? n0 : k0, b_inner = B_BY_TERM ? k0 : n0;
      load_piece<B, kThreads>(
          p.b, b, all.b_vectors, [&](int i) { return p.b.outer(b_outer + i); }, b_inner, b_piece);
    }
    __pipeline_commit();
  };

  typename SumsOf<Math, Tile, A_BY_TERM, B_BY_TERM>::type sums;
  sums.clear();
#pragma unroll 1
  for (int step = 0; step < kStages - 1; ++step) fetch(step);
  for (int step = 0; step < steps; ++step) {
    __pipeline_wait_prior(kStages - 2);
    __syncthreads();  // the piece is there, and all are done with the one whose place the next fetch takes
    fetch(step + kStages - 1);
    const T* a_piece = pieces + step % kStages * (A::kNumbers + B::kNumbers);
    sums.add(a_piece, a_piece + A::kNumbers);
  }
  __pipeline_wait_prior(0);
  __syncthreads();
  float* result = reinterpret_cast<float*>(pieces);
  sums.store(result);
  __syncthreads();
  const std::int64_t group = static_cast<std::int64_t>(blockIdx.y) * p.n;
  if (std::is_same_v<T, float> || all.y_is_float)
    store_tile<float, Tile>(all.y_vectors, result, p, m0, n0, group, all.ending,
                            static_cast<float*>(all.y) + split * all.y_split);
  else
    store_tile<T, Tile>(all.y_vectors, result, p, m0, n0, group, all.ending, static_cast<T*>(all.y));
}

}  // namespace cnnfast::cuda::implicit_gemm
