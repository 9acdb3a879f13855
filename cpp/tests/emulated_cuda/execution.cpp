// The blocks of a grid: which of their threads runs next, and what waits for what.
#include "execution.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "fibers.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulated_cuda {
namespace {

const char* name_of(WarpOp op) {
  static const char* const names[] = {"__syncwarp",       "__shfl_sync",       "__shfl_up_sync", "__shfl_down_sync",
                                      "__shfl_xor_sync",  "__ballot_sync",     "__any_sync",     "__all_sync",
                                      "load_matrix_sync", "store_matrix_sync", "mma_sync"};
  return names[static_cast<int>(op)];
}

// What a lane has come to and what it gives.
struct Arrival {
  WarpOp op;
  unsigned mask;
  int source;           // lane it wants the value of
  std::uint64_t value;  // or address
  WarpAct act;
  bool at_same(const Arrival& other) const { return op == other.op && mask == other.mask && act == other.act; }
};

struct Warp {
  unsigned present;  // lanes that have not ended
  unsigned waiting;  // of them, those that wait for a warp operation
  Arrival arrivals[32];
  std::uint64_t results[32];
};

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes, zeros;
};
// Asynchronous copies of a thread, the earliest first.
struct Copies {
  std::vector<Copy> copies;
  std::vector<std::size_t> groups;  // how many copies there were when each was committed
};

constexpr std::size_t kCanary = 128;

// The block that runs. There is one: launches wait for each other.
struct Block {
  const std::function<void()>* kernel;
  bool reverse;
  int threads, started, live;
  int current;
  int at_barrier;
  int barrier[kMostThreads];  // threads that wait in __syncthreads
  unsigned next_ready, end_ready;
  int ready[kMostThreads];      // threads that can go on: a ring
  Fiber* fibers[kMostThreads];  // of threads that have started and have not ended
  uint3 indices[kMostThreads];
  Warp warps[kMostThreads / 32];
  unsigned char* shared;
};
Block block;
std::mutex launches;

// What follows is never destroyed: an OS thread may still launch while the process ends.
Fiber& host = *new Fiber;
Fiber* running;
auto& fibers = *new std::vector<std::unique_ptr<Fiber>>;  // besides the host
auto& idle = *new std::vector<Fiber*>;                    // of them, those without a thread
auto& copies = *new std::vector<Copies>;                  // of each thread
bool any_copies;

void set_current(int thread) {
  block.current = thread;
  threadIdx = block.indices[thread];
}

void make_ready(int thread) { block.ready[block.end_ready++ % kMostThreads] = thread; }

// Tells where the threads wait that keep each other from going on.
[[noreturn]] void deadlock() {
  std::fprintf(stderr, "emulated CUDA: deadlock in block (%u, %u, %u): %d of %d threads have ended;", blockIdx.x,
               blockIdx.y, blockIdx.z, block.threads - block.live, block.threads);
  const char* separator = "";
  if (block.at_barrier > 0) {
    std::fprintf(stderr, " %d wait in __syncthreads, first thread %d", block.at_barrier, block.barrier[0]);
    separator = ";";
  }
  for (int w = 0; w * 32 < block.threads; ++w) {
    const Warp& warp = block.warps[w];
    for (unsigned left = warp.waiting; left != 0;) {
      const int first = __builtin_ctz(left);
      unsigned lanes = 0;
      for (int lane = first; lane < 32; ++lane)
        if ((left >> lane & 1) && warp.arrivals[lane].at_same(warp.arrivals[first])) lanes |= 1u << lane;
      std::fprintf(stderr, "%s lanes %08x of warp %d wait in %s of lanes %08x", separator, lanes, w,
                   name_of(warp.arrivals[first].op), warp.arrivals[first].mask);
      left &= ~lanes;
      separator = ";";
    }
  }
  std::fprintf(stderr, "\n");
  std::abort();
}

void run_threads();

Fiber& idle_fiber() {
  if (idle.empty()) {
    fibers.push_back(std::make_unique<Fiber>(run_threads));
    return *fibers.back();
  }
  Fiber* fiber = idle.back();
  idle.pop_back();
  return *fiber;
}

// The fiber to go on with, whose thread is then the current one.
Fiber& next_fiber() {
  if (block.next_ready != block.end_ready) {
    const int thread = block.ready[block.next_ready++ % kMostThreads];
    set_current(thread);
    return *block.fibers[thread];
  }
  if (block.started < block.threads) return idle_fiber();
  if (block.live == 0) return host;
  deadlock();
}

