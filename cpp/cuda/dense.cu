// The steps of dense layers: products by cuBLAS where it is installed, else by the project's own kernel. Weights are
// float32 (in, out); where x is bfloat16, the products are of weights rounded to that.
#include <memory>
#include <stdexcept>

#include "../runtime/steps/epilogue.hpp"
#include "column_sums.hpp"
#include "cublas.hpp"
#include "families.hpp"
#include "packed_weights.hpp"
#include "precision.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

// y (M,N) = a (M,K) times b (K,N), each as it lies or transposed.
class Product {
 public:
  Product(const MatmulShape& shape, bool transpose_a, bool transpose_b, Dtype dtype, Dtype y_dtype, Precision precision)
      : shape_(shape),
        transpose_a_(transpose_a),
        transpose_b_(transpose_b),
        dtype_(dtype),
        y_dtype_(y_dtype),
        precision_(precision),
        library_(cublas_available()),
        bytes_(library_ ? static_cast<std::int64_t>(kGemmWorkspaceBytes)
                        : matmul_workspace_bytes(shape, dtype, precision_)) {}
  std::int64_t workspace_bytes() const { return bytes_; }

  void run(const void* a, const void* b, const float* bias, Epilogue epilogue, void* y, void* workspace,
           cudaStream_t stream) const {
    const auto [M, N, K] = shape_;
    if (library_) {
      const Gemm g{transpose_a_, transpose_b_, M, N, K, dtype_, y_dtype_, precision_ == Precision::tf32};
      gemm(stream, g, a, b, y, workspace, static_cast<std::size_t>(bytes_));
      return apply_ending(M, N, y_dtype_, {bias, nullptr, epilogue, nullptr}, y, stream);
    }
    const MatrixOperand left = transpose_a_ ? MatrixOperand{a, 1, M} : MatrixOperand{a, K, 1};
    const MatrixOperand right = transpose_b_ ? MatrixOperand{b, 1, K} : MatrixOperand{b, N, 1};
    matmul(shape_, dtype_, precision_, left, right, bias, epilogue, y, y_dtype_, workspace, stream);
  }

 private:
  MatmulShape shape_;
  bool transpose_a_, transpose_b_;
  Dtype dtype_, y_dtype_;
  Precision precision_;
  bool library_;
  std::int64_t bytes_;
};

// The weights where they are, or rounded in the workspace; and the workspace behind them.
struct Weights {
  const void* w;
  void* workspace;
};
Weights weights_of(const StepArgs& a, const PackedWeights& form, bool packed) {
  if (packed || form.as_they_come()) return {a.in[1], a.workspace};
  form.pack(a.input(1), nullptr, a.workspace, stream_of(a));
  return {a.workspace, static_cast<unsigned char*>(a.workspace) + form.bytes()};
}

// x (..., in), w (in, out), b (out) or missing -> y (..., out). With the attribute "kernel_shape", w comes packed.
Step dense(const OpSpec& spec) {
  const bool packed = spec.attributes.has("kernel_shape");
  const auto& w = packed ? spec.attributes.list("kernel_shape") : spec.in.at(1).shape;
  const PackedWeights form(w[0], w[1], spec.in[0].dtype, false);
  if (packed && spec.in[1].count() != form.floats())
    throw std::invalid_argument("dense: packed weights must have " + std::to_string(form.floats()) + " floats");
  const Product product({spec.in[0].count() / w[0], w[1], w[0]}, false, false, spec.in[0].dtype, spec.out[0].dtype,
                        precision_of(spec));
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", product.workspace_bytes() + (packed ? 0 : form.bytes()),
          [=](const StepArgs& a) {
            const Weights weights = weights_of(a, form, packed);
            product.run(a.in[0], weights.w, a.input(2), epilogue, a.out[0], weights.workspace, stream_of(a));
          },
          form.floats(), form.layout()};
}

// dy (..., out), w (in, out) -> dx (..., in)
Step dense_backward_input(const OpSpec& spec) {
  const std::int64_t in = spec.in[1].shape[0], out = spec.in[1].shape[1];
  const PackedWeights form(in, out, spec.in[0].dtype, false);
  const Product product({spec.in[0].count() / out, in, out}, false, true, spec.in[0].dtype, spec.out[0].dtype,
                        precision_of(spec));
  return {"", product.workspace_bytes() + form.bytes(), [=](const StepArgs& a) {
            const Weights weights = weights_of(a, form, false);
            product.run(a.in[0], weights.w, nullptr, Epilogue::none, a.out[0], weights.workspace, stream_of(a));
          }};
}

// dy (..., out), x (..., in) -> dw (in, out)
Step dense_backward_weight(const OpSpec& spec) {
  const std::int64_t out = spec.out[0].shape[1], in = spec.out[0].shape[0];
  const Dtype dtype = common_type(spec, {spec.in[0].dtype, spec.in[1].dtype});
  const Product product({in, out, spec.in[0].count() / out}, true, false, dtype, Dtype::float32, precision_of(spec));
  return {"", product.workspace_bytes(), [=](const StepArgs& a) {
            product.run(a.in[1], a.in[0], nullptr, Epilogue::none, a.out[0], a.workspace, stream_of(a));
          }};
}

// dy (..., K) -> db (K)
Step bias_backward(const OpSpec& spec) {
  const std::int64_t K = spec.out[0].shape[0], M = spec.in[0].count() / K;
  return with_number(spec.in[0].dtype, [&](auto number) -> Step {
    using T = decltype(number);
    const ColumnPlan plan = column_plan(1, M, K, kVector<T>);
    return {"", plan.workspace_bytes(), [=](const StepArgs& a) {
              sum_columns(plan, Identity{}, 1.0f, static_cast<NotStored*>(nullptr), a.output(0), a.scratch(),
                          stream_of(a), a.input<T>(0));
            }};
  });
}

}  // namespace

void add_dense_steps(StepRegistry& registry) {
  registry["dense"] = dense;
  registry["dense_backward_input"] = dense_backward_input;
  registry["dense_backward_weight"] = dense_backward_weight;
  registry["bias_backward"] = bias_backward;
}

}  // namespace cnnfast::cuda
