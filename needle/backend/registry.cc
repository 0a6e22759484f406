// The table of tables.  (Lesson 02)
#include "needle/backend/registry.h"

#include <cstring>

#include "needle/backend/cpu/cpu.h"
#include "needle/backend/reference/reference.h"

namespace needle {

static const Kernels* find(Device device) {
  switch (device.kind) {
    case Device::cpu: return &cpu_kernels();
    case Device::reference: return &reference_kernels;
    default: return nullptr;
  }
}

bool is_available(Device device) { return find(device) != nullptr; }

const Kernels& kernels(Device device) {
  const Kernels* table = find(device);
  if (!table) {
    throw RuntimeError(str("device ", device, ": not part of this build; use cpu or reference"));
  }
  return *table;
}

NDArray copy_of(const NDArray& x) { return cast(x, x.dtype()); }

NDArray cast(const NDArray& x, DType dtype) {
  NDArray out = NDArray::empty(x.shape(), dtype, x.device());
  slot(kernels(x.device()), &Kernels::copy, "copy")(x.view(), out.view());
  return out;
}

NDArray contiguous(const NDArray& x) { return x.is_contiguous() ? x : copy_of(x); }

NDArray reshape(const NDArray& x, const Shape& shape) {
  if (auto view = x.try_reshape(shape)) return *view;
  return *copy_of(x).try_reshape(shape);
}

NDArray to_device(const NDArray& x, Device device) {
  if (x.device() == device) return x;
  kernels(device);  // refuses a device that is not there
  const NDArray source = contiguous(x);
  NDArray out = NDArray::empty(x.shape(), x.dtype(), device);
  std::memcpy(out.storage()->data(), source.view().data, static_cast<size_t>(x.bytes()));
  return out;
}

void fill(const NDArray& out, double value) {
  out.storage()->bump_version();
  const Scalar scalar{value, is_floating(out.dtype()) ? 0 : static_cast<int64_t>(value)};
  slot(kernels(out.device()), &Kernels::fill, "fill")(scalar, out.view());
}

void assign(const NDArray& out, const NDArray& x) {
  if (x.device() != out.device()) {
    throw RuntimeError(str("assign: source on ", x.device(), ", destination on ", out.device()));
  }
  NDArray source = x;
  // Writing through a view of the very memory that is read needs a copy first, e.g. a[1:] = a[:-1].
  if (x.storage() == out.storage()) source = copy_of(x);
  out.storage()->bump_version();
  slot(kernels(out.device()), &Kernels::copy, "copy")(source.broadcast_to(out.shape()).view(),
                                                      out.view());
}

NDArray filled(const Shape& shape, double value, DType dtype, Device device) {
  NDArray out = NDArray::empty(shape, dtype, device);
  fill(out, value);
  return out;
}

}  // namespace needle
