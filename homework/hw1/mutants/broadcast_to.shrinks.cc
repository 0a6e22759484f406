// A size may also become 1.
const int added = shape.ndim() - ndim();
bool fits = added >= 0;
Shape strides = Shape::filled(shape.ndim(), 0);
for (int i = 0; fits && i < ndim(); ++i) {
  const int64_t wanted = shape[added + i];
  fits = view_.shape[i] == wanted || view_.shape[i] == 1 || wanted == 1;
  if (view_.shape[i] == wanted) strides[added + i] = view_.strides[i];
}
if (!fits) throw ValueError(str("broadcast_to: ", view_.shape, " does not broadcast to ", shape));
return with(shape, strides);
