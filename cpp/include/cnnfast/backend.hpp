// Where Programs run: on the CPU, or on a GPU in a build with CUDA. Both take the same steps over the same buffers.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cnnfast/program.hpp"

namespace cnnfast {

// What a device or its driver refuses: Python's cnnfast.DeviceError.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Memory of a device that outlives Programs: a weight, or what is computed from weights alone.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* address() const = 0;
  virtual std::int64_t bytes() const = 0;
  virtual void upload(const void* from) = 0;
  virtual void download(void* to) const = 0;
};

struct DeviceInfo {
  std::string name;         // "cuda:0"
  std::string description;  // the maker's name
  std::int64_t memory_bytes;
  int major, minor;  // the compute capability
};

struct Backend {
  Step (*make_step)(const OpSpec& spec);
  std::unique_ptr<Program> (*make_program)(std::vector<Program::Buffer> buffers, std::vector<ProgramStep> steps,
                                           std::int64_t arena_bytes);
  // Of the device. Null on the CPU, where fixed buffers are arrays of the host.
  std::unique_ptr<Memory> (*allocate)(std::int64_t bytes);
  // One step outside any Program, on the host's arrays. It changes the inputs `updates`.
  void (*run_step)(const OpSpec& spec, const std::vector<void*>& in, const std::vector<void*>& out,
                   const std::vector<int>& updates, std::uint64_t seed);
};

const Backend& cpu_backend();
// Null in a build without CUDA (runtime/no_cuda.cpp).
const Backend* cuda_backend();

// What there is to set in a build with CUDA; without it these throw DeviceError. Nothing of the driver is loaded before
// one of them is called.
std::vector<DeviceInfo> cuda_devices();  // DeviceError too where there is no driver or no GPU
void set_cuda_device(int index);         // for all that is made from now on
// Where NVIDIA's libraries may lie, besides where the system looks; and for each whether it was found.
void set_cuda_library_paths(const std::vector<std::string>& folders);
std::vector<std::pair<std::string, std::string>> cuda_libraries();

}  // namespace cnnfast
