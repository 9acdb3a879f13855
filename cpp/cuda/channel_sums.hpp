// Two sums for each channel of x (M,C), and then a pass over x that needs them: the two halves of batch normalization.
// Large tensors take a launch for the sums of chunks of rows, one that joins the chunks, and one for the pass; where
// chunks are few, each block of the pass joins those of its channels; small tensors take one launch in all.
#pragma once
#include <algorithm>
#include <cstdint>

#include "launch.hpp"
#include "numbers.hpp"

namespace cnnfast::cuda {

// How blocks divide x (M,C). A thread owns a group of V neighbouring channels; a block has `tile` such groups side by
// side and `lanes` rows of them. Block (i, j) takes the i-th tile and of x's runs of `lanes` rows the j-th and, as long
// as there are some, each one `chunks` further on: so all blocks together sweep over memory.
struct ChannelGrid {
  std::int64_t M, C;
  int tile, lanes;
  std::int64_t tiles, chunks;
  int threads() const { return tile * lanes; }
  dim3 grid() const { return dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(chunks)); }
};

constexpr int kChannelThreads = 256, kSmallThreads = 512, kJoinThreads = 1024, kJoinChannels = 32;
constexpr int kSumsBlocks = 3;                        // of the sums' kernel, on a multiprocessor at a time
constexpr std::int64_t kOneWave = kSumsBlocks * 132;  // on the largest devices

// Blocks of up to `threads` threads with up to `widest` groups side by side; at most about `blocks` of them, and so few
// that a thread has at least `rows` rows.
inline ChannelGrid channel_grid(std::int64_t M, std::int64_t C, int V, int threads, std::int64_t widest,
                                std::int64_t blocks, std::int64_t rows) {
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t groups = up(C, V), fewest = up(groups, std::min<std::int64_t>(widest, threads));
  const std::int64_t tile = up(groups, fewest), lanes = std::min(threads / tile, M), tiles = up(groups, tile);
  const std::int64_t chunks = std::min({up(blocks, tiles), up(M, lanes * rows), std::int64_t{65535}});
  return {M, C, static_cast<int>(tile), static_cast<int>(lanes), tiles, chunks};
}

// Where a thread is in its block, and its first channel.
template <int V>
struct ChannelPlace {
  int group, lane;
  std::int64_t channel;
  bool inside;
  __device__ explicit ChannelPlace(const ChannelGrid& g)
      : group(static_cast<int>(threadIdx.x) % g.tile),
        lane(static_cast<int>(threadIdx.x) / g.tile),
        channel((static_cast<std::int64_t>(blockIdx.x) * g.tile + group) * V),
        inside(channel < g.C) {}
};

// The rows of a thread, from the first to the last or the other way round: what the sums read last is still in the
// cache when the pass begins with it.
struct ChannelRows {
  std::int64_t at, pitch;  // of the first row's element in x; from one to the next
  int count;
  template <int V>
  __device__ ChannelRows(const ChannelGrid& g, const ChannelPlace<V>& place, bool backwards) {
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * g.lanes + place.lane;
    const std::int64_t step = static_cast<std::int64_t>(gridDim.y) * g.lanes;
    count = place.inside && first < g.M ? static_cast<int>((g.M - 1 - first) / step) + 1 : 0;
    const std::int64_t begin = backwards && count ? first + (count - 1) * step : first;
    at = begin * g.C + place.channel;
    pitch = backwards ? -step * g.C : step * g.C;
  }
};

// Calls thread.template run<WHOLE>(at, pitch, present) for TOGETHER rows at a time, or at the end for `present` fewer:
// that many loads are under way at once.
template <int TOGETHER, class Thread>
__device__ inline void for_rows(const ChannelRows& rows, Thread& thread) {
  std::int64_t at = rows.at;
  int left = rows.count;
  for (; left >= TOGETHER; left -= TOGETHER, at += TOGETHER * rows.pitch)
    thread.template run<true>(at, rows.pitch, TOGETHER);
  if (left > 0) thread.template run<false>(at, rows.pitch, left);
}

