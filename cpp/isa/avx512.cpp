#define CNNFAST_ISA avx512
#include "../simd/vec_avx512.hpp"
// (the Vec above comes first: everything below is written against it)
#include "table.hpp"

namespace cnnfast {

static constexpr KernelTable table = avx512::make_table("avx512");
const KernelTable* avx512_kernels() { return &table; }

}  // namespace cnnfast
