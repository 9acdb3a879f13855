// Batch normalization of x (M,C), M = all dimensions but the last: y = gamma * (x - mean) / sqrt(variance + epsilon)
// + beta, per channel (Ioffe and Szegedy 2015). gamma and beta may be null: 1 and 0.
// The moments of a block of x's rows are four rows of C floats: a shift, which is some x of the channel, the sums of
// x - shift and of (x - shift)^2, and the number of x.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"

namespace cnnfast {

struct BatchNormShape {
  std::int64_t M, C;
  float epsilon;
};

constexpr std::int64_t kMomentRows = 4;

struct Affine {
  const float *gamma, *beta;
};

struct NormKernels {
  // Floats of workspace for each of the functions below that take one.
  std::int64_t (*workspace)(const BatchNormShape& shape);
  // Mean and biased variance of each channel.
  void (*moments)(const BatchNormShape& shape, const float* x, float* mean, float* variance, float* workspace);
  // The same from the moments of the blocks that make up x.
  void (*join_moments)(const BatchNormShape& shape, std::int64_t blocks, const float* moments, float* mean,
                       float* variance);
  // y from given moments: epilogue(gamma * xhat + beta + residual); residual may be null.
  void (*normalize)(const BatchNormShape& shape, const float* x, const Affine& affine, const float* mean,
                    const float* variance, const float* residual, Epilogue epilogue, float* y, float* workspace);
  // dgamma = sum of dz * xhat, dbeta = sum of dz, where dz is what the epilogue lets through of dy.
  void (*backward_scale)(const BatchNormShape& shape, const float* dy, const float* x, const Affine& affine,
                         const float* mean, const float* variance, Epilogue epilogue, float* dgamma, float* dbeta,
                         float* workspace);
  // dx where mean and variance are those of x itself, which dx takes into account.
  void (*backward_batch)(const BatchNormShape& shape, const float* dy, const float* x, const Affine& affine,
                         const float* mean, const float* variance, Epilogue epilogue, const float* dgamma,
                         const float* dbeta, float* dx, float* workspace);
  // dx where mean and variance are constants.
  void (*backward_constant)(const BatchNormShape& shape, const float* dy, const float* gamma, const float* variance,
                            float* dx, float* workspace);
  // moving = momentum * moving + (1 - momentum) * value
  void (*moving_average)(std::int64_t n, float momentum, const float* value, float* moving);
};

}  // namespace cnnfast
