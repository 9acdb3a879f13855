// Copies of numbers of any type, counted in the largest units that fit.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <numeric>

#include "elementwise.hpp"

namespace cnnfast::cuda {

// Calls f with a number of as many bytes as all of `bytes` can be counted in, at most 16.
template <class F>
void with_unit(std::initializer_list<std::int64_t> bytes, const F& f) {
  std::int64_t unit = 16;
  for (const std::int64_t b : bytes) unit = std::gcd(unit, b);
  switch (unit) {
    case 16:
      return f(uint4{});
    case 8:
      return f(std::uint64_t{});
    case 4:
      return f(std::uint32_t{});
    case 2:
      return f(std::uint16_t{});
    default:
      return f(std::uint8_t{});
  }
}

// y[i] = unit_of(i) for all i below n.
template <class Unit, class F>
__global__ void __launch_bounds__(kBlock) copy_kernel(std::int64_t n, F unit_of, Unit* y) {
  const Share<1> share;
  Unit units[kTogether];
#pragma unroll
  for (int u = 0; u < kTogether; ++u)
    if (share.whole(u, n)) units[u] = unit_of(share.at(u));
#pragma unroll
  for (int u = 0; u < kTogether; ++u)
    if (share.whole(u, n)) y[share.at(u)] = units[u];
}

template <class Unit, class F>
void copy(std::int64_t n, const F& unit_of, Unit* y, cudaStream_t stream) {
  const std::int64_t threads = (n + kTogether - 1) / kTogether;
  const int block = block_for(threads);
  launch(copy_kernel<Unit, F>, grid_for(threads, block, INT32_MAX), block, 0, stream, n, unit_of, y);
}

}  // namespace cnnfast::cuda
