// Matrix products and row sums (see cnnfast/kernels/matmul.hpp).
#pragma once
#include "cnnfast/kernels/matmul.hpp"
#include "parallel.hpp"
#include "row_sums.hpp"
#include "tile.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

// A task multiplies up to kMatmulRows rows of a by kMatmulPanels panels of b; kMatmulDepth rows of b are packed at a
// time, so that the packed part (32 KB with AVX2) stays close to the core.
static constexpr std::int64_t kMatmulRows = 120, kMatmulPanels = 4, kMatmulDepth = 128;

struct MatmulTile {
  const float* const* a;
  std::int64_t a_step;
  const float* b;
  std::int64_t depth;
  const float* bias;
  bool first, last;
  Epilogue epilogue;
  float* y;
  std::int64_t y_pitch, cols;

  template <int MR, int NV, bool PARTIAL>
  void run() const {
    Tile<MR, NV> tile;
    for_tile<MR, NV>([&](int i, int v) {
      tile.acc[i][v] = !first ? load_cols<NV, PARTIAL>(y + i * y_pitch, v, cols)
                       : bias ? load_cols<NV, PARTIAL>(bias, v, cols)
                              : vzero();
    });
    tile_multiply<MR, NV, false>(tile, a, a_step, b, kTileCols, cols, depth);
    if (last) apply_epilogue(tile, epilogue);
    for_tile<MR, NV>([&](int i, int v) { store_cols<NV, PARTIAL>(y + i * y_pitch, v, tile.acc[i][v], cols); });
  }
};

// Rows [k0, k0 + depth) and columns [j0, j0 + cols) of b as panels of kTileCols columns, zero-filled.
static inline void matmul_pack(MatrixView b, std::int64_t k0, std::int64_t depth, std::int64_t j0, std::int64_t cols,
                               float* packed) {
  for (std::int64_t j = 0; j < cols; j += kTileCols, packed += depth * kTileCols) {
    const std::int64_t n = min_of(kTileCols, cols - j);
    const float* from = b.data + k0 * b.row_step + (j0 + j) * b.col_step;
    if (b.col_step == 1) {
      for (std::int64_t k = 0; k < depth; ++k)
        for (int v = 0; v < kTileVecs; ++v)
          vstore(packed + k * kTileCols + v * Vec::width, load_cols<kTileVecs, true>(from + k * b.row_step, v, n));
    } else {
      for (std::int64_t c = 0; c < kTileCols; ++c)
        for (std::int64_t k = 0; k < depth; ++k)
          packed[k * kTileCols + c] = c < n ? from[k * b.row_step + c * b.col_step] : 0.0f;
    }
  }
}

static void matmul_multiply(const MatmulShape& shape, MatrixView a, MatrixView b, const float* bias, Epilogue epilogue,
                            float* y) {
  const std::int64_t task_cols = kMatmulPanels * kTileCols;
  const std::int64_t row_tasks = ceil_div(shape.M, kMatmulRows), col_tasks = ceil_div(shape.N, task_cols);
  parallel(row_tasks * col_tasks, [&](std::int64_t task, int worker) {
    const std::int64_t i0 = task % row_tasks * kMatmulRows, i1 = min_of(i0 + kMatmulRows, shape.M);
    const std::int64_t j0 = task / row_tasks * task_cols, cols = min_of(task_cols, shape.N - j0);
    float* packed = worker_scratch(worker, 0, kMatmulDepth * task_cols);
    for (std::int64_t k0 = 0; k0 < shape.K; k0 += kMatmulDepth) {
      const std::int64_t depth = min_of(kMatmulDepth, shape.K - k0);
      matmul_pack(b, k0, depth, j0, cols, packed);
      for (std::int64_t j = 0; j < cols; j += kTileCols) {
        for (std::int64_t i = i0; i < i1; i += kTileRows) {
          const std::int64_t rows = min_of(kTileRows, i1 - i);
          const float* ap[kTileRows];
          for (std::int64_t r = 0; r < rows; ++r) ap[r] = a.data + (i + r) * a.row_step + k0 * a.col_step;
          const std::int64_t n = min_of(kTileCols, cols - j);
          const MatmulTile tile{ap,
                                a.col_step,
                                packed + j * depth,
                                depth,
                                bias ? bias + j0 + j : nullptr,
                                k0 == 0,
                                k0 + depth == shape.K,
                                epilogue,
                                y + i * shape.N + j0 + j,
                                shape.N,
                                n};
          dispatch_tile(rows, n, tile);
        }
      }
    }
  });
}

static std::int64_t sum_rows_workspace(std::int64_t M, std::int64_t N) { return RowSums(1, M, N).workspace(); }

static void sum_rows(std::int64_t M, std::int64_t N, const float* dy, float* db, float* workspace) {
  sum_rows_of(RowSums(1, M, N), 1.0f, db, workspace,
              [=](std::int64_t i, std::int64_t lanes) { return vload_lanes(dy + i, lanes); });
}

static constexpr MatmulKernels matmul_kernels = {matmul_multiply, sum_rows_workspace, sum_rows};

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