template <bool WHOLE, int TOGETHER, class T, int V>
__device__ inline void load_rows(const T* x, std::int64_t at, std::int64_t pitch, int present,
                                 Vector<T, V> (&rows)[TOGETHER]) {
#pragma unroll
  for (int u = 0; u < TOGETHER; ++u)
    if (WHOLE || u < present) rows[u] = *reinterpret_cast<const Vector<T, V>*>(x + at + u * pitch);
}

// Sums of each of N numbers over the lanes of a block of `width` columns, pairwise; lane 0 gets them. `shared` has room
// for N numbers a thread.
template <int N, class Number>
__device__ inline void sum_lanes(Number (&number)[N], Number* shared, int width, int lanes) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x), lane = thread / width;
#pragma unroll
  for (int i = 0; i < N; ++i) shared[i * threads + thread] = number[i];
  for (int rows = lanes; rows > 1;) {
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (lane + half < rows)
#pragma unroll
      for (int i = 0; i < N; ++i) shared[i * threads + thread] += shared[i * threads + thread + half * width];
    rows = half;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) number[i] = shared[i * threads + thread];
}

// What is known of a channel once its sums are.
struct ChannelPair {
  float first, second;
};

// Sums is a plain struct with
//   kVector, kTogether, kParts          channels of a thread, rows under way, floats of a chunk's partial result
//   Thread: begin(sums, grid, place), run(...), sum[2 V], part(i, v): the i-th float of channel v's partial result
//   add(part, pitch, n, origin, sum)    a chunk of n rows, to both sums in double
//   origin(part, pitch)                 of the first chunk, what `add` is given for all
//   pair(grid, channel, sum, origin)    from the sums of all rows
//   store(channel, pair)
// and Map is one with kVector, kTogether and Thread: begin(map, grid, place, first, second), run(...), where first and
// second point to the pairs' numbers of the thread's own channels.

// The sums of each chunk: partial[(chunk * kParts + i) * C + channel].
template <class Sums>
__global__ void __launch_bounds__(kChannelThreads, kSumsBlocks) sums_kernel(Sums sums, ChannelGrid g, float* partial) {
  constexpr int V = Sums::kVector;
  const ChannelPlace<V> place(g);
  typename Sums::Thread thread(sums);
  if (place.inside) {
    thread.begin(g, place);
    for_rows<Sums::kTogether>(ChannelRows(g, place, false), thread);
  }
  sum_lanes(thread.sum, dynamic_shared<float>(), g.tile, g.lanes);
  if (place.lane != 0 || !place.inside) return;
#pragma unroll
  for (int i = 0; i < Sums::kParts; ++i) {
    float part[V];
#pragma unroll
    for (int v = 0; v < V; ++v) part[v] = thread.part(i, v);
    constexpr int kPiece = V % 4 == 0 ? 4 : 1;
#pragma unroll
    for (int v = 0; v < V; v += kPiece) {
      float piece[kPiece];
#pragma unroll
      for (int k = 0; k < kPiece; ++k) piece[k] = part[v + k];
      store<kPiece>(partial + (blockIdx.y * Sums::kParts + i) * g.C + place.channel + v, piece);
    }
  }
}

// How many rows a chunk has.
__device__ inline std::int64_t rows_of_chunk(const ChannelGrid& g, std::int64_t chunk) {
  const std::int64_t round = g.lanes * g.chunks, rest = g.M % round - chunk * g.lanes;
  return g.M / round * g.lanes + (rest < 0 ? 0 : rest < g.lanes ? rest : g.lanes);
}

// Joins the chunks of channels first, first + 1, ... first + width - 1, each with as many threads as the block has for
// it; true in one of the threads of each channel, which gets its pair. `shared` has room for two numbers a thread.
template <class Sums>
__device__ inline bool join_chunks(const Sums& sums, const ChannelGrid& g, const float* partial, std::int64_t first,
                                   int width, double* shared, ChannelPair& pair) {
  const int column = static_cast<int>(threadIdx.x) % width, lane = static_cast<int>(threadIdx.x) / width;
  const int lanes = static_cast<int>(blockDim.x) / width;
  const std::int64_t channel = first + column;
  double sum[2] = {};
  float origin = 0.0f;
  if (channel < g.C) {
    origin = sums.origin(partial + channel, g.C);
    if (lane < lanes)
#pragma unroll 4
      for (std::int64_t chunk = lane; chunk < g.chunks; chunk += lanes)
        sums.add(partial + chunk * Sums::kParts * g.C + channel, g.C, static_cast<double>(rows_of_chunk(g, chunk)),
                 origin, sum);
  }
  sum_lanes(sum, shared, width, lanes);
  if (lane != 0 || channel >= g.C) return false;
  pair = sums.pair(g, channel, sum, origin);
  return true;
}

