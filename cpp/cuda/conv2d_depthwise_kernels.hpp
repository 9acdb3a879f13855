// Depthwise convolution on a GPU: x (N,H,W,C), w (R,S,C,M), y (N,P,Q,K) with K = C*M. All kernels wait for memory most
// of the time; they make the results of several neighbouring pixels at once, so that what these share is read once.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "channel_sums.hpp"
#include "cnnfast/kernels/conv2d_depthwise.hpp"
#include "ending.hpp"
#include "fast_divisor.hpp"

namespace cnnfast::cuda::depthwise {

constexpr int kChannels = 4;  // of a thread, where channels come in fours

// V numbers, or zeros if they are not inside.
template <int V, class T>
__device__ inline void load_inside(const T* from, bool inside, float (&x)[V]) {
#pragma unroll
  for (int v = 0; v < V; ++v) x[v] = 0.0f;
  if (inside) load<V>(from, x);
}

template <int V>
__device__ inline void add_product(const float (&a)[V], const float (&b)[V], float (&sum)[V]) {
#pragma unroll
  for (int v = 0; v < V; ++v) sum[v] = fmaf(a[v], b[v], sum[v]);
}

// Which of a row's neighbouring pixels meet which of its S taps, as far as the compiler can know. Forward, pixel j of
// the result meets tap s at j * STRIDE + s of the input. Backward, pixel j of the result (counted from where the
// padding begins, at a multiple of the stride) meets those taps for which j - s is a multiple of the stride.
template <int S, int STRIDE, bool BACKWARD>
struct Reach {
  static constexpr int kBefore = BACKWARD ? (S - 1) / STRIDE : 0;  // columns read before that of pixel 0
  static constexpr int kStep = BACKWARD ? STRIDE : 1;              // from a tap of a pixel to its next one
  static constexpr __host__ __device__ int columns(int pixels) {
    return BACKWARD ? (pixels - 1) / STRIDE + 1 + kBefore : (pixels - 1) * STRIDE + S;
  }
  static constexpr __host__ __device__ bool meet(int j, int s) { return (j + S * kStep - s) % kStep == 0; }
  static constexpr __host__ __device__ int column(int j, int s) {
    return BACKWARD ? (j - s + kBefore * STRIDE) / STRIDE : j * STRIDE + s;
  }
};

// One axis of a result in tiles: tile t begins at pixel first + t * (its size), and reads from in_first + t * in_step
// on.
struct TileAxis {
  int in, out, first, in_first, in_step;
  FastDivisor tiles;
};
struct Tiles {
  TileAxis rows, cols;
  FastDivisor groups;         // of kChannels channels
  int count, channels, taps;  // of all images; rows of taps
};

constexpr int kTileRows = 2, kTileCols = 4, kTileThreads = 256;

// y = the ending of x convolved with w, forward or backward, strides of both axes alike, one tile a thread.
template <class T, class W, int S, int STRIDE, bool BACKWARD>
__global__ void __launch_bounds__(kTileThreads)
    tile_kernel(Tiles g, const T* __restrict__ x, const W* __restrict__ w, ConvEnding ending, T* __restrict__ y) {
  using Span = Reach<S, STRIDE, BACKWARD>;
  constexpr int V = kChannels, kColumns = Span::columns(kTileCols), kStep = Span::kStep;
  const std::int64_t thread = grid_first();
  if (thread >= g.count) return;
  int n = static_cast<int>(thread);
  const int k = g.groups.split(n) * V, col_tile = g.cols.tiles.split(n), row_tile = g.rows.tiles.split(n);
  const int h0 = g.rows.in_first + row_tile * g.rows.in_step;
  const int w0 = g.cols.in_first + col_tile * g.cols.in_step - Span::kBefore;
  const std::int64_t C = g.channels;
  const T* image = x + static_cast<std::int64_t>(n) * g.rows.in * g.cols.in * C + k;

  float sums[kTileRows][kTileCols][V] = {};
#pragma unroll 1  // what is read for one row of taps makes room for the next
  for (int r0 = 0; r0 < g.taps; r0 += kStep)
#pragma unroll
    for (int step = 0; step < kStep; ++step) {
      const int r = r0 + step;
      if (r >= g.taps) break;
      float weights[S][V];
#pragma unroll
      for (int s = 0; s < S; ++s) load<V>(w + (r * S + s) * C + k, weights[s]);
#pragma unroll
      for (int i = step; i < kTileRows; i += kStep) {
        const int h = BACKWARD ? h0 + (i - step) / STRIDE - r0 / STRIDE : h0 + i * STRIDE + r;
        const bool inside = static_cast<unsigned>(h) < static_cast<unsigned>(g.rows.in);
        const T* row = image + (static_cast<std::int64_t>(h) * g.cols.in + w0) * C;
        float from[kColumns][V];
#pragma unroll
        for (int c = 0; c < kColumns; ++c)
          load_inside<V>(row + c * C, inside && static_cast<unsigned>(w0 + c) < static_cast<unsigned>(g.cols.in),
                         from[c]);
#pragma unroll
        for (int s = 0; s < S; ++s)
#pragma unroll
          for (int j = 0; j < kTileCols; ++j)
            if (Span::meet(j, s)) add_product<V>(from[Span::column(j, s)], weights[s], sums[i][j]);
      }
    }

#pragma unroll
  for (int i = 0; i < kTileRows; ++i) {
    const int p = g.rows.first + row_tile * kTileRows + i;
#pragma unroll
    for (int j = 0; j < kTileCols; ++j) {
      const int q = g.cols.first + col_tile * kTileCols + j;
      if (static_cast<unsigned>(p) >= static_cast<unsigned>(g.rows.out) ||
          static_cast<unsigned>(q) >= static_cast<unsigned>(g.cols.out))
        continue;
      const std::int64_t at = ((static_cast<std::int64_t>(n) * g.rows.out + p) * g.cols.out + q) * C + k;
      finish<T, V>(ending, k, at, sums[i][j]);
      store<V>(y + at, sums[i][j]);
    }
  }
}

// Any depthwise gather (see cnnfast/kernels/conv2d_depthwise.hpp), V channels of one pixel for each thread; V is 1
// where channels are repeated or folded. Grid: pixels and channels of an image, images.
struct Gather {
  DepthwiseGather g;
  FastDivisor groups, cols;
  int count;     // threads for an image
  int channels;  // of y
};

template <class T, class W, int V>
__global__ void __launch_bounds__(kTileThreads)
    gather_kernel(Gather all, const T* __restrict__ x, const W* __restrict__ w, ConvEnding ending, T* __restrict__ y) {
  const DepthwiseGather& g = all.g;
  const std::int64_t thread = grid_first();
  if (thread >= all.count) return;
  int i = static_cast<int>(thread);
  const int k = all.groups.split(i) * V, j = all.cols.split(i);
  const int h0 = static_cast<int>(i * g.rows.step + g.rows.offset);
  const int w0 = static_cast<int>(j * g.cols.step + g.cols.offset);
  const int fold = static_cast<int>(g.fold), C = static_cast<int>(g.K / g.repeat);  // channels of x
  const std::int64_t row = g.rows.out_first + i * g.rows.out_step, col = g.cols.out_first + j * g.cols.out_step;
  for (std::int64_t n = blockIdx.y; n < g.N; n += gridDim.y) {
    const T* image = x + n * g.rows.in * g.cols.in * C;
    float sum[V] = {};
    for (int r = 0; r < static_cast<int>(g.rows.taps); ++r) {
      const int h = h0 + r * static_cast<int>(g.rows.offset_step);
      if (static_cast<unsigned>(h) >= static_cast<unsigned>(g.rows.in)) continue;
      const std::int64_t tap_row = (g.rows.index + r * g.rows.index_step) * g.kernel_columns + g.cols.index;
      for (int s = 0; s < static_cast<int>(g.cols.taps); ++s) {
        const int v = w0 + s * static_cast<int>(g.cols.offset_step);
        if (static_cast<unsigned>(v) >= static_cast<unsigned>(g.cols.in)) continue;
        const T* pixel = image + (static_cast<std::int64_t>(h) * g.cols.in + v) * C;
        const W* tap = w + (tap_row + s * g.cols.index_step) * g.K;
        for (int m = 0; m < fold; ++m) {
          float a[V], b[V];
          load<V>(pixel + (g.repeat > 1 ? k / static_cast<int>(g.repeat) : k * fold + m), a);
          load<V>(tap + k * fold + m, b);
          add_product<V>(a, b, sum);
        }
      }
    }
    const std::int64_t at = ((n * g.rows.out + row) * g.cols.out + col) * all.channels + k;
    finish<T, V>(ending, k, at, sum);
    store<V>(y + at, sum);
  }
}

constexpr int kSumThreads = 256;

// How the sums of a weight gradient are shared out. A block has `width` groups of channels side by side and `lanes` of
// them that share the pieces of a slice; block (i, j) makes the i-th block of channels of the j-th slice.
struct Slices {
  int width, lanes, slices;
  std::int64_t pieces;  // of all images
  int groups;           // of channels
  __device__ int group() const { return static_cast<int>(blockIdx.x) * width + static_cast<int>(threadIdx.x) % width; }
  __device__ int lane() const { return static_cast<int>(threadIdx.x) / width; }
  // Lanes have neighbouring pieces each, so that they find again what the piece before has read.
  __device__ std::int64_t begin(int lane) const {
    const std::int64_t part = static_cast<std::int64_t>(blockIdx.y) * lanes + lane;
    return pieces * part / (static_cast<std::int64_t>(slices) * lanes);
  }
};

template <int N>
__device__ inline void sum_lanes_again(float (&sums)[N], float* shared, const Slices& s) {
  __syncthreads();  // all are done with what they summed before
  sum_lanes(sums, shared, s.width, s.lanes);
}

struct WeightTiles {
  Slices slices;
  FastDivisor images, rows;  // pieces of an image, rows of it; a row's neighbour is the one below
  int H, W, P, Q, pad_top, pad_left, channels;
};

// Pixels of a piece.
constexpr __host__ __device__ int weight_pixels(int stride) { return stride == 1 ? 4 : 2; }

// partial (slices, S*S, K) of a kernel of S x S taps, strides of both axes alike; a piece is a few pixels of a row.
template <class T, int S, int STRIDE>
__global__ void __launch_bounds__(kSumThreads, S > 3 ? 1 : 2)
    weight_kernel(WeightTiles g, const T* __restrict__ dy, const T* __restrict__ x, float* __restrict__ partial) {
  constexpr int V = kChannels, kPixels = weight_pixels(STRIDE), kColumns = (kPixels - 1) * STRIDE + S;
  __shared__ float shared[S * V * kSumThreads];
  const Slices& slices = g.slices;
  const int group = slices.group(), lane = slices.lane(), k = group * V;
  const std::int64_t C = g.channels;
  float sums[S][S * V] = {};
  const int end = group < slices.groups ? static_cast<int>(slices.begin(lane + 1)) : 0;
  for (int piece = static_cast<int>(slices.begin(lane)); piece < end; ++piece) {
    int n = piece, tile = g.images.split(n);
    const int p = g.rows.split(tile), q0 = tile * kPixels;
    const T* dy_row = dy + ((static_cast<std::int64_t>(n) * g.P + p) * g.Q + q0) * C + k;
    float from[kPixels][V];
#pragma unroll
    for (int j = 0; j < kPixels; ++j) load_inside<V>(dy_row + j * C, q0 + j < g.Q, from[j]);
    const int h0 = p * STRIDE - g.pad_top, w0 = q0 * STRIDE - g.pad_left;
    const T* corner = x + ((static_cast<std::int64_t>(n) * g.H + h0) * g.W + w0) * C + k;
#pragma unroll
    for (int r = 0; r < S; ++r) {
      const bool inside = static_cast<unsigned>(h0 + r) < static_cast<unsigned>(g.H);
      const T* row = corner + static_cast<std::int64_t>(r) * g.W * C;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        float value[V];
        load_inside<V>(row + c * C, inside && static_cast<unsigned>(w0 + c) < static_cast<unsigned>(g.W), value);
#pragma unroll
        for (int j = 0; j < kPixels; ++j) {
          const int s = c - j * STRIDE;
          if (s < 0 || s >= S) continue;
#pragma unroll
          for (int v = 0; v < V; ++v) sums[r][s * V + v] = fmaf(value[v], from[j][v], sums[r][s * V + v]);
        }
      }
    }
  }
  float* to = partial + static_cast<std::int64_t>(blockIdx.y) * S * S * C + k;
#pragma unroll
  for (int r = 0; r < S; ++r) {
    sum_lanes_again(sums[r], shared, slices);
    if (lane > 0 || group >= slices.groups) continue;
#pragma unroll
    for (int s = 0; s < S; ++s) {
      float sum[V];
#pragma unroll
      for (int v = 0; v < V; ++v) sum[v] = sums[r][s * V + v];
      store<V>(to + (r * S + s) * C, sum);
    }
  }
}

