#include "cudnn.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "cudnn_graph.hpp"
#include "memory.hpp"
#include "program.hpp"

namespace cnnfast::cuda {
namespace {

using namespace cudnn;

constexpr std::int64_t kWorkspaceAlignment = 256;
constexpr std::int64_t kMostConfigurations = 64;  // asked of the heuristics
constexpr std::size_t kRetentionVersion = 92800;  // the first cuDNN that knows plan_cuda_graph_retention

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

class Plan final : public CudnnConv {
 public:
  Plan(std::shared_ptr<const ConvGraph> graph, EngineChoice engine, const CudnnConvSpec& spec, DeviceHandles& handles)
      : graph_(std::move(graph)), engine_(std::move(engine)), spec_(spec), handles_(handles) {
    plan_.set(Attribute::plan_handle, handles_.choosing).set(Attribute::plan_engine_config, engine_.config);
    // Plans are never destroyed once they are chosen, so a captured graph need not keep them alive.
    if (api()->version >= kRetentionVersion) plan_.set(Attribute::plan_cuda_graph_retention, GraphRetention::none);
    plan_.finalize();
    bytes_ = plan_.get<std::int64_t>(Attribute::plan_workspace_size);
  }

  std::int64_t workspace_bytes() const override { return bytes_ > 0 ? bytes_ + kWorkspaceAlignment : 0; }

  void run(const void* x_or_dy, const void* w_or_x, const void* b, const void* residual, void* out, void* workspace,
           cudaStream_t stream) const override {
    const std::array<const void*, kBetween> tensors{nullptr, x_or_dy, w_or_x, out, b, residual};
    std::vector<const void*> addresses;
    for (const std::int64_t id : graph_->ids) addresses.push_back(tensors[static_cast<std::size_t>(id)]);
    const auto start = reinterpret_cast<std::uintptr_t>(workspace);
    void* const aligned =
        reinterpret_cast<void*>((start + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment);
    try {
      Descriptor pack(Kind::variant_pack);
      pack.set(Attribute::variant_pack_unique_ids, graph_->ids)
          .set(Attribute::variant_pack_data_pointers, kVoidPointerType, static_cast<std::int64_t>(addresses.size()),
               addresses.data())
          .set(Attribute::variant_pack_workspace, kVoidPointerType, 1, &aligned)
          .finalize();
      const std::lock_guard<std::mutex> hold(handles_.running_lock);
      require(api()->set_stream(handles_.running, stream), "cudnnSetStream");
      require(api()->execute(handles_.running, plan_.object(), pack.object()), "cudnnBackendExecute");
    } catch (const Error& error) {
      throw Error("cudnn: " + describe(spec_) + ", " + engine_.name + ": " + error.what());
    }
  }

  std::string description() const override { return engine_.name + how_chosen_; }
  float milliseconds() const override { return milliseconds_; }
  const std::string& engine() const { return engine_.name; }
  void set_milliseconds(float milliseconds) { milliseconds_ = milliseconds; }
  void set_how_chosen(std::string text) { how_chosen_ = std::move(text); }

 private:
  std::shared_ptr<const ConvGraph> graph_;
  EngineChoice engine_;
  CudnnConvSpec spec_;
  DeviceHandles& handles_;
  Descriptor plan_{Kind::plan};
  std::int64_t bytes_ = 0;
  float milliseconds_ = 0;
  std::string how_chosen_;
};

// Counts why engines were not taken.
struct Refused {
  int inexact = 0, compiled = 0, too_large = 0, failed = 0;
  std::string last_failure;
  void fail(const DeviceError& error) {
    ++failed;
    last_failure = error.what();
  }
  std::string text() const {
    std::string text = std::to_string(inexact) + " engines compute otherwise, " + std::to_string(compiled) +
                       " would be compiled, " + std::to_string(too_large) + " need a larger workspace, " +
                       std::to_string(failed) + " fail";
    return last_failure.empty() ? text : text + ": " + last_failure;
  }
};

// The tensors of a convolution, and a workspace, for runs whose results nobody wants.
class Operands {
 public:
  Operands(const CudnnConvSpec& spec, std::int64_t workspace_bytes) {
    const Conv2dShape& s = spec.shape;
    const std::int64_t size = dtype_size(spec.type);
    const std::int64_t x = s.N * s.H * s.W * s.C * size, y = s.N * s.P * s.Q * s.K * size;
    const std::int64_t w = s.K * s.R * s.S * (s.C / s.groups);
    const bool forward = spec.kind == CudnnConvSpec::forward;
    x_or_dy_ = place(forward ? x : y);
    w_or_x_ = place(spec.kind == CudnnConvSpec::backward_weight ? x : w * size);
    out_ = place(forward ? y : spec.kind == CudnnConvSpec::backward_input ? x : w * dtype_size(spec.dw_type));
    if (spec.bias) b_ = place(s.K * dtype_size(spec.b_type));
    if (spec.residual) residual_ = place(y);
    workspace_ = place(workspace_bytes);
    memory_.emplace(bytes_);
    // Small positive numbers of both types. Zeros would need less power, and be faster than what comes later.
    check(cudaMemset(memory_->data(), 0x3c, static_cast<std::size_t>(bytes_)), "cudaMemset");
    check(cudaStreamSynchronize(nullptr),
          "cudaStreamSynchronize");  // not the device: another thread may capture a stream
  }
  void run(const Plan& plan, const Stream& stream) const {
    plan.run(at(x_or_dy_), at(w_or_x_), at(b_), at(residual_), at(out_), at(workspace_), stream.get());
  }

