// Making the arrays and comparing them.  (Lessons 02 and 04)
#include "tests/conformance/cases.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>

#include "needle/backend/random.h"
#include "needle/backend/reference/reference.h"

namespace needle {

doctest::String toString(DType t) { return str(t).c_str(); }

doctest::String toString(Unary op) {
  static constexpr const char* kNames[kUnaries] = {"neg",     "abs",   "exp",  "log",  "log1p",
                                                   "sqrt",    "rsqrt", "sin",  "cos",  "tanh",
                                                   "sigmoid", "relu",  "gelu", "silu", "erf"};
  return kNames[static_cast<int>(op)];
}

doctest::String toString(Binary op) {
  static constexpr const char* kNames[kBinaries] = {"add", "sub",     "mul",    "div",
                                                    "pow", "maximum", "minimum"};
  return kNames[static_cast<int>(op)];
}

doctest::String toString(Compare op) {
  static constexpr const char* kNames[kCompares] = {"equal",      "not_equal", "less",
                                                    "less_equal", "greater",   "greater_equal"};
  return kNames[static_cast<int>(op)];
}

doctest::String toString(Reduce op) {
  static constexpr const char* kNames[kReduces] = {"sum", "prod", "max", "min"};
  return kNames[static_cast<int>(op)];
}

}  // namespace needle

namespace needle::conformance {
namespace {

constexpr Device kReference{Device::reference};

/// Uninitialised, laid out as asked. The caller asks only for layouts that the rank allows.
NDArray lay_out(const Shape& shape, DType dtype, Layout layout, Device device) {
  const int n = shape.ndim();
  Shape base = shape;
  switch (layout) {
    case Layout::compact: return NDArray::empty(shape, dtype, device);
    case Layout::padded: {
      base.back() += 4;
      return NDArray::empty(base, dtype, device).slice(-1, {1, shape.back() + 1});
    }
    case Layout::transposed:
      std::swap(base[n - 1], base[n - 2]);
      return NDArray::empty(base, dtype, device).transpose(-1, -2);
    case Layout::interleaved:
      std::swap(base[n - 2], base[n - 3]);
      return NDArray::empty(base, dtype, device).transpose(-2, -3);
    case Layout::sliced:
      base.back() = 2 * shape.back() + 1;
      return NDArray::empty(base, dtype, device).slice(-1, {1, {}, 2});
    case Layout::flipped: {
      NDArray out = NDArray::empty(shape, dtype, device);
      for (int i = 0; i < n; ++i) out = out.flip(i);
      return out;
    }
    case Layout::broadcast_first:
      base[0] = 1;
      return NDArray::empty(base, dtype, device).broadcast_to(shape);
    case Layout::broadcast_last:
      base.back() = 1;
      return NDArray::empty(base, dtype, device).broadcast_to(shape);
  }
  throw ValueError("conformance: unknown layout");
}

/// The whole storage of an array as a compact 1-d array.
NDArray whole(const NDArray& x) {
  const int64_t n = static_cast<int64_t>(x.storage()->bytes()) / size_of(x.dtype());
  return {x.storage(), View{x.storage()->data(), x.dtype(), {n}, {1}}};
}

/// Memory of the device that the host, too, reads and writes: on a GPU, pinned.
Ref<Storage> allocate(size_t bytes, Device device) {
  if (device.is_host()) return Storage::allocate(bytes, device);
  const Allocator pinned = pinned_allocator(device);
  void* data = pinned.allocate(bytes, 0);
  return Storage::borrow(data, bytes, device, [=] { pinned.release(data, bytes, 0); });
}

/// The same bytes in memory of another device, seen through the same view.
NDArray twin(const NDArray& x, Device device) {
  const size_t bytes = x.storage()->bytes();
  Ref<Storage> storage = allocate(bytes, device);
  std::memcpy(storage->data(), x.storage()->data(), bytes);
  View view = x.view();
  view.data = static_cast<char*>(storage->data()) + x.offset() * size_of(x.dtype());
  return {std::move(storage), view};
}

/// Arrays are filled from lists of this many numbers, each list made once.
constexpr uint64_t kNumbers = 8191;

template <class T>
T special(uint64_t i) {
  using Limits = std::numeric_limits<T>;
  if constexpr (is_half_v<T>) {
    const uint16_t inf = T(INFINITY).bits, one = T(1).bits, minus = 0x8000;
    const uint16_t largest = inf - 1, subnormal = inf / 512;
    const int values[] = {inf | 1, inf | 0x3f, inf,     inf | minus,     0,   minus,
                          1,       subnormal,  largest, largest | minus, one, one | minus};
    const auto which = philox(7, i).word[0] % std::size(values);
    return i % 2 ? T(3 * philox_normal(2024, i))
                 : T::from_bits(static_cast<uint16_t>(values[which]));
  } else if constexpr (std::is_floating_point_v<T>) {
    const T values[] = {Limits::quiet_NaN(),
                        Limits::infinity(),
                        -Limits::infinity(),
                        0,
                        T(-0.0),
                        Limits::denorm_min(),
                        -Limits::min() / 2,
                        Limits::max(),
                        Limits::lowest(),
                        T(1e30),
                        T(-1e30),
                        1,
                        -1};
    return i % 2 ? T(3 * philox_normal(2024, i)) : values[philox(7, i).word[0] % std::size(values)];
  } else {
    const T values[] = {Limits::min(), Limits::max(), 0, T(-1), 1};
    return values[philox(7, i).word[0] % std::size(values)];
  }
}

template <class T>
T value_of(Fill fill, uint64_t i) {
  const double x = philox_normal(2024, i);
  if constexpr (std::is_same_v<T, bool>) return x > 0;
  if (fill == Fill::special) return special<T>(i);
  if constexpr (std::is_integral_v<T>) return static_cast<T>(std::fmod(50 * x, 101));
  if (fill == Fill::positive) return static_cast<T>(0.1 + std::fmod(std::abs(x), 3.9));
  return static_cast<T>(fill == Fill::large ? 100 * x : x);
}

template <class T>
const T* numbers(Fill fill) {
  static std::unique_ptr<T[]> lists[4];
  std::unique_ptr<T[]>& list = lists[static_cast<int>(fill)];
  if (!list) {
    list = std::make_unique<T[]>(kNumbers);
    for (uint64_t i = 0; i < kNumbers; ++i) list[i] = value_of<T>(fill, i);
  }
  return list.get();
}

/// A place in the lists; arrays made one after the other begin far apart.
uint64_t next_start() {
  static uint64_t start = 0;
  return start += 1009;
}

void fill_storage(const NDArray& x, Fill fill) {
  const NDArray all = whole(x);
  uint64_t at = next_start() % kNumbers;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = numbers<T>(fill);
    T* to = all.data<T>();
    for (int64_t i = 0; i < all.size(); ++i) {
      to[i] = from[at];
      if (++at == kNumbers) at = 0;
    }
  });
}

