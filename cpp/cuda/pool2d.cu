// Pooling (see cnnfast/kernels/pool2d.hpp). A thread makes the numbers of some neighbouring channels of one pixel; the
// gradients gather: each element of dx sums what its windows send back, in a fixed order. Windows as large as the image
// are shared among the threads of a block.
#include <algorithm>

#include "../runtime/steps/pool2d.hpp"
#include "divisor.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

constexpr int kPoolThreads = 256;

struct NoPositions {};  // where positions of the largest elements are not wanted

// Positions [first, last) on one axis.
struct Span {
  std::int64_t first, last;
  __device__ std::int64_t count() const { return last - first; }
};

// The input positions of window `out`.
__device__ inline Span window_of(std::int64_t out, std::int64_t stride, std::int64_t pad, std::int64_t window,
                                 std::int64_t size) {
  const std::int64_t start = out * stride - pad, end = start + window;
  return {start < 0 ? 0 : start, end < size ? end : size};
}

template <class T, int V>
__device__ inline Vector<T, V> load_vector(const T* from) {
  return *reinterpret_cast<const Vector<T, V>*>(from);
}

// The largest of some numbers, channel by channel, and the position of the first that has it. NaN is larger than all.
template <int V, bool POSITIONS>
struct Largest {
  float value[V];
  int where[POSITIONS ? V : 1];

  __device__ explicit Largest(int first) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      value[v] = -INFINITY;
      if (POSITIONS) where[v] = first;
    }
  }
  template <class T>
  __device__ void meet(const Vector<T, V>& x, int position) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const float a = to_float(x.at[v]);
      const bool larger = a > value[v];
      if (POSITIONS && larger) where[v] = position;
      if (larger || isnan(a)) value[v] = a;
    }
  }
  // As if all had been met in the order of their positions (which of the others is first after a NaN is left open).
  __device__ void join(const Largest& other) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const bool larger = other.value[v] > value[v];
      if (POSITIONS && (larger || (other.value[v] == value[v] && other.where[v] < where[v]))) where[v] = other.where[v];
      if (larger || isnan(other.value[v])) value[v] = other.value[v];
    }
  }
  template <class T, class Position>
  __device__ void store_at(std::int64_t at, T* y, Position* argmax) const {
    store<V>(y + at, value);
    if constexpr (POSITIONS) {
      Vector<Position, V> positions;
#pragma unroll
      for (int v = 0; v < V; ++v) positions.at[v] = static_cast<Position>(where[v]);
      *reinterpret_cast<Vector<Position, V>*>(argmax + at) = positions;
    }
  }
};

// What follows makes channels c to c + V - 1 of one pixel (or cell of pixels), as its operator()(n, row, column, c).

template <class T, int V, class Position>
struct MaxPool {
  static constexpr int kVector = V;
  static constexpr bool kPositions = !std::is_same_v<Position, NoPositions>;
  Pool2dShape s;
  const T* x;
  T* y;
  Position* argmax;

  // A window that the image's edges do not cut.
  template <int SIZE>
  __device__ void whole(const T* from, Largest<V, kPositions>& largest) const {
    Vector<T, V> window[SIZE * SIZE];
#pragma unroll
    for (int i = 0; i < SIZE * SIZE; ++i) window[i] = load_vector<T, V>(from + (i / SIZE * s.W + i % SIZE) * s.C);
#pragma unroll
    for (int i = 0; i < SIZE * SIZE; ++i) largest.meet(window[i], i);
  }
  __device__ void operator()(std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t c) const {
    const Span rows = window_of(p, s.stride_h, s.pad_top, s.R, s.H);
    const Span cols = window_of(q, s.stride_w, s.pad_left, s.S, s.W);
    const std::int64_t cut_above = rows.first - (p * s.stride_h - s.pad_top);
    const std::int64_t cut_left = cols.first - (q * s.stride_w - s.pad_left);
    const int first = static_cast<int>(cut_above * s.S + cut_left);
    const T* from = x + ((n * s.H + rows.first) * s.W + cols.first) * s.C + c;
    Largest<V, kPositions> largest(first);
    const bool uncut = rows.count() == s.R && cols.count() == s.S;
    if (uncut && s.R == 2 && s.S == 2)
      whole<2>(from, largest);
    else if (uncut && s.R == 3 && s.S == 3)
      whole<3>(from, largest);
    else
      for (std::int64_t r = 0; r < rows.count(); ++r, from += s.W * s.C)
        for (std::int64_t i = 0; i < cols.count(); ++i)
          largest.meet(load_vector<T, V>(from + i * s.C), static_cast<int>(first + r * s.S + i));
    largest.store_at(((n * s.P + p) * s.Q + q) * s.C + c, y, argmax);
  }
};

