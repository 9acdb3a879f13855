// Sums along axes (see cnnfast/kernels/reduce.hpp).
#pragma once
#include "cnnfast/kernels/reduce.hpp"
#include "row_sums.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static std::int64_t reduce_workspace(std::int64_t A, std::int64_t R, std::int64_t B) {
  return RowSums(A, R, B).workspace();
}

static void reduce_sum(std::int64_t A, std::int64_t R, std::int64_t B, Summand summand, float scale, const float* x,
                       float* y, float* workspace) {
  const auto sum = [=](auto f) {
    sum_rows_of(RowSums(A, R, B), scale, y, workspace,
                [=](std::int64_t i, std::int64_t lanes) { return f(vload_lanes(x + i, lanes)); });
  };
  switch (summand) {
    case Summand::value: return sum([](Vec v) { return v; });
    case Summand::magnitude: return sum([](Vec v) { return vabs(v); });
    case Summand::square: return sum([](Vec v) { return v * v; });
  }
}

static void sum_abs_backward(std::int64_t n, float dy, float scale, const float* x, float* dx) {
  const Vec up = vset(dy * scale), down = vset(-dy * scale);
  map_vectors(n, x, dx, [=](Vec v) { return vselect_gt(v, vzero(), up, vselect_gt(vzero(), v, down, vzero())); });
}

static void sum_squares_backward(std::int64_t n, float dy, float scale, const float* x, float* dx) {
  const Vec factor = vset(2.0f * dy * scale);
  map_vectors(n, x, dx, [=](Vec v) { return v * factor; });
}

static constexpr ReduceKernels reduce_kernels = {reduce_workspace, reduce_sum, sum_abs_backward, sum_squares_backward};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
