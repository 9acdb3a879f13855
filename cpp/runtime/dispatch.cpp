// Chooses the kernel table: an ordered list, best first, with a fallback that always runs.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cnnfast/kernels.hpp"
#include "cpu_features.hpp"

namespace cnnfast {

#ifndef CNNFAST_HAVE_AVX2
const KernelTable* avx2_kernels() { return nullptr; }
#endif
#ifndef CNNFAST_HAVE_AVX512
const KernelTable* avx512_kernels() { return nullptr; }
#endif
#ifndef CNNFAST_HAVE_NEON
const KernelTable* neon_kernels() { return nullptr; }
#endif

namespace {

struct Candidate {
  const char* name;
  const KernelTable* table;
  bool cpu_can;
};

const KernelTable* choose(const std::string& wanted) {
  const CpuFeatures cpu = cpu_features();
  const Candidate candidates[] = {{"avx512", avx512_kernels(), cpu.avx512},
                                  {"avx2", avx2_kernels(), cpu.avx2_fma},
                                  {"neon", neon_kernels(), cpu.neon},
                                  {"scalar", scalar_kernels(), true}};
  std::string available;
  for (const Candidate& c : candidates) {
    const bool usable = c.table && c.cpu_can;
    if (usable && (wanted == "auto" || wanted == c.name)) return c.table;
    if (usable) available += (available.empty() ? "" : ", ") + std::string(c.name);
    if (wanted == c.name)
      throw std::invalid_argument("CNNFAST_ISA: expected an instruction set of this CPU and build, got '" + wanted +
                                  "', which " + (c.table ? "this CPU lacks" : "is not in this build"));
  }
  throw std::invalid_argument("CNNFAST_ISA: expected auto, " + available + ", got '" + wanted + "'");
}

const KernelTable*& current() {
  static const KernelTable* table = [] {
    const char* wanted = std::getenv("CNNFAST_ISA");
    return choose(wanted && *wanted ? wanted : "auto");
  }();
  return table;
}

}  // namespace

const KernelTable& kernels() { return *current(); }
void set_isa(const char* name) { current() = choose(name); }

}  // namespace cnnfast