template <class T, int V>
struct AveragePool {
  static constexpr int kVector = V;
  Pool2dShape s;
  const T* x;
  T* y;

  __device__ void operator()(std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t c) const {
    const Span rows = window_of(p, s.stride_h, s.pad_top, s.R, s.H);
    const Span cols = window_of(q, s.stride_w, s.pad_left, s.S, s.W);
    float sum[V] = {};
    for (std::int64_t h = rows.first; h < rows.last; ++h) {
      const T* from = x + ((n * s.H + h) * s.W + cols.first) * s.C + c;
      float row[V] = {};  // rows apart: the rounding error of a large window grows with R + S, not R * S
#pragma unroll 4
      for (std::int64_t w = cols.first; w < cols.last; ++w, from += s.C) {
        const Vector<T, V> a = load_vector<T, V>(from);
#pragma unroll
        for (int v = 0; v < V; ++v) row[v] += to_float(a.at[v]);
      }
#pragma unroll
      for (int v = 0; v < V; ++v) sum[v] += row[v];
    }
    const float share = 1.0f / static_cast<float>(rows.count() * cols.count());
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] *= share;
    store<V>(y + ((n * s.P + p) * s.Q + q) * s.C + c, sum);
  }
};

// What window (p, q) sends back to the element at one position in it.
template <class T, int V, class Position>
struct MaxShare {
  const T* dy;
  const Position* argmax;

  __device__ void add(const Pool2dShape& s, std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t c,
                      int position, float (&sum)[V]) const {
    const std::int64_t at = ((n * s.P + p) * s.Q + q) * s.C + c;
    const Vector<T, V> from = load_vector<T, V>(dy + at);
    const Vector<Position, V> where = load_vector<Position, V>(argmax + at);
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] += static_cast<int>(where.at[v]) == position ? to_float(from.at[v]) : 0.0f;
  }
};
template <class T, int V>
struct AverageShare {
  const T* dy;

  __device__ void add(const Pool2dShape& s, std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t c, int,
                      float (&sum)[V]) const {
    const Vector<T, V> from = load_vector<T, V>(dy + ((n * s.P + p) * s.Q + q) * s.C + c);
    const std::int64_t count =
        window_of(p, s.stride_h, s.pad_top, s.R, s.H).count() * window_of(q, s.stride_w, s.pad_left, s.S, s.W).count();
    const float share = 1.0f / static_cast<float>(count);
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] += to_float(from.at[v]) * share;
  }
};

// One pixel of dx: the sum of what all windows over it send back.
template <class T, int V, class Share, class Index>
struct PoolGather {
  static constexpr int kVector = V;
  Pool2dShape s;
  Divisor<Index> stride_h, stride_w;
  Share share;
  T* dx;

  // The windows that hold input position `at` - pad.
  static __device__ Span windows_over(std::int64_t at, const Divisor<Index>& stride, std::int64_t window,
                                      std::int64_t out_size) {
    const std::int64_t last = static_cast<std::int64_t>(stride.quotient(static_cast<Index>(at))) + 1;
    return {at < window ? 0 : static_cast<std::int64_t>(stride.quotient(static_cast<Index>(at - window))) + 1,
            last < out_size ? last : out_size};
  }
  __device__ void operator()(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
    const Span rows = windows_over(h + s.pad_top, stride_h, s.R, s.P);
    const Span cols = windows_over(w + s.pad_left, stride_w, s.S, s.Q);
    float sum[V] = {};
    for (std::int64_t p = rows.first; p < rows.last; ++p)
      for (std::int64_t q = cols.first; q < cols.last; ++q)
        share.add(s, n, p, q, c,
                  static_cast<int>((h + s.pad_top - p * s.stride_h) * s.S + w + s.pad_left - q * s.stride_w), sum);
    store<V>(dx + ((n * s.H + h) * s.W + w) * s.C + c, sum);
  }
};

