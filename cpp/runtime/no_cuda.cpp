// Built instead of cpp/cuda where CUDA is not asked for.
#include "cnnfast/backend.hpp"

namespace cnnfast {
namespace {

[[noreturn]] void refuse() {
  throw DeviceError(
      "cuda: this build of cnnfast has no CUDA. Install it from its sources with CNNFAST_CUDA=1 in the environment, "
      "where CUDA's compiler nvcc is on the PATH");
}

}  // namespace

const Backend* cuda_backend() { return nullptr; }
std::vector<DeviceInfo> cuda_devices() { refuse(); }
void set_cuda_device(int) { refuse(); }
void set_cuda_library_paths(const std::vector<std::string>&) {}
std::vector<std::pair<std::string, std::string>> cuda_libraries() { return {}; }

}  // namespace cnnfast
