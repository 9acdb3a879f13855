// Softmax, and losses fused with their gradient.
#pragma once
#include <cstdint>

namespace cnnfast {

// M distributions (or rows) of K numbers. The loss of a row is weighted, summed over the rows and divided by M.
struct LossArgs {
  std::int64_t M, K;
  const float* x;             // predictions or logits (M,K)
  const float* targets;       // (M,K), or null where labels are used
  const std::int32_t* labels; // (M), each in [0,K), or null
  const float* weights;       // (M), or null
  float smoothing;            // label smoothing
  float* dx;                  // gradient of the loss by x (M,K), or null
  double* partial;            // loss_blocks(M, K) numbers
};

struct LossKernels {
  void (*softmax)(std::int64_t M, std::int64_t K, const float* x, float* y);
  void (*softmax_backward)(std::int64_t M, std::int64_t K, const float* dy, const float* y, float* dx);
  std::int64_t (*blocks)(std::int64_t M, std::int64_t K);
  // Each returns the loss.
  double (*softmax_crossentropy)(const LossArgs& args);      // x: logits
  double (*categorical_crossentropy)(const LossArgs& args);  // x: probabilities
  double (*binary_crossentropy)(const LossArgs& args);       // x: probabilities
  double (*binary_crossentropy_with_logits)(const LossArgs& args);
  double (*mean_squared_error)(const LossArgs& args);
};

}  // namespace cnnfast
