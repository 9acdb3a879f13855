// Programs on a GPU: their steps are put on a stream, and captured as one CUDA graph that later runs launch at once.
#pragma once
#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <vector>

#include "cnnfast/program.hpp"
#include "device_run.hpp"
#include "error.hpp"
#include "memory.hpp"

namespace cnnfast::cuda {

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  void synchronize(const char* what) const;

 private:
  cudaStream_t stream_ = nullptr;
};

// A moment of a stream.
class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(const Stream& stream) const { check(cudaEventRecord(event_, stream.get()), "cudaEventRecord"); }
  float milliseconds_since(const Event& start) const {
    check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
    return milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// Work of a stream, recorded once.
class CapturedGraph {
 public:
  // Records what `enqueue` puts on the stream.
  template <class F>
  CapturedGraph(const Stream& stream, const F& enqueue) {
    begin(stream);
    try {
      enqueue();
    } catch (...) {
      abandon(stream);
      throw;
    }
    end(stream);
  }
  ~CapturedGraph();
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;
  void launch(const Stream& stream) const;

 private:
  static void begin(const Stream& stream);
  static void abandon(const Stream& stream);
  void end(const Stream& stream);
  cudaGraphExec_t graph_ = nullptr;
};

// Feeds go through page-locked memory to places of their own on the GPU, fetches come back through it: a run copies
// nothing else, and waits once, at its end.
class DeviceProgram : public Program {
 public:
  // On the current device, which must be the chosen one.
  DeviceProgram(std::vector<Buffer> buffers, std::vector<ProgramStep> steps, std::int64_t arena_bytes);
  bool run(const Run& run) override;

 private:
  // Where a buffer that is copied lies: on the host from `offset` on of the staged memory.
  struct Copied {
    int buffer;
    std::int64_t offset;
  };
  // Which steps run and what is fetched: a graph for each.
  using Key = std::pair<std::pair<std::int64_t, std::int64_t>, std::vector<int>>;
  struct Captured {
    std::vector<Copied> fetched;  // what the caller fetches, and the guard
    std::int64_t state = 0;       // where the state of the run is
    std::unique_ptr<PinnedMemory> staged;
    std::unique_ptr<CapturedGraph>
        graph;  // null until the second run: the first loads kernels, which cannot be captured
    bool ran = false;
  };

  std::int64_t place_feeds();
  void copy_in(const Run& run);
  void copy_in_pieces(std::int64_t offset, const void* from, std::int64_t bytes);
  Captured& captured_for(const Run& run);
  bool run_staged(const Run& run);
  void execute(const Run& run, Captured& captured);
  void enqueue(const Run& run, const Captured& captured);
  void enqueue_profiled(const Run& run, const Captured& captured);
  void enqueue_step(std::int64_t i, const Run& run);
  std::int64_t enqueue_joined(std::int64_t first, const Run& run);
  StepArgs arguments(std::int64_t i, const Run& run, const Pointers& pointers) const;
  void enqueue_fetches(const Captured& captured);
  bool deliver(const Run& run, const Captured& captured) const;
  bool guards(const Run& run) const {
    return run.guard >= 0 && run.begin <= run.guard_step && run.guard_step < run.end;
  }
  std::int64_t bytes_of(int buffer) const { return this->buffer(buffer).spec.bytes(); }

  int device_;
  Stream stream_;
  DeviceMemory arena_;
  std::vector<Copied> feeds_;
  std::int64_t fed_bytes_;
  DeviceMemory fed_;     // the state of the run, then the feeds
  PinnedMemory staged_;  // the same on the host
  std::vector<void*> addresses_;
  std::map<Key, Captured> captured_;
};

}  // namespace cnnfast::cuda
