// Shapes, strides, views, storage: the arithmetic of arrays, against plain index loops.  (Lesson 02)
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <sstream>
#include <vector>

#include "needle/backend/registry.h"

using namespace needle;

TEST_SUITE_BEGIN("array");

namespace {

/// 0, 1, 2, ... in row-major order.
NDArray range(const Shape& shape) {
  std::vector<int64_t> values(static_cast<size_t>(shape.size()));
  std::iota(values.begin(), values.end(), 0);
  return NDArray::of<int64_t>(values, shape);
}

/// The elements in row-major order, found by walking indices.
std::vector<int64_t> list(const NDArray& x) {
  std::vector<int64_t> out;
  const std::function<void(int, int64_t)> walk = [&](int axis, int64_t offset) {
    if (axis == x.ndim()) {
      out.push_back(x.data<int64_t>()[offset]);
      return;
    }
    for (int64_t i = 0; i < x.shape(axis); ++i) walk(axis + 1, offset + i * x.strides()[axis]);
  };
  walk(0, 0);
  return out;
}

using List = std::vector<int64_t>;

/// Whether strides exist that walk the elements of x, row by row, in `shape`: each stride can only
/// be the step from the first element to its neighbour on that axis; then all others must fit.
bool can_view(const NDArray& x, const Shape& shape) {
  const auto offset = [](const Shape& sizes, const Shape& strides, int64_t i) {
    int64_t sum = 0;
    for (int axis = sizes.ndim() - 1; axis >= 0; i /= sizes[axis--]) {
      sum += i % sizes[axis] * strides[axis];
    }
    return sum;
  };
  Shape strides = compact_strides(shape);
  for (int64_t& stride : strides) {
    stride = stride < x.size() ? offset(x.shape(), x.strides(), stride) : 0;
  }
  bool fits = true;
  for (int64_t i = 0; i < x.size(); ++i) {
    fits &= offset(shape, strides, i) == offset(x.shape(), x.strides(), i);
  }
  return fits;
}

}  // namespace

TEST_CASE("dtype: names, sizes, promotion") {
  for (int i = 0; i < kDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    CHECK(dtype_of(name_of(t)) == t);
    CHECK(promote(t, t) == t);
    for (int j = 0; j < kDTypes; ++j) {
      CHECK(promote(t, static_cast<DType>(j)) == promote(static_cast<DType>(j), t));
    }
    visit_dtype(t, [&](auto tag) {
      using T = typename decltype(tag)::type;
      CHECK(dtype_for<T>() == t);
      CHECK(size_of(t) == static_cast<int64_t>(sizeof(T)));
    });
  }
  CHECK(promote(DType::int32, DType::float32) == DType::float64);
  CHECK(promote(DType::int64, DType::float32) == DType::float64);
  CHECK(promote(DType::bool_, DType::float32) == DType::float32);
  CHECK(promote(DType::int32, DType::int64) == DType::int64);
  CHECK(promote(DType::float32, DType::float64) == DType::float64);
  for (DType t : {DType::float16, DType::bfloat16}) {
    for (DType low : {DType::bool_, DType::int32, DType::int64}) CHECK(promote(low, t) == t);
    for (DType high : {DType::float32, DType::float64}) CHECK(promote(t, high) == high);
  }
  CHECK(promote(DType::float16, DType::bfloat16) == DType::float32);
  CHECK_THROWS_WITH_AS(dtype_of("float16x"), doctest::Contains("float16x"), ValueError);
}

TEST_CASE("device: names") {
  for (const char* name : {"cpu", "reference", "cuda", "cuda:3", "cuda_sim"}) {
    CHECK(str(device_of(name)) == name);
  }
  CHECK(device_of("cuda:0") == device_of("cuda"));
  for (const char* name : {"", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:1x", "CPU"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(device_of(name), ValueError);
  }
}

TEST_CASE("a device that is not part of the build is refused with a sentence") {
  CHECK(is_available({Device::cpu}));
  CHECK(is_available({Device::reference}));
  if (!is_available({Device::cuda})) {
    CHECK_THROWS_WITH_AS(kernels({Device::cuda}), doctest::Contains("cuda"), RuntimeError);
  }
}

TEST_CASE("shape prints as a Python tuple") {
  CHECK(str(Shape{}) == "()");
  CHECK(str(Shape{5}) == "(5,)");
  CHECK(str(Shape{2, 3}) == "(2, 3)");
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{3, 0}.size() == 0);
  CHECK(Shape::filled(3, 2) == Shape{2, 2, 2});
}

