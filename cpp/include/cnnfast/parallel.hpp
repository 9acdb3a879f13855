// The one way to use several cores. A kernel cuts its work into a fixed list of tasks, the same for any number of
// threads, so results are the same bits for any number of threads.
#pragma once
#include <cstdint>

namespace cnnfast {

using TaskFunction = void (*)(void* context, std::int64_t task, int worker);

// Runs function(context, task, worker) for every task in [0, tasks) and returns when all are done. Each
// worker begins with a range of consecutive tasks; whoever is done with it takes from the others. An exception of a
// task reaches the caller. A task must not start another region (std::logic_error).
void parallel_for(std::int64_t tasks, TaskFunction function, void* context);

// 64-byte aligned memory of the worker, valid until its next call with the same slot; kept between calls.
float* worker_scratch(int worker, int slot, std::int64_t floats);

int num_threads();
void set_num_threads(int threads);  // throws std::invalid_argument outside [1, 1024]
int default_num_threads();          // what affinity and the cgroup's CPU quota allow
const char* threading_backend();    // "openmp" or "std::thread"

}  // namespace cnnfast
