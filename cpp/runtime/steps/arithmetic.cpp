#include <algorithm>
#include <stdexcept>

#include "broadcast.hpp"
#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {

namespace {

// For each axis of y the step of an operand whose shape is aligned with y's at the last axis, as in NumPy.
std::vector<std::int64_t> operand_steps(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& y) {
  std::vector<std::int64_t> steps(y.size(), 0);
  std::int64_t step = 1;
  for (std::size_t back = 1; back <= shape.size() && back <= y.size(); ++back) {
    const std::int64_t size = shape[shape.size() - back];
    if (size != 1 && size != y[y.size() - back])
      throw std::invalid_argument("op: an axis of " + std::to_string(size) + " cannot be repeated to " +
                                  std::to_string(y[y.size() - back]));
    steps[y.size() - back] = size == 1 ? 0 : step;
    step *= size;
  }
  return steps;
}

}  // namespace

BroadcastShape broadcast_shape(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b,
                               const std::vector<std::int64_t>& y) {
  const std::vector<std::int64_t> a_steps = operand_steps(a, y), b_steps = operand_steps(b, y);
  BroadcastShape s{};
  for (std::size_t d = 0; d < y.size(); ++d) {
    if (y[d] == 1) continue;
    // An axis joins the one before it where both operands go on through it as through one longer axis.
    const int p = s.rank - 1;
    if (p >= 0 && s.a_step[p] == a_steps[d] * y[d] && s.b_step[p] == b_steps[d] * y[d]) {
      s.size[p] *= y[d];
      s.a_step[p] = a_steps[d];
      s.b_step[p] = b_steps[d];
      continue;
    }
    if (s.rank == BroadcastShape::max_rank) throw std::invalid_argument("op: too many axes to broadcast");
    s.size[s.rank] = y[d];
    s.a_step[s.rank] = a_steps[d];
    s.b_step[s.rank++] = b_steps[d];
  }
  if (s.rank == 0) s.size[s.rank++] = 1;
  return s;
}

namespace {

// a, b -> y, each repeated along the axes where it has size 1 or none
template <BroadcastKernel ArithmeticKernels::*Kernel>
Step binary(const OpSpec& spec) {
  return {"", 0, [s = broadcast_shape(spec.in[0].shape, spec.in[1].shape, spec.out[0].shape)](const StepArgs& a) {
            (kernels().arithmetic.*Kernel)(s, a.input(0), a.input(1), a.output(0));
          }};
}

// x -> y = x * scale, repeated along the axes where x has size 1 or none
Step broadcast_to(const OpSpec& spec) {
  const BroadcastShape s = broadcast_shape(spec.in[0].shape, {}, spec.out[0].shape);
  return {"", 0, [s, scale = spec.attributes.real("scale")](const StepArgs& a) {
            kernels().arithmetic.multiply(s, a.input(0), &scale, a.output(0));
          }};
}

// x -> y = x * scale + offset
Step scale(const OpSpec& spec) {
  return {"", 0, [n = spec.in[0].count(), factor = spec.attributes.real("scale"),
                  offset = spec.attributes.real("offset")](const StepArgs& a) {
            kernels().arithmetic.scale(n, a.input(0), factor, offset, a.output(0));
          }};
}

// x (uint8 or int32) -> y (float32) = x * scale + offset
Step cast(const OpSpec& spec) {
  const std::int64_t n = spec.in[0].count();
  const float factor = spec.attributes.real("scale"), offset = spec.attributes.real("offset");
  switch (spec.in[0].dtype) {
    case Dtype::uint8:
      return {"", 0, [=](const StepArgs& a) {
                kernels().arithmetic.cast_uint8(n, a.input<std::uint8_t>(0), factor, offset, a.output(0));
              }};
    case Dtype::int32:
      return {"", 0, [=](const StepArgs& a) {
                kernels().arithmetic.cast_int32(n, a.input<std::int32_t>(0), factor, offset, a.output(0));
              }};
    default: return scale(spec);
  }
}

}  // namespace

void add_arithmetic_steps(StepRegistry& registry) {
  registry["add"] = binary<&ArithmeticKernels::add>;
  registry["subtract"] = binary<&ArithmeticKernels::subtract>;
  registry["multiply"] = binary<&ArithmeticKernels::multiply>;
  registry["broadcast_to"] = broadcast_to;
  registry["scale"] = scale;
  registry["cast"] = cast;
}

}  // namespace cnnfast
