// A Program: a flat list of kernel calls over one arena, built once for given shapes and run many times.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cnnfast {

enum class Dtype : int { float32 = 0, int32 = 1, uint8 = 2, bfloat16 = 3 };  // bfloat16: on devices only
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

struct DeviceRun;  // cpp/cuda/device_run.hpp

// What a step gets when it runs. A missing optional input is null.
struct StepArgs {
  void* const* in;
  void* const* out;
  void* workspace;
  std::uint64_t seed;  // of this run; random steps mix it with their own attribute "salt"
  // On a device, all addresses are in its memory; the seed is in `run`, so that a captured step can be run again.
  void* stream = nullptr;
  DeviceRun* run = nullptr;
  const float* guard = nullptr;  // of updates: they do nothing unless it is finite; null: there is none
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

// What a device can do for several steps in a row at once, such as the updates of many weights.
class Joinable {
 public:
  struct Call {
    const Joinable* step;
    StepArgs args;
  };
  virtual ~Joinable() = default;
  virtual bool joins(const Joinable& other) const = 0;
  // All of them join this one.
  virtual void run(const std::vector<Call>& calls) const = 0;
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
  // Null: the step runs alone.
  std::shared_ptr<const Joinable> joinable = nullptr;
};

using StepFactory = Step (*)(const OpSpec&);
using StepRegistry = std::map<std::string, StepFactory>;

// The step of an op on the CPU. Throws std::invalid_argument for an unknown op.
Step make_step(const OpSpec& spec);
// The step that a registry's factory makes, once sizes and settings are known to be possible.
Step make_registered_step(const StepRegistry& registry, const OpSpec& spec);

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

// What runs steps over buffers, on the CPU or on a device (backend.hpp).
class Program {
 public:
  // A buffer lies in the arena (offset >= 0), at a fixed address (a weight), or it is fed at each run (neither).
  struct Buffer {
    TensorSpec spec;
    std::int64_t offset = -1;
    void* fixed = nullptr;
  };

  // Steps [begin, end) with these feeds; fetches are copied out behind them. If buffer `guard` (a float; -1: none) is
  // not finite after step `guard_step`, no step behind that one updates anything.
  struct Run {
    std::vector<std::pair<int, const void*>> feeds;  // buffer, address of the host's array
    std::vector<std::pair<int, void*>> fetches;
    std::int64_t begin = 0, end = 0;
    std::uint64_t seed = 0;
    int guard = -1;
    std::int64_t guard_step = -1;
  };

  // Throws std::invalid_argument for buffers and workspaces that do not lie in the arena, and for numbers of buffers
  // that there are not.
  Program(std::vector<Buffer> buffers, std::vector<ProgramStep> steps, std::int64_t arena_bytes);
  virtual ~Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Returns whether the guard let all steps run. One run at a time: the caller holds `lock`.
  virtual bool run(const Run& run) = 0;

  // Whether one of the steps [begin, end) reads what a run must be fed with.
  bool reads_feeds(std::int64_t begin, std::int64_t end) const;

  const Buffer& buffer(int i) const { return buffers_.at(static_cast<std::size_t>(i)); }
  std::int64_t step_count() const { return static_cast<std::int64_t>(steps_.size()); }
  std::int64_t arena_bytes() const { return arena_bytes_; }
  std::mutex& lock() { return lock_; }

  // Seconds each step took in its latest run, when profiling is on.
  void set_profiling(bool on) { profiling_ = on; }
  const std::vector<double>& step_seconds() const { return step_seconds_; }
  const std::string& step_op(std::int64_t i) const { return steps_.at(static_cast<std::size_t>(i)).step.op; }

 protected:
  // What a step reads and writes, given the address of each buffer.
  class Pointers {
   public:
    Pointers(const ProgramStep& step, const std::vector<void*>& addresses);
    void* const* in() const { return pointers_.data(); }
    void* const* out() const { return pointers_.data() + inputs_; }

   private:
    std::vector<void*> pointers_;
    std::size_t inputs_;
  };
  // The address of each buffer of an arena; null where a feed's will be.
  std::vector<void*> addresses_in(unsigned char* arena) const;

  std::vector<Buffer> buffers_;
  std::vector<ProgramStep> steps_;
  std::vector<double> step_seconds_;
  bool profiling_ = false;

 private:
  std::int64_t arena_bytes_;
  std::mutex lock_;
};

}  // namespace cnnfast
