// The kernel table of the instruction set being compiled: one line a family.
#include "../kernels/activation.hpp"
#include "../kernels/conv2d.hpp"
#include "../kernels/matmul.hpp"
#include "../kernels/norm.hpp"
#include "../kernels/pool2d.hpp"
#include "cnnfast/kernels.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr KernelTable make_table(const char* name) {
  return {name, activation_kernels, conv2d_kernels, matmul_kernels, norm_kernels, pool2d_kernels};
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
