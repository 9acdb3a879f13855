// How float32 numbers are multiplied by steps that are made from now on.
#pragma once
#include "implicit_gemm.hpp"

namespace cnnfast::cuda {

Precision float_precision();

}  // namespace cnnfast::cuda
