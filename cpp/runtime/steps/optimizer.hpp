#pragma once
#include <algorithm>

#include "cnnfast/kernels/optimizer.hpp"
#include "cnnfast/program.hpp"

namespace cnnfast {

// Inputs of every update: w, dw, hyper, grad_scale or missing, then up to three slots (missing ones are null).
inline OptimizerArgs optimizer_args(const StepArgs& a, std::int64_t n, float clip_value, int slots) {
  OptimizerArgs args{n, a.updated(0), a.input(1), a.input(2), a.input(3), clip_value, {}};
  for (int i = 0; i < slots; ++i) args.slots[i] = a.updated(4 + i);
  return args;
}

inline int slots_of(const OpSpec& spec) { return std::min(static_cast<int>(spec.in.size()) - 4, 3); }

}  // namespace cnnfast