/// All elements, gaps too: NaN, or a value that no test computes, so that an element left out or
/// added to shows.
void poison(const NDArray& x) {
  if (is_floating(x.dtype())) {
    fill(whole(x), std::numeric_limits<double>::quiet_NaN());
  } else {
    fill(whole(x), x.dtype() == DType::bool_ ? 1 : -77777);
  }
}

double epsilon(DType t) { return t == DType::float64 ? 0x1p-52 : 0x1p-23; }
double smallest_normal(DType t) { return t == DType::float64 ? 0x1p-1022 : 0x1p-126; }
/// What the rounding of a float32 to two bytes adds: the unit in the last place.
double last_place(DType t, double value) {
  if (!is_half(t)) return 0;
  const bool bfloat = t == DType::bfloat16;
  return std::fmax((bfloat ? 0x1p-7 : 0x1p-10) * std::abs(value), bfloat ? 0x1p-133 : 0x1p-24);
}

/// f(offset) for each element of x in row-major order.
template <class F>
void for_each_offset(const View& x, const F& f, int axis = 0, int64_t offset = 0) {
  if (axis == x.ndim()) return f(offset);
  for (int64_t i = 0; i < x.shape[axis]; ++i, offset += x.strides[axis]) {
    for_each_offset(x, f, axis + 1, offset);
  }
}

bool same_bytes(const NDArray& a, const NDArray& b) {
  return std::memcmp(a.storage()->data(), b.storage()->data(), a.storage()->bytes()) == 0;
}

}  // namespace

std::vector<Device> devices() {
  if (const char* name = std::getenv("NEEDLE_DEVICE")) return {device_of(name)};
  std::vector<Device> out;
  for (Device::Kind kind : {Device::cpu, Device::cuda, Device::cuda_sim}) {
    if (is_available({kind})) out.push_back({kind});
  }
  return out;
}

doctest::String toString(Layout layout) {
  static constexpr const char* kNames[] = {"compact",         "padded",        "transposed",
                                           "interleaved",     "sliced",        "flipped",
                                           "broadcast_first", "broadcast_last"};
  return kNames[static_cast<int>(layout)];
}

std::vector<Layout> output_layouts(int ndim) {
  std::vector<Layout> out = {Layout::compact};
  if (ndim >= 1) out.insert(out.end(), {Layout::padded, Layout::sliced, Layout::flipped});
  if (ndim >= 2) out.push_back(Layout::transposed);
  if (ndim >= 3) out.push_back(Layout::interleaved);
  return out;
}

std::vector<Layout> input_layouts(int ndim) {
  std::vector<Layout> out = output_layouts(ndim);
  if (ndim >= 1) out.push_back(Layout::broadcast_first);
  if (ndim >= 2) out.push_back(Layout::broadcast_last);
  return out;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = [] {
    std::vector<Shape> out = {{},
                              {0},
                              {0, 5},
                              {5, 0},
                              {3, 0, 2},
                              {1, 1},
                              {2, 3},
                              {17, 33},
                              {65, 7},
                              {3, 5, 7},
                              {4, 1, 9},
                              {2, 3, 4, 5},
                              {2, 1, 3, 1, 2},
                              {1, 2, 1, 2, 1, 2, 3, 2}};
    for (int64_t n : kSizes) out.push_back({n});
    return out;
  }();
  return all;
}

