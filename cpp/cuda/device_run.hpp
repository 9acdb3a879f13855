// What a run of a Program tells its kernels, and they tell it.
#pragma once
#include <cstdint>

namespace cnnfast {

// In the device's memory.
struct DeviceRun {
  std::uint64_t seed;
  // A class out of range among the labels of a loss: its sample in the upper 32 bits, it in the lower; the smallest.
  unsigned long long bad_label;
  std::int64_t classes;  // how many there are where one was out of range
};
constexpr unsigned long long kNoBadLabel = ~0ull;

}  // namespace cnnfast
