// An axis of size 1 must fit too, so views that exist are missed.
// Walk both shapes from the right in groups of equal size. Inside a group the old axes must lie
// in memory like one long axis; then the new axes are cut out of it.
Shape strides = shape;
int old_axis = ndim() - 1;
int new_axis = shape.ndim() - 1;
while (new_axis >= 0) {
  while (old_axis >= 0 && view_.shape[old_axis] == 1) --old_axis;
  if (old_axis < 0) {  // only axes of size 1 are left
    strides[new_axis--] = 1;
    continue;
  }
  const int64_t stride = view_.strides[old_axis];
  int64_t old_size = view_.shape[old_axis];
  int64_t new_size = 1;
  int64_t next_stride = stride;
  do {
    while (new_size < old_size) {
      strides[new_axis] = next_stride;
      next_stride *= shape[new_axis];
      new_size *= shape[new_axis--];
    }
    while (old_size < new_size) {
      --old_axis;
      if (view_.strides[old_axis] != stride * old_size) {
        return std::nullopt;
      }
      old_size *= view_.shape[old_axis];
    }
  } while (new_size != old_size);
  --old_axis;
}
return with(shape, strides);
