#include "cublas.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "error.hpp"
#include "library.hpp"

namespace cnnfast::cuda {
namespace {

using Handle = void*;
enum class Operation : int { none = 0, transpose = 1 };
enum class DataType : int { float32 = 0, bfloat16 = 14 };
enum class ComputeType : int { float32 = 68, tf32 = 77 };
constexpr int kDefaultAlgorithm = -1, kNoAtomics = 0;
// The parts of a sum that is made in parts stay float32.
constexpr int kMathMode = 16;
constexpr std::uintptr_t kWorkspaceAlignment = 256;  // asked for by cublasSetWorkspace

// What is used of cuBLAS, as NVIDIA documents it (docs.nvidia.com/cuda/cublas).
struct Api {
  int (*property)(int which, int* value);
  const char* (*status_string)(int status);
  int (*create)(Handle* handle);
  int (*set_stream)(Handle handle, cudaStream_t stream);
  int (*set_workspace)(Handle handle, void* workspace, std::size_t bytes);
  int (*set_math_mode)(Handle handle, int mode);
  int (*set_atomics_mode)(Handle handle, int mode);
  int (*gemm)(Handle handle, Operation op_a, Operation op_b, std::int64_t m, std::int64_t n, std::int64_t k,
              const void* alpha, const void* a, DataType type_a, std::int64_t lda, const void* b, DataType type_b,
              std::int64_t ldb, const void* beta, void* c, DataType type_c, std::int64_t ldc, ComputeType compute,
              int algorithm);
};

class LoadedApi {
 public:
  LoadedApi()
      : library_("CNNFAST_CUBLAS", {"libcublas.so.13", "libcublas.so.12"}), description_(library_.description()) {
    if (!library_.loaded()) return;
    usable_ = library_.find("cublasGetProperty", api_.property) &&
              library_.find("cublasGetStatusString", api_.status_string) &&
              library_.find("cublasCreate_v2", api_.create) && library_.find("cublasSetStream_v2", api_.set_stream) &&
              library_.find("cublasSetWorkspace_v2", api_.set_workspace) &&
              library_.find("cublasSetMathMode", api_.set_math_mode) &&
              library_.find("cublasSetAtomicsMode", api_.set_atomics_mode) &&
              library_.find("cublasGemmEx_64", api_.gemm);
    description_ = usable_ ? version() + " from " + description_ : description_ + ": lacks functions of cuBLAS 12";
  }
  const Api* api() const { return usable_ ? &api_ : nullptr; }
  const std::string& description() const { return description_; }

 private:
  std::string version() const {
    int numbers[3] = {};
    for (int i = 0; i < 3; ++i) api_.property(i, &numbers[i]);
    return std::to_string(numbers[0]) + "." + std::to_string(numbers[1]) + "." + std::to_string(numbers[2]);
  }

  Library library_;
  std::string description_;
  Api api_{};
  bool usable_ = false;
};

const LoadedApi& loaded_api() {
  static const LoadedApi loaded;
  return loaded;
}

std::string text_of(int status, const char* call) {
  return std::string(call) + ": " + loaded_api().api()->status_string(status);
}

// A handle serves one thread at a time.
struct DeviceHandle {
  Handle handle = nullptr;
  std::mutex lock;
  std::string failure;  // why there is none
};

void create_handle(const Api& api, DeviceHandle& made) {
  const auto succeeds = [&](int status, const char* call) {
    if (status != 0) made.failure = text_of(status, call);
    return status == 0;
  };
  if (succeeds(api.create(&made.handle), "cublasCreate") &&
      succeeds(api.set_math_mode(made.handle, kMathMode), "cublasSetMathMode"))
    succeeds(api.set_atomics_mode(made.handle, kNoAtomics), "cublasSetAtomicsMode");
}

std::mutex handles_lock;
// Never destroyed: when the process ends, the driver may be gone before.
std::map<int, std::unique_ptr<DeviceHandle>>& handles_of_devices() {
  static auto& made = *new std::map<int, std::unique_ptr<DeviceHandle>>;
  return made;
}

// Of the current device.
DeviceHandle& current_handle() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  const std::lock_guard<std::mutex> hold(handles_lock);
  std::unique_ptr<DeviceHandle>& place = handles_of_devices()[device];
  if (place == nullptr) {
    place = std::make_unique<DeviceHandle>();
    create_handle(*loaded_api().api(), *place);
  }
  return *place;
}

std::string handle_failures() {
  const std::lock_guard<std::mutex> hold(handles_lock);
  std::string text;
  for (const auto& [device, made] : handles_of_devices())
    if (!made->failure.empty()) text += ": cuda:" + std::to_string(device) + ": " + made->failure;
  return text;
}

DataType data_type(Dtype type) {
  if (type == Dtype::float32) return DataType::float32;
  if (type == Dtype::bfloat16) return DataType::bfloat16;
  throw std::invalid_argument("cublas: expected float32 or bfloat16 numbers");
}

std::string describe(const Gemm& g) {
  return "matmul M=" + std::to_string(g.M) + " N=" + std::to_string(g.N) + " K=" + std::to_string(g.K) +
         (g.transpose_a ? " a transposed" : "") + (g.transpose_b ? " b transposed" : "") +
         (g.type_ab == Dtype::bfloat16 ? " bfloat16"
          : g.tf32                     ? " float32 as TF32"
                                       : " float32");
}

void require(int status, const char* call, const Gemm& g) {
  if (status != 0) throw DeviceError("cublas: " + describe(g) + ": " + text_of(status, call));
}

}  // namespace

bool cublas_available() { return loaded_api().api() != nullptr && current_handle().failure.empty(); }

std::string cublas_status() { return loaded_api().description() + handle_failures(); }

// To cuBLAS a matrix lies column after column, so that it sees all of them transposed: y' = b' a'.
void gemm(cudaStream_t stream, const Gemm& g, const void* a, const void* b, void* y, void* workspace,
          std::size_t workspace_bytes) {
  if (!cublas_available()) throw DeviceError("cublas: " + cublas_status());
  const Api& api = *loaded_api().api();
  const auto start = reinterpret_cast<std::uintptr_t>(workspace);
  const std::uintptr_t aligned = (start + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
  const std::size_t lost = aligned - start;
  const auto operation = [](bool transposed) { return transposed ? Operation::transpose : Operation::none; };
  const float one = 1, zero = 0;
  const DataType type = data_type(g.type_ab);
  const ComputeType compute = g.tf32 && g.type_ab == Dtype::float32 ? ComputeType::tf32 : ComputeType::float32;
  DeviceHandle& handle = current_handle();
  const std::lock_guard<std::mutex> hold(handle.lock);
  require(api.set_stream(handle.handle, stream), "cublasSetStream", g);
  // After the stream, which takes the workspace away.
  if (workspace_bytes > lost)
    require(api.set_workspace(handle.handle, reinterpret_cast<void*>(aligned), workspace_bytes - lost),
            "cublasSetWorkspace", g);
  require(api.gemm(handle.handle, operation(g.transpose_b), operation(g.transpose_a), g.N, g.M, g.K, &one, b, type,
                   g.transpose_b ? g.K : g.N, a, type, g.transpose_a ? g.M : g.K, &zero, y, data_type(g.type_y), g.N,
                   compute, kDefaultAlgorithm),
          "cublasGemmEx", g);
}

}  // namespace cnnfast::cuda