 private:
  std::int64_t place(std::int64_t bytes) {
    const std::int64_t offset = bytes_;
    bytes_ += (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
    return offset;
  }
  void* at(std::int64_t offset) const { return offset < 0 ? nullptr : memory_->data() + offset; }

  std::int64_t bytes_ = 0, x_or_dy_ = 0, w_or_x_ = 0, out_ = 0, b_ = -1, residual_ = -1, workspace_ = 0;
  std::optional<DeviceMemory> memory_;
};

// Times plans as Programs run them: captured, without the host's part.
class Stopwatch {
 public:
  explicit Stopwatch(const CudnnConvSpec& spec) {
    const Conv2dShape& s = spec.shape;
    const double sums =
        2.0 * static_cast<double>(s.N * s.P * s.Q * s.K) * static_cast<double>(s.R * s.S * s.C / s.groups);
    runs_ = sums < 1e10 ? 8 : 1;  // short ones must outlast the launch of their graph
  }

  // Milliseconds of a run; not exact for a plan that is slower than `limit`.
  float time(const Plan& plan, const Operands& operands, float limit) const {
    operands.run(plan, stream_);  // loads its kernels, which cannot be captured
    stream_.synchronize("the first run of a convolution");
    const CapturedGraph graph(stream_, [&] {
      for (int i = 0; i < runs_; ++i) operands.run(plan, stream_);
    });
    float best = std::numeric_limits<float>::infinity();
    for (int i = 0; i < 4; ++i) {
      start_.record(stream_);
      graph.launch(stream_);
      end_.record(stream_);
      best = std::min(best, end_.milliseconds_since(start_) / static_cast<float>(runs_));
      if (best > 2 * limit) break;
    }
    return best;
  }

 private:
  Stream stream_;
  Event start_, end_;
  int runs_;
};

// Looks for the plan of one convolution.
class Search {
 public:
  Search(const CudnnConvSpec& spec, const CudnnChoice& choice, DeviceHandles& handles)
      : spec_(spec), choice_(choice), handles_(handles) {}

  // Null, and why, if no engine can run it.
  std::shared_ptr<const CudnnConv> find(std::string& why_not) {
    const auto start = std::chrono::steady_clock::now();
    try {
      graph_ = std::make_shared<const ConvGraph>(conv_graph(spec_, handles_.choosing));
      if (auto plan = best_of(plans())) {
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        plan->set_how_chosen(outcome_ + ", in " + std::to_string(seconds.count()) + " s");
        return plan;
      }
      why_not = refused_.text();
    } catch (const Error& error) {
      why_not = error.what();
    }
    return nullptr;
  }

 private:
  using Plans = std::vector<std::shared_ptr<Plan>>;

  // Those within the limits, the most promising first.
  Plans plans() {
    Plans found;
    const std::size_t most = choice_.timing ? static_cast<std::size_t>(std::max(choice_.candidates, 1)) : 1;
    for (const HeuristicMode mode : {HeuristicMode::a, HeuristicMode::fallback}) {
      if (found.size() == most) break;
      for (EngineChoice& engine : engines(mode)) {
        if (found.size() == most) break;
        if (auto plan = make_plan(std::move(engine), found)) found.push_back(std::move(plan));
      }
    }
    return found;
  }

  // Heuristics that fail know none.
  std::vector<EngineChoice> engines(HeuristicMode mode) {
    try {
      return engine_choices(*graph_, mode, kMostConfigurations);
    } catch (const Error& error) {
      refused_.fail(error);
      return {};
    }
  }

