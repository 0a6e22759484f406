// The rungs of the GPU's ladders, callable one by one.  (Lesson 04)
#include <functional>

#include "bind.h"
#include "needle/backend/gpu.h"
#include "needle/backend/registry.h"

namespace needle::python {
namespace {

/// A rung of any ladder of a GPU or of the simulator.
struct GpuRung {
  std::string ladder, name, idea, file;
  DType dtype;
  Device device;
  bool is_slot, is_available;
  size_t operands;
  std::function<NDArray(const std::vector<NDArray>&)> run;  // of checked operands
};

std::string who(const GpuRung& rung) { return str(rung.ladder, " ", rung.name); }

Tensor call(const GpuRung& rung, const std::vector<Tensor>& operands) {
  if (!rung.is_available) {
    throw NotImplementedError(str(who(rung), ": not on device ", rung.device, ", a GPU is wanted"));
  }
  if (operands.size() != rung.operands) {
    throw TypeError(str(who(rung), ": ", operands.size(), " operands; it takes ", rung.operands));
  }
  std::vector<NDArray> arrays;
  int64_t size = 0;
  for (const Tensor& x : operands) {
    if (x.device() != rung.device) {
      throw ValueError(str(who(rung), ": an operand is on ", x.device(), "; move it with to(\"",
                           rung.device, "\")"));
    }
    if (x.dtype() != rung.dtype) {
      throw TypeError(str(who(rung), ": an operand is ", x.dtype(), "; it takes ", rung.dtype));
    }
    if (!x.value().is_contiguous()) {
      throw ValueError(str(who(rung), ": an operand of shape ", x.shape(), " has strides ",
                           x.value().strides(), "; make it compact with contiguous()"));
    }
    size += x.size();
    arrays.push_back(x.value());
  }
  return Tensor(released(size, [&] { return rung.run(arrays); }));
}

NDArray run(decltype(Kernels::matmul) rung, const std::vector<NDArray>& x) {
  const Shape &left = x[0].shape(), &right = x[1].shape();
  if (left.ndim() != 2 || right.ndim() != 2 || left[1] != right[0]) {
    throw ValueError(str("matmul: ", left, " x ", right, ": wanted are (m, k) x (k, n)"));
  }
  NDArray out = NDArray::empty({left[0], right[1]}, x[0].dtype(), x[0].device());
  rung(x[0].view(), x[1].view(), out.view());
  return out;
}

NDArray transposed(decltype(Kernels::copy) rung, const std::vector<NDArray>& x) {
  if (x[0].shape().ndim() != 2) {
    throw ValueError(str("transpose: shape ", x[0].shape(), ": a matrix is wanted"));
  }
  const NDArray view = x[0].transpose(0, 1);
  NDArray out = NDArray::empty(view.shape(), view.dtype(), view.device());
  rung(view.view(), out.view());
  return out;
}

NDArray reduced(decltype(Kernels::reduce) rung, const std::vector<NDArray>& x) {
  Shape one = x[0].shape();
  for (int axis = 0; axis < one.ndim(); ++axis) one[axis] = 1;
  const NDArray out = NDArray::empty(one, x[0].dtype(), x[0].device());
  rung(Reduce::sum, x[0].view(), out.view());
  return reshape(out, {});
}

NDArray normalised(decltype(Kernels::softmax) rung, const std::vector<NDArray>& x) {
  if (x[0].shape().ndim() == 0) throw ValueError("softmax: x has no axis");
  NDArray out = NDArray::empty(x[0].shape(), x[0].dtype(), x[0].device());
  rung(false, x[0].view(), out.view());
  return out;
}

template <class F>
void add(std::vector<GpuRung>& found, const std::string& name, Device device,
         const Ladder<F>& ladder, F slot, size_t operands,
         NDArray (*run)(F, const std::vector<NDArray>&)) {
  for (const Rung<F>& rung : ladder) {
    found.push_back({name, rung.name, rung.idea, rung.file, rung.dtype, device, rung.run == slot,
                     rung.run != nullptr, operands,
                     [run, f = rung.run](const std::vector<NDArray>& x) { return run(f, x); }});
  }
}

/// All rungs of all ladders of a device.
std::vector<GpuRung> gpu_ladders(const InDevice& d) {
  const Device device = d.device;
  if (device.kind < Device::cuda) {
    throw ValueError(str("ladder: device ", device, " is no GPU; want cuda or cuda_sim"));
  }
  const Gpu& it = gpu(device);
  const Kernels& slots = *it.kernels;
  std::vector<GpuRung> found;
  add(found, "matmul", device, it.ladders->matmul, slots.matmul, 2, run);
  add(found, "transpose", device, it.ladders->transpose, slots.copy, 1, transposed);
  add(found, "reduction", device, it.ladders->reduction, slots.reduce, 1, reduced);
  add(found, "softmax", device, it.ladders->softmax, slots.softmax, 1, normalised);
  return found;
}

}  // namespace

void bind_gpu_ladders(py::module_& m) {
  py::class_<GpuRung>(m, "GpuRung", "A version of a kernel for the GPU. See needle.ladder.on().")
      .def_readonly("ladder", &GpuRung::ladder, "matmul, transpose, reduction or softmax.")
      .def_readonly("name", &GpuRung::name, "v1, v2, ...")
      .def_readonly("idea", &GpuRung::idea, "What it has that the one before has not.")
      .def_readonly("file", &GpuRung::file, "Where it stands, from the top.")
      .def_readonly("is_slot", &GpuRung::is_slot,
                    "Whether it is the very function that the library calls.")
      .def_readonly("is_available", &GpuRung::is_available,
                    "False in the simulator for a rung that only a GPU can run.")
      .def_property_readonly(
          "dtype", [](const GpuRung& rung) { return rung.dtype; }, "Of its operands.")
      .def("__repr__", [](const GpuRung& rung) { return str(rung.name, ": ", rung.idea); })
      .def(
          "__call__",
          [](const GpuRung& rung, const py::args& operands) {
            return call(rung, operands.cast<std::vector<Tensor>>());
          },
          "matmul: a (m, k), b (k, n) -> (m, n). transpose: x (m, n) -> (n, m). reduction, the "
          "sum: x "
          "(...) -> (). softmax: x (..., n) -> (..., n). Compact, on the rung's device, of its "
          "dtype: "
          "ValueError or TypeError for others.");
  m.def(
      "gpu_ladders", &gpu_ladders, py::arg("device"),
      "All rungs of the device's ladders, the slowest first. RuntimeError, with what to do, if the "
      "device is not there; ValueError if it is no GPU.");
}

}  // namespace needle::python
