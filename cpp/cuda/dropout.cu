// Dropout: what is dropped follows from the run's seed as on the CPU, element by element (see kernels/dropout.hpp).
#include "../runtime/steps/broadcast.hpp"
#include "../runtime/steps/dropout.hpp"
#include "broadcast.hpp"
#include "elementwise.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

constexpr int kWords = 4, kLanes = 64;  // element 256 * block + 64 * w + lane takes word w of counter 64 * block + lane
static_assert(kWords == kTogether, "a thread has a vector for each word under way");

// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011),
// section 3.2: the words of counter (counter, salt) under key `seed`.
__device__ inline void philox(std::uint64_t seed, std::uint64_t counter, std::uint64_t salt,
                              std::uint32_t (&word)[kWords]) {
  word[0] = static_cast<std::uint32_t>(counter), word[1] = static_cast<std::uint32_t>(counter >> 32);
  word[2] = static_cast<std::uint32_t>(salt), word[3] = static_cast<std::uint32_t>(salt >> 32);
  std::uint32_t key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * word[0], b = std::uint64_t{0xCD9E8D57u} * word[2];
    word[0] = static_cast<std::uint32_t>(b >> 32) ^ word[1] ^ key0;
    word[2] = static_cast<std::uint32_t>(a >> 32) ^ word[3] ^ key1;
    word[1] = static_cast<std::uint32_t>(b);
    word[3] = static_cast<std::uint32_t>(a);
  }
}

// x -> y. No x: 1 everywhere.
template <class T>
__global__ void __launch_bounds__(kBlock)
    dropout_kernel(std::int64_t n, DropoutSettings s, const DeviceRun* run, const T* x, T* y) {
  constexpr int N = kVector<T>, kThreads = kLanes / N;  // threads for 256 elements, each with N lanes of all words
  const std::int64_t thread = grid_first(), block = thread / kThreads, lane = thread % kThreads * N;
  const std::int64_t first = block * kWords * kLanes + lane;
  const auto at = [first](int w) { return first + w * kLanes; };
  Vector<T, N> v[kWords];
#pragma unroll
  for (int w = 0; w < kWords; ++w)
    if (x && at(w) + N <= n) v[w] = *reinterpret_cast<const Vector<T, N>*>(x + at(w));
  std::uint32_t kept = 0;  // bit w * N + j
  static_assert(kWords * N <= 32, "a bit for each element");
  const std::uint64_t seed = run->seed;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    std::uint32_t word[kWords];
    philox(seed, static_cast<std::uint64_t>(block * kLanes + lane + j), s.salt, word);
#pragma unroll
    for (int w = 0; w < kWords; ++w) kept |= static_cast<std::uint32_t>(word[w] >= s.threshold) << (w * N + j);
  }
  // A choice, not a product: what is dropped is 0 even where x is infinite.
  const auto chosen = [kept, scale = s.scale](int bit, float value) { return kept >> bit & 1u ? value * scale : 0.0f; };
#pragma unroll
  for (int w = 0; w < kWords; ++w) {
    if (at(w) + N <= n) {
      float result[N];
#pragma unroll
      for (int j = 0; j < N; ++j) result[j] = chosen(w * N + j, x ? to_float(v[w].at[j]) : 1.0f);
      store<N>(y + at(w), result);
    } else {
      for (int j = 0; at(w) + j < n; ++j)
        y[at(w) + j] = from_float<T>(chosen(w * N + j, x ? to_float(x[at(w) + j]) : 1.0f));
    }
  }
}

template <class T>
void launch_dropout(std::int64_t n, const DropoutSettings& settings, const T* x, T* y, const StepArgs& a) {
  constexpr int elements = kWords * kLanes;
  const std::int64_t threads = ceil_div(n, elements) * (kLanes / kVector<T>);
  const int block = block_for(threads);
  launch(dropout_kernel<T>, grid_for(threads, block, INT32_MAX), block, 0, stream_of(a), n, settings, a.run, x, y);
}

// x -> y, or dy -> dx; attributes "rate", "salt" and perhaps "noise_shape", where a size of 1 shares what is dropped
Step dropout(const OpSpec& spec) {
  const DropoutSettings settings = dropout_settings(spec.attributes, 0);  // the seed is read on the device
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), [&](auto number) -> Step {
    using T = decltype(number);
    if (!spec.attributes.has("noise_shape"))
      return {"", 0, [n = spec.in[0].count(), settings](const StepArgs& a) {
                launch_dropout(n, settings, a.input<T>(0), a.output<T>(0), a);
              }};
    const TensorSpec noise{Dtype::float32, spec.attributes.list("noise_shape")};
    const BroadcastShape shape = broadcast_shape(spec.in[0].shape, noise.shape, spec.out[0].shape);
    return {"", noise.bytes(), [=, count = noise.count()](const StepArgs& a) {
              launch_dropout<float>(count, settings, nullptr, a.scratch(), a);
              broadcast(shape, Product{}, a.input<T>(0), static_cast<const float*>(a.scratch()), a.output<T>(0),
                        stream_of(a));
            }};
  });
}

}  // namespace

void add_dropout_steps(StepRegistry& registry) { registry["dropout"] = dropout; }

}  // namespace cnnfast::cuda
