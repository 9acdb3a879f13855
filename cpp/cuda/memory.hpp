// Memory of a GPU, and the host's memory that it copies from and to by itself.
#pragma once
#include <cstdint>

#include "cnnfast/backend.hpp"

namespace cnnfast::cuda {

// Makes a device current for this thread, and the one that was before again at the end.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

// The device that what is made now belongs to.
int chosen_device();

// Zeros. DeviceError, with what was asked for and what is free, where there is not enough.
class DeviceMemory : public Memory {
 public:
  explicit DeviceMemory(std::int64_t bytes);
  ~DeviceMemory() override;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* address() const override { return data_; }
  std::int64_t bytes() const override { return bytes_; }
  void upload(const void* from) override;
  void download(void* to) const override;
  unsigned char* data() const { return static_cast<unsigned char*>(data_); }

 private:
  int device_;
  std::int64_t bytes_;
  void* data_ = nullptr;
};

// Page-locked memory of the host: copies from and to it run beside the host's work.
class PinnedMemory {
 public:
  explicit PinnedMemory(std::int64_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  unsigned char* data() const { return static_cast<unsigned char*>(data_); }

 private:
  void* data_ = nullptr;
};

}  // namespace cnnfast::cuda
