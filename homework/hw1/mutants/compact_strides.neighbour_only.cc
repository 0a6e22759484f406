// A stride is the size of the next axis alone, not of all axes behind.
Shape strides = shape;
int64_t stride = 1;
for (int i = shape.ndim() - 1; i >= 0; --i) {
  strides[i] = stride;
  stride = shape[i];
}
return strides;
