#include "cudnn_graph.hpp"

#include <algorithm>
#include <array>

namespace cnnfast::cuda::cudnn {
namespace {

using Dims = std::array<std::int64_t, 4>;

DataType data_type(Dtype type) {
  if (type == Dtype::float32) return DataType::float32;
  if (type == Dtype::bfloat16) return DataType::bfloat16;
  throw std::invalid_argument("cudnn: expected float32 or bfloat16 numbers");
}

// Dimensions are named in the order n,c,h,w, but lie in memory as n,h,w,c.
Descriptor tensor(std::int64_t id, const Dims& dims, DataType type, bool is_virtual = false) {
  const auto [n, c, h, w] = dims;
  const std::vector<std::int64_t> sizes{n, c, h, w}, strides{h * w * c, 1, w * c, c};
  Descriptor made(Kind::tensor);
  made.set(Attribute::tensor_unique_id, id)
      .set(Attribute::tensor_data_type, type)
      .set(Attribute::tensor_byte_alignment, std::int64_t{16})
      .set(Attribute::tensor_dimensions, sizes)
      .set(Attribute::tensor_strides, strides)
      .set(Attribute::tensor_is_virtual, is_virtual)
      .finalize();
  return made;
}

// The padding behind an axis with which a convolution makes exactly `out`: that of the shape, unless that before the
// axis does too, since more engines take equal ones. Rows behind the last window may be left out or added.
std::int64_t post_padding(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                          std::int64_t pre, std::int64_t post, std::int64_t out) {
  const std::int64_t least = (out - 1) * stride + (kernel - 1) * dilation + 1 - in - pre;
  for (const std::int64_t padding : {pre, post, std::max<std::int64_t>(least, 0)})
    if (window_output_size(in, kernel, stride, dilation, pre, padding) == out) return padding;
  throw Error("no padding of cuDNN's makes this size");
}

Descriptor convolution(const Conv2dShape& s) {
  using List = std::vector<std::int64_t>;
  const std::int64_t bottom = post_padding(s.H, s.R, s.stride_h, s.dilation_h, s.pad_top, s.pad_bottom, s.P);
  const std::int64_t right = post_padding(s.W, s.S, s.stride_w, s.dilation_w, s.pad_left, s.pad_right, s.Q);
  Descriptor made(Kind::convolution);
  made.set(Attribute::convolution_compute_type, DataType::float32)
      .set(Attribute::convolution_mode, ConvMode::cross_correlation)
      .set(Attribute::convolution_spatial_dims, std::int64_t{2})
      .set(Attribute::convolution_pre_paddings, List{s.pad_top, s.pad_left})
      .set(Attribute::convolution_post_paddings, List{bottom, right})
      .set(Attribute::convolution_strides, List{s.stride_h, s.stride_w})
      .set(Attribute::convolution_dilations, List{s.dilation_h, s.dilation_w})
      .finalize();
  return made;
}

// The attributes of one kind of convolution: the tensors in the order of CudnnConv::run.
struct ConvOperation {
  Kind kind;
  Attribute alpha, beta, convolution, first, second, out;
};
ConvOperation conv_operation(CudnnConvSpec::Kind kind) {
  using A = Attribute;
  switch (kind) {
    case CudnnConvSpec::forward:
      return {Kind::conv_forward, A::conv_forward_alpha, A::conv_forward_beta, A::conv_forward_convolution,
              A::conv_forward_x,  A::conv_forward_w,     A::conv_forward_y};
    case CudnnConvSpec::backward_input:
      return {Kind::conv_backward_input,          A::conv_backward_input_alpha, A::conv_backward_input_beta,
              A::conv_backward_input_convolution, A::conv_backward_input_dy,    A::conv_backward_input_w,
              A::conv_backward_input_dx};
    default:
      return {Kind::conv_backward_weight,          A::conv_backward_weight_alpha, A::conv_backward_weight_beta,
              A::conv_backward_weight_convolution, A::conv_backward_weight_dy,    A::conv_backward_weight_x,
              A::conv_backward_weight_dw};
  }
}

// Makes the operations of a graph one after the other.
class GraphBuilder {
 public:
  explicit GraphBuilder(const CudnnConvSpec& spec) : spec_(spec) {
    const Conv2dShape& s = spec.shape;
    const Dims x{s.N, s.C, s.H, s.W}, w{s.K, s.C / s.groups, s.R, s.S}, y{s.N, s.K, s.P, s.Q};
    const bool forward = spec.kind == CudnnConvSpec::forward;
    first_ = forward ? x : y;
    second_ = spec.kind == CudnnConvSpec::backward_weight ? x : w;
    out_ = forward ? y : spec.kind == CudnnConvSpec::backward_input ? x : w;
    out_type_ = data_type(spec.kind == CudnnConvSpec::backward_weight ? spec.dw_type : spec.type);
    endings_ = spec.residual + spec.bias + (spec.epilogue != Epilogue::none);
    if (!forward && endings_ > 0) throw Error("only a forward convolution can have an ending");
  }

