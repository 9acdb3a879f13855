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

// sums[0, cols) = f added up over rows of `cols` floats from `begin` on, the last of which may end early: narrow rows,
// of up to 4 vectors, whose sums stay in registers. PARTIAL: some vector is not whole.
template <bool PARTIAL, class F>
static inline void sum_narrow(std::int64_t begin, std::int64_t end, std::int64_t cols, float* sums, const F& f) {
  Vec sum[4] = {vzero(), vzero(), vzero(), vzero()};
  for (std::int64_t i = begin; i < end; i += cols) {
    const std::int64_t n = PARTIAL ? min_of(cols, end - i) : cols;
    for (int v = 0; v < 4; ++v) {
      const std::int64_t lanes = PARTIAL ? min_of(Vec::width, n - v * Vec::width) : Vec::width;
      if (lanes > 0) sum[v] = sum[v] + f(i + v * Vec::width, lanes);
    }
  }
  for (int v = 0; v < 4; ++v)
    if (v * Vec::width < cols) vstore_lanes(sums + v * Vec::width, sum[v], min_of(Vec::width, cols - v * Vec::width));
}

// The same for wide rows, or some columns of them, `pitch` apart; the sums stay in the first-level cache.
template <class F>
static inline void sum_wide(std::int64_t begin, std::int64_t end, std::int64_t pitch, std::int64_t cols, float* sums,
                            const F& f) {
  for_each_vector_in(0, cols, [=](std::int64_t k, std::int64_t lanes) { vstore_lanes(sums + k, vzero(), lanes); });
  for (std::int64_t i = begin; i < end; i += pitch)
    for_each_vector_in(0, cols, [&](std::int64_t k, std::int64_t lanes) {
      vstore_lanes(sums + k, vload_lanes(sums + k, lanes) + f(i + k, lanes), lanes);
    });
}

// sums (A, K) = scale * sum over the M rows of f, where f(i, lanes) is the vector at float i of an (A, M, K) array.
// f is called once for each element (lanes that are off must be 0), so it may also store what it computes.
template <class F>
static inline void sum_rows_of(const RowSums& s, float scale, float* sums, float* workspace, const F& f) {
  const std::int64_t col_tasks = ceil_div(s.chunk, kRowSumCols), image = s.M * s.K;
  parallel(s.A * s.slices * col_tasks, [&](std::int64_t task, int) {
    const std::int64_t part = task / col_tasks, a = part / s.slices, slice = part % s.slices;
    const std::int64_t begin = a * image + slice * s.chunks / s.slices * s.chunk;
    const std::int64_t end = a * image + min_of((slice + 1) * s.chunks / s.slices * s.chunk, image);
    const std::int64_t first = task % col_tasks * kRowSumCols, cols = min_of(kRowSumCols, s.chunk - first);
    float* out = workspace + part * s.chunk + first;
    if (s.chunk > 4 * Vec::width)
      sum_wide(begin + first, end, s.chunk, cols, out, f);
    else if (cols < 4 * Vec::width || (end - begin) % cols != 0)
      sum_narrow<true>(begin, end, cols, out, f);
    else
      sum_narrow<false>(begin, end, cols, out, f);
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
