// Which kernels work on which device, and the few array functions that need them.  (Lesson 02)
#pragma once

#include <vector>

#include "needle/array/ndarray.h"
#include "needle/backend/kernels.h"

namespace needle {

/// The table of a device. RuntimeError, with what to do, if this build or machine lacks it.
const Kernels& kernels(Device device);
bool is_available(Device device);
/// Waits until the device has done all that was asked of it. RuntimeError if a kernel faulted.
void synchronize(Device device);
/// Memory that both the host and a device with memory of its own reach.
const Allocator& pinned_allocator(Device device);

/// A slot of a table, or NotImplementedError naming slot and device if the backend left it out:
///   slot(k, &Kernels::matmul, "matmul")(a.view(), b.view(), out.view());
template <class Function>
Function slot(const Kernels& table, Function Kernels::*member, const char* name) {
  if (!(table.*member)) {
    throw NotImplementedError(str(name, ": not available on device ", table.name));
  }
  return table.*member;
}

/// The instruction set the cpu backend runs on: "avx512", "avx2" or "sse2"; on ARM, "neon". The
/// best that the CPU has, chosen at first use; the environment variable NEEDLE_ISA names another.
/// ValueError if this build or CPU does not have that.
const char* cpu_isa();
/// All that this build and CPU have, best first.
std::vector<const char*> cpu_isas();
int num_threads();
/// ValueError below 1.
void set_num_threads(int threads);

// --- arrays: what needs a kernel ---

/// A compact copy, in `dtype` if given.
NDArray copy_of(const NDArray& x);
NDArray cast(const NDArray& x, DType dtype);
/// x itself if compact, else a compact copy.
NDArray contiguous(const NDArray& x);
/// A view if the strides allow it, else a view of a compact copy.
NDArray reshape(const NDArray& x, const Shape& shape);
/// Copies to another device; x itself if it is there already.
NDArray to_device(const NDArray& x, Device device);
/// Writes value into every element (through the view).
void fill(const NDArray& out, double value);
/// out[...] = x[...], broadcasting x and converting its dtype. Counts as an in-place write.
void assign(const NDArray& out, const NDArray& x);
NDArray filled(const Shape& shape, double value, DType dtype, Device device = {});

}  // namespace needle
