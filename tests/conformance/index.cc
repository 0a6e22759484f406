// gather and scatter_rows against the reference.  (Lessons 02 and 06)
#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("index");

namespace {

const std::vector<Shape> kIndexShapes = {{}, {0}, {1}, {5}, {3, 7}, {2, 0, 3}, {257}};
const std::vector<Shape> kTableShapes = {{1},     {7},     {1, 1},    {100, 8},
                                         {3, 17}, {65, 0}, {5, 3, 5}, {2, 129}};

/// The shape of the rows picked: the index's axes, then those of one row.
Shape picked(const Shape& index, const Shape& table) {
  Shape out = index;
  for (int i = 1; i < table.ndim(); ++i) out.push_back(table[i]);
  return out;
}

}  // namespace

TEST_CASE("gather") {
  for_each_device(&Kernels::gather, "gather", [](Device device) {
    const auto check = [&](DType dtype, const Shape& table_shape, const Shape& index_shape,
                           Layout table_layout, Layout index_layout, Layout out_layout) {
      CAPTURE(dtype);
      CAPTURE(table_shape);
      CAPTURE(index_shape);
      CAPTURE(table_layout);
      CAPTURE(index_layout);
      CAPTURE(out_layout);
      Comparison c(device);
      const Pair table = c.input(table_shape, dtype, table_layout, Fill::special);
      const Pair index = c.indices(index_shape, table_shape[0], index_layout);
      const Pair out = c.output(picked(index_shape, table_shape), dtype, out_layout);
      c.run([&](const Kernels& k, Side s) { k.gather(table[s], index[s], out[s]); });
      CHECK(c.difference(out, {.exact = true}) == "");
    };
    for (DType dtype : kStored) {
      for (const Shape& table : kTableShapes) {
        for (const Shape& index : kIndexShapes) {
          for (Layout layout : input_layouts(table.ndim())) {
            check(dtype, table, index, layout, Layout::compact, Layout::compact);
          }
          for (Layout layout : input_layouts(index.ndim())) {
            check(dtype, table, index, Layout::compact, layout, Layout::compact);
          }
          for (Layout layout : output_layouts(picked(index, table).ndim())) {
            check(dtype, table, index, Layout::compact, Layout::compact, layout);
          }
        }
      }
      check(dtype, {0, 3}, {0}, Layout::compact, Layout::compact, Layout::compact);
      check(dtype, {301, 67}, {2003}, Layout::compact, Layout::compact, Layout::compact);
    }
  });
}

TEST_CASE("scatter_rows") {
  for_each_device(&Kernels::scatter_rows, "scatter_rows", [](Device device) {
    const auto check = [&](DType dtype, const Shape& table_shape, const Shape& index_shape,
                           Layout table_layout, Layout index_layout, Layout x_layout) {
      CAPTURE(dtype);
      CAPTURE(table_shape);
      CAPTURE(index_shape);
      CAPTURE(table_layout);
      CAPTURE(index_layout);
      CAPTURE(x_layout);
      Comparison c(device);
      const Pair table = c.output(table_shape, dtype, table_layout);
      const Pair index = c.indices(index_shape, table_shape[0], index_layout);
      const Pair x = c.input(picked(index_shape, table_shape), dtype, x_layout);
      c.run([&](const Kernels& k, Side s) { k.scatter_rows(index[s], x[s], table[s]); });
      // All of the index may name one row.
      const double times = 1 + static_cast<double>(index_shape.size()) / 16;
      CHECK(c.difference(table, {.scale = 4, .times = times}) == "");
    };
    for (DType dtype : kFloating) {
      for (const Shape& table : kTableShapes) {
        for (const Shape& index : kIndexShapes) {
          for (Layout layout : output_layouts(table.ndim())) {
            check(dtype, table, index, layout, Layout::compact, Layout::compact);
          }
          for (Layout layout : input_layouts(index.ndim())) {
            check(dtype, table, index, Layout::compact, layout, Layout::compact);
          }
          for (Layout layout : input_layouts(picked(index, table).ndim())) {
            check(dtype, table, index, Layout::compact, Layout::compact, layout);
          }
        }
      }
      check(dtype, {0, 3}, {0}, Layout::compact, Layout::compact, Layout::compact);
      check(dtype, {301, 67}, {2003}, Layout::compact, Layout::compact, Layout::compact);
    }
  });
}

TEST_SUITE_END();
