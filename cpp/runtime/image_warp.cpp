#include <algorithm>
#include <memory>
#include <new>

#include "cnnfast/image.hpp"
#include "cnnfast/kernels.hpp"
#include "cnnfast/parallel.hpp"
#include "denormals.hpp"

namespace cnnfast {
namespace {

constexpr std::int64_t kTaskPixels = 8192;  // some tens of microseconds
constexpr std::int64_t kSplineImages = 8;   // whose coefficients are there at once: each may be eight times its image
constexpr int kSlot = 0;                    // of a worker's scratch

// Aligned memory of one thread.
struct Aligned {
  static constexpr std::align_val_t kAlignment{64};
  void* data;
  explicit Aligned(std::int64_t bytes) : data(::operator new(static_cast<std::size_t>(bytes), kAlignment)) {}
  ~Aligned() { ::operator delete(data, kAlignment); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
};

// f(task, scratch) for every task.
template <class F>
void for_each_task(bool alone, std::int64_t tasks, std::int64_t scratch_bytes, const F& f) {
  if (alone) {
    const FlushDenormals flush;
    const Aligned scratch(scratch_bytes);
    for (std::int64_t task = 0; task < tasks; ++task) f(task, scratch.data);
    return;
  }
  const auto work = [&](std::int64_t task, int worker) {
    f(task, worker_scratch(worker, kSlot, scratch_bytes / static_cast<std::int64_t>(sizeof(float))));
  };
  parallel_for(
      tasks,
      [](void* context, std::int64_t task, int worker) {
        (*static_cast<const decltype(work)*>(context))(task, worker);
      },
      const_cast<void*>(static_cast<const void*>(&work)));
}

}  // namespace

void warp_images(const WarpArgs& args, bool alone) {
  if (args.N == 0 || args.P == 0 || args.Q == 0 || args.C == 0) return;
  const ImageWarpKernels& k = *kernels().image_warp;
  const std::int64_t rows = std::clamp<std::int64_t>(kTaskPixels / args.Q, 1, args.P);
  const std::int64_t blocks = (args.P + rows - 1) / rows, scratch_bytes = k.scratch_bytes(args);
  const auto warp = [&](std::int64_t first, std::int64_t images, const double* coefficients, std::int64_t each) {
    for_each_task(alone, images * blocks, scratch_bytes, [&](std::int64_t task, void* scratch) {
      const std::int64_t n = task / blocks, row = task % blocks * rows;
      k.rows(args, first + n, row, std::min(row + rows, args.P), coefficients ? coefficients + n * each : nullptr,
             scratch);
    });
  };
  if (args.order < 2) return warp(0, args.N, nullptr, 0);
  const std::int64_t each = k.spline_shape(args).values(args.C), most = std::min(kSplineImages, args.N);
  const std::unique_ptr<double[]> coefficients(new double[static_cast<std::size_t>(most * each)]);
  for (std::int64_t first = 0; first < args.N; first += most) {
    const std::int64_t images = std::min(most, args.N - first);
    for_each_task(alone, images, 64,
                  [&](std::int64_t n, void*) { k.prefilter(args, first + n, coefficients.get() + n * each); });
    warp(first, images, coefficients.get(), each);
  }
}

}  // namespace cnnfast
