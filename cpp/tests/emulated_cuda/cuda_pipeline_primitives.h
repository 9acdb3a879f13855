// In place of NVIDIA's header of this name: asynchronous copies to shared memory.
#pragma once
#include "execution.hpp"

// The last `zeros` of the bytes are not copied but set to zero.
inline void __pipeline_memcpy_async(void* to, const void* from, std::size_t bytes, std::size_t zeros = 0) {
  emulated_cuda::copy_later(to, from, bytes, zeros);
}
inline void __pipeline_commit() { emulated_cuda::commit_copies(); }
// Until all groups but the last `but_last` that this thread has committed are there.
inline void __pipeline_wait_prior(std::size_t but_last) { emulated_cuda::finish_copies(but_last); }
