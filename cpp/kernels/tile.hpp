// The register tile all dense arithmetic is built from: MR rows times NV vectors of accumulators. Row i reads the
// floats a[i][0], a[i][a_step], a[i][2*a_step]...; step t multiplies them with the vectors at b + t*b_step. With the
// right pointers the same loop is a convolution (rows = pixels), its weight gradient (rows = weights), and a matrix
// product in any transposition of a.
#pragma once
#include <cstdint>

#include "cnnfast/kernels/epilogue.hpp"
#include "stream.hpp"

namespace cnnfast {
namespace CNNFAST_ISA {

static constexpr int kTileRows = Vec::tile_rows;
static constexpr int kTileVecs = 2;
static constexpr int kTileCols = kTileVecs * Vec::width;

static inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
static inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return ceil_div(n, unit) * unit; }
static inline std::int64_t min_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
static inline std::int64_t max_of(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

template <int MR, int NV>
struct Tile {
  Vec acc[MR][NV];
};

// Calls f(i, v) for each vector of a tile. Unrolled by pragma, as all loops over a tile: where one is left to the
// compiler it unrolls too late to see that the accumulators fit in registers, and they go through the stack.
template <int MR, int NV, class F>
[[gnu::always_inline]] static inline void for_tile(const F& f) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) f(i, v);
}

// `cols` is the number of valid columns of the tile; PARTIAL tells that cols < NV * width.
template <int NV, bool PARTIAL>
static inline Vec load_cols(const float* p, int v, std::int64_t cols) {
  if (!PARTIAL) return vload(p + v * Vec::width);
  const std::int64_t left = cols - v * Vec::width;
  return vload_first(p + v * Vec::width, left < 0 ? 0 : left > Vec::width ? Vec::width : left);
}
template <int NV, bool PARTIAL>
static inline void store_cols(float* p, int v, Vec a, std::int64_t cols) {
  if (!PARTIAL) return vstore(p + v * Vec::width, a);
  const std::int64_t left = cols - v * Vec::width;
  if (left > 0) vstore_first(p + v * Vec::width, a, left > Vec::width ? Vec::width : left);
}

static constexpr int kSecondLevel = 2;  // the cache that __builtin_prefetch brings lines to

// Always inlined: as a call, all accumulators would go through memory. AHEAD asks for a line of memory at each step,
// those from `ahead` on: they are in the second-level cache when they are needed.
template <int MR, int NV, bool PARTIAL, bool AHEAD = false>
[[gnu::always_inline]] static inline void tile_multiply(Tile<MR, NV>& tile, const float* const* a, std::int64_t a_step,
                                                        const float* b, std::int64_t b_step, std::int64_t cols,
                                                        std::int64_t length, const float* ahead = nullptr) {
  const float* row[MR];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) row[i] = a[i];
  std::int64_t at = 0;
  for (std::int64_t t = 0; t < length; ++t, at += a_step, b += b_step) {
    if (AHEAD) __builtin_prefetch(ahead + t * kLineFloats, 0, kSecondLevel);
    Vec bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = load_cols<NV, PARTIAL>(b, v, cols);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec av = vset(row[i][at]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = vfma(av, bv[v], tile.acc[i][v]);
    }
  }
}

// The same; meanwhile it asks for the rows of the tile behind this one, a line of each at a time: all at once would
// hold up the tile, and they lie too far apart for the processor to guess.
template <int MR, int NV>
[[gnu::always_inline]] static inline void tile_multiply_asking(Tile<MR, NV>& tile, const float* const* a,
                                                               const float* b, std::int64_t length,
                                                               const float* const* next) {
  for (std::int64_t t = 0; t < length; t += kLineFloats, b += kLineFloats * kTileCols) {
    const float* line[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) __builtin_prefetch(next[i] + t);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) line[i] = a[i] + t;
    tile_multiply<MR, NV, false>(tile, line, 1, b, kTileCols, kTileCols, min_of(kLineFloats, length - t));
  }
}

