// Steps that only move numbers: they copy, so they need no instruction set of their own.
#include "layout.hpp"

#include <algorithm>
#include <cstring>

#include "cnnfast/parallel.hpp"
#include "families.hpp"

namespace cnnfast {
namespace {

using Bytes = unsigned char;

// `rows` rows of `bytes` bytes, the pitches apart.
struct Rows {
  std::int64_t rows, bytes, from_pitch, to_pitch;
};

// f(row) for all rows, several to a task where they are short.
template <class F>
void for_each_row(std::int64_t rows, std::int64_t bytes, const F& f) {
  constexpr std::int64_t task_bytes = 65536;
  struct Context {
    const F& f;
    std::int64_t rows, together;
  } context{f, rows, std::max<std::int64_t>(1, task_bytes / std::max<std::int64_t>(1, bytes))};
  parallel_for(
      (rows + context.together - 1) / context.together,
      [](void* p, std::int64_t task, int) {
        const Context& c = *static_cast<const Context*>(p);
        const std::int64_t end = std::min((task + 1) * c.together, c.rows);
        for (std::int64_t row = task * c.together; row < end; ++row) c.f(row);
      },
      &context);
}

void copy_rows(const Rows& r, const Bytes* from, Bytes* to) {
  for_each_row(r.rows, r.bytes, [&](std::int64_t row) {
    std::memcpy(to + row * r.to_pitch, from + row * r.from_pitch, static_cast<std::size_t>(r.bytes));
  });
}

void copy_between_zeros(std::int64_t before, std::int64_t bytes, std::int64_t after, const Bytes* from, Bytes* to) {
  std::memset(to, 0, static_cast<std::size_t>(before));
  std::memcpy(to + before, from, static_cast<std::size_t>(bytes));
  std::memset(to + before + bytes, 0, static_cast<std::size_t>(after));
}

// x0, x1, ... -> y, one after the other along attribute "axis"
Step concatenate(const OpSpec& spec) {
  const std::size_t axis = static_cast<std::size_t>(spec.attributes.integer("axis"));
  const TensorSpec& y = spec.out[0];
  std::vector<Rows> parts;
  for (const TensorSpec& x : spec.in) {
    const std::int64_t bytes = bytes_from(x, axis);
    parts.push_back({rows_before(y, axis), bytes, bytes, bytes_from(y, axis)});
  }
  return {"", 0, [parts](const StepArgs& a) {
            Bytes* to = a.output<Bytes>(0);
            for (std::size_t i = 0; i < parts.size(); to += parts[i++].bytes)
              copy_rows(parts[i], a.input<Bytes>(static_cast<int>(i)), to);
          }};
}

// x -> y: [begin, begin + y's size) of attribute "axis"
Step slice(const OpSpec& spec) {
  const std::size_t axis = static_cast<std::size_t>(spec.attributes.integer("axis"));
  const TensorSpec &x = spec.in[0], &y = spec.out[0];
  const Rows rows{rows_before(x, axis), bytes_from(y, axis), bytes_from(x, axis), bytes_from(y, axis)};
  const std::int64_t first = spec.attributes.integer("begin") * (bytes_from(x, axis) / x.shape[axis]);
  return {"", 0, [=](const StepArgs& a) { copy_rows(rows, a.input<Bytes>(0) + first, a.output<Bytes>(0)); }};
}

// dy -> dx: dy from "begin" on along attribute "axis", zero elsewhere
Step slice_backward(const OpSpec& spec) {
  const std::size_t axis = static_cast<std::size_t>(spec.attributes.integer("axis"));
  const TensorSpec &dy = spec.in[0], &dx = spec.out[0];
  const std::int64_t dy_row = bytes_from(dy, axis), dx_row = bytes_from(dx, axis);
  const std::int64_t first = spec.attributes.integer("begin") * (dx_row / dx.shape[axis]);
  return {"", 0, [=, rows = rows_before(dx, axis)](const StepArgs& a) {
            for_each_row(rows, dx_row, [&](std::int64_t row) {
              copy_between_zeros(first, dy_row, dx_row - first - dy_row, a.input<Bytes>(0) + row * dy_row,
                                 a.output<Bytes>(0) + row * dx_row);
            });
          }};
}

// x (N,H,W,C) -> y (N, top + H + bottom, left + W + right, C), zero around x; attribute "padding" [t,b,l,r]
Step zero_pad2d(const OpSpec& spec) {
  const TensorSpec &x = spec.in[0], &y = spec.out[0];
  const auto& pad = spec.attributes.list("padding");
  const std::int64_t H = x.shape[1], P = y.shape[1], top = pad[0], x_row = bytes_from(x, 2), y_row = bytes_from(y, 2);
  const std::int64_t left = pad[2] * (x_row / x.shape[2]), right = y_row - x_row - left;
  return {"", 0, [=, rows = y.shape[0] * P](const StepArgs& a) {
            for_each_row(rows, y_row, [&](std::int64_t row) {
              Bytes* to = a.output<Bytes>(0) + row * y_row;
              const std::int64_t i = row % P - top;
              if (i < 0 || i >= H) {
                std::memset(to, 0, static_cast<std::size_t>(y_row));
                return;
              }
              const Bytes* from = a.input<Bytes>(0) + (row / P * H + i) * x_row;
              copy_between_zeros(left, x_row, right, from, to);
            });
          }};
}

// x (N, top + P + bottom, left + Q + right, C) -> y (N,P,Q,C); attribute "padding" [t,b,l,r]
Step crop2d(const OpSpec& spec) {
  const TensorSpec &x = spec.in[0], &y = spec.out[0];
  const auto& pad = spec.attributes.list("padding");
  const std::int64_t H = x.shape[1], P = y.shape[1], x_row = bytes_from(x, 2), y_row = bytes_from(y, 2);
  const std::int64_t first = pad[0] * x_row + pad[2] * (x_row / x.shape[2]);
  return {"", 0, [=, rows = y.shape[0] * P](const StepArgs& a) {
            for_each_row(rows, y_row, [&](std::int64_t row) {
              std::memcpy(a.output<Bytes>(0) + row * y_row,
                          a.input<Bytes>(0) + first + (row / P * H + row % P) * x_row, static_cast<std::size_t>(y_row));
            });
          }};
}

}  // namespace

void add_layout_steps(StepRegistry& registry) {
  registry["concatenate"] = concatenate;
  registry["slice"] = slice;
  registry["slice_backward"] = slice_backward;
  registry["zero_pad2d"] = zero_pad2d;
  registry["crop2d"] = crop2d;
}

}  // namespace cnnfast
