#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <numeric>

#include "cnnfast/program.hpp"

namespace cnnfast {
namespace {

constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
constexpr std::int64_t kAlignment = 64;

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

Arena::Arena(std::int64_t bytes) : bytes_(bytes) {
  if (bytes <= 0) return;
  // One page more than needed, so that the data can start on a huge page's boundary.
  mapped_ = round_up(bytes, kHugePage) + kHugePage;
  void* p = mmap(nullptr, static_cast<std::size_t>(mapped_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  const std::int64_t address = round_up(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p)), kHugePage);
  data_ = reinterpret_cast<unsigned char*>(static_cast<std::uintptr_t>(address));
  munmap_front_ = data_ - static_cast<unsigned char*>(p);
#if defined(MADV_HUGEPAGE)
  madvise(data_, static_cast<std::size_t>(round_up(bytes, kHugePage)), MADV_HUGEPAGE);
#endif
}

Arena::~Arena() {
  if (data_) munmap(data_ - munmap_front_, static_cast<std::size_t>(mapped_));
}

// Greedy by size: the largest block first, each at the lowest offset that is free for its whole lifetime
// (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, section 5.2).
std::int64_t plan_memory(const std::vector<Lifetime>& blocks, std::vector<std::int64_t>& offsets) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  offsets.assign(blocks.size(), 0);
  std::vector<std::size_t> placed;  // sorted by offset
  std::int64_t total = 0;
  for (const std::size_t i : order) {
    const std::int64_t size = round_up(blocks[i].bytes, kAlignment);
    std::int64_t at = 0;
    for (const std::size_t j : placed) {
      if (blocks[j].last < blocks[i].first || blocks[i].last < blocks[j].first) continue;
      if (offsets[j] - at >= size) break;
      at = std::max(at, offsets[j] + round_up(blocks[j].bytes, kAlignment));
    }
    offsets[i] = at;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](std::size_t a, std::size_t b) { return offsets[a] < offsets[b]; }),
                  i);
    total = std::max(total, at + size);
  }
  return total;
}

}  // namespace cnnfast
