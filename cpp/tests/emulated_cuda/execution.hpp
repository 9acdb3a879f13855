// How kernels run on the host: each CUDA thread of a block is a fiber, and the blocks run one after the other in the OS
// thread that launches. What waits for other threads (__syncthreads, warp operations) lets another fiber go on.
//
// CNNFAST_EMULATED_CUDA_ORDER=reverse in the environment starts blocks and threads from the last to the first: what
// depends on their order then shows as a difference.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#include "cuda_runtime_api.h"

namespace emulated_cuda {

constexpr int kMostThreads = 1024;              // of a block
constexpr std::size_t kMostShared = 227 << 10;  // bytes of dynamic shared memory

// Runs `kernel` once for each thread of the grid, or records that if the stream is captured. Throws std::runtime_error
// where a launch on a device would fail.
void launch(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream, std::function<void()> kernel);
// The same at once and without checks.
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& kernel);

// Prints "emulated CUDA: <what> at block .. thread .." and aborts: for what is undefined behaviour on a device.
[[noreturn]] void die(const char* what);

// The rest is called in kernels.

// Of this block, 128-byte aligned; all its bits are set before the block starts.
void* dynamic_shared();
// This thread's number in its block, in x-y-z order.
int thread_number();
inline int lane() { return thread_number() % 32; }

// Waits until all threads of the block that have not ended have come here.
void sync_threads();

enum class WarpOp : unsigned char {
  syncwarp,
  shfl,
  shfl_up,
  shfl_down,
  shfl_xor,
  ballot,
  any,
  all,
  load_matrix,
  store_matrix,
  mma
};

// Each of these waits until all lanes named in `mask` that have not ended have come to the same operation.
void sync_warp(unsigned mask);
// The value of lane `source`; all bits set if that lane does not take part.
std::uint64_t exchange(WarpOp op, unsigned mask, std::uint64_t value, int source);
// The lanes whose `predicate` is true.
unsigned vote(WarpOp op, unsigned mask, bool predicate);
// Calls act once with what all 32 lanes have given, in the order of the lanes.
using WarpAct = void (*)(void* const* lanes);
void together(WarpOp op, void* mine, WarpAct act);

// Asynchronous copies of this thread (cuda_pipeline_primitives.h).
void copy_later(void* to, const void* from, std::size_t bytes, std::size_t zeros);
void commit_copies();
void finish_copies(std::size_t but_last);

}  // namespace emulated_cuda
