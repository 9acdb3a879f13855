// The shapes on which every op runs: see cases.cpp. To test an op, add its lines there.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cnnfast/program.hpp"

namespace cnnfast::tests {

using Shape = std::vector<std::int64_t>;

// An input and what its random values are like: normal, in (0.1, 0.9), or whole numbers in [0, below).
struct Input {
  enum class Values { normal, fraction, whole };
  TensorSpec spec;
  Values values = Values::normal;
  std::int64_t below = 0;
};
Input normal(Shape shape);
Input fraction(Shape shape);
Input whole(Dtype dtype, Shape shape, std::int64_t below);
inline constexpr std::nullopt_t none = std::nullopt;  // an optional input that is not given

struct Case {
  std::string op;
  std::vector<std::optional<Input>> in;
  std::vector<TensorSpec> out;
  Attributes attributes{};
};

std::vector<Case> conv_cases();
std::vector<Case> dense_cases();
std::vector<Case> elementwise_cases();
std::vector<Case> window_cases();  // pooling, upsampling, padding
std::vector<Case> row_cases();     // sums, softmax, losses, normalization
std::vector<Case> update_cases();  // optimizers: they change their inputs

}  // namespace cnnfast::tests
