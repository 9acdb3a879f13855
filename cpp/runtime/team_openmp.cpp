#include <omp.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "team.hpp"

namespace cnnfast {
namespace {

// How many of `workers` threads the system allows. OpenMP ends the process if it gets fewer than it asks for, so that
// many are made once to see, and let go.
int allowed(int workers) {
  static int tried = 1, most = std::numeric_limits<int>::max();
  if (workers > tried && most == std::numeric_limits<int>::max()) {
    std::mutex hold;
    std::vector<std::thread> others;
    {
      const std::lock_guard<std::mutex> all_at_once(hold);
      try {
        while (static_cast<int>(others.size()) + 1 < workers)
          others.emplace_back([&hold] { const std::lock_guard<std::mutex> wait(hold); });
      } catch (const std::exception&) {
        most = static_cast<int>(others.size()) + 1;
      }
    }
    for (std::thread& other : others) other.join();
    tried = workers;
  }
  return std::min(workers, most);
}

}  // namespace

void run_team(int workers, std::int64_t tasks, TeamBody body, void* context) {
  task_ranges.open(workers, tasks, body, context);
#pragma omp parallel num_threads(allowed(workers))
  {
    const int worker = omp_get_thread_num();
    if (const std::int64_t first = task_ranges[worker].take(); first >= 0) body(context, first, worker);
  }
}

const char* team_backend() { return "openmp"; }

}  // namespace cnnfast
