// Dropout (see cnnfast/kernels/dropout.hpp).
#pragma once
#include "cnnfast/kernels/dropout.hpp"
#include "elementwise.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011),
// section 3.2, on 16 counters at once: plain loops over lanes, which compilers turn into vectors.
static constexpr int kPhiloxLanes = 16;
static constexpr std::int64_t kPhiloxBlock = 4 * kPhiloxLanes;  // elements served by the 16 counters

struct PhiloxWords {
  std::uint32_t word[4][kPhiloxLanes];
};

static inline void philox_round(PhiloxWords& p, std::uint32_t key0, std::uint32_t key1) {
  for (int l = 0; l < kPhiloxLanes; ++l) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * p.word[0][l], b = std::uint64_t{0xCD9E8D57u} * p.word[2][l];
    p.word[0][l] = static_cast<std::uint32_t>(b >> 32) ^ p.word[1][l] ^ key0;
    p.word[2][l] = static_cast<std::uint32_t>(a >> 32) ^ p.word[3][l] ^ key1;
    p.word[1][l] = static_cast<std::uint32_t>(b);
    p.word[3][l] = static_cast<std::uint32_t>(a);
  }
}

// The words of counters (16 * block + lane, salt) under key `seed`. Element 64 * block + 16 * w + lane takes word w.
static inline PhiloxWords philox(std::uint64_t seed, std::uint64_t salt, std::uint64_t block) {
  PhiloxWords p;
  for (int l = 0; l < kPhiloxLanes; ++l) {
    const std::uint64_t counter = block * kPhiloxLanes + static_cast<std::uint64_t>(l);
    p.word[0][l] = static_cast<std::uint32_t>(counter);
    p.word[1][l] = static_cast<std::uint32_t>(counter >> 32);
    p.word[2][l] = static_cast<std::uint32_t>(salt);
    p.word[3][l] = static_cast<std::uint32_t>(salt >> 32);
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) philox_round(p, key0, key1);
  return p;
}

static void dropout(std::int64_t n, const DropoutSettings& s, const float* x, float* y) {
  static_assert(kElementwiseBlock % kPhiloxBlock == 0, "a task starts at a block of the generator");
  const Vec scale = vset(s.scale);
  parallel((n + kElementwiseBlock - 1) / kElementwiseBlock, [&](std::int64_t task, int) {
    std::int64_t i = task * kElementwiseBlock;
    const std::int64_t end = i + kElementwiseBlock < n ? i + kElementwiseBlock : n;
    for (; i < end; i += kPhiloxBlock) {
      const PhiloxWords p = philox(s.seed, s.salt, static_cast<std::uint64_t>(i / kPhiloxBlock));
      float keep[kPhiloxBlock];
      for (int e = 0; e < kPhiloxBlock; ++e)
        keep[e] = p.word[e / kPhiloxLanes][e % kPhiloxLanes] >= s.threshold ? 1.0f : 0.0f;
      // A choice, not a product: what is dropped is 0 even where x is infinite.
      for_each_vector_in(0, i + kPhiloxBlock < end ? kPhiloxBlock : end - i, [=](std::int64_t e, std::int64_t lanes) {
        const Vec kept = vload_lanes(x + i + e, lanes) * scale;
        vstore_lanes(y + i + e, vselect_gt(vload_lanes(keep + e, lanes), vzero(), kept, vzero()), lanes);
      });
    }
  });
}

static constexpr DropoutKernels dropout_kernels = {dropout};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
