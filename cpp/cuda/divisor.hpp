// Division of indices, of 31 bits where these suffice.
#pragma once
#include "fast_divisor.hpp"

namespace cnnfast::cuda {

// FastDivisor for numbers of any size.
struct WideDivisor {
  std::int64_t divisor = 1;
  WideDivisor() = default;
  explicit WideDivisor(std::int64_t d) : divisor(d) {}
  __device__ std::int64_t quotient(std::int64_t n) const { return n / divisor; }
  __device__ std::int64_t split(std::int64_t& n) const {
    const std::int64_t q = n / divisor, rest = n - q * divisor;
    n = q;
    return rest;
  }
};

template <class Index>
struct DivisorOf;
template <>
struct DivisorOf<int> {
  using type = FastDivisor;
};
template <>
struct DivisorOf<std::int64_t> {
  using type = WideDivisor;
};
template <class Index>
using Divisor = typename DivisorOf<Index>::type;

// Calls f with a number of the type that indices below n, and their divisors, need.
template <class F>
decltype(auto) with_index(std::int64_t n, const F& f) {
  return n <= kMostIndices ? f(0) : f(std::int64_t{0});
}

}  // namespace cnnfast::cuda
