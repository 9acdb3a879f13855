// Memory whose neighbours cannot be touched: one float too far ends the process.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>

namespace cnnfast::tests {

enum class Place { before_guard, after_guard };

// `bytes` bytes that end right before a page without access, or start right after one (and 4 bytes off any alignment).
class Guarded {
 public:
  Guarded(std::size_t bytes, Place place) : size_(bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t shift = place == Place::after_guard ? 4 : 0;
    const std::size_t inner = (bytes + shift + page - 1) / page * page;
    mapped_ = inner + 2 * page;
    void* p = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<unsigned char*>(p);
    if (inner > 0 && mprotect(start_ + page, inner, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = place == Place::before_guard ? start_ + page + inner - bytes : start_ + page + shift;
    std::memset(data_, 0xff, bytes);  // not a number, so that reading what was never written shows
  }
  ~Guarded() { munmap(start_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  template <class T = float>
  T* data() const {
    return reinterpret_cast<T*>(data_);
  }

  std::size_t size() const { return size_; }

 private:
  unsigned char *start_ = nullptr, *data_ = nullptr;
  std::size_t size_, mapped_ = 0;
};

}  // namespace cnnfast::tests