// Of windows that are two apart on both axes and at most 2 REACH long, a cell of 2 x 2 pixels at once: what REACH x
// REACH windows send back is read once instead of for each pixel.
template <class T, int V, class Position, int REACH>
struct MaxCells {
  static constexpr int kVector = V;
  Pool2dShape s;
  MaxShare<T, V, Position> share;
  T* dx;

  __device__ void operator()(std::int64_t n, std::int64_t i, std::int64_t j, std::int64_t c) const {
    float sum[4][V] = {};
#pragma unroll
    for (int above = REACH - 1; above >= 0; --above)
#pragma unroll
      for (int left = REACH - 1; left >= 0; --left) {
        const std::int64_t p = i - above, q = j - left;
        const bool inside = p >= 0 && p < s.P && q >= 0 && q < s.Q;
        const std::int64_t at = inside ? ((n * s.P + p) * s.Q + q) * s.C + c : c;  // all loads can start at once
        const Vector<T, V> from = load_vector<T, V>(share.dy + at);
        const Vector<Position, V> where = load_vector<Position, V>(share.argmax + at);
#pragma unroll
        for (int pixel = 0; pixel < 4; ++pixel) {
          const int r = 2 * above + pixel / 2, column = 2 * left + pixel % 2;
          const int position = inside && r < s.R && column < s.S ? r * static_cast<int>(s.S) + column : -1;
#pragma unroll
          for (int v = 0; v < V; ++v)
            sum[pixel][v] += static_cast<int>(where.at[v]) == position ? to_float(from.at[v]) : 0.0f;
        }
      }
#pragma unroll
    for (int pixel = 0; pixel < 4; ++pixel) {
      const std::int64_t h = 2 * i + pixel / 2 - s.pad_top, w = 2 * j + pixel % 2 - s.pad_left;
      if (h >= 0 && h < s.H && w >= 0 && w < s.W) store<V>(dx + ((n * s.H + h) * s.W + w) * s.C + c, sum[pixel]);
    }
  }
};

// Calls pixels(n, row, column, c) for all of N grids of rows x cols and all groups of channels, which are the fastest.
template <class Pixels, class Index>
__global__ void __launch_bounds__(kPoolThreads)
    pixels_kernel(Pixels pixels, std::int64_t count, Divisor<Index> groups, Divisor<Index> cols, Divisor<Index> rows) {
  for (std::int64_t i = grid_first(); i < count; i += grid_step()) {
    Index rest = static_cast<Index>(i);
    const std::int64_t c = static_cast<std::int64_t>(groups.split(rest)) * Pixels::kVector;
    const std::int64_t column = cols.split(rest), row = rows.split(rest);
    pixels(rest, row, column, c);
  }
}

struct PixelGrid {
  std::int64_t N, rows, cols, C;
};

template <class Index, class Pixels>
void launch_pixels_as(const PixelGrid& g, const Pixels& pixels, cudaStream_t stream) {
  const std::int64_t groups = g.C / Pixels::kVector, count = g.N * g.rows * g.cols * groups;
  using D = Divisor<Index>;
  launch(pixels_kernel<Pixels, Index>, grid_for(count, kPoolThreads), kPoolThreads, 0, stream, pixels, count, D(groups),
         D(g.cols), D(g.rows));
}
template <class Pixels>
void launch_pixels(const PixelGrid& g, const Pixels& pixels, cudaStream_t stream) {
  with_index(g.N * g.rows * g.cols * (g.C / Pixels::kVector),
             [&](auto index) { launch_pixels_as<decltype(index)>(g, pixels, stream); });
}

// The mean of some numbers, channel by channel.
template <int V>
struct Total {
  float sum[V];

