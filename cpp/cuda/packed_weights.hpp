// How weights lie for the algorithm that multiplies with them.
#pragma once
#include <cstdint>
#include <vector>

#include "../runtime/rounding.hpp"
#include "conv2d_ending.hpp"

namespace cnnfast::cuda {

// Of something in a workspace that something else follows.
inline std::int64_t round_up_bytes(std::int64_t bytes) { return round_up(bytes, 256); }

struct PackedWeights {
  std::int64_t rows = 0, cols = 0;  // of the float32 matrix that they come as, (R*S*C/groups, K) or (in, out)
  Dtype dtype = Dtype::float32;
  bool transposed = false;
  bool with_bias = false;  // behind them, K numbers of their type

  PackedWeights() = default;
  PackedWeights(std::int64_t rows, std::int64_t cols, Dtype dtype, bool transposed, bool with_bias = false)
      : rows(rows), cols(cols), dtype(dtype), transposed(transposed), with_bias(with_bias) {}
  explicit PackedWeights(const std::vector<std::int64_t>& layout)
      : PackedWeights(layout.at(0), layout.at(1), static_cast<Dtype>(layout.at(2)), layout.at(3) != 0,
                      layout.at(4) != 0) {}
  std::vector<std::int64_t> layout() const {
    return {rows, cols, static_cast<std::int64_t>(dtype), transposed, with_bias};
  }

  bool as_they_come() const { return !transposed && dtype == Dtype::float32; }
  std::int64_t bias_offset() const { return as_they_come() ? 0 : round_up_bytes(rows * cols * dtype_size(dtype)); }
  std::int64_t bytes() const { return bias_offset() + (with_bias ? round_up_bytes(cols * dtype_size(dtype)) : 0); }
  std::int64_t floats() const { return bytes() / 4; }
  // b only with_bias, which is for bfloat16.
  void pack(const float* w, const float* b, void* to, cudaStream_t stream) const {
    if (transposed)
      transpose(rows, cols, Dtype::float32, w, dtype, to, stream);
    else
      to_bfloat16(rows * cols, w, to, stream);
    if (with_bias) to_bfloat16(cols, b, static_cast<unsigned char*>(to) + bias_offset(), stream);
  }
};

}  // namespace cnnfast::cuda
