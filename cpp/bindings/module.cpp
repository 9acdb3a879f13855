// The compiled module: array checks, the GIL, nothing clever.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "../runtime/cpu_features.hpp"
#include "cnnfast/backend.hpp"
#include "cnnfast/fork.hpp"
#include "cnnfast/kernels.hpp"
#include "cnnfast/parallel.hpp"
#include "cnnfast/program.hpp"
#include "cnnfast/shapes.hpp"
#include "image.hpp"

namespace py = pybind11;

namespace cnnfast {
namespace {

// How Python gives a tensor's type and shape: ("float32", (8, 28, 28, 1)).
using PySpec = std::pair<std::string, std::vector<std::int64_t>>;

Dtype dtype_of(const std::string& name) {
  if (name == "float32") return Dtype::float32;
  if (name == "int32") return Dtype::int32;
  if (name == "uint8") return Dtype::uint8;
  if (name == "bfloat16") return Dtype::bfloat16;
  throw py::type_error("expected float32, int32, uint8 or bfloat16, got " + name);
}

py::dtype numpy_dtype(Dtype d) {
  switch (d) {
    case Dtype::int32:
      return py::dtype::of<std::int32_t>();
    case Dtype::uint8:
      return py::dtype::of<std::uint8_t>();
    case Dtype::bfloat16:
      throw py::type_error("NumPy has no bfloat16: cast to float32 first");
    default:
      return py::dtype::of<float>();
  }
}

TensorSpec spec_of(const PySpec& p) { return {dtype_of(p.first), p.second}; }

Attributes attributes_of(const py::dict& d) {
  Attributes a;
  for (const auto& [key, value] : d) {
    const std::string name = py::cast<std::string>(key);
    if (py::isinstance<py::str>(value))
      a.set(name, py::cast<std::string>(value));
    else if (py::isinstance<py::float_>(value))
      a.set(name, py::cast<double>(value));
    else if (py::isinstance<py::int_>(value))  // bool too
      a.set(name, py::cast<std::int64_t>(value));
    else
      a.set(name, py::cast<std::vector<std::int64_t>>(value));
  }
  return a;
}

const Backend& backend_of(const std::string& device) {
  if (device == "cpu") return cpu_backend();
  const Backend* cuda = device == "cuda" ? cuda_backend() : nullptr;
  if (!cuda)
    throw py::value_error("this build runs on cpu" + std::string(cuda_backend() ? " or cuda" : "") + ", got " + device);
  return *cuda;
}

OpSpec op_spec(const std::string& op, const std::vector<std::optional<PySpec>>& in, const std::vector<PySpec>& out,
               const py::dict& attributes) {
  OpSpec spec;
  spec.op = op;
  for (const auto& i : in) {
    spec.in.push_back(i ? spec_of(*i) : TensorSpec{});
    spec.in_present.push_back(i.has_value());
  }
  for (const auto& o : out) spec.out.push_back(spec_of(o));
  spec.attributes = attributes_of(attributes);
  return spec;
}

Step make_python_step(const std::string& op, const std::vector<std::optional<PySpec>>& in,
                      const std::vector<PySpec>& out, const py::dict& attributes, const std::string& device) {
  const OpSpec spec = op_spec(op, in, out, attributes);
  const Backend& backend = backend_of(device);
  const py::gil_scoped_release release;  // a GPU may try several algorithms
  return backend.make_step(spec);
}

// The address of an array that a kernel may read (or write): C-contiguous, aligned, of the expected type
// and size.
void* checked_address(const py::array& a, const TensorSpec& spec, const char* what, bool write) {
  if (!a.dtype().is(numpy_dtype(spec.dtype)) && !a.dtype().equal(numpy_dtype(spec.dtype)))
    throw py::type_error(std::string(what) + ": expected " + py::cast<std::string>(py::str(numpy_dtype(spec.dtype))) +
                         ", got " + py::cast<std::string>(py::str(a.dtype())));
  if (!(a.flags() & py::array::c_style)) throw py::value_error(std::string(what) + ": the array is not C-contiguous");
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    throw py::value_error(std::string(what) + ": the array is not aligned");
  if (a.nbytes() != spec.bytes())
    throw py::value_error(std::string(what) + ": expected " + std::to_string(spec.bytes()) + " bytes, got " +
                          std::to_string(a.nbytes()));
  if (write && !a.writeable()) throw py::value_error(std::string(what) + ": the array is read-only");
  return const_cast<void*>(a.data());
}

// Memory of a device, for arrays that live longer than a Program.
class DeviceArray {
 public:
  DeviceArray(const std::string& device, std::int64_t bytes) {
    const Backend& backend = backend_of(device);
    if (!backend.allocate) throw py::value_error("DeviceArray: arrays of the " + device + " are NumPy's");
    const py::gil_scoped_release release;
    memory_ = backend.allocate(bytes);
  }
  const Memory& memory() const { return *memory_; }
  void upload(const py::array& from) {
    check(from, false);
    const void* data = from.data();
    const py::gil_scoped_release release;
    memory_->upload(data);
  }
  void download(py::array& to) const {
    check(to, true);
    void* data = to.mutable_data();
    const py::gil_scoped_release release;
    memory_->download(data);
  }

