// The steps of depthwise convolutions. Weights are float32 or of the images' type.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "../runtime/conv2d_depthwise_plan.hpp"
#include "../runtime/steps/epilogue.hpp"
#include "conv2d_depthwise_kernels.hpp"
#include "families.hpp"
#include "split_sums.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

using namespace depthwise;

constexpr std::int64_t kMultiprocessors = 132, kMostGridRows = 65535;

// What a step reads and writes.
struct Operands {
  const void *x, *w;
  ConvEnding ending;
  void* y;
};

// Threads of a block, so that all multiprocessors get some of few.
int block_for(std::int64_t threads) {
  int block = kTileThreads;
  while (block > 64 && threads < block * 2 * kMultiprocessors) block /= 2;
  return block;
}

// Whether the kernels for square strides and neighbouring taps take it: one of 3 or 5 taps a row.
bool takes_tiles(const Conv2dShape& s) {
  return s.K == s.C && s.C % kChannels == 0 && s.dilation_h == 1 && s.dilation_w == 1 && s.stride_h == s.stride_w &&
         s.stride_h <= 2 && (s.S == 3 || s.S == 5);
}

TileAxis tile_axis(bool backward, std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t pad, int tile) {
  TileAxis a{};
  a.in = static_cast<int>(in), a.out = static_cast<int>(out);
  // Backward, tiles begin in the padding, at a multiple of the stride.
  const std::int64_t begin = backward ? pad / stride * stride : 0;
  a.first = static_cast<int>(backward ? begin - pad : 0);
  a.in_first = static_cast<int>(backward ? begin / stride : -pad);
  a.in_step = static_cast<int>(backward ? tile / stride : tile * stride);
  a.tiles = FastDivisor(ceil_div(out - a.first, tile));
  return a;
}

Tiles tiles_of(const Conv2dShape& s, bool backward) {
  Tiles g{};
  g.rows = backward ? tile_axis(true, s.P, s.H, s.stride_h, s.pad_top, kTileRows)
                    : tile_axis(false, s.H, s.P, s.stride_h, s.pad_top, kTileRows);
  g.cols = backward ? tile_axis(true, s.Q, s.W, s.stride_w, s.pad_left, kTileCols)
                    : tile_axis(false, s.W, s.Q, s.stride_w, s.pad_left, kTileCols);
  g.groups = FastDivisor(s.C / kChannels);
  g.channels = static_cast<int>(s.C), g.taps = static_cast<int>(s.R);
  g.count = index_count(s.N * g.rows.tiles.divisor * g.cols.tiles.divisor * (s.C / kChannels));
  return g;
}

template <class T, class W, bool BACKWARD>
void run_tiles(const Conv2dShape& s, const Operands& o, cudaStream_t stream) {
  const Tiles g = tiles_of(s, BACKWARD);
  const auto run = [&](auto kernel) {
    const int block = block_for(g.count);
    launch(kernel, grid_for(g.count, block, g.count), block, 0, stream, g, static_cast<const T*>(o.x),
           static_cast<const W*>(o.w), o.ending, static_cast<T*>(o.y));
  };
  if (s.S == 3)
    s.stride_w == 1 ? run(tile_kernel<T, W, 3, 1, BACKWARD>) : run(tile_kernel<T, W, 3, 2, BACKWARD>);
  else
    s.stride_w == 1 ? run(tile_kernel<T, W, 5, 1, BACKWARD>) : run(tile_kernel<T, W, 5, 2, BACKWARD>);
}

template <class T, class W>
void run_gather(const DepthwiseGather& g, const Operands& o, cudaStream_t stream) {
  const std::int64_t channels = g.K / g.fold;
  const int V = g.repeat == 1 && g.fold == 1 && channels % kChannels == 0 ? kChannels : 1;
  const std::int64_t count = g.rows.grid * g.cols.grid * (channels / V);
  if (count == 0) return;
  const Gather all{g, FastDivisor(channels / V), FastDivisor(g.cols.grid), index_count(count),
                   static_cast<int>(channels)};
  const int block = block_for(count * g.N);
  const dim3 grid(grid_for(count, block, count), static_cast<unsigned>(std::min(g.N, kMostGridRows)));
  launch(V == 1 ? gather_kernel<T, W, 1> : gather_kernel<T, W, kChannels>, grid, block, 0, stream, all,
         static_cast<const T*>(o.x), static_cast<const W*>(o.w), o.ending, static_cast<T*>(o.y));
}

