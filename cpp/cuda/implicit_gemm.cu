#include <algorithm>
#include <numeric>
#include <vector>

#include "../runtime/conv2d_depthwise_plan.hpp"
#include "implicit_gemm.hpp"
#include "implicit_gemm_kernel.hpp"
#include "split_sums.hpp"
#include "step.hpp"

namespace cnnfast::cuda {
namespace {

using namespace implicit_gemm;

// All products that make one result y (rows, cols), whatever the types.
struct Gemm {
  std::vector<Product> products;
  bool a_by_term, b_by_term;  // whether the terms of a sum lie side by side
  std::int64_t groups = 1, a_group = 0, b_group = 0;
  std::int64_t a_unit, b_unit, y_unit;  // all places of an operand are multiples of its unit
  std::int64_t rows, cols;
};

// What the windows of a gather read of a tensor with pixels of `channels`, of which a group has `group`.
Window window_of(const DepthwiseGather& g, std::int64_t channels, std::int64_t group) {
  Window w{};
  w.rows = WindowAxis(g.rows), w.cols = WindowAxis(g.cols);
  w.image = FastDivisor(g.rows.grid * g.cols.grid), w.row = FastDivisor(g.cols.grid);
  w.channels = FastDivisor(group), w.tap_cols = FastDivisor(g.cols.taps);
  w.outer_count = index_count(g.N * g.rows.grid * g.cols.grid);
  w.inner_count = index_count(g.rows.taps * g.cols.taps * group);
  w.pixel_step = channels;
  return w;
}

// The pixels that a gather writes of a tensor with pixels of `channels`.
Pixels pixels_of(const DepthwiseGather& g, std::int64_t channels) {
  const std::int64_t row = g.cols.out * channels;
  return {FastDivisor(g.rows.grid * g.cols.grid),
          FastDivisor(g.cols.grid),
          g.rows.out_first * row + g.cols.out_first * channels,
          g.rows.out * row,
          g.rows.out_step * row,
          g.cols.out_step * channels};
}

// A matrix of `outer` rows of `inner` numbers, `step` apart.
Taps rows_of(std::int64_t outer, std::int64_t inner, std::int64_t step) {
  Taps t{};
  t.outer_count = index_count(outer), t.inner_count = index_count(inner), t.outer_step = step;
  t.channels = FastDivisor(inner);
  return t;
}
Window rows_as_pixels(std::int64_t outer, std::int64_t inner, std::int64_t step) {
  Window w{};
  w.rows.in = w.cols.in = 1;
  w.channels = FastDivisor(inner);
  w.outer_count = index_count(outer), w.inner_count = index_count(inner), w.pixel_step = step;
  return w;
}
Pixels result_rows(std::int64_t cols) { return {FastDivisor(), FastDivisor(), 0, cols, 0, 0}; }

// A depthwise convolution's plan has the axes of any convolution.
Gemm forward_gemm(const Conv2dShape& s) {
  const DepthwiseGather g = plan_depthwise_forward(s);
  const std::int64_t C = s.C / s.groups, K = s.K / s.groups;
  Product p{};
  p.a = window_of(g, s.C, C);
  p.m = p.a.outer_count, p.n = index_count(K), p.k = p.a.inner_count;
  p.b = rows_of(p.k, K, s.K);
  p.y = pixels_of(g, s.K);
  return {{p}, true, false, s.groups, C, K, C, K, K, p.m, s.K};
}

// A product for each residue of the strides: its pixels of dx are reached by the same taps.
Gemm backward_input_gemm(const Conv2dShape& s) {
  const std::int64_t C = s.C / s.groups, K = s.K / s.groups, tap = C * s.K;
  Gemm gemm{{}, true, true, s.groups, K, K, K, K, C, s.N * s.H * s.W, s.C};
  for (const DepthwiseGather& g : plan_depthwise_backward_input(s)) {
    Product p{};
    p.a = window_of(g, s.K, K);
    p.m = p.a.outer_count, p.n = index_count(C), p.k = p.a.inner_count;
    p.b = rows_of(C, K, s.K);
    p.b.inner_count = p.k;
    p.b.tap_cols = p.a.tap_cols;
    p.b.tap_first = (g.rows.index * s.S + g.cols.index) * tap;
    p.b.tap_row_step = g.rows.index_step * s.S * tap, p.b.tap_col_step = g.cols.index_step * tap;
    p.y = pixels_of(g, s.C);
    gemm.products.push_back(p);
  }
  // The longest first, so that they do not end last.
  std::stable_sort(gemm.products.begin(), gemm.products.end(),
                   [](const Product& a, const Product& b) { return a.k > b.k; });
  return gemm;
}

Gemm backward_weight_gemm(const Conv2dShape& s) {
  const std::int64_t C = s.C / s.groups, K = s.K / s.groups;
  Product p{};
  p.a = window_of(plan_depthwise_forward(s), s.C, C);
  p.m = p.a.inner_count, p.n = index_count(K), p.k = p.a.outer_count;
  p.b = rows_of(p.k, K, s.K);
  p.y = result_rows(s.K);
  return {{p}, false, false, s.groups, C, K, C, K, K, p.m, s.K};
}

Gemm matmul_gemm(const MatmulShape& s, const MatrixOperand& a, const MatrixOperand& b) {
  Product p{};
  p.m = index_count(s.M), p.n = index_count(s.N), p.k = index_count(s.K);
  // A matrix of one row or column may be read either way.
  const bool a_by_term = a.col_step == 1, b_by_term = b.col_step != 1;
  if ((a_by_term ? a.col_step : a.row_step) != 1 || (b_by_term ? b.row_step : b.col_step) != 1)
    throw std::invalid_argument("matmul: on cuda the rows or the columns of an operand must lie side by side");
  const std::int64_t a_step = a_by_term ? a.row_step : a.col_step, b_step = b_by_term ? b.col_step : b.row_step;
  p.a = a_by_term ? rows_as_pixels(s.M, s.K, a_step) : rows_as_pixels(s.K, s.M, a_step);
  p.b = b_by_term ? rows_of(s.N, s.K, b_step) : rows_of(s.K, s.N, b_step);
  p.y = result_rows(s.N);
  return {{p},
          a_by_term,
          b_by_term,
          1,
          0,
          0,
          std::gcd(a_step, std::int64_t{p.a.inner_count}),
          std::gcd(b_step, std::int64_t{p.b.inner_count}),
          s.N,
          s.M,
          s.N};
}

enum class TileKind { large, medium, narrow };

// What is known of a tile: its size, the products a multiprocessor makes of it in a clock, and with how many blocks.
struct TileRate {
  TileKind kind;
  std::int64_t rows, cols;
  double products_per_clock, blocks;
};
struct MathRates {
  std::int64_t depth;
  TileRate tiles[3];
};
template <class Tile>
constexpr TileRate tile_rate(TileKind kind, double products_per_clock, double blocks) {
  return {kind, Tile::kRows, Tile::kCols, products_per_clock, blocks};
}
template <class Math>
constexpr MathRates math_rates(double large, double medium, double narrow) {
  return {Math::kDepth,
          {tile_rate<LargeTile>(TileKind::large, large, 1.5), tile_rate<MediumTile>(TileKind::medium, medium, 3.0),
           tile_rate<NarrowTile>(TileKind::narrow, narrow, 3.0)}};
}

// Estimates for an H100; other devices differ in size more than in what is best.
constexpr double kMultiprocessors = 132, kBytesPerClock = 1500, kClocksOfLaunch = 4000;
constexpr std::int64_t kMostSplitBytes = std::int64_t{256} << 20;

MathRates rates_of(Dtype dtype, Precision precision) {
  if (dtype == Dtype::bfloat16) return math_rates<Bf16Math>(600, 350, 280);
  if (precision == Precision::tf32) return math_rates<Tf32Math>(300, 180, 150);
  return math_rates<ExactMath>(105, 85, 80);
}

// How a result is cut into tiles, and the terms of its sums into splits.
struct Cut {
  TileKind tile = TileKind::medium;
  int splits = 1;
};

double clocks_of(const Gemm& gemm, const MathRates& math, const TileRate& tile, std::int64_t splits) {
  double blocks = 0, terms = 0;  // of all blocks
  for (const Product& p : gemm.products) {
    const auto tiles = static_cast<double>(ceil_div(p.m, tile.rows) * ceil_div(p.n, tile.cols) * gemm.groups);
    blocks += tiles;
    terms += tiles * static_cast<double>(ceil_div(p.k, math.depth) * math.depth);
  }
  if (blocks == 0) return 0;
  const double on_one = std::max(std::ceil(blocks * static_cast<double>(splits) / kMultiprocessors), tile.blocks);
  const double block_products =
      terms / blocks / static_cast<double>(splits) * static_cast<double>(tile.rows * tile.cols);
  const double split_bytes = splits > 1 ? 8.0 * static_cast<double>(splits * gemm.rows * gemm.cols) : 0;
  return on_one * block_products / tile.products_per_clock + split_bytes / kBytesPerClock +
         (splits > 1 ? kClocksOfLaunch : 0);
}

Cut cut(const Gemm& gemm, const MathRates& math) {
  std::int64_t most_terms = 0;
  for (const Product& p : gemm.products) most_terms = std::max<std::int64_t>(most_terms, p.k);
  Cut best;
  double best_clocks = -1;
  for (const TileRate& tile : math.tiles)
    for (std::int64_t splits = 1; splits == 1 || (splits * 2 * math.depth <= most_terms && splits <= 512);
         splits = splits < 4 ? splits + 1 : splits * 5 / 4) {
      if (splits > 1 && splits * gemm.rows * gemm.cols * 4 > kMostSplitBytes) break;
      const double clocks = clocks_of(gemm, math, tile, splits);
      if (best_clocks >= 0 && clocks >= best_clocks) continue;
      best_clocks = clocks;
      best = {tile.kind, static_cast<int>(splits)};
    }
  return best;
}

std::int64_t split_floats(const Gemm& gemm, const Cut& c) { return c.splits > 1 ? gemm.rows * gemm.cols : 0; }
std::int64_t workspace_bytes(const Gemm& gemm, Dtype dtype, Precision precision) {
  const Cut c = cut(gemm, rates_of(dtype, precision));
  return split_floats(gemm, c) * c.splits * 4;
}

template <class Math, class Tile, bool A_BY_TERM, bool B_BY_TERM>
void launch_products(const Gemm& gemm, Products<typename Math::Number> all, cudaStream_t stream) {
  constexpr int bytes = Pieces<Math, Tile, A_BY_TERM, B_BY_TERM>::kBytes;
  const std::int64_t most_groups = 65535;
  if (gemm.groups > most_groups)
    throw std::invalid_argument("cuda: a convolution of " + std::to_string(gemm.groups) + " groups");
  all.col_tiles = static_cast<int>(ceil_div(gemm.products[0].n, Tile::kCols));
  for (std::size_t first = 0; first < gemm.products.size(); first += kMostProducts) {
    const std::size_t count = std::min<std::size_t>(kMostProducts, gemm.products.size() - first);
    int rows = 0;
    for (std::size_t i = 0; i < count; ++i) {
      all.product[i] = gemm.products[first + i];
      rows = std::max(rows, all.product[i].m);
    }
    const dim3 grid(static_cast<unsigned>(index_count(ceil_div(rows, Tile::kRows) * all.col_tiles)),
                    static_cast<unsigned>(gemm.groups), static_cast<unsigned>(count) * all.splits);
    launch(product_kernel<Math, Tile, A_BY_TERM, B_BY_TERM>, grid, Tile::kThreads, bytes, stream, all);
  }
}

template <class Math, class Tile>
void launch_products(const Gemm& gemm, const Products<typename Math::Number>& all, cudaStream_t stream) {
  if (gemm.a_by_term)
    gemm.b_by_term ? launch_products<Math, Tile, true, true>(gemm, all, stream)
                   : launch_products<Math, Tile, true, false>(gemm, all, stream);
  else  // Both transposed is so rare that one tile will do.
    gemm.b_by_term ? launch_products<Math, MediumTile, false, true>(gemm, all, stream)
                   : launch_products<Math, Tile, false, false>(gemm, all, stream);
}

template <class Math>
void launch_products(const Gemm& gemm, TileKind tile, const Products<typename Math::Number>& all, cudaStream_t stream) {
  switch (tile) {
    case TileKind::large:
      return launch_products<Math, LargeTile>(gemm, all, stream);
    case TileKind::medium:
      return launch_products<Math, MediumTile>(gemm, all, stream);
    case TileKind::narrow:
      return launch_products<Math, NarrowTile>(gemm, all, stream);
  }
}

template <class Math>
void run(const Gemm& gemm, const Cut& c, const void* a, const void* b, const ConvEnding& ending, void* y, Dtype y_dtype,
         void* workspace, cudaStream_t stream) {
  using T = typename Math::Number;
  const bool split = c.splits > 1;
  Products<T> all{};
  all.a = static_cast<const T*>(a), all.b = static_cast<const T*>(b);
  all.a_group = gemm.a_group, all.b_group = gemm.b_group;
  all.a_vectors = has_vectors<T>(a, gemm.a_unit), all.b_vectors = has_vectors<T>(b, gemm.b_unit);
  all.splits = c.splits;
  all.y = split ? workspace : y;
  all.y_is_float = split || y_dtype == Dtype::float32;
  all.y_split = split_floats(gemm, c);
  if (!split) all.ending = ending;
  all.y_vectors = all.y_is_float ? has_vectors<float>(all.ending, all.y, gemm.y_unit)
                                 : has_vectors<T>(all.ending, all.y, gemm.y_unit);
  launch_products<Math>(gemm, c.tile, all, stream);
  if (!split) return;
  with_number(y_dtype, [&](auto number) {
    using Y = decltype(number);
    sum_splits(gemm.rows, gemm.cols, c.splits, static_cast<const float*>(workspace), ending, static_cast<Y*>(y),
               stream);
  });
}

void run(const Gemm& gemm, Dtype dtype, Precision precision, const void* a, const void* b, const ConvEnding& ending,
         void* y, Dtype y_dtype, void* workspace, cudaStream_t stream) {
  if (gemm.rows == 0 || gemm.cols == 0) return;
  const Cut c = cut(gemm, rates_of(dtype, precision));
  if (dtype == Dtype::bfloat16)
    run<Bf16Math>(gemm, c, a, b, ending, y, y_dtype, workspace, stream);
  else if (precision == Precision::tf32)
    run<Tf32Math>(gemm, c, a, b, ending, y, y_dtype, workspace, stream);
  else
    run<ExactMath>(gemm, c, a, b, ending, y, y_dtype, workspace, stream);
}

}  // namespace

void conv2d_forward(const Conv2dShape& shape, Dtype dtype, Precision precision, const void* x, const void* w,
                    const ConvEnding& ending, void* y, void* workspace, cudaStream_t stream) {
  run(forward_gemm(shape), dtype, precision, x, w, ending, y, dtype, workspace, stream);
}
std::int64_t conv2d_forward_workspace_bytes(const Conv2dShape& shape, Dtype dtype, Precision precision) {
  return workspace_bytes(forward_gemm(shape), dtype, precision);
}

void conv2d_backward_input(const Conv2dShape& shape, Dtype dtype, Precision precision, const void* dy, const void* w,
                           const ConvEnding& ending, void* dx, void* workspace, cudaStream_t stream) {
  run(backward_input_gemm(shape), dtype, precision, dy, w, ending, dx, dtype, workspace, stream);
}
std::int64_t conv2d_backward_input_workspace_bytes(const Conv2dShape& shape, Dtype dtype, Precision precision) {
  return workspace_bytes(backward_input_gemm(shape), dtype, precision);
}

void conv2d_backward_weight(const Conv2dShape& shape, Dtype dtype, Precision precision, const void* dy, const void* x,
                            float* dw, void* workspace, cudaStream_t stream) {
  run(backward_weight_gemm(shape), dtype, precision, x, dy, {}, dw, Dtype::float32, workspace, stream);
}
std::int64_t conv2d_backward_weight_workspace_bytes(const Conv2dShape& shape, Dtype dtype, Precision precision) {
  return workspace_bytes(backward_weight_gemm(shape), dtype, precision);
}

void matmul(const MatmulShape& shape, Dtype dtype, Precision precision, const MatrixOperand& a, const MatrixOperand& b,
            const float* bias, Epilogue epilogue, void* y, Dtype y_dtype, void* workspace, cudaStream_t stream) {
  run(matmul_gemm(shape, a, b), dtype, precision, a.data, b.data, {bias, nullptr, epilogue, nullptr}, y, y_dtype,
      workspace, stream);
}
std::int64_t matmul_workspace_bytes(const MatmulShape& shape, Dtype dtype, Precision precision) {
  return workspace_bytes(matmul_gemm(shape, {nullptr, shape.K, 1}, {nullptr, shape.N, 1}), dtype, precision);
}

}  // namespace cnnfast::cuda
