#define CNNFAST_ISA scalar
#include "../simd/vec_scalar.hpp"
// (the Vec above comes first: everything below is written against it)
#include "table.hpp"

namespace cnnfast {

static constexpr KernelTable table = scalar::make_table("scalar");
const KernelTable* scalar_kernels() { return &table; }

}  // namespace cnnfast
