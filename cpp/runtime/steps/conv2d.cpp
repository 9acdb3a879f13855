#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>

#include "../conv2d_plan.hpp"
#include "../winograd_plan.hpp"
#include "cnnfast/kernels.hpp"
#include "conv2d_shape.hpp"
#include "epilogue.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

using Dims = std::vector<std::int64_t>;

// One gather, by one algorithm or the other.
class Gather {
 public:
  explicit Gather(GatherPlan plan) : plan_(std::move(plan)) {
    const auto form = winograd_form(conv());
    winograd_ = form.has_value();
    if (form) split_ = split_winograd(conv(), *form);
    packed_floats_ =
        winograd_ ? kernels().conv2d_winograd.packed_floats(conv(), split_) : kernels().conv2d.packed_floats(conv());
    workspace_floats_ = winograd_ ? kernels().conv2d_winograd.workspace_floats(conv(), split_) : 0;
  }
  const GatherConv& conv() const { return plan_.conv; }
  std::int64_t packed_floats() const { return packed_floats_; }
  std::int64_t workspace_floats() const { return workspace_floats_; }
  // 0: it cannot give them, or makes only some of the pixels.
  std::int64_t moment_blocks() const {
    const bool all = conv().out_row_step == 1 && conv().out_col_step == 1 && !conv().makes_cells();
    return all && !winograd_ ? kernels().conv2d.moment_blocks(conv()) : 0;
  }

  // All that `pack` reads.
  void describe_packing(std::vector<std::int64_t>& layout) const {
    const GatherConv& g = conv();
    const WinogradForm& form = split_.form;  // zeros without
    layout.insert(layout.end(), {form.tile, form.taps, form.stride, g.channels, g.out_channels, g.weight_in_step,
                                 g.weight_out_step, g.n_taps, g.out_c});
    for (const ConvTap& tap : plan_.taps) layout.push_back(tap.weight);
  }
  void pack(const float* w, float* packed) const {
    winograd_ ? kernels().conv2d_winograd.pack(conv(), split_, w, packed) : kernels().conv2d.pack(conv(), w, packed);
  }
  bool winograd() const { return winograd_; }
  // x with an argmax: only by Winograd's algorithm.
  void run(const ConvInput& x, const float* packed, Ending ending, float* y, float* workspace) const {
    if (ending.b) ending.b += conv().out_channel_first;
    if (winograd_)
      kernels().conv2d_winograd.gather(conv(), split_, x, packed, ending, y, workspace);
    else
      kernels().conv2d.gather(conv(), x.data, packed, ending, y);
  }

 private:
  GatherPlan plan_;
  bool winograd_ = false;
  WinogradSplit split_{};
  std::int64_t packed_floats_ = 0, workspace_floats_ = 0;
};

// All gathers of an op: they run one after the other, their packed weights lie one after the other.
class Gathers {
 public:
  explicit Gathers(GatherPlans plans) {
    for (GatherPlan& plan : plans) {
      gathers_.emplace_back(std::move(plan));
      packed_floats_ += gathers_.back().packed_floats();
      workspace_floats_ = std::max(workspace_floats_, gathers_.back().workspace_floats());
    }
  }
  std::int64_t packed_floats() const { return packed_floats_; }
  std::int64_t workspace_floats() const { return workspace_floats_; }
  // Of the whole result, of which each gather makes some pixels or channels.
  std::int64_t output_floats() const {
    const GatherConv& g = gathers_.front().conv();
    return g.N * g.out_h * g.out_w * g.out_c;
  }
  // The same for each: where each makes all pixels, they are the groups of one convolution.
  std::int64_t moment_blocks() const { return gathers_.front().moment_blocks(); }

  std::vector<std::int64_t> packed_layout() const {
    std::vector<std::int64_t> layout;
    for (const Gather& gather : gathers_) gather.describe_packing(layout);
    return layout;
  }
  void pack(const float* w, float* packed) const {
    for (const Gather& gather : gathers_) {
      gather.pack(w, packed);
      packed += gather.packed_floats();
    }
  }
  bool all_winograd() const {
    return std::all_of(gathers_.begin(), gathers_.end(), [](const Gather& g) { return g.winograd(); });
  }
  void run(const ConvInput& x, const float* packed, const Ending& ending, float* y, float* workspace) const {
    for (const Gather& gather : gathers_) {
      gather.run(x, packed, ending, y, workspace);
      packed += gather.packed_floats();
    }
  }

 private:
  std::vector<Gather> gathers_;
  std::int64_t packed_floats_ = 0, workspace_floats_ = 0;
};

// Whether the largest of each 2x2 pixels of the result is wanted instead of the result.
bool pools(const Attributes& a) { return a.integer("pool", 0) != 0; }