// Calls f(image number, weight number) with numbers of the types of an op's images and weights.
template <class F>
void with_types(Dtype images, Dtype weights, const F& f) {
  with_number(images, [&](auto number) {
    if (weights == Dtype::float32)
      f(number, float{});
    else
      f(number, number);
  });
}

Dtype weight_type(const OpSpec& spec, Dtype images) {
  const Dtype w = spec.in.at(1).dtype;
  if (w != Dtype::float32 && w != images)
    throw std::invalid_argument(spec.op + ": on cuda weights must be float32 or of the images' type");
  return w;
}

// x, w, b or missing -> y
Step depthwise_conv2d(const OpSpec& spec) {
  if (spec.out.size() > 1) throw std::invalid_argument(spec.op + ": on cuda moments are no part of a convolution");
  const Dtype images = common_type(spec, {spec.in.at(0).dtype, spec.out.at(0).dtype});
  const Dtype weights = weight_type(spec, images);
  const Conv2dShape s = depthwise_shape(spec.in[0], spec.in[1], spec.out[0], spec.attributes);
  const Epilogue epilogue = epilogue_of(spec.attributes);
  return {"", 0, [=, gather = plan_depthwise_forward(s), biased = spec.has_in(2)](const StepArgs& a) {
            if (s.N * s.P * s.Q * s.K == 0) return;
            const Operands o{a.in[0], a.in[1], {biased ? a.input(2) : nullptr, nullptr, epilogue, nullptr}, a.out[0]};
            with_types(images, weights, [&](auto x, auto w) {
              if (takes_tiles(s))
                run_tiles<decltype(x), decltype(w), false>(s, o, stream_of(a));
              else
                run_gather<decltype(x), decltype(w)>(gather, o, stream_of(a));
            });
          }};
}

// dy, w -> dx
Step depthwise_conv2d_backward_input(const OpSpec& spec) {
  const Dtype images = common_type(spec, {spec.in.at(0).dtype, spec.out.at(0).dtype});
  const Dtype weights = weight_type(spec, images);
  const Conv2dShape s = depthwise_shape(spec.out[0], spec.in[1], spec.in[0], spec.attributes);
  return {"", 0, [=, gathers = plan_depthwise_backward_input(s)](const StepArgs& a) {
            if (s.N * s.H * s.W * s.C == 0) return;
            const Operands o{a.in[0], a.in[1], {}, a.out[0]};
            with_types(images, weights, [&](auto x, auto w) {
              if (takes_tiles(s)) return run_tiles<decltype(x), decltype(w), true>(s, o, stream_of(a));
              for (const DepthwiseGather& gather : gathers)
                run_gather<decltype(x), decltype(w)>(gather, o, stream_of(a));
            });
          }};
}

// Slices for one wave of blocks, but none without a few pieces for each of its lanes.
Slices slices_of(std::int64_t groups, std::int64_t pieces, std::int64_t blocks_of_slice, std::int64_t least) {
  const std::int64_t across = ceil_div(groups, kWarp), width = ceil_div(groups, across), lanes = kSumThreads / width;
  const std::int64_t wanted = 2 * kMultiprocessors / (across * blocks_of_slice);
  const std::int64_t slices = std::max<std::int64_t>(1, std::min(wanted, ceil_div(pieces, lanes * least)));
  return {static_cast<int>(width), static_cast<int>(lanes), static_cast<int>(slices), index_count(pieces),
          index_count(groups)};
}

// How the gradient of the weights is made: by the kernel of tiles, or of any gather.
struct WeightGradient {
  Conv2dShape shape;
  bool tiles;
  int channels;  // of a thread
  std::int64_t tap_blocks;
  Slices slices;