template <class Sums>
__global__ void __launch_bounds__(kJoinThreads) join_kernel(Sums sums, ChannelGrid g, const float* partial) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kJoinChannels;
  const int width = static_cast<int>(g.C - first < kJoinChannels ? g.C - first : kJoinChannels);
  ChannelPair pair{};
  if (join_chunks(sums, g, partial, first, width, dynamic_shared<double>(), pair))
    sums.store(first + static_cast<int>(threadIdx.x) % width, pair);
}

template <class Map>
__global__ void __launch_bounds__(kChannelThreads, Map::kBlocks)
    pass_kernel(Map map, ChannelGrid g, const float* first, const float* second) {
  const ChannelPlace<Map::kVector> place(g);
  if (!place.inside) return;
  typename Map::Thread thread(map);
  thread.begin(g, place, first + place.channel, second + place.channel);
  for_rows<Map::kTogether>(ChannelRows(g, place, true), thread);
}

// As pass_kernel, from the sums of the chunks. `summed` is the grid that these were made with.
template <class Sums, class Map>
__global__ void __launch_bounds__(kChannelThreads, Map::kBlocks)
    joining_pass_kernel(Sums sums, Map map, ChannelGrid summed, ChannelGrid g, const float* partial) {
  constexpr int V = Map::kVector;
  double* const shared = dynamic_shared<double>();
  float* const pairs = reinterpret_cast<float*>(shared + 2 * blockDim.x);
  const ChannelPlace<V> place(g);
  const int width = g.tile * V;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * width;
  ChannelPair pair{};
  if (join_chunks(sums, summed, partial, first, width, shared, pair)) {
    const int column = static_cast<int>(threadIdx.x) % width;
    pairs[column] = pair.first, pairs[width + column] = pair.second;
    if (blockIdx.y == 0) sums.store(first + column, pair);
  }
  __syncthreads();
  if (!place.inside) return;
  typename Map::Thread thread(map);
  thread.begin(g, place, pairs + place.group * V, pairs + width + place.group * V);
  for_rows<Map::kTogether>(ChannelRows(g, place, true), thread);
}

// Both halves in one block for each tile. The results of the sums are stored too.
template <class Sums, class Map>
__global__ void __launch_bounds__(kSmallThreads) small_kernel(Sums sums, Map map, ChannelGrid g) {
  constexpr int V = Sums::kVector;
  float* const shared = dynamic_shared<float>();
  float* const pairs = shared + 2 * V * blockDim.x;
  const ChannelPlace<V> place(g);
  typename Sums::Thread thread(sums);
  if (place.inside) {
    thread.begin(g, place);
    for_rows<Sums::kTogether>(ChannelRows(g, place, false), thread);
  }
  sum_lanes(thread.sum, shared, g.tile, g.lanes);
  if (place.lane == 0 && place.inside)
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const double sum[2] = {thread.sum[v], thread.sum[V + v]};
      const ChannelPair pair = sums.pair(g, place.channel + v, sum, thread.origin(v));
      sums.store(place.channel + v, pair);
      pairs[place.group * V + v] = pair.first, pairs[(g.tile + place.group) * V + v] = pair.second;
    }
  __syncthreads();
  if (!place.inside) return;
  typename Map::Thread mapped(map);
  mapped.begin(g, place, pairs + place.group * V, pairs + (g.tile + place.group) * V);
  for_rows<Map::kTogether>(ChannelRows(g, place, true), mapped);
}

// Of a pass over x that needs no sums.
inline ChannelGrid pass_grid(std::int64_t M, std::int64_t C, int V) {
  const bool small = M * C <= 1 << 22;
  return channel_grid(M, C, V, kChannelThreads, kWarp, small ? kOneWave : 4 * kOneWave, small ? 4 : 16);
}