// The gathers of an op whose first input has shape x and whose weights have shape w.
using Planner = GatherPlans (*)(const Dims& x, const Dims& w, const Attributes& a);

GatherPlans plan_forward(const Dims& x, const Dims& w, const Attributes& a) {
  Conv2dShape s = conv2d_shape(x, w, a);
  if (!pools(a)) return plan_conv2d_forward(s);
  s.P -= s.P % 2, s.Q -= s.Q % 2;  // what no window of the pooling takes in is not computed
  if (s.P < 1 || s.Q < 1) throw std::invalid_argument("conv2d: a result of one row or column has no 2x2 to pool");
  return plan_conv2d_windows(s, 2);
}
GatherPlans plan_backward_input(const Dims& dy, const Dims& w, const Attributes& a) {
  const Dims& size = a.list("size");
  return plan_conv2d_backward_input(conv2d_shape({dy[0], size[0], size[1], w[2] * a.integer("groups", 1)}, w, a));
}
GatherPlans plan_by_pixel(const Dims& x, const Dims& w, const Attributes&) { return plan_pointwise(x, w); }

// Weights as their op wants them, so that it need not pack them at each run: attributes are those of the op, its name
// as "op" and the shape of its first input as "input_shape". w -> packed
Step pack_weights(const OpSpec& spec) {
  static const std::map<std::string, Planner> planners = {{"conv2d", plan_forward},
                                                          {"conv2d_backward_input", plan_backward_input},
                                                          {"dense", plan_by_pixel},
                                                          {"pointwise_depthwise_conv2d", plan_by_pixel}};
  const auto planner = planners.find(spec.attributes.text("op"));
  if (planner == planners.end())
    throw std::invalid_argument("pack_weights: no weights of " + spec.attributes.text("op"));
  const auto gathers = std::make_shared<Gathers>(
      planner->second(spec.attributes.list("input_shape"), spec.in.at(0).shape, spec.attributes));
  if (spec.out.at(0).count() != gathers->packed_floats())
    throw std::invalid_argument("pack_weights: the output must have " + std::to_string(gathers->packed_floats()) +
                                " floats");
  return {"", 0, [gathers](const StepArgs& a) { gathers->pack(a.input(0), a.output(0)); }, 0, gathers->packed_layout()};
}

// Which input of conv2d_backward_input is the gate of its ending, and whether it is there.
constexpr std::size_t kGate = 5;
bool has_gate(const OpSpec& spec) {
  if (!spec.has_in(kGate)) return false;
  if (spec.in[kGate].count() != spec.out.at(0).count())
    throw std::invalid_argument(spec.op + ": the gate has " + std::to_string(spec.in[kGate].count()) +
                                " elements, the output " + std::to_string(spec.out[0].count()));
  return true;
}

// x, w, b or missing, residual or missing -> y. With the attribute "kernel_shape", w comes packed; with "pool",
// x, w, b or missing -> the largest of each 2x2 pixels of y, and which it was if that is wanted; without it,
// a second output are the moments of blocks of y.
Step gather_step(const OpSpec& spec, Planner plan) {
  const bool packed = spec.attributes.has("kernel_shape");
  const Dims& w = packed ? spec.attributes.list("kernel_shape") : spec.in.at(1).shape;
  const auto gathers = std::make_shared<Gathers>(plan(spec.in.at(0).shape, w, spec.attributes));
  if (packed && spec.in.at(1).count() != gathers->packed_floats())
    throw std::invalid_argument(spec.op + ": packed weights must have " + std::to_string(gathers->packed_floats()) +
                                " floats");
  const bool pool = pools(spec.attributes), two = spec.out.size() > 1;
  if (spec.out.at(0).count() != gathers->output_floats() / (pool ? 4 : 1))
    throw std::invalid_argument(spec.op + ": the result has " + std::to_string(gathers->output_floats()) +
                                " elements, or a quarter if it is pooled, the output has " +
                                std::to_string(spec.out[0].count()));
  const std::int64_t moment_blocks = pool ? 0 : usable_moment_blocks(spec, gathers->moment_blocks());
  if (!pool) check_moments(spec, moment_blocks);
  const std::int64_t own_floats = packed ? 0 : gathers->packed_floats();
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"",
          (own_floats + gathers->workspace_floats()) * 4,
          [=, biased = spec.has_in(2), summed = spec.has_in(3), gated = has_gate(spec)](const StepArgs& a) {
            const float* weights = a.input(1);
            if (!packed) {
              gathers->pack(a.input(1), a.scratch());
              weights = a.scratch();
            }
            Ending ending{biased ? a.input(2) : nullptr, summed ? a.input(3) : nullptr, epilogue, pool};
            if (two && pool) ending.argmax = a.output<std::uint8_t>(1);
            if (two && !pool) ending.moments = a.output(1);
            if (gated) ending.gate = a.input(kGate);
            gathers->run({a.input(0)}, weights, ending, a.output(0), a.scratch() + own_floats);
          },
          gathers->packed_floats(),
          {},
          moment_blocks};
}

