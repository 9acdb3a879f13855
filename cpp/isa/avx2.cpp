#define CNNFAST_ISA avx2
#include "../simd/vec_avx2.hpp"
// (the Vec above comes first: everything below is written against it)
#include "table.hpp"

namespace cnnfast {

static constexpr KernelTable table = avx2::make_table("avx2");
const KernelTable* avx2_kernels() { return &table; }

}  // namespace cnnfast
