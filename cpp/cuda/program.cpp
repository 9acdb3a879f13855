#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "cnnfast/fork.hpp"
#include "cnnfast/parallel.hpp"
#include "error.hpp"

namespace cnnfast::cuda {
namespace {

constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kPiece = std::int64_t{4} << 20;  // of a large feed: while one is on its way, the next is copied
constexpr std::size_t kMostGraphs = 8;  // of a Program; a caller asks for the same fetches again and again

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

constexpr std::int64_t kBlock = std::int64_t{256} << 10;  // of a thread

// memcpy, on all threads where that is worth it.
void copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes <= 4 * kBlock) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
    return;
  }
  struct Context {
    unsigned char* to;
    const unsigned char* from;
    std::int64_t bytes;
  } context{static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes};
  parallel_for((bytes + kBlock - 1) / kBlock,
               [](void* p, std::int64_t task, int) {
                 const Context& c = *static_cast<Context*>(p);
                 const std::int64_t first = task * kBlock;
                 std::memcpy(c.to + first, c.from + first, static_cast<std::size_t>(std::min(kBlock, c.bytes - first)));
               },
               &context);
}

// The text of cpp/runtime/steps/loss.cpp, which looks at labels before its step runs.
void check_labels(const DeviceRun& state) {
  if (state.bad_label == kNoBadLabel) return;
  throw std::invalid_argument("crossentropy: classes must lie in [0, " + std::to_string(state.classes - 1) + "], got " +
                              std::to_string(static_cast<std::int32_t>(state.bad_label & 0xffffffffu)) +
                              " for sample " + std::to_string(state.bad_label >> 32));
}

}  // namespace

Stream::Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
Stream::~Stream() {
  if (!is_forked_child()) cudaStreamDestroy(stream_);
}
void Stream::synchronize(const char* what) const {
  check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize", what);
}

void CapturedGraph::begin(const Stream& stream) {
  check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}
void CapturedGraph::abandon(const Stream& stream) {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess && graph) cudaGraphDestroy(graph);
  cudaGetLastError();
}
void CapturedGraph::end(const Stream& stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream.get(), &graph), "cudaStreamEndCapture");
  const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
}
CapturedGraph::~CapturedGraph() {
  if (graph_ && !is_forked_child()) cudaGraphExecDestroy(graph_);
}
void CapturedGraph::launch(const Stream& stream) const {
  check(cudaGraphLaunch(graph_, stream.get()), "cudaGraphLaunch");
}

DeviceProgram::DeviceProgram(std::vector<Buffer> buffers, std::vector<ProgramStep> steps, std::int64_t arena_bytes)
    : Program(std::move(buffers), std::move(steps), arena_bytes),
      device_(chosen_device()),
      arena_(arena_bytes),
      fed_bytes_(place_feeds()),
      fed_(fed_bytes_),
      staged_(fed_bytes_),
      addresses_(addresses_in(arena_.data())) {
  for (const Copied& feed : feeds_) addresses_[static_cast<std::size_t>(feed.buffer)] = fed_.data() + feed.offset;
}

std::int64_t DeviceProgram::place_feeds() {
  std::int64_t end = aligned(sizeof(DeviceRun));
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].offset >= 0 || buffers_[i].fixed) continue;
    feeds_.push_back({static_cast<int>(i), end});
    end += aligned(buffers_[i].spec.bytes());
  }
  return end;
}

bool DeviceProgram::run(const Run& run) {
  const OnDevice on(device_);
  try {
    copy_in(run);
    return run_staged(run);
  } catch (...) {
    cudaStreamSynchronize(stream_.get());  // what was put on it before still reads the staged memory
    throw;
  }
}

bool DeviceProgram::run_staged(const Run& run) {
  if (run.feeds.empty() && run.fetches.empty()) {  // what depends on weights alone: seldom, and not worth a graph
    for (std::int64_t i = run.begin; i < run.end; ++i) enqueue_step(i, run);
    stream_.synchronize("a run of a Program");
    return true;
  }
  Captured& captured = captured_for(run);
  if (profiling_)
    enqueue_profiled(run, captured);
  else
    execute(run, captured);
  stream_.synchronize("a run of a Program");
  return deliver(run, captured);
}

void DeviceProgram::copy_in(const Run& run) {
  const DeviceRun state{run.seed, kNoBadLabel, 0};
  std::memcpy(staged_.data(), &state, sizeof state);
  const bool at_once = fed_bytes_ <= kPiece && !run.feeds.empty();
  for (const auto& [buffer, from] : run.feeds) {
    const auto is_it = [b = buffer](const Copied& c) { return c.buffer == b; };
    const Copied& feed = *std::find_if(feeds_.begin(), feeds_.end(), is_it);
    if (at_once)
      copy(staged_.data() + feed.offset, from, bytes_of(buffer));
    else
      copy_in_pieces(feed.offset, from, bytes_of(buffer));
  }
  const std::size_t rest = at_once ? static_cast<std::size_t>(fed_bytes_) : sizeof state;
  check(cudaMemcpyAsync(fed_.data(), staged_.data(), rest, cudaMemcpyHostToDevice, stream_.get()), "cudaMemcpyAsync",
        std::to_string(rest) + " bytes to the device");
}

