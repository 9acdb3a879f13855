// Whole numbers of whole numbers, as plans need them.
#pragma once
#include <cstdint>

namespace cnnfast {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return ceil_div(n, unit) * unit; }

}  // namespace cnnfast