// The same from rows a_pitch apart and whole vectors of packed columns. Three rows share a register: addresses of
// twelve would need them all. AHEAD asks for lines of memory, for the first-level cache.
template <int MR, int NV, bool AHEAD>
[[gnu::always_inline]] static inline void tile_multiply_even(Tile<MR, NV>& tile, const float* a, std::int64_t a_pitch,
                                                             std::int64_t a_step, const float* b, std::int64_t length,
                                                             const float* ahead) {
  constexpr int kBases = (MR + 2) / 3;
  const float* base[kBases];
#pragma GCC unroll 4
  for (int i = 0; i < kBases; ++i) base[i] = a + 3 * i * a_pitch;
  for (std::int64_t t = 0; t < length; ++t, b += kTileCols) {
    if (AHEAD) __builtin_prefetch(ahead + t * kLineFloats);
    Vec bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = vload(b + v * Vec::width);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec av = vset(base[i / 3][i % 3 * a_pitch]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = vfma(av, bv[v], tile.acc[i][v]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kBases; ++i) base[i] += a_step;
  }
}

// The same of whole vectors, where step t reads the rows' floats at a(t), one after the other. Meanwhile it asks for
// memory, a line at each step, ahead_step floats apart: it is in the second-level cache when it is needed.
template <int MR, int NV, class Rows>
[[gnu::always_inline]] static inline void tile_multiply_columns(Tile<MR, NV>& tile, const Rows& a, const float* b,
                                                                std::int64_t length, const float* ahead,
                                                                std::int64_t ahead_step) {
  for (std::int64_t t = 0; t < length; ++t, b += kTileCols) {
    __builtin_prefetch(ahead + t * ahead_step, 0, kSecondLevel);
    const float* column = a(t);
    Vec bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = vload(b + v * Vec::width);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec av = vset(column[i]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = vfma(av, bv[v], tile.acc[i][v]);
    }
  }
}

// The same of whole vectors, where the floats of a row lie at a[i][at[0]], a[i][at[1]]...
template <int MR, int NV>
[[gnu::always_inline]] static inline void tile_multiply_at(Tile<MR, NV>& tile, const float* const* a,
                                                           const std::int64_t* at, const float* b,
                                                           std::int64_t length) {
  const float* row[MR];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) row[i] = a[i];
  for (std::int64_t t = 0; t < length; ++t, b += kTileCols) {
    Vec bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = vload(b + v * Vec::width);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec av = vset(row[i][at[t]]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) tile.acc[i][v] = vfma(av, bv[v], tile.acc[i][v]);
    }
  }
}

static inline Vec apply_epilogue(Vec a, Epilogue epilogue) {
  // vmax(0, a) keeps NaN, so a broken value stays visible.
  if (epilogue != Epilogue::none) a = vmax(vzero(), a);
  if (epilogue == Epilogue::relu6) a = vmin(vset(6.0f), a);
  return a;
}

// Decides once for the whole tile.
template <int MR, int NV>
[[gnu::always_inline]] static inline void apply_epilogue(Tile<MR, NV>& tile, Epilogue epilogue) {
  if (epilogue == Epilogue::none) return;
  for_tile<MR, NV>([&](int i, int v) { tile.acc[i][v] = apply_epilogue(tile.acc[i][v], Epilogue::relu); });
  if (epilogue != Epilogue::relu6) return;
  for_tile<MR, NV>([&](int i, int v) { tile.acc[i][v] = vmin(vset(6.0f), tile.acc[i][v]); });
}

// dy where 0 < y (< 6), else 0.
static inline Vec relu_gradient(Vec dy, Vec y) { return vselect_gt(y, vzero(), dy, vzero()); }
static inline Vec relu6_gradient(Vec dy, Vec y) { return vselect_gt(vset(6.0f), y, relu_gradient(dy, y), vzero()); }

// What an ending stores of a sum: its epilogue, or its gradient where `gate`, the epilogue's result, is given.
template <class Gate>
static inline Vec apply_ending(Vec sum, const Ending& ending, const Gate& gate) {
  if (!ending.gate) return apply_epilogue(sum, ending.epilogue);
  const Vec y = gate();
  return ending.epilogue == Epilogue::relu6 ? relu6_gradient(sum, y) : relu_gradient(sum, y);
}

// Calls f(gradient), where gradient(dy, y) is what an epilogue lets through; y may be its input as well as its output.
template <class F>
static inline void with_epilogue_gradient(Epilogue epilogue, const F& f) {
  if (epilogue == Epilogue::relu) return f([](Vec dy, Vec y) { return relu_gradient(dy, y); });
  if (epilogue == Epilogue::relu6) return f([](Vec dy, Vec y) { return relu6_gradient(dy, y); });
  f([](Vec dy, Vec) { return dy; });
}

// Calls f(first, count) for `size` rows in pieces of nearly equal length that a register tile has rows for.
template <class F>
static inline void even_tiles(std::int64_t size, const F& f) {
  const std::int64_t tiles = ceil_div(size, kTileRows);
  for (std::int64_t t = 0; t < tiles; ++t) f(t * size / tiles, (t + 1) * size / tiles - t * size / tiles);
}

// Calls f.template run<MR, NV, PARTIAL>() for a tile of `rows` x `cols`.
template <int MR, int NV, bool PARTIAL, class F>
static inline void dispatch_rows(std::int64_t rows, F& f) {
  if constexpr (MR > 1) {
    if (rows < MR) return dispatch_rows<MR - 1, NV, PARTIAL>(rows, f);
  }
  f.template run<MR, NV, PARTIAL>();
}
template <class F>
static inline void dispatch_tile(std::int64_t rows, std::int64_t cols, F& f) {
  if (cols == kTileCols) return dispatch_rows<kTileRows, 2, false>(rows, f);
  if (cols == Vec::width) return dispatch_rows<kTileRows, 1, false>(rows, f);
  if (cols > Vec::width) return dispatch_rows<kTileRows, 2, true>(rows, f);
  return dispatch_rows<kTileRows, 1, true>(rows, f);
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
