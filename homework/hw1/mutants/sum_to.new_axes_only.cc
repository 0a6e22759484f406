// Axes on the left are summed, stretched ones are not.
const int added = x.ndim() - shape.ndim();
Shape to = x.shape();
for (int i = 0; i < added; ++i) to[i] = 1;
Tensor out = apply_op<ReduceOp>({x}, Reduce::sum, to);
for (int i = 0; i < added; ++i) out = squeeze(out, 0);
for (int i = 0; i < out.ndim(); ++i) {
  if (shape[i] == 1 && out.shape(i) != 1) out = slice(out, i, {0, 1, 1});
}
return out;
