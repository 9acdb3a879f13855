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
  float delta, alpha, gamma;  // of huber and the focal losses; binary focal loss: alpha < 0 for no balance
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
  double (*mean_absolute_error)(const LossArgs& args);
  double (*mean_absolute_percentage_error)(const LossArgs& args);
  double (*mean_squared_logarithmic_error)(const LossArgs& args);
  double (*huber)(const LossArgs& args);
  double (*log_cosh)(const LossArgs& args);
  double (*hinge)(const LossArgs& args);
  double (*squared_hinge)(const LossArgs& args);
  double (*categorical_hinge)(const LossArgs& args);
  double (*poisson)(const LossArgs& args);
  double (*kl_divergence)(const LossArgs& args);
  double (*binary_focal_crossentropy)(const LossArgs& args);
  double (*categorical_focal_crossentropy)(const LossArgs& args);
};

}  // namespace cnnfast
