// Missing axes are not noticed.
const int added = std::max(0, shape.ndim() - ndim());
bool fits = true;
Shape strides = Shape::filled(shape.ndim(), 0);
for (int i = 0; fits && i < std::min(ndim(), shape.ndim()); ++i) {
  const int64_t wanted = shape[added + i];
  fits = view_.shape[i] == wanted || view_.shape[i] == 1;
  if (view_.shape[i] == wanted) strides[added + i] = view_.strides[i];
}
if (!fits) throw ValueError(str("broadcast_to: ", view_.shape, " does not broadcast to ", shape));
return with(shape, strides);
