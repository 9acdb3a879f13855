// Programs on the CPU: a step after the other, each on all threads, over an arena in the host's memory.
#include <chrono>
#include <cmath>
#include <cstring>

#include "cnnfast/backend.hpp"

namespace cnnfast {
namespace {

class CpuProgram : public Program {
 public:
  CpuProgram(std::vector<Buffer> buffers, std::vector<ProgramStep> steps, std::int64_t arena_bytes)
      : Program(std::move(buffers), std::move(steps), arena_bytes),
        arena_(arena_bytes),
        addresses_(addresses_in(arena_.data())) {}

  bool run(const Run& run) override {
    // Feeds are only read.
    for (const auto& [buffer, address] : run.feeds)
      addresses_.at(static_cast<std::size_t>(buffer)) = const_cast<void*>(address);
    const bool finished = run_steps(run);
    for (const auto& [buffer, to] : run.fetches)
      std::memcpy(to, address_of(buffer), static_cast<std::size_t>(this->buffer(buffer).spec.bytes()));
    return finished;
  }

 private:
  const void* address_of(int buffer) const { return addresses_.at(static_cast<std::size_t>(buffer)); }

  bool run_steps(const Run& run) {
    for (std::int64_t i = run.begin; i < run.end; ++i) {
      run_step(i, run.seed);
      const bool guarded = run.guard >= 0 && i == run.guard_step;
      if (guarded && !std::isfinite(*static_cast<const float*>(address_of(run.guard)))) return false;
    }
    return true;
  }

  void run_step(std::int64_t i, std::uint64_t seed) {
    const ProgramStep& s = steps_[static_cast<std::size_t>(i)];
    const Pointers pointers(s, addresses_);
    const StepArgs args{pointers.in(), pointers.out(), arena_.data() + s.workspace_offset, seed};
    if (!profiling_) return s.step.run(args);
    const auto start = std::chrono::steady_clock::now();
    s.step.run(args);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    step_seconds_[static_cast<std::size_t>(i)] = seconds.count();
  }

  Arena arena_;
  std::vector<void*> addresses_;
};

std::unique_ptr<Program> make_program(std::vector<Program::Buffer> buffers, std::vector<ProgramStep> steps,
                                      std::int64_t arena_bytes) {
  return std::make_unique<CpuProgram>(std::move(buffers), std::move(steps), arena_bytes);
}

void run_step(const OpSpec& spec, const std::vector<void*>& in, const std::vector<void*>& out,
              const std::vector<int>& /*updates*/, std::uint64_t seed) {
  const Step step = make_step(spec);
  const Arena workspace(step.workspace_bytes);
  step.run({in.data(), out.data(), workspace.data(), seed});
}

}  // namespace

const Backend& cpu_backend() {
  static const Backend backend{make_step, make_program, nullptr, run_step};
  return backend;
}

}  // namespace cnnfast
