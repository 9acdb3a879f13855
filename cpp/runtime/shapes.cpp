#include "cnnfast/shapes.hpp"

#include <algorithm>

namespace cnnfast {

std::int64_t window_output_size(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                                std::int64_t pad_lo, std::int64_t pad_hi) {
  const std::int64_t room = in + pad_lo + pad_hi - ((kernel - 1) * dilation + 1);
  return room < 0 ? 0 : room / stride + 1;
}

void same_padding(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                  std::int64_t& pad_lo, std::int64_t& pad_hi) {
  const std::int64_t out = (in + stride - 1) / stride;
  const std::int64_t total = std::max<std::int64_t>((out - 1) * stride + (kernel - 1) * dilation + 1 - in, 0);
  pad_lo = total / 2;
  pad_hi = total - pad_lo;
}

}  // namespace cnnfast
