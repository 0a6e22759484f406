// The table of tables.  (Lesson 02)
#include "needle/backend/registry.h"

#include <dlfcn.h>

#include <cstring>

#include "needle/backend/cpu/cpu.h"
#include "needle/backend/gpu.h"
#include "needle/backend/reference/reference.h"

namespace needle {

namespace {

using GetGpu = const Gpu& (*)();

/// The function needle_gpu of a library.
GetGpu load(Device device, const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  void* get = handle ? dlsym(handle, "needle_gpu") : nullptr;
  if (!get) {
    const char* instead =
        device.kind == Device::cuda ? "cuda_sim, which runs the same kernels on the host" : "cpu";
    throw RuntimeError(
        str("device ", device, ": not part of this build (", dlerror(), "); use ", instead));
  }
  return reinterpret_cast<GetGpu>(get);
}

}  // namespace

const Gpu& gpu(Device device) {
  if (device.index != 0) {
    throw RuntimeError(str("device ", device, ": one process uses one GPU, which is cuda; the ",
                           "environment variable CUDA_VISIBLE_DEVICES=", device.index,
                           " makes it that one"));
  }
  if (device.kind == Device::cuda) {
    static const GetGpu get = load(device, "libneedle_cuda.so");
    return get();
  }
  static const GetGpu get = load(device, "libneedle_cuda_sim.so");
  get().set_host_threads(num_threads());
  return get();
}

void prepare_device(Device device) { set_allocator(device.kind, gpu(device).allocator); }

const Kernels& kernels(Device device) {
  switch (device.kind) {
    case Device::cpu: return cpu_kernels();
    case Device::reference: return reference_kernels;
    default: return *gpu(device).kernels;
  }
}

bool is_available(Device device) {
  try {
    kernels(device);
    return true;
  } catch (const RuntimeError&) {
    return false;
  }
}

void synchronize(Device device) {
  if (device.kind >= Device::cuda) gpu(device).synchronize();
}

const Allocator& pinned_allocator(Device device) {
  return device.is_host() ? allocator_for(device) : gpu(device).pinned;
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
  const auto bytes = static_cast<size_t>(x.bytes());
  if (!x.device().is_host()) {
    gpu(x.device()).copy_out(out.storage()->data(), source.view().data, bytes);
  } else if (!device.is_host()) {
    gpu(device).copy_in(out.storage()->data(), source.view().data, bytes);
  } else if (bytes > 0) {
    std::memcpy(out.storage()->data(), source.view().data, bytes);
  }
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
