#include "cases.hpp"

#include <initializer_list>

namespace cnnfast::tests {

Input normal(Shape shape) { return {{Dtype::float32, std::move(shape)}}; }
Input fraction(Shape shape) { return {{Dtype::float32, std::move(shape)}, Input::Values::fraction}; }
Input whole(Dtype dtype, Shape shape, std::int64_t below) {
  return {{dtype, std::move(shape)}, Input::Values::whole, below};
}

namespace {

TensorSpec f32(Shape shape) { return {Dtype::float32, std::move(shape)}; }

Attributes with(std::initializer_list<std::pair<const char*, Attributes::Value>> values) {
  Attributes a;
  for (const auto& [name, value] : values) a.set(name, value);
  return a;
}

std::int64_t window_size(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation,
                         std::int64_t padding) {
  return (in + padding - ((kernel - 1) * dilation + 1)) / stride + 1;
}

// padding: top, bottom, left, right. groups 0: depthwise, K = C * depth multiplier.
struct ConvLine {
  std::int64_t N, H, W, C, K, R, S;
  Shape strides, dilation, padding;
  std::int64_t groups = 1;
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
    {2, 9, 8, 20, 200, 1, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}},  // several ranges of channels
    {3, 5, 7, 70, 140, 1, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}, 2},
    {40, 5, 4, 3, 70, 3, 3, {1, 1}, {1, 1}, {0, 0, 0, 0}},  // weight gradient: bands over several images
    {37, 3, 5, 30, 9, 3, 3, {2, 2}, {1, 1}, {1, 1, 1, 1}},
    {2, 3, 150, 5, 66, 2, 3, {1, 1}, {1, 1}, {1, 0, 1, 1}},     // and more than a band in one row
    {1, 30, 5, 40, 40, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 0},  // several bands
    {1, 4, 4, 17, 18, 3, 3, {1, 1}, {1, 1}, {7, 5, 6, 9}},      // windows that see padding alone
    {2, 15, 14, 30, 8, 3, 2, {2, 1}, {2, 3}, {9, 8, 9, 8}},     // weight gradient: long windows in place, dilated
    {2, 7, 8, 56, 70, 3, 3, {1, 1}, {1, 1}, {1, 1, 1, 1}, 2},   // in place, of a group
    {1, 7, 7, 26, 140, 3, 3, {2, 2}, {1, 1}, {1, 1, 1, 1}},     // packed, for many filters
};

const std::int64_t dense_lines[][3] = {{1, 1, 1},     {1, 130, 3},   {7, 17, 33},  {13, 128, 16},
                                       {33, 129, 65}, {121, 5, 150}, {6, 300, 10}, {2, 1, 97}};

const std::int64_t lengths[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 33};
constexpr std::int64_t long_length =
    2 * 16384 + 17;  // several blocks, for one op of those that share the loop over them

struct WindowLine {
  std::int64_t N, H, W, C, R, S;
  Shape strides, padding;
};

const WindowLine pool_lines[] = {
    {1, 1, 1, 1, 1, 1, {1, 1}, {0, 0, 0, 0}},  {2, 6, 8, 3, 2, 2, {2, 2}, {0, 0, 0, 0}},
    {2, 7, 9, 17, 3, 3, {2, 2}, {1, 1, 1, 1}}, {1, 5, 4, 33, 3, 2, {1, 1}, {1, 1, 0, 1}},
    {3, 9, 7, 8, 2, 3, {3, 4}, {0, 1, 1, 0}},  {1, 20, 20, 16, 17, 18, {1, 2}, {0, 0, 0, 0}},
};

// M rows of K.
const std::int64_t row_lines[][2] = {{1, 1}, {2, 3}, {5, 10}, {7, 16}, {33, 17}, {64, 1}, {3, 300}, {130, 31}};

}  // namespace

