// Stretched axes are summed, those on the left only when they have size 1.
const int added = x.ndim() - shape.ndim();
Tensor out = x;
for (int i = 0; i < added; ++i) out = select(out, 0, 0);
Shape to = out.shape();
for (int i = 0; i < shape.ndim(); ++i) {
  if (shape[i] == 1) to[i] = 1;
}
return apply_op<ReduceOp>({out}, Reduce::sum, to);
