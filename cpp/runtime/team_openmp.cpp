#include <omp.h>

#include "team.hpp"

namespace cnnfast {

void run_team(int workers, void (*body)(void* context, int worker), void* context) {
#pragma omp parallel num_threads(workers)
  body(context, omp_get_thread_num());
}

const char* team_backend() { return "openmp"; }

}  // namespace cnnfast