constexpr int kTapsAtOnce = 4;

struct WeightGather {
  DepthwiseGather g;  // forward
  Slices slices;
  FastDivisor images, cols;  // pixels of an image, of a row
  int taps;                  // R*S
};

// partial (slices, taps, K) of any convolution, some taps for each z of the grid; a piece is a pixel.
template <class T, int V>
__global__ void __launch_bounds__(kSumThreads)
    weight_gather_kernel(WeightGather all, const T* __restrict__ dy, const T* __restrict__ x,
                         float* __restrict__ partial) {
  __shared__ float shared[V * kSumThreads];
  const DepthwiseGather& g = all.g;
  const Slices& slices = all.slices;
  const int group = slices.group(), lane = slices.lane(), k = group * V;
  const int S = static_cast<int>(g.kernel_columns), first = static_cast<int>(blockIdx.z) * kTapsAtOnce;
  const std::int64_t repeat = g.repeat, C = g.K / repeat;
  int rows[kTapsAtOnce], cols[kTapsAtOnce];  // where the taps read, from the window's corner on
#pragma unroll
  for (int t = 0; t < kTapsAtOnce; ++t) {
    rows[t] = (first + t) / S * static_cast<int>(g.rows.offset_step) + static_cast<int>(g.rows.offset);
    cols[t] = (first + t) % S * static_cast<int>(g.cols.offset_step) + static_cast<int>(g.cols.offset);
  }
  float sums[kTapsAtOnce][V] = {};
  const int end = group < slices.groups ? static_cast<int>(slices.begin(lane + 1)) : 0;
  for (int piece = static_cast<int>(slices.begin(lane)); piece < end; ++piece) {
    int n = piece, p = all.images.split(n);
    const int q = all.cols.split(p);
    float gradient[V];
    load<V>(dy + piece * g.K + k, gradient);
#pragma unroll
    for (int t = 0; t < kTapsAtOnce; ++t) {
      const int h = p * static_cast<int>(g.rows.step) + rows[t], v = q * static_cast<int>(g.cols.step) + cols[t];
      const bool inside = first + t < all.taps && static_cast<unsigned>(h) < static_cast<unsigned>(g.rows.in) &&
                          static_cast<unsigned>(v) < static_cast<unsigned>(g.cols.in);
      float value[V];
      load_inside<V>(x + ((static_cast<std::int64_t>(n) * g.rows.in + h) * g.cols.in + v) * C + k / repeat, inside,
                     value);
      add_product<V>(value, gradient, sums[t]);
    }
  }
  float* to = partial + (static_cast<std::int64_t>(blockIdx.y) * all.taps + first) * g.K + k;
#pragma unroll
  for (int t = 0; t < kTapsAtOnce; ++t) {
    sum_lanes_again(sums[t], shared, slices);
    if (lane == 0 && group < slices.groups && first + t < all.taps) store<V>(to + t * g.K, sums[t]);
  }
}

}  // namespace cnnfast::cuda::depthwise
