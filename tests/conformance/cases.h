// Cases for holding the kernels of a device against the reference: arrays of one shape in every
// layout, filled from Philox, and one rule for how far results may differ.  (Lessons 02 and 04)
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "needle/backend/registry.h"

// CAPTURE prints these by name; left alone, doctest prints the number of an enum.
namespace needle {
doctest::String toString(DType t);
doctest::String toString(Unary op);
doctest::String toString(Binary op);
doctest::String toString(Compare op);
doctest::String toString(Reduce op);
}  // namespace needle

namespace needle::conformance {

// --- the devices ---

/// The device NEEDLE_DEVICE names; without it, all that are available but the reference.
std::vector<Device> devices();

/// Calls f(device) for each device that has the slot; says so where one lacks it.
template <class Slot, class F>
void for_each_device(Slot Kernels::*slot, const char* name, F f) {
  for (Device device : devices()) {
    CAPTURE(std::string(name));
    CAPTURE(device);
    if (kernels(device).*slot) {
      f(device);
    } else {
      MESSAGE(str(name, ": skipped, not available on device ", device));
    }
  }
}

// --- the arrays ---

/// How an array lies in memory.
enum class Layout {
  compact,          // row-major without gaps
  padded,           // gaps between rows, and a first element off the alignment
  transposed,       // the last two axes swapped (rank >= 2)
  interleaved,      // the axes before the last swapped, as heads and time are (rank >= 3)
  sliced,           // every second element of the last axis (rank >= 1)
  flipped,          // all strides negative (rank >= 1)
  broadcast_first,  // stride 0 on the first axis (rank >= 1); inputs only
  broadcast_last,   // stride 0 on the last axis (rank >= 2); inputs only
};
doctest::String toString(Layout layout);

/// The layouts that an array of this rank can have.
std::vector<Layout> input_layouts(int ndim);
std::vector<Layout> output_layouts(int ndim);

enum class Fill {
  normal,    // N(0, 1); ints in [-100, 100]; bools
  positive,  // (0.1, 4)
  large,     // 100 times normal: exp overflows
  special,   // normal with NaN, infinities, zeros, denormals, the largest; ints to their limits
};

enum Side { want, got };  // the reference; the device under test

/// The same array twice, in memory of its own for each side.
struct Pair {
  NDArray array[2];
  const View& operator[](Side side) const { return array[side].view(); }
};

/// Sizes around vector widths and block edges.
inline constexpr int64_t kSizes[] = {1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 257};
/// 0-d, empty, all of kSizes, odd sizes, many axes.
const std::vector<Shape>& shapes();
inline constexpr DType kFloating[] = {DType::float32, DType::float64};
inline constexpr DType kNumbers[] = {DType::float32, DType::float64, DType::int32, DType::int64};
inline constexpr DType kAll[] = {DType::float32, DType::float64, DType::int32, DType::int64,
                                 DType::bool_};
inline constexpr DType kHalf[] = {DType::float16, DType::bfloat16};
/// What fill, copy, where and gather take: kAll and kHalf.
inline constexpr DType kStored[] = {DType::float32, DType::float64, DType::int32,   DType::int64,
                                    DType::bool_,   DType::float16, DType::bfloat16};

// --- the rule ---

/// How far a floating result may be from the reference:
///   (4 + terms / 250) * times * eps * max(|want|, scale) + the smallest normal number,
/// eps = 2^-23; or 2^-52, and then terms / 4: float64 may be summed plainly, one term after the
/// other. Half dtypes are float32 rounded once more, so that eps * |want| is added, eps = 2^-10 for
/// float16 and 2^-7 for bfloat16. NaN must meet NaN, infinity the same infinity. Other dtypes: equal.
struct Tolerance {
  int64_t terms = 1;      // how many numbers were summed for one result
  double scale = 0;       // the size of what was summed, where the sum may cancel
  NDArray scales = {};    // the same, per element
  bool normwise = false;  // the same: the largest |want| of the array
  double times = 1;
  bool exact = false;  // no difference at all
};

/// One call of a slot on both sides.
class Comparison {
 public:
  explicit Comparison(Device device) : device_(device) {}

  /// An input; it is checked that the call does not write into it.
  Pair input(const Shape& shape, DType dtype, Layout layout = Layout::compact,
             Fill fill = Fill::normal);
  /// An int64 input with values in [0, limit).
  Pair indices(const Shape& shape, int64_t limit, Layout layout = Layout::compact);
  /// An array to write to. It holds NaN (or other values that show) before, gaps included.
  Pair output(const Shape& shape, DType dtype, Layout layout = Layout::compact);
  /// An array to read and write.
  Pair inout(const Shape& shape, DType dtype, Layout layout = Layout::compact,
             Fill fill = Fill::normal);

  /// f(kernels, side) once per side.
  template <class F>
  void run(F f) {
    f(kernels({Device::reference}), want);
    f(kernels(device_), got);
    synchronize(device_);
    CHECK(written_input() == "");
  }

  /// Empty if both sides agree and nothing was written beside the elements; else a sentence.
  std::string difference(const Pair& out, const Tolerance& tolerance = {}) const;

 private:
  std::string written_input() const;

  Device device_;
  std::vector<Pair> inputs_;
};

// --- elements ---

/// Where element i, in row-major order, of a view of host memory lies, in elements from `data`.
int64_t offset_of(const View& x, int64_t i);
/// Element i as a double.
double value_at(const View& x, int64_t i);
/// float64 on the reference device, from its elements in row-major order; and back.
NDArray array(const Shape& shape, const std::vector<double>& values);
std::vector<double> list(const NDArray& x);
/// Sets element i of both sides.
void set(const Pair& x, int64_t i, double value);
/// |x|, compact, on the reference device.
NDArray magnitude(const View& x);

}  // namespace needle::conformance
