#pragma once

namespace cnnfast {

// What both the CPU and the operating system support.
struct CpuFeatures {
  bool avx2_fma = false;
  bool avx512 = false;  // F, BW, DQ, VL
  bool neon = false;
};

CpuFeatures cpu_features();

}  // namespace cnnfast
