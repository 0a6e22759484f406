// Strides in bytes of float32 instead of elements.
Shape strides = shape;
int64_t stride = 4;
for (int i = shape.ndim() - 1; i >= 0; --i) {
  strides[i] = stride;
  stride *= shape[i];
}
return strides;