 private:
  void check(const py::array& a, bool write) const {
    if (!(a.flags() & py::array::c_style)) throw py::value_error("DeviceArray: the array is not C-contiguous");
    if (a.nbytes() != memory_->bytes())
      throw py::value_error("DeviceArray: expected " + std::to_string(memory_->bytes()) + " bytes, got " +
                            std::to_string(a.nbytes()));
    if (write && !a.writeable()) throw py::value_error("DeviceArray: the array is read-only");
  }
  std::unique_ptr<Memory> memory_;
};

// A Program and what keeps its weights alive.
struct PyProgram {
  std::unique_ptr<Program> program;
  py::list owners;
  std::vector<int> feeds;  // buffer numbers, in the order of run's arguments

  PyProgram(const std::vector<PySpec>& specs, const std::vector<std::pair<int, std::int64_t>>& arena,
            const std::vector<std::pair<int, py::object>>& fixed, std::vector<int> feed_buffers, const py::list& steps,
            std::int64_t arena_bytes, const std::string& device)
      : feeds(std::move(feed_buffers)) {
    const Backend& backend = backend_of(device);
    std::vector<Program::Buffer> buffers;
    for (const PySpec& s : specs) buffers.push_back({spec_of(s), -1, nullptr});
    for (const auto& [i, offset] : arena) buffers.at(static_cast<std::size_t>(i)).offset = offset;
    for (const auto& [i, owner] : fixed) {
      Program::Buffer& b = buffers.at(static_cast<std::size_t>(i));
      b.fixed = fixed_address(owner, b.spec, backend);
      owners.append(owner);
    }
    for (const int f : feeds) buffers.at(static_cast<std::size_t>(f));
    std::vector<ProgramStep> list;
    for (const auto& item : steps) {
      const auto t = py::cast<std::tuple<Step, std::vector<int>, std::vector<int>, std::int64_t>>(item);
      list.push_back({std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t)});
    }
    program = backend.make_program(std::move(buffers), std::move(list), arena_bytes);
  }

  // Of an array, or where the Program runs on a device, of that device's memory.
  static void* fixed_address(const py::object& owner, const TensorSpec& spec, const Backend& backend) {
    if (!backend.allocate) return checked_address(py::cast<py::array>(owner), spec, "Program", false);
    const Memory& memory = py::cast<const DeviceArray&>(owner).memory();
    if (memory.bytes() < spec.bytes())
      throw py::value_error("Program: expected " + std::to_string(spec.bytes()) + " bytes, got " +
                            std::to_string(memory.bytes()));
    return memory.address();
  }