void DeviceProgram::copy_in_pieces(std::int64_t offset, const void* from, std::int64_t bytes) {
  for (std::int64_t first = 0; first < bytes; first += kPiece) {
    const std::int64_t n = std::min(kPiece, bytes - first);
    unsigned char* staged = staged_.data() + offset + first;
    copy(staged, static_cast<const unsigned char*>(from) + first, n);
    check(cudaMemcpyAsync(fed_.data() + offset + first, staged, static_cast<std::size_t>(n), cudaMemcpyHostToDevice,
                          stream_.get()),
          "cudaMemcpyAsync", std::to_string(n) + " bytes to the device");
  }
}

DeviceProgram::Captured& DeviceProgram::captured_for(const Run& run) {
  Key key{{run.begin, run.end}, {}};
  for (const auto& fetch : run.fetches) key.second.push_back(fetch.first);
  const auto found = captured_.find(key);
  if (found != captured_.end()) return found->second;
  if (captured_.size() >= kMostGraphs) captured_.clear();
  Captured& made = captured_[key];
  std::int64_t end = 0;
  const auto add = [&](int buffer) {
    made.fetched.push_back({buffer, end});
    end += aligned(bytes_of(buffer));
  };
  for (const int buffer : key.second) add(buffer);
  if (guards(run)) add(run.guard);
  made.state = end;
  made.staged = std::make_unique<PinnedMemory>(end + static_cast<std::int64_t>(sizeof(DeviceRun)));
  return made;
}

void DeviceProgram::execute(const Run& run, Captured& captured) {
  if (captured.ran && !captured.graph)
    captured.graph = std::make_unique<CapturedGraph>(stream_, [&] { enqueue(run, captured); });
  if (captured.graph)
    captured.graph->launch(stream_);
  else
    enqueue(run, captured);
  captured.ran = true;
}

void DeviceProgram::enqueue(const Run& run, const Captured& captured) {
  for (std::int64_t i = run.begin; i < run.end;)
    if (steps_[static_cast<std::size_t>(i)].step.joinable)
      i = enqueue_joined(i, run);
    else
      enqueue_step(i++, run);
  enqueue_fetches(captured);
}

void DeviceProgram::enqueue_profiled(const Run& run, const Captured& captured) {
  const std::vector<Event> events(static_cast<std::size_t>(run.end - run.begin + 1));
  events[0].record(stream_);
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    enqueue_step(i, run);
    events[static_cast<std::size_t>(i - run.begin + 1)].record(stream_);
  }
  enqueue_fetches(captured);
  stream_.synchronize("a profiled run of a Program");
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    const std::size_t n = static_cast<std::size_t>(i - run.begin);
    step_seconds_[static_cast<std::size_t>(i)] = events[n + 1].milliseconds_since(events[n]) * 1e-3;
  }
}

void DeviceProgram::enqueue_step(std::int64_t i, const Run& run) {
  const ProgramStep& s = steps_[static_cast<std::size_t>(i)];
  const Pointers pointers(s, addresses_);
  s.step.run(arguments(i, run, pointers));
}

// Step `first` and those behind it that join it; returns the one behind them.
std::int64_t DeviceProgram::enqueue_joined(std::int64_t first, const Run& run) {
  const auto joinable = [&](std::int64_t i) { return steps_[static_cast<std::size_t>(i)].step.joinable.get(); };
  const Joinable& leader = *joinable(first);
  std::int64_t end = first;
  while (end < run.end && joinable(end) && leader.joins(*joinable(end))) ++end;
  std::vector<Pointers> pointers;
  pointers.reserve(static_cast<std::size_t>(end - first));
  std::vector<Joinable::Call> calls;
  for (std::int64_t i = first; i < end; ++i) {
    pointers.emplace_back(steps_[static_cast<std::size_t>(i)], addresses_);
    calls.push_back({joinable(i), arguments(i, run, pointers.back())});
  }
  leader.run(calls);
  return end;
}

StepArgs DeviceProgram::arguments(std::int64_t i, const Run& run, const Pointers& pointers) const {
  const ProgramStep& s = steps_[static_cast<std::size_t>(i)];
  StepArgs args{pointers.in(), pointers.out(), arena_.data() + s.workspace_offset, run.seed};
  args.stream = stream_.get();
  args.run = reinterpret_cast<DeviceRun*>(fed_.data());
  if (guards(run) && i > run.guard_step)
    args.guard = static_cast<const float*>(addresses_[static_cast<std::size_t>(run.guard)]);
  return args;
}

void DeviceProgram::enqueue_fetches(const Captured& captured) {
  const auto fetch = [&](std::int64_t to, const void* from, std::int64_t bytes) {
    check(cudaMemcpyAsync(captured.staged->data() + to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                          stream_.get()),
          "cudaMemcpyAsync", std::to_string(bytes) + " bytes from the device");
  };
  for (const Copied& c : captured.fetched)
    fetch(c.offset, addresses_[static_cast<std::size_t>(c.buffer)], bytes_of(c.buffer));
  fetch(captured.state, fed_.data(), sizeof(DeviceRun));
}

bool DeviceProgram::deliver(const Run& run, const Captured& captured) const {
  const unsigned char* staged = captured.staged->data();
  DeviceRun state;
  std::memcpy(&state, staged + captured.state, sizeof state);
  check_labels(state);
  for (std::size_t i = 0; i < run.fetches.size(); ++i)
    copy(run.fetches[i].second, staged + captured.fetched[i].offset, bytes_of(run.fetches[i].first));
  if (!guards(run)) return true;
  float guard = 0.0f;
  std::memcpy(&guard, staged + captured.fetched.back().offset, sizeof guard);
  return std::isfinite(guard);
}

}  // namespace cnnfast::cuda
