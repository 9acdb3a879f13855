// Enlarging images. A thread makes one vector of the tensor that is written: the gradients gather.
#include "../runtime/steps/resize.hpp"
#include "copy.hpp"
#include "divisor.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

// y (N, H * factor_h, W * factor_w, C) from x (N,H,W,C), in any units that C is made of.
template <class Unit, class Index>
struct Nearest {
  Divisor<Index> C, factor_w, W, factor_h;
  const Unit* x;
  Nearest(const UpsampleShape& s, std::int64_t C, const Unit* x)
      : C(C), factor_w(s.factor_w), W(s.W), factor_h(s.factor_h), x(x) {}
  __device__ Unit operator()(std::int64_t i) const {
    Index rest = static_cast<Index>(i);
    const std::int64_t c = C.split(rest);
    rest = factor_w.quotient(rest);
    const std::int64_t w = W.split(rest);
    rest = factor_h.quotient(rest);
    return x[(rest * static_cast<std::int64_t>(W.divisor) + w) * C.divisor + c];
  }
};

Step upsample_nearest(const OpSpec& spec) {
  const UpsampleShape s = upsample_shape(spec.in[0], spec.attributes);
  const std::int64_t bytes = s.C * dtype_size(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}));
  return {"", 0, [s, bytes](const StepArgs& a) {
            with_unit({bytes}, [&](auto unit) {
              using Unit = decltype(unit);
              const std::int64_t C = bytes / static_cast<std::int64_t>(sizeof(Unit));
              const std::int64_t n = s.N * s.H * s.factor_h * s.W * s.factor_w * C;
              with_index(n, [&](auto index) {
                copy(n, Nearest<Unit, decltype(index)>(s, C, a.input<Unit>(0)), a.output<Unit>(0), stream_of(a));
              });
            });
          }};
}

// One axis of an image before and after.
template <class Index>
struct Axis {
  Divisor<Index> size, large;  // large = size * factor
  int factor;
  FastDivisor step;  // 2 * factor
  float per_step;
  Axis(std::int64_t size, std::int64_t factor)
      : size(size),
        large(size * factor),
        factor(static_cast<int>(factor)),
        step(2 * factor),
        per_step(0.5f / static_cast<float>(factor)) {}
};

// Tensors in vectors: the axes of their images, vectors of their pixels, all vectors of the tensor that is written.
template <class Index>
struct Images {
  std::int64_t n;
  Divisor<Index> C;
  Axis<Index> h, w;
};

// Where a vector is in such a tensor.
struct Place {
  std::int64_t image, c;
  int row, column;
};
template <class Index>
__device__ inline Place place_of(std::int64_t i, const Images<Index>& s, const Divisor<Index>& rows,
                                 const Divisor<Index>& columns) {
  Index rest = static_cast<Index>(i);
  const std::int64_t c = s.C.split(rest);
  const int column = static_cast<int>(columns.split(rest)), row = static_cast<int>(rows.split(rest));
  return {rest, c, row, column};
}

struct NearestBackward {
  static constexpr bool kWritesLarge = false;
  template <int N, class Index, class T>
  static __device__ void gather(const Place& at, const Images<Index>& s, const T* dy, float (&sum)[N]) {
    const std::int64_t C = s.C.divisor * N, Q = s.w.large.divisor, P = s.h.large.divisor;
    const std::int64_t p = std::int64_t{at.row} * s.h.factor, q = std::int64_t{at.column} * s.w.factor;
    const T* row = dy + ((at.image * P + p) * Q + q) * C + at.c * N;
    for (int a = 0; a < s.h.factor; ++a, row += Q * C) {
      const T* from = row;
#pragma unroll 4
      for (int b = 0; b < s.w.factor; ++b, from += C) {
        float part[N];
        load<N>(from, part);
#pragma unroll
        for (int j = 0; j < N; ++j) sum[j] += part[j];
      }
    }
  }
};

// Output p of one axis mixes inputs lo and hi: (1 - t) x[lo] + t x[hi]. At the borders both are the border.
struct Mix {
  int lo, hi;
  float t;
};
template <class Index>
__device__ inline Mix mix_of(int p, const Axis<Index>& axis) {
  // Twice the factor times (p + 1/2) / factor - 1/2, a whole number: no rounding decides which pixels are read.
  const int step = 2 * axis.factor, twice = 2 * p + 1 - axis.factor;
  const int lo = twice < 0 ? -1 : axis.step.quotient(twice), last = static_cast<int>(axis.size.divisor) - 1;
  const float t = static_cast<float>(twice - lo * step) * axis.per_step;
  return {lo < 0 ? 0 : lo, lo < last ? lo + 1 : last, t};
}

struct Bilinear {
  static constexpr bool kWritesLarge = true;
  template <int N, class Index, class T>
  static __device__ void gather(const Place& at, const Images<Index>& s, const T* x, float (&result)[N]) {
    const Mix down = mix_of(at.row, s.h), right = mix_of(at.column, s.w);
    const std::int64_t C = s.C.divisor * N, W = s.w.size.divisor;
    const T* image = x + at.image * s.h.size.divisor * W * C + at.c * N;
    const T *upper = image + down.lo * W * C, *lower = image + down.hi * W * C;
    float corner[4][N];
    load<N>(upper + right.lo * C, corner[0]);
    load<N>(upper + right.hi * C, corner[1]);
    load<N>(lower + right.lo * C, corner[2]);
    load<N>(lower + right.hi * C, corner[3]);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float a = fmaf(corner[1][j] - corner[0][j], right.t, corner[0][j]);
      const float b = fmaf(corner[3][j] - corner[2][j], right.t, corner[2][j]);
      result[j] = fmaf(b - a, down.t, a);
    }
  }
};

