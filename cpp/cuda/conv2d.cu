// The steps of convolutions: by cuDNN where it is installed and has an engine, else by the project's own kernels.
// Weights are float32 (R,S,C/groups,K); where images are bfloat16, the products are of weights rounded to that.
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>

#include "../runtime/steps/conv2d_shape.hpp"
#include "../runtime/steps/epilogue.hpp"
#include "conv2d_ending.hpp"
#include "cudnn.hpp"
#include "families.hpp"
#include "implicit_gemm.hpp"
#include "memory.hpp"
#include "packed_weights.hpp"
#include "precision.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

using Dims = std::vector<std::int64_t>;

// What a convolution adds to its sums and applies to them, as far as the op's settings tell.
struct EndingParts {
  bool bias, residual, gate;
  Epilogue epilogue;
  bool none() const { return !bias && !residual && !gate && epilogue == Epilogue::none; }
};

enum class Direction { forward, backward_input };

// A convolution forward, or its input's gradient: one of the algorithms, chosen once.
class Convolution {
 public:
  Convolution(Direction direction, const Conv2dShape& shape, Dtype dtype, Precision precision, const EndingParts& parts)
      : direction_(direction), shape_(shape), dtype_(dtype), precision_(precision), parts_(parts) {
    if (fusible()) plan_ = find(parts);
    fused_ = plan_ != nullptr || parts.none();
    if (!plan_) plan_ = find({});
    weights_ = PackedWeights{shape.R * shape.S * (shape.C / shape.groups), shape.K, dtype, plan_ != nullptr,
                             plan_ && fused_ && parts.bias && dtype != Dtype::float32};
    if (plan_ && fused_ && !parts.none() && !parts.bias)
      zeros_ = std::make_shared<DeviceMemory>(shape.K * dtype_size(dtype));
    if (plan_)
      algorithm_bytes_ = plan_->workspace_bytes();
    else
      algorithm_bytes_ = direction == Direction::forward
                             ? conv2d_forward_workspace_bytes(shape, dtype, precision_)
                             : conv2d_backward_input_workspace_bytes(shape, dtype, precision_);
  }
  const PackedWeights& weights() const { return weights_; }
  // With room for the weights, if they do not come packed.
  std::int64_t workspace_bytes(bool packed) const { return (packed ? 0 : weights_.bytes()) + algorithm_bytes_; }

  void run(const StepArgs& a, bool packed) const {
    const cudaStream_t stream = stream_of(a);
    const void* w = a.in[1];
    unsigned char* workspace = static_cast<unsigned char*>(a.workspace);
    if (!packed && !weights_.as_they_come()) {
      weights_.pack(a.input(1), a.input(2), workspace, stream);
      w = workspace;
      workspace += weights_.bytes();
    }
    const ConvEnding ending{parts_.bias ? a.input(2) : nullptr, parts_.residual ? a.in[3] : nullptr, parts_.epilogue,
                            parts_.gate ? a.in[5] : nullptr};
    if (!plan_) return run_own(a.in[0], w, ending, a.out[0], workspace, stream);
    if (fused_ && !parts_.none()) return run_fused(a.in[0], w, ending, a.out[0], workspace, stream);
    plan_->run(a.in[0], w, nullptr, nullptr, a.out[0], workspace, stream);
    if (fused_) return;
    const bool forward = direction_ == Direction::forward;
    const std::int64_t M = shape_.N * (forward ? shape_.P * shape_.Q : shape_.H * shape_.W);
    apply_ending(M, forward ? shape_.K : shape_.C, dtype_, ending, a.out[0], stream);
  }

 private:
  // cuDNN has compiled engines for convolutions with a bias of the images' type, and after it perhaps a residual and
  // ReLU; for anything else it compiles one, in seconds.
  bool fusible() const {
    return direction_ == Direction::forward && !parts_.none() && !parts_.gate && parts_.epilogue != Epilogue::relu6;
  }

