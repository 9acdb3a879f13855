// Convolutions by NVIDIA's cuDNN, where it is installed; loaded at the first call here that needs it.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cnnfast/kernels/epilogue.hpp"
#include "cnnfast/program.hpp"
#include "cnnfast/shapes.hpp"

namespace cnnfast::cuda {

bool cudnn_available();      // on the current device
std::string cudnn_status();  // "9.x.y from /path/of/the/library", or why it is not used

// One convolution. Images lie as N,H,W,C; weights, and their gradients, as K,R,S,C/groups.
struct CudnnConvSpec {
  enum Kind { forward, backward_input, backward_weight };
  Kind kind = forward;
  Conv2dShape shape{};
  Dtype type = Dtype::float32;     // of x, w, residual and y, or of their gradients: float32 or bfloat16
  Dtype dw_type = Dtype::float32;  // of dw: float32 or `type`
  bool tf32 = false;               // float32 numbers may be multiplied as TF32
  // Forward only: y = epilogue(sum + b + residual), b (K), residual of y's shape and type.
  // With a float32 b for bfloat16 images, without b or with relu6, all engines but the slowest have to be compiled.
  bool bias = false, residual = false;
  Dtype b_type = Dtype::float32;  // or `type`
  Epilogue epilogue = Epilogue::none;
};

// How plans are chosen.
struct CudnnChoice {
  std::int64_t workspace_limit = std::int64_t{1} << 30;  // bytes
  bool timing = true;   // the fastest of the candidates, each timed on the device; else the first that works
  int candidates = 10;  // most that are timed
  int compiled = 1;     // most among them whose kernels have to be compiled first, which takes a second or more
};

// A convolution by one of cuDNN's engines.
class CudnnConv {
 public:
  virtual ~CudnnConv() = default;
  virtual std::int64_t workspace_bytes() const = 0;
  // forward: x, w, b, residual -> y; backward_input: dy, w -> dx; backward_weight: dy, x -> dw. What the spec does not
  // ask for is null. All addresses are multiples of 16. Does not wait for the result, and may be captured.
  virtual void run(const void* x_or_dy, const void* w_or_x, const void* b, const void* residual, void* out,
                   void* workspace, cudaStream_t stream) const = 0;
  virtual float milliseconds() const = 0;  // of a run, when it was chosen; 0: it was not timed
  // The engine and its settings, how many others there were and how long the choice took: for reports.
  virtual std::string description() const = 0;
};

// Null: cuDNN is not there or none of its engines does this within the limits; why_not, if given, then gets the reason.
// Equal questions are answered once in a process, for each device. For the current device, which must be the chosen
// one; not to be called by a thread that is capturing a stream.
std::shared_ptr<const CudnnConv> find_conv(const CudnnConvSpec& spec, const CudnnChoice& choice = {},
                                           std::string* why_not = nullptr);

}  // namespace cnnfast::cuda