// Lets other threads go on until this one is ready.
void suspend() {
  Fiber& me = *running;
  block.fibers[block.current] = &me;
  Fiber& next = next_fiber();
  running = &next;
  Fiber::switch_to(me, next);
}

void open_barrier(int but) {
  for (int i = 0; i < block.at_barrier; ++i)
    if (block.barrier[i] != but) make_ready(block.barrier[i]);
  block.at_barrier = 0;
}

// Does the operation that `lane` has come to if all its lanes have, which then are ready to go on (`but` does already).
bool complete(int w, int lane, int but) {
  Warp& warp = block.warps[w];
  const Arrival& mine = warp.arrivals[lane];
  const unsigned lanes = mine.mask & warp.present;
  if ((warp.waiting & lanes) != lanes) return false;
  for (int i = 0; i < 32; ++i)
    if ((lanes >> i & 1) && !warp.arrivals[i].at_same(mine)) return false;
  unsigned votes = 0;
  switch (mine.op) {
    case WarpOp::syncwarp:
      break;
    case WarpOp::ballot:
    case WarpOp::any:
    case WarpOp::all:
      for (int i = 0; i < 32; ++i)
        if (lanes >> i & 1) votes |= static_cast<unsigned>(warp.arrivals[i].value) << i;
      for (int i = 0; i < 32; ++i) warp.results[i] = votes;
      break;
    case WarpOp::load_matrix:
    case WarpOp::store_matrix:
    case WarpOp::mma: {
      if (lanes != 0xffffffffu) die("an operation on matrices in a warp that lacks some of its lanes");
      void* given[32];
      for (int i = 0; i < 32; ++i) given[i] = reinterpret_cast<void*>(warp.arrivals[i].value);
      mine.act(given);
      break;
    }
    default:  // shuffles
      for (int i = 0; i < 32; ++i) {
        const int from = warp.arrivals[i].source;
        if (lanes >> i & 1) warp.results[i] = lanes >> from & 1 ? warp.arrivals[from].value : ~std::uint64_t{0};
      }
  }
  warp.waiting &= ~lanes;
  for (int i = 0; i < 32; ++i)
    if ((lanes >> i & 1) && 32 * w + i != but) make_ready(32 * w + i);
  return true;
}

std::uint64_t arrive(WarpOp op, unsigned mask, std::uint64_t value, int source, WarpAct act) {
  const int thread = block.current, w = thread / 32, lane = thread % 32;
  if (!(mask >> lane & 1)) die("a warp operation called by a lane that its mask does not name");
  Warp& warp = block.warps[w];
  warp.arrivals[lane] = {op, mask, source, value, act};
  warp.waiting |= 1u << lane;
  if (!complete(w, lane, thread)) suspend();
  return warp.results[lane];
}

// A thread that has ended keeps no other one waiting.
void end_thread() {
  const int w = block.current / 32;
  Warp& warp = block.warps[w];
  --block.live;
  warp.present &= ~(1u << block.current % 32);
  for (unsigned left = warp.waiting; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    if (warp.waiting >> lane & 1) complete(w, lane, -1);
  }
  if (block.at_barrier > 0 && block.at_barrier == block.live) open_barrier(-1);
}

// What every fiber does: runs threads that have not started, one after the other while none of them has to wait.
void run_threads() {
  for (;;) {
    const int n = block.started++;
    set_current(block.reverse ? block.threads - 1 - n : n);
    (*block.kernel)();
    end_thread();
    if (block.next_ready == block.end_ready && block.started < block.threads) continue;
    Fiber& me = *running;
    Fiber& next = next_fiber();
    idle.push_back(&me);
    running = &next;
    Fiber::leave(me, next);
  }
}

void start_grid(dim3 grid, dim3 threads) {
  gridDim = grid;
  blockDim = threads;
  block.threads = static_cast<int>(threads.x * threads.y * threads.z);
  int t = 0;
  for (unsigned z = 0; z < threads.z; ++z)
    for (unsigned y = 0; y < threads.y; ++y)
      for (unsigned x = 0; x < threads.x; ++x) block.indices[t++] = {x, y, z};
}

void start_block() {
  block.started = 0;
  block.live = block.threads;
  block.at_barrier = 0;
  block.next_ready = block.end_ready = 0;
  for (int w = 0; w * 32 < block.threads; ++w) {
    const int lanes = block.threads - 32 * w;
    block.warps[w].present = lanes >= 32 ? 0xffffffffu : (1u << lanes) - 1;
    block.warps[w].waiting = 0;
  }
}

