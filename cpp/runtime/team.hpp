// A team of threads that work on one region: our own (team_std.cpp) or, if built so, OpenMP's (team_openmp.cpp).
#pragma once
#include <atomic>
#include <cstdint>

namespace cnnfast {

constexpr int kMaxThreads = 1024;

// Works on a task of a region and on those it can take after it; returns how many that were.
using TeamBody = std::int64_t (*)(void* context, std::int64_t task, int worker);

// The tasks of a region, a range for each worker. It begins with its own, the same in each region of so many tasks, and
// so meets in its core's cache what it wrote before: lines that another core has read take microseconds a hundred to
// write again. Who has none left takes from the others.
class TaskRanges {
 public:
  // What a worker must know of a region, in one line of the cache.
  struct alignas(64) Range {
    std::atomic<std::int64_t> left{0};  // below 0 where some came too late
    std::atomic<std::int64_t> end{0};
    std::atomic<int> workers{0};
    std::atomic<TeamBody> body{nullptr};
    std::atomic<void*> context{nullptr};

    bool empty() const { return left.load(std::memory_order_relaxed) <= 0; }
    // The next task, or -1. Whoever has one keeps the region open: until it is done, no range opens again.
    std::int64_t take() {
      if (empty()) return -1;
      const std::int64_t n = left.fetch_sub(1, std::memory_order_acq_rel);
      return n > 0 ? end.load(std::memory_order_relaxed) - n : -1;
    }
  };

  void open(int workers, std::int64_t tasks, TeamBody body, void* context) {
    for (int worker = workers - 1; worker >= 0; --worker) {
      Range& range = ranges_[worker];
      const std::int64_t begin = tasks * worker / workers, end = tasks * (worker + 1) / workers;
      range.end.store(end, std::memory_order_relaxed);
      range.workers.store(workers, std::memory_order_relaxed);
      range.body.store(body, std::memory_order_relaxed);
      range.context.store(context, std::memory_order_relaxed);
      range.left.store(end - begin, std::memory_order_release);
    }
  }

  // The next task of somebody who has had one of its own range, or -1.
  std::int64_t take(int worker) {
    const int workers = ranges_[worker].workers.load(std::memory_order_relaxed);
    std::int64_t task = -1;
    for (int i = worker; task < 0 && i < worker + workers; ++i) task = ranges_[i % workers].take();
    return task;
  }

  Range& operator[](int worker) { return ranges_[worker]; }

 private:
  Range ranges_[kMaxThreads];
};

extern TaskRanges task_ranges;

// Hands tasks [0, tasks) to `body` on up to `workers` threads at once, each with its own worker number below `workers`;
// the caller is worker 0. Returns when all are done. One call at a time, with at least as many tasks as workers.
void run_team(int workers, std::int64_t tasks, TeamBody body, void* context);
const char* team_backend();

}  // namespace cnnfast
