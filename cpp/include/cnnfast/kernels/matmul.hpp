// Matrix products for dense layers: y (M,N) = epilogue(a (M,K) b (K,N) + bias), a and b in any transposition.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast {

// Element (i,j) lies at data[i * row_step + j * col_step].
struct MatrixView {
  const float* data;
  std::int64_t row_step, col_step;
};

struct MatmulKernels {
  // y is contiguous; bias has N floats or is null.
  void (*multiply)(const MatmulShape& shape, MatrixView a, MatrixView b, const float* bias, Epilogue epilogue,
                   float* y);
  // db (N) = sum of the rows of dy (M,N); workspace of sum_rows_workspace floats.
  std::int64_t (*sum_rows_workspace)(std::int64_t M, std::int64_t N);
  void (*sum_rows)(std::int64_t M, std::int64_t N, const float* dy, float* db, float* workspace);
};

}  // namespace cnnfast
