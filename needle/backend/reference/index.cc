// Rows by their number: reading them and adding to them.  (Lessons 02 and 06)
#include <algorithm>
#include <functional>

#include "needle/backend/reference/xview.h"

namespace needle::reference {
namespace {

/// Elements in one row of a table (rows, ...).
int64_t row_size(const View& table) {
  Shape row = table.shape;
  row.erase(0);
  return row.size();
}

}  // namespace

void gather(const View& table_view, const View& index_view, const View& out_view) {
  const Integers index = integers(index_view);
  const int64_t n = row_size(table_view);
  visit_wide(table_view.dtype, [&](auto tag) {
    using Wide = typename decltype(tag)::type;
    const Array<Wide> table = load<Wide>(table_view);
    Array<Wide> out(sizes(out_view.shape));
    for (size_t i = 0; i < index.size(); ++i) {
      std::copy_n(table.data() + index.flat(i) * n, n, out.data() + i * n);
    }
    store(out, out_view);
  });
}

void scatter_rows(const View& index_view, const View& x_view, const View& table_view) {
  const Integers index = integers(index_view);
  const int64_t n = row_size(table_view);
  const Reals x = reals(x_view);
  Reals table(sizes(table_view.shape), 0.0);
  for (size_t i = 0; i < index.size(); ++i) {
    double* row = table.data() + index.flat(i) * n;
    std::transform(row, row + n, x.data() + i * n, row, std::plus());
  }
  store(table, table_view);
}

}  // namespace needle::reference
