// Switches of fibers: a few instructions on x86-64 and AArch64, <ucontext.h> (with its system calls) elsewhere.
#include "fibers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if !defined(__x86_64__) && !defined(__aarch64__)
#define EMULATED_CUDA_UCONTEXT
#endif
#ifdef EMULATED_CUDA_UCONTEXT
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulated_cuda {
namespace {

// Only pages that are used take memory.
constexpr std::size_t kStack = 256 << 10;

// A stack whose last page (its lowest, it grows down) cannot be used.
char* new_stack() {
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) {
    std::fprintf(stderr, "emulated CUDA: no memory for the stack of a thread\n");
    std::abort();
  }
  return static_cast<char*>(memory);
}

// Stacks start at different places in their pages, so that their first lines are not all in the same set of a cache.
std::size_t next_offset() {
  static std::atomic<unsigned> stacks{0};
  return stacks++ % 61 * 64;
}

}  // namespace

#ifdef EMULATED_CUDA_UCONTEXT

static void prepare(Fiber& fiber, char* top, void (*entry)()) {
  ucontext_t* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = const_cast<void*>(fiber.bottom);
  context->uc_stack.ss_size = static_cast<std::size_t>(top - static_cast<const char*>(fiber.bottom));
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  fiber.context = context;
}
static void drop(Fiber& fiber) { delete static_cast<ucontext_t*>(fiber.context); }
static void exchange_stacks(Fiber& from, Fiber& to) {
  if (from.context == nullptr) from.context = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from.context), static_cast<ucontext_t*>(to.context));
}

#else

// Pushes the registers that a function must keep, changes the stack and pops them there.
extern "C" void emulated_cuda_switch(void** from, void* to) __asm__("emulated_cuda_switch");

#ifdef __x86_64__
__asm__(R"(
.text
.p2align 4
emulated_cuda_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmpq *%rcx
)");
constexpr int kSaved = 6, kEntry = 6;  // registers; where the address to go on at is
#else
__asm__(R"(
.text
.p2align 4
emulated_cuda_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
)");
constexpr int kSaved = 20, kEntry = 11;
#endif

// As if `entry` had been called and had called the switch.
static void prepare(Fiber& fiber, char* top, void (*entry)()) {
  void** saved = reinterpret_cast<void**>(top) - kSaved - 2;
  std::memset(static_cast<void*>(saved), 0, (kSaved + 2) * sizeof(void*));
  saved[kEntry] = reinterpret_cast<void*>(entry);
  fiber.context = saved;
}
static void drop(Fiber&) {}
static void exchange_stacks(Fiber& from, Fiber& to) { emulated_cuda_switch(&from.context, to.context); }

#endif

#ifdef __SANITIZE_ADDRESS__
namespace {

Fiber* previous = nullptr;

// The first thing on a stack that was switched to; the one before it may be an OS thread's, whose bounds are wanted.
__attribute__((no_sanitize_address)) void arrived(void* fake_stack) {
  const void* bottom;
  std::size_t size;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
  previous->bottom = bottom;
  previous->size = size;
}

}  // namespace

__attribute__((no_sanitize_address)) void Fiber::switch_to(Fiber& from, Fiber& to) {
  __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
  previous = &from;
  exchange_stacks(from, to);
  arrived(from.fake_stack);
}

__attribute__((no_sanitize_address)) void Fiber::leave(Fiber& from, Fiber& to) {
  __sanitizer_start_switch_fiber(nullptr, to.bottom, to.size);
  previous = &from;
  exchange_stacks(from, to);
  arrived(nullptr);
}

static void (*entry_of_all)();
__attribute__((no_sanitize_address)) static void enter() {
  arrived(nullptr);
  entry_of_all();
}
static auto entry_for(void (*entry)()) {
  entry_of_all = entry;
  return &enter;
}

#else

void Fiber::switch_to(Fiber& from, Fiber& to) { exchange_stacks(from, to); }
void Fiber::leave(Fiber& from, Fiber& to) { exchange_stacks(from, to); }
static auto entry_for(void (*entry)()) { return entry; }

#endif

Fiber::Fiber(void (*entry)()) : memory_(new_stack()) {
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  bottom = memory_ + page;
  size = kStack - page;
  prepare(*this, memory_ + kStack - next_offset(), entry_for(entry));
}

Fiber::~Fiber() {
  drop(*this);
  if (memory_ != nullptr) munmap(memory_, kStack);
}

}  // namespace emulated_cuda
