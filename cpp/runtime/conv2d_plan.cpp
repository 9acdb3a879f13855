#include "conv2d_plan.hpp"

#include <algorithm>
#include <optional>

#include "cnnfast/program.hpp"
#include "rounding.hpp"

namespace cnnfast {
namespace {

// Weight rows of a pass: with 16 columns of floats they fill half of a 32 KB first-level cache.
constexpr std::int64_t kPassRows = 256;
// Floats of input block and output that a task should keep in the second-level cache.
constexpr std::int64_t kTaskFloats = 48 * 1024;
// A task smaller than this is not worth handing out.
constexpr std::int64_t kTaskPixels = 96;
// Enough tasks to keep many cores busy, whatever their number.
constexpr std::int64_t kWantedTasks = 32;
// Tasks are cut at whole register tiles of every instruction set: of rows (pixels or weights) and of channels.
constexpr std::int64_t kTileRowsUnit = 24, kChannelUnit = 32;
// Output channels of a pixel that a task keeps in the cache at most.
constexpr std::int64_t kTaskChannels = 256;

struct Tap {
  std::int64_t row, col;              // offset of the input pixel it reads
  std::vector<std::int64_t> weights;  // index of its first weight, for each pixel of a cell
};

// Decides what one task computes: rows of pixels, or whole images where those are small, and a range of channels where
// there would otherwise be too few tasks.
void cut_tasks(GatherConv& g, std::int64_t row_unit) {
  const std::int64_t pixel_floats = std::min(g.out_channels, kTaskChannels);
  // Of a window smaller than the stride, rows and columns between windows are not read.
  const std::int64_t rows_read = std::min(g.row_step, g.row_last - g.row_first + 1);
  const std::int64_t cols_read = std::min(g.block_w, g.grid_w * (g.col_last - g.col_first + 1));
  const std::int64_t row_floats = rows_read * cols_read * g.block_c + g.grid_w * pixel_floats;
  const std::int64_t fit = std::max<std::int64_t>(1, kTaskFloats / std::max<std::int64_t>(1, row_floats));
  const std::int64_t spread = std::max(ceil_div(g.grid_h * g.N, kWantedTasks), ceil_div(kTaskPixels, g.grid_w));
  const std::int64_t rows_wanted = std::max<std::int64_t>(1, std::min(fit, spread));
  if (rows_wanted < g.grid_h) {
    g.rows_per_task = ceil_div(g.grid_h, ceil_div(g.grid_h, rows_wanted));  // bands of nearly equal height
    if (g.grid_w == 1) row_unit = kTileRowsUnit;
    g.rows_per_task = std::min(round_up(g.rows_per_task, row_unit), g.grid_h);
    // Too few rows for a task of their own are spread over the others.
    if (g.grid_w == 1 && g.grid_h % g.rows_per_task < kTileRowsUnit / 2)
      g.rows_per_task = ceil_div(g.grid_h, g.grid_h / g.rows_per_task);
    g.images_per_task = 1;
  } else {
    g.rows_per_task = g.grid_h;
    g.images_per_task = std::max<std::int64_t>(1, std::min(rows_wanted / g.grid_h, g.N));
  }
  const std::int64_t blocks = ceil_div(g.grid_h, g.rows_per_task) * ceil_div(g.N, g.images_per_task);
  const std::int64_t ranges = std::min(ceil_div(kWantedTasks, blocks), ceil_div(g.out_channels, kChannelUnit));
  g.channels_per_task = round_up(ceil_div(g.out_channels, std::max<std::int64_t>(1, ranges)), kChannelUnit);
}

// Fills what follows from the taps and the pixel grid.
void finish(GatherPlan& plan, const std::vector<Tap>& taps, std::int64_t row_unit = 1) {
  GatherConv& g = plan.conv;
  g.n_taps = static_cast<std::int64_t>(taps.size());
  g.depth = g.n_taps * g.channels;
  g.row_first = g.row_last = g.col_first = g.col_last = 0;
  if (!taps.empty()) {
    const auto rows = std::minmax_element(taps.begin(), taps.end(), [](auto& a, auto& b) { return a.row < b.row; });
    const auto cols = std::minmax_element(taps.begin(), taps.end(), [](auto& a, auto& b) { return a.col < b.col; });
    g.row_first = rows.first->row, g.row_last = rows.second->row;
    g.col_first = cols.first->col, g.col_last = cols.second->col;
  }
  g.padded = g.row_first < 0 || g.col_first < 0 || (g.grid_h - 1) * g.row_step + g.row_last >= g.in_h ||
             (g.grid_w - 1) * g.col_step + g.col_last >= g.in_w;
  g.block_w = g.padded ? (g.grid_w - 1) * g.col_step + g.col_last - g.col_first + 1 : g.in_w;
  g.block_c = g.padded ? g.channels : g.in_c;

  for (std::int64_t t = 0; t < g.n_taps; ++t) {
    const Tap& tap = taps[static_cast<std::size_t>(t)];
    for (const std::int64_t weight : tap.weights) plan.taps.push_back({weight});
    const std::int64_t at = ((tap.row - g.row_first) * g.block_w + tap.col - g.col_first) * g.block_c;
    for (std::int64_t c = 0; c < g.channels; ++c) plan.row_offset.push_back(at + c);
    ConvRun* last = plan.runs.empty() ? nullptr : &plan.runs.back();
    if (last && last->offset + last->length == at)
      last->length += g.channels;
    else
      plan.runs.push_back({at, t * g.channels, g.channels});
  }
  // Cut long runs, then gather short ones into passes.
  std::vector<ConvRun> cut;
  for (const ConvRun& run : plan.runs) {
    const std::int64_t parts = ceil_div(run.length, kPassRows);
    for (std::int64_t p = 0; p < parts; ++p) {
      const std::int64_t from = p * run.length / parts, to = (p + 1) * run.length / parts;
      cut.push_back({run.offset + from, run.depth + from, to - from});
    }
  }
  plan.runs = std::move(cut);
  for (std::size_t r = 0; r < plan.runs.size(); ++r) {
    const auto at = static_cast<std::int64_t>(r);
    if (plan.passes.empty() || plan.passes.back().rows + plan.runs[r].length > kPassRows)
      plan.passes.push_back({at, at, plan.runs[r].depth, 0});
    plan.passes.back().rows += plan.runs[r].length;
    plan.passes.back().end = at + 1;
  }
  if (plan.passes.empty()) plan.passes.push_back({0, 0, 0, 0});  // no taps: the output is the bias alone

  cut_tasks(g, row_unit);
  g.taps = plan.taps.data();
  g.runs = plan.runs.data();
  g.passes = plan.passes.data();
  g.n_passes = static_cast<std::int64_t>(plan.passes.size());
  g.row_offset = plan.row_offset.data();
}

// A 1x1 convolution with stride 1 does not care where a row of pixels or an image ends.
Conv2dShape without_rows(Conv2dShape s) {
  const bool padded = s.pad_top || s.pad_bottom || s.pad_left || s.pad_right;
  if (s.R != 1 || s.S != 1 || s.stride_h != 1 || s.stride_w != 1 || padded) return s;
  s.H = s.P = s.N * s.H * s.W;
  s.N = s.W = s.Q = 1;
  return s;
}

// Along one axis of an input gradient, the tap that pixel `a` of a cell meets at position t of dy: dx[a] sums
// dy[t] w[r] over a = t*stride + r*dilation - pad, with t counted from the cell's first. Negative if there is none.
std::int64_t tap_at(std::int64_t a, std::int64_t t, std::int64_t stride, std::int64_t dilation, std::int64_t pad,
                    std::int64_t taps) {
  const std::int64_t from = a + pad - t * stride;
  return from >= 0 && from % dilation == 0 && from / dilation < taps ? from / dilation : -1;
}

// The positions [first, end) of dy that the pixels of a cell of `size` sum over.
struct Span {
  std::int64_t first, end;
  std::int64_t size() const { return end - first; }
};
Span cell_span(std::int64_t size, std::int64_t stride, std::int64_t dilation, std::int64_t pad, std::int64_t taps) {
  const std::int64_t reach = (taps - 1) * dilation - pad;  // the first pixel's farthest tap begins this far before it
  return {reach > 0 ? -(reach / stride) : ceil_div(-reach, stride), (size - 1 + pad) / stride + 1};
}

struct Cell {
  std::int64_t h, w;
};

// Cells of one or two strides where that takes fewer multiplications of whole panels than a gather for each residue.
std::optional<Cell> choose_cell(const Conv2dShape& s) {
  constexpr std::int64_t kFewChannels = 8, kPanel = 16;
  if (s.groups != 1 || s.C >= kFewChannels) return std::nullopt;
  const auto cost = [&](std::int64_t taps, std::int64_t pixels) {
    return static_cast<double>(taps * round_up(pixels * s.C, kPanel)) / static_cast<double>(pixels);
  };
  double least = static_cast<double>(s.R * s.S * kPanel) / static_cast<double>(s.stride_h * s.stride_w);
  std::optional<Cell> best;
  for (const Cell cell : {Cell{s.stride_h, s.stride_w}, Cell{s.stride_h, 2 * s.stride_w},
                          Cell{2 * s.stride_h, s.stride_w}, Cell{2 * s.stride_h, 2 * s.stride_w}}) {
    const std::int64_t rows = cell_span(cell.h, s.stride_h, s.dilation_h, s.pad_top, s.R).size();
    const std::int64_t cols = cell_span(cell.w, s.stride_w, s.dilation_w, s.pad_left, s.S).size();
    if (cell.h * cell.w == 1 || cost(rows * cols, cell.h * cell.w) >= least) continue;
    least = cost(rows * cols, cell.h * cell.w), best = cell;
  }
  return best;
}

GatherPlans plan_cells_backward_input(const Conv2dShape& s, const Cell& cell) {
  GatherPlans plans(1);
  GatherConv& g = plans[0].conv;
  g.N = s.N, g.in_h = s.P, g.in_w = s.Q, g.in_c = s.K, g.channels = s.K;
  g.row_step = cell.h / s.stride_h, g.col_step = cell.w / s.stride_w;
  g.grid_h = ceil_div(s.H, cell.h), g.grid_w = ceil_div(s.W, cell.w);
  g.out_h = s.H, g.out_w = s.W, g.out_c = s.C, g.out_channels = cell.h * cell.w * s.C;
  g.out_row_step = g.out_col_step = 1;
  g.cell_h = cell.h, g.cell_w = cell.w;
  g.weight_in_step = 1, g.weight_out_step = s.K;
  const Span rows = cell_span(cell.h, s.stride_h, s.dilation_h, s.pad_top, s.R);
  const Span cols = cell_span(cell.w, s.stride_w, s.dilation_w, s.pad_left, s.S);
  std::vector<Tap> taps;
  for (std::int64_t row = rows.first; row < rows.end; ++row)
    for (std::int64_t col = cols.first; col < cols.end; ++col) {
      std::vector<std::int64_t> weights;
      for (std::int64_t a = 0; a < cell.h; ++a)
        for (std::int64_t b = 0; b < cell.w; ++b) {
          const std::int64_t r = tap_at(a, row, s.stride_h, s.dilation_h, s.pad_top, s.R);
          const std::int64_t q = tap_at(b, col, s.stride_w, s.dilation_w, s.pad_left, s.S);
          weights.push_back(r < 0 || q < 0 ? -1 : (r * s.S + q) * s.C * s.K);
        }
      taps.push_back({row, col, std::move(weights)});
    }
  finish(plans[0], taps);
  g.channels_per_task = round_up(g.out_channels, kChannelUnit);  // the cells of a pixel are spread together
  return plans;
}

}  // namespace

GatherPlans plan_conv2d_forward(const Conv2dShape& shape) { return plan_conv2d_windows(without_rows(shape)); }

GatherPlans plan_pointwise(const std::vector<std::int64_t>& x, const std::vector<std::int64_t>& w) {
  Conv2dShape s{};
  s.N = s.W = s.Q = s.R = s.S = s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = s.groups = 1;
  s.C = w[w.size() - 2], s.K = w[w.size() - 1];
  s.H = s.P = TensorSpec{Dtype::float32, x}.count() / s.C;
  return plan_conv2d_forward(s);
}

GatherPlans plan_conv2d_windows(const Conv2dShape& s, std::int64_t row_unit) {
  GatherPlans plans;
  const std::int64_t C = s.C / s.groups, K = s.K / s.groups;
  for (std::int64_t group = 0; group < s.groups; ++group) {
    GatherPlan plan;
    GatherConv& g = plan.conv;
    g.N = s.N, g.in_h = s.H, g.in_w = s.W, g.in_c = s.C, g.channel_first = group * C, g.channels = C;
    g.row_step = s.stride_h, g.col_step = s.stride_w;
    g.grid_h = g.out_h = s.P, g.grid_w = g.out_w = s.Q, g.out_c = s.K;
    g.out_channel_first = group * K, g.out_channels = K;
    g.out_row_step = g.out_col_step = 1;
    g.weight_in_step = s.K, g.weight_out_step = 1;
    std::vector<Tap> taps;
    for (std::int64_t r = 0; r < s.R; ++r)
      for (std::int64_t q = 0; q < s.S; ++q)
        taps.push_back(
            {r * s.dilation_h - s.pad_top, q * s.dilation_w - s.pad_left, {(r * s.S + q) * C * s.K + group * K}});
    finish(plan, taps, row_unit);
    plans.push_back(std::move(plan));
  }
  return plans;
}

GatherPlans plan_conv2d_backward_input(const Conv2dShape& shape) {
  const Conv2dShape s = without_rows(shape);
  if (const auto cell = choose_cell(s)) return plan_cells_backward_input(s, *cell);
  // dx[h] sums dy[p] w[r] over h = p*stride + r*dilation - pad. For the rows h = a + stride*i of one residue a, the
  // taps are those r with (a + pad - r*dilation) divisible by the stride, and p = i + (a + pad - r*dilation) / stride.
  GatherPlans plans;
  const std::int64_t C = s.C / s.groups, K = s.K / s.groups;
  for (std::int64_t group = 0; group < s.groups; ++group) {
    for (std::int64_t a = 0; a < std::min(s.stride_h, s.H); ++a) {
      for (std::int64_t b = 0; b < std::min(s.stride_w, s.W); ++b) {
        GatherPlan plan;
        GatherConv& g = plan.conv;
        g.N = s.N, g.in_h = s.P, g.in_w = s.Q, g.in_c = s.K, g.channel_first = group * K, g.channels = K;
        g.row_step = g.col_step = 1;
        g.grid_h = ceil_div(s.H - a, s.stride_h), g.grid_w = ceil_div(s.W - b, s.stride_w);
        g.out_h = s.H, g.out_w = s.W, g.out_c = s.C, g.out_channel_first = group * C, g.out_channels = C;
        g.out_row_first = a, g.out_col_first = b, g.out_row_step = s.stride_h, g.out_col_step = s.stride_w;
        g.weight_in_step = 1, g.weight_out_step = s.K;
        std::vector<Tap> taps;
        for (std::int64_t r = s.R - 1; r >= 0; --r) {
          const std::int64_t row = a + s.pad_top - r * s.dilation_h;
          if (row % s.stride_h != 0) continue;
          for (std::int64_t q = s.S - 1; q >= 0; --q) {
            const std::int64_t col = b + s.pad_left - q * s.dilation_w;
            if (col % s.stride_w != 0) continue;
            taps.push_back({row / s.stride_h, col / s.stride_w, {(r * s.S + q) * C * s.K + group * K}});
          }
        }
        finish(plan, taps);
        plans.push_back(std::move(plan));
      }
    }
  }
  return plans;
}

GatherPlans plan_conv2d_backward_weight(const Conv2dShape& shape, bool pooled) {
  return plan_conv2d_windows(pooled ? shape : without_rows(shape));
}

WeightSplit split_conv2d_backward_weight(const GatherConv& g) {
  constexpr std::int64_t kPartialFloats = 1 << 20;  // of all partial sums together
  constexpr std::int64_t kBlockFloats = 72 * 1024;  // of a task's sums and packed bands, for the second-level cache
  constexpr std::int64_t kBandPixels = 96;          // of a band, but at least a row: a panel for the first-level cache
  constexpr std::int64_t kSlicePixels = 384;        // fewer do not repay partial sums
  constexpr std::int64_t kTasks = 16, kSmallBlock = 96;
  const std::int64_t rows = g.N * g.grid_h, grid_w = std::max<std::int64_t>(1, g.grid_w);
  const std::int64_t fit = std::max<std::int64_t>(1, kBandPixels / grid_w);
  // Of a task's block, as near to a square as it comes: a longer side means that more is packed for as many products.
  std::int64_t depth = std::max<std::int64_t>(1, g.depth), filters = g.out_channels;
  std::int64_t row_splits = 1, filter_splits = 1;
  const auto split_longer = [&] {
    if (depth > filters)
      depth = ceil_div(g.depth, ++row_splits);
    else
      filters = ceil_div(g.out_channels, ++filter_splits);
  };
  while (depth * filters + fit * grid_w * (depth + filters) > kBlockFloats && std::max(depth, filters) > kSmallBlock)
    split_longer();
  const std::int64_t parts = row_splits * filter_splits, size = std::max<std::int64_t>(1, g.depth * g.out_channels);
  const std::int64_t slices =
      std::clamp(std::min({ceil_div(kTasks, parts), rows * grid_w / kSlicePixels, kPartialFloats / size}),
                 std::int64_t{1}, std::max<std::int64_t>(1, rows));
  while (slices * row_splits * filter_splits < kTasks && std::max(depth, filters) > kSmallBlock) split_longer();
  const std::int64_t slice_rows = std::max<std::int64_t>(1, ceil_div(rows, slices));
  const std::int64_t band_rows = ceil_div(slice_rows, ceil_div(slice_rows, fit));  // bands of nearly equal height
  return {slices, row_splits, filter_splits, band_rows};
}

}  // namespace cnnfast