// Outputs [first, last) of an axis are all that read input i, and weight(p) is its part in output p.
struct Readers {
  int first, last;
  template <class Index>
  __device__ Readers(int i, const Axis<Index>& axis) : step_(2 * axis.factor), per_step_(axis.per_step) {
    const int f = axis.factor, end = static_cast<int>(axis.size.divisor) - 1;
    center_ = 2 * f * i + f - 1;
    at_begin_ = i == 0, at_end_ = i == end;
    first = at_begin_ ? 0 : f * (i - 1) + (f - 1) / 2 + 1;
    last = at_end_ ? f * (i + 1) : f * (i + 1) + f / 2;
  }
  __device__ float weight(int p) const {
    const int away = 2 * p - center_;  // twice the factor times the distance in inputs
    if (away < 0) return at_begin_ ? 1.0f : static_cast<float>(step_ + away) * per_step_;
    return at_end_ ? 1.0f : static_cast<float>(step_ - away) * per_step_;
  }

 private:
  int center_, step_;
  float per_step_;
  bool at_begin_, at_end_;
};

struct BilinearBackward {
  static constexpr bool kWritesLarge = false;
  template <int N, class Index, class T>
  static __device__ void gather(const Place& at, const Images<Index>& s, const T* dy, float (&sum)[N]) {
    const Readers rows(at.row, s.h), columns(at.column, s.w);
    const std::int64_t C = s.C.divisor * N, Q = s.w.large.divisor;
    const T* row = dy + ((at.image * s.h.large.divisor + rows.first) * Q + columns.first) * C + at.c * N;
    for (int p = rows.first; p < rows.last; ++p, row += Q * C) {
      float line[N] = {};
      const T* from = row;
#pragma unroll 4
      for (int q = columns.first; q < columns.last; ++q, from += C) {
        const float weight = columns.weight(q);
        float part[N];
        load<N>(from, part);
#pragma unroll
        for (int j = 0; j < N; ++j) line[j] = fmaf(weight, part[j], line[j]);
      }
      const float weight = rows.weight(p);
#pragma unroll
      for (int j = 0; j < N; ++j) sum[j] = fmaf(weight, line[j], sum[j]);
    }
  }
};

template <class Op, int N, class Index, class T>
__global__ void __launch_bounds__(kBlock, 4) gather_kernel(Images<Index> s, const T* from, T* to) {
  const std::int64_t i = grid_first();
  if (i >= s.n) return;
  constexpr bool large = Op::kWritesLarge;
  float result[N] = {};
  Op::template gather<N>(place_of(i, s, large ? s.h.large : s.h.size, large ? s.w.large : s.w.size), s, from, result);
  store<N>(to + i * N, result);
}

template <class Op, int N, class T>
void launch_gather(const UpsampleShape& s, const T* from, T* to, cudaStream_t stream) {
  const std::int64_t C = s.C / N, small = s.N * s.H * s.W * C, large = small * s.factor_h * s.factor_w;
  const std::int64_t n = Op::kWritesLarge ? large : small;
  const int block = block_for(n);
  with_index(large, [&](auto index) {
    using Index = decltype(index);
    const Images<Index> images{n, Divisor<Index>(C), Axis<Index>(s.H, s.factor_h), Axis<Index>(s.W, s.factor_w)};
    launch(gather_kernel<Op, N, Index, T>, grid_for(n, block, INT32_MAX), block, 0, stream, images, from, to);
  });
}

template <class Op>
Step resized(const OpSpec& spec, const TensorSpec& small) {
  const UpsampleShape s = upsample_shape(small, spec.attributes);
  for (const std::int64_t size : {s.H * s.factor_h, s.W * s.factor_w})
    if (size >= std::int64_t{1} << 30)
      throw std::invalid_argument(spec.op + ": on cuda an image may have at most 2^30 - 1 rows and columns");
  return with_number(common_type(spec, {spec.in[0].dtype, spec.out[0].dtype}), [&](auto number) -> Step {
    using T = decltype(number);
    return {"", 0, [s](const StepArgs& a) {
              const auto run = s.C % kVector<T> == 0 ? launch_gather<Op, kVector<T>, T> : launch_gather<Op, 1, T>;
              run(s, a.input<T>(0), a.output<T>(0), stream_of(a));
            }};
  });
}

// x -> y
Step upsample_bilinear(const OpSpec& spec) { return resized<Bilinear>(spec, spec.in[0]); }
// dy -> dx
Step upsample_nearest_backward(const OpSpec& spec) { return resized<NearestBackward>(spec, spec.out[0]); }
Step upsample_bilinear_backward(const OpSpec& spec) { return resized<BilinearBackward>(spec, spec.out[0]); }

}  // namespace

void add_resize_steps(StepRegistry& registry) {
  registry["upsample_nearest"] = upsample_nearest;
  registry["upsample_nearest_backward"] = upsample_nearest_backward;
  registry["upsample_bilinear"] = upsample_bilinear;
  registry["upsample_bilinear_backward"] = upsample_bilinear_backward;
}

}  // namespace cnnfast::cuda
