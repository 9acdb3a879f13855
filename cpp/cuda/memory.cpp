#include "memory.hpp"

#include <atomic>
#include <string>

#include "cnnfast/fork.hpp"
#include "error.hpp"

namespace cnnfast::cuda {
namespace {

std::atomic<int> chosen{0};

std::string megabytes(std::size_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

[[noreturn]] void fail_for_memory(std::int64_t bytes) {
  cudaGetLastError();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  throw DeviceError("cuda: out of memory on cuda:" + std::to_string(chosen_device()) + ": asked for " +
                    megabytes(static_cast<std::size_t>(bytes)) + ", " + megabytes(free) + " of " + megabytes(total) +
                    " are free");
}

// Programs run on streams that do not wait for the default one, and it may still be at work when a call for it returns.
void finish_default_stream() { check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize"); }

}  // namespace

OnDevice::OnDevice(int device) {
  if (is_forked_child()) throw DeviceError("cuda: a forked process cannot use a GPU; start it by spawning");
  check(cudaGetDevice(&before_), "cudaGetDevice");
  if (before_ != device) check(cudaSetDevice(device), "cudaSetDevice", std::to_string(device));
}
OnDevice::~OnDevice() { cudaSetDevice(before_); }

int chosen_device() { return chosen; }

DeviceMemory::DeviceMemory(std::int64_t bytes) : device_(chosen_device()), bytes_(bytes) {
  if (bytes <= 0) return;
  const OnDevice on(device_);
  const cudaError_t status = cudaMalloc(&data_, static_cast<std::size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) fail_for_memory(bytes);
  check(status, "cudaMalloc", std::to_string(bytes) + " bytes");
  try {
    check(cudaMemset(data_, 0, static_cast<std::size_t>(bytes)), "cudaMemset", std::to_string(bytes) + " bytes");
    finish_default_stream();
  } catch (...) {
    cudaFree(data_);
    throw;
  }
}

DeviceMemory::~DeviceMemory() {
  if (data_ && !is_forked_child()) cudaFree(data_);
}

void DeviceMemory::upload(const void* from) {
  const OnDevice on(device_);
  check(cudaMemcpy(data_, from, static_cast<std::size_t>(bytes_), cudaMemcpyHostToDevice), "cudaMemcpy",
        std::to_string(bytes_) + " bytes to the device");
  finish_default_stream();
}

void DeviceMemory::download(void* to) const {
  const OnDevice on(device_);
  check(cudaMemcpy(to, data_, static_cast<std::size_t>(bytes_), cudaMemcpyDeviceToHost), "cudaMemcpy",
        std::to_string(bytes_) + " bytes from the device");
}

PinnedMemory::PinnedMemory(std::int64_t bytes) {
  if (bytes > 0)
    check(cudaMallocHost(&data_, static_cast<std::size_t>(bytes)), "cudaMallocHost", std::to_string(bytes) + " bytes");
}
PinnedMemory::~PinnedMemory() {
  if (data_ && !is_forked_child()) cudaFreeHost(data_);
}

}  // namespace cnnfast::cuda

namespace cnnfast {

std::vector<DeviceInfo> cuda_devices() {
  if (is_forked_child()) throw DeviceError("cuda: a forked process cannot use a GPU; start it by spawning");
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver)
    throw DeviceError("cuda: there is no driver, or it is older than this build's CUDA " +
                      std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION / 10 % 100) + " (" +
                      cudaGetErrorName(status) + ")");
  if (status == cudaErrorNoDevice) throw DeviceError("cuda: there is no GPU (cudaErrorNoDevice)");
  cuda::check(status, "cudaGetDeviceCount");
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    cuda::check(cudaGetDeviceProperties(&properties, i), "cudaGetDeviceProperties", std::to_string(i));
    devices.push_back({"cuda:" + std::to_string(i), properties.name,
                       static_cast<std::int64_t>(properties.totalGlobalMem), properties.major, properties.minor});
  }
  return devices;
}

void set_cuda_device(int index) {
  const std::vector<DeviceInfo> devices = cuda_devices();
  if (index < 0 || static_cast<std::size_t>(index) >= devices.size())
    throw DeviceError("cuda: there is no cuda:" + std::to_string(index) +
                      "; GPUs here: " + std::to_string(devices.size()));
  const DeviceInfo& device = devices[static_cast<std::size_t>(index)];
  if (device.major < 8)
    throw DeviceError("cuda: " + device.name + " (" + device.description + ") has compute capability " +
                      std::to_string(device.major) + "." + std::to_string(device.minor) + ", 8.0 or more is needed");
  cuda::chosen = index;
}

}  // namespace cnnfast