  ConvGraph build(Handle handle) {
    add_convolution();
    // In this order, with a bias of the type of the images, it is an operation that engines without compilation know.
    const Dims channels{1, spec_.shape.K, 1, 1};
    if (spec_.residual) add(in_memory(kResidual, out_, data_type(spec_.type)));
    if (spec_.bias) add(in_memory(kBias, channels, data_type(spec_.b_type)));
    if (spec_.epilogue != Epilogue::none) activate();
    made_.graph.set(Attribute::graph_handle, handle)
        .set(Attribute::graph_operations, kDescriptorType, static_cast<std::int64_t>(operations_.size()),
             operations_.data())
        .finalize();
    return std::move(made_);
  }

 private:
  Object keep(Descriptor part) { return made_.parts.emplace_back(std::move(part)).object(); }
  Object in_memory(std::int64_t id, const Dims& dims, DataType type) {
    made_.ids.push_back(id);
    return keep(tensor(id, dims, type));
  }
  // What the next operation makes: of the last one, the result.
  Object next_result() {
    if (made_steps_++ == endings_) return in_memory(kOut, out_, out_type_);
    return keep(tensor(kBetween + made_steps_, out_, DataType::float32, true));
  }

  void add_convolution() {
    const ConvOperation names = conv_operation(spec_.kind);
    const DataType type = data_type(spec_.type);
    const Object first = in_memory(kFirst, first_, type), second = in_memory(kSecond, second_, type);
    const Object settings = keep(convolution(spec_.shape));
    last_ = next_result();
    Descriptor operation(names.kind);
    operation.set(names.alpha, 1.0f).set(names.beta, 0.0f);
    set_objects(operation,
                {{names.convolution, settings}, {names.first, first}, {names.second, second}, {names.out, last_}});
    finish(std::move(operation));
  }

  void add(Object summand) {
    Descriptor settings(Kind::pointwise);
    settings.set(Attribute::pointwise_mode, PointwiseMode::add)
        .set(Attribute::pointwise_math_precision, DataType::float32)
        .finalize();
    point_by_point(std::move(settings), summand);
  }

  void activate() {
    Descriptor settings(Kind::pointwise);
    settings.set(Attribute::pointwise_mode, PointwiseMode::relu)
        .set(Attribute::pointwise_math_precision, DataType::float32)
        .set(Attribute::pointwise_nan_propagation, NanPropagation::propagate)
        .set(Attribute::pointwise_relu_lower_clip, 0.0);
    if (spec_.epilogue == Epilogue::relu6) settings.set(Attribute::pointwise_relu_upper_clip, 6.0);
    settings.finalize();
    point_by_point(std::move(settings), nullptr);
  }

  void point_by_point(Descriptor made_settings, Object summand) {
    const Object settings = keep(std::move(made_settings)), from = std::exchange(last_, next_result());
    Descriptor operation(Kind::pointwise_operation);
    set_objects(operation, {{Attribute::pointwise_operation_pointwise, settings},
                            {Attribute::pointwise_operation_x, from},
                            {Attribute::pointwise_operation_y, last_}});
    if (summand != nullptr) set_objects(operation, {{Attribute::pointwise_operation_b, summand}});
    finish(std::move(operation));
  }

  void set_objects(Descriptor& operation, const std::vector<std::pair<Attribute, Object>>& values) {
    for (const auto& [name, object] : values) operation.set(name, kDescriptorType, 1, &object);
  }
  void finish(Descriptor operation) {
    operation.finalize();
    operations_.push_back(keep(std::move(operation)));
  }