std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  for (const ConvLine& l : conv_lines) {
    const bool depthwise = l.groups == 0;
    const std::string op = depthwise ? "depthwise_conv2d" : "conv2d";
    Attributes a = with({{"strides", l.strides}, {"dilation", l.dilation}, {"padding", l.padding}});
    if (!depthwise) a.set("groups", l.groups);
    const Shape x{l.N, l.H, l.W, l.C};
    const Shape y{l.N, window_size(l.H, l.R, l.strides[0], l.dilation[0], l.padding[0] + l.padding[1]),
                  window_size(l.W, l.S, l.strides[1], l.dilation[1], l.padding[2] + l.padding[3]), l.K};
    const Shape w{l.R, l.S, depthwise ? l.C : l.C / l.groups, depthwise ? l.K / l.C : l.K};
    cases.push_back({op, {normal(x), normal(w), normal({l.K})}, {f32(y)}, a});
    cases.push_back({op, {normal(x), normal(w), none}, {f32(y)}, a});
    Attributes input = a;
    input.set("size", Shape{l.H, l.W});
    cases.push_back({op + "_backward_input", {normal(y), normal(w), none}, {f32(x)}, input});
    if (!depthwise) {
      cases.push_back({op, {normal(x), normal(w), normal({l.K}), normal(y)}, {f32(y)}, a});
      cases.push_back({op + "_backward_input", {normal(y), normal(w), normal({l.C}), normal(x)}, {f32(x)}, input});
    }
    cases.push_back({op + "_backward_weight", {normal(y), normal(x)}, {f32(w)}, a});
    if (depthwise && l.K == l.C) {
      const Input before = normal({l.N, l.H, l.W, 5}), pointwise = normal({1, 1, 5, l.C});
      for (const std::optional<Input>& b : {std::optional<Input>(normal({l.C})), std::optional<Input>()})
        cases.push_back({"pointwise_depthwise_conv2d", {before, pointwise, b, normal(w), b}, {f32(y)}, a});
    }
  }
  return cases;
}

std::vector<Case> dense_cases() {
  std::vector<Case> cases;
  for (const auto& [M, K, N] : dense_lines) {
    cases.push_back({"dense", {normal({M, K}), normal({K, N}), normal({N})}, {f32({M, N})}});
    cases.push_back({"dense", {normal({M, K}), normal({K, N}), none}, {f32({M, N})}});
    cases.push_back({"dense_backward_input", {normal({M, N}), normal({K, N})}, {f32({M, K})}});
    cases.push_back({"dense_backward_weight", {normal({M, N}), normal({M, K})}, {f32({K, N})}});
    cases.push_back({"bias_backward", {normal({M, N})}, {f32({N})}});
  }
  return cases;
}

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases = {{"relu", {normal({long_length})}, {f32({long_length})}},
                             {"multiply", {normal({long_length}), normal({long_length})}, {f32({long_length})}}};
  for (const std::int64_t n : lengths) {
    for (const char* op :
         {"relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "elu", "softplus"}) {
      const Attributes a = with({{"alpha", 0.25}});
      cases.push_back({op, {normal({n})}, {f32({n})}, a});
      cases.push_back({std::string(op) + "_backward", {normal({n}), fraction({n})}, {f32({n})}, a});
    }
    const Attributes line = with({{"scale", 0.5}, {"offset", -1.0}});
    for (const char* op : {"add", "subtract", "multiply"}) {
      cases.push_back({op, {normal({n}), normal({n})}, {f32({n})}});
      cases.push_back({op, {normal({3, n}), normal({n})}, {f32({3, n})}});
      cases.push_back({op, {normal({2, 1}), normal({1, n})}, {f32({2, n})}});
    }
    cases.push_back({"broadcast_to", {normal({n, 1})}, {f32({n, 3})}, line});
    cases.push_back({"scale", {normal({n})}, {f32({n})}, line});
    cases.push_back({"cast", {whole(Dtype::uint8, {n}, 256)}, {f32({n})}, line});
    cases.push_back({"cast", {whole(Dtype::int32, {n}, 1 << 20)}, {f32({n})}, line});
    cases.push_back({"dropout", {normal({n})}, {f32({n})}, with({{"rate", 0.3}, {"salt", std::int64_t{5}}})});
  }
  return cases;
}