TEST_CASE("shape: insert, erase, at most eight axes") {
  Shape shape = {2, 4};
  shape.insert(1, 3);
  CHECK(shape == Shape{2, 3, 4});
  shape.insert(3, 5);
  shape.insert(0, 1);
  CHECK(shape == Shape{1, 2, 3, 4, 5});
  shape.erase(0);
  shape.erase(3);
  CHECK(shape == Shape{2, 3, 4});
  Shape full = Shape::filled(kMaxDims, 1);
  CHECK_THROWS_AS(full.push_back(1), ValueError);
}

TEST_CASE("broadcast_shapes follows NumPy") {
  CHECK(broadcast_shapes("add", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast_shapes("add", {}, {5}) == Shape{5});
  CHECK(broadcast_shapes("add", {0}, {1}) == Shape{0});
  CHECK_THROWS_WITH_AS(broadcast_shapes("add", {2, 3}, {4}), doctest::Contains("(2, 3) and (4,)"),
                       ValueError);
  CHECK_THROWS_AS(broadcast_shapes("add", {0}, {2}), ValueError);
}

TEST_CASE("empty: layout, and refusals without an allocation") {
  const NDArray x = NDArray::empty({2, 3}, DType::float32);
  CHECK(x.strides() == Shape{3, 1});
  CHECK(x.is_contiguous());
  CHECK(x.bytes() == 24);
  CHECK(reinterpret_cast<uintptr_t>(x.view().data) % 64 == 0);
  CHECK(NDArray::empty({0, 5}, DType::int64).size() == 0);
  CHECK_THROWS_AS(NDArray::empty({2, -1}, DType::float32), ValueError);
  const int64_t huge = int64_t{1} << 40;
  CHECK_THROWS_AS(NDArray::empty({huge, huge}, DType::float32), ValueError);
  CHECK_THROWS_AS(NDArray::empty({huge, huge, 0}, DType::float32), ValueError);
}

TEST_CASE("data: the dtype must match") {
  const NDArray x = range({3});
  CHECK_THROWS_WITH_AS(x.data<float>(), doctest::Contains("int64"), TypeError);
  CHECK_THROWS_AS(NDArray::of<float>(std::vector<float>{1, 2}, {3}), ValueError);
}

TEST_CASE("slice agrees with walking start, start + step, ... as Python does") {
  const std::optional<int64_t> bounds[] = {{}, -9, -5, -3, -1, 0, 1, 2, 4, 5, 9};
  for (int64_t n : {0, 1, 5}) {
    const NDArray x = range({n});
    for (int64_t step : {-7, -2, -1, 1, 2, 3}) {
      for (const auto& start : bounds) {
        for (const auto& stop : bounds) {
          // Python's rule, spelled out: negative indices count from the end, then both are clamped.
          const auto place = [&](const std::optional<int64_t>& index, int64_t otherwise) {
            if (!index) return otherwise;
            const int64_t i = *index < 0 ? *index + n : *index;
            return std::max(step > 0 ? int64_t{0} : int64_t{-1}, std::min(step > 0 ? n : n - 1, i));
          };
          const int64_t first = place(start, step > 0 ? 0 : n - 1);
          const int64_t end = place(stop, step > 0 ? n : -1);
          List expected;
          for (int64_t i = first; step > 0 ? i < end : i > end; i += step) expected.push_back(i);
          CAPTURE(n);
          CAPTURE(step);
          CAPTURE(start.value_or(999));
          CAPTURE(stop.value_or(999));
          CHECK(list(x.slice(0, {start, stop, step})) == expected);
        }
      }
    }
  }
  CHECK_THROWS_AS(range({3}).slice(0, {{}, {}, 0}), ValueError);
  CHECK_THROWS_AS(range({3}).slice(1, {}), IndexError);
}

TEST_CASE("views move no element") {
  const NDArray x = range({2, 3});
  CHECK(list(x.transpose(0, 1)) == List{0, 3, 1, 4, 2, 5});
  CHECK(list(x.flip(1)) == List{2, 1, 0, 5, 4, 3});
  CHECK(list(x.select(0, -1)) == List{3, 4, 5});
  CHECK(list(x.select(1, 1)) == List{1, 4});
  CHECK(x.unsqueeze(1).shape() == Shape{2, 1, 3});
  CHECK(x.unsqueeze(-1).shape() == Shape{2, 3, 1});
  CHECK(x.unsqueeze(-1).squeeze(2).shape() == Shape{2, 3});
  CHECK(list(range({3}).broadcast_to({2, 3})) == List{0, 1, 2, 0, 1, 2});
  CHECK(list(range({2, 1}).broadcast_to({2, 3})) == List{0, 0, 0, 1, 1, 1});
  CHECK(range({}).broadcast_to({0, 2}).size() == 0);
  CHECK(list(range({2, 3, 2}).permute({2, 0, 1})) == List{0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11});
  CHECK(x.flip(0).storage() == x.storage());
  CHECK(x.slice(1, {1, {}}).offset() == 1);
  CHECK(x.flip(0).offset() == 3);
}

TEST_CASE("views refuse what does not exist") {
  const NDArray x = range({2, 3});
  CHECK_THROWS_AS(x.permute({0, 0}), ValueError);
  CHECK_THROWS_AS(x.permute({0}), ValueError);
  CHECK_THROWS_AS(x.permute({0, 2}), IndexError);
  CHECK_THROWS_AS(x.select(0, 2), IndexError);
  CHECK_THROWS_AS(x.select(0, -3), IndexError);
  CHECK_THROWS_AS(x.transpose(0, 2), IndexError);
  CHECK_THROWS_AS(x.squeeze(0), ValueError);
  CHECK_THROWS_AS(x.broadcast_to({3, 2}), ValueError);
  CHECK_THROWS_AS(x.broadcast_to({3}), ValueError);
}

TEST_CASE("as_strided: any view of the memory, and none outside of it") {
  const NDArray x = range({3, 4});
  CHECK(list(x.slice(0, {1, 3}).as_strided({2, 2}, {4, 1}, 1)) == List{1, 2, 5, 6});
  CHECK(list(x.as_strided({3}, {-4}, 11)) == List{11, 7, 3});
  CHECK(x.as_strided({0, 9}, {99, 99}).size() == 0);
  CHECK_THROWS_AS(x.as_strided({2}, {12}), ValueError);
  CHECK_THROWS_AS(x.as_strided({2}, {-1}), ValueError);
  CHECK_THROWS_AS(x.as_strided({}, {}, 12), ValueError);
  CHECK_THROWS_AS(x.as_strided({2}, {INT64_MAX}), ValueError);
  CHECK_THROWS_AS(x.as_strided({INT64_MAX, INT64_MAX}, {0, 0}), ValueError);
}

TEST_CASE("reshape: a view if the strides allow it, else a copy; always the same elements") {
  const Shape shapes[] = {{24},      {1, 24}, {24, 1},    {4, 6},    {2, 12},       {2, 3, 4},
                          {4, 3, 2}, {8, 3},  {2, 2, 6},  {3, 1, 8}, {1, 4, 1, 6},  {2, 2, 2, 3},
                          {6, 4},    {3, 8},  {12, 1, 2}, {12, 2},   {1, 1, 24, 1}, {2, 1, 3, 4}};
  const NDArray base = range({4, 6});
  const NDArray sources[] = {base,
                             base.transpose(0, 1),
                             base.flip(0),
                             base.flip(1),
                             range({8, 6}).slice(0, {{}, {}, 2}),
                             range({4, 7}).slice(1, {1, {}}),
                             range({24}).flip(0),
                             range({2, 3, 4}).permute({1, 0, 2}),
                             range({2, 3, 4}).permute({2, 0, 1}),
                             range({6}).broadcast_to({4, 6}),
                             range({4, 1}).broadcast_to({4, 6}),
                             range({1, 24}).transpose(0, 1)};
  for (const NDArray& source : sources) {
    for (const Shape& shape : shapes) {
      CAPTURE(source.shape());
      CAPTURE(source.strides());
      CAPTURE(shape);
      const NDArray y = reshape(source, shape);
      CHECK(y.shape() == shape);
      CHECK(list(y) == list(source));
      CHECK(source.try_reshape(shape).has_value() == can_view(source, shape));
    }
  }
  // A transposed matrix cannot be flattened in place; a flipped vector can be cut.
  CHECK(!base.transpose(0, 1).try_reshape({24}));
  CHECK(range({24}).flip(0).try_reshape({4, 6}));
  CHECK(range({2, 3, 4}).permute({1, 0, 2}).try_reshape({3, 2, 2, 2}));
}

TEST_CASE("reshape: one size may be -1") {
  const NDArray x = range({4, 6});
  CHECK(reshape(x, {-1}).shape() == Shape{24});
  CHECK(reshape(x, {3, -1, 2}).shape() == Shape{3, 4, 2});
  CHECK(reshape(range({0, 3}), {-1, 3}).shape() == Shape{0, 3});
  CHECK(reshape(range({1, 1}), {}).shape() == Shape{});
  for (const Shape& bad : {Shape{5, 5}, Shape{-1, -1}, Shape{-1, 7}, Shape{-2, -12}, Shape{}}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(reshape(x, bad), ValueError);
  }
  CHECK_THROWS_AS(reshape(range({0}), {0, -1}), ValueError);
}

TEST_CASE("copies: contiguous, cast, to_device") {
  const NDArray x = range({2, 3}).transpose(0, 1);
  CHECK(contiguous(x).is_contiguous());
  CHECK(list(contiguous(x)) == list(x));
  const NDArray y = range({4});
  CHECK(contiguous(y).storage() == y.storage());
  CHECK(copy_of(y).storage() != y.storage());
  const NDArray f = cast(x, DType::float32);
  CHECK(f.dtype() == DType::float32);
  CHECK(f.data<float>()[1] == 3);
  const NDArray there = to_device(x, {Device::reference});
  CHECK(there.device() == Device{Device::reference});
  CHECK(list(there) == list(x));
  CHECK(to_device(y, {}).storage() == y.storage());
}

TEST_CASE("assign broadcasts, converts, counts as a write, and may overlap itself") {
  const NDArray x = range({5});
  const uint32_t version = x.storage()->version();
  assign(x.slice(0, {1, {}}), x.slice(0, {{}, -1}));
  CHECK(list(x) == List{0, 0, 1, 2, 3});
  CHECK(x.storage()->version() != version);
  assign(x, x.flip(0));
  CHECK(list(x) == List{3, 2, 1, 0, 0});
  const NDArray y = range({2, 3});
  assign(y.slice(1, {{}, {}, 2}), filled({2, 1}, -7.9, DType::float64));
  CHECK(list(y) == List{-7, 1, -7, -7, 4, -7});
  CHECK_THROWS_AS(assign(y, range({2})), ValueError);
  CHECK_THROWS_AS(assign(y, filled({2, 3}, 1, DType::int64, {Device::reference})), RuntimeError);
  fill(y.select(0, 1), 9);
  CHECK(list(y) == List{-7, 1, -7, 9, 9, 9});
}

#ifndef __SANITIZE_ADDRESS__  // that build keeps no block, so that every misuse is seen
TEST_CASE("storage: a released block is used again, and counted") {
  void* first = nullptr;
  {
    const NDArray x = NDArray::empty({1000}, DType::float32);
    first = x.view().data;
  }
  const CacheStatistics before = cache_statistics();
  const NDArray y = NDArray::empty({1000}, DType::float32);
  CHECK(y.view().data == first);
  const CacheStatistics after = cache_statistics();
  CHECK(after.system_requests == before.system_requests);
  CHECK(after.bytes_in_use - before.bytes_in_use == before.bytes_cached - after.bytes_cached);
  CHECK(after.bytes_in_use - before.bytes_in_use >= 4000);
  empty_cache();
  CHECK(cache_statistics().bytes_cached == 0);
}
#endif

TEST_CASE("storage: borrowed memory is handed back when the last view goes") {
  int64_t values[] = {1, 2, 3};
  int dropped = 0;
  {
    Ref<Storage> storage = Storage::borrow(values, sizeof(values), {}, [&] { ++dropped; });
    NDArray x(storage, View{values, DType::int64, {3}, {1}});
    storage = {};
    const NDArray view = x.flip(0);
    x = NDArray();
    CHECK(dropped == 0);
    CHECK(list(view) == List{3, 2, 1});
  }
  CHECK(dropped == 1);
}

TEST_CASE("threads: at least one") {
  const int before = num_threads();
  CHECK(before >= 1);
  CHECK_THROWS_AS(set_num_threads(0), ValueError);
  set_num_threads(before);
}

TEST_SUITE_END();
