// The module needle._core: errors, dtypes, devices, random numbers, threads, creation of tensors.
// (Python package)
#include "bind.h"
#include "needle/backend/gpu.h"
#include "needle/backend/machine.h"

namespace needle::python {
namespace {

void bind_errors() {
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const TypeError& e) {
      py::set_error(PyExc_TypeError, e.what());
    } catch (const NotImplementedError& e) {
      py::set_error(PyExc_NotImplementedError, e.what());
    } catch (const std::bad_alloc& e) {  // only a GPU's says more than its own name
      const bool plain = std::string(e.what()) == "std::bad_alloc";
      py::set_error(PyExc_MemoryError, plain ? "not enough memory for this array" : e.what());
    }
  });
}

void bind_dtypes(py::module_& m) {
  py::enum_<DType> dtype(m, "DType", "What one element of an array is.");
  dtype.attr("__module__") = "needle";
  for (int i = 0; i < kDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    const std::string name(name_of(t));
    dtype.value(t == DType::bool_ ? "bool_" : name.c_str(), t);
  }
  dtype.export_values();
  // As NumPy and PyTorch print them.
  const auto print = [](DType t) { return "needle." + std::string(name_of(t)); };
  dtype.attr("__repr__") = py::cpp_function(print, py::name("__repr__"), py::is_method(dtype));
  dtype.attr("__str__") = py::cpp_function(print, py::name("__str__"), py::is_method(dtype));
  dtype.def_property_readonly(
      "itemsize", [](DType t) { return size_of(t); }, "Bytes per element.");
  dtype.def_property_readonly(
      "is_floating_point", [](DType t) { return is_floating(t); },
      "Whether tensors of this dtype can have gradients.");
  m.def(
      "promote_types", [](const InDType& a, const InDType& b) { return promote(a.dtype, b.dtype); },
      py::arg("a"), py::arg("b"),
      "The dtype of an operation between two dtypes, as in NumPy 2; with bfloat16, or an int and\n"
      "float16, as in PyTorch.");
  m.def(
      "broadcast_shapes",
      [](const InShape& a, const InShape& b) {
        return tuple_of(broadcast_shapes("broadcast_shapes", a.shape, b.shape));
      },
      py::arg("a"), py::arg("b"),
      "The shape of an operation between two shapes. ValueError if they do not broadcast.");
}

void bind_devices(py::module_& m) {
  py::class_<Device> device(m, "device",
                            "A device by its name: \"cpu\", \"reference\", \"cuda:1\".");
  device.attr("__module__") = "needle";
  device.def(py::init([](const InDevice& d) { return d.device; }), py::arg("name"))
      .def_property_readonly(
          "type",
          [](Device d) {
            return str(Device{d.kind, 0});
          },
          "The kind.")
      .def_property_readonly(
          "index", [](Device d) { return d.index; }, "Which one of its kind.")
      .def("__repr__", [](Device d) { return str("device('", d, "')"); })
      .def("__str__", [](Device d) { return str(d); })
      .def(
          "__eq__", [](Device a, Device b) { return a == b; }, py::is_operator())
      .def("__hash__", [](Device d) { return d.kind * 64 + d.index; });
  m.def(
      "is_available", [](const InDevice& d) { return is_available(d.device); }, py::arg("device"),
      "Whether this build and machine have the device.");
  m.def(
      "synchronize", [](const InDevice& d) { synchronize(d.device); }, py::arg("device"),
      py::call_guard<py::gil_scoped_release>(), "See needle.cuda.synchronize.");
  m.def(
      "gpu_name", [](const InDevice& d) { return std::string(gpu(d.device).name()); },
      py::arg("device"), "See needle.cuda.device_name.");
  m.def(
      "gpu_memory",
      [](const InDevice& d) {
        const Gpu& g = gpu(d.device);
        const CacheStatistics cache = g.cache_statistics();
        return std::make_tuple(g.memory(), cache.bytes_in_use, cache.bytes_cached,
                               cache.system_requests);
      },
      py::arg("device"), "See needle.cuda.memory.");
  m.def(
      "gpu_empty_cache", [](const InDevice& d) { gpu(d.device).empty_cache(); }, py::arg("device"),
      "See needle.cuda.empty_cache.");
  m.def("cpu_isa", &cpu_isa, "See needle.cpu.isa.");
  m.def("cpu_isas", &cpu_isas, "See needle.cpu.isas.");
  m.def(
      "cpu_caches",
      [] {
        const Caches& c = caches();
        return std::make_tuple(c.l1, c.l2, c.l3);
      },
      "See needle.cpu.caches.");
  m.def(
      "fma_peak", [](const InDType& t, int threads) { return fma_peak(t.dtype, threads); },
      py::arg("dtype"), py::arg("threads"), "See needle.cpu.fma_peak.");
  m.def("copy_bandwidth", &copy_bandwidth, py::arg("bytes"), py::arg("threads"),
        "See needle.cpu.copy_bandwidth.");
  m.def("read_bandwidth", &read_bandwidth, py::arg("bytes"), py::arg("threads"),
        "See needle.cpu.read_bandwidth.");
  m.def("loop_pieces", &loop_pieces, py::arg("n"), py::arg("grain"), py::arg("nested"),
        py::call_guard<py::gil_scoped_release>(), "See needle.cpu.pieces.");
  m.def("set_num_threads", &set_num_threads, py::arg("threads"),
        "How many threads a kernel may use. ValueError below 1.");
  m.def("get_num_threads", &num_threads, "How many threads a kernel may use.");
}

