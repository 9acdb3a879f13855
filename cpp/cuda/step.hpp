// What the steps of all families share.
#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "../runtime/rounding.hpp"
#include "cnnfast/program.hpp"
#include "device_run.hpp"
#include "launch.hpp"
#include "numbers.hpp"

namespace cnnfast::cuda {

inline cudaStream_t stream_of(const StepArgs& a) { return static_cast<cudaStream_t>(a.stream); }

// Whether an op that changes a weight may do so: the guard (null: there is none) is finite.
__device__ inline bool may_update(const float* guard) { return guard == nullptr || isfinite(*guard); }

// The one type of several tensors of an op.
inline Dtype common_type(const OpSpec& spec, std::initializer_list<Dtype> types) {
  for (const Dtype t : types)
    if (t != *types.begin()) throw std::invalid_argument(spec.op + ": on cuda its tensors must have one type");
  return *types.begin();
}

}  // namespace cnnfast::cuda
