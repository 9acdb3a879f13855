// A Program: a flat list of kernel calls over one arena, built once for given shapes and run many times.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

namespace cnnfast {

enum class Dtype : int { float32 = 0, int32 = 1, uint8 = 2 };
std::int64_t dtype_size(Dtype dtype);

struct TensorSpec {
  Dtype dtype = Dtype::float32;
  std::vector<std::int64_t> shape;  // empty for a scalar
  std::int64_t count() const;
  std::int64_t bytes() const { return count() * dtype_size(dtype); }
};

// The settings of an op: scalars, names and small lists of integers.
class Attributes {
 public:
  using Value = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>>;
  void set(const std::string& name, Value value) { values_[name] = std::move(value); }
  std::int64_t integer(const std::string& name) const;
  std::int64_t integer(const std::string& name, std::int64_t missing) const;
  float real(const std::string& name) const;  // an integer serves too
  const std::string& text(const std::string& name) const;
  const std::vector<std::int64_t>& list(const std::string& name) const;
  bool has(const std::string& name) const { return values_.count(name) != 0; }

 private:
  const Value& find(const std::string& name) const;
  std::map<std::string, Value> values_;
};

struct OpSpec {
  std::string op;
  std::vector<TensorSpec> in, out;
  std::vector<bool> in_present;  // false: an optional input that is not given
  Attributes attributes;
  bool has_in(std::size_t i) const { return i < in_present.size() && in_present[i]; }
};

// What a step gets when it runs. A missing optional input is null.
struct StepArgs {
  void* const* in;
  void* const* out;
  void* workspace;
  std::uint64_t seed;  // of this run; random steps mix it with their own attribute "salt"
  template <class T = float>
  const T* input(int i) const {
    return static_cast<const T*>(in[i]);
  }
  template <class T = float>
  T* output(int i) const {
    return static_cast<T*>(out[i]);
  }
  // An input the step changes in place (a weight, a running mean).
  float* updated(int i) const { return static_cast<float*>(in[i]); }
  float* scratch() const { return static_cast<float*>(workspace); }
};

// One kernel call with everything decided that shapes and settings decide.
struct Step {
  std::string op;
  std::int64_t workspace_bytes = 0;
  std::function<void(const StepArgs&)> run;
  // Floats of the weights as the step's kernel wants them, when it packs them itself at each run (see pack_weights).
  std::int64_t packed_floats = 0;
  // Of a step that packs weights: steps with equal layouts make the same of equal weights, by one instruction set.
  std::vector<std::int64_t> packed_layout = {};
  // Blocks of its result whose moments a convolution can give as a second output, (blocks, 4, K); 0: it cannot.
  std::int64_t moment_blocks = 0;
};

Step make_step(const OpSpec& spec);  // throws std::invalid_argument for an unknown op

using StepFactory = Step (*)(const OpSpec&);
using StepRegistry = std::map<std::string, StepFactory>;

// Zero-initialised pages, huge where the system offers them.
class Arena {
 public:
  explicit Arena(std::int64_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  unsigned char* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  unsigned char* data_ = nullptr;
  std::int64_t bytes_ = 0, mapped_ = 0, munmap_front_ = 0;
};

// A block of memory needed from step `first` to step `last`, both included.
struct Lifetime {
  std::int64_t bytes, first, last;
};
// An offset for each block such that blocks alive at the same time do not overlap; returns the total size.
std::int64_t plan_memory(const std::vector<Lifetime>& blocks, std::vector<std::int64_t>& offsets);

struct ProgramStep {
  Step step;
  std::vector<int> in, out;  // buffer numbers; -1: a missing optional input
  std::int64_t workspace_offset = 0;
};

class Program {
 public:
  // A buffer lies in the arena (offset >= 0), at a fixed address (a weight), or where each run's feed is (neither).
  struct Buffer {
    TensorSpec spec;
    std::int64_t offset = -1;
    void* fixed = nullptr;
  };

  Program(std::vector<Buffer> buffers, std::vector<ProgramStep> steps, std::int64_t arena_bytes);

  // Runs steps [begin, end). `feeds` are (buffer, address). If buffer `guard` (a float; -1: none) is not finite after
  // step `guard_step`, the rest is skipped. Returns whether all steps ran.
  bool run(const std::vector<std::pair<int, void*>>& feeds, std::int64_t begin, std::int64_t end, std::uint64_t seed,
           int guard, std::int64_t guard_step);

  const Buffer& buffer(int i) const { return buffers_.at(static_cast<std::size_t>(i)); }
  int buffer_count() const { return static_cast<int>(buffers_.size()); }
  const void* address(int i) const { return addresses_.at(static_cast<std::size_t>(i)); }
  std::int64_t step_count() const { return static_cast<std::int64_t>(steps_.size()); }
  std::int64_t arena_bytes() const { return arena_.bytes(); }
  std::mutex& lock() { return lock_; }  // held by the caller around run and the reading of results

  // Seconds each step took in its latest run, when profiling is on.
  void set_profiling(bool on) { profiling_ = on; }
  const std::vector<double>& step_seconds() const { return step_seconds_; }
  const std::string& step_op(std::int64_t i) const { return steps_.at(static_cast<std::size_t>(i)).step.op; }

 private:
  std::vector<Buffer> buffers_;
  std::vector<ProgramStep> steps_;
  Arena arena_;
  std::vector<void*> addresses_;
  std::vector<double> step_seconds_;
  bool profiling_ = false;
  std::mutex lock_;
};

}  // namespace cnnfast
