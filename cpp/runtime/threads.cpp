// Workers: how many, how tasks reach them, and the state every worker must have.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cnnfast/fork.hpp"
#include "cnnfast/parallel.hpp"
#include "denormals.hpp"
#include "team.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace cnnfast {
namespace {

constexpr int kScratchSlots = 4;
constexpr std::size_t kAlignment = 64;

struct Scratch {
  float* data[kScratchSlots] = {};
  std::int64_t capacity[kScratchSlots] = {};
};

// Only the thread that runs as worker w inside the one parallel region under way touches scratch[w].
Scratch scratch[kMaxThreads];

// One parallel region at a time: scratch belongs to it.
std::mutex region_lock;

thread_local bool inside_region = false;

// Stores past the caches (kernels/stream.hpp) are not ordered with others: they must be over before another worker or
// the next step reads.
void finish_streams() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

int affinity_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// CPUs the cgroup's quota allows (version 2, then 1), or a large number where there is none.
int quota_cpus() {
  double quota = -1, period = 0;
  std::string first;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> first >> period) {
    if (first != "max") std::istringstream(first) >> quota;
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return kMaxThreads;
  return std::clamp(static_cast<int>(quota / period), 1, kMaxThreads);
}

int environment_threads() {
  for (const char* name : {"CNNFAST_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* text = std::getenv(name);
    if (!text) continue;
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end != text && n >= 1 && n <= kMaxThreads) return static_cast<int>(n);
  }
  return 0;
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{environment_threads() ? environment_threads() : default_num_threads()};
  return count;
}

}  // namespace

int default_num_threads() { return std::min({affinity_cpus(), quota_cpus(), kMaxThreads}); }
int num_threads() { return thread_count(); }
const char* threading_backend() { return team_backend(); }

void set_num_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads)
    throw std::invalid_argument("set_threads: expected 1 to " + std::to_string(kMaxThreads) + " threads, got " +
                                std::to_string(threads));
  thread_count() = threads;
}

float* worker_scratch(int worker, int slot, std::int64_t floats) {
  Scratch& s = scratch[worker];
  if (s.capacity[slot] < floats) {
    void* fresh = ::operator new(static_cast<std::size_t>(floats) * sizeof(float), std::align_val_t(kAlignment));
    ::operator delete(s.data[slot], std::align_val_t(kAlignment));
    s.data[slot] = static_cast<float*>(fresh);
    s.capacity[slot] = floats;
  }
  return s.data[slot];
}

TaskRanges task_ranges;

void parallel_for(std::int64_t tasks, TaskFunction function, void* context) {
  if (inside_region) {  // nested: this worker alone, but its scratch is in use by the outer task
    throw std::logic_error("parallel_for: a task must not start another parallel region");
  }
  if (tasks <= 0) return;
  const DelayForks delay;
  const std::lock_guard<std::mutex> lock(region_lock);
  std::mutex failure_lock;
  std::exception_ptr failure;
  const auto work = [&](std::int64_t task, int worker) {
    const FlushDenormals flush;
    inside_region = true;
    std::int64_t done = 0;
    try {
      for (; task >= 0; task = task_ranges.take(worker)) {
        ++done;
        function(context, task, worker);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> guard(failure_lock);
      if (!failure) failure = std::current_exception();
      while (task_ranges.take(worker) >= 0) ++done;
    }
    inside_region = false;
    finish_streams();
    return done;
  };
  const TeamBody body = [](void* w, std::int64_t task, int worker) {
    return (*static_cast<decltype(work)*>(w))(task, worker);
  };
  // A forked child computes alone: neither OpenMP's nor our own threads survive a fork.
  const int workers = is_forked_child() ? 1 : static_cast<int>(std::min<std::int64_t>(num_threads(), tasks));
  if (workers <= 1) {
    task_ranges.open(1, tasks, body, nullptr);
    work(task_ranges.take(0), 0);
  } else {
    run_team(workers, tasks, body, const_cast<void*>(static_cast<const void*>(&work)));
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cnnfast
