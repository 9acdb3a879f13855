#include "cnnfast/fork.hpp"

#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <new>

namespace cnnfast {
namespace {

struct Gate {
  std::mutex mutex;  // held while the process forks
  std::condition_variable changed;
  int inside = 0;  // threads that delay forks
  int forks = 0;   // threads that fork or wait to
};

// Never destroyed: threads may still compute while the process ends.
Gate& gate() {
  static Gate* g = new Gate;
  return *g;
}

thread_local int depth = 0;
bool forked_child = false;

void before_fork() {
  Gate& g = gate();
  std::unique_lock<std::mutex> lock(g.mutex);
  ++g.forks;
  const int own = depth > 0 ? 1 : 0;
  g.changed.wait(lock, [&] { return g.inside == own; });
  lock.release();
}

void after_fork_in_parent() {
  Gate& g = gate();
  --g.forks;
  g.mutex.unlock();
  g.changed.notify_all();
}

void after_fork_in_child() {
  Gate& g = *new (&gate()) Gate;  // the old one counts threads as waiting that are not here
  g.inside = depth > 0 ? 1 : 0;
  forked_child = true;
}

const bool registered = [] {
  gate();
  return pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}();

}  // namespace

DelayForks::DelayForks() {
  if (depth++ > 0) return;
  Gate& g = gate();
  std::unique_lock<std::mutex> lock(g.mutex);
  g.changed.wait(lock, [&] { return g.forks == 0; });
  ++g.inside;
}

DelayForks::~DelayForks() {
  if (--depth > 0) return;
  Gate& g = gate();
  const std::lock_guard<std::mutex> lock(g.mutex);
  --g.inside;
  if (g.forks > 0) g.changed.notify_all();
}

bool is_forked_child() { return forked_child; }

}  // namespace cnnfast
