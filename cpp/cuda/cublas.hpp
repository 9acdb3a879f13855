// Matrix products by NVIDIA's cuBLAS, where it is installed; loaded at the first call here that needs it.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "cnnfast/program.hpp"

namespace cnnfast::cuda {

bool cublas_available();
std::string cublas_status();  // "13.x.y from /path/of/the/library", or why it is not used

// y (M,N) = a (M,K) times b (K,N), row after row; where transposed, a lies as (K,M), b as (N,K). a and b are of one
// type, float32 or bfloat16; y of float32 or theirs. Sums are float32; tf32: float32 numbers may be multiplied as TF32.
struct Gemm {
  bool transpose_a, transpose_b;
  std::int64_t M, N, K;
  Dtype type_ab, type_y;
  bool tf32;
};

// What cuBLAS wants to have on Hopper; with less it has fewer algorithms to choose from.
constexpr std::size_t kGemmWorkspaceBytes = std::size_t{32} << 20;

// The same bits each run. Does not wait for the result, and may be captured.
void gemm(cudaStream_t stream, const Gemm& g, const void* a, const void* b, void* y, void* workspace,
          std::size_t workspace_bytes);

}  // namespace cnnfast::cuda
