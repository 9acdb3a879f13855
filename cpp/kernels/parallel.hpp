// parallel(tasks, f) calls f(task, worker) for every task: a typed face on cnnfast::parallel_for.
#pragma once
#include "cnnfast/parallel.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

template <class F>
static inline void parallel(std::int64_t tasks, const F& f) {
  parallel_for(
      tasks, [](void* context, std::int64_t task, int worker) { (*static_cast<const F*>(context))(task, worker); },
      const_cast<F*>(&f));
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
