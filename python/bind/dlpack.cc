// DLPack: arrays shared with PyTorch, NumPy, JAX ... without a copy.  (Python package)
#include "bind.h"

namespace needle::python {
namespace {

// Plain C structs of github.com/dmlc/dlpack: ABI 0.x, and 1.0 for the versioned one.

struct DLDevice {
  int32_t type;
  int32_t id;
};
struct DLDataType {
  uint8_t code;  // 0 int, 2 float, 4 bfloat, 6 bool
  uint8_t bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null: compact
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;  // bit 0: read-only
  DLTensor tensor;
};

constexpr int kDLCpu = 1;

template <class Managed>
constexpr const char* capsule_name() {
  return std::is_same_v<Managed, DLManagedTensor> ? "dltensor" : "dltensor_versioned";
}
template <class Managed>
constexpr const char* used_name() {
  return std::is_same_v<Managed, DLManagedTensor> ? "used_dltensor" : "used_dltensor_versioned";
}

DLDataType dl_dtype(DType t) {
  const uint8_t code = t == DType::bool_ ? 6 : t == DType::bfloat16 ? 4 : is_floating(t) ? 2 : 0;
  return {code, static_cast<uint8_t>(8 * size_of(t)), 1};
}

std::optional<DType> dtype_of_dl(DLDataType t) {
  for (int i = 0; i < kDTypes; ++i) {
    const DLDataType ours = dl_dtype(static_cast<DType>(i));
    if (ours.code == t.code && ours.bits == t.bits && t.lanes == 1) return static_cast<DType>(i);
  }
  return {};
}

/// The struct handed out, with what its pointers point to.
template <class Managed>
struct Exported {
  Managed managed = {};
  NDArray array;  // keeps the memory, and shape and strides
};

template <class Managed>
py::capsule export_dlpack(const NDArray& x) {
  auto* exported = new Exported<Managed>;
  exported->array = x;
  View& view = const_cast<View&>(exported->array.view());
  Managed& managed = exported->managed;
  managed.tensor = {view.data,
                    {kDLCpu, 0},
                    view.ndim(),
                    dl_dtype(x.dtype()),
                    view.shape.begin(),
                    view.strides.begin(),
                    0};
  managed.context = exported;
  managed.deleter = [](Managed* self) { delete static_cast<Exported<Managed>*>(self->context); };
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) managed.major = 1;
  // Whoever consumes the capsule renames it and calls the deleter; else the capsule does.
  PyObject* capsule = PyCapsule_New(&managed, capsule_name<Managed>(), [](PyObject* self) {
    if (!PyCapsule_IsValid(self, capsule_name<Managed>())) return;
    auto* m = static_cast<Managed*>(PyCapsule_GetPointer(self, capsule_name<Managed>()));
    m->deleter(m);
  });
  if (!capsule) {
    delete exported;
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::capsule>(capsule);
}

template <class Managed>
NDArray import_dlpack(const py::capsule& capsule) {
  auto* managed =
      static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), capsule_name<Managed>()));
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    if (managed->major != 1) {
      throw RuntimeError(str("from_dlpack: DLPack version ", managed->major, " is not known"));
    }
    if (managed->flags & 1) throw ValueError("from_dlpack: the source is read-only; copy it");
  }
  const DLTensor& t = managed->tensor;
  if (t.device.type != kDLCpu) {
    throw RuntimeError("from_dlpack: the source is not in host memory; move it to the cpu first");
  }
  const auto dtype = dtype_of_dl(t.dtype);
  if (!dtype) {
    throw TypeError(str("from_dlpack: DLPack type code ", int{t.dtype.code}, " with ",
                        int{t.dtype.bits}, " bits has no needle dtype"));
  }
  const Shape shape(std::span<const int64_t>(t.shape, static_cast<size_t>(t.ndim)));
  const Shape strides =
      t.strides ? Shape(std::span<const int64_t>(t.strides, static_cast<size_t>(t.ndim)))
                : compact_strides(shape);
  int64_t low = 0;
  int64_t high = shape.size() == 0 ? 0 : 1;
  for (int i = 0; i < shape.ndim() && shape.size() > 0; ++i) {
    (strides[i] < 0 ? low : high) += (shape[i] - 1) * strides[i];
  }
  char* data = static_cast<char*>(t.data) + t.byte_offset;
  auto drop = [managed] {
    if (!managed->deleter) return;
    const py::gil_scoped_acquire guard;
    managed->deleter(managed);
  };
  Ref<Storage> storage =
      Storage::borrow(data + low * size_of(*dtype),
                      static_cast<size_t>((high - low) * size_of(*dtype)), Device{}, drop);
  PyCapsule_SetName(capsule.ptr(), used_name<Managed>());
  return {std::move(storage), View{data, *dtype, shape, strides}};
}

}  // namespace

py::capsule to_dlpack(const NDArray& x, bool versioned) {
  check_host("__dlpack__", x);
  return versioned ? export_dlpack<DLManagedTensorVersioned>(x) : export_dlpack<DLManagedTensor>(x);
}

NDArray from_dlpack(const py::object& source) {
  py::object capsule = source;
  if (!PyCapsule_CheckExact(source.ptr())) {
    if (!py::hasattr(source, "__dlpack__")) {
      throw TypeError(str("from_dlpack: ", type_name(source), " has no __dlpack__"));
    }
    try {
      capsule = source.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(1, 0));
    } catch (py::error_already_set& e) {
      if (!e.matches(PyExc_TypeError)) throw;
      capsule = source.attr("__dlpack__")();  // a producer older than DLPack 1.0
    }
  }
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    return import_dlpack<DLManagedTensorVersioned>(capsule);
  }
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) return import_dlpack<DLManagedTensor>(capsule);
  throw ValueError("from_dlpack: the capsule holds no DLPack tensor, or was used already");
}

}  // namespace needle::python
