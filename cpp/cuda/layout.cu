// Steps that only move numbers, of any type: they count in the largest units that rows and offsets are made of.
#include <numeric>

#include "../runtime/steps/layout.hpp"
#include "copy.hpp"
#include "divisor.hpp"
#include "families.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

// y (N,P,Q) has x (N,H,W) with its first element at (top, left), which may lie outside of y; zero elsewhere.
struct Shift {
  std::int64_t N, P, Q, H, W, top, left;
};

template <class Unit, class Index>
struct Shifted {
  Divisor<Index> P, Q;
  std::int64_t H, W, top, left;
  const Unit* x;
  Shifted(const Shift& s, const Unit* x) : P(s.P), Q(s.Q), H(s.H), W(s.W), top(s.top), left(s.left), x(x) {}
  __device__ Unit operator()(std::int64_t i) const {
    Index rest = static_cast<Index>(i);
    const std::int64_t w = Q.split(rest) - left, h = P.split(rest) - top;  // what is left of the index is n
    return h < 0 || h >= H || w < 0 || w >= W ? Unit{} : x[(rest * H + h) * W + w];
  }
};

// The shift's Q, W and left count bytes.
Step shifted(const Shift& bytes) {
  return {"", 0, [bytes](const StepArgs& a) {
            with_unit({bytes.Q, bytes.W, bytes.left}, [&](auto unit) {
              using Unit = decltype(unit);
              Shift s = bytes;
              for (std::int64_t* size : {&s.Q, &s.W, &s.left}) *size /= static_cast<std::int64_t>(sizeof(Unit));
              const std::int64_t n = s.N * s.P * s.Q;
              with_index(n, [&](auto index) {
                copy(n, Shifted<Unit, decltype(index)>(s, a.input<Unit>(0)), a.output<Unit>(0), stream_of(a));
              });
            });
          }};
}

// Inputs that a launch puts one after the other into each row of y.
constexpr int kParts = 16;
template <class Unit, class Index>
struct Parts {
  Divisor<Index> width;  // of all of them
  const Unit* x[kParts];
  std::int64_t begin[kParts], row[kParts];  // first unit in the launch's part of y's row, units of x's row
  int count;
};

template <class Unit, class Index>
__global__ void __launch_bounds__(kBlock)
    concatenate_kernel(std::int64_t n, Parts<Unit, Index> parts, std::int64_t pitch, Unit* y) {
  const Share<1> share;
  Unit units[kTogether];
  std::int64_t to[kTogether];
#pragma unroll
  for (int u = 0; u < kTogether; ++u) {
    if (!share.whole(u, n)) continue;
    Index row = static_cast<Index>(share.at(u));
    const std::int64_t at = parts.width.split(row);
    int k = 0;
    while (k + 1 < parts.count && at >= parts.begin[k + 1]) ++k;
    units[u] = parts.x[k][row * parts.row[k] + at - parts.begin[k]];
    to[u] = row * pitch + at;
  }
#pragma unroll
  for (int u = 0; u < kTogether; ++u)
    if (share.whole(u, n)) y[to[u]] = units[u];
}

// Bytes of the inputs' rows, of y's, and how many there are.
struct Concatenation {
  std::vector<std::int64_t> bytes;
  std::int64_t y_bytes, rows;
};

template <class Unit>
void concatenate_units(const Concatenation& c, const StepArgs& a) {
  constexpr std::int64_t size = sizeof(Unit);
  Unit* y = a.output<Unit>(0);
  for (std::size_t done = 0; done < c.bytes.size();) {
    const std::size_t count = std::min(c.bytes.size() - done, std::size_t{kParts});
    const std::int64_t width = std::accumulate(&c.bytes[done], &c.bytes[done] + count, std::int64_t{0}) / size;
    const std::int64_t n = c.rows * width, threads = ceil_div(n, kTogether);
    const int block = block_for(threads);
    with_index(n, [&](auto index) {
      using Index = decltype(index);
      Parts<Unit, Index> parts{};
      parts.width = Divisor<Index>(width), parts.count = static_cast<int>(count);
      std::int64_t begin = 0;
      for (std::size_t k = 0; k < count; begin += parts.row[k++]) {
        parts.x[k] = a.input<Unit>(static_cast<int>(done + k));
        parts.begin[k] = begin, parts.row[k] = c.bytes[done + k] / size;
      }
      launch(concatenate_kernel<Unit, Index>, grid_for(threads, block, INT32_MAX), block, 0, stream_of(a), n, parts,
             c.y_bytes / size, y);
    });
    y += width, done += count;
  }
}

// x0, x1, ... -> y, one after the other along attribute "axis"
Step concatenate(const OpSpec& spec) {
  const std::size_t axis = static_cast<std::size_t>(spec.attributes.integer("axis"));
  Concatenation c{{}, bytes_from(spec.out[0], axis), rows_before(spec.out[0], axis)};
  std::int64_t common = 16;
  for (const TensorSpec& x : spec.in) {
    c.bytes.push_back(bytes_from(x, axis));
    common = std::gcd(common, c.bytes.back());
  }
  return {"", 0, [c, common](const StepArgs& a) {
            with_unit({common}, [&](auto unit) { concatenate_units<decltype(unit)>(c, a); });
          }};
}

// Bytes of x in front of position "begin" of attribute "axis".
std::int64_t bytes_before(const OpSpec& spec, const TensorSpec& x, std::size_t axis) {
  return spec.attributes.integer("begin") * (bytes_from(x, axis) / x.shape[axis]);
}

// x -> y: [begin, begin + y's size) of attribute "axis"
Step slice(const OpSpec& spec) {
  const std::size_t axis = static_cast<std::size_t>(spec.attributes.integer("axis"));
  const TensorSpec &x = spec.in[0], &y = spec.out[0];
  const std::int64_t rows = rows_before(x, axis);
  return shifted({1, rows, bytes_from(y, axis), rows, bytes_from(x, axis), 0, -bytes_before(spec, x, axis)});
}

// dy -> dx: dy from "begin" on along attribute "axis", zero elsewhere
Step slice_backward(const OpSpec& spec) {
  const std::size_t axis = static_cast<std::size_t>(spec.attributes.integer("axis"));
  const TensorSpec &dy = spec.in[0], &dx = spec.out[0];
  const std::int64_t rows = rows_before(dx, axis);
  return shifted({1, rows, bytes_from(dx, axis), rows, bytes_from(dy, axis), 0, bytes_before(spec, dx, axis)});
}

// x (N,H,W,C) -> y (N, sign * top + H + ..., sign * left + W + ..., C); attribute "padding" [t,b,l,r]
Step moved(const OpSpec& spec, std::int64_t sign) {
  const TensorSpec &x = spec.in[0], &y = spec.out[0];
  const auto& pad = spec.attributes.list("padding");
  return shifted({y.shape[0], y.shape[1], bytes_from(y, 2), x.shape[1], bytes_from(x, 2), sign * pad[0],
                  sign * pad[2] * bytes_from(x, 3)});
}

Step zero_pad2d(const OpSpec& spec) { return moved(spec, 1); }
Step crop2d(const OpSpec& spec) { return moved(spec, -1); }

}  // namespace

void add_layout_steps(StepRegistry& registry) {
  registry["concatenate"] = concatenate;
  registry["slice"] = slice;
  registry["slice_backward"] = slice_backward;
  registry["zero_pad2d"] = zero_pad2d;
  registry["crop2d"] = crop2d;
}

}  // namespace cnnfast::cuda
