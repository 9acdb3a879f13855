#include "oracle.hpp"

#include <algorithm>
#include <map>

namespace cnnfast::tests {
namespace {

// Calls f(index in x, index in w, index in y) for every product of a convolution; w is (R,S,C/groups,K).
template <class F>
void for_each_product(const TensorSpec& x, const std::vector<std::int64_t>& w, const TensorSpec& y, const Attributes& a,
                      std::int64_t groups, const F& f) {
  const auto &stride = a.list("strides"), &dilation = a.list("dilation"), &pad = a.list("padding");
  const std::int64_t H = x.shape[1], W = x.shape[2], C = x.shape[3], P = y.shape[1], Q = y.shape[2], K = y.shape[3];
  const std::int64_t Cg = C / groups, Kg = K / groups;
  for (std::int64_t n = 0; n < x.shape[0]; ++n)
    for (std::int64_t p = 0; p < P; ++p)
      for (std::int64_t q = 0; q < Q; ++q)
        for (std::int64_t r = 0; r < w[0]; ++r)
          for (std::int64_t s = 0; s < w[1]; ++s) {
            const std::int64_t h = p * stride[0] + r * dilation[0] - pad[0];
            const std::int64_t v = q * stride[1] + s * dilation[1] - pad[2];
            if (h < 0 || h >= H || v < 0 || v >= W) continue;
            for (std::int64_t k = 0; k < K; ++k)
              for (std::int64_t c = 0; c < Cg; ++c)
                f(((n * H + h) * W + v) * C + k / Kg * Cg + c, ((r * w[1] + s) * Cg + c) * K + k,
                  ((n * P + p) * Q + q) * K + k);
          }
}

double at(const std::vector<float>& v, std::int64_t i) { return v[static_cast<std::size_t>(i)]; }

// Adds a bias and a residual where they are given: inputs 2 and 3 of an op with output y.
void add_bias_and_residual(Exact& exact, const Inputs& in, const TensorSpec& y) {
  for (std::int64_t i = 0; i < y.count(); ++i) {
    if (in.size() > 2 && !in[2].empty()) exact.add(i, at(in[2], i % y.shape.back()));
    if (in.size() > 3 && !in[3].empty()) exact.add(i, at(in[3], i));
  }
}

bool depthwise(const OpSpec& spec) { return spec.op.rfind("depthwise", 0) == 0; }

std::int64_t groups_of(const OpSpec& spec, const TensorSpec& x) {
  return depthwise(spec) ? x.shape[3] : spec.attributes.integer("groups", 1);
}

Exact conv2d(const OpSpec& spec, const Inputs& in) {
  const TensorSpec &x = spec.in[0], &w = spec.in[1], &y = spec.out[0];
  Exact exact(y.count());
  const std::int64_t groups = groups_of(spec, x);
  exact.terms = w.shape[0] * w.shape[1] * x.shape[3] / groups + 2;
  add_bias_and_residual(exact, in, y);
  for_each_product(x, w.shape, y, spec.attributes, groups, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
    exact.add(yi, at(in[0], xi) * at(in[1], wi));
  });
  return exact;
}

Exact conv2d_backward_input(const OpSpec& spec, const Inputs& in) {
  const TensorSpec &dy = spec.in[0], &w = spec.in[1], &dx = spec.out[0];
  Exact exact(dx.count());
  const std::int64_t groups = groups_of(spec, dx);
  exact.terms = w.shape[0] * w.shape[1] * dy.shape[3] / groups + 2;
  add_bias_and_residual(exact, in, dx);
  for_each_product(dx, w.shape, dy, spec.attributes, groups, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
    exact.add(xi, at(in[0], yi) * at(in[1], wi));
  });
  return exact;
}

Exact conv2d_backward_weight(const OpSpec& spec, const Inputs& in) {
  const TensorSpec &dy = spec.in[0], &x = spec.in[1], &dw = spec.out[0];
  Exact exact(dw.count());
  exact.terms = dy.count() / std::max<std::int64_t>(1, dy.shape[3]) + 1;
  for_each_product(x, dw.shape, dy, spec.attributes, groups_of(spec, x),
                   [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
                     exact.add(wi, at(in[0], yi) * at(in[1], xi));
                   });
  return exact;
}

// The sum over k of a[i*K + k] (or a[k*M + i]) times b[k*N + j] (or b[j*K + k]).
Exact product(std::int64_t M, std::int64_t N, std::int64_t K, const std::vector<float>& a, bool a_transposed,
              const std::vector<float>& b, bool b_transposed) {
  Exact exact(M * N);
  exact.terms = K + 1;
  for (std::int64_t i = 0; i < M; ++i)
    for (std::int64_t j = 0; j < N; ++j)
      for (std::int64_t k = 0; k < K; ++k)
        exact.add(i * N + j, at(a, a_transposed ? k * M + i : i * K + k) * at(b, b_transposed ? j * K + k : k * N + j));
  return exact;
}

Exact dense(const OpSpec& spec, const Inputs& in) {
  const std::int64_t K = spec.in[1].shape[0], N = spec.in[1].shape[1];
  Exact exact = product(spec.in[0].count() / K, N, K, in[0], false, in[1], false);
  add_bias_and_residual(exact, in, spec.out[0]);
  return exact;
}

Exact dense_backward_input(const OpSpec& spec, const Inputs& in) {
  const std::int64_t N = spec.in[1].shape[0], K = spec.in[1].shape[1];
  return product(spec.in[0].count() / K, N, K, in[0], false, in[1], true);
}

Exact dense_backward_weight(const OpSpec& spec, const Inputs& in) {
  const std::int64_t M = spec.out[0].shape[0], N = spec.out[0].shape[1];
  return product(M, N, spec.in[0].count() / N, in[1], true, in[0], false);
}

Exact bias_backward(const OpSpec& spec, const Inputs& in) {
  const std::int64_t K = spec.out[0].count();
  Exact exact(K);
  exact.terms = spec.in[0].count() / K;
  for (std::int64_t i = 0; i < spec.in[0].count(); ++i) exact.add(i % K, at(in[0], i));
  return exact;
}

Exact relu(const OpSpec& spec, const Inputs& in) {
  Exact exact(spec.in[0].count());
  for (std::int64_t i = 0; i < spec.in[0].count(); ++i) exact.add(i, std::max(at(in[0], i), 0.0));
  return exact;
}

Exact relu_backward(const OpSpec& spec, const Inputs& in) {
  Exact exact(spec.in[0].count());
  for (std::int64_t i = 0; i < spec.in[0].count(); ++i) exact.add(i, at(in[1], i) > 0 ? at(in[0], i) : 0.0);
  return exact;
}

}  // namespace

Oracle oracle_of(const std::string& op) {
  static const std::map<std::string, Oracle> oracles = {
      {"relu", relu},
      {"relu_backward", relu_backward},
      {"conv2d", conv2d},
      {"conv2d_backward_input", conv2d_backward_input},
      {"conv2d_backward_weight", conv2d_backward_weight},
      {"depthwise_conv2d", conv2d},
      {"depthwise_conv2d_backward_input", conv2d_backward_input},
      {"depthwise_conv2d_backward_weight", conv2d_backward_weight},
      {"dense", dense},
      {"dense_backward_input", dense_backward_input},
      {"dense_backward_weight", dense_backward_weight},
      {"bias_backward", bias_backward},
  };
  const auto it = oracles.find(op);
  return it == oracles.end() ? Oracle() : it->second;
}

}  // namespace cnnfast::tests
