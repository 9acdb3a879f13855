// Dropout (see cnnfast/kernels/dropout.hpp).
#pragma once
#include "cnnfast/kernels/dropout.hpp"
#include "elementwise.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011),
// section 3.2, on 64 counters at once: plain loops over lanes, which compilers turn into vectors (loops over fewer
// lanes they unroll instead).
static constexpr int kPhiloxLanes = 64;
static constexpr std::int64_t kPhiloxBlock = 4 * kPhiloxLanes;  // elements that the counters serve

struct PhiloxWords {
  std::uint32_t word[4][kPhiloxLanes];
};

static inline void philox_round(PhiloxWords& p, std::uint32_t key0, std::uint32_t key1) {
  std::uint32_t *w0 = p.word[0], *w1 = p.word[1], *w2 = p.word[2], *w3 = p.word[3];
  for (int l = 0; l < kPhiloxLanes; ++l) {
    const std::uint32_t a = w0[l], b = w2[l];
    const std::uint32_t a_high = static_cast<std::uint32_t>((std::uint64_t{0xD2511F53u} * a) >> 32);
    const std::uint32_t b_high = static_cast<std::uint32_t>((std::uint64_t{0xCD9E8D57u} * b) >> 32);
    w0[l] = b_high ^ w1[l] ^ key0;
    w2[l] = a_high ^ w3[l] ^ key1;
    w1[l] = 0xCD9E8D57u * b;
    w3[l] = 0xD2511F53u * a;
  }
}

// The words of counters (64 * block + lane, salt) under key `seed`. Element 256 * block + 64 * w + lane takes word w.
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
      for (int w = 0; w < 4; ++w)
        for (int l = 0; l < kPhiloxLanes; ++l)
          keep[w * kPhiloxLanes + l] = p.word[w][l] >= s.threshold ? 1.0f : 0.0f;
      // A choice, not a product: what is dropped is 0 even where x is infinite.
      const std::int64_t count = i + kPhiloxBlock < end ? kPhiloxBlock : end - i;
      for_each_vector_in(0, count, [&](std::int64_t e, std::int64_t lanes) {
        const Vec kept = vload_lanes(x + i + e, lanes) * scale;
        vstore_lanes(y + i + e, vselect_gt(vload_lanes(keep + e, lanes), vzero(), kept, vzero()), lanes);
      });
    }
  });
}

static constexpr DropoutKernels dropout_kernels = {dropout};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
