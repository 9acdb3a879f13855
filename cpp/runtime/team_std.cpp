#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "team.hpp"

namespace cnnfast {
namespace {

// Helpers sleep between calls; they are started as they are first needed and live as long as the process.
class Team {
 public:
  void run(int workers, void (*body)(void*, int), void* context) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(helpers_.size()) + 1 < workers) {
        const int worker = static_cast<int>(helpers_.size()) + 1;
        helpers_.emplace_back([this, worker, seen = round_] { help(worker, seen); });
      }
      body_ = body;
      context_ = context;
      workers_ = workers;
      busy_ = workers - 1;
      ++round_;
    }
    start_.notify_all();
    body(context, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }


 private:
  void help(int worker, long seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      start_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      if (worker >= workers_) continue;
      lock.unlock();
      body_(context_, worker);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable start_, done_;
  std::vector<std::thread> helpers_;
  void (*body_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int workers_ = 0, busy_ = 0;
  long round_ = 0;
};

}  // namespace

void run_team(int workers, void (*body)(void* context, int worker), void* context) {
  // Leaked on purpose: a forked child must not join threads it does not have.
  static Team* team = new Team;
  team->run(workers, body, context);
}

const char* team_backend() { return "std::thread"; }

}  // namespace cnnfast
