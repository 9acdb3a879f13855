// Every op on every instruction set this CPU has, on tensors whose ends no kernel may pass: against the oracle where
// there is one, else against the scalar kernels (which the Python tests hold against their own oracle).
#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "cases.hpp"
#include "check.hpp"
#include "cnnfast/kernels.hpp"
#include "guarded.hpp"
#include "oracle.hpp"

namespace cnnfast::tests {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;

OpSpec spec_of(const Case& c) {
  OpSpec spec;
  spec.op = c.op;
  for (const auto& in : c.in) {
    spec.in.push_back(in ? in->spec : TensorSpec{});
    spec.in_present.push_back(in.has_value());
  }
  spec.out = c.out;
  spec.attributes = c.attributes;
  return spec;
}

template <class T>
void store(std::vector<unsigned char>& bytes, std::int64_t i, T value) {
  std::memcpy(bytes.data() + static_cast<std::size_t>(i) * sizeof value, &value, sizeof value);
}

using Tensors = std::vector<std::vector<unsigned char>>;  // a missing optional input is empty

std::vector<unsigned char> random_tensor(const Input& in, std::mt19937& generator) {
  std::vector<unsigned char> bytes(static_cast<std::size_t>(in.spec.bytes()));
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> fraction(0.1f, 0.9f);
  for (std::int64_t i = 0; i < in.spec.count(); ++i) {
    if (in.values == Input::Values::normal) store(bytes, i, normal(generator));
    if (in.values == Input::Values::fraction) store(bytes, i, fraction(generator));
    if (in.values != Input::Values::whole) continue;
    const auto whole = static_cast<std::int32_t>(generator() % static_cast<std::uint32_t>(in.below));
    if (in.spec.dtype == Dtype::uint8) store(bytes, i, static_cast<std::uint8_t>(whole));
    if (in.spec.dtype == Dtype::int32) store(bytes, i, whole);
  }
  return bytes;
}

Tensors random_inputs(const Case& c) {
  std::mt19937 generator(7);
  Tensors in;
  for (const auto& input : c.in) in.push_back(input ? random_tensor(*input, generator) : std::vector<unsigned char>());
  return in;
}

std::vector<double> numbers(const TensorSpec& spec, const std::vector<unsigned char>& bytes) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(bytes.size()) / dtype_size(spec.dtype); ++i) {
    float f = 0;
    std::int32_t n = 0;
    if (spec.dtype == Dtype::float32) std::memcpy(&f, &bytes[static_cast<std::size_t>(i) * 4], 4);
    if (spec.dtype == Dtype::int32) std::memcpy(&n, &bytes[static_cast<std::size_t>(i) * 4], 4);
    if (spec.dtype == Dtype::uint8) n = bytes[static_cast<std::size_t>(i)];
    values.push_back(spec.dtype == Dtype::float32 ? static_cast<double>(f) : n);
  }
  return values;
}

// Outputs, then inputs as the op left them.
Tensors run(const OpSpec& spec, const Tensors& in, Place place) {
  const Step step = make_step(spec);
  std::vector<std::unique_ptr<Guarded>> memory;
  std::vector<void*> pointers;
  Tensors results;
  for (std::size_t i = 0; i < in.size(); ++i) {
    memory.push_back(std::make_unique<Guarded>(in[i].size(), place));
    std::copy(in[i].begin(), in[i].end(), memory.back()->data<unsigned char>());
    pointers.push_back(spec.has_in(i) ? memory.back()->data<void>() : nullptr);
  }
  for (const TensorSpec& out : spec.out) {
    memory.push_back(std::make_unique<Guarded>(static_cast<std::size_t>(out.bytes()), place));
    pointers.push_back(memory.back()->data<void>());
  }
  const Guarded workspace(static_cast<std::size_t>(step.workspace_bytes), Place::before_guard);
  step.run({pointers.data(), pointers.data() + in.size(), workspace.data<void>(), 3});
  std::rotate(memory.begin(), memory.begin() + static_cast<std::ptrdiff_t>(in.size()), memory.end());
  for (const auto& m : memory) results.emplace_back(m->data<unsigned char>(), m->data<unsigned char>() + m->size());
  return results;
}

