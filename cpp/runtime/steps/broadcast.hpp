#pragma once
#include <vector>

#include "cnnfast/kernels/arithmetic.hpp"

namespace cnnfast {

// How operands of shapes a and b become y by NumPy's rule, with as few axes as possible. Throws std::invalid_argument
// if they cannot.
BroadcastShape broadcast_shape(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b,
                               const std::vector<std::int64_t>& y);

}  // namespace cnnfast
