// The kernel table of the instruction set being compiled: one line a family.
#include "../kernels/activation.hpp"
#include "../kernels/arithmetic.hpp"
#include "../kernels/conv2d_backward_weight.hpp"
#include "../kernels/conv2d_depthwise.hpp"
#include "../kernels/conv2d_pointwise_depthwise.hpp"
#include "../kernels/conv2d_winograd.hpp"
#include "../kernels/dropout.hpp"
#include "../kernels/loss.hpp"
#include "../kernels/matmul.hpp"
#include "../kernels/norm.hpp"
#include "../kernels/optimizer.hpp"
#include "../kernels/peak.hpp"
#include "../kernels/pool2d.hpp"
#include "../kernels/reduce.hpp"
#include "../kernels/resize.hpp"
#include "cnnfast/kernels.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

extern const ImageWarpKernels image_warp_kernels;

static constexpr KernelTable make_table(const char* name) {
  KernelTable table{};
  table.name = name;
  table.activation = activation_kernels;
  table.arithmetic = arithmetic_kernels;
  table.conv2d = conv2d_kernels;
  table.conv2d_depthwise = conv2d_depthwise_kernels;
  table.conv2d_pointwise_depthwise = conv2d_pointwise_depthwise_kernels;
  table.conv2d_winograd = conv2d_winograd_kernels;
  table.dropout = dropout_kernels;
  table.image_warp = &image_warp_kernels;
  table.loss = loss_kernels;
  table.matmul = matmul_kernels;
  table.norm = norm_kernels;
  table.optimizer = optimizer_kernels;
  table.peak = peak_kernels;
  table.pool2d = pool2d_kernels;
  table.reduce = reduce_kernels;
  table.resize = resize_kernels;
  return table;
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