// The output of an op whose weights another step packs.
std::vector<unsigned char> run_packed(OpSpec spec, Tensors in, Place place) {
  OpSpec packing;
  packing.op = "pack_weights";
  packing.in = {spec.in[1]};
  packing.in_present = {true};
  packing.out = {{Dtype::float32, {make_step(spec).packed_floats}}};
  packing.attributes = spec.attributes;
  packing.attributes.set("op", spec.op);
  packing.attributes.set("input_shape", spec.in[0].shape);
  spec.attributes.set("kernel_shape", spec.in[1].shape);
  in[1] = run(packing, {in[1]}, place)[0];
  spec.in[1] = packing.out[0];
  return run(spec, in, place)[0];
}

std::string describe(const Case& c) {
  std::ostringstream text;
  text << c.op << " on " << kernels().name;
  for (const auto& in : c.in) {
    text << " (";
    for (const std::int64_t d : in ? in->spec.shape : Shape{}) text << d << ',';
    text << ')';
  }
  return text.str();
}

// A sum of n terms in float32, in any order, is off by at most n u / (1 - n u) times the sum of their absolute values
// (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
void check_exact(const Case& c, const std::vector<double>& actual, const Exact& exact) {
  const double nu = static_cast<double>(exact.terms + 1) * kUnitRoundoff;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double bound = nu / (1 - nu) * exact.magnitude[i];
    CHECK(std::abs(actual[i] - exact.value[i]) <= bound, "for ", describe(c), ": element ", i, " is ", actual[i],
          ", expected ", exact.value[i], " within ", bound);
  }
}

// Two evaluations of one formula whose sums have up to `terms` terms; whole numbers must agree.
void check_same(const Case& c, const TensorSpec& spec, std::int64_t terms, const std::vector<double>& actual,
                const std::vector<double>& expected) {
  double largest = 1.0;
  for (const double e : expected) largest = std::max(largest, std::abs(e));
  const double bound =
      spec.dtype == Dtype::float32 ? 16 * std::sqrt(static_cast<double>(terms) + 1) * kUnitRoundoff * largest : 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i)
    CHECK(std::abs(actual[i] - expected[i]) <= bound, "for ", describe(c), ": element ", i, " is ", actual[i],
          ", scalar gives ", expected[i], ", within ", bound);
}

Inputs float_inputs(const OpSpec& spec, const Tensors& in) {
  Inputs floats;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::vector<double> values = numbers(spec.in[i], in[i]);
    floats.emplace_back(values.begin(), values.end());
  }
  return floats;
}

template <class F>
void on_every_isa(const F& f) {
  for (const char* isa : {"scalar", "avx2", "avx512", "neon"}) {
    try {
      set_isa(isa);
    } catch (const std::invalid_argument&) {
      continue;  // not on this CPU
    }
    for (const Place place : {Place::before_guard, Place::after_guard}) f(place);
  }
  set_isa("auto");
}

void check(const Case& c) {
  const OpSpec spec = spec_of(c);
  const Tensors in = random_inputs(c);
  const Oracle oracle = oracle_of(c.op);
  if (oracle) {
    const Exact exact = oracle(spec, float_inputs(spec, in));
    on_every_isa([&](Place place) { check_exact(c, numbers(spec.out[0], run(spec, in, place)[0]), exact); });
    return;
  }
  set_isa("scalar");
  const Tensors expected = run(spec, in, Place::before_guard);
  std::vector<TensorSpec> specs = spec.out;
  specs.insert(specs.end(), spec.in.begin(), spec.in.end());
  std::int64_t terms = 1;
  for (const TensorSpec& s : spec.in) terms = std::max(terms, s.count());
  on_every_isa([&](Place place) {
    const Tensors actual = run(spec, in, place);
    for (std::size_t t = 0; t < actual.size(); ++t)
      check_same(c, specs[t], terms, numbers(specs[t], actual[t]), numbers(specs[t], expected[t]));
  });
}

// For algorithms whose error is bounded by the largest result instead of by each one's own sum.
void check_to_scale(const Case& c, double tolerance) {
  const OpSpec spec = spec_of(c);
  const Tensors in = random_inputs(c);
  const Exact exact = oracle_of(c.op)(spec, float_inputs(spec, in));
  double scale = 0.0;
  for (const double value : exact.value) scale = std::max(scale, std::abs(value));
  on_every_isa([&](Place place) {
    const std::vector<double> actual = numbers(spec.out[0], run(spec, in, place)[0]);
    for (std::size_t i = 0; i < actual.size(); ++i)
      CHECK(std::abs(actual[i] - exact.value[i]) <= tolerance * scale, "for ", describe(c), ": element ", i, " is ",
            actual[i], ", expected ", exact.value[i], " within ", tolerance * scale);
  });
}