// The launches for a tensor.
struct ChannelPlan {
  enum class Way { one_launch, joining_pass, three_launches };
  Way way;
  ChannelGrid sums, pass;

  // x (M,C) of numbers of `bytes` bytes, V of them a thread.
  ChannelPlan(std::int64_t M, std::int64_t C, int V, int bytes) {
    // Of a small tensor, a block takes what one sector of memory (32 bytes) has of a row, or more if rows are few.
    const std::int64_t sector = std::max(32 / (V * bytes), 1);
    if (M <= 4096 && M * C <= 1 << 20) {
      way = Way::one_launch;
      sums = pass = channel_grid(M, C, V, kSmallThreads, std::max(sector, kChannelThreads / M), 1, M);
      sums.chunks = pass.chunks = 1;
      return;
    }
    const std::int64_t width = 64 / V;
    sums = pass = channel_grid(M, C, V, kChannelThreads, width, kOneWave / 2, 8);
    if (M * C <= 1 << 22 && sums.threads() >= sums.tile * V) {
      way = Way::joining_pass;
      // Each block of the pass reads what all chunks have of its channels.
      sums.chunks = std::min<std::int64_t>(sums.chunks, 4096 / (sums.tile * V));
      return;
    }
    way = Way::three_launches;
    sums = channel_grid(M, C, V, kChannelThreads, kWarp, kOneWave, 16);
    pass = pass_grid(M, C, V);
  }
  std::int64_t workspace_bytes(int parts) const {
    return way == Way::one_launch ? 0 : sums.chunks * parts * sums.C * static_cast<std::int64_t>(sizeof(float));
  }
};

template <class Sums>
void launch_sums(const Sums& sums, const ChannelGrid& g, float* partial, cudaStream_t stream) {
  launch(sums_kernel<Sums>, g.grid(), g.threads(), 2 * Sums::kVector * g.threads() * sizeof(float), stream, sums, g,
         partial);
}
template <class Sums>
void launch_join(const Sums& sums, const ChannelGrid& g, const float* partial, cudaStream_t stream) {
  launch(join_kernel<Sums>, static_cast<unsigned>((g.C + kJoinChannels - 1) / kJoinChannels), kJoinThreads,
         2 * kJoinThreads * sizeof(double), stream, sums, g, partial);
}
template <class Map>
void launch_pass(const Map& map, const ChannelGrid& g, const float* first, const float* second, cudaStream_t stream) {
  launch(pass_kernel<Map>, g.grid(), g.threads(), 0, stream, map, g, first, second);
}

template <class Sums, class Map>
void launch_small(const Sums& sums, const Map& map, const ChannelGrid& g, cudaStream_t stream) {
  launch(small_kernel<Sums, Map>, g.grid(), g.threads(), 2 * Sums::kVector * (g.threads() + g.tile) * sizeof(float),
         stream, sums, map, g);
}

// The sums alone, in one launch by a block for each tile and with a pass that does nothing, or in two.
template <class Nothing, class Sums>
void sum_only(const ChannelPlan& plan, const Sums& sums, float* workspace, cudaStream_t stream) {
  if (plan.way == ChannelPlan::Way::one_launch) return launch_small(sums, Nothing{}, plan.sums, stream);
  launch_sums(sums, plan.sums, workspace, stream);
  launch_join(sums, plan.sums, workspace, stream);
}

template <class Sums, class Map>
void sum_and_pass(const ChannelPlan& plan, const Sums& sums, const Map& map, float* workspace, cudaStream_t stream) {
  const ChannelGrid &s = plan.sums, &p = plan.pass;
  if (plan.way == ChannelPlan::Way::one_launch) return launch_small(sums, map, s, stream);
  launch_sums(sums, s, workspace, stream);
  if (plan.way == ChannelPlan::Way::joining_pass)
    return launch(joining_pass_kernel<Sums, Map>, p.grid(), p.threads(),
                  2 * p.threads() * sizeof(double) + 2 * Map::kVector * p.tile * sizeof(float), stream, sums, map, s, p,
                  static_cast<const float*>(workspace));
  launch_join(sums, s, workspace, stream);
  launch_pass(map, p, sums.first, sums.second, stream);
}

}  // namespace cnnfast::cuda