Step conv2d(const OpSpec& spec) { return gather_step(spec, plan_forward); }

// The max-pooling that sends dy back.
Pool2dShape pooling_of(const Dims& dy, std::int64_t H, std::int64_t W) {
  Pool2dShape s{};
  s.N = dy[0], s.H = H, s.W = W, s.C = dy[3], s.P = dy[1], s.Q = dy[2];
  s.R = s.S = s.stride_h = s.stride_w = 2;
  return s;
}

// dy, w, b or missing, residual or missing -> dx; also the forward pass of a transposed convolution, which is why it
// takes a bias. With an argmax as fifth input, dy is what a max-pooling sends back: see ConvInput. With a sixth, which
// "epilogue" made before, dx is what that activation's gradient lets through.
Step conv2d_backward_input(const OpSpec& spec) {
  if (!spec.has_in(4)) return gather_step(spec, plan_backward_input);
  if (spec.attributes.has("kernel_shape"))
    throw std::invalid_argument(spec.op + ": weights must not be packed where an argmax is given");
  const auto gathers =
      std::make_shared<Gathers>(plan_backward_input(spec.in.at(0).shape, spec.in.at(1).shape, spec.attributes));
  const Conv2dShape shape = conv2d_shape(spec.out[0].shape, spec.in[1].shape, spec.attributes);
  const Pool2dShape pool = pooling_of(spec.in[0].shape, shape.P, shape.Q);
  // The direct algorithm reads dy as it would be, which is made first.
  const std::int64_t dy_floats = gathers->all_winograd() ? 0 : pool.N * pool.H * pool.W * pool.C;
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", (dy_floats + gathers->packed_floats() + gathers->workspace_floats()) * 4,
          [=, biased = spec.has_in(2), summed = spec.has_in(3), gated = has_gate(spec)](const StepArgs& a) {
            ConvInput dy{a.input(0), a.input<std::uint8_t>(4)};
            float* weights = a.scratch() + dy_floats;
            if (dy_floats > 0) {
              kernels().pool2d.max_backward_u8(pool, dy.data, dy.argmax, a.scratch());
              dy = {a.scratch()};
            }
            gathers->pack(a.input(1), weights);
            Ending ending{biased ? a.input(2) : nullptr, summed ? a.input(3) : nullptr, epilogue};
            if (gated) ending.gate = a.input(kGate);
            gathers->run(dy, weights, ending, a.output(0), weights + gathers->packed_floats());
          },
          gathers->packed_floats()};
}

// dy, x -> dw. With an argmax as third input, dy is what a max-pooling sends back: see ConvInput.
Step conv2d_backward_weight(const OpSpec& spec) {
  const Conv2dShape shape = conv2d_shape(spec.in[1].shape, spec.out[0].shape, spec.attributes);
  const bool pooled = spec.has_in(2);
  auto plans = std::make_shared<GatherPlans>(plan_conv2d_backward_weight(shape, pooled));
  const GatherConv& first = plans->front().conv;
  const auto form = winograd_weight_form(first);
  const bool winograd = form.has_value();
  const WeightSplit direct_split = split_conv2d_backward_weight(first);
  const auto winograd_split = form ? split_winograd_backward_weight(first, *form) : WinogradWeightSplit{};
  const std::int64_t slices = winograd ? winograd_split.slices : direct_split.slices;
  const std::int64_t floats = slices > 1 ? slices * first.depth * first.out_channels : 0;
  return {"", floats * 4, [=, K = shape.K](const StepArgs& a) {
            const ConvInput dy{a.input(0), pooled ? a.input<std::uint8_t>(2) : nullptr};
            for (const GatherPlan& plan : *plans) {
              float* dw = a.output(0) + plan.conv.out_channel_first;
              if (winograd)
                kernels().conv2d_winograd.backward_weight(plan.conv, winograd_split, a.input(1), dy, dw, K,
                                                          a.scratch());
              else
                kernels().conv2d.backward_weight(plan.conv, direct_split, a.input(1), dy, dw, K, a.scratch());
            }
          }};
}

}  // namespace

Step packed_dense(const OpSpec& spec) { return gather_step(spec, plan_by_pixel); }
std::int64_t packed_dense_floats(const OpSpec& spec) {
  return Gathers(plan_pointwise(spec.in[0].shape, spec.in[1].shape)).packed_floats();
}

void add_conv2d_steps(StepRegistry& registry) {
  registry["conv2d"] = conv2d;
  registry["pack_weights"] = pack_weights;
  registry["conv2d_backward_input"] = conv2d_backward_input;
  registry["conv2d_backward_weight"] = conv2d_backward_weight;
}

}  // namespace cnnfast
