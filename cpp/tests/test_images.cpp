// Affine warps on every instruction set this CPU has, on images whose ends no kernel may pass: against a plain loop in
// double for orders 0 and 1, against the scalar kernels for splines (which the Python tests hold against their own
// oracle).
#include <algorithm>
#include <cmath>
#include <random>

#include "check.hpp"
#include "cnnfast/image.hpp"
#include "cnnfast/kernels.hpp"
#include "guarded.hpp"

namespace cnnfast::tests {
namespace {

constexpr FillMode kFills[] = {FillMode::nearest, FillMode::constant, FillMode::reflect, FillMode::wrap};
const std::int64_t kShapes[][6] = {
    // N, H, W, C, P, Q
    {1, 1, 1, 3, 2, 3},  {2, 1, 5, 3, 3, 65}, {2, 6, 1, 4, 7, 5},   {1, 2, 2, 3, 9, 9},   {3, 7, 9, 3, 8, 64},
    {2, 8, 3, 4, 5, 63}, {2, 9, 6, 1, 6, 66}, {1, 5, 4, 17, 3, 10}, {9, 4, 3, 3, 4, 130}, {1, 3, 70, 2, 2, 129},
};

struct Batch {
  WarpArgs args;
  std::vector<unsigned char> x;
  std::vector<double> matrices;
  std::vector<float> scale, offset;
};

Batch batch_of(const std::int64_t (&s)[6], bool x_is_uint8, bool y_is_uint8) {
  std::mt19937 generator(11);
  std::uniform_real_distribution<double> turn(-3, 3), shift(-4, 8);
  Batch b;
  b.args = {s[0], s[1],    s[2],       s[3],       s[4],    s[5],    1,       FillMode::nearest,
            9.0f, nullptr, x_is_uint8, y_is_uint8, nullptr, nullptr, nullptr, nullptr};
  const auto values = static_cast<std::size_t>(s[0] * s[1] * s[2] * s[3]);
  b.x.resize(values * (x_is_uint8 ? 1 : 4));
  for (std::size_t i = 0; i < values; ++i) {
    const auto number = static_cast<unsigned char>(generator() % 256);
    const float f = number;
    x_is_uint8 ? static_cast<void>(b.x[i] = number) : static_cast<void>(std::memcpy(&b.x[4 * i], &f, 4));
  }
  for (std::int64_t n = 0; n < s[0]; ++n) {
    const double a = turn(generator), huge = n == 2 ? 1e200 : 1.0;
    for (const double m :
         {std::cos(a), -std::sin(a), shift(generator), std::sin(a) * huge, std::cos(a), shift(generator)})
      b.matrices.push_back(m);
  }
  b.scale.assign(static_cast<std::size_t>(s[0] * s[3]), 0.5f);
  b.offset.assign(b.scale.size(), 3.0f);
  return b;
}

// The result, with everything that is read or written next to pages without access.
std::vector<float> run(const Batch& b, Place place, bool alone) {
  WarpArgs a = b.args;
  const auto values = static_cast<std::size_t>(a.N * a.P * a.Q * a.C);
  const Guarded x(b.x.size(), place), y(values * (a.y_is_uint8 ? 1 : 4), place);
  const Guarded matrices(b.matrices.size() * sizeof(double), Place::before_guard);
  const Guarded scale(b.scale.size() * 4, place), offset(b.offset.size() * 4, place);
  std::copy(b.x.begin(), b.x.end(), x.data<unsigned char>());
  std::copy(b.matrices.begin(), b.matrices.end(), matrices.data<double>());
  std::copy(b.scale.begin(), b.scale.end(), scale.data());
  std::copy(b.offset.begin(), b.offset.end(), offset.data());
  a.x = x.data<void>(), a.y = y.data<void>(), a.matrices = matrices.data<double>();
  a.scale = scale.data(), a.offset = offset.data();
  warp_images(a, alone);
  std::vector<float> result(values);
  for (std::size_t i = 0; i < values; ++i) result[i] = a.y_is_uint8 ? y.data<unsigned char>()[i] : y.data()[i];
  return result;
}

double inner(FillMode fill, double c, double n) {
  if (c >= 0 && c <= n - 1) return c;
  if (fill == FillMode::nearest) return std::min(std::max(c, 0.0), n - 1);
  if (n == 1) return 0;
  if (fill == FillMode::wrap) return c - (n - 1) * std::floor(c / (n - 1));
  c = c + 0.5 - 2 * n * std::floor((c + 0.5) / (2 * n)) - 0.5;
  return std::min(std::max(c <= n - 0.5 ? c : 2 * n - 1 - c, 0.0), n - 1);
}

// Order 1, without scale and offset.
double linear(const Batch& b, const std::vector<float>& x, std::int64_t n, std::int64_t p, std::int64_t q,
              std::int64_t c) {
  const WarpArgs& a = b.args;
  const double* m = &b.matrices[static_cast<std::size_t>(6 * n)];
  const double size[] = {static_cast<double>(a.H), static_cast<double>(a.W)};
  double at[2];
  for (int d = 0; d < 2; ++d) {
    at[d] = m[3 * d] * static_cast<double>(p) + m[3 * d + 1] * static_cast<double>(q) + m[3 * d + 2];
    if (a.fill == FillMode::constant && !(at[d] >= 0 && at[d] <= size[d] - 1)) return a.cval;
    at[d] = inner(a.fill, at[d], size[d]);
  }
  double sum = 0;
  for (std::int64_t i = 0; i < a.H; ++i)
    for (std::int64_t j = 0; j < a.W; ++j) {
      const double w = std::max(0.0, 1 - std::abs(at[0] - static_cast<double>(i))) *
                       std::max(0.0, 1 - std::abs(at[1] - static_cast<double>(j)));
      if (w > 0) sum += w * x[static_cast<std::size_t>(((n * a.H + i) * a.W + j) * a.C + c)];
    }
  return sum;
}

template <class F>
void on_every_isa(const F& f) {
  for (const char* isa : {"scalar", "avx2", "avx512", "neon"}) {
    try {
      set_isa(isa);
    } catch (const std::invalid_argument&) {
      continue;  // not on this CPU
    }
    for (const Place place : {Place::before_guard, Place::after_guard}) f(place);
  }
  set_isa("auto");
}

template <class F>
void for_each_batch(const F& f) {
  for (const auto& shape : kShapes)
    for (const bool x_is_uint8 : {true, false})
      for (const bool y_is_uint8 : {true, false})
        for (const FillMode fill : kFills) {
          Batch b = batch_of(shape, x_is_uint8, y_is_uint8);
          b.args.fill = fill;
          f(b);
        }
}

std::string describe(const Batch& b) {
  std::ostringstream text;
  const WarpArgs& a = b.args;
  text << "order " << a.order << ", fill " << static_cast<int>(a.fill) << " on " << kernels().name << " (" << a.N << ','
       << a.H << ',' << a.W << ',' << a.C << ") to (" << a.P << ',' << a.Q << ')' << (a.x_is_uint8 ? " from u8" : "")
       << (a.y_is_uint8 ? " to u8" : "");
  return text.str();
}

}  // namespace

TEST(images, linear_warps_stay_in_their_buffers_and_are_right) {
  for_each_batch([](const Batch& b) {
    const WarpArgs& a = b.args;
    std::vector<float> x(static_cast<std::size_t>(a.N * a.H * a.W * a.C));
    for (std::size_t i = 0; i < x.size(); ++i)
      a.x_is_uint8 ? static_cast<void>(x[i] = b.x[i]) : static_cast<void>(std::memcpy(&x[i], &b.x[4 * i], 4));
    std::vector<double> exact;
    for (std::int64_t i = 0; i < a.N * a.P * a.Q * a.C; ++i) {
      const std::int64_t c = i % a.C, q = i / a.C % a.Q, p = i / (a.C * a.Q) % a.P, n = i / (a.C * a.Q * a.P);
      exact.push_back(n == 2 ? NAN : 0.5 * linear(b, x, n, p, q, c) + 3.0);  // image 2 has huge coordinates
    }
    const double bound = (a.y_is_uint8 ? 0.5 : 0.0) + 256 * 0x1p-20;
    on_every_isa([&](Place place) {
      const std::vector<float> y = run(b, place, true);
      CHECK(y == run(b, place, false), "alone and together, ", describe(b));
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (std::isnan(exact[i])) CHECK(y[i] >= 3.0f && y[i] <= 131.0f, y[i], " for ", describe(b));
        if (!std::isnan(exact[i]))
          CHECK(std::abs(y[i] - exact[i]) <= bound, "element ", i, " is ", y[i], ", expected ", exact[i], " for ",
                describe(b));
      }
    });
  });
}

TEST(images, warps_of_all_orders_stay_in_their_buffers_and_agree) {
  for_each_batch([](Batch b) {
    if (b.args.x_is_uint8 == b.args.y_is_uint8) return;  // the types of the ends are told apart elsewhere
    for (const int order : {0, 2, 3, 4, 5}) {
      b.args.order = order;
      set_isa("scalar");
      const std::vector<float> expected = run(b, Place::before_guard, true);
      on_every_isa([&](Place place) {
        const std::vector<float> y = run(b, place, order % 2 == 0);
        for (std::size_t i = 0; i < y.size(); ++i)
          CHECK(std::abs(y[i] - expected[i]) <= (b.args.y_is_uint8 ? 1.0f : 1e-3f), "element ", i, " is ", y[i],
                ", scalar gives ", expected[i], " for ", describe(b));
      });
    }
  });
}

}  // namespace cnnfast::tests
