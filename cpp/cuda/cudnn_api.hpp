// What is used of cuDNN's graph interface, version 9: its functions, looked up in the library when it is loaded, and
// its numbers, as documented by NVIDIA
// (docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html).
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "error.hpp"

namespace cnnfast::cuda::cudnn {

using Handle = void*;
using Object = void*;  // a backend descriptor

struct Api {
  std::size_t version;
  const char* (*error_string)(int status);
  void (*last_error_string)(char* text, std::size_t bytes);
  int (*create)(Handle* handle);
  int (*set_stream)(Handle handle, cudaStream_t stream);
  int (*create_descriptor)(int kind, Object* object);
  int (*destroy_descriptor)(Object object);
  int (*finalize)(Object object);
  int (*set_attribute)(Object object, int name, int type, std::int64_t count, const void* values);
  int (*get_attribute)(Object object, int name, int type, std::int64_t room, std::int64_t* count, void* values);
  int (*execute)(Handle handle, Object plan, Object pack);
};

// Null if the library is not there or not usable; loads it at the first call.
const Api* api();
std::string api_description();  // the version and the file, or why there is none

class Error : public DeviceError {
 public:
  using DeviceError::DeviceError;
};
// Throws Error unless `status`, the result of `call`, is success.
void require(int status, const char* call);

// One for runs, one for choosing plans, which takes long: a handle serves one thread at a time.
struct DeviceHandles {
  Handle running = nullptr, choosing = nullptr;
  std::mutex running_lock;
  std::string failure;  // why there are none
};
// Of a device, which must be the current one; they stay until the process ends.
DeviceHandles& handles(int device);
std::string handle_failures();  // of all devices that were asked for; empty: none failed

enum class Kind : int {
  pointwise = 0,
  convolution = 1,
  engine = 2,
  engine_config = 3,
  heuristics = 4,
  plan = 5,
  knob_choice = 7,
  conv_forward = 10,
  conv_backward_weight = 11,
  conv_backward_input = 12,
  pointwise_operation = 13,
  graph = 15,
  variant_pack = 16,
  tensor = 17,
};

enum class Attribute : int {
  pointwise_mode = 0,
  pointwise_math_precision = 1,
  pointwise_nan_propagation = 2,
  pointwise_relu_lower_clip = 3,
  pointwise_relu_upper_clip = 4,
  convolution_compute_type = 100,
  convolution_mode = 101,
  convolution_dilations = 102,
  convolution_strides = 103,
  convolution_post_paddings = 104,
  convolution_pre_paddings = 105,
  convolution_spatial_dims = 106,
  heuristics_mode = 200,
  heuristics_graph = 201,
  heuristics_results = 202,
  engine_config_engine = 300,
  engine_config_knob_choices = 302,
  plan_handle = 400,
  plan_engine_config = 401,
  plan_workspace_size = 402,
  plan_cuda_graph_retention = 408,  // since 9.28
  knob_choice_type = 600,
  knob_choice_value = 601,
  conv_forward_alpha = 700,
  conv_forward_beta = 701,
  conv_forward_convolution = 702,
  conv_forward_w = 703,
  conv_forward_x = 704,
  conv_forward_y = 705,
  conv_backward_input_alpha = 706,
  conv_backward_input_beta = 707,
  conv_backward_input_convolution = 708,
  conv_backward_input_w = 709,
  conv_backward_input_dx = 710,
  conv_backward_input_dy = 711,
  conv_backward_weight_alpha = 712,
  conv_backward_weight_beta = 713,
  conv_backward_weight_convolution = 714,
  conv_backward_weight_dw = 715,
  conv_backward_weight_x = 716,
  conv_backward_weight_dy = 717,
  pointwise_operation_pointwise = 750,
  pointwise_operation_x = 751,
  pointwise_operation_b = 752,
  pointwise_operation_y = 753,
  graph_handle = 800,
  graph_operations = 801,
  tensor_byte_alignment = 900,
  tensor_data_type = 901,
  tensor_dimensions = 902,
  tensor_strides = 903,
  tensor_unique_id = 906,
  tensor_is_virtual = 907,
  variant_pack_unique_ids = 1000,
  variant_pack_data_pointers = 1001,
  variant_pack_workspace = 1003,
  engine_global_index = 1301,
  engine_numerical_notes = 1303,
  engine_behavior_notes = 1305,
};

enum class DataType : int { float32 = 0, bfloat16 = 9 };
enum class ConvMode : int { cross_correlation = 1 };
enum class PointwiseMode : int { add = 0, relu = 100 };
enum class NanPropagation : int { propagate = 1 };
enum class HeuristicMode : int { fallback = 2, a = 3 };
enum class KnobType : int {};
enum class GraphRetention : int { none = 1 };
enum class NumericalNote : int {
  tensor_core = 0,
  down_convert_inputs = 1,
  reduced_precision_reduction = 2,
  fft = 3,
  nondeterministic = 4,
  winograd = 5,
  winograd_tile_4x4 = 6,
  winograd_tile_6x6 = 7,
  winograd_tile_13x13 = 8,
};
enum class BehaviorNote : int { runtime_compilation = 0 };
constexpr int kMostNotes = 32, kMostKnobs = 64;  // more than there are

// The number by which cuDNN knows the type of an attribute's values.
template <class T>
struct TypeNumber;
// clang-format off
template <> struct TypeNumber<Handle> { static constexpr int value = 0; };
template <> struct TypeNumber<DataType> { static constexpr int value = 1; };
template <> struct TypeNumber<bool> { static constexpr int value = 2; };
template <> struct TypeNumber<std::int64_t> { static constexpr int value = 3; };
template <> struct TypeNumber<float> { static constexpr int value = 4; };
template <> struct TypeNumber<double> { static constexpr int value = 5; };
template <> struct TypeNumber<ConvMode> { static constexpr int value = 7; };
template <> struct TypeNumber<HeuristicMode> { static constexpr int value = 8; };
template <> struct TypeNumber<KnobType> { static constexpr int value = 9; };
template <> struct TypeNumber<NanPropagation> { static constexpr int value = 10; };
template <> struct TypeNumber<NumericalNote> { static constexpr int value = 11; };
template <> struct TypeNumber<PointwiseMode> { static constexpr int value = 14; };
template <> struct TypeNumber<BehaviorNote> { static constexpr int value = 19; };
template <> struct TypeNumber<GraphRetention> { static constexpr int value = 33; };
// clang-format on
constexpr int kVoidPointerType = 6, kDescriptorType = 15;

// A backend descriptor: attributes are set, then it is finalized, then it can be used and asked.
class Descriptor {
 public:
  explicit Descriptor(Kind kind);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  Object object() const { return object_; }

