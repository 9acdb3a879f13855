// Sums along axes, of the numbers themselves, their magnitudes or their squares.
#include "../runtime/steps/reduce.hpp"
#include "column_sums.hpp"
#include "families.hpp"
#include "row_sums.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

struct Magnitude {
  __device__ float operator()(float x) const { return fabsf(x); }
};
struct Square {
  __device__ float operator()(float x) const { return x * x; }
};

// One pass over x (A,R,B).
class AxisSum {
 public:
  AxisSum(const SumPass& p, int vector)
      : by_rows_(p.B == 1 && p.A > 1),
        rows_(by_rows_ ? row_plan(p.A, p.R, vector) : RowPlan{}),
        columns_(by_rows_ ? ColumnPlan{} : column_plan(p.A, p.R, p.B, vector)) {}

  std::int64_t workspace_bytes() const { return by_rows_ ? rows_.workspace_bytes() : columns_.workspace_bytes(); }

  template <class F, class Y, class X>
  void run(const F& f, float scale, Y* y, float* workspace, const X* x, cudaStream_t stream) const {
    if (by_rows_) return sum_rows(rows_, f, scale, y, workspace, x, stream);
    sum_columns(columns_, f, scale, static_cast<NotStored*>(nullptr), y, workspace, stream, x);
  }

 private:
  bool by_rows_;
  RowPlan rows_;
  ColumnPlan columns_;
};

// The passes of a sum. Results of all but the last are float32, two in turn, behind the passes' own workspace.
class SumPasses {
 public:
  SumPasses(const std::vector<SumPass>& passes, int vector) {
    for (const SumPass& p : passes) {
      passes_.emplace_back(p, passes_.empty() ? vector : kVector<float>);
      own_ = std::max(own_, passes_.back().workspace_bytes());
    }
    own_ = ceil_div(own_, 64) * 64;
    if (passes.size() > 1) between_ = ceil_div(passes[0].A * passes[0].B * 4, 64) * 64;
  }

  std::int64_t workspace_bytes() const { return own_ + 2 * between_; }

  template <class F, class Y, class X>
  void run(const F& f, float scale, Y* y, float* workspace, const X* x, cudaStream_t stream) const {
    if (passes_.size() == 1) return passes_[0].run(f, scale, y, workspace, x, stream);
    const std::size_t last = passes_.size() - 1;
    const auto result = [&](std::size_t i) { return workspace + (own_ + (i % 2 ? between_ : 0)) / 4; };
    passes_[0].run(f, 1.0f, result(0), workspace, x, stream);
    for (std::size_t i = 1; i < last; ++i)
      passes_[i].run(Identity{}, 1.0f, result(i), workspace, static_cast<const float*>(result(i - 1)), stream);
    passes_[last].run(Identity{}, scale, y, workspace, static_cast<const float*>(result(last - 1)), stream);
  }

 private:
  std::vector<AxisSum> passes_;
  std::int64_t own_ = 0, between_ = 0;
};

// x -> y = scale * sum of f(x) over `axes`
template <class F>
Step sum_of(const OpSpec& spec, const std::vector<std::int64_t>& axes) {
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), [&](auto number) -> Step {
    using T = decltype(number);
    const SumPasses passes(sum_passes(spec.in[0].shape, axes), kVector<T>);
    return {"", passes.workspace_bytes(), [passes, scale = spec.attributes.real("scale")](const StepArgs& a) {
              passes.run(F{}, scale, a.output<T>(0), a.scratch(), a.input<T>(0), stream_of(a));
            }};
  });
}

Step sum(const OpSpec& spec) { return sum_of<Identity>(spec, spec.attributes.list("axes")); }

// x -> a scalar
template <class F>
Step sum_all(const OpSpec& spec) {
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < spec.in[0].shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  return sum_of<F>(spec, axes);
}

// The gradients read dy, one number, where it lies: on the device.
template <class T>
struct MagnitudeSlope {
  const T* dy;
  float scale;
  __device__ float operator()(float x) const {
    const float up = to_float(*dy) * scale;
    return x > 0.0f ? up : x < 0.0f ? -up : 0.0f;
  }
};
template <class T>
struct SquareSlope {
  const T* dy;
  float scale;
  __device__ float operator()(float x) const { return x * (2.0f * to_float(*dy) * scale); }
};

// dy (a scalar), x -> dx
template <template <class> class Slope>
Step sum_all_backward(const OpSpec& spec) {
  const Dtype type = common_type(spec, {spec.in[0].dtype, spec.in[1].dtype, spec.out[0].dtype});
  return with_number(type, [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [n = spec.in[1].count(), scale = spec.attributes.real("scale")](const StepArgs& a) {
              map(n, Slope<T>{a.input<T>(0), scale}, stream_of(a), a.output<T>(0), a.input<T>(1));
            }};
  });
}

}  // namespace

void add_reduce_steps(StepRegistry& registry) {
  registry["sum"] = sum;
  registry["sum_abs"] = sum_all<Magnitude>;
  registry["sum_squares"] = sum_all<Square>;
  registry["sum_abs_backward"] = sum_all_backward<MagnitudeSlope>;
  registry["sum_squares_backward"] = sum_all_backward<SquareSlope>;
}

}  // namespace cnnfast::cuda