std::vector<Case> window_cases() {
  std::vector<Case> cases;
  for (const WindowLine& l : pool_lines) {
    const Attributes a = with({{"pool_size", Shape{l.R, l.S}}, {"strides", l.strides}, {"padding", l.padding}});
    const Shape x{l.N, l.H, l.W, l.C}, each{l.N, l.C};
    const Shape y{l.N, window_size(l.H, l.R, l.strides[0], 1, l.padding[0] + l.padding[1]),
                  window_size(l.W, l.S, l.strides[1], 1, l.padding[2] + l.padding[3]), l.C};
    const Dtype argmax = l.R * l.S > 256 ? Dtype::int32 : Dtype::uint8;
    cases.push_back({"max_pool2d", {normal(x)}, {f32(y)}, a});
    cases.push_back({"max_pool2d", {normal(x)}, {f32(y), {argmax, y}}, a});
    cases.push_back({"average_pool2d", {normal(x)}, {f32(y)}, a});
    cases.push_back({"average_pool2d_backward", {normal(y)}, {f32(x)}, a});
    cases.push_back({"global_max_pool2d", {normal(x)}, {f32(each), {Dtype::int32, each}}});
    cases.push_back({"global_max_pool2d_backward", {normal(each), whole(Dtype::int32, each, l.H * l.W)}, {f32(x)}});
    cases.push_back({"global_average_pool2d", {normal(x)}, {f32(each)}});
    cases.push_back({"global_average_pool2d_backward", {normal(each)}, {f32(x)}});
    // Without padding, every position of every window lies in the input.
    if (l.padding == Shape{0, 0, 0, 0})
      cases.push_back({"max_pool2d_backward", {normal(y), whole(argmax, y, l.R * l.S)}, {f32(x)}, a});

    const Shape larger{l.N, l.H * 2, l.W * 3, l.C}, padded{l.N, l.H + 1, l.W + 5, l.C};
    const Attributes size = with({{"size", Shape{2, 3}}}), padding = with({{"padding", Shape{0, 1, 3, 2}}});
    for (const std::string op : {"upsample_nearest", "upsample_bilinear"}) {
      cases.push_back({op, {normal(x)}, {f32(larger)}, size});
      cases.push_back({op + "_backward", {normal(larger)}, {f32(x)}, size});
    }
    cases.push_back({"zero_pad2d", {normal(x)}, {f32(padded)}, padding});
    cases.push_back({"crop2d", {normal(padded)}, {f32(x)}, padding});
    const Shape both{l.N, l.H, l.W, 2 * l.C};
    const Attributes channels = with({{"axis", std::int64_t{3}}, {"begin", l.C}});
    cases.push_back({"concatenate", {normal(x), normal(x)}, {f32(both)}, channels});
    cases.push_back({"slice", {normal(both)}, {f32(x)}, channels});
    cases.push_back({"slice_backward", {normal(x)}, {f32(both)}, channels});
  }
  return cases;
}