void check_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) check(c);
}

}  // namespace

TEST(kernels, direct_convolutions_stay_in_their_buffers_and_are_right) {
  set_conv2d_algorithm("direct");
  check_all(conv_cases());
  set_conv2d_algorithm("auto");
}
TEST(kernels, winograd_stays_in_its_buffers_and_is_within_2e_5_of_the_scale) {
  for (const char* algorithm : {"winograd4", "winograd6"}) {
    set_conv2d_algorithm(algorithm);
    for (const Case& c : conv_cases())
      if (c.op.rfind("conv2d", 0) == 0) check_to_scale(c, 2e-5);
  }
  set_conv2d_algorithm("auto");
}
TEST(kernels, pooled_convolutions_stay_in_their_buffers_and_give_the_bits_of_a_pooling_of_their_own) {
  for (const char* algorithm : {"direct", "winograd4", "winograd6"}) {
    set_conv2d_algorithm(algorithm);
    for (const Case& c : conv_cases()) {
      const Shape& y = c.out[0].shape;
      if (c.op != "conv2d" || c.in.size() > 3 || y[1] < 2 || y[2] < 2) continue;
      const Tensors in = random_inputs(c);
      OpSpec fused = spec_of(c), pool;
      pool.op = "max_pool2d";
      pool.in = {c.out[0]}, pool.in_present = {true};
      const Shape half{y[0], y[1] / 2, y[2] / 2, y[3]};
      pool.out = {{Dtype::float32, half}, {Dtype::uint8, half}};
      pool.attributes.set("pool_size", Shape{2, 2});
      pool.attributes.set("strides", Shape{2, 2});
      pool.attributes.set("padding", Shape{0, 0, 0, 0});
      fused.out = pool.out;
      fused.attributes.set("pool", std::int64_t{1});
      on_every_isa([&](Place place) {
        const Tensors expected = run(pool, {run(spec_of(c), in, place)[0]}, place), actual = run(fused, in, place);
        CHECK(actual[0] == expected[0] && actual[1] == expected[1], "for ", describe(c), " by ", algorithm);
      });
    }
  }
  set_conv2d_algorithm("auto");
}
TEST(kernels, gradients_of_pooled_convolutions_stay_in_their_buffers_and_give_the_bits_of_what_a_pooling_sends_back) {
  for (const char* algorithm : {"direct", "winograd4", "winograd6"}) {
    set_conv2d_algorithm(algorithm);
    for (const Case& c : conv_cases()) {
      const bool dx = c.op == "conv2d_backward_input", dw = c.op == "conv2d_backward_weight";
      const Shape& dy = c.in[0]->spec.shape;
      if (!(dx && !c.in[2] && c.in.size() == 3) && !dw) continue;
      if (dy[1] < 2 || dy[2] < 2) continue;
      const Shape half{dy[0], dy[1] / 2, dy[2] / 2, dy[3]};
      const Case pooled{"max_pool2d_backward", {normal(half), whole(Dtype::uint8, half, 4)}, {c.in[0]->spec}};
      OpSpec spread = spec_of(pooled), fused = spec_of(c);
      spread.attributes.set("pool_size", Shape{2, 2});
      spread.attributes.set("strides", Shape{2, 2});
      spread.attributes.set("padding", Shape{0, 0, 0, 0});
      spread.attributes.set("size", Shape{dy[1], dy[2]});
      const Tensors in = random_inputs(c), sent = random_inputs(pooled);
      Tensors fused_in = in;
      fused.in[0] = spread.in[0], fused_in[0] = sent[0];
      fused.in.resize(dx ? 5 : 3), fused.in_present.resize(dx ? 5 : 3), fused_in.resize(dx ? 5 : 3);
      fused.in.back() = spread.in[1], fused.in_present.back() = true, fused_in.back() = sent[1];
      on_every_isa([&](Place place) {
        Tensors plain_in = in;
        plain_in[0] = run(spread, sent, place)[0];
        CHECK(run(fused, fused_in, place)[0] == run(spec_of(c), plain_in, place)[0], "for ", describe(c), " by ",
              algorithm);
      });
    }
  }
  set_conv2d_algorithm("auto");
}
TEST(kernels, convolutions_with_moments_stay_in_their_buffers_and_give_the_same_bits_and_their_moments) {
  set_conv2d_algorithm("direct");
  for (const Case& c : conv_cases()) {
    if (c.op != "conv2d" && c.op != "depthwise_conv2d") continue;
    const OpSpec plain = spec_of(c);
    const Tensors in = random_inputs(c);
    on_every_isa([&](Place place) {
      OpSpec spec = plain;
      const std::int64_t blocks = make_step(spec).moment_blocks, K = spec.out[0].shape[3];
      if (blocks == 0) return;
      spec.out.push_back({Dtype::float32, {blocks, kMomentRows, K}});
      const Tensors results = run(spec, in, place);
      CHECK(results[0] == run(plain, in, place)[0], "for ", describe(c));
      const std::vector<double> y = numbers(spec.out[0], results[0]), rows = numbers(spec.out[1], results[1]);
      const std::int64_t pixels = spec.out[0].count() / K;
      for (std::int64_t k = 0; k < K; ++k) {
        double sum = 0, square = 0, count = 0, exact_sum = 0, exact_square = 0;
        for (std::int64_t i = 0; i < blocks; ++i) {
          const double* row = &rows[static_cast<std::size_t>(i * kMomentRows * K + k)];
          const double shift = row[0], n = row[3 * K];
          sum += row[K] + n * shift, square += row[2 * K] + 2 * shift * row[K] + n * shift * shift, count += n;
        }
        for (std::int64_t i = 0; i < pixels; ++i) {
          const double value = y[static_cast<std::size_t>(i * K + k)];
          exact_sum += value, exact_square += value * value;
        }
        const double bound = 4 * std::sqrt(static_cast<double>(pixels) + 1) * kUnitRoundoff;
        const double scale = exact_square + std::sqrt(static_cast<double>(pixels) * exact_square);
        CHECK(count == static_cast<double>(pixels), "for ", describe(c), ": ", count, " of ", pixels);
        CHECK(std::abs(sum - exact_sum) <= bound * scale, "for ", describe(c), ": ", sum, ", not ", exact_sum);
        CHECK(std::abs(square - exact_square) <= 8 * bound * scale, "for ", describe(c), ": ", square, ", not ",
              exact_square);
      }
    });
  }
  set_conv2d_algorithm("auto");
}
TEST(kernels, packed_weights_give_the_bits_of_the_op_that_packs_them_itself) {
  for (const char* algorithm : {"direct", "winograd4", "winograd6"}) {
    set_conv2d_algorithm(algorithm);
    for (const Case& c : conv_cases()) {
      if (c.op != "conv2d" && c.op != "conv2d_backward_input" && c.op != "pointwise_depthwise_conv2d") continue;
      const OpSpec spec = spec_of(c);
      const Tensors in = random_inputs(c);
      on_every_isa([&](Place place) {
        CHECK(run_packed(spec, in, place) == run(spec, in, place)[0], "for ", describe(c), " by ", algorithm);
      });
    }
  }
  set_conv2d_algorithm("auto");
}
TEST(kernels, dense_with_packed_weights_stays_in_its_buffers_and_is_right) {
  for (const Case& c : dense_cases()) {
    if (c.op != "dense") continue;
    const OpSpec spec = spec_of(c);
    const Tensors in = random_inputs(c);
    const Exact exact = oracle_of(c.op)(spec, float_inputs(spec, in));
    on_every_isa([&](Place place) { check_exact(c, numbers(spec.out[0], run_packed(spec, in, place)), exact); });
  }
}
TEST(kernels, packed_weights_of_another_size_are_refused) {
  const Case c = conv_cases().front();
  OpSpec spec = spec_of(c);
  spec.attributes.set("kernel_shape", spec.in[1].shape);
  spec.in[1].shape = {3};
  CHECK(throws<std::invalid_argument>("packed weights", [&] { make_step(spec); }));
}
TEST(kernels, dense_stays_in_its_buffers_and_is_right) { check_all(dense_cases()); }
TEST(kernels, elementwise_ops_stay_in_their_buffers_and_are_right) { check_all(elementwise_cases()); }
TEST(kernels, window_ops_stay_in_their_buffers_and_are_right) { check_all(window_cases()); }
TEST(kernels, row_ops_stay_in_their_buffers_and_are_right) { check_all(row_cases()); }
TEST(kernels, updates_stay_in_their_buffers_and_are_right) { check_all(update_cases()); }

TEST(kernels, unknown_op_is_refused_by_name) {
  OpSpec spec;
  spec.op = "convolve";
  CHECK(throws<std::invalid_argument>("convolve", [&] { make_step(spec); }));
}

}  // namespace cnnfast::tests