  template <class T>
  Descriptor& set(Attribute name, const T& value) {
    return set(name, TypeNumber<T>::value, 1, &value);
  }
  template <class T>
  Descriptor& set(Attribute name, const std::vector<T>& values) {
    return set(name, TypeNumber<T>::value, static_cast<std::int64_t>(values.size()), values.data());
  }
  Descriptor& set(Attribute name, const Descriptor& value) { return set(name, kDescriptorType, 1, &value.object_); }
  Descriptor& set(Attribute name, int type, std::int64_t count, const void* values);
  Descriptor& finalize();

  template <class T>
  T get(Attribute name) const {
    T value{};
    get(name, TypeNumber<T>::value, 1, &value);
    return value;
  }
  // At most `most` values.
  template <class T>
  std::vector<T> get_all(Attribute name, std::int64_t most) const {
    std::vector<T> values(static_cast<std::size_t>(most));
    values.resize(static_cast<std::size_t>(get(name, TypeNumber<T>::value, most, values.data())));
    return values;
  }
  // At most `most` descriptors; they are filled, not made, by cuDNN.
  std::vector<Descriptor> get_descriptors(Attribute name, Kind kind, std::int64_t most) const;
  // Fetches up to `room` values and returns how many there are of them.
  std::int64_t get(Attribute name, int type, std::int64_t room, void* values) const;

 private:
  Object object_ = nullptr;
};

}  // namespace cnnfast::cuda::cudnn