  // -> (finished, fetched arrays)
  std::pair<bool, std::vector<py::array>> run(const std::vector<py::array>& arrays, const std::vector<int>& fetch,
                                              std::uint64_t seed, std::int64_t begin, std::int64_t end, int guard,
                                              std::int64_t guard_step) {
    if (begin < 0 || begin > end || end > program->step_count()) throw py::value_error("Program: step out of range");
    const bool needs_none = arrays.empty() && fetch.empty() && !program->reads_feeds(begin, end);
    if (arrays.size() != feeds.size() && !needs_none)
      throw py::value_error("Program: expected " + std::to_string(feeds.size()) + " feeds, got " +
                            std::to_string(arrays.size()));
    Program::Run run;
    run.begin = begin, run.end = end, run.seed = seed, run.guard = guard, run.guard_step = guard_step;
    if (guard >= 0) program->buffer(guard);
    for (std::size_t i = 0; i < arrays.size(); ++i)
      run.feeds.emplace_back(feeds[i], checked_address(arrays[i], program->buffer(feeds[i]).spec, "Program", false));
    std::vector<py::array> results;
    for (const int f : fetch) {
      const TensorSpec& spec = program->buffer(f).spec;
      results.emplace_back(numpy_dtype(spec.dtype), spec.shape);
      run.fetches.emplace_back(f, results.back().mutable_data());
    }
    bool finished = false;
    {
      const py::gil_scoped_release release;
      const DelayForks delay;
      const std::lock_guard<std::mutex> lock(program->lock());
      finished = program->run(run);
    }
    return {finished, results};
  }
};

// Memory like a Program's arena, as an array.
py::array_t<std::uint8_t> arena_array(std::int64_t bytes) {
  auto arena = std::make_unique<Arena>(bytes);
  std::uint8_t* data = arena->data();
  const py::capsule owner(arena.get(), [](void* p) { delete static_cast<Arena*>(p); });
  arena.release();
  return py::array_t<std::uint8_t>(bytes, data, owner);
}

// One op on arrays, outside any Program.
void run_step(const std::string& op, const std::vector<std::optional<py::array>>& in, const std::vector<py::array>& out,
              const py::dict& attributes, std::uint64_t seed, const std::string& device,
              const std::vector<int>& updates) {
  const auto spec = [](const py::array& a) {
    return PySpec(py::cast<std::string>(py::str(a.dtype())),
                  std::vector<std::int64_t>(a.shape(), a.shape() + a.ndim()));
  };
  std::vector<std::optional<PySpec>> in_specs;
  std::vector<PySpec> out_specs;
  std::vector<void*> pointers;
  for (const auto& a : in) {
    in_specs.push_back(a ? std::optional<PySpec>(spec(*a)) : std::nullopt);
    pointers.push_back(a ? checked_address(*a, spec_of(spec(*a)), op.c_str(), false) : nullptr);
  }
  for (const py::array& a : out) {
    out_specs.push_back(spec(a));
    pointers.push_back(checked_address(a, spec_of(spec(a)), op.c_str(), true));
  }
  const OpSpec what = op_spec(op, in_specs, out_specs, attributes);
  const Backend& backend = backend_of(device);
  const std::vector<void*> inputs(pointers.begin(), pointers.begin() + static_cast<std::ptrdiff_t>(in.size()));
  const std::vector<void*> outputs(pointers.begin() + static_cast<std::ptrdiff_t>(in.size()), pointers.end());
  const py::gil_scoped_release release;
  const DelayForks delay;
  backend.run_step(what, inputs, outputs, updates, seed);
}

// Passes over memory, for the floors of benchmarks.
using Floats = py::array_t<float, py::array::c_style>;

double peak_read(const Floats& x) {
  const std::int64_t n = x.size();
  const float* p = x.data();
  std::vector<float> sums(static_cast<std::size_t>((n + kPeakBlock - 1) / kPeakBlock));
  const py::gil_scoped_release release;
  kernels().peak.read(n, p, sums.data());
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void peak_write(Floats& y) {
  const std::int64_t n = y.size();
  float* p = y.mutable_data();
  const py::gil_scoped_release release;
  kernels().peak.write(n, p);
}

void peak_triad(const Floats& a, const Floats& b, Floats& y) {
  const std::int64_t n = y.size();
  if (a.size() != n || b.size() != n)
    throw py::value_error("peak_triad: expected arrays of one size, got " + std::to_string(a.size()) + ", " +
                          std::to_string(b.size()) + " and " + std::to_string(n));
  const float *pa = a.data(), *pb = b.data();
  float* p = y.mutable_data();
  const py::gil_scoped_release release;
  kernels().peak.triad(n, pa, pb, p);
}

}  // namespace
}  // namespace cnnfast

