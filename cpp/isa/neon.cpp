#define CNNFAST_ISA neon
#include "../simd/vec_neon.hpp"
// (the Vec above comes first: everything below is written against it)
#include "table.hpp"

namespace cnnfast {

static constexpr KernelTable table = neon::make_table("neon");
const KernelTable* neon_kernels() { return &table; }

}  // namespace cnnfast