  const CudnnConvSpec& spec_;
  Dims first_, second_, out_;
  DataType out_type_;
  int endings_ = 0, made_steps_ = 0;  // operations behind the convolution; results made so far
  Object last_ = nullptr;             // the latest result
  std::vector<Object> operations_;
  ConvGraph made_;
};

EngineChoice engine_choice(Descriptor config) {
  const std::vector<Descriptor> engines = config.get_descriptors(Attribute::engine_config_engine, Kind::engine, 1);
  if (engines.empty()) throw Error("an engine configuration without an engine");
  EngineChoice choice{std::move(config), "", {}, false};
  choice.notes = engines[0].get_all<NumericalNote>(Attribute::engine_numerical_notes, kMostNotes);
  for (const BehaviorNote note : engines[0].get_all<BehaviorNote>(Attribute::engine_behavior_notes, kMostNotes))
    choice.is_compiled = choice.is_compiled || note == BehaviorNote::runtime_compilation;
  choice.name = "engine " + std::to_string(engines[0].get<std::int64_t>(Attribute::engine_global_index));
  for (const Descriptor& knob :
       choice.config.get_descriptors(Attribute::engine_config_knob_choices, Kind::knob_choice, kMostKnobs))
    choice.name += " k" + std::to_string(static_cast<int>(knob.get<KnobType>(Attribute::knob_choice_type))) + "=" +
                   std::to_string(knob.get<std::int64_t>(Attribute::knob_choice_value));
  return choice;
}

}  // namespace

ConvGraph conv_graph(const CudnnConvSpec& spec, Handle handle) { return GraphBuilder(spec).build(handle); }

bool EngineChoice::has(NumericalNote note) const { return std::find(notes.begin(), notes.end(), note) != notes.end(); }

std::vector<EngineChoice> engine_choices(const ConvGraph& graph, HeuristicMode mode, std::int64_t most) {
  Descriptor heuristics(Kind::heuristics);
  heuristics.set(Attribute::heuristics_graph, graph.graph).set(Attribute::heuristics_mode, mode).finalize();
  std::vector<EngineChoice> choices;
  for (Descriptor& config : heuristics.get_descriptors(Attribute::heuristics_results, Kind::engine_config, most))
    choices.push_back(engine_choice(std::move(config)));
  return choices;
}

bool is_exact_enough(const EngineChoice& engine, const CudnnConvSpec& spec) {
  if (engine.has(NumericalNote::nondeterministic) || engine.has(NumericalNote::down_convert_inputs) ||
      engine.has(NumericalNote::reduced_precision_reduction))
    return false;
  const bool exact_products = spec.type == Dtype::float32 && !spec.tf32;
  // Tensor cores multiply float32 as TF32.
  if (exact_products) return !engine.has(NumericalNote::tensor_core) && !engine.has(NumericalNote::winograd_tile_13x13);
  // Winograd's transformed tiles would be rounded like the inputs, and their errors grow on the way back.
  return !engine.has(NumericalNote::winograd);
}

std::string describe(const CudnnConvSpec& spec) {
  static const char* const kinds[] = {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"};
  const Conv2dShape& s = spec.shape;
  std::string text = kinds[spec.kind];
  const auto put = [&](const char* name, std::int64_t value) { text += name + std::to_string(value); };
  put(" N=", s.N), put(" H=", s.H), put(" W=", s.W), put(" C=", s.C), put(" K=", s.K), put(" R=", s.R), put(" S=", s.S);
  put(" P=", s.P), put(" Q=", s.Q), put(" strides=", s.stride_h), put(",", s.stride_w);
  put(" dilation=", s.dilation_h), put(",", s.dilation_w), put(" padding=", s.pad_top), put(",", s.pad_bottom);
  put(",", s.pad_left), put(",", s.pad_right), put(" groups=", s.groups);
  text += spec.type == Dtype::bfloat16 ? " bfloat16" : spec.tf32 ? " float32 as TF32" : " float32";
  if (spec.kind == CudnnConvSpec::backward_weight && spec.dw_type != spec.type)
    text += spec.dw_type == Dtype::float32 ? " dw float32" : " dw bfloat16";
  if (spec.bias) text += spec.b_type == Dtype::float32 ? " +b" : " +b bfloat16";
  if (spec.residual) text += " +residual";
  if (spec.epilogue != Epilogue::none) text += spec.epilogue == Epilogue::relu ? " relu" : " relu6";
  return text;
}

}  // namespace cnnfast::cuda::cudnn
