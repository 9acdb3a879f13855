// Every kernel on every instruction set this CPU has, on tensors whose ends no kernel may pass, against the oracle.
#include <cmath>
#include <memory>
#include <random>

#include "check.hpp"
#include "cnnfast/kernels.hpp"
#include "cnnfast/program.hpp"
#include "guarded.hpp"
#include "oracle.hpp"

namespace cnnfast::tests {
namespace {

using Shape = std::vector<std::int64_t>;

// An op on tensors of these shapes. An empty input shape is an optional input that is not given.
struct Case {
  std::string op;
  std::vector<Shape> in;
  Shape out;
  Attributes attributes{};
};

// Runs each of the table's lines forward and backward.
struct ConvLine {
  std::int64_t N, H, W, C, K, R, S;
  Shape strides, dilation, padding;  // top, bottom, left, right
  std::int64_t groups = 1;           // 0: depthwise, K = C * depth multiplier
};

const ConvLine conv_lines[] = {
    {1, 1, 1, 1, 1, 1, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {2, 5, 7, 3, 4, 3, 3, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {2, 6, 7, 3, 17, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {3, 13, 6, 7, 16, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {1, 12, 12, 1, 15, 5, 5, {2, 2}, {1, 1}, {1, 2, 1, 2}},
    {2, 11, 10, 17, 33, 2, 3, {2, 3}, {1, 1}, {0, 0, 0, 0}},
    {2, 9, 9, 4, 6, 1, 1, {3, 2}, {1, 1}, {0, 0, 0, 0}},
    {1, 9, 8, 16, 32, 1, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {1, 3, 2, 2, 3, 5, 5, {1, 1}, {1, 1}, {4, 3, 4, 4}},
    {2, 15, 14, 5, 8, 3, 2, {2, 1}, {2, 3}, {1, 2, 2, 1}},
    {2, 7, 7, 6, 9, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3},
    {1, 6, 6, 300, 5, 3, 3, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {17, 6, 6, 3, 40, 3, 3, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {1, 40, 33, 2, 3, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {1, 1, 1, 1, 1, 1, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}, 0},
    {2, 7, 9, 3, 3, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 0},
    {1, 9, 30, 33, 33, 3, 3, {2, 2}, {1, 1}, {0, 1, 0, 1}, 0},
    {2, 9, 27, 15, 15, 5, 4, {2, 3}, {2, 1}, {2, 2, 1, 2}, 0},
    {1, 2, 2, 4, 12, 2, 2, {1, 1}, {1, 1}, {5, 4, 6, 3}, 0},
    {2, 8, 13, 5, 35, 3, 3, {2, 1}, {1, 2}, {0, 1, 2, 1}, 0},
};

std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  for (const ConvLine& l : conv_lines) {
    const bool depthwise = l.groups == 0;
    const std::string op = depthwise ? "depthwise_conv2d" : "conv2d";
    Attributes a;
    a.set("strides", l.strides), a.set("dilation", l.dilation), a.set("padding", l.padding);
    if (!depthwise) a.set("groups", l.groups);
    const auto out = [&](int axis, std::int64_t in, std::int64_t kernel) {
      const auto i = static_cast<std::size_t>(axis);
      return (in + l.padding[2 * i] + l.padding[2 * i + 1] - ((kernel - 1) * l.dilation[i] + 1)) / l.strides[i] + 1;
    };
    const Shape x{l.N, l.H, l.W, l.C}, y{l.N, out(0, l.H, l.R), out(1, l.W, l.S), l.K};
    const Shape w{l.R, l.S, depthwise ? l.C : l.C / l.groups, depthwise ? l.K / l.C : l.K};
    cases.push_back({op, {x, w, {l.K}}, y, a});
    cases.push_back({op, {x, w, {}}, y, a});
    cases.push_back({op + "_backward_input", {y, w, {}}, x, a});
    cases.push_back({op + "_backward_weight", {y, x}, w, a});
  }
  return cases;
}

std::vector<Case> dense_cases() {
  std::vector<Case> cases;
  const std::int64_t lines[][3] = {{1, 1, 1},    {1, 130, 3},  {7, 17, 33},  {13, 128, 16},
                                   {33, 129, 65}, {121, 5, 150}, {6, 300, 10}, {2, 1, 97}};
  for (const auto& [M, K, N] : lines) {
    cases.push_back({"dense", {{M, K}, {K, N}, {N}}, {M, N}});
    cases.push_back({"dense", {{M, K}, {K, N}, {}}, {M, N}});
    cases.push_back({"dense_backward_input", {{M, N}, {K, N}}, {M, K}});
    cases.push_back({"dense_backward_weight", {{M, N}, {M, K}}, {K, N}});
    cases.push_back({"bias_backward", {{M, N}}, {N}});
  }
  return cases;
}

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases;
  for (const std::int64_t n : {1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 16383, 16384, 16401, 40000}) {
    cases.push_back({"relu", {{n}}, {n}});
    cases.push_back({"relu_backward", {{n}, {n}}, {n}});
  }
  return cases;
}

OpSpec spec_of(const Case& c) {
  OpSpec spec;
  spec.op = c.op;
  for (const Shape& shape : c.in) {
    spec.in.push_back({Dtype::float32, shape});
    spec.in_present.push_back(!shape.empty());
  }
  spec.out.push_back({Dtype::float32, c.out});
  spec.attributes = c.attributes;
  return spec;
}

Inputs random_inputs(const OpSpec& spec) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  Inputs in;
  for (std::size_t i = 0; i < spec.in.size(); ++i) {
    in.emplace_back(spec.has_in(i) ? static_cast<std::size_t>(spec.in[i].count()) : 0);
    for (float& value : in.back()) value = normal(generator);
  }
  return in;
}

std::vector<float> run(const OpSpec& spec, const Inputs& in, Place place) {
  const Step step = make_step(spec);
  std::vector<std::unique_ptr<Guarded>> memory;
  std::vector<void*> pointers;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::size_t bytes = in[i].size() * sizeof(float);
    memory.push_back(std::make_unique<Guarded>(static_cast<std::int64_t>(bytes), place));
    if (bytes) std::memcpy(memory.back()->data(), in[i].data(), bytes);
    pointers.push_back(spec.has_in(i) ? memory.back()->data<void>() : nullptr);
  }
  const Guarded out(spec.out[0].bytes(), place), workspace(step.workspace_bytes, place);
  pointers.push_back(out.data<void>());
  step.run({pointers.data(), pointers.data() + in.size(), workspace.data<void>(), 0});
  return {out.data(), out.data() + spec.out[0].count()};
}

std::string describe(const Case& c) {
  std::ostringstream text;
  text << c.op << " on " << kernels().name;
  for (const Shape& shape : c.in) {
    text << " (";
    for (const std::int64_t d : shape) text << d << ',';
    text << ')';
  }
  return text.str();
}

// A sum of n terms in float32, in any order, is off by at most n u / (1 - n u) times the sum of their absolute values
// (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
void check_close(const Case& c, const std::vector<float>& actual, const Exact& exact) {
  const double nu = static_cast<double>(exact.terms + 1) * 0x1p-24;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double bound = nu / (1 - nu) * exact.magnitude[i];
    CHECK(std::abs(actual[i] - exact.value[i]) <= bound, "for ", describe(c), ": element ", i, " is ", actual[i],
          ", expected ", exact.value[i], " within ", bound);
  }
}

void check_on_every_isa(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const OpSpec spec = spec_of(c);
    const Oracle oracle = oracle_of(c.op);
    CHECK(oracle != nullptr, "for ", c.op);
    const Inputs in = random_inputs(spec);
    const Exact exact = oracle(spec, in);
    for (const char* isa : {"scalar", "avx2", "avx512", "neon"}) {
      try {
        set_isa(isa);
      } catch (const std::invalid_argument&) {
        continue;  // not on this CPU
      }
      for (const Place place : {Place::before_guard, Place::after_guard}) check_close(c, run(spec, in, place), exact);
    }
    set_isa("auto");
  }
}

}  // namespace

TEST(kernels, convolutions_agree_with_the_oracle_within_their_buffers) { check_on_every_isa(conv_cases()); }
TEST(kernels, dense_agrees_with_the_oracle_within_its_buffers) { check_on_every_isa(dense_cases()); }
TEST(kernels, elementwise_agrees_with_the_oracle_within_its_buffers) { check_on_every_isa(elementwise_cases()); }

TEST(kernels, unknown_op_is_refused_by_name) {
  OpSpec spec;
  spec.op = "convolve";
  CHECK(throws<std::invalid_argument>("convolve", [&] { make_step(spec); }));
}

}  // namespace cnnfast::tests
