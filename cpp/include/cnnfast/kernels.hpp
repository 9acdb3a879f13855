// The table of kernels of one instruction set. The runtime picks one table at start; every caller goes through it.
#pragma once
#include <string>

#include "cnnfast/kernels/activation.hpp"
#include "cnnfast/kernels/arithmetic.hpp"
#include "cnnfast/kernels/conv2d.hpp"
#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "cnnfast/kernels/conv2d_pointwise_depthwise.hpp"
#include "cnnfast/kernels/conv2d_winograd.hpp"
#include "cnnfast/kernels/dropout.hpp"
#include "cnnfast/kernels/loss.hpp"
#include "cnnfast/kernels/matmul.hpp"
#include "cnnfast/kernels/norm.hpp"
#include "cnnfast/kernels/optimizer.hpp"
#include "cnnfast/kernels/peak.hpp"
#include "cnnfast/kernels/pool2d.hpp"
#include "cnnfast/kernels/reduce.hpp"
#include "cnnfast/kernels/resize.hpp"

namespace cnnfast {

struct ImageWarpKernels;

struct KernelTable {
  const char* name;
  ActivationKernels activation;
  ArithmeticKernels arithmetic;
  Conv2dKernels conv2d;
  Conv2dDepthwiseKernels conv2d_depthwise;
  Conv2dPointwiseDepthwiseKernels conv2d_pointwise_depthwise;
  Conv2dWinogradKernels conv2d_winograd;
  DropoutKernels dropout;
  const ImageWarpKernels* image_warp;  // in objects of their own (cpp/isa/*_image.cpp)
  LossKernels loss;
  MatmulKernels matmul;
  NormKernels norm;
  OptimizerKernels optimizer;
  PeakKernels peak;
  Pool2dKernels pool2d;
  ReduceKernels reduce;
  ResizeKernels resize;
};

// Tables built into this binary; null where the compiler's target has no such instruction set.
const KernelTable* scalar_kernels();
const KernelTable* avx2_kernels();
const KernelTable* avx512_kernels();
const KernelTable* neon_kernels();

// The table in use: the best this CPU can run, or the one CNNFAST_ISA names. Throws std::invalid_argument if the CPU
// or the binary lacks what CNNFAST_ISA asks for.
const KernelTable& kernels();
void set_isa(const char* name);  // "auto", "scalar", "avx2", "avx512", "neon"; not while a Program runs

// The algorithm of convolutions that are planned from now on: "auto" takes the cheaper one; "winograd" is taken
// wherever it fits (see kernels/conv2d_winograd.hpp), "winograd4" and "winograd6" with tiles of that size for 3x3. set_
// throws std::invalid_argument for another name.
const char* conv2d_algorithm();
void set_conv2d_algorithm(const std::string& name);

}  // namespace cnnfast
