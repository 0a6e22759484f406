// A broadcast batch axis is not summed, only the first of the batch counts.
const auto cut = [](Tensor x, const Shape& shape) {
  while (x.ndim() > shape.ndim()) x = select(x, 0, 0);
  for (int i = 0; i < x.ndim(); ++i) {
    if (shape[i] != x.shape(i)) x = slice(x, i, {0, 1, 1});
  }
  return x;
};
Tensors partial(2);
if (c.wants(0)) partial[0] = cut(product(dy, transpose(c.input(1), -1, -2)), c.shape(0));
if (c.wants(1)) partial[1] = cut(product(transpose(c.input(0), -1, -2), dy), c.shape(1));
return partial;
