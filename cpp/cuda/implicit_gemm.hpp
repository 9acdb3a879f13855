// Convolutions and matrix products by the project's own kernels, which need no library: one tiled matrix product whose
// operands are gathered from the tensors as it goes (implicit GEMM; Chetlur et al., "cuDNN: Efficient Primitives for
// Deep Learning", 2014). Everything runs on the stream alone, and sums are added in the same order at each run.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"
#include "cnnfast/program.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast::cuda {

// How float32 operands are multiplied: exactly (each product rounded once, in its sum), or rounded to TF32 (10 bits of
// mantissa) on tensor cores. Products of bfloat16 operands are exact; all sums are float32.
enum class Precision { float32, tf32 };

// What becomes of a convolution's sums: y = epilogue(sum + b + residual). With a gate, which an epilogue made, y is
// what that epilogue's gradient lets through of sum + b + residual. b has a float a channel; residual and gate have the
// shape and the type of y, and residual may be y itself. Null: not given.
struct ConvEnding {
  const float* b = nullptr;
  const void* residual = nullptr;
  Epilogue epilogue = Epilogue::none;
  const void* gate = nullptr;
};

// x (N,H,W,C), w (R,S,C/groups,K) and y (N,P,Q,K) are of type `dtype`: float32 or bfloat16. Each function needs a
// workspace of as many bytes as its namesake says (0: none).
void conv2d_forward(const Conv2dShape& shape, Dtype dtype, Precision precision, const void* x, const void* w,
                    const ConvEnding& ending, void* y, void* workspace, cudaStream_t stream);
std::int64_t conv2d_forward_workspace_bytes(const Conv2dShape& shape, Dtype dtype, Precision precision);

// dy (N,P,Q,K), dx (N,H,W,C): b of the ending has C floats, residual and gate have the shape of dx.
void conv2d_backward_input(const Conv2dShape& shape, Dtype dtype, Precision precision, const void* dy, const void* w,
                           const ConvEnding& ending, void* dx, void* workspace, cudaStream_t stream);
std::int64_t conv2d_backward_input_workspace_bytes(const Conv2dShape& shape, Dtype dtype, Precision precision);

// dw (R,S,C/groups,K) is float32, whatever the type of dy and x.
void conv2d_backward_weight(const Conv2dShape& shape, Dtype dtype, Precision precision, const void* dy, const void* x,
                            float* dw, void* workspace, cudaStream_t stream);
std::int64_t conv2d_backward_weight_workspace_bytes(const Conv2dShape& shape, Dtype dtype, Precision precision);

// Element (i,j) lies at data[i * row_step + j * col_step]; one of the steps is 1.
struct MatrixOperand {
  const void* data;
  std::int64_t row_step, col_step;
};

// y (M,N) = epilogue(a (M,K) b (K,N) + bias): a and b of type `dtype`, bias of N floats or null, y without gaps and of
// type y_dtype.
void matmul(const MatmulShape& shape, Dtype dtype, Precision precision, const MatrixOperand& a, const MatrixOperand& b,
            const float* bias, Epilogue epilogue, void* y, Dtype y_dtype, void* workspace, cudaStream_t stream);
std::int64_t matmul_workspace_bytes(const MatmulShape& shape, Dtype dtype, Precision precision);

}  // namespace cnnfast::cuda