void run_block(std::size_t shared_bytes) {
  start_block();
  if (shared_bytes > 0) std::memset(block.shared, 0xff, shared_bytes + kCanary);
  Fiber& first = idle_fiber();
  running = &first;
  Fiber::switch_to(host, first);
  for (std::size_t i = 0; shared_bytes > 0 && i < kCanary; ++i)
    if (block.shared[shared_bytes + i] != 0xff) die("something wrote past the dynamic shared memory of its block");
  if (any_copies) {
    copies.clear();
    any_copies = false;
  }
}

// The first of the last bytes, which are followed by a page that cannot be used.
unsigned char* shared_memory(std::size_t bytes) {
  static unsigned char* const end = [] {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t size = (kMostShared + kCanary + page - 1) / page * page;
    void* memory = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("no memory for shared memory");
    unsigned char* last = static_cast<unsigned char*>(memory) + size;
    mprotect(last, page, PROT_NONE);
    return last;
  }();
  return end - (bytes + kCanary + 127) / 128 * 128;
}

bool reverse_order() {
  const char* order = std::getenv("CNNFAST_EMULATED_CUDA_ORDER");
  return order != nullptr && std::strcmp(order, "reverse") == 0;
}

}  // namespace

void run_grid(dim3 grid, dim3 threads, std::size_t shared_bytes, const std::function<void()>& kernel) {
  const std::lock_guard<std::mutex> lock(launches);
  start_grid(grid, threads);
  block.kernel = &kernel;
  block.reverse = reverse_order();
  block.shared = shared_memory(shared_bytes);
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t b = block.reverse ? blocks - 1 - i : i;
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(shared_bytes);
  }
}

void die(const char* what) {
  std::fprintf(stderr, "emulated CUDA: %s at block (%u, %u, %u) thread (%u, %u, %u)\n", what, blockIdx.x, blockIdx.y,
               blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  std::abort();
}

void* dynamic_shared() { return block.shared; }
int thread_number() { return block.current; }

void sync_threads() {
  block.barrier[block.at_barrier++] = block.current;
  if (block.at_barrier == block.live)
    open_barrier(block.current);
  else
    suspend();
}

void sync_warp(unsigned mask) { arrive(WarpOp::syncwarp, mask, 0, 0, nullptr); }

std::uint64_t exchange(WarpOp op, unsigned mask, std::uint64_t value, int source) {
  return arrive(op, mask, value, source, nullptr);
}

unsigned vote(WarpOp op, unsigned mask, bool predicate) {
  return static_cast<unsigned>(arrive(op, mask, predicate, 0, nullptr));
}

void together(WarpOp op, void* mine, WarpAct act) {
  arrive(op, 0xffffffffu, reinterpret_cast<std::uint64_t>(mine), 0, act);
}

// A copy fills its target with set bits when it is asked for and copies when it is waited for: reading it too early and
// overwriting what others still read both show.
void copy_later(void* to, const void* from, std::size_t bytes, std::size_t zeros) {
  const auto misaligned = [bytes](const void* at) { return reinterpret_cast<std::uintptr_t>(at) % bytes != 0; };
  if (bytes != 4 && bytes != 8 && bytes != 16) die("an asynchronous copy of other than 4, 8 or 16 bytes");
  if (zeros > bytes) die("an asynchronous copy with more zeros than bytes");
  if (misaligned(to) || misaligned(from)) die("an asynchronous copy at a misaligned address");
  std::memset(to, 0xff, bytes);
  if (copies.empty()) copies.resize(kMostThreads);
  any_copies = true;
  copies[static_cast<std::size_t>(block.current)].copies.push_back({to, from, bytes, zeros});
}

void commit_copies() {
  if (copies.empty()) copies.resize(kMostThreads);
  any_copies = true;
  Copies& mine = copies[static_cast<std::size_t>(block.current)];
  mine.groups.push_back(mine.copies.size());
}

void finish_copies(std::size_t but_last) {
  if (copies.empty()) return;
  Copies& mine = copies[static_cast<std::size_t>(block.current)];
  if (mine.groups.size() <= but_last) return;
  const std::size_t groups = mine.groups.size() - but_last, done = mine.groups[groups - 1];
  for (std::size_t i = 0; i < done; ++i) {
    const Copy& c = mine.copies[i];
    std::memcpy(c.to, c.from, c.bytes - c.zeros);
    std::memset(static_cast<char*>(c.to) + c.bytes - c.zeros, 0, c.zeros);
  }
  mine.copies.erase(mine.copies.begin(), mine.copies.begin() + static_cast<std::ptrdiff_t>(done));
  mine.groups.erase(mine.groups.begin(), mine.groups.begin() + static_cast<std::ptrdiff_t>(groups));
  for (std::size_t& end : mine.groups) end -= done;
}

}  // namespace emulated_cuda