  void run_fused(const void* x, const void* w, const ConvEnding& ending, void* y, void* workspace,
                 cudaStream_t stream) const {
    const void* b = ending.b;
    if (weights_.with_bias) b = static_cast<const unsigned char*>(w) + weights_.bias_offset();
    plan_->run(x, w, b ? b : zeros_->address(), ending.residual, y, workspace, stream);
  }

  std::shared_ptr<const CudnnConv> find(const EndingParts& parts) const {
    CudnnConvSpec spec;
    spec.kind = direction_ == Direction::forward ? CudnnConvSpec::forward : CudnnConvSpec::backward_input;
    spec.shape = shape_;
    spec.type = dtype_;
    spec.tf32 = precision_ == Precision::tf32;
    spec.bias = !parts.none(), spec.residual = parts.residual, spec.epilogue = parts.epilogue;
    spec.b_type = dtype_;
    return find_conv(spec);
  }
  void run_own(const void* x, const void* w, const ConvEnding& ending, void* y, void* workspace,
               cudaStream_t stream) const {
    const auto run = direction_ == Direction::forward ? conv2d_forward : conv2d_backward_input;
    run(shape_, dtype_, precision_, x, w, ending, y, workspace, stream);
  }

  Direction direction_;
  Conv2dShape shape_;
  Dtype dtype_;
  Precision precision_;
  EndingParts parts_;
  std::shared_ptr<const CudnnConv> plan_;
  bool fused_ = false;                         // the plan makes the ending too
  std::shared_ptr<const DeviceMemory> zeros_;  // the bias of a fused plan where there is none
  PackedWeights weights_;
  std::int64_t algorithm_bytes_ = 0;
};

// Input 4 is an argmax, 5 a gate; see cpp/runtime/steps/conv2d.cpp.
EndingParts parts_of(const OpSpec& spec) {
  if (spec.has_in(4) || spec.attributes.integer("pool", 0) != 0 || spec.out.size() > 1)
    throw std::invalid_argument(spec.op + ": on cuda neither poolings nor moments are part of a convolution");
  if (spec.has_in(3) && spec.in[3].dtype != spec.in[0].dtype)
    throw std::invalid_argument(spec.op + ": on cuda the residual must have the type of the images");
  return {spec.has_in(2), spec.has_in(3), spec.has_in(5), epilogue_of(spec.attributes)};
}

Conv2dShape shape_of(Direction direction, const Dims& x_or_dy, const Dims& w, const Attributes& a) {
  if (direction == Direction::forward) return conv2d_shape(x_or_dy, w, a);
  const Dims& size = a.list("size");
  return conv2d_shape({x_or_dy[0], size[0], size[1], w[2] * a.integer("groups", 1)}, w, a);
}

template <Direction direction>
Step convolution(const OpSpec& spec) {
  const bool packed = spec.attributes.has("kernel_shape");
  const Dims& w = packed ? spec.attributes.list("kernel_shape") : spec.in.at(1).shape;
  const Dtype dtype = common_type(spec, {spec.in[0].dtype, spec.out.at(0).dtype});
  const auto conv = std::make_shared<Convolution>(direction, shape_of(direction, spec.in[0].shape, w, spec.attributes),
                                                  dtype, precision_of(spec), parts_of(spec));
  if (packed && spec.in[1].count() != conv->weights().floats())
    throw std::invalid_argument(spec.op + ": packed weights must have " + std::to_string(conv->weights().floats()) +
                                " floats");
  return {"", conv->workspace_bytes(packed), [conv, packed](const StepArgs& a) { conv->run(a, packed); },
          conv->weights().floats(), conv->weights().layout()};
}

