#include "resize.hpp"

#include "cnnfast/kernels.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

using ResizeKernel = void (*)(const UpsampleShape&, const float*, float*);

// x -> y
template <ResizeKernel ResizeKernels::*Kernel>
Step forward(const OpSpec& spec) {
  return {"", 0, [s = upsample_shape(spec.in[0], spec.attributes)](const StepArgs& a) {
            (kernels().resize.*Kernel)(s, a.input(0), a.output(0));
          }};
}

// dy -> dx
template <ResizeKernel ResizeKernels::*Kernel>
Step backward(const OpSpec& spec) {
  return {"", 0, [s = upsample_shape(spec.out[0], spec.attributes)](const StepArgs& a) {
            (kernels().resize.*Kernel)(s, a.input(0), a.output(0));
          }};
}

}  // namespace

void add_resize_steps(StepRegistry& registry) {
  registry["upsample_nearest"] = forward<&ResizeKernels::upsample_nearest>;
  registry["upsample_nearest_backward"] = backward<&ResizeKernels::upsample_nearest_backward>;
  registry["upsample_bilinear"] = forward<&ResizeKernels::upsample_bilinear>;
  registry["upsample_bilinear_backward"] = backward<&ResizeKernels::upsample_bilinear_backward>;
}

}  // namespace cnnfast
