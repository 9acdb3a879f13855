#include "conv2d_depthwise_plan.hpp"

#include <algorithm>
#include <numeric>

#include "rounding.hpp"

namespace cnnfast {
namespace {

// Products a task should do at least, so that it is worth handing out.
constexpr std::int64_t kTaskProducts = 256 * 1024;
// Of a 1x1 convolution and the depthwise one behind it: the tasks wanted, the channels of one, and how many rows of the
// 1x1 convolution a task computes for each one that its neighbour computes too.
constexpr std::int64_t kPanelTasks = 16, kPanelChannels = 32, kRowsPerSharedRow = 12;

// One axis of a convolution: `in` positions read by `out` windows.
struct Axis {
  std::int64_t in, out, kernel, stride, dilation, pad;
};

DepthwiseAxis with_inner_range(DepthwiseAxis axis) {
  const std::int64_t last = axis.offset + (axis.taps - 1) * axis.offset_step, room = axis.in - 1 - last;
  axis.inner_first = std::min(ceil_div(std::max<std::int64_t>(-axis.offset, 0), axis.step), axis.grid);
  axis.inner_end = std::clamp(room < 0 ? 0 : room / axis.step + 1, axis.inner_first, axis.grid);
  if (axis.taps == 0) axis.inner_first = 0, axis.inner_end = axis.grid;
  return axis;
}

DepthwiseAxis forward_axis(const Axis& a) {
  return with_inner_range({a.in, a.out, a.stride, a.out, 0, 1, a.kernel, -a.pad, a.dilation, 0, 1, 0, 0});
}

// dx[h] sums dy[p] w[r] over h = p*stride + r*dilation - pad. For h = residue + stride*i: p = i + (residue + pad -
// r*dilation) / stride, for those r that make it whole: every (stride / gcd(stride, dilation))-th one.
DepthwiseAxis backward_axis(const Axis& a, std::int64_t residue) {
  const std::int64_t divisor = std::gcd(a.stride, a.dilation), every = a.stride / divisor;
  const auto whole = [&](std::int64_t r) { return (residue + a.pad - r * a.dilation) % a.stride == 0; };
  std::int64_t last = a.kernel - 1;
  while (last >= 0 && a.kernel - last <= every && !whole(last)) --last;
  const bool any = last >= 0 && whole(last);
  const std::int64_t taps = any ? last / every + 1 : 0, grid = ceil_div(a.in - residue, a.stride);
  const std::int64_t offset = any ? (residue + a.pad - last * a.dilation) / a.stride : 0;
  return with_inner_range(
      {a.out, grid, 1, a.in, residue, a.stride, taps, offset, a.dilation / divisor, last, -every, 0, 0});
}

Axis row_axis(const Conv2dShape& s) { return {s.H, s.P, s.R, s.stride_h, s.dilation_h, s.pad_top}; }
Axis col_axis(const Conv2dShape& s) { return {s.W, s.Q, s.S, s.stride_w, s.dilation_w, s.pad_left}; }

std::int64_t row_products(const DepthwiseGather& g) { return g.cols.grid * g.K * g.rows.taps * g.cols.taps; }
std::int64_t rows_per_task(std::int64_t products_of_row) {
  return std::max<std::int64_t>(1, kTaskProducts / std::max<std::int64_t>(1, products_of_row));
}

}  // namespace

Conv2dShape depthwise_shape(const TensorSpec& x, const TensorSpec& w, const TensorSpec& y, const Attributes& a) {
  const auto &stride = a.list("strides"), &dilation = a.list("dilation"), &pad = a.list("padding");
  Conv2dShape s{};
  s.N = x.shape[0], s.H = x.shape[1], s.W = x.shape[2], s.C = s.groups = x.shape[3];
  s.R = w.shape[0], s.S = w.shape[1], s.K = w.shape[2] * w.shape[3];
  s.P = y.shape[1], s.Q = y.shape[2];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.dilation_h = dilation[0], s.dilation_w = dilation[1];
  s.pad_top = pad[0], s.pad_bottom = pad[1], s.pad_left = pad[2], s.pad_right = pad[3];
  return s;
}

DepthwiseGather plan_depthwise_forward(const Conv2dShape& s) {
  DepthwiseGather g{s.N, s.K, s.S, forward_axis(row_axis(s)), forward_axis(col_axis(s)), s.K / s.C, 1, 1};
  g.rows_per_task = rows_per_task(row_products(g));
  return g;
}

std::vector<DepthwiseGather> plan_depthwise_backward_input(const Conv2dShape& s) {
  std::vector<DepthwiseGather> gathers;
  for (std::int64_t a = 0; a < std::min(s.stride_h, s.H); ++a)
    for (std::int64_t b = 0; b < std::min(s.stride_w, s.W); ++b)
      gathers.push_back({s.N, s.K, s.S, backward_axis(row_axis(s), a), backward_axis(col_axis(s), b), 1, s.K / s.C, 1});
  std::int64_t products = 0;
  for (const DepthwiseGather& g : gathers) products += row_products(g);
  for (DepthwiseGather& g : gathers) g.rows_per_task = rows_per_task(products);
  return gathers;
}

PointwiseDepthwise plan_pointwise_depthwise(const Conv2dShape& s, std::int64_t C) {
  const DepthwiseAxis rows = forward_axis(row_axis(s)), cols = forward_axis(col_axis(s));
  const std::int64_t shared = std::max<std::int64_t>((rows.taps - 1) * rows.offset_step + 1 - rows.step, 0);
  const std::int64_t least = std::max<std::int64_t>(1, ceil_div(kRowsPerSharedRow * shared, rows.step));
  const std::int64_t wanted = ceil_div(kPanelTasks, s.N * ceil_div(s.K, kPanelChannels));
  const std::int64_t bands = std::clamp<std::int64_t>(rows.grid / least, 1, wanted);
  return {s.N, C, s.K, rows, cols, ceil_div(rows.grid, bands)};
}

}  // namespace cnnfast
