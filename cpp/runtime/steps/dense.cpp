#include "cnnfast/kernels.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

// x (..., in), w (in, out), b (out) or missing -> y (..., out). With the attribute "kernel_shape", w comes packed.
Step dense(const OpSpec& spec) {
  if (spec.attributes.has("kernel_shape")) return packed_dense(spec);
  const std::int64_t in = spec.in[1].shape[0], out = spec.in[1].shape[1];
  const MatmulShape shape{spec.in[0].count() / in, out, in};
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", 0, [=](const StepArgs& a) {
            kernels().matmul.multiply(shape, {a.input(0), in, 1}, {a.input(1), out, 1}, a.input(2), epilogue,
                                      a.output(0));
          }, packed_dense_floats(spec)};
}

// dy (..., out), w (in, out) -> dx (..., in)
Step dense_backward_input(const OpSpec& spec) {
  const std::int64_t in = spec.in[1].shape[0], out = spec.in[1].shape[1];
  const MatmulShape shape{spec.in[0].count() / out, in, out};
  return {"", 0, [=](const StepArgs& a) {
            kernels().matmul.multiply(shape, {a.input(0), out, 1}, {a.input(1), 1, out}, nullptr, Epilogue::none,
                                      a.output(0));
          }};
}

// dy (..., out), x (..., in) -> dw (in, out)
Step dense_backward_weight(const OpSpec& spec) {
  const std::int64_t out = spec.out[0].shape[1], in = spec.out[0].shape[0];
  const MatmulShape shape{in, out, spec.in[0].count() / out};
  return {"", 0, [=](const StepArgs& a) {
            kernels().matmul.multiply(shape, {a.input(1), 1, in}, {a.input(0), out, 1}, nullptr, Epilogue::none,
                                      a.output(0));
          }};
}

// dy (..., K) -> db (K)
Step bias_backward(const OpSpec& spec) {
  const std::int64_t K = spec.out[0].shape[0], M = spec.in[0].count() / K;
  return {"", kernels().matmul.sum_rows_workspace(M, K) * 4,
          [=](const StepArgs& a) { kernels().matmul.sum_rows(M, K, a.input(0), a.output(0), a.scratch()); }};
}

}  // namespace

void add_dense_steps(StepRegistry& registry) {
  registry["dense"] = dense;
  registry["dense_backward_input"] = dense_backward_input;
  registry["dense_backward_weight"] = dense_backward_weight;
  registry["bias_backward"] = bias_backward;
}

}  // namespace cnnfast
