// The part of the compiled module that works on images.
#pragma once
#include <pybind11/pybind11.h>

namespace cnnfast {

void bind_image(pybind11::module_& m);

}  // namespace cnnfast