  __device__ explicit Total(int) {
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] = 0.0f;
  }
  __device__ void join(const Total& other) {
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] += other.sum[v];
  }
};

// Some pixels of an image for a Total (summed before they are added, for the rounding error's sake) or a Largest.
template <int TOGETHER, class T, int V>
__device__ inline void meet_all(const Vector<T, V> (&x)[TOGETHER], int, int, int present, Total<V>& total) {
  Total<V> few(0);
#pragma unroll
  for (int u = 0; u < TOGETHER; ++u)
    if (u < present)
#pragma unroll
      for (int v = 0; v < V; ++v) few.sum[v] += to_float(x[u].at[v]);
  total.join(few);
}
template <int TOGETHER, class T, int V, bool POSITIONS>
__device__ inline void meet_all(const Vector<T, V> (&x)[TOGETHER], int first, int step, int present,
                                Largest<V, POSITIONS>& largest) {
#pragma unroll
  for (int u = 0; u < TOGETHER; ++u)
    if (u < present) largest.meet(x[u], first + u * step);
}

template <class T, class Position, int V>
__device__ inline void finish_image(const Total<V>& total, int pixels, std::int64_t at, T* y, Position*) {
  const float share = 1.0f / static_cast<float>(pixels);
  float mean[V];
#pragma unroll
  for (int v = 0; v < V; ++v) mean[v] = total.sum[v] * share;
  store<V>(y + at, mean);
}
template <class T, class Position, int V, bool POSITIONS>
__device__ inline void finish_image(const Largest<V, POSITIONS>& largest, int, std::int64_t at, T* y,
                                    Position* argmax) {
  largest.store_at(at, y, argmax);
}

// How blocks divide N images: `tile` groups of channels side by side, and as many pixels at a time as there are lanes.
struct ImageGrid {
  std::int64_t C;
  int pixels, tile, lanes, tiles;
};

// x (N, pixels, C) -> y (N,C)
template <class State, class T, int V, class Position>
__global__ void __launch_bounds__(kPoolThreads) image_kernel(ImageGrid g, const T* x, T* y, Position* argmax) {
  constexpr int kTogether = 4;
  const int thread = static_cast<int>(threadIdx.x), lane = thread / g.tile;
  const std::int64_t n = blockIdx.x / g.tiles;
  const std::int64_t c = (static_cast<std::int64_t>(blockIdx.x % g.tiles) * g.tile + thread % g.tile) * V;
  State state(lane);
  if (c < g.C) {
    const T* image = x + n * g.pixels * g.C + c;
    for (int pixel = lane; pixel < g.pixels; pixel += kTogether * g.lanes) {
      const int left = (g.pixels - 1 - pixel) / g.lanes + 1, present = left < kTogether ? left : kTogether;
      Vector<T, V> some[kTogether];
#pragma unroll
      for (int u = 0; u < kTogether; ++u)
        if (u < present) some[u] = load_vector<T, V>(image + static_cast<std::int64_t>(pixel + u * g.lanes) * g.C);
      meet_all(some, pixel, g.lanes, present, state);
    }
  }
  State* const shared = dynamic_shared<State>();
  for (int rows = g.lanes; rows > 1;) {  // the upper half of the lanes is joined to the lower
    const int half = (rows + 1) / 2;
    if (lane >= half && lane < rows) shared[thread] = state;
    __syncthreads();
    if (lane + half < rows) state.join(shared[thread + half * g.tile]);
    rows = half;
  }
  if (lane == 0 && c < g.C) finish_image(state, g.pixels, n * g.C + c, y, argmax);
}

ImageGrid image_grid(const Pool2dShape& s, int V) {
  if (s.H * s.W >= 1 << 30)
    throw std::invalid_argument("pool2d: on cuda an image pooled as a whole may have up to 2^30 pixels, got " +
                                std::to_string(s.H) + " x " + std::to_string(s.W));
  const std::int64_t groups = s.C / V, pixels = s.H * s.W, wanted = 132 * 1024;  // threads: enough for all loads
  std::int64_t lanes = 1;
  while (lanes < kPoolThreads && (lanes * groups < 128 || (lanes * 8 <= pixels && s.N * groups * lanes < wanted)))
    lanes *= 2;
  const std::int64_t tile = std::min(groups, kPoolThreads / lanes), tiles = ceil_div(groups, tile);
  if (s.N > INT32_MAX / tiles)
    throw std::invalid_argument("pool2d: on cuda up to 2^31 - 1 images can be pooled as wholes");
  return {s.C, static_cast<int>(pixels), static_cast<int>(tile), static_cast<int>(lanes), static_cast<int>(tiles)};
}