  std::shared_ptr<Plan> make_plan(EngineChoice engine, const Plans& others) {
    const auto equal = [&](const auto& other) { return other->engine() == engine.name; };
    if (std::any_of(others.begin(), others.end(), equal)) return nullptr;
    if (!is_exact_enough(engine, spec_)) {
      ++refused_.inexact;
      return nullptr;
    }
    if (engine.is_compiled && compiled_ >= choice_.compiled) {
      ++refused_.compiled;
      return nullptr;
    }
    const bool is_compiled = engine.is_compiled;
    try {
      auto plan = std::make_shared<Plan>(graph_, std::move(engine), spec_, handles_);
      compiled_ += is_compiled;
      if (plan->workspace_bytes() <= choice_.workspace_limit) return plan;
      ++refused_.too_large;
    } catch (const Error& error) {
      refused_.fail(error);
    }
    return nullptr;
  }

  std::shared_ptr<Plan> best_of(const Plans& plans) {
    if (plans.empty()) return nullptr;
    outcome_ = ": the first that works";
    if (!choice_.timing) return plans.front();
    std::int64_t workspace_bytes = 0;
    for (const auto& plan : plans) workspace_bytes = std::max(workspace_bytes, plan->workspace_bytes());
    std::optional<Operands> operands;
    try {
      operands.emplace(spec_, workspace_bytes);
    } catch (const DeviceError&) {  // no memory left to try them in
      outcome_ += ", untried for lack of memory";
      return plans.front();
    }
    return fastest(plans, *operands);
  }

  std::shared_ptr<Plan> fastest(const Plans& plans, const Operands& operands) {
    const Stopwatch stopwatch(spec_);
    std::shared_ptr<Plan> best;
    float best_time = std::numeric_limits<float>::infinity();
    for (const auto& plan : plans) {
      try {
        const float time = stopwatch.time(*plan, operands, best_time);
        if (time < best_time) best = plan, best_time = time;
      } catch (const DeviceError& error) {  // it does not run, or cannot be captured
        refused_.fail(error);
      }
    }
    if (best) best->set_milliseconds(best_time);
    outcome_ = ": " + std::to_string(best_time) + " ms, the fastest of " + std::to_string(plans.size());
    return best;
  }

  const CudnnConvSpec& spec_;
  const CudnnChoice& choice_;
  DeviceHandles& handles_;
  std::shared_ptr<const ConvGraph> graph_;
  int compiled_ = 0;  // plans made so far that were compiled
  Refused refused_;
  std::string outcome_;
};

using Key = std::vector<std::int64_t>;
Key key_of(const CudnnConvSpec& spec, const CudnnChoice& choice, int device) {
  static_assert(sizeof(Conv2dShape) % sizeof(std::int64_t) == 0, "a shape is made of integers of 64 bits");
  Key key(sizeof(Conv2dShape) / sizeof(std::int64_t));
  std::memcpy(key.data(), &spec.shape, sizeof(Conv2dShape));
  for (const int number : {device, int{spec.kind}, int{spec.tf32}, int{spec.bias}, int{spec.residual},
                           static_cast<int>(spec.epilogue), int{choice.timing}, choice.candidates, choice.compiled})
    key.push_back(number);
  for (const Dtype type : {spec.type, spec.b_type, spec.dw_type}) key.push_back(static_cast<int>(type));
  key.push_back(choice.workspace_limit);
  return key;
}

// What was found for a question, or why nothing was.
struct Answer {
  std::shared_ptr<const CudnnConv> plan;
  std::string why_not;
};

}  // namespace

bool cudnn_available() { return api() != nullptr && handles(current_device()).failure.empty(); }

std::string cudnn_status() {
  const std::string failure = handle_failures();
  return failure.empty() ? api_description() : api_description() + ": " + failure;
}

std::shared_ptr<const CudnnConv> find_conv(const CudnnConvSpec& spec, const CudnnChoice& choice, std::string* why_not) {
  // Never destroyed: when the process ends, the driver may be gone before.
  static auto& answers = *new std::map<Key, Answer>;
  static std::mutex answers_lock;  // held while an answer is looked for: two at once would disturb each other's timing
  Answer answer;
  if (!cudnn_available()) {
    answer.why_not = cudnn_status();
  } else {
    const int device = current_device();
    const std::lock_guard<std::mutex> hold(answers_lock);
    const Key key = key_of(spec, choice, device);
    auto known = answers.find(key);
    if (known == answers.end()) {
      answer.plan = Search(spec, choice, handles(device)).find(answer.why_not);
      known = answers.emplace(key, answer).first;
    }
    answer = known->second;
  }
  if (why_not != nullptr) *why_not = answer.why_not;
  return answer.plan;
}

}  // namespace cnnfast::cuda
