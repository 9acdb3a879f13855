// Threads of control that are switched by hand, each with its own stack: the threads of a block.
#pragma once
#include <cstddef>

namespace emulated_cuda {

class Fiber {
 public:
  // Of the OS thread that runs already, on its own stack.
  Fiber() = default;
  // Starts in `entry`, which never returns, when it is first switched to.
  explicit Fiber(void (*entry)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Goes on in `to`; returns when something switches back to `from`, the fiber that calls this.
  static void switch_to(Fiber& from, Fiber& to);
  // The same where nothing on the stack of `from` is needed any more but by its entry.
  static void leave(Fiber& from, Fiber& to);

  void* context = nullptr;  // the stack pointer, or a ucontext_t
  // Of the address sanitizer.
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;

 private:
  char* memory_ = nullptr;
};

}  // namespace emulated_cuda
