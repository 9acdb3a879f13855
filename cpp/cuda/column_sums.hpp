// Sums of x (A,R,B) over R for B > 1 or A = 1, in one pass over memory: a block adds up some rows of some columns, and
// where there are several blocks for a column a second launch adds up what they have. x is what a function makes of
// tensors, and may be stored on the way.
#pragma once
#include <type_traits>

#include "elementwise.hpp"

namespace cnnfast::cuda {

// One launch, in vectors of `vector` numbers. Rows of x, each of `length` numbers, lie one after the other.
struct ColumnLaunch {
  int vector, width, height;          // a block reads `height` rows of `width` vectors at a time
  std::int64_t count, length, R;      // numbers of x and of a row; rows of one of A parts. The last may have less
  std::int64_t columns, rows;         // vectors of one row of all A parts; rows for which a block is responsible
  std::int64_t blocks_across, parts;  // blocks for all columns, and for all rows
};

constexpr int kColumnThreads = 512;
constexpr std::int64_t kColumnBlocks = 2 * 132;  // as many as the largest devices run at a time

struct ColumnPlan {
  ColumnLaunch first, second;
  bool two;
  std::int64_t workspace_bytes() const { return two ? first.parts * first.columns * first.vector * 4 : 0; }
};

// One block for each column. Narrow blocks are more blocks: at least 8 vectors, that memory may answer in whole lines,
// and no more rows at a time than there are.
inline ColumnLaunch whole_columns(std::int64_t A, std::int64_t R, std::int64_t B, int vector) {
  const std::int64_t columns = A * B / vector;
  int width = 8;
  while (width < kColumnThreads && (kColumnThreads / width > R || (width < 64 && columns >= 2 * width * kColumnBlocks)))
    width *= 2;
  if (columns < width) width = static_cast<int>(columns);
  return {vector, width, kColumnThreads / width, A * R * B, B, R, columns, R, (columns + width - 1) / width, 1};
}

// The width that leaves fewest threads without work.
inline int best_width(std::int64_t columns) {
  int best = 0;
  std::int64_t most = -1;
  for (const std::int64_t width : {columns, std::int64_t{64}, std::int64_t{32}, std::int64_t{16}}) {
    if (width > kColumnThreads) continue;
    const std::int64_t covered = (columns + width - 1) / width * width;
    const std::int64_t used = columns * (kColumnThreads / width * width) * 1024 / covered;
    if (used > most) most = used, best = static_cast<int>(width);
  }
  return best;
}

// Some rows of the columns for each block. If vectors do not divide a row, several rows are one (A is 1 then).
inline ColumnLaunch parts_of_columns(std::int64_t A, std::int64_t R, std::int64_t B, int vector, std::int64_t merged) {
  const std::int64_t length = merged * B, rows_in_all = (R + merged - 1) / merged, columns = A * length / vector;
  const int width = best_width(columns), height = kColumnThreads / width;
  const std::int64_t across = (columns + width - 1) / width;
  const std::int64_t wanted = across < kColumnBlocks ? kColumnBlocks / across : 1;
  const std::int64_t steps = (rows_in_all + wanted * height - 1) / (wanted * height), rows = steps * height;
  const std::int64_t parts = (rows_in_all + rows - 1) / rows;
  return {vector, width, height, A * R * B, length, rows_in_all, columns, rows, across, parts};
}

// `vector` numbers take 16 bytes.
inline ColumnPlan column_plan(std::int64_t A, std::int64_t R, std::int64_t B, int vector) {
  constexpr std::int64_t few_steps = 8;  // so few cost less than another launch
  const ColumnLaunch whole = whole_columns(A, R, B, B % vector == 0 ? vector : 1);
  if (R <= few_steps * whole.height || whole.blocks_across >= kColumnBlocks) return {whole, {}, false};
  std::int64_t merged = 1;
  while (A == 1 && merged * B % vector != 0) merged *= 2;
  const ColumnLaunch parts = parts_of_columns(A, R, B, merged * B % vector == 0 ? vector : 1, merged);
  return {parts, whole_columns(1, parts.parts * merged, A * B, A * B % 4 == 0 ? 4 : 1), true};
}

struct NotStored {};

template <int N, class F, class Z, class Y, class... X>
__global__ void __launch_bounds__(kColumnThreads, 2)
    column_sums_kernel(ColumnLaunch s, F f, float scale, Z* z, Y* y, const X*... x) {
  __shared__ float sums[kColumnThreads * N];
  const int row = static_cast<int>(threadIdx.x) / s.width, across = static_cast<int>(threadIdx.x) % s.width;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * s.width + across;
  const bool working = row < s.height && column < s.columns;
  float sum[N] = {};
  if (working) {
    const std::int64_t vectors = s.length / N, a = vectors == s.columns ? 0 : column / vectors;
    const std::int64_t first = a * s.R * s.length + (column - a * vectors) * N, step = s.height * s.length;
    const std::int64_t begin = blockIdx.y * s.rows + row;
    const std::int64_t end = begin - row + s.rows < s.R ? begin - row + s.rows : s.R;
    const std::int64_t whole = s.count - N;  // no vector that begins behind it is whole
    std::int64_t r = begin, i = first + r * s.length;
    const auto add = [&](const Operands<N, X...>& operands, std::int64_t at) {
      float term[N];
#pragma unroll
      for (int j = 0; j < N; ++j) sum[j] += term[j] = operands.of(f, j);
      if constexpr (!std::is_same_v<Z, NotStored>) store<N>(z + at, term);
    };
    for (; r + (kTogether - 1) * s.height < end && i + (kTogether - 1) * step <= whole;
         r += kTogether * s.height, i += kTogether * step) {
      Operands<N, X...> operands[kTogether];
#pragma unroll
      for (int u = 0; u < kTogether; ++u) operands[u].read(i + u * step, x...);
#pragma unroll
      for (int u = 0; u < kTogether; ++u) add(operands[u], i + u * step);
    }
    for (; r < end && i <= whole; r += s.height, i += step) {
      Operands<N, X...> operands;
      operands.read(i, x...);
      add(operands, i);
    }
    if (r < end)
#pragma unroll
      for (int j = 0; j < N - 1; ++j) {
        if (i + j >= s.count) continue;
        const float term = f(to_float(x[i + j])...);
        sum[j] += term;
        if constexpr (!std::is_same_v<Z, NotStored>) z[i + j] = from_float<Z>(term);
      }
  }
  float* const mine = sums + threadIdx.x * N;
#pragma unroll
  for (int j = 0; j < N; ++j) mine[j] = sum[j];
  for (int rows = s.height; rows > 1;) {  // the upper half of the rows is added to the lower
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (row + half < rows)
#pragma unroll
      for (int j = 0; j < N; ++j) mine[j] += mine[half * s.width * N + j];
    rows = half;
  }
  if (row == 0 && working)
#pragma unroll
    for (int j = 0; j < N; ++j) y[(blockIdx.y * s.columns + column) * N + j] = from_float<Y>(scale * mine[j]);
}

template <class F, class Z, class Y, class... X>
void launch_column_sums(const ColumnLaunch& s, const F& f, float scale, Z* z, Y* y, cudaStream_t stream,
                        const X*... x) {
  const dim3 grid(static_cast<unsigned>(s.blocks_across), static_cast<unsigned>(s.parts));
  if (s.vector == 1)
    launch(column_sums_kernel<1, F, Z, Y, X...>, grid, kColumnThreads, 0, stream, s, f, scale, z, y, x...);
  else
    launch(column_sums_kernel<kCommonVector<X...>, F, Z, Y, X...>, grid, kColumnThreads, 0, stream, s, f, scale, z, y,
           x...);
}

struct Identity {
  __device__ float operator()(float x) const { return x; }
};

// y = scale * sums of f(x...); z, unless it is a NotStored*, gets all f(x...) and may be one of the x.
template <class F, class Z, class Y, class... X>
void sum_columns(const ColumnPlan& plan, const F& f, float scale, Z* z, Y* y, float* workspace, cudaStream_t stream,
                 const X*... x) {
  if (!plan.two) return launch_column_sums(plan.first, f, scale, z, y, stream, x...);
  launch_column_sums(plan.first, f, 1.0f, z, workspace, stream, x...);
  launch_column_sums(plan.second, Identity{}, scale, static_cast<NotStored*>(nullptr), y, stream,
                     static_cast<const float*>(workspace));
}

}  // namespace cnnfast::cuda