std::vector<Case> row_cases() {
  std::vector<Case> cases;
  for (const auto& [M, K] : row_lines) {
    const Shape x{M, K};
    const Attributes scale = with({{"scale", 0.5}}), epsilon = with({{"epsilon", 1e-3}});
    for (const Shape& axes : {Shape{0}, Shape{1}, Shape{0, 1}})
      cases.push_back({"sum",
                       {normal(x)},
                       {f32(axes.size() == 2 ? Shape{} : Shape{axes[0] == 0 ? K : M})},
                       with({{"axes", axes}, {"scale", 0.5}})});
    for (const std::string op : {"sum_abs", "sum_squares"}) {
      cases.push_back({op, {normal(x)}, {f32({})}, scale});
      cases.push_back({op + "_backward", {normal({}), normal(x)}, {f32(x)}, scale});
    }
    cases.push_back(
        {"relu_backward_bias", {normal(x), normal(x)}, {f32(x), f32({K})}, with({{"epilogue", std::string("relu")}})});
    cases.push_back({"softmax", {normal(x)}, {f32(x)}});
    cases.push_back({"softmax_backward", {normal(x), fraction(x)}, {f32(x)}});
    const Attributes smoothing = with({{"label_smoothing", 0.1}});
    for (const char* op : {"softmax_crossentropy", "categorical_crossentropy"})
      cases.push_back({op, {fraction(x), whole(Dtype::int32, {M}, K), fraction({M})}, {f32({}), f32(x)}, smoothing});
    for (const char* op : {"softmax_crossentropy", "categorical_crossentropy", "binary_crossentropy",
                           "binary_crossentropy_with_logits", "mean_squared_error"}) {
      cases.push_back({op, {fraction(x), fraction(x), none}, {f32({}), f32(x)}, smoothing});
      cases.push_back({op, {fraction(x), fraction(x), fraction({M})}, {f32({})}, smoothing});
    }
    const Input c = normal({K}), variance = fraction({K});
    cases.push_back({"batch_norm", {normal(x), c, c}, {f32(x), f32({K}), f32({K})}, epsilon});
    cases.push_back({"batch_norm", {normal(x), none, none}, {f32(x), f32({K}), f32({K})}, epsilon});
    cases.push_back(
        {"batch_norm_backward", {normal(x), normal(x), c, c, variance}, {f32(x), f32({K}), f32({K})}, epsilon});
    for (const char* epilogue : {"relu", "relu6"}) {
      Attributes ended = epsilon;
      ended.set("epilogue", std::string(epilogue));
      const std::vector<TensorSpec> out{f32(x), f32({K}), f32({K})};
      cases.push_back({"batch_norm", {normal(x), c, c, normal(x)}, out, ended});
      cases.push_back({"batch_norm_backward", {normal(x), normal(x), c, c, variance, c}, out, ended});
    }
    cases.push_back({"batch_norm_inference", {normal(x), c, none, c, variance}, {f32(x)}, epsilon});
    cases.push_back({"batch_norm_inference_backward_input", {normal(x), c, variance}, {f32(x)}, epsilon});
    cases.push_back({"batch_norm_backward_scale", {normal(x), normal(x), c, variance}, {f32({K}), f32({K})}, epsilon});
    cases.push_back({"clip_scale", {normal(x), normal({K})}, {f32({})}, with({{"norm", 0.5}})});
  }
  return cases;
}

std::vector<Case> update_cases() {
  std::vector<Case> cases;
  for (const std::int64_t n : lengths) {
    const Input w = normal({n}), slot = fraction({n});
    const auto clip = [](double value) { return with({{"clip_value", value}, {"nesterov", std::int64_t{1}}}); };
    cases.push_back({"sgd_update", {w, normal({n}), fraction({3}), none, slot}, {}, clip(0.0)});
    cases.push_back({"sgd_update", {w, normal({n}), fraction({3}), normal({}), none}, {}, clip(0.5)});
    cases.push_back({"adam_update", {w, normal({n}), fraction({5}), none, slot, slot, none}, {}, clip(0.0)});
    cases.push_back({"adam_update", {w, normal({n}), fraction({5}), normal({}), slot, slot, slot}, {}, clip(0.5)});
    cases.push_back({"rmsprop_update", {w, normal({n}), fraction({5}), none, slot, slot, none}, {}, clip(0.5)});
    cases.push_back({"moving_average_update", {w, normal({n})}, {}, with({{"momentum", 0.9}})});
  }
  return cases;
}

}  // namespace cnnfast::tests
