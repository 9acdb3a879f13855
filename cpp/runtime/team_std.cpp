// Threads of our own. A helper that is late for a region stays out of it: the others work through its tasks, and the
// caller waits only for helpers that have begun one. On a busy machine, where a helper may not get a core for
// milliseconds, a barrier that waits for all (OpenMP's) makes a step many times slower; this does not.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "team.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace cnnfast {
namespace {

// A helper looks this often for tasks before it sleeps, some 50 microseconds: the steps of a Program follow
// each other more closely than that, and waking a sleeper takes longer.
constexpr int kLooks = 2000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Team {
 public:
  void run(int workers, std::int64_t tasks, TeamBody body, void* context) {
    grow(std::min(workers, most_));
    task_ranges.open(workers, tasks, body, context);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the ranges are open before it looks who sleeps
    for (int i = 0; i < std::min(workers, size()) - 1; ++i) {
      Helper& helper = *helpers_[static_cast<std::size_t>(i)];
      if (!helper.sleeping.load(std::memory_order_relaxed)) continue;
      { const std::lock_guard<std::mutex> lock(mutex_); }
      helper.wake.notify_one();
    }
    const std::int64_t first = task_ranges.take(0);
    helped_ += tasks - (first < 0 ? 0 : body(context, first, 0));
    for (int look = 0; finished_.load(std::memory_order_acquire) != helped_; ++look)
      look < kLooks ? pause() : std::this_thread::yield();
  }

 private:
  // Each has a bell of its own: a region wakes only those that take part in it.
  struct Helper {
    std::condition_variable wake;
    std::atomic<bool> sleeping{false};
    std::thread thread;
  };

  void grow(int workers) {
    while (size() < workers) {
      try {
        helpers_.push_back(std::make_unique<Helper>());
        Helper& helper = *helpers_.back();
        helper.thread = std::thread([this, &helper, worker = size() - 1] { help(helper, worker); });
      } catch (const std::exception&) {
        // The system gives no more: those there are do the work. To ask again in every region would cost too much.
        if (!helpers_.empty() && !helpers_.back()->thread.joinable()) helpers_.pop_back();
        most_ = size();
        return;
      }
    }
  }
  int size() const { return static_cast<int>(helpers_.size()) + 1; }  // with the caller

  // To take a task is to join a region: until it is done, the region is open and stays as it is. One that comes too
  // late finds none.
  void help(Helper& self, int worker) {
    TaskRanges::Range& own = task_ranges[worker];
    for (;;) {
      wait_for_tasks(self, own);
      const std::int64_t task = own.take();
      if (task < 0) continue;
      const TeamBody body = own.body.load(std::memory_order_relaxed);
      void* context = own.context.load(std::memory_order_relaxed);
      finished_.fetch_add(body(context, task, worker), std::memory_order_release);
    }
  }

  void wait_for_tasks(Helper& self, const TaskRanges::Range& own) {
    for (int look = 0; look < kLooks; ++look, pause())
      if (!own.empty()) return;
    std::unique_lock<std::mutex> lock(mutex_);
    self.sleeping.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // it is known to sleep before it looks once more
    self.wake.wait(lock, [&] { return !own.empty(); });
    self.sleeping.store(false, std::memory_order_relaxed);
  }

  alignas(64) std::atomic<std::int64_t> finished_{0};  // tasks that helpers have done, in all regions
  alignas(64) std::int64_t helped_ = 0;                // tasks that were left to them
  int most_ = std::numeric_limits<int>::max();         // members that the system allows
  std::mutex mutex_;
  std::vector<std::unique_ptr<Helper>> helpers_;
};

}  // namespace

void run_team(int workers, std::int64_t tasks, TeamBody body, void* context) {
  // Never destroyed: helpers sleep until the process ends, and a forked child must not join threads it does not have.
  static Team* team = new Team;
  team->run(workers, tasks, body, context);
}

const char* team_backend() { return "std::thread"; }

}  // namespace cnnfast
