// Division of indices by a number that is known when a kernel is launched.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace cnnfast::cuda {

// Room is left for the indices of the last piece of work that has too many of them.
constexpr std::int64_t kMostIndices = (std::int64_t{1} << 31) - 4096;

// A count of indices as an int.
inline int index_count(std::int64_t n) {
  if (n > kMostIndices) throw std::invalid_argument("cuda: " + std::to_string(n) + " are too many for one launch");
  return static_cast<int>(n);
}

// n / d for 0 <= n < 2^31 as a product and a shift (Granlund and Montgomery, "Division by Invariant Integers using
// Multiplication", 1994, figure 4.1; n has 31 bits, so that the sum in it does not overflow).
struct FastDivisor {
  std::uint32_t divisor = 1, multiplier = 1, shift = 0;

  FastDivisor() = default;
  explicit FastDivisor(std::int64_t d) : divisor(static_cast<std::uint32_t>(d < 1 ? 1 : index_count(d))) {
    while ((std::uint64_t{1} << shift) < divisor) ++shift;
    multiplier = static_cast<std::uint32_t>(((((std::uint64_t{1} << shift) - divisor) << 32) / divisor) + 1);
  }
  __device__ int quotient(int n) const {
    const std::uint32_t u = static_cast<std::uint32_t>(n);
    return static_cast<int>((__umulhi(u, multiplier) + u) >> shift);
  }
  // n becomes its quotient; the remainder is returned.
  __device__ int split(int& n) const {
    const int q = quotient(n), rest = n - q * static_cast<int>(divisor);
    n = q;
    return rest;
  }
};

}  // namespace cnnfast::cuda
