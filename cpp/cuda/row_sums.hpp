// Sums of x (A,R) over R: the rows are short, and several are one warp's, or long, and a block or several add one up.
#pragma once
#include "column_sums.hpp"
#include "reductions.hpp"

namespace cnnfast::cuda {

// A launch gives `parts` sums of each row, of `length` numbers each but for the last.
struct RowLaunch {
  int vector, lanes;  // threads for one sum: up to a warp, or a block
  std::int64_t A, R, length, parts;
};

struct RowPlan {
  RowLaunch first, second;
  bool two;
  std::int64_t workspace_bytes() const { return two ? first.A * first.parts * 4 : 0; }
};

// `most` numbers take 16 bytes.
inline RowLaunch row_launch(std::int64_t A, std::int64_t R, std::int64_t length, int most) {
  const int vector = R % most == 0 && length % most == 0 ? most : 1;
  int lanes = 1;
  while (lanes < kWarp && lanes * kTogether * vector < length) lanes *= 2;
  if (length > std::int64_t{kWarp} * vector * 2 * kTogether) lanes = kBlock;
  return {vector, lanes, A, R, length, (R + length - 1) / length};
}

inline RowPlan row_plan(std::int64_t A, std::int64_t R, int vector) {
  constexpr std::int64_t shortest = 16384;  // a part that is worth another launch
  const std::int64_t wanted = A < kColumnBlocks ? kColumnBlocks / A : 1;
  if (wanted < 2 || R < 2 * shortest) return {row_launch(A, R, R, vector), {}, false};
  const std::int64_t even = (R + wanted - 1) / wanted, length = (even > shortest ? even : shortest) / kBlock * kBlock;
  const RowLaunch first = row_launch(A, R, length, vector);
  return {first, row_launch(A, first.parts, first.parts, 4), true};
}

template <int N, class F, class Y, class X>
__global__ void __launch_bounds__(kBlock) row_sums_kernel(RowLaunch s, F f, float scale, Y* y, const X* x) {
  const bool block_each = s.lanes == kBlock;
  const std::int64_t sums = s.A * s.parts, at = block_each ? blockIdx.x : grid_first() / s.lanes;
  const int lane = static_cast<int>(threadIdx.x) % s.lanes;
  float sum = 0.0f;
  if (at < sums) {
    const std::int64_t row = at / s.parts, begin = (at - row * s.parts) * s.length;
    const std::int64_t end = begin + s.length < s.R ? begin + s.length : s.R;
    const X* from = x + row * s.R;
    std::int64_t i = begin + lane * N;
    const std::int64_t step = s.lanes * N;
    for (; i + (kTogether - 1) * step < end; i += kTogether * step) {
      Operands<N, X> operands[kTogether];
#pragma unroll
      for (int u = 0; u < kTogether; ++u) operands[u].read(i + u * step, from);
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
#pragma unroll
        for (int j = 0; j < N; ++j) sum += operands[u].of(f, j);
    }
    for (; i < end; i += step) {
      Operands<N, X> operands;
      operands.read(i, from);
#pragma unroll
      for (int j = 0; j < N; ++j) sum += operands.of(f, j);
    }
  }
  if (block_each)
    sum = block_sum(sum);
  else
    for (int distance = s.lanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
  if (lane == 0 && at < sums) y[at] = from_float<Y>(scale * sum);
}

template <class F, class Y, class X>
void launch_row_sums(const RowLaunch& s, const F& f, float scale, Y* y, const X* x, cudaStream_t stream) {
  const unsigned grid = grid_for(s.A * s.parts * s.lanes, kBlock, INT32_MAX);
  if (s.vector == 1)
    launch(row_sums_kernel<1, F, Y, X>, grid, kBlock, 0, stream, s, f, scale, y, x);
  else
    launch(row_sums_kernel<kVector<X>, F, Y, X>, grid, kBlock, 0, stream, s, f, scale, y, x);
}

// y = scale * sums of f(x).
template <class F, class Y, class X>
void sum_rows(const RowPlan& plan, const F& f, float scale, Y* y, float* workspace, const X* x, cudaStream_t stream) {
  if (!plan.two) return launch_row_sums(plan.first, f, scale, y, x, stream);
  launch_row_sums(plan.first, f, 1.0f, workspace, x, stream);
  launch_row_sums(plan.second, Identity{}, scale, y, static_cast<const float*>(workspace), stream);
}

}  // namespace cnnfast::cuda