template <class State, class T, int V, class Position>
void launch_images(const ImageGrid& g, std::int64_t N, const T* x, T* y, Position* argmax, cudaStream_t stream) {
  const int threads = g.tile * g.lanes;
  launch(image_kernel<State, T, V, Position>, static_cast<unsigned>(N * g.tiles), threads, threads * sizeof(State),
         stream, g, x, y, argmax);
}

// Calls f with a number of the type of an argmax.
template <class F>
Step with_positions(Dtype dtype, const F& f) {
  return dtype == Dtype::uint8 ? f(std::uint8_t{}) : f(std::int32_t{});
}

PixelGrid outputs_of(const Pool2dShape& s) { return {s.N, s.P, s.Q, s.C}; }
PixelGrid inputs_of(const Pool2dShape& s) { return {s.N, s.H, s.W, s.C}; }

template <class T, int V, class Position>
Step max_step(const Pool2dShape& s, bool global) {
  const auto argmax = [](const StepArgs& a) -> Position* {
    if constexpr (std::is_same_v<Position, NoPositions>)
      return nullptr;
    else
      return a.output<Position>(1);
  };
  using State = Largest<V, !std::is_same_v<Position, NoPositions>>;
  if (global)
    return {"", 0, [=, grid = image_grid(s, V)](const StepArgs& a) {
              launch_images<State, T, V>(grid, s.N, a.input<T>(0), a.output<T>(0), argmax(a), stream_of(a));
            }};
  return {"", 0, [=](const StepArgs& a) {
            launch_pixels(outputs_of(s), MaxPool<T, V, Position>{s, a.input<T>(0), a.output<T>(0), argmax(a)},
                          stream_of(a));
          }};
}

Step max_pool(const OpSpec& spec, const Pool2dShape& s, bool global) {
  const bool positions = spec.out.size() > 1;
  if (positions) check_pool2d_positions(s, spec.out[1].dtype);
  return with_vector(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), s.C, [&](auto number, auto vector) {
    using T = decltype(number);
    constexpr int V = decltype(vector)::value;
    if (!positions) return max_step<T, V, NoPositions>(s, global);
    return with_positions(spec.out[1].dtype,
                          [&](auto position) { return max_step<T, V, decltype(position)>(s, global); });
  });
}

// Gathers what windows send back; `share` makes a Share from the step's arguments.
template <class T, int V, class Share, class MakeShare>
Step gather_step(const Pool2dShape& s, const MakeShare& share) {
  const PixelGrid g = inputs_of(s);
  const std::int64_t largest = std::max({g.N * g.rows * g.cols * (g.C / V), s.H + s.pad_top, s.W + s.pad_left});
  return with_index(largest, [&](auto index) -> Step {
    using Index = decltype(index);
    const auto divisor = [&](std::int64_t stride) { return Divisor<Index>(std::min(stride, largest)); };
    return {"", 0, [=, down = divisor(s.stride_h), right = divisor(s.stride_w)](const StepArgs& a) {
              launch_pixels_as<Index>(g, PoolGather<T, V, Share, Index>{s, down, right, share(a), a.output<T>(0)},
                                      stream_of(a));
            }};
  });
}

