// Axes are matched from the left.
const int ndim = std::max(a.ndim(), b.ndim());
Shape out = Shape::filled(ndim, 1);
for (int i = 0; i < ndim; ++i) {
  const int64_t m = i < a.ndim() ? a[i] : 1;
  const int64_t n = i < b.ndim() ? b[i] : 1;
  if (m != n && m != 1 && n != 1) throw ValueError(str(name, ": ", a, " and ", b));
  out[i] = m == 1 ? n : m;
}
return out;
