// Threads of our own. A helper that is late for a round stays out of it: the caller works through the tasks itself and
// waits only for helpers that have begun one. On a busy machine, where a helper may not get a core for milliseconds,
// a barrier that waits for all (OpenMP's) makes a step many times slower; this does not.
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

// A helper looks this often for the next round before it sleeps, some 50 microseconds: the steps of a Program follow
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
  void run(int workers, void (*body)(void*, int), void* context) {
    grow(std::min(workers, most_));
    body_ = body;
    context_ = context;
    workers_ = workers;
    open_ = ++round_;
    for (int i = 0; i < std::min(workers, size()) - 1; ++i) {
      Helper& helper = *helpers_[static_cast<std::size_t>(i)];
      if (!helper.sleeping) continue;
      { const std::lock_guard<std::mutex> lock(mutex_); }
      helper.wake.notify_one();
    }
    body(context, 0);
    open_ = 0;
    for (int look = 0; active_ > 0; ++look) look < kLooks ? pause() : std::this_thread::yield();
  }

 private:
  // Each has a bell of its own: a round wakes only those that take part in it.
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
        // The system gives no more: those there are do the work. To ask again in every round would cost too much.
        if (!helpers_.empty() && !helpers_.back()->thread.joinable()) helpers_.pop_back();
        most_ = size();
        return;
      }
    }
  }
  int size() const { return static_cast<int>(helpers_.size()) + 1; }  // with the caller

  void help(Helper& self, int worker) {
    for (long seen = 0;;) {
      seen = next_round(self, worker, seen);
      // First join, then look whether the round is still open; the caller closes it, then looks who has joined.
      ++active_;
      if (open_ != 0 && worker < workers_) body_(context_, worker);
      --active_;
    }
  }

  bool is_new(int worker, long seen) const {
    const long open = open_;
    return open != 0 && open != seen && worker < workers_;
  }

  // Waits for a round that is open to the worker and not `seen`; returns its number.
  long next_round(Helper& self, int worker, long seen) {
    for (int look = 0; look < kLooks; ++look, pause())
      if (is_new(worker, seen)) return open_;
    std::unique_lock<std::mutex> lock(mutex_);
    self.sleeping = true;
    self.wake.wait(lock, [&] { return is_new(worker, seen); });
    self.sleeping = false;
    return open_;
  }

  std::atomic<long> open_{0};  // number of the round that may be joined, or 0
  std::atomic<int> active_{0}, workers_{0};
  std::atomic<void (*)(void*, int)> body_{nullptr};
  std::atomic<void*> context_{nullptr};
  long round_ = 0;
  int most_ = std::numeric_limits<int>::max();  // members that the system allows
  std::mutex mutex_;
  std::vector<std::unique_ptr<Helper>> helpers_;
};

}  // namespace

void run_team(int workers, void (*body)(void* context, int worker), void* context) {
  // Never destroyed: helpers sleep until the process ends, and a forked child must not join threads it does not have.
  static Team* team = new Team;
  team->run(workers, body, context);
}

const char* team_backend() { return "std::thread"; }

}  // namespace cnnfast