template <class T, int V, class Position>
Step max_backward_step(const Pool2dShape& s) {
  using Share = MaxShare<T, V, Position>;
  const auto share = [](const StepArgs& a) { return Share{a.input<T>(0), a.input<Position>(1)}; };
  if (s.stride_h != 2 || s.stride_w != 2 || s.R > 4 || s.S > 4) return gather_step<T, V, Share>(s, share);
  const PixelGrid cells{s.N, ceil_div(s.H + s.pad_top, 2), ceil_div(s.W + s.pad_left, 2), s.C};
  const bool apart = s.R <= 2 && s.S <= 2;
  return {"", 0, [=](const StepArgs& a) {
            if (apart)
              launch_pixels(cells, MaxCells<T, V, Position, 1>{s, share(a), a.output<T>(0)}, stream_of(a));
            else
              launch_pixels(cells, MaxCells<T, V, Position, 2>{s, share(a), a.output<T>(0)}, stream_of(a));
          }};
}

Step max_pool_backward(const OpSpec& spec, const Pool2dShape& s) {
  check_pool2d_positions(s, Dtype::int32);
  return with_vector(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), s.C, [&](auto number, auto vector) {
    using T = decltype(number);
    constexpr int V = decltype(vector)::value;
    return with_positions(spec.in[1].dtype,
                          [&](auto position) { return max_backward_step<T, V, decltype(position)>(s); });
  });
}

Step average_pool(const OpSpec& spec, const Pool2dShape& s, bool global) {
  return with_vector(
      common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), s.C, [&](auto number, auto vector) -> Step {
        using T = decltype(number);
        constexpr int V = decltype(vector)::value;
        if (global)
          return {"", 0, [=, grid = image_grid(s, V)](const StepArgs& a) {
                    launch_images<Total<V>, T, V>(grid, s.N, a.input<T>(0), a.output<T>(0),
                                                  static_cast<NoPositions*>(nullptr), stream_of(a));
                  }};
        return {"", 0, [=](const StepArgs& a) {
                  launch_pixels(outputs_of(s), AveragePool<T, V>{s, a.input<T>(0), a.output<T>(0)}, stream_of(a));
                }};
      });
}

Step average_pool_backward(const OpSpec& spec, const Pool2dShape& s) {
  return with_vector(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), s.C, [&](auto number, auto vector) {
    using T = decltype(number);
    constexpr int V = decltype(vector)::value;
    using Share = AverageShare<T, V>;
    return gather_step<T, V, Share>(s, [](const StepArgs& a) { return Share{a.input<T>(0)}; });
  });
}

// Which tensors come as which inputs: cpp/runtime/steps/pool2d.cpp.
Step max_pool2d(const OpSpec& spec) {
  return max_pool(spec, pool2d_shape(spec.in[0], spec.out[0], spec.attributes), false);
}
Step max_pool2d_backward(const OpSpec& spec) {
  return max_pool_backward(spec, pool2d_shape(spec.out[0], spec.in[0], spec.attributes));
}
Step average_pool2d(const OpSpec& spec) {
  return average_pool(spec, pool2d_shape(spec.in[0], spec.out[0], spec.attributes), false);
}
Step average_pool2d_backward(const OpSpec& spec) {
  return average_pool_backward(spec, pool2d_shape(spec.out[0], spec.in[0], spec.attributes));
}
Step global_max_pool2d(const OpSpec& spec) { return max_pool(spec, global_pool2d_shape(spec.in[0]), true); }
Step global_max_pool2d_backward(const OpSpec& spec) {
  return max_pool_backward(spec, global_pool2d_shape(spec.out[0]));
}
Step global_average_pool2d(const OpSpec& spec) { return average_pool(spec, global_pool2d_shape(spec.in[0]), true); }
Step global_average_pool2d_backward(const OpSpec& spec) {
  return average_pool_backward(spec, global_pool2d_shape(spec.out[0]));
}

}  // namespace

void add_pool2d_steps(StepRegistry& registry) {
  registry["max_pool2d"] = max_pool2d;
  registry["max_pool2d_backward"] = max_pool2d_backward;
  registry["average_pool2d"] = average_pool2d;
  registry["average_pool2d_backward"] = average_pool2d_backward;
  registry["global_max_pool2d"] = global_max_pool2d;
  registry["global_max_pool2d_backward"] = global_max_pool2d_backward;
  registry["global_average_pool2d"] = global_average_pool2d;
  registry["global_average_pool2d_backward"] = global_average_pool2d_backward;
}

}  // namespace cnnfast::cuda
