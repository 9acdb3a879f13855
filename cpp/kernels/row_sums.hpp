// Sums over the middle axis of (A, M, K): bias gradients, means, norms. The rows are cut into a fixed number of slices
// whose partial sums meet in a workspace, so that the result has the same bits for any number of threads.
#pragma once
#include "elementwise.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Narrow rows are read in chunks of several, so that vectors are full; their sums are folded at the end.
struct RowSums {
  std::int64_t A, M, K;
  std::int64_t chunk, chunks, slices;  // floats of a chunk, chunks of all M rows, slices of the chunks

  RowSums(std::int64_t A_, std::int64_t M_, std::int64_t K_) : A(A_), M(M_), K(K_) {
    const std::int64_t rows = max_of(1, min_of(M, 4 * Vec::width / K));
    chunk = rows * K;
    chunks = ceil_div(M, rows);
    // A slice is worth a task and is much longer than the partial sums it leaves.
    slices = max_of(1, min_of(min_of(M * K / 8192, chunks / 32), 256));
  }
  std::int64_t workspace() const { return A * slices * chunk; }
};

static constexpr std::int64_t kRowSumCols = 64 * Vec::width;  // columns of a task

// Adds up f over the floats [begin, end) of a slice, seen as rows of `chunk` floats, in columns [k, k + NV vectors).
template <int NV, bool PARTIAL, class F>
static inline void sum_columns(std::int64_t begin, std::int64_t end, std::int64_t chunk, std::int64_t cols,
                               float* sums, const F& f) {
  Vec sum[NV];
  for (int v = 0; v < NV; ++v) sum[v] = vzero();
  for (std::int64_t i = begin; i < end; i += chunk) {
    const std::int64_t n = PARTIAL ? min_of(cols, end - i) : cols;
    for (int v = 0; v < NV; ++v) {
      const std::int64_t lanes = PARTIAL ? min_of(Vec::width, n - v * Vec::width) : Vec::width;
      if (!PARTIAL || lanes > 0) sum[v] = sum[v] + f(i + v * Vec::width, lanes);
    }
  }
  for (int v = 0; v < NV; ++v)
    if (v * Vec::width < cols) vstore_lanes(sums + v * Vec::width, sum[v], min_of(Vec::width, cols - v * Vec::width));
}

// sums (A, K) = scale * sum over the M rows of f, where f(i, lanes) is the vector at float i of an (A, M, K) array. f is
// called once for each element (lanes that are off must be 0), so it may also store what it computes.
template <class F>
static inline void sum_rows_of(const RowSums& s, float scale, float* sums, float* workspace, const F& f) {
  const std::int64_t col_tasks = ceil_div(s.chunk, kRowSumCols), image = s.M * s.K;
  parallel(s.A * s.slices * col_tasks, [&](std::int64_t task, int) {
    const std::int64_t part = task / col_tasks, a = part / s.slices, slice = part % s.slices;
    const std::int64_t begin = slice * s.chunks / s.slices * s.chunk;
    const std::int64_t end = min_of((slice + 1) * s.chunks / s.slices * s.chunk, image);
    const std::int64_t whole = begin + (end - begin) / s.chunk * s.chunk;
    const std::int64_t first = task % col_tasks * kRowSumCols, last = min_of(first + kRowSumCols, s.chunk);
    for (std::int64_t k = first; k < last; k += 4 * Vec::width) {
      float* out = workspace + part * s.chunk + k;
      const std::int64_t at = a * image + begin + k, cols = min_of(4 * Vec::width, last - k);
      if (cols == 4 * Vec::width && whole == end)
        sum_columns<4, false>(at, a * image + end, s.chunk, cols, out, f);
      else
        sum_columns<4, true>(at, a * image + end, s.chunk, cols, out, f);
    }
  });
  parallel(s.A, [&](std::int64_t a, int) {
    float* part = workspace + a * s.slices * s.chunk;
    for (std::int64_t slice = 1; slice < s.slices; ++slice)
      for_each_vector_in(0, s.chunk, [&](std::int64_t k, std::int64_t lanes) {
        vstore_lanes(part + k, vload_lanes(part + k, lanes) + vload_lanes(part + slice * s.chunk + k, lanes), lanes);
      });
    for (std::int64_t k = 0; k < s.K; ++k) {
      double sum = 0.0;
      for (std::int64_t i = k; i < s.chunk; i += s.K) sum += part[i];
      sums[a * s.K + k] = static_cast<float>(sum * scale);
    }
  });
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
