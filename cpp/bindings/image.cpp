#include "image.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "cnnfast/image.hpp"

namespace py = pybind11;

namespace cnnfast {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

FillMode fill_mode_of(const std::string& name) {
  if (name == "nearest") return FillMode::nearest;
  if (name == "constant") return FillMode::constant;
  if (name == "reflect") return FillMode::reflect;
  if (name == "wrap") return FillMode::wrap;
  throw py::value_error("warp: expected fill mode nearest, constant, reflect or wrap, got " + name);
}

void require(bool ok, const char* what) {
  if (!ok) throw py::value_error(std::string("warp: expected ") + what);
}

// Whether an image array has uint8; it is C-contiguous and of float32 otherwise.
bool is_uint8(const py::array& a, const char* what) {
  require(a.ndim() == 4 && (a.flags() & py::array::c_style), what);
  require(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_, what);
  if (a.dtype().equal(py::dtype::of<std::uint8_t>())) return true;
  require(a.dtype().equal(py::dtype::of<float>()), what);
  return false;
}

void warp(const py::array& images, const Array<double>& matrices, py::array& out, int order,
          const std::string& fill_mode, float cval, const std::optional<Array<float>>& scale,
          const std::optional<Array<float>>& offset, bool alone) {
  WarpArgs a{};
  a.x_is_uint8 = is_uint8(images, "images (N,H,W,C), uint8 or float32, C-contiguous and aligned");
  a.y_is_uint8 = is_uint8(out, "out (N,P,Q,C), uint8 or float32, C-contiguous and aligned");
  require(out.writeable(), "out that can be written");
  a.N = images.shape(0), a.H = images.shape(1), a.W = images.shape(2), a.C = images.shape(3);
  a.P = out.shape(1), a.Q = out.shape(2);
  require(out.shape(0) == a.N && out.shape(3) == a.C, "out with as many images and channels as images");
  require(out.size() == 0 || (a.H > 0 && a.W > 0), "images with pixels");
  constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;
  require(a.H <= kMost && a.W <= kMost && a.H * a.W <= kMost && a.P <= kMost && a.Q <= kMost,
          "images of fewer than 2^31 pixels");
  require(matrices.ndim() == 3 && matrices.shape(0) == a.N && matrices.shape(1) == 2 && matrices.shape(2) == 3,
          "matrices (N,2,3)");
  require(order >= 0 && order <= 5, "an order from 0 to 5");
  require(scale.has_value() == offset.has_value(), "scale and offset, or neither");
  if (scale) require(scale->size() == a.N * a.C && offset->size() == a.N * a.C, "scale and offset (N,C)");
  a.order = order;
  a.fill = fill_mode_of(fill_mode);
  a.cval = cval;
  a.matrices = matrices.data();
  a.x = images.data();
  a.y = out.mutable_data();
  a.scale = scale ? scale->data() : nullptr;
  a.offset = offset ? offset->data() : nullptr;
  const py::gil_scoped_release release;
  warp_images(a, alone);
}

}  // namespace

void bind_image(py::module_& m) {
  m.def("warp_images", &warp, "out = images, each read through its matrix.", py::arg("images").noconvert(),
        py::arg("matrices").noconvert(), py::arg("out").noconvert(), py::arg("order"), py::arg("fill_mode"),
        py::arg("cval"), py::arg("scale").none(true), py::arg("offset").none(true), py::arg("alone"));
}

}  // namespace cnnfast
