// The GPU as a backend: its ops, its Programs, and what can be set.
#include <algorithm>
#include <memory>
#include <stdexcept>

#include "cublas.hpp"
#include "cudnn.hpp"
#include "error.hpp"
#include "families.hpp"
#include "library.hpp"
#include "memory.hpp"
#include "program.hpp"

namespace cnnfast {
namespace cuda {
namespace {

const StepRegistry& registry() {
  static const StepRegistry all = [] {
    StepRegistry r;
    add_activation_steps(r);
    add_arithmetic_steps(r);
    add_conv2d_depthwise_steps(r);
    add_conv2d_steps(r);
    add_dense_steps(r);
    add_dropout_steps(r);
    add_layout_steps(r);
    add_loss_steps(r);
    add_norm_steps(r);
    add_optimizer_steps(r);
    add_pool2d_steps(r);
    add_reduce_steps(r);
    add_resize_steps(r);
    return r;
  }();
  return all;
}

// Steps are made on the device: the choice of an algorithm may be timed there.
Step make_step(const OpSpec& spec) {
  const OnDevice on(chosen_device());
  return make_registered_step(registry(), spec);
}

std::unique_ptr<Program> make_program(std::vector<Program::Buffer> buffers, std::vector<ProgramStep> steps,
                                      std::int64_t arena_bytes) {
  const OnDevice on(chosen_device());
  return std::make_unique<DeviceProgram>(std::move(buffers), std::move(steps), arena_bytes);
}

std::unique_ptr<Memory> allocate(std::int64_t bytes) { return std::make_unique<DeviceMemory>(bytes); }

// A Program of one step, for each call: copies dominate.
void run_step(const OpSpec& spec, const std::vector<void*>& in, const std::vector<void*>& out,
              const std::vector<int>& updates, std::uint64_t seed) {
  const OnDevice on(chosen_device());
  std::vector<Program::Buffer> buffers;
  std::vector<std::unique_ptr<DeviceMemory>> inputs;
  ProgramStep step;
  for (std::size_t i = 0; i < spec.in.size(); ++i) {
    inputs.push_back(spec.has_in(i) ? std::make_unique<DeviceMemory>(std::max(spec.in[i].bytes(), std::int64_t{1}))
                                    : nullptr);
    step.in.push_back(spec.has_in(i) ? static_cast<int>(buffers.size()) : -1);
    if (!spec.has_in(i)) continue;
    if (spec.in[i].bytes() > 0) inputs.back()->upload(in[i]);
    buffers.push_back({spec.in[i], -1, inputs.back()->address()});
  }
  std::vector<Lifetime> blocks;
  for (const TensorSpec& t : spec.out) {
    step.out.push_back(static_cast<int>(buffers.size()));
    buffers.push_back({t, 0, nullptr});
    blocks.push_back({t.bytes(), 0, 0});
  }
  step.step = cuda::make_step(spec);
  blocks.push_back({step.step.workspace_bytes, 0, 0});
  std::vector<std::int64_t> offsets;
  const std::int64_t arena_bytes = plan_memory(blocks, offsets);
  for (std::size_t i = 0; i < spec.out.size(); ++i) buffers[static_cast<std::size_t>(step.out[i])].offset = offsets[i];
  step.workspace_offset = offsets.back();
  Program::Run run;
  for (std::size_t i = 0; i < out.size(); ++i) run.fetches.emplace_back(step.out[i], out[i]);
  run.end = 1;
  run.seed = seed;
  DeviceProgram(std::move(buffers), {step}, arena_bytes).run(run);
  for (const int i : updates) inputs.at(static_cast<std::size_t>(i))->download(in[static_cast<std::size_t>(i)]);
}

}  // namespace

}  // namespace cuda

const Backend* cuda_backend() {
  static const Backend backend{cuda::make_step, cuda::make_program, cuda::allocate, cuda::run_step};
  return &backend;
}

void set_cuda_library_paths(const std::vector<std::string>& folders) { cuda::set_library_paths(folders); }

std::vector<std::pair<std::string, std::string>> cuda_libraries() {
  return {{"cuDNN", cuda::cudnn_status()}, {"cuBLAS", cuda::cublas_status()}};
}

}  // namespace cnnfast