  explicit WeightGradient(const Conv2dShape& s) : shape(s), tiles(takes_tiles(s) && s.R == s.S) {
    channels = s.K == s.C && s.C % kChannels == 0 ? kChannels : 1;
    tap_blocks = tiles ? 1 : ceil_div(s.R * s.S, kTapsAtOnce);
    const std::int64_t pieces = s.N * s.P * (tiles ? ceil_div(s.Q, pixels()) : s.Q);
    slices = slices_of(s.K / channels, pieces, tap_blocks, tiles ? 2 : 8);
  }
  std::int64_t pixels() const { return weight_pixels(static_cast<int>(shape.stride_w)); }
  std::int64_t taps() const { return shape.R * shape.S; }
  std::int64_t workspace_bytes() const { return slices.slices > 1 ? slices.slices * taps() * shape.K * 4 : 0; }
  dim3 grid() const {
    return dim3(static_cast<unsigned>(ceil_div(slices.groups, slices.width)), static_cast<unsigned>(slices.slices),
                static_cast<unsigned>(tap_blocks));
  }

  template <class T>
  void run(const T* dy, const T* x, float* dw, float* workspace, cudaStream_t stream) const {
    float* partial = slices.slices > 1 ? workspace : dw;
    tiles ? run_tiles(dy, x, partial, stream) : run_gather(dy, x, partial, stream);
    if (slices.slices > 1) sum_splits(taps(), shape.K, slices.slices, partial, ConvEnding{}, dw, stream);
  }

 private:
  template <class T>
  void run_tiles(const T* dy, const T* x, float* partial, cudaStream_t stream) const {
    const Conv2dShape& s = shape;
    const auto size = [](std::int64_t n) { return static_cast<int>(n); };
    const WeightTiles g{slices,           FastDivisor(s.P * ceil_div(s.Q, pixels())),
                        FastDivisor(s.P), size(s.H),
                        size(s.W),        size(s.P),
                        size(s.Q),        size(s.pad_top),
                        size(s.pad_left), size(s.C)};
    const auto run = [&](auto kernel) {
      launch(kernel, grid(), slices.width * slices.lanes, 0, stream, g, dy, x, partial);
    };
    if (s.S == 3)
      s.stride_w == 1 ? run(weight_kernel<T, 3, 1>) : run(weight_kernel<T, 3, 2>);
    else
      s.stride_w == 1 ? run(weight_kernel<T, 5, 1>) : run(weight_kernel<T, 5, 2>);
  }
  template <class T>
  void run_gather(const T* dy, const T* x, float* partial, cudaStream_t stream) const {
    const WeightGather all{plan_depthwise_forward(shape), slices, FastDivisor(shape.P * shape.Q), FastDivisor(shape.Q),
                           index_count(taps())};
    launch(channels == 1 ? weight_gather_kernel<T, 1> : weight_gather_kernel<T, kChannels>, grid(),
           slices.width * slices.lanes, 0, stream, all, dy, x, partial);
  }
};

// dy, x -> dw
Step depthwise_conv2d_backward_weight(const OpSpec& spec) {
  const Dtype images = common_type(spec, {spec.in.at(0).dtype, spec.in.at(1).dtype});
  const WeightGradient gradient(depthwise_shape(spec.in[1], spec.out.at(0), spec.in[0], spec.attributes));
  return {"", gradient.workspace_bytes(), [=](const StepArgs& a) {
            if (gradient.shape.K == 0) return;
            with_number(images, [&](auto number) {
              using T = decltype(number);
              gradient.run(a.input<T>(0), a.input<T>(1), a.output(0), a.scratch(), stream_of(a));
            });
          }};
}

}  // namespace

void add_conv2d_depthwise_steps(StepRegistry& registry) {
  registry["depthwise_conv2d"] = depthwise_conv2d;
  registry["depthwise_conv2d_backward_input"] = depthwise_conv2d_backward_input;
  registry["depthwise_conv2d_backward_weight"] = depthwise_conv2d_backward_weight;
}

}  // namespace cnnfast::cuda