Pair Comparison::inout(const Shape& shape, DType dtype, Layout layout, Fill fill) {
  const NDArray x = lay_out(shape, dtype, layout, kReference);
  fill_storage(x, fill);
  return {{x, twin(x, device_)}};
}

Pair Comparison::input(const Shape& shape, DType dtype, Layout layout, Fill fill) {
  return inputs_.emplace_back(inout(shape, dtype, layout, fill));
}

Pair Comparison::indices(const Shape& shape, int64_t limit, Layout layout) {
  const NDArray x = lay_out(shape, DType::int64, layout, kReference);
  const NDArray all = whole(x);
  const uint64_t start = next_start();
  for (int64_t i = 0; i < all.size(); ++i) {
    all.data<int64_t>()[i] = philox(3, start + i).word[0] % std::max<int64_t>(limit, 1);
  }
  return inputs_.emplace_back(Pair{{x, twin(x, device_)}});
}

Pair Comparison::output(const Shape& shape, DType dtype, Layout layout) {
  const NDArray x = lay_out(shape, dtype, layout, kReference);
  poison(x);
  return {{x, twin(x, device_)}};
}

std::string Comparison::written_input() const {
  for (const Pair& x : inputs_) {
    if (!same_bytes(x.array[want], x.array[got])) {
      return str("wrote into an input, ", x[got].dtype, " ", x[got].shape);
    }
  }
  return "";
}

std::string Comparison::difference(const Pair& out, const Tolerance& tolerance) const {
  const View& expected = out[want];
  const DType dtype = expected.dtype;
  const int64_t n = expected.size();
  double scale = tolerance.scale;
  for (int64_t i = 0; tolerance.normwise && i < n; ++i) {
    const double size = std::abs(value_at(expected, i));
    if (std::isfinite(size)) scale = std::max(scale, size);
  }
  const double per_term = dtype == DType::float64 ? 1.0 / 4 : 1.0 / 250;
  const double rounding =
      (4 + per_term * static_cast<double>(tolerance.terms)) * tolerance.times * epsilon(dtype);

  // Elements that agree are made equal; then the storages, gaps included, must have equal bytes.
  NDArray actual = twin(out.array[got], kReference);
  std::string found;
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    int64_t i = -1;
    for_each_offset(expected, [&](int64_t offset) {
      ++i;
      const T e = expected.as<T>()[offset];
      T& a = actual.view().as<T>()[offset];
      if (!found.empty() || std::memcmp(&e, &a, sizeof(T)) == 0) return;
      bool agree = false;
      double allowed = 0;
      if (is_floating(dtype)) {
        const double x = value_at(expected, i), y = value_at(actual.view(), i);
        const double own =
            tolerance.scales.defined() ? value_at(tolerance.scales.view(), i) : scale;
        if (!tolerance.exact) {
          allowed = rounding * std::max(std::abs(x), own) + smallest_normal(dtype);
          allowed += last_place(dtype, x);
        }
        const bool finite = std::isfinite(x) && std::isfinite(y);
        agree = finite ? std::abs(x - y) <= allowed : x == y || (x != x && y != y);
      }
      if (!agree) {
        std::ostringstream text;
        text.precision(17);
        text << "element " << i << " of " << expected.shape << ": got "
             << value_at(actual.view(), i) << ", want " << value_at(expected, i)
             << ", allowed difference " << allowed;
        found = text.str();
      }
      a = e;
    });
  });
  if (!found.empty()) return found;
  return same_bytes(out.array[want], actual) ? "" : "wrote beside the elements of the output";
}

int64_t offset_of(const View& x, int64_t i) {
  int64_t offset = 0;
  for (int axis = x.ndim() - 1; axis >= 0; --axis) {
    offset += i % x.shape[axis] * x.strides[axis];
    i /= x.shape[axis];
  }
  return offset;
}

double value_at(const View& x, int64_t i) {
  return visit_dtype(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T value = x.as<T>()[offset_of(x, i)];
    if constexpr (is_half_v<T>) return double{static_cast<float>(value)};
    if constexpr (!is_half_v<T>) return static_cast<double>(value);
  });
}

void set(const Pair& x, int64_t i, double value) {
  for (const NDArray& side : x.array) {
    visit_dtype(side.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      side.view().as<T>()[offset_of(side.view(), i)] = static_cast<T>(value);
    });
  }
}

NDArray array(const Shape& shape, const std::vector<double>& values) {
  return NDArray::of<double>(values, shape, {Device::reference});
}

std::vector<double> list(const NDArray& x) {
  std::vector<double> out;
  for (int64_t i = 0; i < x.size(); ++i) out.push_back(value_at(x.view(), i));
  return out;
}

NDArray magnitude(const View& x) {
  const NDArray out = NDArray::empty(x.shape, x.dtype, kReference);
  reference_kernels.unary(Unary::abs, x, out.view());
  return out;
}

}  // namespace needle::conformance
