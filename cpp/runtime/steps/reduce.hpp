#pragma once
#include <cstdint>
#include <vector>

namespace cnnfast {

// x (A,R,B) summed over R. Axes that are next to each other and both summed are one axis.
struct SumPass {
  std::int64_t A, R, B;
};

// One pass for each group of neighbouring axes in `axes`, the last group first: that leaves least for the others.
inline std::vector<SumPass> sum_passes(std::vector<std::int64_t> shape, const std::vector<std::int64_t>& axes) {
  std::vector<bool> summed(shape.size(), false);
  for (const std::int64_t axis : axes) summed.at(static_cast<std::size_t>(axis)) = true;
  std::vector<SumPass> passes;
  std::int64_t B = 1;
  for (std::size_t end = shape.size(); end > 0;) {
    if (!summed[end - 1]) {
      B *= shape[--end];
      continue;
    }
    std::int64_t R = 1, A = 1;
    while (end > 0 && summed[end - 1]) R *= shape[--end];
    for (std::size_t d = 0; d < end; ++d) A *= shape[d];
    passes.push_back({A, R, B});
  }
  if (passes.empty()) passes.push_back({B, 1, 1});
  return passes;
}

}  // namespace cnnfast
