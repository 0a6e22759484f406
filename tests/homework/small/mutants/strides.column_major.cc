  // Strides as in Fortran: the first axis is the fastest.
  Shape strides = shape;
  int64_t stride = 1;
  for (int i = 0; i < shape.ndim(); ++i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
