// What the machine can do at most (see cnnfast/kernels/peak.hpp).
#pragma once
#include "cnnfast/kernels/peak.hpp"
#include "elementwise.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr int kPeakAccumulators = kTileRows * kTileVecs;
static constexpr std::int64_t kPeakTaskRounds = 4096;  // some tens of microseconds

static std::int64_t peak_multiply_add(std::int64_t rounds) {
  const std::int64_t tasks = ceil_div(rounds, kPeakTaskRounds);
  parallel(tasks, [](std::int64_t, int worker) {
    float* out = worker_scratch(worker, 0, kPeakAccumulators * Vec::width);
    const Vec decay = vset(0.5f), one = vset(1.0f);  // sums tend to 2: nothing overflows or becomes denormal
    Vec sum[kPeakAccumulators];
#pragma GCC unroll 32
    for (int i = 0; i < kPeakAccumulators; ++i) sum[i] = vset(static_cast<float>(i));
    for (std::int64_t t = 0; t < kPeakTaskRounds; ++t) {
#pragma GCC unroll 32
      for (int i = 0; i < kPeakAccumulators; ++i) sum[i] = vfma(sum[i], decay, one);
    }
#pragma GCC unroll 32
    for (int i = 0; i < kPeakAccumulators; ++i) vstore(out + i * Vec::width, sum[i]);
  });
  return tasks * kPeakTaskRounds * kPeakAccumulators * Vec::width * 2;
}

// The sum of x[begin, end).
static inline float peak_sum(const float* x, std::int64_t begin, std::int64_t end) {
  constexpr int kSums = 8;
  Vec sum[kSums];
#pragma GCC unroll 8
  for (Vec& s : sum) s = vzero();
  std::int64_t i = begin;
  for (; i + kSums * Vec::width <= end; i += kSums * Vec::width) {
#pragma GCC unroll 8
    for (int v = 0; v < kSums; ++v) sum[v] = sum[v] + vload(x + i + v * Vec::width);
  }
  for (; i < end; i += Vec::width) sum[0] = sum[0] + vload_first(x + i, min_of(Vec::width, end - i));
#pragma GCC unroll 8
  for (int v = 1; v < kSums; ++v) sum[0] = sum[0] + sum[v];
  return vsum(sum[0]);
}

static void peak_read(std::int64_t n, const float* x, float* sums) {
  parallel(ceil_div(n, kPeakBlock), [=](std::int64_t task, int) {
    sums[task] = peak_sum(x, task * kPeakBlock, min_of((task + 1) * kPeakBlock, n));
  });
}

static void peak_write(std::int64_t n, float* y) {
  parallel(ceil_div(n, kPeakBlock), [=](std::int64_t task, int) {
    const Vec one = vset(1.0f);
    const std::int64_t begin = task * kPeakBlock, end = min_of(begin + kPeakBlock, n);
    for_each_vector_in(begin, end, [=](std::int64_t i, std::int64_t lanes) { vstore_lanes(y + i, one, lanes); });
  });
}

static void peak_triad(std::int64_t n, const float* a, const float* b, float* y) {
  parallel(ceil_div(n, kPeakBlock), [=](std::int64_t task, int) {
    const Vec half = vset(0.5f);
    const std::int64_t begin = task * kPeakBlock, end = min_of(begin + kPeakBlock, n);
    for_each_vector_in(begin, end, [=](std::int64_t i, std::int64_t lanes) {
      vstore_lanes(y + i, vfma(vload_lanes(b + i, lanes), half, vload_lanes(a + i, lanes)), lanes);
    });
  });
}

static constexpr PeakKernels peak_kernels = {peak_multiply_add, peak_read, peak_write, peak_triad};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