void bind_random(py::module_& m) {
  py::class_<Generator> generator(
      m, "Generator",
      "A stream of random numbers: number i depends on (seed, i) alone, on every device.");
  generator.attr("__module__") = "needle";
  generator.def(py::init<uint64_t>(), py::arg("seed"))
      .def_property_readonly("seed", &Generator::seed, "The key of the stream.")
      .def_property_readonly("offset", &Generator::offset, "How many numbers were drawn.")
      .def("set_state", &Generator::set_state, py::arg("seed"), py::arg("offset"),
           "Continues the stream of `seed` at number `offset`.");
  m.def("default_generator", &default_generator, py::return_value_policy::reference,
        "The generator that functions use when none is given.");
  m.def("manual_seed", &manual_seed, py::arg("seed"), "Starts the default generator anew.");
  const auto random = [&](const char* name, auto function, const char* doc) {
    m.def(
        name,
        [function](const py::args& shape, Generator* g, const InDType& dtype,
                   const InDevice& device) {
          return function(shape_from(shape), g ? *g : default_generator(), dtype.dtype,
                          device.device);
        },
        py::kw_only(), py::arg("generator") = py::none(), py::arg("dtype") = "float32",
        py::arg("device") = "cpu", doc);
  };
  random("rand", rand, "Uniform in [0, 1). The shape: rand(2, 3) or rand((2, 3)).");
  random("randn", randn, "Standard normal. The shape: randn(2, 3) or randn((2, 3)).");
  m.def(
      "randint",
      [](int64_t low, int64_t high, const InShape& shape, Generator* g) {
        return randint(low, high, shape.shape, g ? *g : default_generator());
      },
      py::arg("low"), py::arg("high"), py::arg("shape"), py::kw_only(),
      py::arg("generator") = py::none(), "int64 in [low, high). ValueError if low >= high.");
  m.def(
      "randperm", [](int64_t n, Generator* g) { return randperm(n, g ? *g : default_generator()); },
      py::arg("n"), py::kw_only(), py::arg("generator") = py::none(),
      "0 ... n - 1 in random order, int64.");
}

Tensor with_gradient(const Tensor& t, bool requires_grad) {
  if (requires_grad) t.set_requires_grad(true);
  return t;
}