PYBIND11_MODULE(_core, m) {
  using namespace cnnfast;
  m.doc() = "cnnfast's compiled engine. Private: use cnnfast.ops and the layers.";

  py::class_<Step>(m, "Step")
      .def(py::init(&make_python_step), py::arg("op"), py::arg("inputs"), py::arg("outputs"), py::arg("attributes"),
           py::arg("device") = "cpu")
      .def_readonly("op", &Step::op)
      .def_readonly("workspace_bytes", &Step::workspace_bytes)
      .def_readonly("packed_floats", &Step::packed_floats)
      .def_property_readonly("packed_layout",
                             [](const Step& s) {
                               return py::bytes(reinterpret_cast<const char*>(s.packed_layout.data()),
                                                s.packed_layout.size() * sizeof(std::int64_t));
                             })
      .def_readonly("moment_blocks", &Step::moment_blocks);

  py::class_<PyProgram>(m, "Program")
      .def(py::init<const std::vector<PySpec>&, const std::vector<std::pair<int, std::int64_t>>&,
                    const std::vector<std::pair<int, py::object>>&, std::vector<int>, const py::list&, std::int64_t,
                    const std::string&>(),
           py::arg("specs"), py::arg("arena"), py::arg("fixed"), py::arg("feeds"), py::arg("steps"),
           py::arg("arena_bytes"), py::arg("device") = "cpu")
      .def("run", &PyProgram::run, py::arg("feeds"), py::arg("fetch"), py::arg("seed"), py::arg("begin"),
           py::arg("end"), py::arg("guard") = -1, py::arg("guard_step") = -1)
      .def_property_readonly("step_count", [](const PyProgram& p) { return p.program->step_count(); })
      .def_property_readonly("arena_bytes", [](const PyProgram& p) { return p.program->arena_bytes(); })
      .def(
          "set_profiling", [](PyProgram& p, bool on) { p.program->set_profiling(on); }, py::arg("on"))
      .def("step_seconds", [](const PyProgram& p) {
        std::vector<std::pair<std::string, double>> rows;
        for (std::int64_t i = 0; i < p.program->step_count(); ++i)
          rows.emplace_back(p.program->step_op(i), p.program->step_seconds()[static_cast<std::size_t>(i)]);
        return rows;
      });

  m.def("arena_array", &arena_array, "Zeros, in huge pages where the system offers them.", py::arg("bytes"));

  m.def("run_step", &run_step, py::arg("op"), py::arg("inputs"), py::arg("outputs"), py::arg("attributes"),
        py::arg("seed") = 0, py::arg("device") = "cpu", py::arg("updates") = std::vector<int>{});

  py::register_exception<DeviceError>(m, "DeviceError", PyExc_RuntimeError).attr("__module__") = "cnnfast";
  py::class_<DeviceArray>(m, "DeviceArray")
      .def(py::init<const std::string&, std::int64_t>(), py::arg("device"), py::arg("bytes"))
      .def_property_readonly("nbytes", [](const DeviceArray& a) { return a.memory().bytes(); })
      .def("upload", &DeviceArray::upload, py::arg("array"))
      .def("download", &DeviceArray::download, py::arg("array"));

  m.def("has_cuda", [] { return cuda_backend() != nullptr; });
  m.def("cuda_devices", [] {
    std::vector<std::tuple<std::string, std::string, std::int64_t, std::pair<int, int>>> rows;
    for (const DeviceInfo& d : cuda_devices())
      rows.emplace_back(d.name, d.description, d.memory_bytes, std::make_pair(d.major, d.minor));
    return rows;
  });
  m.def("set_cuda_device", &set_cuda_device, py::arg("index"));
  m.def("set_cuda_library_paths", &set_cuda_library_paths, py::arg("folders"));
  m.def("cuda_libraries", &cuda_libraries);

  m.def(
      "plan_memory",
      [](const std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>>& blocks) {
        std::vector<Lifetime> lifetimes;
        for (const auto& [bytes, first, last] : blocks) lifetimes.push_back({bytes, first, last});
        std::vector<std::int64_t> offsets;
        const std::int64_t total = plan_memory(lifetimes, offsets);
        return std::make_pair(total, offsets);
      },
      py::arg("blocks"));

  m.def("window_output_size", &window_output_size, py::arg("size"), py::arg("kernel"), py::arg("stride"),
        py::arg("dilation"), py::arg("pad_lo"), py::arg("pad_hi"));
  m.def(
      "same_padding",
      [](std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
        std::int64_t lo = 0, hi = 0;
        same_padding(in, kernel, stride, dilation, lo, hi);
        return std::make_pair(lo, hi);
      },
      py::arg("size"), py::arg("kernel"), py::arg("stride"), py::arg("dilation"));

  m.def(
      "peak_multiply_add", [](std::int64_t rounds) { return kernels().peak.multiply_add(rounds); },
      "Multiplies and adds in registers; returns the number of operations.", py::arg("rounds"),
      py::call_guard<py::gil_scoped_release>());
  m.def("peak_read", &peak_read, "Reads x; returns its sum.", py::arg("x").noconvert());
  m.def("peak_write", &peak_write, "y = 1.", py::arg("y").noconvert());
  m.def("peak_triad", &peak_triad, "y = a + b / 2.", py::arg("a").noconvert(), py::arg("b").noconvert(),
        py::arg("y").noconvert());

  bind_image(m);

  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("threads"));
  m.def("default_num_threads", &default_num_threads);
  m.def("threading_backend", &threading_backend);
  m.def("isa", [] { return std::string(kernels().name); });
  m.def("set_conv2d_algorithm", &set_conv2d_algorithm,
        "Chooses between auto, direct, winograd, winograd4 and winograd6.", py::arg("name"));
  m.def("conv2d_algorithm", &conv2d_algorithm);
  m.def(
      "set_isa", [](const std::string& name) { set_isa(name.c_str()); }, py::arg("name"));
  m.def("available_isas", [] {
    const CpuFeatures cpu = cpu_features();
    std::vector<std::string> names;
    if (cpu.avx512 && avx512_kernels()) names.push_back("avx512");
    if (cpu.avx2_fma && avx2_kernels()) names.push_back("avx2");
    if (cpu.neon && neon_kernels()) names.push_back("neon");
    names.push_back("scalar");
    return names;
  });
}
