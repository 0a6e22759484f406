// Each stride includes the size of its own axis.
Shape strides = shape;
int64_t stride = 1;
for (int i = shape.ndim() - 1; i >= 0; --i) {
  stride *= shape[i];
  strides[i] = stride;
}
return strides;
