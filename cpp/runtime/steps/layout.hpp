#pragma once
#include <cstddef>

#include "cnnfast/program.hpp"

namespace cnnfast {

// Everything before `axis` multiplied, and the bytes of one step along it.
inline std::int64_t rows_before(const TensorSpec& t, std::size_t axis) {
  std::int64_t n = 1;
  for (std::size_t d = 0; d < axis; ++d) n *= t.shape[d];
  return n;
}
inline std::int64_t bytes_from(const TensorSpec& t, std::size_t axis) { return t.bytes() / rows_before(t, axis); }

}  // namespace cnnfast
