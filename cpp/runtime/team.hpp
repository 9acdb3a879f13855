// A team of threads that run one function: our own (team_std.cpp) or, if built so, OpenMP's (team_openmp.cpp).
#pragma once

namespace cnnfast {

// Runs body(context, worker) on up to `workers` threads at once, each with its own worker number below `workers`; the
// caller is worker 0. Returns when all are done. One call at a time.
void run_team(int workers, void (*body)(void* context, int worker), void* context);
const char* team_backend();

}  // namespace cnnfast
