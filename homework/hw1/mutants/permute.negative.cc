// Negative axes are taken for a mistake.
Shape shape = view_.shape;
Shape strides = view_.strides;
bool seen[kMaxDims] = {};
bool valid = axes.ndim() == ndim();
for (int i = 0; valid && i < ndim(); ++i) {
  if (axes[i] < 0) throw ValueError("permute: a negative axis");
  const int axis = normalize_axis("permute", axes[i], ndim());
  valid = !seen[axis];
  seen[axis] = true;
  shape[i] = view_.shape[axis];
  strides[i] = view_.strides[axis];
}
if (!valid) {
  throw ValueError(
      str("permute: ", axes, " is not a permutation of the ", ndim(), " axes of ", view_.shape));
}
return with(shape, strides);
