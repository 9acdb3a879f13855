// In place of cpp/runtime/cpu_features.cpp: the CPU and the emulation together.
#include "../../runtime/cpu_features.hpp"

namespace cnnfast {

CpuFeatures cpu_features() {
  CpuFeatures f;
  f.avx2_fma = f.avx512 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return f;
}

}  // namespace cnnfast
