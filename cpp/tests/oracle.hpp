// The kernels' results in naive double loops, each with the sum of the absolute values of its terms and their number:
// what a bound on the rounding error is made of.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cnnfast/program.hpp"

namespace cnnfast::tests {

struct Exact {
  std::vector<double> value, magnitude;
  std::int64_t terms = 1;
  explicit Exact(std::int64_t n) : value(static_cast<std::size_t>(n)), magnitude(static_cast<std::size_t>(n)) {}
  void add(std::int64_t i, double term) {
    value[static_cast<std::size_t>(i)] += term;
    magnitude[static_cast<std::size_t>(i)] += term < 0 ? -term : term;
  }
};

using Inputs = std::vector<std::vector<float>>;  // a missing optional input is empty
using Oracle = std::function<Exact(const OpSpec&, const Inputs&)>;

// The oracle of an op; none where a test can only compare the instruction sets with each other.
Oracle oracle_of(const std::string& op);

}  // namespace cnnfast::tests
