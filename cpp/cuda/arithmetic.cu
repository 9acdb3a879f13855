// Elementwise arithmetic: two tensors with broadcasting, a tensor and scalars, conversion of types.
#include "../runtime/steps/broadcast.hpp"
#include "broadcast.hpp"
#include "elementwise.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Subtract {
  __device__ float operator()(float a, float b) const { return a - b; }
};
struct Line {
  float scale, offset;
  __device__ float operator()(float x) const { return fmaf(x, scale, offset); }
};
struct Scaled {
  float scale;
  __device__ float operator()(float x, float) const { return x * scale; }
};

// a, b -> y, each repeated along the axes where it has size 1 or none
template <class Operation>
Step binary(const OpSpec& spec) {
  const BroadcastShape shape = broadcast_shape(spec.in[0].shape, spec.in[1].shape, spec.out[0].shape);
  const Dtype type = common_type(spec, {spec.in[0].dtype, spec.in[1].dtype, spec.out[0].dtype});
  return with_number(type, [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [shape](const StepArgs& a) {
              broadcast(shape, Operation{}, a.input<T>(0), a.input<T>(1), a.output<T>(0), stream_of(a));
            }};
  });
}

// x -> y = x * scale, repeated along the axes where x has size 1 or none
Step broadcast_to(const OpSpec& spec) {
  const BroadcastShape shape = broadcast_shape(spec.in[0].shape, {}, spec.out[0].shape);
  const Scaled scaled{spec.attributes.real("scale")};
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [=](const StepArgs& a) {
              // The second operand, all of it x's first number, is not used.
              broadcast(shape, scaled, a.input<T>(0), a.input<T>(0), a.output<T>(0), stream_of(a));
            }};
  });
}

template <class X, class Y>
Step line(const OpSpec& spec) {
  const Line line{spec.attributes.real("scale"), spec.attributes.real("offset")};
  return {"", 0, [n = spec.in[0].count(), line](const StepArgs& a) {
            map(n, line, stream_of(a), a.output<Y>(0), a.input<X>(0));
          }};
}

// x -> y = x * scale + offset, in x's type
Step scale(const OpSpec& spec) {
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}),
                     [&](auto number) { return line<decltype(number), decltype(number)>(spec); });
}

// x of any type -> y (float32 or bfloat16) = x * scale + offset
Step cast(const OpSpec& spec) {
  return with_number(spec.out[0].dtype, [&](auto number) -> Step {
    using Y = decltype(number);
    switch (spec.in[0].dtype) {
      case Dtype::uint8:
        return line<std::uint8_t, Y>(spec);
      case Dtype::int32:
        return line<std::int32_t, Y>(spec);
      case Dtype::bfloat16:
        return line<bf16, Y>(spec);
      default:
        return line<float, Y>(spec);
    }
  });
}

}  // namespace

void add_arithmetic_steps(StepRegistry& registry) {
  registry["add"] = binary<Add>;
  registry["subtract"] = binary<Subtract>;
  registry["multiply"] = binary<Product>;
  registry["broadcast_to"] = broadcast_to;
  registry["scale"] = scale;
  registry["cast"] = cast;
}

}  // namespace cnnfast::cuda
