// Optimizers: each changes a weight and its slots in place, in one pass over memory.
#pragma once
#include <cstdint>

namespace cnnfast {

struct OptimizerArgs {
  std::int64_t n;
  float* w;
  const float* dw;
  const float* hyper;       // numbers that may change from step to step, see below; hyper[0] = learning rate * weight decay
  const float* grad_scale;  // one factor for dw, from clipping by norm, or null
  float clip_value;         // dw is clipped to [-clip_value, clip_value]; 0: not
  float* slots[3];          // null where an optimizer has fewer
};

struct OptimizerKernels {
  // hyper: decay, learning rate, momentum. slots: velocity (null without momentum).
  void (*sgd)(const OptimizerArgs& args, bool nesterov);
  // hyper: decay, step size (learning rate with the bias corrections), 1 - beta1, 1 - beta2, epsilon.
  // slots: m, v, largest v (null without amsgrad).
  void (*adam)(const OptimizerArgs& args);
  // hyper: decay, learning rate, rho, momentum, epsilon. slots: mean square, momentum (or null), mean (or null).
  void (*rmsprop)(const OptimizerArgs& args);
  // Sum of squares of n floats, in double; blocks of square_sum_blocks(n) partial sums.
  std::int64_t (*square_sum_blocks)(std::int64_t n);
  double (*square_sum)(std::int64_t n, const float* x, double* partial);
};

}  // namespace cnnfast
