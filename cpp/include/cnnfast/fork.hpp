// Forking a process whose threads compute. The child has only the thread that forked: a lock that another one held
// would stay locked there for ever, and weights that it was updating would stay half updated.
#pragma once

namespace cnnfast {

// As long as one exists in some other thread, a fork waits; once a fork waits, new ones wait for it. Whatever holds a
// lock of the engine or writes to weights has one, acquired before the lock. A thread may nest them.
class DelayForks {
 public:
  DelayForks();
  ~DelayForks();
  DelayForks(const DelayForks&) = delete;
  DelayForks& operator=(const DelayForks&) = delete;
};

// Whether this process is the child of a fork that happened after the engine was loaded: it has no helper threads.
bool is_forked_child();

}  // namespace cnnfast