// dy, x -> dw
class WeightGradient {
 public:
  WeightGradient(const Conv2dShape& shape, Dtype dtype, Precision precision)
      : shape_(shape), dtype_(dtype), precision_(precision), rows_(shape.R * shape.S * (shape.C / shape.groups)) {
    // For images in bfloat16, most of cuDNN's engines make gradients in bfloat16; sums are float32 all the same.
    for (const Dtype dw : {dtype, Dtype::float32}) {
      if (plan_) break;
      plan_ = find(dw);
      dw_dtype_ = dw;
    }
    bytes_ = plan_ ? round_up_bytes(rows_ * shape.K * dtype_size(dw_dtype_)) + plan_->workspace_bytes()
                   : conv2d_backward_weight_workspace_bytes(shape, dtype, precision_);
  }
  std::int64_t workspace_bytes() const { return bytes_; }
  void run(const StepArgs& a) const {
    const cudaStream_t stream = stream_of(a);
    if (!plan_)
      return conv2d_backward_weight(shape_, dtype_, precision_, a.in[0], a.in[1], a.output(0), a.workspace, stream);
    unsigned char* dw = static_cast<unsigned char*>(a.workspace);  // (K,R,S,C)
    plan_->run(a.in[0], a.in[1], nullptr, nullptr, dw, dw + round_up_bytes(rows_ * shape_.K * dtype_size(dw_dtype_)),
               stream);
    transpose(shape_.K, rows_, dw_dtype_, dw, Dtype::float32, a.output(0), stream);
  }

 private:
  // Not for exact float32: sums over all pixels have errors of up to 8e-5 of the largest with cuDNN's engines, and one
  // of them (1, cuDNN 9.14) leaves padding out that is not the same on both sides.
  std::shared_ptr<const CudnnConv> find(Dtype dw) const {
    if (dtype_ == Dtype::float32 && precision_ == Precision::float32) return nullptr;
    CudnnConvSpec spec;
    spec.kind = CudnnConvSpec::backward_weight;
    spec.shape = shape_;
    spec.type = dtype_;
    spec.dw_type = dw;
    spec.tf32 = precision_ == Precision::tf32;
    return find_conv(spec);
  }

  Conv2dShape shape_;
  Dtype dtype_;
  Precision precision_;
  std::int64_t rows_;
  std::shared_ptr<const CudnnConv> plan_;
  Dtype dw_dtype_ = Dtype::float32;
  std::int64_t bytes_ = 0;
};

Step conv2d_backward_weight_step(const OpSpec& spec) {
  if (spec.has_in(2)) throw std::invalid_argument(spec.op + ": on cuda poolings are no part of it");
  const Dtype dtype = common_type(spec, {spec.in[0].dtype, spec.in[1].dtype});
  const auto gradient = std::make_shared<WeightGradient>(
      conv2d_shape(spec.in[1].shape, spec.out[0].shape, spec.attributes), dtype, precision_of(spec));
  return {"", gradient->workspace_bytes(), [gradient](const StepArgs& a) { gradient->run(a); }};
}

// w, b if the layout says so -> packed
Step pack_weights(const OpSpec& spec) {
  const PackedWeights packed(spec.attributes.list("layout"));
  if (packed.with_bias && (spec.in.size() < 2 || spec.in[1].count() != packed.cols))
    throw std::invalid_argument("pack_weights: expected a bias of " + std::to_string(packed.cols) + " floats");
  if (packed.as_they_come() || packed.rows * packed.cols != spec.in.at(0).count() ||
      spec.out.at(0).count() != packed.floats())
    throw std::invalid_argument("pack_weights: the output must have " + std::to_string(packed.floats()) + " floats");
  return {"", 0,
          [packed](const StepArgs& a) {
            packed.pack(a.input(0), packed.with_bias ? a.input(1) : nullptr, a.out[0], stream_of(a));
          },
          0, packed.layout()};
}

}  // namespace

void add_conv2d_steps(StepRegistry& registry) {
  registry["conv2d"] = convolution<Direction::forward>;
  registry["conv2d_backward_input"] = convolution<Direction::backward_input>;
  registry["conv2d_backward_weight"] = conv2d_backward_weight_step;
  registry["pack_weights"] = pack_weights;
}

}  // namespace cnnfast::cuda
