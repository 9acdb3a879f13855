// What follows a convolution or a matrix product whose algorithm gives nothing but the sums, and the weights as
// NVIDIA's convolutions want them.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "cnnfast/program.hpp"
#include "implicit_gemm.hpp"

namespace cnnfast::cuda {

inline bool is_empty(const ConvEnding& e) {
  return e.b == nullptr && e.residual == nullptr && e.gate == nullptr && e.epilogue == Epilogue::none;
}

// y (M,K), of float32 or bfloat16 and on a multiple of 16 bytes as all tensors, becomes what the ending makes of it.
void apply_ending(std::int64_t M, std::int64_t K, Dtype dtype, const ConvEnding& ending, void* y, cudaStream_t stream);

// to (cols, rows) = from (rows, cols) transposed, each float32 or bfloat16. Weights (R,S,C,K) are such a matrix with K
// columns; libraries want (K,R,S,C).
void transpose(std::int64_t rows, std::int64_t cols, Dtype from_dtype, const void* from, Dtype to_dtype, void* to,
               cudaStream_t stream);

// to = from (n), rounded to bfloat16.
void to_bfloat16(std::int64_t n, const float* from, void* to, cudaStream_t stream);

}  // namespace cnnfast::cuda