void bind_creation(py::module_& m) {
  m.def(
      "tensor",
      [](const py::object& data, const std::optional<InDType>& dtype, bool requires_grad,
         const InDevice& device) {
        const NDArray array =
            array_from("tensor", data, dtype ? std::optional(dtype->dtype) : std::nullopt);
        return Tensor(to_device(array, device.device), requires_grad);
      },
      py::arg("data"), py::arg("dtype") = py::none(), py::kw_only(),
      py::arg("requires_grad") = false, py::arg("device") = "cpu",
      "A copy of numbers, nested lists, a NumPy array, a Tensor or an NDArray.\n\n"
      "Python floats give float32, ints int64, bools bool; NumPy arrays keep their dtype.\n"
      "TypeError for other dtypes; ValueError if nested lists do not form a rectangle.");
  m.def(
      "array",
      [](const py::object& data, const std::optional<InDType>& dtype) {
        return array_from("array", data, dtype ? std::optional(dtype->dtype) : std::nullopt);
      },
      py::arg("data"), py::arg("dtype") = py::none(),
      "The NDArray of numbers, nested lists or an array: a copy, with the rules of tensor().");
  m.def(
      "from_numpy", [](const py::array& a) { return Tensor(array_sharing(a)); }, py::arg("array"),
      "A tensor that shares the array's memory. ValueError if the array is read-only.");
  m.def(
      "from_dlpack", [](const py::object& x) { return Tensor(from_dlpack(x)); }, py::arg("x"),
      "A tensor that shares the memory of anything with __dlpack__ (PyTorch, NumPy, JAX).");
  const auto constant = [&](const char* name, double value, const char* doc) {
    m.def(
        name,
        [value](const py::args& shape, const InDType& dtype, bool requires_grad,
                const InDevice& device) {
          return with_gradient(full(shape_from(shape), value, dtype.dtype, device.device),
                               requires_grad);
        },
        py::kw_only(), py::arg("dtype") = "float32", py::arg("requires_grad") = false,
        py::arg("device") = "cpu", doc);
  };
  constant("zeros", 0, "Zeros. The shape: zeros(2, 3) or zeros((2, 3)).");
  constant("ones", 1, "Ones. The shape: ones(2, 3) or ones((2, 3)).");
  m.def(
      "empty",
      [](const py::args& shape, const InDType& dtype, const InDevice& device) {
        return Tensor(NDArray::empty(shape_from(shape), dtype.dtype, device.device));
      },
      py::kw_only(), py::arg("dtype") = "float32", py::arg("device") = "cpu",
      "Memory as it is found. The shape: empty(2, 3) or empty((2, 3)).");
  m.def(
      "full",
      [](const InShape& shape, double value, const InDType& dtype, const InDevice& device) {
        return full(shape.shape, value, dtype.dtype, device.device);
      },
      py::arg("shape"), py::arg("value"), py::kw_only(), py::arg("dtype") = "float32",
      py::arg("device") = "cpu", "A tensor with one value everywhere.");
  const auto like = [&](const char* name, double value, const char* doc) {
    m.def(
        name,
        [value](const In& x) {
          return full(x.tensor.shape(), value, x.tensor.dtype(), x.tensor.device());
        },
        py::arg("x"), doc);
  };
  like("zeros_like", 0, "Zeros with x's shape, dtype and device.");
  like("ones_like", 1, "Ones with x's shape, dtype and device.");
  m.def(
      "full_like",
      [](const In& x, double value) {
        return full(x.tensor.shape(), value, x.tensor.dtype(), x.tensor.device());
      },
      py::arg("x"), py::arg("value"), "One value everywhere, with x's shape, dtype and device.");
  m.def(
      "arange",
      [](const py::object& start, const py::object& stop, const py::object& step,
         const std::optional<InDType>& dtype) {
        const bool real =
            PyFloat_Check(start.ptr()) || PyFloat_Check(stop.ptr()) || PyFloat_Check(step.ptr());
        const DType natural = real ? DType::float32 : DType::int64;
        const double first = stop.is_none() ? 0 : py::cast<double>(start);
        const double last = py::cast<double>(stop.is_none() ? start : stop);
        return arange(first, last, py::cast<double>(step), dtype ? dtype->dtype : natural);
      },
      py::arg("start"), py::arg("stop") = py::none(), py::arg("step") = 1,
      py::arg("dtype") = py::none(),
      "start, start + step, ... before stop; arange(n) begins at 0.\n\nint64, or float32 if an "
      "argument is a float. ValueError for step 0.");
  m.def(
      "linspace",
      [](double start, double stop, int64_t count, const InDType& dtype) {
        return linspace(start, stop, count, dtype.dtype);
      },
      py::arg("start"), py::arg("stop"), py::arg("count"), py::arg("dtype") = "float32",
      "`count` evenly spaced values, both ends included.");
  m.def(
      "eye", [](int64_t n, const InDType& dtype) { return eye(n, dtype.dtype); }, py::arg("n"),
      py::arg("dtype") = "float32", "The identity matrix (n, n).");
  m.def(
      "one_hot",
      [](const In& labels, int64_t classes, const InDType& dtype) {
        return one_hot(labels.tensor, classes, dtype.dtype);
      },
      py::arg("labels"), py::arg("classes"), py::arg("dtype") = "float32",
      "int64 labels (...) -> (..., classes) with 1 at the label; a label outside [0, classes) "
      "gives zeros.");
}

}  // namespace
}  // namespace needle::python

PYBIND11_MODULE(_core, m) {
  using namespace needle::python;
  m.doc() = "needle's C++ library. Use it through the package needle.";
  bind_errors();
  bind_dtypes(m);
  bind_devices(m);
  bind_node(m);
  bind_tensor(m);
  bind_random(m);
  bind_creation(m);
  bind_autograd(m);
  bind_ops(m);
  bind_nn(m);
  bind_models(m);
  bind_ladders(m);
  bind_gpu_ladders(m);
}
